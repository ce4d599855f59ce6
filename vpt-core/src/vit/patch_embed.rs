//! Image to patch tokens.

use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::{Device, Tensor};

use super::{Hook, Site, VitConfig, linear};
use crate::ops;

/// Cuts an image into patches and projects each one, timm's `PatchEmbed`.
///
/// timm's strided convolution touches each pixel once, so it is a product of the flattened patches with
/// `proj` (`[channels · height · width, D]` here, `[D, channels, height, width]` in files).
#[derive(Module, Debug)]
pub struct PatchEmbed {
    /// The projection.
    pub proj: Linear,
    patch_size: [usize; 2],
}

impl PatchEmbed {
    /// A patch embedding whose parameters are to be loaded.
    pub fn new(config: &VitConfig, device: &Device) -> Self {
        Self {
            proj: linear(config.patch_values(), config.embed_dim, config.patch_bias, device),
            patch_size: config.patch_size,
        }
    }

    /// `[batch, channels, height, width] → [batch, patches, D]`, patches in row-major order.
    pub fn forward(&self, pixels: Tensor<4>, hook: Hook<'_>) -> Tensor<3> {
        let [batch, channels, height, width] = pixels.dims();
        let [ph, pw] = self.patch_size;
        let (rows, columns) = (height / ph, width / pw);
        let patches = pixels
            .reshape([batch, channels, rows, ph, columns, pw])
            .permute([0, 2, 4, 1, 3, 5])
            .reshape([batch, rows * columns, channels * ph * pw]);
        hook.around(Site::PatchEmbed, patches, |patches| {
            ops::linear(patches, &self.proj)
        })
    }
}
