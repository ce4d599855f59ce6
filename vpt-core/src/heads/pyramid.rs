//! [`SimplePyramid`]: maps of four resolutions from the one of a plain Vision Transformer (ViTDet, Li et al. 2022).

use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::{Device, Tensor};

use super::config::{he, linear_tensors, norm_tensors};
use super::maps::{conv3x3, halve, upsample2};
use crate::methods::AddedTensor;
use crate::ops;
use crate::vit::{LayerNorm, linear};

/// Resolutions relative to the patch: twice as fine, as it is, half and a quarter.
pub(super) const LEVELS: usize = 4;

/// Of the head's layer norms.
pub(super) const EPS: f64 = 1e-6;

/// The last block's map at twice, once, half and a quarter of its resolution, all of the same width.
///
/// ViTDet makes each level from the full width; here the width is reduced once, so that the head is small.
#[derive(Module, Debug)]
pub struct SimplePyramid {
    /// `[D → width]`.
    pub reduce: Linear,
    /// Behind it.
    pub norm: LayerNorm,
    /// `[width → 4 width]`, to twice the resolution.
    pub finer: Linear,
    /// `[4 width → width]`, to a half and on to a quarter.
    pub coarser: Vec<Linear>,
    /// `[9 width → width]` of each level.
    pub smooth: Vec<Linear>,
    /// Behind them.
    pub smooth_norm: Vec<LayerNorm>,
}

/// The parameters of a pyramid called `name`.
pub(super) fn added(name: &str, inputs: usize, width: usize) -> Vec<AddedTensor> {
    let mut tensors = linear_tensors(&format!("{name}.reduce"), inputs, width, he(inputs));
    tensors.extend(norm_tensors(&format!("{name}.norm"), width));
    tensors.extend(linear_tensors(
        &format!("{name}.finer"),
        width,
        4 * width,
        he(width),
    ));
    for i in 0..LEVELS - 2 {
        tensors.extend(linear_tensors(
            &format!("{name}.coarser.{i}"),
            4 * width,
            width,
            he(4 * width),
        ));
    }
    for i in 0..LEVELS {
        tensors.extend(linear_tensors(
            &format!("{name}.smooth.{i}"),
            9 * width,
            width,
            he(9 * width),
        ));
        tensors.extend(norm_tensors(&format!("{name}.smooth_norm.{i}"), width));
    }
    tensors
}

/// Multiply-adds on a map of `grid` with `inputs` channels.
pub(super) fn macs(grid: [usize; 2], inputs: usize, width: usize) -> u128 {
    let places = grids(grid).map(|[rows, columns]| (rows * columns) as u128);
    let [finest, own, coarser @ ..] = places;
    let (inputs, width) = (inputs as u128, width as u128);
    let smooth = 9 * width * width * places.iter().sum::<u128>();
    // Each place of a coarser map gathers four of the one before; four of the finer one come from one place.
    let coarser = 4 * width * width * coarser.iter().sum::<u128>();
    own * inputs * width + finest * width * width + coarser + smooth
}

impl SimplePyramid {
    /// A pyramid on `inputs` channels whose parameters are to be loaded.
    pub fn new(inputs: usize, width: usize, device: &Device) -> Self {
        let norm = || LayerNorm::new(width, EPS, device);
        Self {
            reduce: linear(inputs, width, true, device),
            norm: norm(),
            finer: linear(width, 4 * width, true, device),
            coarser: (2..LEVELS)
                .map(|_| linear(4 * width, width, true, device))
                .collect(),
            smooth: (0..LEVELS)
                .map(|_| linear(9 * width, width, true, device))
                .collect(),
            smooth_norm: (0..LEVELS).map(|_| norm()).collect(),
        }
    }

    /// From `[batch, h, w, D]` to maps of `width` channels: `[2 h, 2 w]`, `[h, w]`, then halved twice, rounded up.
    pub fn forward(&self, map: Tensor<4>) -> Vec<Tensor<4>> {
        let base = ops::gelu(self.norm.forward(ops::linear(map, &self.reduce)));
        let mut maps = vec![upsample2(base.clone(), &self.finer), base];
        for layer in &self.coarser {
            let last = maps[maps.len() - 1].clone();
            maps.push(halve(last, layer));
        }
        let smooth = self.smooth.iter().zip(&self.smooth_norm);
        let maps = maps.into_iter().zip(smooth);
        maps.map(|(map, (layer, norm))| ops::gelu(norm.forward(conv3x3(map, layer))))
            .collect()
    }
}

/// Height and width of each level's map for a backbone whose map is `grid`.
pub fn grids(grid: [usize; 2]) -> [[usize; 2]; LEVELS] {
    let half = |grid: [usize; 2]| grid.map(|edge| edge.div_ceil(2));
    [grid.map(|edge| 2 * edge), grid, half(grid), half(half(grid))]
}
