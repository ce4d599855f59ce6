//! The three parts of a data set.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A part of a data set: learnt from, chosen by, or reported on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Split {
    /// What the optimiser sees.
    Train,
    /// What chooses the epoch and the settings.
    Val,
    /// Read once, after the last training step.
    Test,
}

impl Split {
    /// All three, in the order in which they are shown.
    pub const ALL: [Self; 3] = [Self::Train, Self::Val, Self::Test];

    /// `train`, `val` or `test`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Val => "val",
            Self::Test => "test",
        }
    }

    /// The split a folder of this name stands for: also `training`, `valid`, `validation`, `dev`, `testing`, in any case.
    pub fn of_folder(name: &str) -> Option<Self> {
        match name.to_ascii_lowercase().as_str() {
            "train" | "training" => Some(Self::Train),
            "val" | "valid" | "validation" | "dev" => Some(Self::Val),
            "test" | "testing" => Some(Self::Test),
            _ => None,
        }
    }
}

impl fmt::Display for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Split {
    type Err = UnknownSplit;

    fn from_str(text: &str) -> Result<Self, UnknownSplit> {
        Self::ALL
            .into_iter()
            .find(|split| split.name() == text)
            .ok_or_else(|| UnknownSplit(text.to_owned()))
    }
}

/// A split was named that does not exist.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown split `{0}`, expected `train`, `val` or `test`")]
pub struct UnknownSplit(pub String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_there_and_back() {
        for split in Split::ALL {
            assert_eq!(split.to_string().parse(), Ok(split));
            assert_eq!(serde_json::to_string(&split).unwrap(), format!("\"{split}\""));
        }
        let error = "tset".parse::<Split>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "unknown split `tset`, expected `train`, `val` or `test`"
        );
    }

    #[test]
    fn folder_names() {
        for (name, split) in [
            ("train", Split::Train),
            ("TRAINING", Split::Train),
            ("Valid", Split::Val),
            ("validation", Split::Val),
            ("dev", Split::Val),
            ("Testing", Split::Test),
        ] {
            assert_eq!(Split::of_folder(name), Some(split), "{name}");
        }
        assert_eq!(Split::of_folder("trainer"), None);
    }
}
