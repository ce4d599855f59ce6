//! Training for boxes and masks: which point is to find which object, and the losses.

mod assign;
mod detection_loss;
mod segmentation_loss;

pub use assign::{Role, Target, assign};
pub use detection_loss::detection_loss;
pub use segmentation_loss::{IGNORED, segmentation_loss};
