//! How data sets lie on disk: one file per format.

pub mod image_folder;

use serde::{Deserialize, Serialize};
use std::fmt;

/// Endings of files that are taken for images, in lower case; files are matched in any case.
pub const EXTENSIONS: [&str; 10] = ["jpg", "jpeg", "jpe", "jfif", "png", "gif", "bmp", "tif", "tiff", "webp"];

/// How a data set lies on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// A folder of images per class, perhaps below `train`, `val` and `test`.
    ImageFolder,
}

impl Format {
    /// All formats.
    pub const ALL: [Self; 1] = [Self::ImageFolder];

    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::ImageFolder => "image-folder",
        }
    }

    /// One line that explains the format.
    pub fn about(self) -> &'static str {
        match self {
            Self::ImageFolder => "a folder of images per class, perhaps below train/, val/ and test/",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
