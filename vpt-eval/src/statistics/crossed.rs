//! Means over seeds: how sure they are, with the test images and the seeds both drawn at random.
//!
//! Seeds share the test images, so two sources of chance are crossed, as readers and cases are in radiology. The parts of the variance are
//! those of Obuchowski & Rockette (1995, Commun. Stat. Simul. Comput. 24:285) for readers nested in methods, with the degrees of freedom of
//! Hillis (2007, Stat. Med. 26:596). What they take from covariances over cases is taken from resampled images here, so that it holds for any
//! metric, and for patients where those are resampled. Two things are more careful than there: the variance is never below that of the
//! images alone, and where two seeds agree by chance, their spread counts as half of what these images make of it.
//!
//! How often two equally good methods were called different at 5 % in 2,000 simulated comparisons (300 images, accuracy 0.8, half of what
//! makes an image hard shared by all models, a fifth by the seeds of a method), and how often any of 15 pairs of six methods was after Holm
//! (`tests/null_comparisons.rs` prints it):
//!
//! TABLE
//!
//! One seed knows nothing of others: its tests are right about the two trained models and wrong about the methods once seeds differ.

use super::{Interval, student_cdf, student_quantile};
use crate::NotDefined;

/// A metric of each of a method's seeds.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SeedValues {
    /// One value per seed, on the images as they are.
    pub values: Vec<f64>,
    /// For each seed one value per resample of the images, NaN where it is not defined; resample `r` is the same images for all seeds and methods.
    pub resampled: Vec<Vec<f64>>,
}

impl SeedValues {
    /// Mean over the seeds.
    pub fn mean(&self) -> f64 {
        mean(&self.values)
    }

    /// `self − other`, seed by seed: for seeds that mean the same in both, such as draws of training images.
    pub fn minus(&self, other: &Self) -> Self {
        let subtract =
            |(a, b): (&Vec<f64>, &Vec<f64>)| -> Vec<f64> { a.iter().zip(b).map(|(a, b)| a - b).collect() };
        Self {
            values: subtract((&self.values, &other.values)),
            resampled: self
                .resampled
                .iter()
                .zip(&other.resampled)
                .map(subtract)
                .collect(),
        }
    }

    /// Mean over the seeds in each resample.
    fn resampled_means(&self) -> Vec<f64> {
        let resamples = self.resampled.first().map_or(0, Vec::len);
        let of = |r: usize| mean(&self.resampled.iter().map(|seed| seed[r]).collect::<Vec<_>>());
        (0..resamples).map(of).collect()
    }

    /// What the seeds add to the variance of their mean.
    fn parts(&self) -> Result<SeedParts, NotDefined> {
        let seeds = self.values.len() as f64;
        if seeds < 2.0 {
            return Ok(SeedParts::default());
        }
        let each: Vec<f64> = self
            .resampled
            .iter()
            .map(|seed| variance(seed))
            .collect::<Result<_, _>>()?;
        // Of the images' variance, what all seeds have in common stays in their mean and the rest is divided by their number.
        let interaction = (mean(&each) - variance(&self.resampled_means())?) * seeds / (seeds - 1.0);
        Ok(SeedParts {
            observed: variance(&self.values)? / seeds,
            interaction: interaction.max(0.0) / seeds,
            degrees: seeds - 1.0,
        })
    }
}

/// Variances of a mean over seeds.
#[derive(Debug, Clone, Copy, Default)]
struct SeedParts {
    /// From the spread of the seeds on these images: of the seed itself, and of what each seed makes of these very images.
    observed: f64,
    /// The second part of it.
    interaction: f64,
    /// Degrees of freedom of `observed`.
    degrees: f64,
}

impl SeedParts {
    /// The variance beyond that of the images, with `whole` as in [`CrossedMean::combine`].
    fn own(&self, whole: f64) -> f64 {
        (self.observed - whole * self.interaction).max(0.0)
    }

