//! Folders of small pictures, made for one test.

use image::{Rgb, RgbImage};
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;
use vpt_data::{DataError, Dataset, OpenOptions, Split};

/// A folder that is removed at the end of the test.
pub struct Folder(TempDir);

impl Folder {
    /// Makes one with the given files. Names of images become small pictures, each with its own colour; others text.
    pub fn with<S: AsRef<str>>(files: impl IntoIterator<Item = S>) -> Self {
        let folder = Self(TempDir::new().unwrap());
        for file in files {
            folder.add(file.as_ref());
        }
        folder
    }

    pub fn add(&self, file: &str) -> PathBuf {
        let path = self.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let sum = file.bytes().fold(7_u32, |sum, byte| {
            sum.wrapping_mul(31).wrapping_add(u32::from(byte))
        });
        let picture = RgbImage::from_pixel(4, 3, Rgb([sum as u8, (sum >> 8) as u8, (sum >> 16) as u8]));
        if vpt_data::formats::is_image(&path) {
            picture.save_with_format(&path, image::ImageFormat::Png).unwrap();
        } else {
            fs::write(&path, "text").unwrap();
        }
        path
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    pub fn open(&self) -> Result<Dataset, DataError> {
        self.open_with(|_| {})
    }

    pub fn open_with(&self, change: impl FnOnce(&mut OpenOptions)) -> Result<Dataset, DataError> {
        let mut options = OpenOptions::default();
        change(&mut options);
        Dataset::open(self.path(), &options)
    }

    /// The error's message with the folder's own path as `ROOT`, and its hint.
    pub fn error(&self) -> (String, String) {
        self.explain(&self.open().unwrap_err())
    }

    pub fn explain(&self, error: &DataError) -> (String, String) {
        let root = self.path().to_string_lossy().into_owned();
        let shorten = |text: String| text.replace(&root, "ROOT").replace('\\', "/");
        (
            shorten(error.to_string()),
            shorten(error.hint().unwrap_or_default()),
        )
    }
}

/// `prefix/0.png` … as many as asked for.
pub fn images(prefix: &str, count: usize) -> Vec<String> {
    (0..count).map(|i| format!("{prefix}/{i}.png")).collect()
}

/// A file in the fixtures folder.
pub fn fixture(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(path)
}

/// The images of a split, below the data set's folder.
pub fn names(dataset: &Dataset, split: Split) -> Vec<String> {
    let below = |path: &Path| {
        path.strip_prefix(&dataset.root)
            .unwrap()
            .to_string_lossy()
            .replace('\\', "/")
    };
    dataset
        .split(split)
        .iter()
        .map(|sample| below(&sample.path))
        .collect()
}
