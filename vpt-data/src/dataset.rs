//! A data set: images, their classes and which split each belongs to.

use crate::error::counted;
use crate::formats::{Found, Images};
use crate::partition::{few, relative, stratified};
use crate::{
    DataError, Format, Label, OpenOptions, Problems, SampleWeight, Split, TaskKind, decode, hexadecimal,
};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};

/// How many headers tell the usual size of images, at most.
const HEADERS_READ: usize = 9;

/// One labelled image.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Sample {
    /// The file.
    pub path: PathBuf,
    /// Its class, its classes, its objects, or the classes of its pixels.
    pub label: Label,
    /// What it must not be parted from, such as its patient; where the data set says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// How much it counts in the training loss.
    #[serde(default, skip_serializing_if = "SampleWeight::is_one")]
    pub weight: SampleWeight,
    /// What else a table says of it: one value for each of [`Dataset::columns`], or none at all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub columns: Vec<String>,
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
    /// The name of the folder or the table.
    pub name: String,
    /// The folder that images' paths are relative to.
    pub root: PathBuf,
    /// How it lies on disk.
    pub format: Format,
    /// Multi-label where images have any number of classes, detection where boxes are known, segmentation where masks are; else
    /// classification, for grades look like any classes.
    pub kind: TaskKind,
    /// Class names in natural order (`2` before `10`); labels are indices into this.
    pub classes: Vec<String>,
    /// The names of a table's other columns, such as a scanner or an age, in its order; empty where there are none.
    pub columns: Vec<String>,
    /// What is learnt from.
    pub train: Vec<Sample>,
    /// What chooses the epoch.
    pub val: Vec<Sample>,
    /// What is reported on; may be empty.
    pub test: Vec<Sample>,
    /// Whether `test` was drawn from the images by the seed, and not by whoever made the data set.
    pub test_is_drawn: bool,
    /// Unreadable images that were left out.
    pub skipped: Vec<BadImage>,
    /// What the user should know, such as how the data was split.
    pub notes: Vec<String>,
    /// What is wrong with the annotations, and what was made of it; [`Dataset::notes`] has one line that counts them.
    pub problems: Problems,
}

impl Dataset {
    /// Opens the data set in `dir`.
    ///
    /// Images that cannot be decoded are an error that lists all of them, or are left out
    /// ([`OpenOptions::skip_bad_images`]). What the data set does not say is decided by the seed: without split folders
    /// images are split into train, val and test class by class; without a `val` folder it is split off `train`. Where images have
    /// several classes or objects, each counts by the rarest of them; pictures without any are a class of their own.
    ///
    /// Where [`OpenOptions::kind`] asks for segmentation, the outlines of COCO and YOLO become masks, and of Pascal VOC its masks
    /// are read.
    ///
    /// Annotations that are wrong are mended or left out, each by the rule of its [`ProblemKind`](crate::ProblemKind), and
    /// reported in [`Dataset::problems`]; a file that is no annotation at all is an error.
    pub fn open(dir: &Path, options: &OpenOptions) -> Result<Self, DataError> {
        options.validate()?;
        let format = Format::detect(dir);
        let Found {
            kind,
            classes,
            columns,
            mut images,
            notes,
            problems,
        } = format.read(dir, options)?;
        let skipped = match options {
            OpenOptions {
                skip_bad_images: true,
                ..
            } => images.remove_bad(&classes)?,
            OpenOptions {
                check_images: true, ..
            } => images.refuse_bad()?,
            _ => vec![],
        };
        let mut dataset = Self {
            name: name_of(dir),
            root: format.root(dir),
            format,
            kind,
            classes,
            columns,
            train: vec![],
            val: vec![],
            test: vec![],
            test_is_drawn: false,
            skipped,
            notes,
            problems,
        };
        dataset.notes.extend(dataset.problems.summary());
        if !dataset.skipped.is_empty() {
            dataset.notes.push(format!(
                "skipped {}",
                counted(dataset.skipped.len(), "unreadable image")
            ));
        }
        match images {
            Images::Unsplit(samples) => dataset.divide(samples, options)?,
            Images::Split { train, val, test } => dataset.complete(train, val, test, options)?,
        }
        dataset.note_unlearnt();
        if let Some(shots) = options.shots {
            dataset.take_shots(shots, options.shots_seed.unwrap_or(options.seed));
        }
        Ok(dataset)
    }

