//! A data set: images, their classes and which split each belongs to.

use crate::{DataError, Format, Split};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// One labelled image.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Sample {
    /// The file.
    pub path: PathBuf,
    /// Index into [`Dataset::classes`].
    pub label: usize,
}

/// An image that cannot be decoded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BadImage {
    /// The file.
    pub path: PathBuf,
    /// Why it cannot be decoded.
    pub reason: String,
}

/// Images, their classes, and the split each belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dataset {
    /// The folder's name.
    pub name: String,
    /// The folder.
    pub root: PathBuf,
    /// How it lies on disk.
    pub format: Format,
    /// Class names in natural order (`2` before `10`); labels are indices into this.
    pub classes: Vec<String>,
    /// What is learnt from.
    pub train: Vec<Sample>,
    /// What chooses the epoch.
    pub val: Vec<Sample>,
    /// What is reported on; may be empty.
    pub test: Vec<Sample>,
    /// Unreadable images that were left out.
    pub skipped: Vec<BadImage>,
    /// What the user should know, such as how the data was split.
    pub notes: Vec<String>,
}

/// How to open a data set.
#[derive(Clone, Debug, PartialEq)]
pub struct OpenOptions {
    /// Decides which images go where when the data set does not say.
    pub seed: u64,
    /// Part of the images that go into `val` where there is none.
    pub val_fraction: f64,
    /// Part of the images that go into `test` where there are no split folders.
    pub test_fraction: f64,
    /// Take this many training images per class only.
    pub shots: Option<usize>,
    /// Leave out unreadable images instead of failing.
    pub skip_bad_images: bool,
    /// Decode every image once, so that a broken one is known before training.
    pub check_images: bool,
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self {
            seed: 42,
            val_fraction: 0.15,
            test_fraction: 0.15,
            shots: None,
            skip_bad_images: false,
            check_images: true,
        }
    }
}

impl Dataset {
    /// Opens the data set in `dir`.
    pub fn open(dir: &Path, _options: &OpenOptions) -> Result<Self, DataError> {
        Err(DataError::NoImages { dir: dir.into() })
    }

    /// The images of one split.
    pub fn split(&self, split: Split) -> &[Sample] {
        match split {
            Split::Train => &self.train,
            Split::Val => &self.val,
            Split::Test => &self.test,
        }
    }

    /// How many images of each class a split has, in class order.
    pub fn class_counts(&self, split: Split) -> Vec<usize> {
        let mut counts = vec![0; self.classes.len()];
        for sample in self.split(split) {
            counts[sample.label] += 1;
        }
        counts
    }
}
