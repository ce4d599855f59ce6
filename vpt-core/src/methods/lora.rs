//! LoRA: a learned update of low rank beside frozen linear layers (Hu et al. 2021, arXiv 2106.09685).
//!
//! `y = W x + b + (alpha / rank) · B A x` with `A` `[rank, inputs]` and `B` `[outputs, rank]`, which begins at zero. Names are
//! those of PEFT without its prefix `base_model.model.`: `blocks.0.attn.qkv.lora_A.weight`.

#![allow(non_snake_case, reason = "parameter names follow from field names")]

use burn::module::{Module, Param};
use burn::nn::Linear;
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

use super::added::{AddedTensor, Start};
use crate::vit::{Adapt, Site, VisionTransformer, VitConfig, linear};
use crate::{CoreError, ops};

/// A linear layer of a block that LoRA can update, by timm's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LoraTarget {
    /// Queries, keys and values; one update of rank `r` for the fused layer, as PEFT has it on timm's models.
    Qkv,
    /// The projection of the attention.
    Proj,
    /// The first layer of the MLP (of a gated one gates and values).
    Fc1,
    /// The second layer of the MLP.
    Fc2,
}

impl LoraTarget {
    /// All of them, in the order of a block.
    pub const ALL: [Self; 4] = [Self::Qkv, Self::Proj, Self::Fc1, Self::Fc2];

    /// timm's name within a block.
    pub fn path(self) -> &'static str {
        match self {
            Self::Qkv => "attn.qkv",
            Self::Proj => "attn.proj",
            Self::Fc1 => "mlp.fc1",
            Self::Fc2 => "mlp.fc2",
        }
    }

    /// Inputs and outputs of the layer in a block as `at` ([`VitConfig::at_block`]) describes it.
    fn widths(self, at: &VitConfig) -> [usize; 2] {
        let dim = at.embed_dim;
        match self {
            Self::Qkv => [dim, 3 * dim],
            Self::Proj => [dim, dim],
            Self::Fc1 => [dim, at.mlp_fc1()],
            Self::Fc2 => [at.mlp_hidden(), dim],
        }
    }
}

/// Options of LoRA.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LoraConfig {
    /// Rank `r` of each update.
    #[serde(rename = "lora_rank")]
    pub rank: usize,
    /// Numerator of the scale `alpha / rank`.
    #[serde(rename = "lora_alpha")]
    pub alpha: f64,
    /// The layers that are updated in every block.
    #[serde(rename = "lora_targets")]
    pub targets: Vec<LoraTarget>,
}

impl Default for LoraConfig {
    /// PEFT's rank and, as usual with it, twice the rank as alpha; the layers of the paper.
    fn default() -> Self {
        Self {
            rank: 8,
            alpha: 16.0,
            targets: vec![LoraTarget::Qkv],
        }
    }
}

impl LoraConfig {
    /// Rejects values that cannot be, for the given backbone if it is known.
    ///
    /// # Errors
    /// [`CoreError::Setting`] naming the option as a user types it.
    pub fn check(&self, vit: Option<&VitConfig>) -> Result<(), CoreError> {
        // More than the narrowest layer has would be no low rank, and a file could ask for any number.
        let most = vit.map_or(usize::MAX, |vit| vit.embed_dim);
        if !(1..=most).contains(&self.rank) {
            let expected = match vit {
                Some(_) => format!("1 to {most}, the width of the backbone"),
                None => "at least 1".to_owned(),
            };
            return Err(CoreError::setting("lora-rank", self.rank, &expected));
        }
        if !self.alpha.is_finite() || self.alpha <= 0.0 {
            return Err(CoreError::setting("lora-alpha", self.alpha, "a number above 0"));
        }
        if self.targets.is_empty() {
            let expected = "at least one of qkv, proj, fc1, fc2";
            return Err(CoreError::setting("lora-targets", "none", expected));
        }
        Ok(())
    }

    /// Inputs and outputs of the updated layers of a block as `at` describes it.
    pub fn layers(&self, at: &VitConfig) -> Vec<[usize; 2]> {
        self.updated().map(|target| target.widths(at)).collect()
    }

    /// The updated layers in the order of a block.
    fn updated(&self) -> impl Iterator<Item = LoraTarget> {
        let all = LoraTarget::ALL.into_iter();
        all.filter(|target| self.targets.contains(target))
    }