    /// The images of one split.
    pub fn split(&self, split: Split) -> &[Sample] {
        match split {
            Split::Train => &self.train,
            Split::Val => &self.val,
            Split::Test => &self.test,
        }
    }

    /// How many images of each class a split has, in class order; an image of several classes (also of pixels) counts for each of
    /// them. Of objects it is how many there are, without crowds.
    pub fn class_counts(&self, split: Split) -> Vec<usize> {
        let mut counts = vec![0; self.classes.len()];
        for sample in self.split(split) {
            match sample.label.objects() {
                Some(objects) => {
                    for object in objects.iter().filter(|object| !object.crowd) {
                        counts[object.class] += 1;
                    }
                }
                None => {
                    for &class in sample.label.classes() {
                        counts[class] += 1;
                    }
                }
            }
        }
        counts
    }

    /// How many images of a split have each class, in class order.
    pub fn image_counts(&self, split: Split) -> Vec<usize> {
        let mut counts = vec![0; self.classes.len()];
        for &class in self.split(split).iter().flat_map(|sample| sample.label.classes()) {
            counts[class] += 1;
        }
        counts
    }

    /// Shorter side of the training images in pixels: the median of a few of them, from their headers. `None` where there is none
    /// that can be read.
    pub fn usual_edge(&self) -> Option<u32> {
        let step = self.train.len().div_ceil(HEADERS_READ).max(1);
        let mut edges: Vec<u32> = self
            .train
            .iter()
            .step_by(step)
            .filter_map(|sample| {
                let header =
                    decode::header(&sample.path.to_string_lossy(), &decode::read(&sample.path).ok()?).ok()?;
                Some(header.width.min(header.height))
            })
            .collect();
        edges.sort_unstable();
        edges.get(edges.len() / 2).copied()
    }

    /// Says which classes of objects or pixels cannot be learnt.
    fn note_unlearnt(&mut self) {
        if !self.kind.is_dense() {
            return;
        }
        let missing: Vec<String> = self
            .classes
            .iter()
            .zip(self.image_counts(Split::Train))
            .filter(|(_, count)| *count == 0)
            .map(|(class, _)| format!("`{class}`"))
            .collect();
        if !missing.is_empty() {
            self.notes
                .push(format!("no training image has {}", missing.join(", ")));
        }
    }

    /// SHA-256, in hexadecimal, of the classes and of every image's split, relative path, content and label: of objects (also
    /// of those that masks are drawn from) all that is known of them, of masks what their numbers mean and the content of their files.
    ///
    /// Equal wherever the folder lies; different when a file, a name or the split is.
    pub fn fingerprint(&self) -> Result<String, DataError> {
        let mut hash = Sha256::new();
        // Lengths before texts, so that no two lists of texts run into the same bytes.
        let text = |hash: &mut Sha256, text: &str| {
            hash.update((text.len() as u64).to_le_bytes());
            hash.update(text);
        };
        text(&mut hash, "vpt-data/1");
        hash.update((self.classes.len() as u64).to_le_bytes());
        for class in &self.classes {
            text(&mut hash, class);
        }
        for split in Split::ALL {
            let samples = self.split(split);
            hash.update((samples.len() as u64).to_le_bytes());
            let digest = |bytes: Vec<u8>| -> [u8; 32] { Sha256::digest(bytes).into() };
            let contents: Vec<_> = samples
                .par_iter()
                .map(|sample| {
                    let mask = sample
                        .label
                        .mask()
                        .and_then(|mask| mask.path())
                        .map(|file| decode::read(file).map(digest))
                        .transpose()?;
                    Ok::<_, DataError>((digest(decode::read(&sample.path)?), mask))
                })
                .collect();
            for (sample, content) in samples.iter().zip(contents) {
                text(&mut hash, &relative(&sample.path, &self.root));
                let (content, mask) = content?;
                hash.update(content);
                hash.update(sample.label.bytes());
                if let Some(mask) = mask {
                    hash.update(mask);
                }
                if let Some(group) = &sample.group {
                    text(&mut hash, group);
                }
                if !sample.weight.is_one() {
                    hash.update(sample.weight.get().to_le_bytes());
                }
            }
        }
        Ok(hexadecimal(&hash.finalize()))
    }

