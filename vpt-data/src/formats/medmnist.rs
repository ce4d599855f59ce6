//! An archive of MedMNIST v2 (Yang et al. 2023, medmnist.com): `pneumoniamnist.npz`, in any of its image sizes.
//!
//! It holds `train_images`, `train_labels` and so on for `val` and `test`: bytes of `[n, height, width]` or `[n, height, width,
//! 3]`, and one label an image, or a 0 or 1 for each of several. Its images have no files: the one with index 17 in `test` is called `pneumoniamnist.npz/test/17`, here
//! and wherever an image is named.

use super::{Found, Images};
use crate::npy::NpyArray;
use crate::{DataError, Label, Problems, Sample, Split, TaskKind};
use image::ExtendedColorType;
use image::codecs::bmp::BmpEncoder;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;
use zip::ZipArchive;

/// No images shrink by more than this when they are compressed.
const MOST_COMPRESSION: u64 = 256;

/// Names of the classes, which the archives do not hold, in the order of their labels (MedMNIST's `info.py`).
const CLASSES: [(&str, &[&str]); 12] = [
    (
        "pathmnist",
        &[
            "adipose",
            "background",
            "debris",
            "lymphocytes",
            "mucus",
            "smooth muscle",
            "normal colon mucosa",
            "cancer-associated stroma",
            "colorectal adenocarcinoma epithelium",
        ],
    ),
    (
        "dermamnist",
        &[
            "actinic keratoses and intraepithelial carcinoma",
            "basal cell carcinoma",
            "benign keratosis-like lesions",
            "dermatofibroma",
            "melanoma",
            "melanocytic nevi",
            "vascular lesions",
        ],
    ),
    (
        "octmnist",
        &[
            "choroidal neovascularization",
            "diabetic macular edema",
            "drusen",
            "normal",
        ],
    ),
    ("pneumoniamnist", &["normal", "pneumonia"]),
    (
        "chestmnist",
        &[
            "atelectasis",
            "cardiomegaly",
            "effusion",
            "infiltration",
            "mass",
            "nodule",
            "pneumonia",
            "pneumothorax",
            "consolidation",
            "edema",
            "emphysema",
            "fibrosis",
            "pleural",
            "hernia",
        ],
    ),
    ("breastmnist", &["malignant", "normal, benign"]),
    (
        "bloodmnist",
        &[
            "basophil",
            "eosinophil",
            "erythroblast",
            "immature granulocytes",
            "lymphocyte",
            "monocyte",
            "neutrophil",
            "platelet",
        ],
    ),
    ("retinamnist", &["0", "1", "2", "3", "4"]),
    (
        "tissuemnist",
        &[
            "Collecting Duct, Connecting Tubule",
            "Distal Convoluted Tubule",
            "Glomerular endothelial cells",
            "Interstitial endothelial cells",
            "Leukocytes",
            "Podocytes",
            "Proximal Tubule Segments",
            "Thick Ascending Limb",
        ],
    ),
    ("organamnist", &ORGANS),
    ("organcmnist", &ORGANS),
    ("organsmnist", &ORGANS),
];

const ORGANS: [&str; 11] = [
    "bladder",
    "femur-left",
    "femur-right",
    "heart",
    "kidney-left",
    "kidney-right",
    "liver",
    "lung-left",
    "lung-right",
    "pancreas",
    "spleen",
];

/// Whether the path is an archive's.
pub(super) fn is_archive(path: &Path) -> bool {
    path.extension()
        .is_some_and(|extension| extension.eq_ignore_ascii_case("npz"))
        && path.is_file()
}

pub(super) fn read(path: &Path) -> Result<Found, DataError> {
    let archive = Archive::open(path)?;
    let labels_of = |split: Split| archive.part(split).map(|part| &part.labels);
    let bad = |reason: String| broken(path, reason);
    let Some(train) = labels_of(Split::Train) else {
        return Err(bad("it has no `train_images`".into()));
    };
    let parts = Split::ALL
        .into_iter()
        .filter_map(|split| Some((split, labels_of(split)?)));
    for (split, labels) in parts.clone() {
        if labels.columns != train.columns {
            return Err(bad(format!(
                "`{split}_labels` has {} labels for each image, `train_labels` has {}",
                labels.columns, train.columns
            )));
        }
    }
    let count = match train.columns {
        1 => parts
            .flat_map(|(_, labels)| &labels.of_images)
            .filter_map(Label::class)
            .max()
            .map_or(0, |largest| largest + 1),
        several => several,
    };
    let occurs = |class: usize| train.of_images.iter().any(|label| label.has(class));
    if let Some(absent) = (0..count).find(|&class| !occurs(class)) {
        return Err(bad(format!(
            "there are labels up to {}, but none of the training images has the label {absent}",
            count - 1
        )));
    }
    if count < 2 {
        return Err(bad(
            "all training images have the same label, expected two or more labels".into(),
        ));
    }
    let samples = |split: Split| -> Option<Vec<Sample>> {
        let labels = labels_of(split)?.of_images.iter().enumerate();
        let sample = |(index, label): (usize, &Label)| Sample {
            path: path.join(split.name()).join(index.to_string()),
            label: label.clone(),
            ..Sample::default()
        };
        Some(labels.map(sample).collect())
    };
    Ok(Found {
        kind: match train.columns {
            1 => TaskKind::Classification,
            _ => TaskKind::MultiLabel,
        },
        classes: class_names(path, count),
        columns: vec![],
        images: Images::Split {
            train: samples(Split::Train).unwrap_or_default(),
            val: samples(Split::Val),
            test: samples(Split::Test),
        },
        notes: Vec::new(),
        problems: Problems::default(),
    })
}

