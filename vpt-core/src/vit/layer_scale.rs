//! Learned scale of a residual branch.

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};

use super::placeholder;

/// Multiplies each channel of a residual branch by a learned factor (CaiT; timm's `LayerScale`).
#[derive(Module, Debug)]
pub struct LayerScale {
    /// Factors `[D]`.
    pub gamma: Param<Tensor<1>>,
}

impl LayerScale {
    /// A scale of width `dim` whose factors are to be loaded.
    pub fn new(dim: usize, device: &Device) -> Self {
        Self {
            gamma: placeholder([dim], device),
        }
    }

    /// `[batch, tokens, D] → [batch, tokens, D]`.
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        x * self.gamma.val().unsqueeze::<3>()
    }
}
