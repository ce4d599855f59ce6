//! Overlap of predicted and true pixels, from their counts: Jaccard's index (IoU) and Dice's.

use crate::metrics::confusion::{ClassCounts, ratio};
use crate::metrics::mean_of_defined;

/// Intersection over union of a class; `None` where no pixel is of it or taken for it.
pub fn iou(counts: &ClassCounts, class: usize) -> Option<f64> {
    let union = counts.actual[class] + counts.predicted[class] - counts.hits[class];
    ratio(counts.hits[class], union)
}

/// Twice the intersection over the sum of both areas; `None` where [`iou`] is.
pub fn dice(counts: &ClassCounts, class: usize) -> Option<f64> {
    let both = counts.actual[class] + counts.predicted[class];
    ratio(2 * counts.hits[class], both)
}

/// Mean IoU over the classes that have one.
pub fn mean_iou(counts: &ClassCounts) -> Option<f64> {
    mean_of_defined((0..counts.num_classes()).map(|class| iou(counts, class)))
}

/// Mean Dice over the classes that have one.
pub fn mean_dice(counts: &ClassCounts) -> Option<f64> {
    mean_of_defined((0..counts.num_classes()).map(|class| dice(counts, class)))
}

/// Share of pixels whose class is right.
pub fn pixel_accuracy(counts: &ClassCounts) -> Option<f64> {
    ratio(counts.hits.iter().sum(), counts.total)
}

/// Mean recall over the classes that have a pixel.
pub fn mean_class_accuracy(counts: &ClassCounts) -> Option<f64> {
    mean_of_defined((0..counts.num_classes()).map(|class| counts.recall(class)))
}

/// Mean IoU over the classes, each weighted by its share of the pixels.
pub fn frequency_weighted_iou(counts: &ClassCounts) -> Option<f64> {
    let weighted = |class: usize| Some(iou(counts, class)? * counts.actual[class] as f64);
    let sum: f64 = (0..counts.num_classes()).filter_map(weighted).sum();
    (counts.total > 0).then(|| sum / counts.total as f64)
}
