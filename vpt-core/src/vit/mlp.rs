//! The feed-forward half of a block.

use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::activation::{gelu_approximate, sigmoid, silu};
use burn::tensor::{Device, Tensor, s};

use super::{Activation, Hook, LayerNorm, Site, VitConfig, linear};
use crate::ops;

/// Two linear layers with an activation between them, timm's `Mlp`; gated, timm's `GluMlp` with the gate first
/// (`SwiGLUPacked`).
#[derive(Module, Debug)]
pub struct Mlp {
    /// `[D → hidden]`; gated `[D → 2 hidden]`, gates and values side by side.
    pub fc1: Linear,
    /// Before the second layer (EVA-02).
    pub norm: Option<LayerNorm>,
    /// `[hidden → D]`.
    pub fc2: Linear,
    #[module(skip)]
    act: Activation,
    gated: bool,
}

impl Mlp {
    /// An MLP whose parameters are to be loaded.
    pub fn new(config: &VitConfig, device: &Device) -> Self {
        let (dim, hidden) = (config.embed_dim, config.mlp_hidden());
        Self {
            fc1: linear(dim, config.mlp_fc1(), true, device),
            norm: config
                .mlp_norm
                .then(|| LayerNorm::new(hidden, config.norm_eps, device)),
            fc2: linear(hidden, dim, true, device),
            act: config.act,
            gated: config.gated_mlp,
        }
    }

    /// The activation.
    pub(crate) fn act(&self) -> Activation {
        self.act
    }

    /// Whether the first layer makes gates and values side by side.
    pub(crate) fn is_gated(&self) -> bool {
        self.gated
    }

    /// `[batch, tokens, D] → [batch, tokens, D]`.
    pub fn forward(&self, x: Tensor<3>, hook: Hook<'_>) -> Tensor<3> {
        let hidden = hook.around(Site::Fc1, x, |x| ops::linear(x, &self.fc1));
        let hidden = if self.gated {
            let [gate, value] = halves(hidden);
            self.act.forward(gate) * value
        } else {
            self.act.forward(hidden)
        };
        let hidden = match &self.norm {
            Some(norm) => norm.forward(hidden),
            None => hidden,
        };
        hook.around(Site::Fc2, hidden, |hidden| ops::linear(hidden, &self.fc2))
    }
}

impl Activation {
    /// Applies the activation to each element.
    pub fn forward<const R: usize>(self, x: Tensor<R>) -> Tensor<R> {
        match self {
            Self::Gelu => ops::gelu(x),
            Self::QuickGelu => x.clone() * sigmoid(x * 1.702),
            Self::GeluTanh => gelu_approximate(x),
            Self::Silu => silu(x),
        }
    }
}

/// `[batch, tokens, 2 W]` as two of `[batch, tokens, W]`.
fn halves(x: Tensor<3>) -> [Tensor<3>; 2] {
    let half = x.dims()[2] / 2;
    [x.clone().slice(s![.., .., ..half]), x.slice(s![.., .., half..])]
}
