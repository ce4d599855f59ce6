//! RandAugment (Cubuk et al., NeurIPS 2020, arXiv 1909.13719) with timm's "increasing" magnitudes.

use super::{chance, colour, geometry, tone, uniform};
use image::RgbImage;
use rand::RngExt;
use rand_pcg::Pcg64;

/// Each chosen operation is applied with this probability, as in timm.
const PROBABILITY: f64 = 0.5;

/// The operations to choose from: timm's `_RAND_INCREASING_TRANSFORMS` without `SolarizeAdd`.
#[derive(Clone, Copy, Debug)]
enum Operation {
    AutoContrast,
    Equalize,
    Invert,
    Rotate,
    Posterize,
    Solarize,
    Color,
    Contrast,
    Brightness,
    Sharpness,
    ShearX,
    ShearY,
    TranslateX,
    TranslateY,
}

impl Operation {
    const ALL: [Self; 14] = [
        Self::AutoContrast,
        Self::Equalize,
        Self::Invert,
        Self::Rotate,
        Self::Posterize,
        Self::Solarize,
        Self::Color,
        Self::Contrast,
        Self::Brightness,
        Self::Sharpness,
        Self::ShearX,
        Self::ShearY,
        Self::TranslateX,
        Self::TranslateY,
    ];

    /// Applies the operation at `level`, 0 (nothing or little) to 1 (all), to a random side where it has two.
    ///
    /// Shears are about the centre here, about a corner in timm.
    fn apply(self, image: &RgbImage, level: f64, fill: [u8; 3], rng: &mut Pcg64) -> RgbImage {
        let side = if chance(rng, 0.5) { 1.0 } else { -1.0 };
        let factor = (1.0 + side * 0.9 * level).max(0.1) as f32;
        match self {
            Self::AutoContrast => tone::autocontrast(image),
            Self::Equalize => tone::equalize(image),
            Self::Invert => tone::invert(image),
            Self::Rotate => geometry::rotate(image, side * 30.0 * level, fill),
            Self::Posterize => tone::posterize(image, 4 - (4.0 * level) as u32),
            Self::Solarize => tone::solarize(image, 256 - (256.0 * level) as u32),
            Self::Color => colour::saturation(image, factor),
            Self::Contrast => colour::contrast(image, factor),
            Self::Brightness => colour::brightness(image, factor),
            Self::Sharpness => tone::sharpness(image, factor),
            Self::ShearX => geometry::shear_x(image, side * 0.3 * level, fill),
            Self::ShearY => geometry::shear_y(image, side * 0.3 * level, fill),
            Self::TranslateX => geometry::translate(image, [side * 0.45 * level, 0.0], fill),
            Self::TranslateY => geometry::translate(image, [0.0, side * 0.45 * level], fill),
        }
    }
}

/// `n` random operations of `magnitude` 0..10, one after the other.
///
/// The magnitude of each operation varies a little (standard deviation about 0.5), as in timm's recipes.
pub(super) fn rand_augment(
    mut image: RgbImage,
    n: usize,
    magnitude: f64,
    fill: [u8; 3],
    rng: &mut Pcg64,
) -> RgbImage {
    for _ in 0..n {
        let operation = Operation::ALL[rng.random_range(0..Operation::ALL.len())];
        let level = ((magnitude + uniform(rng, [-0.87, 0.87])) / 10.0).clamp(0.0, 1.0);
        if chance(rng, PROBABILITY) {
            image = operation.apply(&image, level, fill, rng);
        }
    }
    image
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::rng;
    use image::Rgb;

    fn picture() -> RgbImage {
        RgbImage::from_fn(20, 14, |x, y| {
            Rgb([40 + (x * 8) as u8, 30 + (y * 9) as u8, 60 + ((x * y) % 90) as u8])
        })
    }

    #[test]
    fn every_operation_changes_the_picture_and_keeps_its_size() {
        for operation in Operation::ALL {
            let changed = operation.apply(&picture(), 0.9, [128; 3], &mut rng(1, &[]));
            assert_eq!(changed.dimensions(), picture().dimensions());
            assert_ne!(changed, picture(), "{operation:?}");
        }
    }

    #[test]
    fn higher_levels_change_more() {
        let change = |operation: Operation, level: f64| -> u64 {
            let changed = operation.apply(&picture(), level, [128; 3], &mut rng(1, &[]));
            changed
                .iter()
                .zip(picture().iter())
                .map(|(a, b)| u64::from(a.abs_diff(*b)))
                .sum()
        };
        for operation in Operation::ALL.into_iter().skip(3) {
            assert!(change(operation, 0.1) < change(operation, 0.9), "{operation:?}");
        }
    }

    #[test]
    fn none_of_them_is_no_change() {
        assert_eq!(
            rand_augment(picture(), 0, 9.0, [0; 3], &mut rng(1, &[])),
            picture()
        );
    }
}
