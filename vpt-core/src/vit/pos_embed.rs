//! Position embeddings at another image size than the one they were trained for.
//!
//! Every kind of resampling is linear in the embedding, so it is one matrix `[new patches, old patches]`.
//! The model keeps the original parameter and multiplies by that matrix, as timm does with
//! `dynamic_img_size=True`: the weights, their hash and their gradients stay those of the original grid.

use serde::{Deserialize, Serialize};

use crate::HostTensor;

/// How a grid of position embeddings is resampled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PosEmbedResampling {
    /// Bicubic with antialiasing (`a = -0.5`), timm's `resample_abs_pos_embed`.
    #[default]
    BicubicAntialias,
    /// Bicubic without antialiasing (`a = -0.75`), torch's `interpolate(mode="bicubic")`.
    Bicubic,
    /// Triangle filter widened when shrinking.
    BilinearAntialias,
    /// Two taps per axis, half-pixel centres.
    Bilinear,
    /// Two taps per axis with corners aligned: `scipy.ndimage.zoom(order=1)`, which the official VPT code
    /// uses for `.npz` weights.
    AlignCorners,
}

impl PosEmbedResampling {
    /// The weights of one axis, row-major `[new, old]`: row `i` mixes the old positions into new position `i`.
    pub fn axis_weights(self, old: usize, new: usize) -> Vec<f64> {
        let mut weights = vec![0.0; new * old];
        for (i, row) in weights.chunks_exact_mut(old).enumerate() {
            match self {
                Self::BicubicAntialias => antialiased(row, i, new, 2.0, |x| cubic(x, -0.5)),
                Self::BilinearAntialias => antialiased(row, i, new, 1.0, |x| (1.0 - x.abs()).max(0.0)),
                Self::Bicubic => {
                    let centre = half_pixel_centre(i, old, new);
                    let first = centre.floor() as isize - 1;
                    for tap in first..first + 4 {
                        row[clamp(tap, old)] += cubic(tap as f64 - centre, -0.75);
                    }
                }
                Self::Bilinear => two_taps(row, half_pixel_centre(i, old, new).max(0.0)),
                Self::AlignCorners => two_taps(row, aligned_position(i, old, new)),
            }
        }
        weights
    }

    /// The matrix `[new patches, old patches]`, row-major, for grids `[rows, columns]`.
    pub fn matrix(self, old: [usize; 2], new: [usize; 2]) -> Vec<f64> {
        let vertical = self.axis_weights(old[0], new[0]);
        let horizontal = self.axis_weights(old[1], new[1]);
        let mut matrix = Vec::with_capacity(new[0] * new[1] * old[0] * old[1]);
        for row in vertical.chunks_exact(old[0]) {
            for column in horizontal.chunks_exact(old[1]) {
                matrix.extend(row.iter().flat_map(|v| column.iter().map(move |h| v * h)));
            }
        }
        matrix
    }
}

/// Resamples `pos_embed` `[1, prefix + old rows · old columns, D]` to the grid `new`; the first `num_prefix`
/// rows (class token, registers) are kept. Sums run in float64.
///
/// # Panics
/// When the number of rows is not `num_prefix` plus the old grid.
pub fn resample_pos_embed(
    pos_embed: &HostTensor,
    num_prefix: usize,
    old: [usize; 2],
    new: [usize; 2],
    how: PosEmbedResampling,
) -> HostTensor {
    if old == new {
        return pos_embed.clone();
    }
    let dim = pos_embed.shape[2];
    assert_eq!(
        pos_embed.shape[1],
        num_prefix + old[0] * old[1],
        "rows of pos_embed"
    );
    let (prefix, grid) = pos_embed.data.split_at(num_prefix * dim);
    let mut data = prefix.to_vec();
    for weights in how.matrix(old, new).chunks_exact(old[0] * old[1]) {
        let mut sums = vec![0.0; dim];
        for (weight, token) in weights.iter().zip(grid.chunks_exact(dim)) {
            for (sum, value) in sums.iter_mut().zip(token) {
                *sum += weight * f64::from(*value);
            }
        }
        data.extend(sums.iter().map(|&sum| sum as f32));
    }
    HostTensor::new([1, num_prefix + new[0] * new[1], dim], data)
}

/// One row of an antialiased filter with the given support (in old pixels at scale 1).
fn antialiased(row: &mut [f64], i: usize, new: usize, support: f64, filter: impl Fn(f64) -> f64) {
    let old = row.len() as f64;
    let scale = old / new as f64;
    let stretch = scale.max(1.0);
    let centre = scale * (i as f64 + 0.5);
    let first = (centre - support * stretch + 0.5).max(0.0) as usize;
    let end = (centre + support * stretch + 0.5).min(old) as usize;
    for (j, weight) in row.iter_mut().enumerate().take(end).skip(first) {
        *weight = filter((j as f64 - centre + 0.5) / stretch);
    }
    let sum: f64 = row.iter().sum();
    for weight in row {
        *weight /= sum;
    }
}

/// Keys' cubic convolution kernel.
fn cubic(x: f64, a: f64) -> f64 {
    let x = x.abs();
    if x < 1.0 {
        ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0
    } else if x < 2.0 {
        ((a * x - 5.0 * a) * x + 8.0 * a) * x - 4.0 * a
    } else {
        0.0
    }
}

/// Position of new pixel `i` in old pixels, pixel centres at half-integers.
fn half_pixel_centre(i: usize, old: usize, new: usize) -> f64 {
    (i as f64 + 0.5) * old as f64 / new as f64 - 0.5
}

/// Position of new pixel `i` in old pixels when first and last pixels coincide.
fn aligned_position(i: usize, old: usize, new: usize) -> f64 {
    match new {
        1 => 0.0,
        _ => i as f64 * (old - 1) as f64 / (new - 1) as f64,
    }
}

/// Linear interpolation between the two neighbours of `position`.
fn two_taps(row: &mut [f64], position: f64) {
    let first = (position.floor() as usize).min(row.len() - 1);
    let fraction = position - first as f64;
    row[first] += 1.0 - fraction;
    row[(first + 1).min(row.len() - 1)] += fraction;
}

/// An index clamped to the axis.
fn clamp(index: isize, len: usize) -> usize {
    index.clamp(0, len as isize - 1) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [PosEmbedResampling; 5] = [
        PosEmbedResampling::BicubicAntialias,
        PosEmbedResampling::Bicubic,
        PosEmbedResampling::BilinearAntialias,
        PosEmbedResampling::Bilinear,
        PosEmbedResampling::AlignCorners,
    ];

    #[test]
    fn every_row_sums_to_one() {
        for how in ALL {
            for (old, new) in [(4, 7), (7, 4), (1, 3), (3, 1), (14, 9)] {
                for row in how.axis_weights(old, new).chunks_exact(old) {
                    let sum: f64 = row.iter().sum();
                    assert!((sum - 1.0).abs() < 1e-12, "{how:?} {old}->{new}: {sum}");
                }
            }
        }
    }

    #[test]
    fn same_size_is_the_identity() {
        for how in ALL {
            let weights = how.axis_weights(5, 5);
            for (i, row) in weights.chunks_exact(5).enumerate() {
                for (j, weight) in row.iter().enumerate() {
                    assert!((weight - f64::from(i == j)).abs() < 1e-12, "{how:?}");
                }
            }
        }
    }
}
