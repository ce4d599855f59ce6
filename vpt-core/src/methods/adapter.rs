//! Adapters behind both halves of a block (Houlsby et al. 2019, arXiv 1902.00751): `h + up(gelu(down(h)))`, where `h` is what
//! the half would add to the tokens, behind LayerScale where there is one.

use burn::module::Module;
use burn::tensor::{Device, Tensor};

use super::added::AddedTensor;
use super::bottleneck::{AdapterConfig, Bottleneck};
use crate::ops;
use crate::vit::{Adapt, Site, VitConfig};

/// Whether the parameter is learned beside the head: the adapters.
pub(super) fn tunes(name: &str) -> bool {
    name.contains(".adapter_attn.") || name.contains(".adapter_mlp.")
}

/// What is added to a backbone: two bottlenecks for each block.
pub(super) fn added(config: AdapterConfig, vit: &VitConfig) -> Vec<AddedTensor> {
    let block = |i: usize| {
        let width = vit.at_block(i).embed_dim;
        ["attn", "mlp"].map(|half| config.added(&format!("blocks.{i}.adapter_{half}"), width))
    };
    (0..vit.depth).flat_map(block).flatten().collect()
}

/// The adapters of all blocks.
#[derive(Module, Debug)]
pub struct Adapters {
    /// One entry for each block.
    pub blocks: Vec<AdapterBlock>,
}

/// The adapters of one block.
#[derive(Module, Debug)]
pub struct AdapterBlock {
    /// Behind the attention.
    pub adapter_attn: Bottleneck,
    /// Behind the MLP.
    pub adapter_mlp: Bottleneck,
}

impl Adapters {
    /// Adapters whose values are to be loaded.
    pub fn new(config: AdapterConfig, vit: &VitConfig, device: &Device) -> Self {
        let block = |i: usize| {
            let bottleneck = || Bottleneck::new(config, vit.at_block(i).embed_dim, device);
            AdapterBlock {
                adapter_attn: bottleneck(),
                adapter_mlp: bottleneck(),
            }
        };
        Self {
            blocks: (0..vit.depth).map(block).collect(),
        }
    }
}

impl Adapt for Adapters {
    fn adapt(&self, block: usize, site: Site, _input: Tensor<3>, output: Tensor<3>) -> Tensor<3> {
        let adapter = match site {
            Site::Attn => &self.blocks[block].adapter_attn,
            Site::Mlp => &self.blocks[block].adapter_mlp,
            _ => return output,
        };
        output.clone() + adapter.forward(output, ops::gelu)
    }
}
