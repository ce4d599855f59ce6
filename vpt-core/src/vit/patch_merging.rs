//! From one stage of a Swin Transformer to the next.

use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::{Device, Tensor, s};

use super::{Hook, LayerNorm, Site, VitConfig, linear};
use crate::ops;

/// Four neighbouring patches become one of twice the width, timm's `PatchMerging`.
#[derive(Module, Debug)]
pub struct PatchMerging {
    /// Before the reduction, of four patches side by side.
    pub norm: LayerNorm,
    /// `[4 D → 2 D]`.
    pub reduction: Linear,
    grid: [usize; 2],
}

impl PatchMerging {
    /// A merging of the patches of `grid` (rows, columns), of width `dim`, whose parameters are to be loaded.
    pub fn new(config: &VitConfig, dim: usize, grid: [usize; 2], device: &Device) -> Self {
        Self {
            norm: LayerNorm::new(4 * dim, config.norm_eps, device),
            reduction: linear(4 * dim, 2 * dim, false, device),
            grid,
        }
    }

    /// Patches `[rows, columns]` before the merging.
    pub(crate) fn grid(&self) -> [usize; 2] {
        self.grid
    }

    /// `[batch, patches + others, D] → [batch, patches / 4 + others, 2 D]`. Tokens behind the patches, which have no
    /// neighbours, are taken four times (the prompted Swin of Jia et al. 2022).
    pub fn forward(&self, tokens: Tensor<3>, hook: Hook<'_>) -> Tensor<3> {
        let [batch, count, dim] = tokens.dims();
        let [rows, columns] = self.grid;
        let mut patches = tokens
            .clone()
            .slice(s![.., ..rows * columns])
            .reshape([batch, rows, columns, dim]);
        let device = patches.device();
        if rows % 2 == 1 {
            let row = Tensor::zeros([batch, 1, columns, dim], &device);
            patches = Tensor::cat(vec![patches, row], 1);
        }
        let [_, rows, _, _] = patches.dims();
        if columns % 2 == 1 {
            let column = Tensor::zeros([batch, rows, 1, dim], &device);
            patches = Tensor::cat(vec![patches, column], 2);
        }
        let (rows, columns) = (rows / 2, columns.div_ceil(2));
        // Of the four, those of the left column come first, each from top to bottom.
        let mut merged = patches
            .reshape([batch, rows, 2, columns, 2, dim])
            .permute([0, 1, 3, 4, 2, 5])
            .reshape([batch, rows * columns, 4 * dim]);
        let own = self.grid[0] * self.grid[1];
        if count > own {
            let others = tokens.slice(s![.., own..]);
            merged = Tensor::cat(vec![merged, others.repeat_dim(2, 4)], 1);
        }
        let normed = hook.around(Site::MergeNorm, merged, |merged| self.norm.forward(merged));
        ops::linear(normed, &self.reduction)
    }
}
