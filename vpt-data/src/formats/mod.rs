//! How data sets lie on disk: one file per format.

mod boxes;
mod coco;
mod coco_files;
mod coco_json;
mod columns;
mod found_masks;
mod found_objects;
mod image_folder;
mod manifest;
mod mask_folder;
mod mask_numbers;
pub(crate) mod medmnist;
mod metadata;
mod table;
mod voc;
mod voc_masks;
mod yaml;
mod yolo;
mod yolo_description;

pub(crate) use metadata::METADATA;

use crate::{DataError, OpenOptions, Problems, Sample, TaskKind};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::{Path, PathBuf};

/// Endings of files that are taken for images, in lower case; files are matched in any case.
pub const EXTENSIONS: [&str; 12] = [
    "jpg", "jpeg", "jpe", "jfif", "png", "gif", "bmp", "tif", "tiff", "webp", "dcm", "dicom",
];

/// How a data set lies on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// A folder of images per class, perhaps below `train`, `val` and `test`.
    ImageFolder,
    /// A table with a line for each image.
    Manifest,
    /// An archive of MedMNIST.
    Medmnist,
    /// Boxes and outlines in the JSON of COCO.
    Coco,
    /// Boxes in the XML of Pascal VOC, and its masks.
    Voc,
    /// Boxes and outlines in text files as Ultralytics' YOLO has them.
    Yolo,
    /// A mask for each picture.
    MaskFolder,
}

impl Format {
    /// All formats.
    pub const ALL: [Self; 7] = [
        Self::ImageFolder,
        Self::Manifest,
        Self::Medmnist,
        Self::Coco,
        Self::Voc,
        Self::Yolo,
        Self::MaskFolder,
    ];

    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::ImageFolder => "image-folder",
            Self::Manifest => "manifest",
            Self::Medmnist => "medmnist",
            Self::Coco => "coco",
            Self::Voc => "voc",
            Self::Yolo => "yolo",
            Self::MaskFolder => "mask-folder",
        }
    }

    /// One line that explains the format.
    pub fn about(self) -> &'static str {
        match self {
            Self::ImageFolder => {
                "a folder of images per class, perhaps below train/, val/ and test/, perhaps with a metadata.csv"
            }
            Self::Manifest => {
                "a table (.csv, .tsv) with columns path and label (or labels, a|b), perhaps split, patient and weight"
            }
            Self::Medmnist => "an archive of MedMNIST (.npz) with one or several labels for each image",
            Self::Coco => {
                "boxes and outlines: annotations/instances_train.json and images/train/, or train/_annotations.coco.json"
            }
            Self::Voc => {
                "boxes or classes of pixels: Annotations/*.xml or SegmentationClass/*.png, JPEGImages/ and perhaps ImageSets/Main/train.txt"
            }
            Self::Yolo => "boxes and outlines: data.yaml, images/train/ and labels/train/*.txt",
            Self::MaskFolder => "classes of pixels: images/ and masks/, perhaps below train/, val/ and test/",
        }
    }

    /// What the data set at `path` is read as where nothing else is asked for ([`OpenOptions::kind`]), if the way it lies there says so.
    pub fn kind_of(path: &Path) -> Option<TaskKind> {
        match Self::detect(path) {
            Self::Voc if !voc::is_root(path) => Some(TaskKind::Segmentation),
            Self::Coco | Self::Voc | Self::Yolo => Some(TaskKind::Detection),
            Self::MaskFolder => Some(TaskKind::Segmentation),
            Self::ImageFolder | Self::Manifest | Self::Medmnist => None,
        }
    }

    /// The format of what lies at `path`.
    pub(crate) fn detect(path: &Path) -> Self {
        if table::is_table(path) {
            Self::Manifest
        } else if medmnist::is_archive(path) {
            Self::Medmnist
        } else if path.is_file() {
            // Only a description: anything else is no data set, which image folders say best.
            yolo_description::description(path).map_or(Self::ImageFolder, |_| Self::Yolo)
        } else if coco_files::is_root(path) {
            Self::Coco
        } else if voc::is_root(path) || voc_masks::is_root(path) {
            Self::Voc
        } else if yolo_description::is_root(path) {
            Self::Yolo
        } else if mask_folder::is_root(path) {
            Self::MaskFolder
        } else {
            Self::ImageFolder
        }
    }

    /// The folder that the images' paths are relative to.
    pub(crate) fn root(self, path: &Path) -> PathBuf {
        match self {
            Self::Coco => coco_files::root(path),
            Self::Yolo if path.is_dir() => path.into(),
            Self::ImageFolder | Self::Medmnist | Self::Voc | Self::MaskFolder => path.into(),
            Self::Manifest | Self::Yolo => path.parent().unwrap_or(Path::new("")).into(),
        }
    }

    /// Reads the list of images.
    pub(crate) fn read(self, path: &Path, options: &OpenOptions) -> Result<Found, DataError> {
        let masks = options.wants_masks();
        match self {
            Self::ImageFolder => image_folder::read(path, &options.columns),
            Self::Manifest => manifest::read(path, &options.columns),
            Self::Medmnist => medmnist::read(path),
            Self::Coco => coco::read(path, masks),
            Self::Voc if masks || !voc::is_root(path) => voc_masks::read(path),
            Self::Voc => voc::read(path),
            Self::Yolo => yolo::read(path, masks),
            Self::MaskFolder => mask_folder::read(path),
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Whether a file's name ends like an image's.
pub fn is_image(path: &Path) -> bool {
    let extension = path
        .extension()
        .map(|extension| extension.to_string_lossy().to_ascii_lowercase());
    extension.is_some_and(|extension| EXTENSIONS.contains(&extension.as_str()))
}

/// Whether the path is that of an image in an archive, `set.npz/test/17`, which has no file of its own.
pub fn is_in_archive(path: &Path) -> bool {
    medmnist::archive_of(path).is_some()
}

/// What a format found on disk: at least one image in `train`. Of classes of images at least two, and at least one image of each
/// in `train`; of objects and pixels a class may be named that does not occur.
pub(crate) struct Found {
    /// What the labels can be learnt as.
    pub kind: TaskKind,
    /// Class names; labels are indices into this.
    pub classes: Vec<String>,
    /// Names of what else is known of each image.
    pub columns: Vec<String>,
    /// The images.
    pub images: Images,
    /// What the user should know.
    pub notes: Vec<String>,
    /// What is wrong with the annotations.
    pub problems: Problems,
}

/// The images, in an order that depends on their names only.
pub(crate) enum Images {
    /// Nothing says which split an image belongs to.
    Unsplit(Vec<Sample>),
    /// The data set says.
    Split {
        train: Vec<Sample>,
        val: Option<Vec<Sample>>,
        test: Option<Vec<Sample>>,
    },
}
