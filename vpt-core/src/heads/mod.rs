//! Heads: what makes of a backbone's tokens the answer to a task.
//!
//! A head knows how many channels the tokens have and nothing else of the backbone; methods do not know which head they serve.

mod config;
mod detection;
mod maps;
mod pyramid;
mod segmentation;
mod suppression;

pub use config::{HeadConfig, SegmentationDecoder};
pub use detection::{DetectionHead, DetectionOutput, Point};
pub use segmentation::SegmentationHead;
pub use suppression::{FoundObject, Suppression};

pub(crate) use maps::weights as interpolation;
pub(crate) use pyramid::grids;

use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::Device;

use crate::methods::AddedTensor;
use crate::vit::linear;

/// The head of a model. Its parameters are called `head.…` in task files.
#[derive(Module, Debug)]
#[allow(clippy::large_enum_variant, reason = "a model has one head")]
pub enum Head {
    /// Logits of an image: one linear layer `[D → classes]` on what was pooled.
    Linear(Linear),
    /// Boxes.
    Detection(DetectionHead),
    /// A class for every pixel.
    Segmentation(SegmentationHead),
}

impl Head {
    /// A head on `inputs` channels whose parameters are to be loaded.
    pub fn new(config: &HeadConfig, inputs: usize, num_classes: usize, device: &Device) -> Self {
        match *config {
            HeadConfig::Linear => Self::Linear(linear(inputs, num_classes, true, device)),
            HeadConfig::Detection { width } => {
                Self::Detection(DetectionHead::new(inputs, width, num_classes, device))
            }
            HeadConfig::Segmentation { decoder } => {
                Self::Segmentation(SegmentationHead::new(inputs, decoder, num_classes, device))
            }
        }
    }

    /// Number of classes that it tells apart.
    pub fn num_classes(&self) -> usize {
        self.last().weight.lazy_shape()[1]
    }

    /// The layer whose outputs are the classes.
    pub fn last(&self) -> &Linear {
        match self {
            Self::Linear(last) => last,
            Self::Detection(head) => &head.cls,
            Self::Segmentation(head) => &head.cls,
        }
    }

    /// Multiply-adds of a head that reads a map of `grid` (`[h, w]`) with `inputs` channels; one that reads what is pooled needs next to none.
    pub fn macs(config: &HeadConfig, grid: [usize; 2], inputs: usize, num_classes: usize) -> u128 {
        match *config {
            HeadConfig::Linear => (inputs * num_classes) as u128,
            HeadConfig::Detection { width } => detection::macs(grid, inputs, width, num_classes),
            HeadConfig::Segmentation { decoder } => segmentation::macs(grid, inputs, decoder, num_classes),
        }
    }

    /// Its parameters and how they start.
    pub(crate) fn added(config: &HeadConfig, inputs: usize, num_classes: usize) -> Vec<AddedTensor> {
        match *config {
            HeadConfig::Linear => config::linear_tensors("head", inputs, num_classes, config::HEAD_START),
            HeadConfig::Detection { width } => detection::added(inputs, width, num_classes),
            HeadConfig::Segmentation { decoder } => segmentation::added(inputs, decoder, num_classes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each layer at each of its places, from the parameters of the head.
    #[test]
    fn multiply_adds_are_weights_times_places() {
        for config in [
            HeadConfig::Linear,
            HeadConfig::detection(Some(8)),
            HeadConfig::segmentation(Some(0), 8),
            HeadConfig::segmentation(Some(32), 8),
        ] {
            // Maps of 8 × 12, 4 × 6, 2 × 3 and 1 × 2; a decoder's of 4 × 6, 8 × 12 and 16 × 24.
            let places = |name: &str| -> usize {
                let levels = [96, 24, 6, 2];
                let level = |place: usize| name.contains(&format!(".{place}."));
                match (&config, name) {
                    (HeadConfig::Linear, _) => 1,
                    (HeadConfig::Detection { .. }, name) if name.contains("smooth") => {
                        (0..4).filter(|&at| level(at)).map(|at| levels[at]).sum()
                    }
                    (_, name) if name.contains("coarser") => levels[2 + usize::from(level(1))],
                    (_, name) if name.contains("reduce") || name.contains("finer") => 24,
                    (HeadConfig::Detection { .. }, _) => 128,
                    (_, name) if name.contains("up.") => 24 << (2 * usize::from(level(1))),
                    (_, name) if name.contains("conv.") => 96 << (2 * usize::from(level(1))),
                    (config, _) if *config == HeadConfig::segmentation(Some(0), 8) => 24,
                    _ => 16 * 24,
                }
            };
            let expected: usize = Head::added(&config, 12, 3)
                .iter()
                .filter(|tensor| tensor.shape.len() == 2)
                .map(|tensor| tensor.shape.iter().product::<usize>() * places(&tensor.name))
                .sum();
            assert_eq!(Head::macs(&config, [4, 6], 12, 3), expected as u128, "{config:?}");
        }
    }
}