    /// The same images with the classes in another order.
    ///
    /// `classes` must be the same names; an order of severity, for example, is not alphabetic.
    pub fn with_class_order(mut self, classes: &[String]) -> Result<Self, DataError> {
        let place = |class: &String| classes.iter().position(|name| name == class);
        let places: Option<Vec<usize>> = self.classes.iter().map(place).collect();
        let Some(places) = places.filter(|places| places.len() == classes.len()) else {
            return Err(DataError::OtherClasses {
                dir: self.root,
                expected: classes.into(),
                found: self.classes,
            });
        };
        for samples in [&mut self.train, &mut self.val, &mut self.test] {
            for sample in samples {
                sample.label = sample.label.moved(&places);
            }
        }
        self.classes = classes.into();
        Ok(self)
    }

    /// Splits images of which nothing says where they belong.
    fn divide(&mut self, samples: Vec<Sample>, options: &OpenOptions) -> Result<(), DataError> {
        let OpenOptions {
            seed,
            val_fraction,
            test_fraction,
            ..
        } = *options;
        let parts = stratified(
            samples,
            &self.classes,
            &self.root,
            val_fraction,
            test_fraction,
            seed,
        )?;
        (self.train, self.val, self.test) = (parts.train, parts.val, parts.test);
        self.test_is_drawn = true;
        self.notes.push(format!(
            "{}: {} split {} into train, val and test by seed {seed}{}",
            match self.format {
                Format::ImageFolder => "no split folders",
                Format::Manifest => "no column `split`",
                Format::Voc if self.kind == TaskKind::Segmentation => "no lists in `ImageSets/Segmentation`",
                Format::Voc => "no lists in `ImageSets/Main`",
                Format::Medmnist | Format::Coco | Format::Yolo | Format::MaskFolder => "no splits",
            },
            match self.kind {
                TaskKind::MultiLabel | TaskKind::Detection | TaskKind::Segmentation => {
                    "images, each by the rarest of its classes,"
                }
                TaskKind::Classification | TaskKind::Ordinal => "each class",
            },
            percent(&[1.0 - val_fraction - test_fraction, val_fraction, test_fraction]),
            self.kept_together(),
        ));
        Ok(())
    }

    /// What a note on splitting adds where images have groups.
    fn kept_together(&self) -> &'static str {
        let mut samples = self.train.iter().chain(&self.val).chain(&self.test);
        if samples.any(|sample| sample.group.is_some()) {
            "; images of one group stay together"
        } else {
            ""
        }
    }

    /// What holds the images of a split.
    fn holder(&self) -> &'static str {
        match self.format {
            Format::ImageFolder => "folder",
            Format::Manifest
            | Format::Medmnist
            | Format::Coco
            | Format::Voc
            | Format::Yolo
            | Format::MaskFolder => "images",
        }
    }

    /// Fills in what the split folders lack.
    fn complete(
        &mut self,
        train: Vec<Sample>,
        val: Option<Vec<Sample>>,
        test: Option<Vec<Sample>>,
        options: &OpenOptions,
    ) -> Result<(), DataError> {
        if test.is_none() {
            self.notes.push(format!(
                "no `test` {}: nothing is held out for the final report",
                self.holder()
            ));
        }
        self.test = test.unwrap_or_default();
        if let Some(val) = val {
            (self.train, self.val) = (train, val);
            return Ok(());
        }
        let OpenOptions {
            seed, val_fraction, ..
        } = *options;
        let parts = stratified(train, &self.classes, &self.root, val_fraction, 0.0, seed)?;
        (self.train, self.val) = (parts.train, parts.val);
        self.notes.push(format!(
            "no `val` {}: {} % of `train`, {}, taken as validation by seed {seed}{}",
            self.holder(),
            percent(&[val_fraction]),
            counted(self.val.len(), "image"),
            self.kept_together(),
        ));
        Ok(())
    }

    fn take_shots(&mut self, shots: usize, seed: u64) {
        for (class, count) in self.classes.iter().zip(self.image_counts(Split::Train)) {
            if count < shots {
                let images = counted(count, "training image");
                self.notes
                    .push(format!("class `{class}` has {images}, fewer than {shots} shots"));
            }
        }
        let train = std::mem::take(&mut self.train);
        self.train = few(train, self.classes.len(), &self.root, shots, seed);
    }
}

