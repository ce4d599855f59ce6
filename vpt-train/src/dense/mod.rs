//! Training for boxes and masks: which point is to find which object, and the losses.

mod assign;
mod detection_loss;
mod segmentation_loss;

pub use assign::{Role, Target, assign};
pub use detection_loss::detection_loss;
pub use segmentation_loss::segmentation_loss;

use burn::tensor::Tensor;
use vpt_core::heads::Point;
use vpt_data::{Framed, Mask, Places};
use vpt_eval::PlaceOutput;

/// The loss of what a head says of a batch, times the number of its images; `points` are those of a detection head.
pub fn place_loss(output: PlaceOutput, points: &[Point], framed: &[Framed]) -> Tensor<1> {
    match output {
        PlaceOutput::Objects(output) => {
            let objects: Vec<Vec<Target>> = framed.iter().map(|framed| targets(&framed.places)).collect();
            detection_loss(output, points, &objects)
        }
        PlaceOutput::Masks(logits) => {
            let [_, height, width, _] = logits.dims();
            let mask = |framed: &Framed| match &framed.places {
                Places::Mask(mask) => mask.clone(),
                _ => vec![Mask::IGNORED; height * width],
            };
            let masks: Vec<u8> = framed.iter().flat_map(mask).collect();
            segmentation_loss(logits, &masks)
        }
    }
}

fn targets(places: &Places) -> Vec<Target> {
    match places {
        Places::Objects(objects) => objects
            .iter()
            .map(|object| Target {
                class: object.class,
                bbox: object.bbox,
            })
            .collect(),
        _ => Vec::new(),
    }
}
