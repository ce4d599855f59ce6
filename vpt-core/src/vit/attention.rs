//! Multi-head self-attention.

use burn::module::{Module, Param};
use burn::nn::Linear;
use burn::tensor::activation::softmax;
use burn::tensor::{DType, Device, Tensor, s};

use super::{Hook, LayerNorm, RelativePosition, Rotary, Site, VitConfig, Windows, linear, placeholder};
use crate::ops;

/// Where the tokens are, as far as attention is told. Prompts have no place in the image: they are not turned, and no bias is
/// added to their scores.
#[derive(Module, Debug, Default)]
pub struct Positions {
    /// Turns queries and keys of the patches.
    pub rope: Option<Rotary>,
    /// Biases scores by the distance between patches.
    pub relative: Option<RelativePosition>,
    /// Attention within windows (Swin).
    pub windows: Option<Windows>,
}

impl Positions {
    /// The places of the patches of an image of `image_size` (`[height, width]`), for every block alike; windows aside.
    pub fn of_image(config: &VitConfig, image_size: [usize; 2], device: &Device) -> Self {
        let grid = config.grid_for(image_size);
        Self {
            rope: config.rope.map(|rope| Rotary::new(rope, config, grid, device)),
            relative: (config.rel_pos_bias && config.swin.is_none())
                .then(|| RelativePosition::new(config.grid_size(), grid, true, device)),
            windows: None,
        }
    }

    /// The places of the patches in the windows of block `i`; those of the whole image in other models.
    pub fn of_block(&self, config: &VitConfig, i: usize, image_size: [usize; 2], device: &Device) -> Self {
        let Some(windows) = config.windows_of(i, image_size) else {
            return self.clone();
        };
        let trained = config.bias_grid(i, config.img_size);
        Self {
            rope: None,
            relative: config
                .rel_pos_bias
                .then(|| RelativePosition::new(trained, windows.window, false, device)),
            windows: Some(Windows::new(windows, device)),
        }
    }
}

