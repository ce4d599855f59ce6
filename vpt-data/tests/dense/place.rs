//! A folder of small pictures and texts, made for one test.

use image::{GrayImage, Luma, Rgb, RgbImage};
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;
use vpt_data::{
    ClassMask, DataError, Dataset, OpenOptions, Problem, ProblemKind, Sample, TaskKind, read_mask,
};

pub struct Place(TempDir);

impl Place {
    pub fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    fn file(&self, name: &str) -> PathBuf {
        let path = self.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        path
    }

    pub fn text(&self, name: &str, text: &str) -> &Self {
        fs::write(self.file(name), text).unwrap();
        self
    }

    /// A picture whose colour follows from its name.
    pub fn picture(&self, name: &str, width: u32, height: u32) -> &Self {
        let sum = name
            .bytes()
            .fold(7_u32, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
        let colour = Rgb([sum as u8, (sum >> 8) as u8, (sum >> 16) as u8]);
        RgbImage::from_pixel(width, height, colour)
            .save(self.file(name))
            .unwrap();
        self
    }

    /// A gray mask.
    pub fn mask(&self, name: &str, width: u32, height: u32, value: impl Fn(u32, u32) -> u8) -> &Self {
        GrayImage::from_fn(width, height, |x, y| Luma([value(x, y)]))
            .save(self.file(name))
            .unwrap();
        self
    }

    pub fn open(&self) -> Result<Dataset, DataError> {
        Dataset::open(self.path(), &OpenOptions::default())
    }

    /// The same with a class for each pixel asked for.
    pub fn open_masks(&self) -> Result<Dataset, DataError> {
        let options = OpenOptions {
            kind: Some(TaskKind::Segmentation),
            ..OpenOptions::default()
        };
        Dataset::open(self.path(), &options)
    }

    /// The error's message with the folder's own path as `ROOT`, and its hint.
    pub fn error(&self) -> (String, String) {
        self.shown(&self.open().unwrap_err())
    }

    pub fn error_of_masks(&self) -> (String, String) {
        self.shown(&self.open_masks().unwrap_err())
    }

    fn shown(&self, error: &DataError) -> (String, String) {
        let shorten = |text: String| text.replace(&*self.path().to_string_lossy(), "ROOT");
        (
            shorten(error.to_string()),
            shorten(error.hint().unwrap_or_default()),
        )
    }

    /// The problems of a kind, with the folder's own path as `ROOT`.
    pub fn problems(&self, dataset: &Dataset, kind: ProblemKind) -> Vec<String> {
        let listed = dataset
            .problems
            .listed()
            .iter()
            .filter(|problem| problem.kind == kind);
        let shorten = |problem: &Problem| {
            problem
                .to_string()
                .replace(&*self.path().to_string_lossy(), "ROOT")
        };
        let found: Vec<String> = listed.map(shorten).collect();
        assert_eq!(found.len(), dataset.problems.count(kind));
        found
    }
}

/// Class and edges of all objects of a sample.
pub fn boxes(sample: &Sample) -> Vec<(usize, [f64; 4])> {
    let objects = sample.label.objects().unwrap().iter();
    objects
        .map(|object| (object.class, object.bbox.edges()))
        .collect()
}

/// The masks of all pictures, in the order of their file names.
pub fn masks(dataset: &Dataset) -> Vec<ClassMask> {
    let mut samples: Vec<&Sample> = [&dataset.train, &dataset.val, &dataset.test]
        .into_iter()
        .flatten()
        .collect();
    samples.sort_by_key(|sample| sample.path.file_name().map(ToOwned::to_owned));
    samples
        .into_iter()
        .map(|sample| read_mask(sample).unwrap())
        .collect()
}

/// The file names of samples.
pub fn names(samples: &[Sample]) -> Vec<String> {
    samples
        .iter()
        .map(|sample| sample.path.file_name().unwrap().to_string_lossy().into_owned())
        .collect()
}
