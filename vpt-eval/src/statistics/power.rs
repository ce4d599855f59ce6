//! What a test set could have shown.

use super::{CrossedMean, student_quantile};
use crate::NotDefined;

/// How often a difference is to be found, where nothing else is said.
pub const POWER: f64 = 0.8;

impl CrossedMean {
    /// The smallest true difference that a test at level 1 − `level` finds in a share `power` of repetitions with as many
    /// images and seeds and the same spread (Cohen 1988, Statistical Power Analysis, section 2.4).
    pub fn detectable(&self, level: f64, power: f64) -> Result<f64, NotDefined> {
        Ok(self.standard_errors(level, power)? * self.standard_error())
    }

    /// With how many images of the same kind, where there are `images` now, the observed value would be found in a share
    /// `power` of repetitions with as many seeds. Not defined where the value is 0 and where the seeds' spread alone hides it.
    pub fn images_needed(&self, images: usize, level: f64, power: f64) -> Result<u64, NotDefined> {
        let wanted = (self.value / self.standard_errors(level, power)?).powi(2);
        let room = wanted - self.seed_variance;
        if room <= 0.0 {
            return Err(NotDefined::OutOfRange);
        }
        let of_images = self.variance - self.seed_variance.min(self.variance);
        Ok((images as f64 * of_images / room).ceil().max(1.0) as u64)
    }

    fn standard_errors(&self, level: f64, power: f64) -> Result<f64, NotDefined> {
        let inside = power > 0.0 && power < 1.0; // NaN is not
        let quantile = inside
            .then(|| student_quantile(power, self.degrees))
            .ok_or(NotDefined::OutOfRange)?;
        Ok(self.reach(level)? + quantile)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEAN: CrossedMean = CrossedMean {
        value: 0.02,
        variance: 1e-4,
        seed_variance: 0.0,
        degrees: f64::INFINITY,
    };

    #[test]
    fn is_2_8_standard_errors_of_a_normal_difference() {
        let detectable = MEAN.detectable(0.95, POWER).unwrap();
        assert!((detectable - 0.01 * (1.959_963_984_540_054 + 0.841_621_233_572_914)).abs() < 1e-12);
        // Twice the images of a difference that is √2 times too small to be found.
        let hidden = CrossedMean {
            value: detectable / 2.0_f64.sqrt(),
            ..MEAN
        };
        assert!((599..=601).contains(&hidden.images_needed(300, 0.95, POWER).unwrap()));
    }

    #[test]
    fn images_do_not_make_up_for_seeds() {
        let spread = CrossedMean {
            seed_variance: 6e-5,
            ..MEAN
        };
        assert_eq!(
            spread.images_needed(300, 0.95, POWER),
            Err(NotDefined::OutOfRange)
        );
        let equal = CrossedMean { value: 0.0, ..MEAN };
        assert_eq!(equal.images_needed(300, 0.95, POWER), Err(NotDefined::OutOfRange));
        assert_eq!(MEAN.detectable(0.95, 1.0), Err(NotDefined::OutOfRange));
        assert_eq!(MEAN.detectable(1.0, 0.8), Err(NotDefined::OutOfRange));
    }
}
