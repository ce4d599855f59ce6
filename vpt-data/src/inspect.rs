//! What a data set is made of, and what may be wrong with it.

use crate::copies::Copies;
pub use crate::copies::{Duplicate, Located};
use crate::{BadImage, DataError, Dataset, Format, Sample, Split, decode};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// What a data set is made of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DataSummary {
    /// The data set's name.
    pub name: String,
    /// Its folder.
    pub root: PathBuf,
    /// How it lies on disk.
    pub format: Format,
    /// Class names in label order.
    pub classes: Vec<String>,
    /// Train, val and test.
    pub splits: Vec<SplitSummary>,
    /// Widths of all images in pixels, as shown (after the Exif orientation).
    pub width: Range,
    /// Heights of all images in pixels.
    pub height: Range,
    /// How many images store their colours how: `rgb8`, `gray8`, `gray16`, `cmyk8` …
    pub modes: BTreeMap<String, usize>,
    /// Size of all files.
    pub total_bytes: u64,
    /// Images of the largest class for one of the smallest, in train.
    pub imbalance: f64,
    /// The same file in two splits: what is learnt by heart cannot be tested.
    pub duplicates_across_splits: Vec<Duplicate>,
    /// How many files are copies of another one in the same split.
    pub duplicates_within_splits: usize,
    /// The same file under two classes.
    pub contradictions: Vec<Duplicate>,
    /// Images that cannot be read, including those that opening the data set skipped.
    pub unreadable: Vec<BadImage>,
    /// What opening the data set had to say.
    pub notes: Vec<String>,
}

/// How many images a split has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SplitSummary {
    /// Which split.
    pub split: Split,
    /// All its images.
    pub images: usize,
    /// Its images of each class, in label order.
    pub per_class: Vec<usize>,
}

/// Smallest, middle and largest of some numbers; zeros if there are none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Range {
    /// The smallest.
    pub min: u32,
    /// The middle one, or the mean of the middle two.
    pub median: f64,
    /// The largest.
    pub max: u32,
}

impl DataSummary {
    /// Reads every file of a data set and the header of each image.
    pub fn of(dataset: &Dataset) -> Result<Self, DataError> {
        let all = dataset.placed();
        let files: Vec<Result<File, BadImage>> =
            all.par_iter().map(|(_, sample)| File::read(sample)).collect();

        let mut summary = Self {
            name: dataset.name.clone(),
            root: dataset.root.clone(),
            format: dataset.format,
            classes: dataset.classes.clone(),
            splits: Split::ALL
                .into_iter()
                .map(|split| SplitSummary::of(dataset, split))
                .collect(),
            width: Range::default(),
            height: Range::default(),
            modes: BTreeMap::new(),
            total_bytes: 0,
            imbalance: imbalance(&dataset.class_counts(Split::Train)),
            duplicates_across_splits: vec![],
            duplicates_within_splits: 0,
            contradictions: vec![],
            unreadable: dataset.skipped.clone(),
            notes: dataset.notes.clone(),
        };
        let (mut widths, mut heights) = (vec![], vec![]);
        let mut contents = vec![];
        for (image, file) in all.into_iter().zip(files) {
            match file {
                Err(bad) => summary.unreadable.push(bad),
                Ok(file) => {
                    widths.push(file.header.width);
                    heights.push(file.header.height);
                    *summary.modes.entry(file.header.mode).or_default() += 1;
                    summary.total_bytes += file.bytes;
                    contents.push((file.hash, dataset.locate(image)));
                }
            }
        }
        summary.width = Range::of(widths);
        summary.height = Range::of(heights);
        let copies = Copies::of(contents);
        summary.duplicates_across_splits = copies.across_splits;
        summary.duplicates_within_splits = copies.within_splits;
        summary.contradictions = copies.contradictions;
        Ok(summary)
    }
}

impl SplitSummary {
    fn of(dataset: &Dataset, split: Split) -> Self {
        Self {
            split,
            images: dataset.split(split).len(),
            per_class: dataset.class_counts(split),
        }
    }
}

impl Range {
    fn of(mut numbers: Vec<u32>) -> Self {
        numbers.sort_unstable();
        let (Some(&min), Some(&max)) = (numbers.first(), numbers.last()) else {
            return Self::default();
        };
        let middle = numbers.len() / 2;
        let median = match numbers.len() % 2 {
            0 => f64::midpoint(f64::from(numbers[middle - 1]), f64::from(numbers[middle])),
            _ => f64::from(numbers[middle]),
        };
        Self { min, median, max }
    }
}

/// What is read of one image.
struct File {
    header: decode::Header,
    bytes: u64,
    hash: [u8; 32],
}

impl File {
    fn read(sample: &Sample) -> Result<Self, BadImage> {
        let read = || {
            let bytes = decode::read(&sample.path)?;
            let header = decode::header(&sample.path.to_string_lossy(), &bytes)?;
            Ok(Self {
                header,
                bytes: bytes.len() as u64,
                hash: Sha256::digest(&bytes).into(),
            })
        };
        read().map_err(|error: DataError| BadImage {
            path: sample.path.clone(),
            reason: error.reason(),
        })
    }
}

/// Largest count for one of the smallest; 1 if there is nothing to compare.
fn imbalance(counts: &[usize]) -> f64 {
    match (counts.iter().max(), counts.iter().min()) {
        (Some(&max), Some(&min)) if min > 0 => max as f64 / min as f64,
        _ => 1.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        assert_eq!(Range::of(vec![]), Range::default());
        assert_eq!(
            Range::of(vec![9, 1, 4]),
            Range {
                min: 1,
                median: 4.0,
                max: 9
            }
        );
        assert_eq!(
            Range::of(vec![4, 1, 9, 5]),
            Range {
                min: 1,
                median: 4.5,
                max: 9
            }
        );
    }

    #[test]
    fn imbalances() {
        assert_eq!(imbalance(&[30, 10, 20]), 3.0);
        assert_eq!(imbalance(&[]), 1.0);
    }
}
