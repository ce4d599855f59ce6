//! All numbers of a segmentation with their intervals over images.

use super::{
    SegmentationScores, dice, frequency_weighted_iou, iou, mean_class_accuracy, mean_dice, mean_iou,
    pixel_accuracy,
};
use crate::bootstrap::resampled_estimates;
use crate::metrics::mean_of_defined;
use crate::statistics::Draws;
use crate::{Bootstrap, Estimate};

/// Numbers of all classes together, and of each.
#[derive(Debug, Clone, PartialEq)]
pub struct SegmentationEstimates {
    /// Mean IoU over the classes.
    pub miou: Estimate,
    /// Mean Dice over the classes.
    pub dice: Estimate,
    /// Share of pixels whose class is right.
    pub pixel_accuracy: Estimate,
    /// Mean recall over the classes.
    pub class_accuracy: Estimate,
    /// IoU weighted by the classes' pixels.
    pub frequency_weighted_iou: Estimate,
    /// Mean boundary F1 over the classes; without a value where contours were not measured.
    pub boundary_f1: Estimate,
    /// Mean Hausdorff distance 95 over the classes, in pixels.
    pub hausdorff95: Estimate,
    /// One entry per class.
    pub per_class: Vec<ClassEstimates>,
}

/// Numbers of a class.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ClassEstimates {
    /// Intersection over union.
    pub iou: Estimate,
    /// Dice.
    pub dice: Estimate,
    /// Mean boundary F1 over the images that have the class in truth or prediction.
    pub boundary_f1: Estimate,
    /// Mean Hausdorff distance 95 over the images that have the class in both, in pixels.
    pub hausdorff95: Estimate,
    /// Images that have the class in truth or prediction only: they have no Hausdorff distance.
    pub one_sided: usize,
}

const MAIN: usize = 7;
const OF_CLASS: usize = 4;

impl SegmentationScores {
    /// The numbers on the images as they are, with intervals from resamples of what `draws` holds together, all from the same
    /// resamples. No pixel is looked at again.
    pub fn estimates(&self, draws: &Draws, options: &Bootstrap) -> SegmentationEstimates {
        let estimates = resampled_estimates(draws, options, |weights| self.values(weights));
        let (main, per_class) = estimates.split_at(MAIN.min(estimates.len()));
        let of = |i: usize| main.get(i).copied().unwrap_or_default();
        let of_class = |(class, row): (usize, &[Estimate])| ClassEstimates {
            iou: row[0],
            dice: row[1],
            boundary_f1: row[2],
            hausdorff95: row[3],
            one_sided: self.one_sided(class),
        };
        SegmentationEstimates {
            miou: of(0),
            dice: of(1),
            pixel_accuracy: of(2),
            class_accuracy: of(3),
            frequency_weighted_iou: of(4),
            boundary_f1: of(5),
            hausdorff95: of(6),
            per_class: per_class
                .chunks_exact(OF_CLASS)
                .enumerate()
                .map(of_class)
                .collect(),
        }
    }

    /// Seven numbers, then four of each class.
    fn values(&self, weights: &[u32]) -> Vec<Option<f64>> {
        let counts = self.counts(weights);
        let classes = 0..self.num_classes();
        let contours: Vec<_> = classes
            .clone()
            .map(|class| self.mean_contours(class, weights))
            .collect();
        let main: [Option<f64>; MAIN] = [
            mean_iou(&counts),
            mean_dice(&counts),
            pixel_accuracy(&counts),
            mean_class_accuracy(&counts),
            frequency_weighted_iou(&counts),
            mean_of_defined(contours.iter().map(|of_class| of_class.0)),
            mean_of_defined(contours.iter().map(|of_class| of_class.1)),
        ];
        let of_class = |class: usize| -> [Option<f64>; OF_CLASS] {
            let (boundary_f1, hausdorff95) = contours[class];
            [
                iou(&counts, class),
                dice(&counts, class),
                boundary_f1,
                hausdorff95,
            ]
        };
        main.into_iter().chain(classes.flat_map(of_class)).collect()
    }

    fn one_sided(&self, class: usize) -> usize {
        let has = |scores: Option<&super::ContourScores>| scores.is_some_and(|scores| scores.one_sided);
        let images = self.images().iter();
        images.filter(|image| has(image.contours().get(class))).count()
    }
}
