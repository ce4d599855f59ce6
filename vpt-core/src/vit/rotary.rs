//! Rotary position embedding of queries and keys.

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};

use super::{Rope, VitConfig};
use crate::ops::{self, RotaryLayout, RotaryPlace};

/// The turns of every patch at one image size, see [`Rope`].
#[derive(Module, Debug)]
pub struct Rotary {
    /// Cosines `[patches, head_dim / 2]`.
    cos: Tensor<2>,
    /// Sines `[patches, head_dim / 2]`.
    sin: Tensor<2>,
    #[module(skip)]
    layout: RotaryLayout,
    /// Tokens before the patches, which have no place and are not turned.
    prefix: usize,
}

impl Rotary {
    /// The turns of the patches of `grid` (rows, columns).
    pub fn new(rope: Rope, config: &VitConfig, grid: [usize; 2], device: &Device) -> Self {
        let angles = angles(rope, config.head_dim(), grid);
        let shape = [grid[0] * grid[1], config.head_dim() / 2];
        let table = |f: fn(f64) -> f64| {
            let values: Vec<f32> = angles.iter().map(|&angle| f(angle) as f32).collect();
            Tensor::from_data(TensorData::new(values, shape), device)
        };
        Self {
            cos: table(f64::cos),
            sin: table(f64::sin),
            layout: match rope {
                Rope::Axial { .. } => RotaryLayout::Interleaved,
                Rope::Dinov3 { .. } => RotaryLayout::Halves,
            },
            prefix: config.num_prefix_tokens(),
        }
    }

    /// Cosines and sines of the patches' turns, `[patches, head_dim / 2]`.
    pub(crate) fn tables(&self) -> [Tensor<2>; 2] {
        [self.cos.clone(), self.sin.clone()]
    }

    /// Which channels of a head are turned together.
    pub(crate) fn layout(&self) -> RotaryLayout {
        self.layout
    }

    /// Tokens before the patches.
    pub(crate) fn prefix(&self) -> usize {
        self.prefix
    }

    /// Turns queries and keys of the patches. The tokens are `[prefix, patches, others]`.
    ///
    /// # Shapes
    /// - qkv, output: `[batch, tokens, 3 D]`
    pub fn forward(&self, qkv: Tensor<3>, heads: usize) -> Tensor<3> {
        let place = RotaryPlace {
            first: self.prefix,
            heads,
            layout: self.layout,
        };
        ops::rotary(qkv, self.cos.clone(), self.sin.clone(), place)
    }
}

/// Angles `[patches, head_dim / 2]`, those of the row first, then those of the column.
fn angles(rope: Rope, head_dim: usize, grid: [usize; 2]) -> Vec<f64> {
    let bands = head_dim / 4;
    let exponent = |band: usize| band as f64 / bands as f64;
    // Where a patch is on an axis, and the angle there of each band.
    let position = |axis: usize, index: usize| {
        let (index, count) = (index as f64, grid[axis] as f64);
        match rope {
            Rope::Axial { ref_grid: None, .. } => index,
            Rope::Axial {
                ref_grid: Some(reference),
                ..
            } => index / count * reference[axis] as f64,
            Rope::Dinov3 { .. } => 2.0 * std::f64::consts::PI * (2.0 * (index + 0.5) / count - 1.0),
        }
    };
    let (Rope::Axial { temperature, .. } | Rope::Dinov3 { temperature }) = rope;
    let axis = |axis: usize, index: usize| {
        (0..bands).map(move |band| position(axis, index) / temperature.powf(exponent(band)))
    };
    (0..grid[0])
        .flat_map(|row| (0..grid[1]).map(move |column| (row, column)))
        .flat_map(|(row, column)| axis(0, row).chain(axis(1, column)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_centre_of_a_dinov3_image_is_not_turned() {
        let angles = angles(Rope::Dinov3 { temperature: 100.0 }, 8, [3, 3]);
        assert_eq!(angles[4 * 4..5 * 4], [0.0; 4]);
        // First band of the last row: 2π · 2/3; the second is √100 slower.
        let last = &angles[8 * 4..];
        assert!((last[0] - 2.0 * std::f64::consts::PI * 2.0 / 3.0).abs() < 1e-12);
        assert!((last[0] / last[1] - 10.0).abs() < 1e-12);
    }

    #[test]
    fn axial_steps_are_stretched_to_the_reference_grid() {
        let rope = |ref_grid| Rope::Axial {
            ref_grid,
            temperature: 10_000.0,
        };
        let plain = angles(rope(None), 4, [2, 2]);
        assert_eq!(plain, [0.0, 0.0, 0.0, 1.0, 1.0, 0.0, 1.0, 1.0]);
        let stretched = angles(rope(Some([8, 4])), 4, [2, 2]);
        assert_eq!(stretched, [0.0, 0.0, 0.0, 2.0, 4.0, 0.0, 4.0, 2.0]);
    }
}
