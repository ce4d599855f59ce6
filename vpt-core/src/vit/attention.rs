//! Multi-head self-attention.

use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::{Device, Tensor};

use super::{LayerNorm, Rotary, VitConfig, linear};
use crate::ops;

/// Multi-head self-attention with one fused query/key/value product, timm's `Attention`.
///
/// Two economies, both exact: prompts can take part as keys and values only (they are projected once on
/// `[P, D]` and shared by the batch), and queries can be limited to the first rows.
#[derive(Module, Debug)]
pub struct Attention {
    /// Queries, keys and values of all heads, `[D → 3 D]`.
    pub qkv: Linear,
    /// Before the projection (EVA-02's CLIP towers).
    pub norm: Option<LayerNorm>,
    /// Output projection `[D → D]`.
    pub proj: Linear,
    /// Turns queries and keys of the patches; prompts have no place in the image and are not turned.
    rope: Option<Rotary>,
    num_heads: usize,
}

impl Attention {
    /// An attention whose parameters are to be loaded.
    pub fn new(config: &VitConfig, rope: Option<Rotary>, device: &Device) -> Self {
        let dim = config.embed_dim;
        Self {
            qkv: linear(dim, 3 * dim, config.qkv_bias, device),
            norm: config
                .attn_norm
                .then(|| LayerNorm::new(dim, config.norm_eps, device)),
            proj: linear(dim, dim, true, device),
            rope,
            num_heads: config.num_heads,
        }
    }

    /// Attention of the first `rows` tokens (all when none) over all tokens and `prompts`.
    ///
    /// # Shapes
    /// - x: `[batch, tokens, D]`, normalised
    /// - prompts: `[1, P, D]` shared by the batch or `[batch, P, D]`, normalised
    /// - output: `[batch, rows, D]`
    pub fn forward(&self, x: Tensor<3>, prompts: Option<Tensor<3>>, rows: Option<usize>) -> Tensor<3> {
        let rows = rows.unwrap_or(x.dims()[1]);
        let prompts = prompts.map(|prompts| ops::linear(prompts, &self.qkv));
        let qkv = ops::linear(x, &self.qkv);
        let qkv = match &self.rope {
            Some(rope) => rope.forward(qkv, self.num_heads),
            None => qkv,
        };
        let mixed = ops::attention(qkv, prompts, self.num_heads, rows);
        let mixed = match &self.norm {
            Some(norm) => norm.forward(mixed),
            None => mixed,
        };
        ops::linear(mixed, &self.proj)
    }
}
