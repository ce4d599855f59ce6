//! [`Bottleneck`]: two linear layers with few channels between them, what adapters are made of.

use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

use super::added::{AddedTensor, Start};
use crate::vit::{VitConfig, linear};
use crate::{CoreError, ops};

/// Options of the adapters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdapterConfig {
    /// Channels between the two layers.
    #[serde(rename = "adapter_dim")]
    pub dim: usize,
}

impl Default for AdapterConfig {
    /// The width that both papers use most.
    fn default() -> Self {
        Self { dim: 64 }
    }
}

impl AdapterConfig {
    /// Rejects values that cannot be, for the given backbone if it is known.
    ///
    /// # Errors
    /// [`CoreError::Setting`] naming the option as a user types it.
    pub fn check(&self, vit: Option<&VitConfig>) -> Result<(), CoreError> {
        // Wider than an MLP is no bottleneck, and a file could ask for any number.
        let most = vit.map_or(usize::MAX, |vit| 4 * vit.num_features());
        if (1..=most).contains(&self.dim) {
            return Ok(());
        }
        let expected = match vit {
            Some(_) => format!("1 to {most}, four times the width of the backbone"),
            None => "at least 1".to_owned(),
        };
        Err(CoreError::setting("adapter-dim", self.dim, &expected))
    }

    /// What a bottleneck called `name` adds to tokens of `width` channels: `2 · width · dim + dim + width` values. The first
    /// layer starts at random, so that the second, which starts at zero, gets a gradient.
    pub(super) fn added(self, name: &str, width: usize) -> [AddedTensor; 4] {
        let tensor =
            |part: &str, shape: &[usize], start| AddedTensor::new(format!("{name}.{part}"), shape, start);
        [
            tensor(
                "down_proj.weight",
                &[self.dim, width],
                Start::Kaiming { inputs: width },
            ),
            tensor("down_proj.bias", &[self.dim], Start::Zero),
            tensor("up_proj.weight", &[width, self.dim], Start::Zero),
            tensor("up_proj.bias", &[width], Start::Zero),
        ]
    }
}

/// `up(act(down(x)))`; fields are named as in AdaptFormer's code.
#[derive(Module, Debug)]
pub struct Bottleneck {
    /// `[D → dim]`.
    pub down_proj: Linear,
    /// `[dim → D]`.
    pub up_proj: Linear,
}

impl Bottleneck {
    /// A bottleneck for tokens of `width` channels whose values are to be loaded.
    pub fn new(config: AdapterConfig, width: usize, device: &Device) -> Self {
        Self {
            down_proj: linear(width, config.dim, true, device),
            up_proj: linear(config.dim, width, true, device),
        }
    }

    /// `[batch, tokens, D] → [batch, tokens, D]`.
    pub fn forward(&self, x: Tensor<3>, act: impl FnOnce(Tensor<3>) -> Tensor<3>) -> Tensor<3> {
        ops::linear(act(ops::linear(x, &self.down_proj)), &self.up_proj)
    }
}
