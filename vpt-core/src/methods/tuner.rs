//! [`Tuner`]: the parameters that a method adds to the backbone.

use std::collections::BTreeMap;

use burn::module::Module;
use burn::tensor::{Device, Tensor};

use super::added::AddedTensor;
use super::{
    AdaptFormer, Adapters, Lora, MethodConfig, MethodKind, MlpHead, Ssf, adapter, adaptformer, lora,
    mlp_head, ssf, vpt,
};
use crate::HostTensor;
use crate::prompts::Prompts;
use crate::vit::{Hook, VitConfig};

/// Parameters that a tuning method adds to the backbone.
#[derive(Module, Debug)]
pub enum Tuner {
    /// Visual prompts.
    Prompts(Prompts),
    /// Updates of low rank.
    Lora(Lora),
    /// Bottlenecks behind both halves of each block.
    Adapter(Adapters),
    /// Bottlenecks beside the MLPs.
    Adaptformer(AdaptFormer),
    /// Scales and shifts.
    Ssf(Ssf),
    /// Hidden layers of the head.
    Mlp(MlpHead),
}

impl Tuner {
    /// What `method` adds, with values to be loaded; none for methods that change the backbone's own parameters.
    pub fn new(method: &MethodConfig, vit: &VitConfig, device: &Device) -> Option<Self> {
        if let Some(prompts) = &method.prompts {
            return Some(Self::Prompts(Prompts::new(prompts, vit, device)));
        }
        if let Some(config) = &method.lora {
            return Some(Self::Lora(Lora::new(config, vit, device)));
        }
        match (method.kind, method.adapter) {
            (MethodKind::Adapter, Some(config)) => Some(Self::Adapter(Adapters::new(config, vit, device))),
            (MethodKind::Adaptformer, Some(config)) => {
                Some(Self::Adaptformer(AdaptFormer::new(config, vit, device)))
            }
            (MethodKind::Ssf, _) => Some(Self::Ssf(Ssf::new(vit, device))),
            (MethodKind::Mlp, _) => Some(Self::Mlp(MlpHead::new(method.mlp_layers, vit, device))),
            _ => None,
        }
    }

    /// How it takes part in the blocks' operations.
    pub fn hook(&self) -> Hook<'_> {
        match self {
            Self::Prompts(_) | Self::Mlp(_) => Hook::none(),
            Self::Lora(lora) => Hook::of(lora),
            Self::Adapter(adapters) => Hook::of(adapters),
            Self::Adaptformer(adaptformer) => Hook::of(adaptformer),
            Self::Ssf(ssf) => Hook::of(ssf),
        }
    }

    /// What the last layer of the head reads of what was pooled, `[batch, D] → [batch, D]`.
    pub fn before_head(&self, pooled: Tensor<2>) -> Tensor<2> {
        match self {
            Self::Mlp(head) => head.forward(pooled),
            _ => pooled,
        }
    }
}

impl MethodConfig {
    /// Initial values of the parameters that the method adds to a backbone, by task-file name, as a function of `seed`.
    pub fn initial_tensors(&self, vit: &VitConfig, seed: u64) -> BTreeMap<String, HostTensor> {
        match &self.prompts {
            Some(prompts) => Prompts::initial_tensors(prompts, vit, seed),
            None => AddedTensor::initial(self.added(vit), seed),
        }
    }

    /// Number of values that the method adds to a backbone, by its paper's formula.
    pub fn num_added(&self, vit: &VitConfig) -> usize {
        match &self.prompts {
            Some(prompts) => prompts.num_params(vit),
            None => self.added(vit).iter().map(AddedTensor::numel).sum(),
        }
    }

    fn added(&self, vit: &VitConfig) -> Vec<AddedTensor> {
        match (self.kind, &self.lora, self.adapter) {
            (MethodKind::Lora, Some(config), _) => config.added(vit),
            (MethodKind::Adapter, _, Some(config)) => adapter::added(config, vit),
            (MethodKind::Adaptformer, _, Some(config)) => adaptformer::added(config, vit),
            (MethodKind::Ssf, ..) => ssf::added(vit),
            (MethodKind::Mlp, ..) => mlp_head::added(self.mlp_layers, vit),
            _ => Vec::new(),
        }
    }
}

/// Whether a parameter was added by a method, and so is no part of the backbone.
pub fn is_added(name: &str) -> bool {
    vpt::tunes(name)
        || lora::tunes(name)
        || adapter::tunes(name)
        || adaptformer::tunes(name)
        || ssf::tunes(name)
        || mlp_head::tunes(name)
}