/// Prompts of some images that follow each other in a batch, projected: see [`Block::fold`](super::Block::fold).
#[derive(Debug, Clone)]
pub struct FoldedPrompts {
    /// Number of images.
    pub images: usize,
    /// `[1, P, 3 D]` for all of them or `[images, P, 3 D]`; none where they have no prompts.
    pub qkv: Option<Tensor<3>>,
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
    /// An attention whose parameters are to be loaded; `bias_grid` are the patches `[rows, columns]` that its biases were
    /// trained for.
    pub fn new(config: &VitConfig, bias_grid: [usize; 2], positions: Positions, device: &Device) -> Self {
        let dim = config.embed_dim;
        let rows = RelativePosition::table_rows(bias_grid, config.class_token);
        let table = [rows, config.num_heads];
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

    /// Attention of the first `rows` tokens (all when none) over all tokens and `prompts`, in each window by itself where
    /// there are windows.
    ///
    /// # Shapes
    /// - x: `[batch, tokens, D]`, normalised
    /// - prompts: `[1, P, D]` shared by the batch or `[batch, P, D]`, normalised
    /// - output: `[batch, rows, D]`
    pub fn forward(
        &self,
        x: Tensor<3>,
        prompts: Option<Tensor<3>>,
        rows: Option<usize>,
        hook: Hook<'_>,
    ) -> Tensor<3> {
        let rows = rows.unwrap_or(x.dims()[1]);
        let prompts = prompts.map(|prompts| self.qkv(prompts, hook));
        let mixed = match &self.positions.windows {
            None => ops::attention(self.project(x, hook), prompts, self.bias(), self.num_heads, rows),
            Some(windows) => self.within(windows, x, prompts, hook).slice(s![.., ..rows]),
        };
        self.leave(mixed, hook)
    }

    /// [`Attention::forward`] of a batch whose parts have prompts of their own, also different numbers of them: everything
    /// but the mixing of values is computed for all images together. Not for attention within windows.
    ///
    /// # Shapes
    /// - x: `[batch, tokens, D]`, normalised; `parts` follow each other and are the whole batch
    /// - output: `[batch, rows, D]`
    pub fn forward_parts(
        &self,
        x: Tensor<3>,
        parts: &[FoldedPrompts],
        rows: Option<usize>,
        hook: Hook<'_>,
    ) -> Tensor<3> {
        let rows = rows.unwrap_or(x.dims()[1]);
        let qkv = self.project(x, hook);
        if let [part] = parts {
            let mixed = ops::attention(qkv, part.qkv.clone(), self.bias(), self.num_heads, rows);
            return self.leave(mixed, hook);
        }
        let mut start = 0;
        let mix = |part: &FoldedPrompts| {
            let images = start..start + part.images;
            start = images.end;
            let own = qkv.clone().slice(s![images]);
            ops::attention(own, part.qkv.clone(), self.bias(), self.num_heads, rows)
        };
        self.leave(Tensor::cat(parts.iter().map(mix).collect(), 0), hook)
    }

    /// From mixed values to the output.
    fn leave(&self, mixed: Tensor<3>, hook: Hook<'_>) -> Tensor<3> {
        let mixed = match &self.norm {
            Some(norm) => norm.forward(mixed),
            None => mixed,
        };
        hook.around(Site::Proj, mixed, |mixed| ops::linear(mixed, &self.proj))
    }

    /// What [`Attention::forward`] mixes in windows, before the projection; `prompts` are projected already.
    fn within(
        &self,
        windows: &Windows,
        x: Tensor<3>,
        prompts: Option<Tensor<3>>,
        hook: Hook<'_>,
    ) -> Tensor<3> {
        // Where a window is not full there are zeros, of which keys and values are the biases.
        let padding = windows.are_padded().then(|| {
            let zeros = Tensor::zeros([1, 1, x.dims()[2]], &x.device());
            self.project(zeros, hook)
        });
        let qkv = windows.partition(self.project(x, hook), padding);
        let prompts = prompts.map(|prompts| match prompts.dims()[0] {
            1 => prompts,
            _ => windows.repeat(prompts),
        });
        let rows = qkv.dims()[1];
        windows.reverse(ops::attention(qkv, prompts, self.bias(), self.num_heads, rows))
    }

    /// How much each token attends to each: `[batch, tokens, D]`, normalised, to `[batch, heads, tokens, tokens]`, rows
    /// that sum to one. For looking at; [`Attention::forward`] never holds them all.
    pub fn weights(&self, x: Tensor<3>, hook: Hook<'_>) -> Tensor<4> {
        let [batch, tokens, dim] = x.dims();
        let head_dim = dim / self.num_heads;
        let qkv = self.project(x, hook);
        let part = |part: usize| {
            qkv.clone()
                .slice(s![.., .., part * dim..(part + 1) * dim])
                .reshape([batch, tokens, self.num_heads, head_dim])
                .swap_dims(1, 2)
        };
        let scores = part(0).matmul(part(1).swap_dims(2, 3)) / (head_dim as f64).sqrt();
        softmax(ops::biased(scores, self.bias()), 3)
    }

    /// Attention heads.
    pub(crate) fn num_heads(&self) -> usize {
        self.num_heads
    }

    /// Width `D` of a token.
    pub(crate) fn dim(&self) -> usize {
        self.qkv.weight.lazy_shape()[0]
    }

    /// What turns queries and keys.
    pub(crate) fn rope(&self) -> Option<&Rotary> {
        self.positions.rope.as_ref()
    }

    /// The windows within which tokens attend.
    pub(crate) fn windows(&self) -> Option<&Windows> {
        self.positions.windows.as_ref()
    }

    /// What is added to the scores of the image's tokens, `[1 or windows, heads, tokens, tokens]`.
    pub(crate) fn bias(&self) -> Option<Tensor<4>> {
        let relative = self.positions.relative.as_ref()?;
        let bias = relative
            .bias(self.relative_position_bias_table.as_ref()?.val())
            .unsqueeze();
        Some(match &self.positions.windows {
            Some(windows) => windows.biased(bias),
            None => bias,
        })
    }

    /// Keys and values of prompts, `[sets, P, D]`, normalised, to `[sets, P, 3 D]`. In place of the queries, which nobody asks for,
    /// are zeros, but where the weight would have to be unpacked to be parted.
    pub(super) fn keys_and_values(&self, prompts: Tensor<3>) -> Tensor<3> {
        if matches!(self.qkv.weight.val().dtype(), DType::QFloat(_)) {
            return ops::linear(prompts, &self.qkv);
        }
        let dim = prompts.dims()[2];
        let wanted = Linear {
            weight: Param::from_tensor(self.qkv.weight.val().slice(s![.., dim..])),
            bias: self
                .qkv
                .bias
                .as_ref()
                .map(|bias| Param::from_tensor(bias.val().slice(s![dim..]))),
        };
        let queries = prompts.zeros_like();
        Tensor::cat(vec![queries, ops::linear(prompts, &wanted)], 2)
    }

    /// Queries, keys and values `[batch, tokens, 3 D]`.
    fn qkv(&self, x: Tensor<3>, hook: Hook<'_>) -> Tensor<3> {
        hook.around(Site::Qkv, x, |x| ops::linear(x, &self.qkv))
    }

    /// Queries, keys and values `[batch, tokens, 3 D]`, turned where there are rotary embeddings.
    fn project(&self, x: Tensor<3>, hook: Hook<'_>) -> Tensor<3> {
        let qkv = self.qkv(x, hook);
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
            let positions = Positions::of_image(&config, config.img_size, &device);
            let mut attention = Attention::new(&config, config.grid_size(), positions, &device);
            let random = |shape: [usize; 2]| Tensor::random(shape, Distribution::Normal(0.0, 0.5), &device);
            attention.qkv.weight = Param::from_tensor(random([24, 72]));
            attention.proj.weight = Param::from_tensor(random([24, 24]));
            let x = Tensor::<3>::random([2, 7, 24], Distribution::Normal(0.0, 1.0), &device);
            let values = ops::linear(x.clone(), &attention.qkv)
                .slice(s![.., .., 48..])
                .reshape([2, 7, 3, 8])
                .swap_dims(1, 2);
            let mixed = attention.weights(x.clone(), Hook::none()).matmul(values);
            let expected = ops::linear(mixed.swap_dims(1, 2).reshape([2, 7, 24]), &attention.proj);
            let found = attention.forward(x, None, None, Hook::none()).to_data();
            found.assert_approx_eq::<f32>(&expected.to_data(), Tolerance::rel_abs(1e-4, 1e-5));
        }
    }
}
