//! AdaptFormer: a bottleneck beside the MLP (Chen et al. 2022, arXiv 2205.13535).
//!
//! `x + mlp(norm2(x)) + 0.1 · up(relu(down(x)))`, the scale being the paper's. With LayerScale the bottleneck stands beside the
//! scaled MLP. Names are those of the official code: `blocks.0.adaptmlp.down_proj.weight`.

use burn::module::Module;
use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor};

use super::added::AddedTensor;
use super::bottleneck::{AdapterConfig, Bottleneck};
use crate::vit::{Adapt, Site, VitConfig};

/// Factor of the bottleneck's output.
pub(crate) const SCALE: f64 = 0.1;

/// Whether the parameter is learned beside the head: the bottlenecks.
pub(super) fn tunes(name: &str) -> bool {
    name.contains(".adaptmlp.")
}

/// What is added to a backbone: a bottleneck for each block.
pub(super) fn added(config: AdapterConfig, vit: &VitConfig) -> Vec<AddedTensor> {
    let block = |i: usize| config.added(&format!("blocks.{i}.adaptmlp"), vit.at_block(i).embed_dim);
    (0..vit.depth).flat_map(block).collect()
}

/// The bottlenecks of all blocks.
#[derive(Module, Debug)]
pub struct AdaptFormer {
    /// One entry for each block.
    pub blocks: Vec<AdaptFormerBlock>,
}

/// The bottleneck of one block.
#[derive(Module, Debug)]
pub struct AdaptFormerBlock {
    /// Beside the MLP.
    pub adaptmlp: Bottleneck,
}

impl AdaptFormer {
    /// Bottlenecks whose values are to be loaded.
    pub fn new(config: AdapterConfig, vit: &VitConfig, device: &Device) -> Self {
        let block = |i: usize| AdaptFormerBlock {
            adaptmlp: Bottleneck::new(config, vit.at_block(i).embed_dim, device),
        };
        Self {
            blocks: (0..vit.depth).map(block).collect(),
        }
    }
}

impl Adapt for AdaptFormer {
    fn adapt(&self, block: usize, site: Site, input: Tensor<3>, output: Tensor<3>) -> Tensor<3> {
        match site {
            Site::Mlp => output + self.blocks[block].adaptmlp.forward(input, relu) * SCALE,
            _ => output,
        }
    }
}
