//! Mixup (Zhang et al. 2018, arXiv 1710.09412) and cutmix (Yun et al. 2019, arXiv 1905.04899) over a batch.

use super::{AugmentConfig, chance};
use crate::Label;
use rand::RngExt;
use rand_distr::{Beta, Distribution};
use rand_pcg::Pcg64;
use std::ops::Range;

/// Mixes each picture of the batch with the one at the mirrored position (timm's `Mixup` in batch mode).
///
/// `pixels` is `[batch, 3, height, width]`. Returns the targets `[batch, classes]`, each row summing to 1 (of several classes: to their number), or nothing
/// when the configuration asks for neither mixup nor cutmix. `weights` `[batch]`, how much each picture counts, are mixed in the
/// same shares.
pub(crate) fn mix_batch(
    config: &AugmentConfig,
    pixels: &mut [f32],
    size: [usize; 2],
    weights: &mut [f32],
    labels: &[Label],
    classes: usize,
    rng: &mut Pcg64,
) -> Option<Vec<f32>> {
    let cut = match (config.mixup > 0.0, config.cutmix > 0.0) {
        (false, false) => return None,
        (true, true) => chance(rng, 0.5),
        (_, cut) => cut,
    };
    let alpha = if cut { config.cutmix } else { config.mixup };
    let share = Beta::new(alpha, alpha).map_or(1.0, |beta| beta.sample(rng)) as f32;
    let share = if cut {
        cutmix(pixels, size, share, rng)
    } else {
        mixup(pixels, size, share)
    };
    for_pairs(weights, 1, |own, partner| {
        // Written so that equal weights stay what they are, to the bit.
        let given = (partner[0] - own[0]) * (1.0 - share);
        (own[0], partner[0]) = (own[0] + given, partner[0] - given);
    });
    Some(soft_targets(labels, classes, share))
}

/// Blends with `share` of the picture itself.
fn mixup(pixels: &mut [f32], [height, width]: [usize; 2], share: f32) -> f32 {
    for_pairs(pixels, 3 * height * width, |first, second| {
        for (a, b) in first.iter_mut().zip(second) {
            (*a, *b) = (*a * share + *b * (1.0 - share), *b * share + *a * (1.0 - share));
        }
    });
    share
}

/// Exchanges a rectangle that covers about 1 - `share` of the picture; returns the share that is left.
fn cutmix(pixels: &mut [f32], [height, width]: [usize; 2], share: f32, rng: &mut Pcg64) -> f32 {
    let edge = (1.0 - share).max(0.0).sqrt();
    let mut span = |length: usize| -> Range<usize> {
        let cut = (edge * length as f32) as usize;
        let centre = rng.random_range(0..length.max(1));
        centre.saturating_sub(cut / 2)..(centre + cut / 2).min(length)
    };
    let (rows, columns) = (span(height), span(width));
    for_pairs(pixels, 3 * height * width, |first, second| {
        for plane in 0..3 {
            for row in rows.clone() {
                let start = (plane * height + row) * width;
                let cells = start + columns.start..start + columns.end;
                first[cells.clone()].swap_with_slice(&mut second[cells]);
            }
        }
    });
    1.0 - (rows.len() * columns.len()) as f32 / (height * width) as f32
}

/// Calls `mix` with each two pictures, of `picture` numbers each, that are mirrored in the batch. A picture in the middle is its
/// own partner.
fn for_pairs(pixels: &mut [f32], picture: usize, mut mix: impl FnMut(&mut [f32], &mut [f32])) {
    let count = pixels.len() / picture;
    let (front, back) = pixels.split_at_mut(count.div_ceil(2) * picture);
    for (first, second) in front
        .chunks_exact_mut(picture)
        .zip(back.chunks_exact_mut(picture).rev())
    {
        mix(first, second);
    }
}

