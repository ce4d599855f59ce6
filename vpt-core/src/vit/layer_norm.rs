//! Layer normalisation over the last axis.

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};

use super::placeholder;
use crate::ops::layer_norm;

/// `(x - mean) / sqrt(variance + eps) · weight + bias` over the last axis, `torch.nn.LayerNorm`.
#[derive(Module, Debug)]
pub struct LayerNorm {
    /// Scale `[D]`.
    pub weight: Param<Tensor<1>>,
    /// Shift `[D]`.
    pub bias: Param<Tensor<1>>,
    eps: f64,
}

impl LayerNorm {
    /// A layer of width `dim` whose parameters are to be loaded.
    pub fn new(dim: usize, eps: f64, device: &Device) -> Self {
        Self {
            weight: placeholder([dim], device),
            bias: placeholder([dim], device),
            eps,
        }
    }

    /// What is added to the variance.
    pub(crate) fn eps(&self) -> f64 {
        self.eps
    }

    /// `[..., D] → [..., D]`.
    pub fn forward<const R: usize>(&self, x: Tensor<R>) -> Tensor<R> {
        layer_norm(x, self.weight.val(), self.bias.val(), self.eps)
    }
}