    /// What is added to a backbone: `rank · (inputs + outputs)` values for each updated layer.
    pub(super) fn added(&self, vit: &VitConfig) -> Vec<AddedTensor> {
        let mut tensors = Vec::new();
        for i in 0..vit.depth {
            let at = vit.at_block(i);
            for target in self.updated() {
                let [inputs, outputs] = target.widths(&at);
                let name = |part: &str| format!("blocks.{i}.{}.lora_{part}.weight", target.path());
                let start = Start::Kaiming { inputs };
                tensors.push(AddedTensor::new(name("A"), [self.rank, inputs], start));
                tensors.push(AddedTensor::new(name("B"), [outputs, self.rank], Start::Zero));
            }
        }
        tensors
    }
}

/// Whether the parameter is learned beside the head: the two factors of each update.
pub(super) fn tunes(name: &str) -> bool {
    name.ends_with(".lora_A.weight") || name.ends_with(".lora_B.weight")
}

/// The updates of all blocks.
#[derive(Module, Debug)]
pub struct Lora {
    /// One entry for each block.
    pub blocks: Vec<LoraBlock>,
    scale: f64,
}

/// The updates of one block.
#[derive(Module, Debug)]
pub struct LoraBlock {
    /// Those of its attention.
    pub attn: LoraAttention,
    /// Those of its MLP.
    pub mlp: LoraMlp,
}

/// The updates of an attention.
#[derive(Module, Debug)]
pub struct LoraAttention {
    /// Of queries, keys and values.
    pub qkv: Option<LoraLayer>,
    /// Of the projection.
    pub proj: Option<LoraLayer>,
}

/// The updates of an MLP.
#[derive(Module, Debug)]
pub struct LoraMlp {
    /// Of the first layer.
    pub fc1: Option<LoraLayer>,
    /// Of the second layer.
    pub fc2: Option<LoraLayer>,
}

/// The update of one layer; fields are named as in PEFT.
#[derive(Module, Debug)]
pub struct LoraLayer {
    /// `[inputs → rank]`.
    pub lora_A: Linear,
    /// `[rank → outputs]`.
    pub lora_B: Linear,
}

impl Lora {
    /// Updates whose values are to be loaded.
    pub fn new(config: &LoraConfig, vit: &VitConfig, device: &Device) -> Self {
        let block = |i: usize| {
            let at = vit.at_block(i);
            let layer = |target: LoraTarget| {
                let [inputs, outputs] = target.widths(&at);
                config.targets.contains(&target).then(|| LoraLayer {
                    lora_A: linear(inputs, config.rank, false, device),
                    lora_B: linear(config.rank, outputs, false, device),
                })
            };
            LoraBlock {
                attn: LoraAttention {
                    qkv: layer(LoraTarget::Qkv),
                    proj: layer(LoraTarget::Proj),
                },
                mlp: LoraMlp {
                    fc1: layer(LoraTarget::Fc1),
                    fc2: layer(LoraTarget::Fc2),
                },
            }
        };
        Self {
            blocks: (0..vit.depth).map(block).collect(),
            scale: config.alpha / config.rank as f64,
        }
    }
}

impl Lora {
    /// Adds the updates to the weights of the layers that they stand beside.
    pub(crate) fn fold_into(self, vit: &mut VisionTransformer) {
        for (of, block) in self.blocks.into_iter().zip(&mut vit.blocks) {
            let layers = [
                (of.attn.qkv, &mut block.attn.qkv),
                (of.attn.proj, &mut block.attn.proj),
                (of.mlp.fc1, &mut block.mlp.fc1),
                (of.mlp.fc2, &mut block.mlp.fc2),
            ];
            for (update, layer) in layers {
                if let Some(LoraLayer { lora_A, lora_B }) = update {
                    let update = lora_A.weight.val().matmul(lora_B.weight.val()) * self.scale;
                    layer.weight = Param::from_tensor(layer.weight.val() + update);
                }
            }
        }
    }
}

impl Adapt for Lora {
    fn adapt(&self, block: usize, site: Site, input: Tensor<3>, output: Tensor<3>) -> Tensor<3> {
        let LoraBlock { attn, mlp } = &self.blocks[block];
        let layer = match site {
            Site::Qkv => &attn.qkv,
            Site::Proj => &attn.proj,
            Site::Fc1 => &mlp.fc1,
            Site::Fc2 => &mlp.fc2,
            _ => return output,
        };
        match layer {
            // The scale is applied where there are the fewest values.
            Some(layer) => {
                output + ops::linear(ops::linear(input, &layer.lora_A) * self.scale, &layer.lora_B)
            }
            None => output,
        }
    }
}
