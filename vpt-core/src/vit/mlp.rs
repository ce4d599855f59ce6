//! The feed-forward half of a block.

use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::activation::{gelu_approximate, sigmoid};
use burn::tensor::{Device, Tensor};

use super::{Activation, VitConfig, linear};
use crate::ops;

/// Two linear layers with an activation between them, timm's `Mlp`.
#[derive(Module, Debug)]
pub struct Mlp {
    /// `[D → hidden]`.
    pub fc1: Linear,
    /// `[hidden → D]`.
    pub fc2: Linear,
    #[module(skip)]
    act: Activation,
}

impl Mlp {
    /// An MLP whose parameters are to be loaded.
    pub fn new(config: &VitConfig, device: &Device) -> Self {
        let (dim, hidden) = (config.embed_dim, config.mlp_hidden());
        Self {
            fc1: linear(dim, hidden, true, device),
            fc2: linear(hidden, dim, true, device),
            act: config.act,
        }
    }

    /// `[batch, tokens, D] → [batch, tokens, D]`.
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        ops::linear(self.act.forward(ops::linear(x, &self.fc1)), &self.fc2)
    }
}

impl Activation {
    /// Applies the activation to each element.
    pub fn forward<const R: usize>(self, x: Tensor<R>) -> Tensor<R> {
        match self {
            Self::Gelu => ops::gelu(x),
            Self::QuickGelu => x.clone() * sigmoid(x * 1.702),
            Self::GeluTanh => gelu_approximate(x),
        }
    }
}