    /// Square of the uncertain variance over its degrees of freedom; 0 for a single seed.
    fn uncertainty(&self, whole: f64) -> f64 {
        let spread = match self.degrees {
            0.0 => return 0.0,
            1.0 => self.observed.max(whole * self.interaction / 2.0),
            _ => self.observed,
        };
        spread.powi(2) / self.degrees
    }
}

/// A mean over seeds, or a difference of two, with its standard error.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CrossedMean {
    /// The mean, or the difference of the means.
    pub value: f64,
    /// Variance over other test images and other seeds; with one seed, over other test images.
    pub variance: f64,
    /// The part of `variance` that more test images would not lower.
    pub seed_variance: f64,
    /// Degrees of freedom of Student's t distribution, at least 1.
    pub degrees: f64,
}

impl CrossedMean {
    /// The mean over the seeds of one method, tested on `units` independent images or patients.
    pub fn of(method: &SeedValues, units: usize) -> Result<Self, NotDefined> {
        Self::combine(
            method.mean(),
            &method.resampled_means(),
            &[method.parts()?],
            units,
        )
    }

    /// The mean of `a` minus that of `b`, whose seeds have nothing to do with each other.
    pub fn difference(a: &SeedValues, b: &SeedValues, units: usize) -> Result<Self, NotDefined> {
        let resampled = a.resampled_means().into_iter().zip(b.resampled_means());
        let resampled: Vec<f64> = resampled.map(|(a, b)| a - b).collect();
        Self::combine(a.mean() - b.mean(), &resampled, &[a.parts()?, b.parts()?], units)
    }

    fn combine(value: f64, resampled: &[f64], seeds: &[SeedParts], units: usize) -> Result<Self, NotDefined> {
        if units < 2 {
            return Err(NotDefined::NoImage);
        }
        if !value.is_finite() {
            return Err(NotDefined::NotFinite);
        }
        let most_degrees = (units - 1) as f64;
        // Resampling n units shows (n − 1)/n of their variance.
        let whole = units as f64 / most_degrees;
        let images = whole * variance(resampled)?;
        // From a true 0: an empty sum of floats is −0.
        let sum = |part: &dyn Fn(&SeedParts) -> f64| seeds.iter().map(part).fold(0.0, |sum, x| sum + x);
        let seed_variance = sum(&|seeds| seeds.own(whole));
        let variance = images + seed_variance;
        if variance <= ROUNDING {
            return Err(NotDefined::NoVariation);
        }
        let uncertainty = sum(&|seeds| seeds.uncertainty(whole));
        Ok(Self {
            value,
            variance,
            seed_variance,
            degrees: (variance.powi(2) / uncertainty).max(1.0).min(most_degrees),
        })
    }

    /// Square root of the variance.
    pub fn standard_error(&self) -> f64 {
        self.variance.sqrt()
    }

    /// `value` ± quantile of t · standard error.
    pub fn interval(&self, level: f64) -> Result<Interval, NotDefined> {
        let half = self.reach(level)? * self.standard_error();
        Ok(Interval {
            low: self.value - half,
            high: self.value + half,
        })
    }

    /// Two-sided p-value of "the value is 0": below 1 − level just where the interval of that level does not hold 0.
    pub fn p_value(&self) -> f64 {
        2.0 * student_cdf(-(self.value / self.standard_error()).abs(), self.degrees)
    }

    /// How many standard errors an interval reaches to each side.
    pub(super) fn reach(&self, level: f64) -> Result<f64, NotDefined> {
        let inside = level > 0.0 && level < 1.0; // NaN is not
        inside
            .then(|| student_quantile(f64::midpoint(1.0, level), self.degrees))
            .ok_or(NotDefined::OutOfRange)
    }
}

