//! Standard errors and intervals from halves of the images, for numbers that copies of an image raise.
//!
//! Halves, drawn without replacement, spread around all images as these do around the truth: the variance of a mean of n / 2 of n images is the
//! estimated variance of a mean of n (McCarthy 1969, Rev. Int. Stat. Inst. 37:239; for other statistics Politis & Romano 1994, Ann. Stat. 22:2031).
//! Average precision, the mean of the *highest* precision to the right, needs that no image is there twice: copies rank beside each other.

use super::{Interval, student_quantile};
use crate::NotDefined;

/// What a number can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    /// From 0 to 1.
    Share,
    /// From 0 on.
    Amount,
    /// Anything, such as a difference.
    Difference,
}

/// A standard error up to this is rounding.
const ROUNDING: f64 = 1e-12;

/// Standard error of a statistic from its values on [`half_samples`](super::half_samples()), NaN where it has none.
///
/// # Errors
/// [`NotDefined::TooFewResamples`] where it has no value in half of them or more: a single image, which is in every other half, may then be all
/// there is of a class. [`NotDefined::NoVariation`] where all values are equal.
pub fn half_sample_error(halves: &[f64]) -> Result<f64, NotDefined> {
    let finite: Vec<f64> = halves.iter().copied().filter(|value| value.is_finite()).collect();
    if finite.len() < 2 || 2 * finite.len() <= halves.len() {
        return Err(NotDefined::TooFewResamples);
    }
    let mean = finite.iter().sum::<f64>() / finite.len() as f64;
    let squares: f64 = finite.iter().map(|value| (value - mean).powi(2)).sum();
    let error = (squares / (finite.len() - 1) as f64).sqrt();
    if error <= ROUNDING {
        return Err(NotDefined::NoVariation);
    }
    Ok(error)
}

/// Interval around `value`, computed from `units` independent images or patients, with the standard error of its values on
/// [`half_samples`](super::half_samples()) and Student's t of `units` − 1 degrees of freedom.
///
/// A share strictly between 0 and 1 gets it on the logit scale, as AUROC does in DeLong's: near an end it reaches further to the middle. Everything
/// else is `value` ± t · standard error, cut to what it can be.
pub fn half_sample_interval(
    value: f64,
    halves: &[f64],
    units: usize,
    scale: Scale,
    level: f64,
) -> Result<Interval, NotDefined> {
    if !(level > 0.0 && level < 1.0) {
        return Err(NotDefined::OutOfRange);
    }
    if !value.is_finite() {
        return Err(NotDefined::NotFinite);
    }
    if units < 2 {
        return Err(NotDefined::NoImage);
    }
    let error = half_sample_error(halves)?;
    let reach = student_quantile(f64::midpoint(1.0, level), (units - 1) as f64);
    let half = reach * error;
    Ok(match scale {
        Scale::Share if value > 0.0 && value < 1.0 => {
            let (centre, half) = ((value / (1.0 - value)).ln(), half / (value * (1.0 - value)));
            let share = |logit: f64| 1.0 / (1.0 + (-logit).exp());
            // Rounding must not leave the value outside.
            Interval {
                low: share(centre - half).min(value),
                high: share(centre + half).max(value),
            }
        }
        Scale::Share => Interval::of_share(value, half),
        Scale::Amount => Interval {
            low: (value - half).max(0.0),
            high: value + half,
        },
        Scale::Difference => Interval {
            low: value - half,
            high: value + half,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Bootstrap;
    use crate::statistics::{Draws, Proportion, Sampling, half_samples};

    /// Mean of `values`, image by image.
    fn mean_of(values: &[f64], weights: &[u32]) -> f64 {
        let sum: f64 = values
            .iter()
            .zip(weights)
            .map(|(value, &w)| value * f64::from(w))
            .sum();
        sum / f64::from(weights.iter().sum::<u32>())
    }

    #[test]
    fn a_mean_has_its_textbook_error_and_interval() {
        let hits: Vec<f64> = (0..120).map(|i| f64::from(u8::from(i % 5 != 0))).collect();
        let draws = Draws::new(120, &Sampling::Images);
        let halves = half_samples(&draws, 1, &Bootstrap::default(), |weights| {
            vec![mean_of(&hits, weights)]
        });
        let error = half_sample_error(&halves[0]).unwrap();
        let expected = (0.8 * 0.2 / 119.0_f64).sqrt();
        assert!((error / expected - 1.0).abs() < 0.05, "{error} {expected}");
        // Halves come in pairs that make the whole.
        for pair in halves[0].chunks(2) {
            assert!((f64::midpoint(pair[0], pair[1]) - 0.8).abs() < 1e-12);
        }
        let interval = half_sample_interval(0.8, &halves[0], 120, Scale::Share, 0.95).unwrap();
        let wilson = Proportion::new(96, 120).wilson(0.95).unwrap();
        assert!((interval.low - wilson.low).abs() < 0.01 && (interval.high - wilson.high).abs() < 0.01);
    }

    #[test]
    fn intervals_stay_in_their_range() {
        let halves: Vec<f64> = (0..100).map(|i| if i % 2 == 0 { 0.9 } else { 1.0 }).collect();
        let of = |value: f64, scale: Scale| half_sample_interval(value, &halves, 20, scale, 0.95).unwrap();
        for value in [1e-9, 0.02, 0.5, 0.98, 1.0 - 1e-9, 1.0] {
            let Interval { low, high } = of(value, Scale::Share);
            assert!(
                0.0 <= low && low <= value && value <= high && high <= 1.0,
                "{low} {value} {high}"
            );
        }
        assert!(of(0.01, Scale::Amount).low == 0.0 && of(1.0, Scale::Amount).high > 1.0);
        assert!(of(0.01, Scale::Difference).low < 0.0);
    }

    #[test]
    fn degenerate_input_has_a_reason() {
        let of = |value: f64, halves: &[f64], units: usize, level: f64| {
            half_sample_interval(value, halves, units, Scale::Share, level)
        };
        let good = [0.4, 0.6, 0.5, 0.5];
        assert!(of(0.5, &good, 9, 0.95).is_ok());
        assert_eq!(of(0.5, &good, 1, 0.95), Err(NotDefined::NoImage));
        assert_eq!(of(0.5, &good, 9, 1.0), Err(NotDefined::OutOfRange));
        assert_eq!(of(f64::NAN, &good, 9, 0.95), Err(NotDefined::NotFinite));
        assert_eq!(of(0.5, &[0.5; 8], 9, 0.95), Err(NotDefined::NoVariation));
        assert_eq!(of(0.5, &[], 9, 0.95), Err(NotDefined::TooFewResamples));
        let every_other = [0.4, f64::NAN, 0.6, f64::NAN];
        assert_eq!(of(0.5, &every_other, 9, 0.95), Err(NotDefined::TooFewResamples));
    }
}
