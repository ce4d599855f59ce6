//! The Vision Transformer, in timm's layout and names.

mod attention;
mod attention_pool;
mod block;
mod config;
mod drop_path;
mod hook;
mod layer_norm;
mod layer_scale;
mod mlp;
mod patch_embed;
mod patch_merging;
mod pos_embed;
mod readout;
mod relative_position;
mod rotary;
mod swin;
mod tokens_at;
mod vision_transformer;
mod windows;

use burn::module::{Initializer, Param};
use burn::nn::{Linear, LinearConfig};
use burn::tensor::{Device, Tensor};

pub use attention::{Attention, FoldedPrompts, Positions};
pub use attention_pool::AttentionPool;
pub use block::{Block, BlockOptions};
pub use config::{Activation, GlobalPool, Rope, VitConfig};
pub use drop_path::DropPath;
pub(crate) use drop_path::inverted_dropout;
pub use hook::{Adapt, Hook, Site};
pub use layer_norm::LayerNorm;
pub use layer_scale::LayerScale;
pub use mlp::Mlp;
pub use patch_embed::PatchEmbed;
pub use patch_merging::PatchMerging;
pub use pos_embed::{PosEmbedResampling, resample_pos_embed};
pub use readout::Readout;
pub use relative_position::{RelativePosition, resample_bias_table};
pub use rotary::Rotary;
pub use swin::{Swin, WindowGrid};
pub use tokens_at::TokensAt;
pub use vision_transformer::{DropPathFactors, VisionTransformer};
pub use windows::Windows;

/// A parameter that holds no memory until it is loaded.
pub(crate) fn placeholder<const R: usize>(shape: [usize; R], device: &Device) -> Param<Tensor<R>> {
    Initializer::Zeros.init(shape, device)
}

/// A linear layer whose parameters hold no memory until they are loaded.
pub(crate) fn linear(input: usize, output: usize, bias: bool, device: &Device) -> Linear {
    LinearConfig::new(input, output)
        .with_bias(bias)
        .with_initializer(Initializer::Zeros)
        .init(device)
}