/// The names of the classes of a known archive; else their labels.
fn class_names(path: &Path, count: usize) -> Vec<String> {
    let stem = path
        .file_stem()
        .map(|stem| stem.to_string_lossy().to_lowercase())
        .unwrap_or_default();
    // `_64`, `_128` and `_224` are larger images of the same set.
    let name = stem.split('_').next().unwrap_or_default();
    match CLASSES
        .iter()
        .find(|(known, classes)| *known == name && classes.len() == count)
    {
        Some((_, classes)) => classes.iter().map(|class| (*class).to_owned()).collect(),
        None => (0..count).map(|label| label.to_string()).collect(),
    }
}

/// The archive, the split and the number of the image called `path`, if it is called like one of an archive.
pub(super) fn archive_of(path: &Path) -> Option<(&Path, Split, usize)> {
    let index: usize = path.file_name()?.to_str()?.parse().ok()?;
    let folder = path.parent()?;
    let split: Split = folder.file_name()?.to_str()?.parse().ok()?;
    let archive = folder.parent().filter(|archive| is_archive(archive))?;
    Some((archive, split, index))
}

/// The image called `path` as the bytes of a BMP file, if it is one of an archive.
pub(crate) fn image_file(path: &Path) -> Option<Result<Vec<u8>, DataError>> {
    let (archive, split, index) = archive_of(path)?;
    let missing = || DataError::Missing { path: path.into() };
    Some(Archive::open(archive).and_then(|archive| {
        let part = archive.part(split).ok_or_else(missing)?;
        part.bmp(index).ok_or_else(missing)
    }))
}

/// The images and labels of one split.
struct Part {
    split: Split,
    pixels: Vec<u8>,
    width: u32,
    height: u32,
    channels: usize,
    labels: Labels,
}

/// The labels of one split.
struct Labels {
    /// Numbers for each image: 1, its class, or a 0 or 1 for each of several classes.
    columns: usize,
    of_images: Vec<Label>,
}

impl Part {
    fn bmp(&self, index: usize) -> Option<Vec<u8>> {
        let size = self.width as usize * self.height as usize * self.channels;
        let start = index.checked_mul(size)?;
        let pixels = self.pixels.get(start..start.checked_add(size)?)?;
        let colour = if self.channels == 1 {
            ExtendedColorType::L8
        } else {
            ExtendedColorType::Rgb8
        };
        let mut bytes = Vec::new();
        let mut encoder = BmpEncoder::new(&mut bytes);
        encoder.encode(pixels, self.width, self.height, colour).ok()?;
        Some(bytes)
    }
}

/// An archive's arrays, unpacked.
struct Archive {
    parts: Vec<Part>,
}

/// An open archive, and which state of which file it is.
struct Opened {
    path: PathBuf,
    changed: Option<SystemTime>,
    archive: Arc<Archive>,
}

/// The archive that was opened last: images are asked for one by one.
static LAST: Mutex<Option<Opened>> = Mutex::new(None);

impl Archive {
    fn open(path: &Path) -> Result<Arc<Self>, DataError> {
        let changed = std::fs::metadata(path)
            .and_then(|metadata| metadata.modified())
            .ok();
        let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(opened) = last.as_ref()
            && (opened.path.as_path(), opened.changed) == (path, changed)
        {
            return Ok(Arc::clone(&opened.archive));
        }
        let archive = Arc::new(Self::read(path)?);
        *last = Some(Opened {
            path: path.into(),
            changed,
            archive: Arc::clone(&archive),
        });
        Ok(archive)
    }

    fn part(&self, split: Split) -> Option<&Part> {
        self.parts.iter().find(|part| part.split == split)
    }

