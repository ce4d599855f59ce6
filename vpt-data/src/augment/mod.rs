//! Random changes to training pictures that leave their class alone.
//!
//! One family a file: [`crop`] and flips, [`geometry`], [`colour`], [`tone`], [`rand_augment`] on 8-bit pictures as
//! Pillow, torchvision and timm do; [`erasing`] on normalised ones; [`mixing`] (mixup, cutmix) on whole batches, which
//! the loader calls; [`framed`] takes boxes and masks along, [`mosaic`] puts four such pictures into one input.

mod colour;
mod config;
mod crop;
mod erasing;
mod framed;
mod geometry;
mod mixing;
mod mosaic;
mod rand_augment;
mod tone;

pub use config::{AugmentConfig, ErasingFill};
pub(crate) use mixing::mix_batch;
pub(crate) use mosaic::Mosaic;

use rand::RngExt;
use rand_pcg::Pcg64;

/// True with the given probability; never at 0, always at 1.
fn chance(rng: &mut Pcg64, probability: f64) -> bool {
    probability > 0.0 && rng.random::<f64>() < probability
}

/// A number between the two given.
fn uniform(rng: &mut Pcg64, [low, high]: [f64; 2]) -> f64 {
    low + (high - low) * rng.random::<f64>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::imageops;

    /// Each operation against the row of `pillow.png` that Pillow made with it.
    #[test]
    fn operations_equal_pillow() {
        let sheet = image::load_from_memory(include_bytes!("../../tests/fixtures/augment/pillow.png"))
            .expect("a PNG file")
            .to_rgb8();
        let row = |number: u32| imageops::crop_imm(&sheet, 0, number * 28, 40, 28).to_image();
        let image = row(0);
        let ours = [
            colour::brightness(&image, 0.5),
            colour::brightness(&image, 1.4),
            colour::contrast(&image, 0.5),
            colour::contrast(&image, 1.4),
            colour::saturation(&image, 0.3),
            colour::saturation(&image, 1.6),
            tone::sharpness(&image, 0.2),
            tone::sharpness(&image, 1.9),
            tone::autocontrast(&image),
            tone::equalize(&image),
            tone::invert(&image),
            tone::posterize(&image, 3),
            tone::solarize(&image, 100),
            geometry::rotate(&image, 20.0, [10, 20, 30]),
        ];
        let names = "brightness- brightness+ contrast- contrast+ saturation- saturation+ sharpness- sharpness+ \
                     autocontrast equalize invert posterize solarize rotate";
        for ((number, ours), name) in (1..).zip(&ours).zip(names.split_whitespace()) {
            let theirs = row(number);
            assert_ne!(theirs, image, "{name} does something");
            let apart = ours.iter().zip(theirs.iter()).map(|(a, b)| a.abs_diff(*b));
            let allowed = u8::from(name == "rotate");
            assert!(
                apart.clone().max() <= Some(allowed),
                "{name}: {} levels apart",
                apart.max().unwrap_or(0)
            );
        }
    }
}
