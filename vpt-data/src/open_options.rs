//! How to open a data set, where it does not say all itself.

use crate::{DataError, TaskKind};
use serde::{Deserialize, Serialize};

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
    /// Decides which images `shots` takes; `seed` if absent.
    pub shots_seed: Option<u64>,
    /// Leave out unreadable images instead of failing.
    pub skip_bad_images: bool,
    /// Decode every image once, so that a broken one is known before training.
    pub check_images: bool,
    /// Which columns of a table are what, where their names do not say.
    pub columns: ColumnNames,
    /// What is asked of the images. It decides what is read where annotations hold more than one thing: outlines and Pascal VOC's
    /// masks are read for [`TaskKind::Segmentation`], else boxes. Of other data sets it changes nothing; [`Dataset::kind`] is what
    /// they were read as.
    ///
    /// [`Dataset::kind`]: crate::Dataset::kind
    pub kind: Option<TaskKind>,
}

/// Which columns of a table are what; what is not said here is found by the usual names. Where a column may be missing,
/// `none` says that it is, although one has such a name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ColumnNames {
    /// The column with the image's file.
    pub path: Option<String>,
    /// The column with the class.
    pub label: Option<String>,
    /// The column with the split.
    pub split: Option<String>,
    /// The column with what keeps images together, such as the patient.
    pub group: Option<String>,
    /// The column with how much an image counts in the training loss.
    pub weight: Option<String>,
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self {
            seed: 42,
            val_fraction: 0.15,
            test_fraction: 0.15,
            shots: None,
            shots_seed: None,
            skip_bad_images: false,
            check_images: true,
            columns: ColumnNames::default(),
            kind: None,
        }
    }
}

impl OpenOptions {
    /// Whether masks are to be made of outlines.
    pub(crate) fn wants_masks(&self) -> bool {
        self.kind == Some(TaskKind::Segmentation)
    }

    pub(crate) fn validate(&self) -> Result<(), DataError> {
        let wrong = |name, value: String, expected| {
            Err(DataError::InvalidValue {
                name,
                value,
                expected,
            })
        };
        let fraction = |fraction: f64| (0.0..1.0).contains(&fraction);
        match self {
            _ if !fraction(self.val_fraction) => wrong(
                "the val fraction",
                self.val_fraction.to_string(),
                "at least 0 and less than 1",
            ),
            _ if !fraction(self.test_fraction) => wrong(
                "the test fraction",
                self.test_fraction.to_string(),
                "at least 0 and less than 1",
            ),
            _ if self.val_fraction + self.test_fraction >= 1.0 => {
                let sum = self.val_fraction + self.test_fraction;
                wrong(
                    "the sum of the val and test fractions",
                    sum.to_string(),
                    "less than 1",
                )
            }
            _ if self.shots == Some(0) => wrong("the number of shots", "0".into(), "at least 1"),
            _ => Ok(()),
        }
    }
}
