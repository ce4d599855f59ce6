//! Pillow's `ImageOps`: autocontrast, equalize, invert, posterize, solarize; and `ImageEnhance.Sharpness`.

use super::colour::blend_values;
use image::{Rgb, RgbImage};

/// Stretches each channel to 0..255.
pub(super) fn autocontrast(image: &RgbImage) -> RgbImage {
    map_channels(image, |histogram| {
        let used = |value: &usize| histogram[*value] > 0;
        let (Some(low), Some(high)) = ((0..256).find(used), (0..256).rev().find(used)) else {
            return identity();
        };
        if high <= low {
            return identity();
        }
        let scale = 255.0 / (high - low) as f64;
        let offset = -(low as f64) * scale;
        std::array::from_fn(|value| (value as f64 * scale + offset) as u8)
    })
}

/// Flattens the histogram of each channel.
pub(super) fn equalize(image: &RgbImage) -> RgbImage {
    map_channels(image, |histogram| {
        let last = histogram
            .iter()
            .rev()
            .find(|&&count| count > 0)
            .copied()
            .unwrap_or(0);
        let step = (histogram.iter().sum::<u32>() - last) / 255;
        if step == 0 {
            return identity();
        }
        let mut below = step / 2;
        histogram.map(|count| {
            let level = (below / step).min(255) as u8;
            below += count;
            level
        })
    })
}

/// The negative.
pub(super) fn invert(image: &RgbImage) -> RgbImage {
    map_values(image, |value| 255 - value)
}

/// Keeps the upper `bits` of every value, 0 to 8.
pub(super) fn posterize(image: &RgbImage, bits: u32) -> RgbImage {
    let mask = !(0xff_u32 >> bits.min(8)) as u8;
    map_values(image, |value| value & mask)
}

/// Inverts values from `threshold` on.
pub(super) fn solarize(image: &RgbImage, threshold: u32) -> RgbImage {
    map_values(image, |value| {
        if u32::from(value) < threshold {
            value
        } else {
            255 - value
        }
    })
}

/// Smooth at factor 0, unchanged at 1, sharpened above.
pub(super) fn sharpness(image: &RgbImage, factor: f32) -> RgbImage {
    let smooth = smooth(image);
    RgbImage::from_fn(image.width(), image.height(), |x, y| {
        let (from, to) = (smooth.get_pixel(x, y), image.get_pixel(x, y));
        Rgb(std::array::from_fn(|c| blend_values(from[c], to[c], factor)))
    })
}

/// Pillow's `ImageFilter.SMOOTH`: a 3 x 3 mean in which the centre counts five times; the border stays.
fn smooth(image: &RgbImage) -> RgbImage {
    let (width, height) = image.dimensions();
    RgbImage::from_fn(width, height, |x, y| {
        if x == 0 || y == 0 || x + 1 == width || y + 1 == height {
            return *image.get_pixel(x, y);
        }
        let sum = |c: usize| {
            let around: u32 = (y - 1..=y + 1)
                .flat_map(|v| (x - 1..=x + 1).map(move |u| (u, v)))
                .map(|(u, v)| u32::from(image.get_pixel(u, v)[c]))
                .sum();
            around + 4 * u32::from(image.get_pixel(x, y)[c])
        };
        Rgb(std::array::from_fn(|c| ((2 * sum(c) + 13) / 26) as u8))
    })
}

type Table = [u8; 256];

fn identity() -> Table {
    std::array::from_fn(|value| value as u8)
}

fn map_values(image: &RgbImage, change: impl Fn(u8) -> u8) -> RgbImage {
    let mut result = image.clone();
    for value in result.iter_mut() {
        *value = change(*value);
    }
    result
}

/// Changes each channel by a table made from its histogram.
fn map_channels(image: &RgbImage, table: impl Fn([u32; 256]) -> Table) -> RgbImage {
    let tables: [Table; 3] = std::array::from_fn(|channel| {
        let mut histogram = [0; 256];
        for pixel in image.pixels() {
            histogram[usize::from(pixel[channel])] += 1;
        }
        table(histogram)
    });
    let mut result = image.clone();
    for pixel in result.pixels_mut() {
        *pixel = Rgb(std::array::from_fn(|channel| {
            tables[channel][usize::from(pixel[channel])]
        }));
    }
    result
}
