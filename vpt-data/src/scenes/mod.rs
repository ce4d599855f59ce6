//! Draws general pictures for pretraining a small backbone: shapes, textures, counts, places, orientations.
//!
//! Each class can be told only by fine structure: the outline *and* the cover of an object, how many small objects
//! there are, in which quadrant the odd one lies, how a grating is turned, on which side a ring is open, whether the
//! circle is left of the square or inside it, which way a spiral winds, how many waves a line has, what texture fills
//! the picture. Colours, background, size, place and angle (where they are not the question), litter, blur and noise
//! are drawn alike for all classes. Mirror images and large rotations turn some classes into others (a ring open on the
//! left, a clockwise spiral): train without flips.
//!
//! Nothing here looks like a fundus photograph: what is learnt from these pictures and then adapted to
//! [`crate::fundus`] has never seen one.

mod painter;
mod palette;
mod scene;
mod shape;
mod texture;

use crate::drawing::{DrawnSet, draw_folder};
use crate::rng::rng;
use crate::{DataError, Dataset, OpenOptions, Split};
use image::RgbImage;
use scene::Scene;
use std::path::Path;

/// Names the random stream, so that other drawings with the same seed are unrelated.
const STREAM: u64 = 0x7363656e6573;

/// Names of the classes in the order of their labels.
pub fn classes() -> Vec<String> {
    Scene::all().into_iter().map(|(name, _)| name).collect()
}

/// Draws the picture number `index` of a class (a position in [`classes`]) and split, `size` x `size` pixels.
///
/// The picture depends on the arguments alone. 32 pixels are the least at which all classes can be told.
pub fn draw(seed: u64, split: Split, class: usize, index: usize, size: u32) -> RgbImage {
    let all = Scene::all();
    let (_, scene) = &all[class % all.len()];
    painter::paint(
        *scene,
        size,
        &mut rng(seed, &[STREAM, split as u64, class as u64, index as u64]),
    )
}

/// Draws the pictures of every class into `dir` as `<split>/<class>/<number>.jpg`, with a `README.md` that tells what
/// they are, and opens the result. There is no test split: nobody reports accuracy on these.
///
/// `dir` appears only when everything is drawn. If it already holds this very set, nothing is drawn again.
///
/// # Errors
/// If `dir` holds anything else, or cannot be written.
pub fn draw_dataset(
    dir: &Path,
    seed: u64,
    per_class_train: usize,
    per_class_val: usize,
    size: u32,
) -> Result<Dataset, DataError> {
    let set = DrawnSet {
        classes: classes(),
        per_class: [per_class_train, per_class_val, 0],
        readme: README
            .replace("{seed}", &seed.to_string())
            .replace("{counts}", &format!("{per_class_train} / {per_class_val}"))
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
    fn every_class_is_drawn_reproducibly() {
        for class in 0..classes().len() {
            let picture = draw(1, Split::Train, class, 0, 32);
            assert_eq!(picture, draw(1, Split::Train, class, 0, 32));
            assert_ne!(picture, draw(1, Split::Train, class, 1, 32));
            assert_ne!(picture, draw(1, Split::Val, class, 0, 32));
        }
    }
}
