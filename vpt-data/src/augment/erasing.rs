//! Random erasing (Zhong et al., AAAI 2020, arXiv 1708.04896), as timm's `RandomErasing`.

use super::{ErasingFill, uniform};
use rand::RngExt;
use rand_distr::StandardNormal;
use rand_pcg::Pcg64;

/// Area of the rectangle as a part of the picture.
const AREA: [f64; 2] = [0.02, 1.0 / 3.0];

/// Aspect ratio of the rectangle, chosen evenly on a logarithmic scale.
const ASPECT: [f64; 2] = [0.3, 1.0 / 0.3];

/// How often to look for a rectangle that fits.
const TRIES: usize = 10;

/// Replaces one random rectangle of normalised `[3, height, width]` pixels.
pub(super) fn erase(pixels: &mut [f32], [height, width]: [usize; 2], fill: ErasingFill, rng: &mut Pcg64) {
    let area = (height * width) as f64;
    for _ in 0..TRIES {
        let target = area * uniform(rng, AREA);
        let aspect = uniform(rng, ASPECT.map(f64::ln)).exp();
        let h = (target * aspect).sqrt().round_ties_even() as usize;
        let w = (target / aspect).sqrt().round_ties_even() as usize;
        if h >= height || w >= width {
            continue;
        }
        let (top, left) = (rng.random_range(0..=height - h), rng.random_range(0..=width - w));
        for plane in pixels.chunks_exact_mut(height * width) {
            for row in plane.chunks_exact_mut(width).skip(top).take(h) {
                for value in &mut row[left..left + w] {
                    *value = match fill {
                        ErasingFill::Pixel => rng.sample(StandardNormal),
                        ErasingFill::Const => 0.0,
                    };
                }
            }
        }
        return;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::rng;

    #[test]
    fn one_rectangle_in_all_channels() {
        for seed in 0..200 {
            let mut pixels = vec![7.0; 3 * 20 * 30];
            erase(&mut pixels, [20, 30], ErasingFill::Const, &mut rng(seed, &[]));
            let erased: Vec<Vec<usize>> = pixels
                .chunks_exact(600)
                .map(|plane| (0..600).filter(|&i| plane[i] == 0.0).collect())
                .collect();
            assert!(erased[0] == erased[1] && erased[1] == erased[2]);
            let rows = erased[0].iter().map(|i| i / 30);
            let columns = erased[0].iter().map(|i| i % 30);
            let span = |values: &mut dyn Iterator<Item = usize>| {
                let values: Vec<usize> = values.collect();
                1 + values.iter().max().unwrap_or(&0) - values.iter().min().unwrap_or(&0)
            };
            let boxed = span(&mut rows.clone()) * span(&mut columns.clone());
            assert_eq!(erased[0].len(), boxed, "a full rectangle");
            assert!((8..=220).contains(&boxed), "{boxed}");
        }
    }

    #[test]
    fn noise_is_standard_normal() {
        let mut pixels = vec![f32::NAN; 3 * 64 * 64];
        erase(&mut pixels, [64, 64], ErasingFill::Pixel, &mut rng(4, &[]));
        let noise: Vec<f32> = pixels.into_iter().filter(|value| !value.is_nan()).collect();
        let mean = noise.iter().sum::<f32>() / noise.len() as f32;
        let square = noise.iter().map(|value| value * value).sum::<f32>() / noise.len() as f32;
        assert!(
            noise.len() > 200 && mean.abs() < 0.15 && (square - 1.0).abs() < 0.25,
            "{} {mean} {square}",
            noise.len()
        );
    }
}
