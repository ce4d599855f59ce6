//! Segmentation: masks of class indices against true masks, as pure functions over arrays.
//!
//! | number | where |
//! |---|---|
//! | IoU, Dice, pixel accuracy, their means | [`iou`], [`dice`], … on the [`ClassCounts`] of [`SegmentationScores::counts`] |
//! | boundary F1 and Hausdorff distance 95 | [`ContourScores`] |
//!
//! Overlap is that of all pixels of all images together (one confusion matrix), contours are measured in each image and
//! averaged over images.
//!
//! # Degenerate input
//! | input | answer |
//! |---|---|
//! | a pixel whose truth is the ignored index | counts nowhere, whatever is predicted there |
//! | masks of different size, an index that is no class (elsewhere) | an error that names the pixel |
//! | no image, all weights 0, or nothing but ignored pixels | `None` |
//! | a class in neither truth nor prediction | its IoU and Dice are `None`, and it is left out of means |
//! | a class that is only predicted, or only true | IoU and Dice 0, counted in means; left out of the mean class accuracy if only predicted |
//! | a class in one of the two masks of an image | boundary F1 0 there; no Hausdorff distance ([`ContourScores::one_sided`]) |
//! | a class in neither mask of an image | the image has no contour of the class and is left out |

mod boundary;
mod contours;
mod distance_transform;
mod overlap;
mod pixel_counts;

pub use boundary::{boundary, default_tolerance};
pub use contours::{ContourScores, contour_scores};
pub use distance_transform::squared_distances;
pub use overlap::{
    dice, frequency_weighted_iou, iou, mean_class_accuracy, mean_dice, mean_iou, pixel_accuracy,
};
pub use pixel_counts::{ImageMasks, SegmentationScores};

#[cfg(doc)]
use crate::metrics::confusion::ClassCounts;

/// The index that most data sets give to pixels which do not count.
pub const IGNORED: u32 = vpt_data::Mask::IGNORED as u32;
