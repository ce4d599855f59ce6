//! Brightness, contrast, saturation and hue, as Pillow's `ImageEnhance` and torchvision's `ColorJitter`.

use super::uniform;
use image::{Rgb, RgbImage};
use rand::seq::SliceRandom;
use rand_pcg::Pcg64;

/// Random brightness, contrast and saturation of `strength`, and hue, in random order.
pub(super) fn jitter(image: RgbImage, strength: f64, hue: f64, rng: &mut Pcg64) -> RgbImage {
    let mut order = [0, 1, 2, 3];
    order.shuffle(rng);
    let range = [(1.0 - strength).max(0.0), 1.0 + strength];
    order.into_iter().fold(image, |image, step| match step {
        0 if strength > 0.0 => brightness(&image, uniform(rng, range) as f32),
        1 if strength > 0.0 => contrast(&image, uniform(rng, range) as f32),
        2 if strength > 0.0 => saturation(&image, uniform(rng, range) as f32),
        3 if hue > 0.0 => turn_hue(&image, uniform(rng, [-hue, hue]) as f32),
        _ => image,
    })
}

/// Black at factor 0, unchanged at 1.
pub(super) fn brightness(image: &RgbImage, factor: f32) -> RgbImage {
    blend(image, factor, |_| [0; 3])
}

/// Evenly grey at factor 0, unchanged at 1.
pub(super) fn contrast(image: &RgbImage, factor: f32) -> RgbImage {
    let total: u64 = image.pixels().map(|pixel| u64::from(luma(*pixel))).sum();
    let mean = (total as f64 / f64::from((image.width() * image.height()).max(1)) + 0.5) as u8;
    blend(image, factor, |_| [mean; 3])
}

/// Black and white at factor 0, unchanged at 1 (Pillow's `ImageEnhance.Color`).
pub(super) fn saturation(image: &RgbImage, factor: f32) -> RgbImage {
    blend(image, factor, |pixel| [luma(pixel); 3])
}

/// Pillow's conversion to `L`: ITU-R 601-2 in 16-bit fixed point.
fn luma(Rgb([r, g, b]): Rgb<u8>) -> u8 {
    ((u32::from(r) * 19595 + u32::from(g) * 38470 + u32::from(b) * 7471 + 0x8000) >> 16) as u8
}

/// Mixes each pixel with its degenerate form: Pillow's `Image.blend`, which extrapolates and truncates.
fn blend(image: &RgbImage, factor: f32, degenerate: impl Fn(Rgb<u8>) -> [u8; 3]) -> RgbImage {
    let mut result = image.clone();
    for pixel in result.pixels_mut() {
        let from = degenerate(*pixel);
        *pixel = Rgb(std::array::from_fn(|c| blend_values(from[c], pixel[c], factor)));
    }
    result
}

/// `from` at factor 0, `to` at 1.
pub(super) fn blend_values(from: u8, to: u8, factor: f32) -> u8 {
    let (from, to) = (f32::from(from), f32::from(to));
    // The cast cuts off the fraction and clamps to 0..255.
    (from + factor * (to - from)) as u8
}

/// Turns every hue by `turn` of the colour circle.
fn turn_hue(image: &RgbImage, turn: f32) -> RgbImage {
    let mut result = image.clone();
    for pixel in result.pixels_mut() {
        let [hue, saturation, value] = hsv(pixel.0.map(|c| f32::from(c) / 255.0));
        *pixel =
            Rgb(rgb([(hue + turn).rem_euclid(1.0), saturation, value]).map(|c| (c * 255.0).round() as u8));
    }
    result
}

/// Hue (0..1), saturation, value.
fn hsv([r, g, b]: [f32; 3]) -> [f32; 3] {
    let (most, least) = (r.max(g).max(b), r.min(g).min(b));
    let range = most - least;
    if range <= 0.0 {
        return [0.0, 0.0, most];
    }
    let sector = match most {
        most if most == r => (g - b) / range,
        most if most == g => (b - r) / range + 2.0,
        _ => (r - g) / range + 4.0,
    };
    [(sector / 6.0).rem_euclid(1.0), range / most, most]
}

fn rgb([hue, saturation, value]: [f32; 3]) -> [f32; 3] {
    [5.0, 3.0, 1.0].map(|offset| {
        let k = (offset + hue * 6.0) % 6.0;
        value * (1.0 - saturation * k.min(4.0 - k).clamp(0.0, 1.0))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture() -> RgbImage {
        RgbImage::from_fn(16, 16, |x, y| {
            Rgb([(x * 17) as u8, (y * 17) as u8, ((x * 7 + y * 11) % 256) as u8])
        })
    }

    #[test]
    fn factor_one_changes_nothing() {
        assert_eq!(brightness(&picture(), 1.0), picture());
        assert_eq!(contrast(&picture(), 1.0), picture());
        assert_eq!(saturation(&picture(), 1.0), picture());
        assert_eq!(turn_hue(&picture(), 0.0), picture());
    }

    #[test]
    fn a_third_of_a_turn_swaps_the_primaries() {
        let red = RgbImage::from_pixel(1, 1, Rgb([200, 0, 0]));
        assert_eq!(turn_hue(&red, 1.0 / 3.0).get_pixel(0, 0).0, [0, 200, 0]);
        assert_eq!(turn_hue(&red, -1.0 / 3.0).get_pixel(0, 0).0, [0, 0, 200]);
        let grey = RgbImage::from_pixel(1, 1, Rgb([77; 3]));
        assert_eq!(turn_hue(&grey, 0.4), grey);
    }

    #[test]
    fn jitter_moves_values_within_its_strength() {
        let grey = RgbImage::from_pixel(4, 4, Rgb([100; 3]));
        let mut seen = std::collections::BTreeSet::new();
        for seed in 0..200 {
            let value = jitter(grey.clone(), 0.3, 0.1, &mut crate::rng::rng(seed, &[])).get_pixel(0, 0)[0];
            assert!((69..=130).contains(&value), "{value}");
            seen.insert(value);
        }
        assert!(seen.len() > 30 && seen.first() < Some(&75) && seen.last() > Some(&125));
    }
}
