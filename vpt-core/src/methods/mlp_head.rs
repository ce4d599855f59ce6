//! A head of several layers on frozen features (MLP-k of Jia et al. 2022): `k - 1` layers of the backbone's width with GELU
//! behind each, then the head.

use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::{Device, Tensor};

use super::added::{AddedTensor, Start};
use crate::ops;
use crate::vit::{VitConfig, linear};

/// Whether the parameter is learned beside the head: its hidden layers.
pub(super) fn tunes(name: &str) -> bool {
    name.starts_with("mlp_head.")
}

/// What is added to a backbone for a head of `layers` layers: `(layers - 1) · (D² + D)` values.
pub(super) fn added(layers: usize, vit: &VitConfig) -> Vec<AddedTensor> {
    let width = vit.num_features();
    let layer = |i: usize| {
        let start = Start::Kaiming { inputs: width };
        let weight = AddedTensor::new(format!("mlp_head.{i}.weight"), [width, width], start);
        [
            weight,
            AddedTensor::new(format!("mlp_head.{i}.bias"), [width], Start::Zero),
        ]
    };
    (0..layers.saturating_sub(1)).flat_map(layer).collect()
}

/// The layers between what is pooled and the head.
#[derive(Module, Debug)]
pub struct MlpHead {
    /// Layers `[D → D]`.
    pub mlp_head: Vec<Linear>,
}

impl MlpHead {
    /// The hidden layers of a head of `layers` layers, whose values are to be loaded.
    pub fn new(layers: usize, vit: &VitConfig, device: &Device) -> Self {
        let width = vit.num_features();
        Self {
            mlp_head: (1..layers).map(|_| linear(width, width, true, device)).collect(),
        }
    }

    /// `[batch, D] → [batch, D]`.
    pub fn forward(&self, pooled: Tensor<2>) -> Tensor<2> {
        let layer = |x, layer: &Linear| ops::gelu(ops::linear(x, layer));
        self.mlp_head.iter().fold(pooled, layer)
    }
}