impl Images {
    /// All lists of images, train (or all) first.
    fn lists(&mut self) -> Vec<&mut Vec<Sample>> {
        match self {
            Self::Unsplit(samples) => vec![samples],
            Self::Split { train, val, test } => [train].into_iter().chain(val).chain(test).collect(),
        }
    }

    /// An error that lists all images which cannot be decoded, if there are any.
    fn refuse_bad(&mut self) -> Result<Vec<BadImage>, DataError> {
        let lists = self.lists();
        let checked = lists.iter().map(|samples| samples.len()).sum();
        let bad: Vec<BadImage> = lists
            .into_iter()
            .flat_map(|samples| bad_images(samples))
            .flatten()
            .collect();
        if bad.is_empty() {
            Ok(bad)
        } else {
            Err(DataError::BadImages { bad, checked })
        }
    }

    /// Removes images that cannot be decoded. An error if nothing is left of a class in train.
    fn remove_bad(&mut self, classes: &[String]) -> Result<Vec<BadImage>, DataError> {
        let mut removed = vec![];
        for (at, samples) in self.lists().into_iter().enumerate() {
            let bad = bad_images(samples);
            let (mut good, mut unreadable) = (vec![], vec![0; classes.len()]);
            // Of objects and pixels a class may be missing.
            let dense = samples.iter().any(|sample| sample.label.is_dense());
            for (sample, bad) in std::mem::take(samples).into_iter().zip(bad) {
                match bad {
                    None => good.push(sample),
                    Some(bad) => {
                        for &class in sample.label.classes() {
                            unreadable[class] += 1;
                        }
                        removed.push(bad);
                    }
                }
            }
            let lost = (0..classes.len())
                .find(|&label| unreadable[label] > 0 && !good.iter().any(|s| s.label.has(label)));
            if let (0, Some(label), false) = (at, lost, dense) {
                let class = classes[label].clone();
                return Err(DataError::UnreadableClass {
                    class,
                    unreadable: unreadable[label],
                });
            }
            *samples = good;
        }
        Ok(removed)
    }
}

/// For each image: why it cannot be decoded, if so.
fn bad_images(samples: &[Sample]) -> Vec<Option<BadImage>> {
    let check = |sample: &Sample| {
        let error = decode::decode(&sample.path).err()?;
        Some(BadImage {
            path: sample.path.clone(),
            reason: error.reason(),
        })
    };
    samples.par_iter().map(check).collect()
}

/// The name of a folder, also of `.` and `..`.
fn name_of(dir: &Path) -> String {
    if dir.is_file() {
        // A table; a description of YOLO is always called the same.
        if Format::detect(dir) == Format::Yolo {
            return name_of(
                dir.parent()
                    .filter(|above| !above.as_os_str().is_empty())
                    .unwrap_or(Path::new(".")),
            );
        }
        return dir
            .file_stem()
            .map_or_else(|| "data".into(), |name| name.to_string_lossy().into_owned());
    }
    let canonical = dir.canonicalize();
    let name = dir.file_name().or_else(|| canonical.as_ref().ok()?.file_name());
    name.map_or_else(|| "data".into(), |name| name.to_string_lossy().into_owned())
}

/// `70/15/15` for 0.7, 0.15 and 0.15.
fn percent(fractions: &[f64]) -> String {
    let rounded = |fraction: &f64| ((fraction * 1000.0).round() / 10.0).to_string();
    fractions.iter().map(rounded).collect::<Vec<_>>().join("/")
}
