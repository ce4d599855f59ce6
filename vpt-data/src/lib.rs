//! Files, images, labels, splits, preprocessing and augmentation for `vpt`.
//!
//! This crate turns a folder of pictures into numbers a Vision Transformer reads, and knows nothing of
//! models or tensor libraries. The road of an image:
//!
//! [`Dataset::open`] finds the files and their classes → [`decode()`] makes 8-bit RGB of any of them →
//! [`Preprocess`] resizes, crops and normalises as Pillow, torchvision and timm do, [`AugmentConfig`] with random
//! changes → [`Loader`] makes [`Batch`]es ahead of the device.
//!
//! Boxes and masks ([`Label`]) go along: [`Framing`] says where a picture lies in the input and back, [`Batch::framed`] what is
//! where in it. What is wrong with annotations is in [`Problems`].
//!
//! [`fundus`] and [`scenes`] draw data sets that need no download.

pub mod atomic;
mod augment;
mod copies;
mod dataset;
mod decode;
mod dicom;
mod drawing;
mod drawn_mask;
mod error;
mod folds;
pub mod formats;
mod framed;
mod framing;
pub mod fundus;
mod hexadecimal;
pub mod inspect;
mod interpolation;
mod label;
mod leaks;
mod loader;
mod mask;
mod npy;
mod object;
mod open_options;
mod outline;
mod partition;
mod perceptual_hash;
mod preprocess;
mod problem;
pub mod resize;
mod rle;
pub mod rng;
mod sample_weight;
pub mod scenes;
mod scratch_file;
mod split;
mod stored_values;
mod strata;
mod task_spec;

pub use augment::{AugmentConfig, ErasingFill};
pub use dataset::{BadImage, Dataset, Sample};
pub use decode::{decode, decode_bytes, image_size};
pub use dicom::{DicomImage, StoredValues};
pub use error::DataError;
pub use formats::Format;
pub use framed::{Framed, FramedObject, Places};
pub use framing::Framing;
pub use hexadecimal::hexadecimal;
pub use inspect::{DataSummary, ObjectSummary, PixelSummary};
pub use interpolation::Interpolation;
pub use label::Label;
pub use leaks::{Leak, LeakKind, LeakOptions, Leaks};
pub use loader::{Batch, Epoch, Loader, LoaderConfig};
pub use mask::{ClassMask, Mask, read_mask};
pub use npy::NpyArray;
pub use object::{Object, ObjectSize, Objects, PixelBox};
pub use open_options::{ColumnNames, OpenOptions};
pub use outline::Outline;
pub use preprocess::{CropMode, IMAGENET_MEAN, IMAGENET_STD, Preprocess};
pub use problem::{Problem, ProblemKind, Problems};
pub use rle::Rle;
pub use sample_weight::SampleWeight;
pub use scratch_file::ScratchFile;
pub use split::{Split, UnknownSplit};
pub use task_spec::{TaskKind, TaskSpec};