    fn read(path: &Path) -> Result<Self, DataError> {
        let bad = |reason: String| broken(path, reason);
        let file = File::open(path).map_err(|source| DataError::io(path, source))?;
        let size = file
            .metadata()
            .map_err(|source| DataError::io(path, source))?
            .len();
        let mut zip = ZipArchive::new(BufReader::new(file)).map_err(|error| bad(error.to_string()))?;
        let mut array = |name: &str| -> Result<Option<Vec<u8>>, DataError> {
            let Ok(entry) = zip.by_name(&format!("{name}.npy")) else {
                return Ok(None);
            };
            let claimed = entry.size();
            if claimed > size.saturating_mul(MOST_COMPRESSION) {
                return Err(bad(format!(
                    "`{name}` claims {claimed} bytes, the file has {size}"
                )));
            }
            let mut bytes = Vec::new();
            let read = entry.take(claimed).read_to_end(&mut bytes);
            read.map_err(|error| bad(format!("`{name}`: {error}")))?;
            Ok(Some(bytes))
        };
        let mut parts = Vec::new();
        for split in Split::ALL {
            let (images, labels) = (format!("{split}_images"), format!("{split}_labels"));
            if let (Some(pixels), Some(values)) = (array(&images)?, array(&labels)?) {
                let part = Part::new(split, &pixels, &values);
                parts.push(part.map_err(|reason| bad(format!("`{split}_{reason}")))?);
            }
        }
        if parts.is_empty() {
            return Err(bad(
                "it holds no arrays called `train_images` and `train_labels`".into()
            ));
        }
        Ok(Self { parts })
    }
}

impl Part {
    /// # Errors
    /// What is wrong, from the name of the array behind its split on.
    fn new(split: Split, images: &[u8], labels: &[u8]) -> Result<Self, String> {
        let images = NpyArray::parse(images).map_err(|reason| format!("images` {reason}"))?;
        let labels = NpyArray::parse(labels).map_err(|reason| format!("labels` {reason}"))?;
        let (count, height, width, channels) = match *images.shape.as_slice() {
            [count, height, width] => (count, height, width, 1),
            [count, height, width, 3] => (count, height, width, 3),
            ref other => {
                return Err(format!(
                    "images` has shape {other:?}, expected [n, height, width] or [n, height, width, 3]"
                ));
            }
        };
        if images.kind != "|u1" || images.fortran {
            return Err(format!(
                "images` has type `{}`, expected bytes (`|u1`) row by row",
                images.kind
            ));
        }
        images
            .check_size(1)
            .map_err(|reason| format!("images` {reason}"))?;
        let edge = |edge: usize| {
            u32::try_from(edge)
                .ok()
                .filter(|edge| (1..=1 << 15).contains(edge))
        };
        let (Some(height), Some(width)) = (edge(height), edge(width)) else {
            return Err(format!(
                "images` are {height} x {width}, expected 1 to 32768 pixels"
            ));
        };
        let labels = Labels::of(&labels).map_err(|reason| format!("labels` {reason}"))?;
        if labels.of_images.len() != count {
            return Err(format!(
                "labels` has {} labels for {count} images",
                labels.of_images.len()
            ));
        }
        Ok(Self {
            split,
            pixels: images.values.to_vec(),
            width,
            height,
            channels,
            labels,
        })
    }
}

impl Labels {
    /// Classes `[n]` or `[n, 1]`, or a 0 or 1 for each of several classes, `[n, classes]`.
    fn of(labels: &NpyArray<'_>) -> Result<Self, String> {
        let columns = match *labels.shape.as_slice() {
            [_] => 1,
            [_, columns] if columns > 0 => columns,
            ref other => return Err(format!("has shape {other:?}, expected [n, 1]")),
        };
        let numbers = whole_numbers(labels)?;
        if columns == 1 {
            return Ok(Self {
                columns,
                of_images: numbers.into_iter().map(Label::One).collect(),
            });
        }
        if let Some(other) = numbers.iter().find(|&&number| number > 1) {
            return Err(format!(
                "has {columns} labels for each image, one of them {other}; expected 0 or 1"
            ));
        }
        let row = |row: &[usize]| Label::many((0..columns).filter(|&class| row[class] == 1));
        Ok(Self {
            columns,
            of_images: numbers.chunks_exact(columns).map(row).collect(),
        })
    }
}

/// All labels, of any type of whole numbers.
fn whole_numbers(labels: &NpyArray<'_>) -> Result<Vec<usize>, String> {
    let width = match labels.kind.as_bytes() {
        [b'<' | b'|', b'u' | b'i', width @ (b'1' | b'2' | b'4' | b'8')] => usize::from(width - b'0'),
        _ => return Err(format!("has type `{}`, expected whole numbers", labels.kind)),
    };
    labels.check_size(width)?;
    let signed = labels.kind.contains('i');
    let number = |bytes: &[u8]| {
        let mut word = [0; 8];
        word[..width].copy_from_slice(bytes);
        let value = u64::from_le_bytes(word);
        let negative = signed && bytes[width - 1] & 0x80 != 0;
        // More classes than any set has would be as many outputs of the head.
        (!negative && value < 1 << 16)
            .then_some(value as usize)
            .ok_or("has a label that is no number from 0 to 65535")
    };
    let numbers: Result<Vec<usize>, _> = labels.values.chunks_exact(width).map(number).collect();
    Ok(numbers?)
}

fn broken(path: &Path, message: String) -> DataError {
    DataError::Archive {
        path: path.into(),
        message,
    }
}
