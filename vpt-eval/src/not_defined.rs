//! Why a number does not exist.

/// Why a number is not defined on the data at hand: the answer of [`statistics`](crate::statistics) and of the metrics
/// that have more than one way to fail. A metric with one way to fail returns an `Option`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotDefined {
    /// Nothing to count, or all weights are 0.
    #[error("there is no image")]
    NoImage,
    /// Every image has the same class, so nothing can be told apart.
    #[error("all images are of one class")]
    OneClass,
    /// A threshold parts two classes.
    #[error("there are not two classes")]
    NotTwoClasses,
    /// A side of the comparison has one image: its spread is not known.
    #[error("a class has fewer than two images")]
    OneImageOfAClass,
    /// A score, a logit or a resampled value is NaN or infinite.
    #[error("a value is not a finite number")]
    NotFinite,
    /// A level, a prevalence or a target outside its range.
    #[error("a share, a level or a target is outside its range")]
    OutOfRange,
    /// All values are equal, so the data hold no example of the variation: an interval of width 0 would be a lie.
    #[error("the values do not vary")]
    NoVariation,
    /// Too few resamples have a value, or the value lies outside all of them.
    #[error("too few resamples tell where the value lies")]
    TooFewResamples,
    /// The likelihood has its maximum at no temperature within the bounds: it grows towards one of them.
    #[error("no temperature within the bounds is best")]
    AtTheBound,
}
