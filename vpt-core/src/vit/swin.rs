//! [`Swin`]: stages of growing width and attention in windows, and what follows from them for each block.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::{GlobalPool, VitConfig};

/// More stages than any Swin Transformer has.
const MOST_STAGES: usize = 8;

/// A larger window than any Swin Transformer has: every pair of its patches has a place in memory.
const MOST_WINDOW: usize = 32;

/// What makes a Swin Transformer of a Vision Transformer (Liu et al. 2021, arXiv 2103.14030; timm's `SwinTransformer`).
///
/// Every block attends within windows, every second one within windows that are shifted by half. Between stages four
/// neighbouring patches become one of twice the width.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Swin {
    /// Blocks of each stage; their sum is the model's `depth`.
    pub depths: Vec<usize>,
    /// Attention heads of each stage; the first is the model's `num_heads`.
    pub num_heads: Vec<usize>,
    /// Patches `[rows, columns]` of a window.
    pub window_size: [usize; 2],
}

impl Swin {
    /// The stage of block `i`, and the block's place in it.
    pub fn stage_of(&self, i: usize) -> (usize, usize) {
        let mut first = 0;
        for (stage, depth) in self.depths.iter().enumerate() {
            if i < first + depth {
                return (stage, i - first);
            }
            first += depth;
        }
        (self.depths.len().saturating_sub(1), i - first)
    }
}

/// The windows of one block: their edges in patches, and by how much they are shifted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WindowGrid {
    /// Patches `[rows, columns]` of the image as the block sees it.
    pub grid: [usize; 2],
    /// Patches `[rows, columns]` of a window.
    pub window: [usize; 2],
    /// Shift `[rows, columns]` towards the bottom right.
    pub shift: [usize; 2],
}

impl VitConfig {
    /// Number of stages: one, but for a Swin Transformer.
    pub fn num_stages(&self) -> usize {
        self.swin.as_ref().map_or(1, |swin| swin.depths.len().max(1))
    }

    /// The stage of block `i`.
    pub fn stage_of(&self, i: usize) -> usize {
        self.swin.as_ref().map_or(0, |swin| swin.stage_of(i).0)
    }

    /// Height and width in pixels of what a token behind the last block stands for.
    pub fn output_stride(&self) -> [usize; 2] {
        let last = self.stage_of(self.depth.saturating_sub(1)).min(MOST_STAGES);
        self.patch_size.map(|edge| edge << last)
    }

    /// Width of the tokens in a stage.
    pub fn width_of(&self, stage: usize) -> usize {
        self.embed_dim << stage.min(MOST_STAGES)
    }

    /// Width of the tokens behind the last block, what a head reads; timm's `num_features`.
    pub fn num_features(&self) -> usize {
        self.width_of(self.num_stages() - 1)
    }

    /// Patches `[rows, columns]` in a stage, of an image of `[height, width]` pixels.
    pub fn grid_in(&self, stage: usize, image_size: [usize; 2]) -> [usize; 2] {
        (0..stage.min(MOST_STAGES)).fold(self.grid_for(image_size), |grid, _| {
            grid.map(|edge| edge.div_ceil(2))
        })
    }

    /// Patches `[rows, columns]` behind the last block, of an image of `[height, width]` pixels.
    pub fn output_grid(&self, image_size: [usize; 2]) -> [usize; 2] {
        self.grid_in(self.num_stages() - 1, image_size)
    }

    /// Whether block `i` is the first of a stage, and four patches become one before it.
    pub fn merges_before(&self, i: usize) -> bool {
        i > 0 && self.stage_of(i) != self.stage_of(i - 1)
    }

