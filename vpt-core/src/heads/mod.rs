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

    /// Its parameters and how they start.
    pub(crate) fn added(config: &HeadConfig, inputs: usize, num_classes: usize) -> Vec<AddedTensor> {
        match *config {
            HeadConfig::Linear => config::linear_tensors("head", inputs, num_classes, config::HEAD_START),
            HeadConfig::Detection { width } => detection::added(inputs, width, num_classes),
            HeadConfig::Segmentation { decoder } => segmentation::added(inputs, decoder, num_classes),
        }
    }
}