/// `[batch, classes]`: `share` for the own label, the rest for the partner's.
fn soft_targets(labels: &[Label], classes: usize, share: f32) -> Vec<f32> {
    let mut targets = vec![0.0; labels.len() * classes];
    for (row, (own, partner)) in targets
        .chunks_exact_mut(classes.max(1))
        .zip(labels.iter().zip(labels.iter().rev()))
    {
        for (label, part) in [(own, share), (partner, 1.0 - share)] {
            for &class in label.classes() {
                if let Some(target) = row.get_mut(class) {
                    *target += part;
                }
            }
        }
    }
    targets
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::rng;

    const SIZE: [usize; 2] = [6, 8];
    const PICTURE: usize = 3 * 6 * 8;

    /// Five pictures, picture i filled with i; labels 0..5.
    fn batch() -> (Vec<f32>, Vec<Label>) {
        (
            (0..5).flat_map(|i| vec![i as f32; PICTURE]).collect(),
            (0..5).map(Label::One).collect(),
        )
    }

    /// Picture i counts i + 1 times.
    const WEIGHTS: [f32; 5] = [1.0, 2.0, 3.0, 4.0, 5.0];

    fn mixed(config: &AugmentConfig, seed: u64) -> (Vec<f32>, Vec<f32>) {
        let (mut pixels, labels) = batch();
        let mut weights = WEIGHTS;
        let targets = mix_batch(
            config,
            &mut pixels,
            SIZE,
            &mut weights,
            &labels,
            5,
            &mut rng(seed, &[]),
        );
        let targets = targets.expect("mixing is on");
        // As every label stands for one picture here, the targets say of whose weights these are made.
        for (weight, shares) in weights.iter().zip(targets.chunks(5)) {
            let told: f32 = shares
                .iter()
                .zip(WEIGHTS)
                .map(|(share, weight)| share * weight)
                .sum();
            assert!((weight - told).abs() < 1e-5, "{weights:?} {targets:?}");
        }
        (pixels, targets)
    }

    /// The targets must say of each picture what its pixels are made of.
    fn assert_targets_tell_the_pixels(pixels: &[f32], targets: &[f32]) {
        for (i, (picture, target)) in pixels.chunks(PICTURE).zip(targets.chunks(5)).enumerate() {
            assert!((target.iter().sum::<f32>() - 1.0).abs() < 1e-5);
            let mean = picture.iter().sum::<f32>() / PICTURE as f32;
            let told: f32 = target
                .iter()
                .enumerate()
                .map(|(label, part)| label as f32 * part)
                .sum();
            assert!((mean - told).abs() < 1e-4, "picture {i}: {mean} {told}");
        }
    }

    #[test]
    fn targets_are_true_to_the_pixels() {
        for (mixup, cutmix) in [(0.5, 0.0), (0.0, 1.0), (0.2, 1.0)] {
            let config = AugmentConfig {
                mixup,
                cutmix,
                ..AugmentConfig::none()
            };
            let mut changed = 0;
            for seed in 0..100 {
                let (pixels, targets) = mixed(&config, seed);
                assert_targets_tell_the_pixels(&pixels, &targets);
                changed += usize::from(pixels != batch().0);
            }
            assert!(changed > 60, "{changed}");
        }
    }

    #[test]
    fn cutmix_never_blends() {
        let config = AugmentConfig {
            cutmix: 1.0,
            ..AugmentConfig::none()
        };
        let (pixels, _) = mixed(&config, 3);
        assert!(pixels.iter().all(|value| value.fract() == 0.0));
    }

    #[test]
    fn off_means_off() {
        let (mut pixels, labels) = batch();
        let mut weights = WEIGHTS;
        assert!(
            mix_batch(
                &AugmentConfig::none(),
                &mut pixels,
                SIZE,
                &mut weights,
                &labels,
                5,
                &mut rng(1, &[])
            )
            .is_none()
        );
        assert_eq!((pixels, weights), (batch().0, WEIGHTS));
    }

    #[test]
    fn several_classes_are_mixed_one_by_one() {
        let labels = [Label::many([0, 2]), Label::many([]), Label::many([0, 1])];
        assert_eq!(
            soft_targets(&labels, 3, 0.75),
            [1.0, 0.25, 0.75, 0.0, 0.0, 0.0, 1.0, 0.75, 0.25]
        );
    }
}
