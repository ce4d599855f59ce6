//! Multi-head self-attention.

use burn::module::{Module, Param};
use burn::nn::Linear;
use burn::tensor::activation::softmax;
use burn::tensor::{Device, Tensor, s};

use super::{LayerNorm, RelativePosition, Rotary, VitConfig, linear, placeholder};
use crate::ops;

/// Where the tokens are, as far as attention is told. Prompts have no place in the image: they are not turned, and no bias is
/// added to their scores.
#[derive(Module, Debug, Default)]
pub struct Positions {
    /// Turns queries and keys of the patches.
    pub rope: Option<Rotary>,
    /// Biases scores by the distance between patches.
    pub relative: Option<RelativePosition>,
}

impl Positions {
    /// The places of the patches of `grid` (rows, columns).
    pub fn new(config: &VitConfig, grid: [usize; 2], device: &Device) -> Self {
        Self {
            rope: config.rope.map(|rope| Rotary::new(rope, config, grid, device)),
            relative: config
                .rel_pos_bias
                .then(|| RelativePosition::new(config, grid, device)),
        }
    }
}

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
    /// Learned bias of the scores by relative position, `[rows, heads]` (BEiT).
    pub relative_position_bias_table: Option<Param<Tensor<2>>>,
    positions: Positions,
    num_heads: usize,
}

impl Attention {
    /// An attention whose parameters are to be loaded.
    pub fn new(config: &VitConfig, positions: Positions, device: &Device) -> Self {
        let dim = config.embed_dim;
        let table = [RelativePosition::table_rows(config), config.num_heads];
        Self {
            qkv: linear(dim, 3 * dim, config.qkv_bias, device),
            norm: config
                .attn_norm
                .then(|| LayerNorm::new(dim, config.norm_eps, device)),
            proj: linear(dim, dim, true, device),
            relative_position_bias_table: positions.relative.as_ref().map(|_| placeholder(table, device)),
            positions,
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
        let qkv = self.project(x);
        let mixed = ops::attention(qkv, prompts, self.bias(), self.num_heads, rows);
        let mixed = match &self.norm {
            Some(norm) => norm.forward(mixed),
            None => mixed,
        };
        ops::linear(mixed, &self.proj)
    }

    /// How much each token attends to each: `[batch, tokens, D]`, normalised, to `[batch, heads, tokens, tokens]`, rows
    /// that sum to one. For looking at; [`Attention::forward`] never holds them all.
    pub fn weights(&self, x: Tensor<3>) -> Tensor<4> {
        let [batch, tokens, dim] = x.dims();
        let head_dim = dim / self.num_heads;
        let qkv = self.project(x);
        let part = |part: usize| {
            qkv.clone()
                .slice(s![.., .., part * dim..(part + 1) * dim])
                .reshape([batch, tokens, self.num_heads, head_dim])
                .swap_dims(1, 2)
        };
        let scores = part(0).matmul(part(1).swap_dims(2, 3)) / (head_dim as f64).sqrt();
        softmax(ops::biased(scores, self.bias()), 3)
    }

    /// What is added to the scores of the image's tokens, `[heads, tokens, tokens]`.
    fn bias(&self) -> Option<Tensor<3>> {
        let relative = self.positions.relative.as_ref()?;
        Some(relative.bias(self.relative_position_bias_table.as_ref()?.val()))
    }

    /// Queries, keys and values `[batch, tokens, 3 D]`, turned where there are rotary embeddings.
    fn project(&self, x: Tensor<3>) -> Tensor<3> {
        let qkv = ops::linear(x, &self.qkv);
        match &self.positions.rope {
            Some(rope) => rope.forward(qkv, self.num_heads),
            None => qkv,
        }
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Distribution, Tolerance};

    use super::*;
    use crate::vit::Rope;

    /// The weights that are shown are those that mix the values.
    #[test]
    fn weights_are_what_forward_uses() {
        for rope in [None, Some(Rope::Dinov3 { temperature: 100.0 })] {
            let device = Device::flex();
            let config = VitConfig {
                img_size: [32, 48],
                embed_dim: 24,
                num_heads: 3,
                rope,
                ..VitConfig::default()
            };
            let positions = Positions::new(&config, config.grid_size(), &device);
            let mut attention = Attention::new(&config, positions, &device);
            let random = |shape: [usize; 2]| Tensor::random(shape, Distribution::Normal(0.0, 0.5), &device);
            attention.qkv.weight = Param::from_tensor(random([24, 72]));
            attention.proj.weight = Param::from_tensor(random([24, 24]));
            let x = Tensor::<3>::random([2, 7, 24], Distribution::Normal(0.0, 1.0), &device);
            let values = ops::linear(x.clone(), &attention.qkv)
                .slice(s![.., .., 48..])
                .reshape([2, 7, 3, 8])
                .swap_dims(1, 2);
            let mixed = attention.weights(x.clone()).matmul(values);
            let expected = ops::linear(mixed.swap_dims(1, 2).reshape([2, 7, 24]), &attention.proj);
            let found = attention.forward(x, None, None).to_data();
            found.assert_approx_eq::<f32>(&expected.to_data(), Tolerance::rel_abs(1e-4, 1e-5));
        }
    }
}
