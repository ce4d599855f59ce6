//! How sure a number is: intervals and tests, as pure functions over arrays.
//!
//! | number | interval | function |
//! |---|---|---|
//! | a share of images (accuracy, sensitivity, specificity, PPV, NPV) | Wilson's score interval | [`Proportion::wilson`] |
//! | AUROC, and the difference of two on the same images | DeLong's | [`delong()`], [`delong_paired`] |
//! | any metric | percentile or BCa bootstrap: of images, within classes, or of patients | [`interval`], [`intervals`] |
//! | a metric that copies of an image raise: average precision of boxes | Student's t with the spread of halves of the images | [`half_sample_interval`] |
//! | a mean over seeds, and the difference of two | images and seeds crossed, Student's t | [`CrossedMean`] |
//!
//! Two methods on the same images: p-values of [`CrossedMean`], [`mcnemar()`] and, over several seeds, [`sign_flip`]; all pairs of
//! several methods: [`holm()`]. What difference could have been found: [`CrossedMean::detectable`].
//!
//! Wilson's and DeLong's intervals, and a bootstrap of images, hold images to be independent. Several images of one patient
//! are not: only the bootstrap of patients ([`Sampling::Clustered`]) is then as wide as it has to be.
//!
//! How often 95 % intervals held the truth in 2,000 simulated test sets of 200 images (prevalence 0.3, AUROC 0.8; 1,000
//! resamples; `tests/coverage.rs` prints it):
//!
//! | images | interval | held |
//! |---|---|---|
//! | independent | Wilson: accuracy, sensitivity | 95.1 %, 96.0 % |
//! | independent | DeLong: plain, logit | 93.7 %, 95.5 % |
//! | independent | bootstrap of images: percentile, BCa | 94.2 %, 95.6 % |
//! | independent | bootstrap within classes: percentile, BCa | 94.2 %, 95.2 % |
//! | four of each patient, correlation 0.5 | bootstrap of patients: percentile, BCa | 93.0 %, 94.3 % |
//! | four of each patient, correlation 0.5 | taken as independent: DeLong, percentile | 78.0 %, 78.1 % |
//!
//! # Degenerate input
//! What a user's data can cause is a [`NotDefined`] with its reason. No function here panics on it or
//! returns NaN:
//!
//! | input | Wilson | DeLong | bootstrap |
//! |---|---|---|---|
//! | no image | `NoImage` | `NoImage` | `NoImage` |
//! | one class only (or a class absent from the split) | the share of the absent class: `NoImage` | `OneClass` | `NotFinite`, as AUROC has no value |
//! | one image of a class | an interval | `OneImageOfAClass` | resamples without it do not count; `TooFewResamples` if they are more than half |
//! | a score that is NaN or infinite | does not read scores | `NotFinite` | `NotFinite`, as the metric has no value |
//! | all right, all wrong, or a perfect ranking | an interval (ends are 0 and 1 at most) | `NoVariation` | `NoVariation` |
//! | the same scores twice | – | paired: `NoVariation` | `NoVariation` |
//! | level not between 0 and 1 | `OutOfRange` | `OutOfRange` | `OutOfRange` |
//!
//! Arrays of different lengths are a caller's mistake and panic with both numbers, as in [`metrics`](crate::metrics).

mod bca;
mod crossed;
mod delong;
mod half_samples;
mod holm;
mod mcnemar;
mod normal;
mod power;
mod proportion;
mod sampling;
mod student;

pub(crate) use bca::quantile;
pub use bca::{Kind, bca, interval, intervals, jackknife, jackknife_bunches, percentile};
pub use crossed::{CrossedMean, SeedValues};
pub use delong::{Delong, PairedDelong, delong, delong_paired};
pub use half_samples::{Scale, half_sample_error, half_sample_interval};
pub use holm::holm;
pub use mcnemar::{SignFlip, mcnemar, sign_flip};
pub use normal::{normal_cdf, normal_quantile};
pub use power::POWER;
pub use proportion::Proportion;
pub use sampling::{BUNCH, Draws, Sampling, half_samples, resample, resample_bunches};
pub use student::{student_cdf, student_quantile};

use serde::{Deserialize, Serialize};

use crate::NotDefined;

/// Both ends of an interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

impl Interval {
    /// Whether `value` lies inside or on an end.
    pub fn contains(&self, value: f64) -> bool {
        (self.low..=self.high).contains(&value)
    }

    /// `centre` ± `half`, cut to the range a share can have.
    fn of_share(centre: f64, half: f64) -> Self {
        Self {
            low: (centre - half).max(0.0),
            high: (centre + half).min(1.0),
        }
    }
}

/// How many standard errors a two-sided normal interval of this level reaches to each side: 1.96 for 0.95.
fn normal_reach(level: f64) -> Result<f64, NotDefined> {
    let inside = level > 0.0 && level < 1.0; // NaN is not
    inside
        .then(|| normal_quantile(f64::midpoint(1.0, level)))
        .ok_or(NotDefined::OutOfRange)
}
