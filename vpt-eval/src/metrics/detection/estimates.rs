//! Intervals of AP and AR over images.

use super::CocoMatches;
use crate::bootstrap::centred_estimates;
use crate::statistics::Draws;
use crate::{Bootstrap, Estimate};

/// COCO's main numbers with their intervals, all from the same resamples.
#[derive(Debug, Clone, PartialEq)]
pub struct CocoEstimates {
    /// Mean AP over the classes and IoU thresholds.
    pub ap: Estimate,
    /// AP at IoU 0.5.
    pub ap50: Estimate,
    /// AP at IoU 0.75.
    pub ap75: Estimate,
    /// Mean recall with a hundred detections.
    pub ar100: Estimate,
    /// AP of each class; without a value for a class without truth.
    pub ap_per_class: Vec<Estimate>,
}

impl CocoMatches {
    /// The numbers on the images as they are, with intervals from resamples of what `draws` holds together. Nothing is
    /// matched again. A class without truth in a resample is left out of its means.
    /// Intervals are those of [`centred_estimates`]: they speak of test sets of this size, whose AP is higher the fewer images
    /// they have, because interpolation takes the best precision.
    pub fn estimates(&self, draws: &Draws, options: &Bootstrap) -> CocoEstimates {
        let values = |weights: &[u32]| -> Vec<Option<f64>> {
            let coco = self.evaluate_all_sizes(weights);
            let main = [coco.ap, coco.ap50, coco.ap75, coco.ar100];
            let per_class = coco.per_class.iter().map(|class| class.map(|class| class.ap));
            main.into_iter().chain(per_class).collect()
        };
        let mut estimates = centred_estimates(draws, options, values).into_iter();
        let mut next = || estimates.next().unwrap_or_default();
        CocoEstimates {
            ap: next(),
            ap50: next(),
            ap75: next(),
            ar100: next(),
            ap_per_class: estimates.collect(),
        }
    }
}
