//! What a data set is made of, and what may be wrong with it.

use crate::copies::Copies;
pub use crate::copies::{Duplicate, Located};
use crate::{
    BadImage, DataError, Dataset, Format, ObjectSize, Problems, Sample, Split, TaskKind, decode, read_mask,
};
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
    /// Images (or objects) of the largest class for one of the smallest, in train.
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
    /// The objects, of a detection data set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub objects: Option<ObjectSummary>,
    /// The classes of pixels, of a segmentation data set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pixels: Option<Vec<PixelSummary>>,
    /// What is wrong with the annotations, and what was made of it.
    #[serde(default, skip_serializing_if = "Problems::is_empty")]
    pub problems: Problems,
}

/// The objects of all splits; those of each class and split are in [`SplitSummary::per_class`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ObjectSummary {
    /// How many there are, without crowds.
    pub objects: usize,
    /// Objects of a picture, without crowds.
    pub per_picture: Range,
    /// Pictures of train, val and test without any object.
    pub without: Vec<usize>,
    /// Objects of less than 32 x 32 square pixels of the original picture, by their area.
    pub small: usize,
    /// Objects of less than 96 x 96.
    pub medium: usize,
    /// Larger ones.
    pub large: usize,
    /// Crowds.
    pub crowds: usize,
    /// Objects that are too hard to be asked for.
    pub difficult: usize,
    /// Objects of which the outline is known.
    pub outlines: usize,
}

/// The classes of the pixels of a split.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PixelSummary {
    /// Which split.
    pub split: Split,
    /// The share of each class among the pixels that are of any, in label order; zeros without pixels.
    pub shares: Vec<f64>,
    /// The share of all pixels that is of no class.
    pub ignored: f64,
}

/// How many images a split has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SplitSummary {
    /// Which split.
    pub split: Split,
    /// All its images.
    pub images: usize,
    /// Its images of each class, in label order; of a detection data set its objects ([`Dataset::class_counts`]).
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
            objects: (dataset.kind == TaskKind::Detection).then(|| ObjectSummary::of(dataset)),
            pixels: None,
            problems: dataset.problems.clone(),
        };
        if dataset.kind == TaskKind::Segmentation {
            let pixels = Split::ALL.map(|split| PixelSummary::of(dataset, split, &mut summary.unreadable));
            summary.pixels = Some(pixels.into());
        }
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

impl ObjectSummary {
    fn of(dataset: &Dataset) -> Self {
        let mut summary = Self {
            objects: 0,
            per_picture: Range::default(),
            without: vec![],
            small: 0,
            medium: 0,
            large: 0,
            crowds: 0,
            difficult: 0,
            outlines: 0,
        };
        let mut per_picture = vec![];
        for split in Split::ALL {
            let samples = dataset.split(split);
            let all = samples
                .iter()
                .map(|sample| sample.label.objects().unwrap_or_default());
            summary
                .without
                .push(all.clone().filter(|objects| objects.is_empty()).count());
            for objects in all {
                let single = objects.iter().filter(|object| !object.crowd);
                per_picture.push(single.clone().count() as u32);
                for object in single {
                    match object.size() {
                        ObjectSize::Small => summary.small += 1,
                        ObjectSize::Medium => summary.medium += 1,
                        ObjectSize::Large => summary.large += 1,
                    }
                    summary.objects += 1;
                    summary.difficult += usize::from(object.difficult);
                    summary.outlines += usize::from(object.outline.is_some());
                }
                summary.crowds += objects.iter().filter(|object| object.crowd).count();
            }
        }
        summary.per_picture = Range::of(per_picture);
        summary
    }
}

impl PixelSummary {
    /// Reads all masks of a split. Those that cannot be read are added to `unreadable`.
    fn of(dataset: &Dataset, split: Split, unreadable: &mut Vec<BadImage>) -> Self {
        let classes = dataset.classes.len();
        let count = |sample: &Sample| match read_mask(sample) {
            Ok(mask) => Ok(mask.counts(classes)),
            Err(error) => Err(BadImage {
                path: sample
                    .label
                    .mask()
                    .and_then(|mask| mask.path())
                    .unwrap_or(&sample.path)
                    .into(),
                reason: error.reason(),
            }),
        };
        let counted: Vec<_> = dataset.split(split).par_iter().map(count).collect();
        let (mut counts, mut ignored) = (vec![0_u64; classes], 0);
        for mask in counted {
            match mask {
                Err(bad) => unreadable.push(bad),
                Ok((of, left)) => {
                    ignored += left;
                    counts.iter_mut().zip(of).for_each(|(sum, count)| *sum += count);
                }
            }
        }
        let known: u64 = counts.iter().sum();
        let share = |count: u64, of: u64| if of == 0 { 0.0 } else { count as f64 / of as f64 };
        Self {
            split,
            shares: counts.into_iter().map(|count| share(count, known)).collect(),
            ignored: share(ignored, known + ignored),
        }
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