/// A variance up to this is rounding of 0: shares are multiples of 1 / (images · seeds).
const ROUNDING: f64 = 1e-24;

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// Sample variance of the finite values, which must be at least half.
fn variance(values: &[f64]) -> Result<f64, NotDefined> {
    let finite: Vec<f64> = values.iter().copied().filter(|value| value.is_finite()).collect();
    if finite.len() < 2 || 2 * finite.len() < values.len() {
        return Err(NotDefined::TooFewResamples);
    }
    let mean = mean(&finite);
    let squares: f64 = finite.iter().map(|value| (value - mean).powi(2)).sum();
    Ok(squares / (finite.len() - 1) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values with a given spread: ±`spread` by turns, so that a sample variance is `spread`² · n / (n − 1).
    fn turns(centre: f64, spread: f64) -> Vec<f64> {
        (0..1000)
            .map(|i| centre + if i % 2 == 0 { spread } else { -spread })
            .collect()
    }

    fn close(a: f64, b: f64) {
        assert!((a / b - 1.0).abs() < 2e-3, "{a} {b}");
    }

    #[test]
    fn one_seed_has_the_variance_of_images() {
        let one = SeedValues {
            values: vec![0.8],
            resampled: vec![turns(0.8, 0.02)],
        };
        let mean = CrossedMean::of(&one, 400).unwrap();
        close(mean.variance, 4e-4 * 400.0 / 399.0);
        assert_eq!((mean.seed_variance, mean.degrees), (0.0, 399.0));
    }

    #[test]
    fn seeds_that_agree_on_every_image_add_only_their_own_spread() {
        let values = [0.79, 0.80, 0.81];
        let three = SeedValues {
            values: values.to_vec(),
            resampled: values.map(|value| turns(value, 0.02)).to_vec(),
        };
        let mean = CrossedMean::of(&three, 1_000_000).unwrap();
        let seeds = 1e-4 / 3.0;
        close(mean.variance, 4e-4 + seeds);
        close(mean.seed_variance, seeds);
        close(mean.degrees, (4e-4 + seeds).powi(2) / (seeds.powi(2) / 2.0));
    }

    #[test]
    fn what_cancels_between_seeds_is_not_counted_twice() {
        // Opposite resamples: all that the seeds differ by is what they make of these very images, which their mean takes out.
        let mut two = SeedValues {
            values: vec![0.79, 0.81],
            resampled: vec![turns(0.79, 0.02), turns(0.81, -0.02)],
        };
        assert_eq!(CrossedMean::of(&two, 1_000_000), Err(NotDefined::NoVariation));
        two.resampled[0] = turns(0.79, 0.022);
        let mean = CrossedMean::of(&two, 1_000_000).unwrap();
        close(mean.variance, 1e-6);
        assert_eq!((mean.seed_variance, mean.degrees), (0.0, 1.0));
    }

    #[test]
    fn the_p_value_is_where_the_interval_touches_zero() {
        let a = SeedValues {
            values: vec![0.80, 0.83],
            resampled: vec![turns(0.80, 0.02), turns(0.83, 0.02)],
        };
        let b = SeedValues {
            values: vec![0.75, 0.77],
            resampled: vec![turns(0.75, 0.01), turns(0.77, 0.01)],
        };
        let difference = CrossedMean::difference(&a, &b, 300).unwrap();
        let touching = difference.interval(1.0 - difference.p_value()).unwrap();
        assert!(touching.low.abs() < 1e-12);
        close(touching.high, 2.0 * difference.value);
    }

    #[test]
    fn degenerate_input_has_a_reason() {
        let constant = SeedValues {
            values: vec![1.0, 1.0],
            resampled: vec![vec![1.0; 50]; 2],
        };
        assert_eq!(CrossedMean::of(&constant, 10), Err(NotDefined::NoVariation));
        assert_eq!(
            CrossedMean::difference(&constant, &constant, 10),
            Err(NotDefined::NoVariation)
        );
        assert_eq!(CrossedMean::of(&constant, 1), Err(NotDefined::NoImage));
        let rare = SeedValues {
            values: vec![0.5],
            resampled: vec![vec![f64::NAN, f64::NAN, 0.5]],
        };
        assert_eq!(CrossedMean::of(&rare, 10), Err(NotDefined::TooFewResamples));
        let nan = SeedValues {
            values: vec![f64::NAN],
            resampled: vec![turns(0.5, 0.1)],
        };
        assert_eq!(CrossedMean::of(&nan, 10), Err(NotDefined::NotFinite));
    }
}