    /// The hyper-parameters as block `i` sees them, with the width and the heads of its stage.
    pub fn at_block(&self, i: usize) -> Cow<'_, Self> {
        let Some(swin) = &self.swin else {
            return Cow::Borrowed(self);
        };
        let (stage, _) = swin.stage_of(i);
        let mut config = self.clone();
        config.embed_dim = self.width_of(stage);
        config.num_heads = swin.num_heads.get(stage).copied().unwrap_or(self.num_heads);
        Cow::Owned(config)
    }

    /// The windows of block `i` on an image of `[height, width]` pixels; none where blocks attend to the whole image.
    ///
    /// A window is no larger than the image, and is shifted only where the image is larger (timm's
    /// `_calc_window_shift`).
    pub fn windows_of(&self, i: usize, image_size: [usize; 2]) -> Option<WindowGrid> {
        let swin = self.swin.as_ref()?;
        let (stage, place) = swin.stage_of(i);
        let grid = self.grid_in(stage, image_size);
        let window = [0, 1].map(|axis| swin.window_size[axis].min(grid[axis]));
        let shifted = |axis: usize| place % 2 == 1 && grid[axis] > window[axis];
        let shift = [0, 1].map(|axis| match shifted(axis) {
            true => swin.window_size[axis] / 2,
            false => 0,
        });
        Some(WindowGrid { grid, window, shift })
    }

    /// Patches `[rows, columns]` between which block `i` has relative position biases, on an image of `[height, width]`
    /// pixels: those of a window, or of the image.
    pub fn bias_grid(&self, i: usize, image_size: [usize; 2]) -> [usize; 2] {
        self.windows_of(i, image_size)
            .map_or(self.grid_for(image_size), |windows| windows.window)
    }

    /// Rejects stages that no Swin Transformer can have, and parts of other models that it has not. A model without stages
    /// passes.
    ///
    /// # Errors
    /// timm's name of the argument, its value, and what was expected.
    pub(crate) fn check_stages(&self) -> Result<(), (&'static str, String, String)> {
        let Some(swin) = &self.swin else { return Ok(()) };
        let Swin {
            depths,
            num_heads,
            window_size,
        } = swin;
        let fail =
            |name, value: &dyn std::fmt::Debug, expected: String| Err((name, format!("{value:?}"), expected));
        let divides =
            |(stage, &heads): (usize, &usize)| heads > 0 && self.width_of(stage).is_multiple_of(heads);
        let plain = self.num_prefix_tokens() > 0
            || self.pos_embed
            || self.rope.is_some()
            || self.global_pool != GlobalPool::Avg;
        if depths.is_empty() || depths.len() > MOST_STAGES || depths.contains(&0) {
            let expected = format!("one to {MOST_STAGES} stages of at least one block");
            return fail("depths", depths, expected);
        }
        if depths
            .iter()
            .fold(0, |sum: usize, &depth| sum.saturating_add(depth))
            != self.depth
        {
            return fail(
                "depths",
                depths,
                format!("a sum of {}, the model's depth", self.depth),
            );
        }
        if num_heads.len() != depths.len()
            || num_heads[0] != self.num_heads
            || !num_heads.iter().enumerate().all(divides)
        {
            let expected = format!(
                "for each stage a divisor of its width, which is {} in the first and doubles",
                self.embed_dim
            );
            return fail("num_heads", num_heads, expected);
        }
        if window_size.iter().any(|edge| !(1..=MOST_WINDOW).contains(edge)) {
            return fail("window_size", window_size, format!("1 to {MOST_WINDOW} patches"));
        }
        if plain {
            let expected =
                "`avg`, no tokens beside the patches and no position embeddings, for a Swin Transformer";
            return fail("global_pool", &self.global_pool, expected.into());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::preset;

    /// Swin-T at 224 pixels, as its paper's figure 3 has it.
    #[test]
    fn stages_of_the_smallest_published_model() {
        let config = preset("swin_tiny_patch4_window7_224").unwrap();
        let size = config.img_size;
        assert_eq!((config.depth, config.num_stages()), (12, 4));
        let stages: Vec<_> = (0..12).map(|i| config.stage_of(i)).collect();
        assert_eq!(stages, [0, 0, 1, 1, 2, 2, 2, 2, 2, 2, 3, 3]);
        let merges: Vec<_> = (0..12).filter(|&i| config.merges_before(i)).collect();
        assert_eq!(merges, [2, 4, 10]);
        assert_eq!(config.num_features(), 768);
        assert_eq!(config.output_grid(size), [7, 7]);
        let block = config.at_block(5);
        assert_eq!((block.embed_dim, block.num_heads), (384, 12));
        let windows = config.windows_of(5, size).unwrap();
        assert_eq!(
            (windows.grid, windows.window, windows.shift),
            ([14; 2], [7; 2], [3; 2])
        );
        assert_eq!(config.windows_of(4, size).unwrap().shift, [0, 0]);
        // One window is the whole image: nothing to shift.
        assert_eq!(config.windows_of(11, size).unwrap().shift, [0, 0]);
        assert_eq!(config.bias_grid(11, [160, 224]), [5, 7]);
    }

    #[test]
    fn plain_models_have_one_stage() {
        let config = preset("vit_tiny_patch16_224").unwrap();
        assert_eq!((config.num_stages(), config.num_features()), (1, 192));
        assert!((0..12).all(|i| !config.merges_before(i) && config.windows_of(i, [224; 2]).is_none()));
        assert_eq!(config.output_grid([224, 160]), [14, 10]);
    }
}
