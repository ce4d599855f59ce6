//! Draws the demonstration data set: photographs of the back of the eye (fundus), graded by their lesions.
//!
//! The pictures are drawn, no patient is in them. Each shows a retina with pigment, fovea, optic disc and two
//! vessel trees, photographed by an imperfect camera. The class is decided by *lesions* alone, loosely after
//! the International Clinical Diabetic Retinopathy scale (Wilkinson et al., Ophthalmology 110, 2003):
//!
//! | class | rule |
//! |---|---|
//! | `0_healthy` | no lesion |
//! | `1_mild` | microaneurysms only |
//! | `2_moderate` | haemorrhages in one to three quadrants, or exudates outside the macula, or both (with microaneurysms) |
//! | `3_severe` | haemorrhages in all four quadrants (the "4" of the 4-2-1 rule), or an exudate within the macula |
//!
//! - *Microaneurysm*: a round dark-red dot, 2–3 pixels wide when the picture is 96 pixels wide.
//! - *Haemorrhage*: a dark-red blot of irregular outline, or a flame along the nerve fibres, 5–10 pixels.
//! - *Exudates*: small, sharp, bright yellow spots in groups, heaped or in part of a ring.
//! - *Quadrants* are divided by the horizontal and the vertical through the fovea; the *macula* is the disc around
//!   the fovea whose radius is one diameter of the optic disc.
//!
//! So kind (blood or lipid), number of quadrants and place must be seen. What must be *ignored* is drawn alike for
//! all classes: tint, light, left or right eye, rotation, zoom, blur, noise, vessels and their crossings, drusen (dull,
//! soft pale spots near the fovea), naevi, nerve-fibre sheen, dust, lens reflections. Mirror images keep their class.

mod anatomy;
mod annotated;
mod grade;
mod lesions;
mod photograph;

use crate::drawing::{DrawnSet, draw_folder};
use crate::rng::rng;
use crate::{DataError, Dataset, OpenOptions, Split};
use grade::Grade;
use image::RgbImage;
use photograph::{Photograph, photograph};
use std::path::Path;

pub use annotated::{FINDINGS, draw_annotated};

/// The classes in the order of severity; the position is the label.
pub const CLASSES: [&str; 4] = ["0_healthy", "1_mild", "2_moderate", "3_severe"];

/// Names the random stream, so that other drawings with the same seed are unrelated.
const STREAM: u64 = 0x66756e647573;

/// Draws the photograph number `index` of a class (a position in [`CLASSES`]) and split, `size` x `size` pixels.
///
/// The picture depends on the arguments alone. 96 to 128 pixels show every lesion clearly; it still reads at 64.
pub fn draw(seed: u64, split: Split, class: usize, index: usize, size: u32) -> RgbImage {
    draw_photograph(seed, split, class, index, size).image
}

fn draw_photograph(seed: u64, split: Split, class: usize, index: usize, size: u32) -> Photograph {
    let grade = Grade::ALL[class % Grade::ALL.len()];
    let mut rng = rng(seed, &[STREAM, split as u64, class as u64, index as u64]);
    photograph(grade, size, &mut rng)
}

/// Draws `per_class` = [train, val, test] photographs of each class into `dir` as `<split>/<class>/<number>.jpg`,
/// with a `README.md` that tells what they are, and opens the result.
///
/// `dir` appears only when everything is drawn. If it already holds this very set, nothing is drawn again.
///
/// # Errors
/// If `dir` holds anything else, or cannot be written.
pub fn draw_dataset(dir: &Path, seed: u64, per_class: [usize; 3], size: u32) -> Result<Dataset, DataError> {
    let [train, val, test] = per_class;
    let set = DrawnSet {
        classes: CLASSES.map(str::to_owned).to_vec(),
        per_class,
        readme: README
            .replace("{seed}", &seed.to_string())
            .replace("{counts}", &format!("{train} / {val} / {test}"))
            .replace("{size}", &size.to_string()),
    };
    draw_folder(dir, &set, |split, class, index| {
        draw(seed, split, class, index, size)
    })?;
    Dataset::open(
        dir,
        &OpenOptions {
            check_images: false,
            ..OpenOptions::default()
        },
    )
}

const README: &str = include_str!("README.txt");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_depends_on_its_arguments_alone() {
        let picture = draw(1, Split::Train, 2, 5, 64);
        assert_eq!(picture.dimensions(), (64, 64));
        assert_eq!(picture, draw(1, Split::Train, 2, 5, 64));
        for other in [
            draw(2, Split::Train, 2, 5, 64),
            draw(1, Split::Val, 2, 5, 64),
            draw(1, Split::Train, 1, 5, 64),
            draw(1, Split::Train, 2, 6, 64),
        ] {
            assert_ne!(picture, other);
        }
    }

    #[test]
    fn mean_colour_does_not_give_the_grade_away() {
        // Spread of the classes' mean green against the spread within a class (lesions themselves move it a little).
        let green = |class: usize, index: usize| {
            let picture = draw(3, Split::Train, class, index, 48);
            picture.pixels().map(|p| f64::from(p[1])).sum::<f64>() / f64::from(48 * 48)
        };
        let means: Vec<f64> = (0..4)
            .map(|class| (0..40).map(|i| green(class, i)).sum::<f64>() / 40.0)
            .collect();
        let within: Vec<f64> = (0..40).map(|i| green(0, i)).collect();
        let deviation = (within.iter().map(|g| (g - means[0]).powi(2)).sum::<f64>() / 40.0).sqrt();
        let apart =
            means.iter().fold(f64::MIN, |a, &b| a.max(b)) - means.iter().fold(f64::MAX, |a, &b| a.min(b));
        assert!(apart < deviation, "{means:?} {deviation}");
    }
}
