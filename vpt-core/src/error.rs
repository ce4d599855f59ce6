//! [`CoreError`]: everything that can go wrong with models, weights, task files and devices.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use vpt_hub::HubError;

use crate::weights::TensorMismatch;

/// An error of this crate. The message names the file, key or tensor, what was expected and what was found;
/// [`CoreError::hint`] has the remedy.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CoreError {
    /// The operating system refused to read or write a file.
    #[error("cannot {action} `{}`: {source}", path.display())]
    Io {
        /// What was tried: `read`, `write`, `map`, …
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },

    /// A model name that is neither built in nor a path that exists.
    #[error("no model `{spec}`: {reason}")]
    ModelNotFound {
        /// What the user gave.
        spec: String,
        /// What was looked for.
        reason: String,
    },

    /// A model did not come from the Hugging Face hub.
    #[error(transparent)]
    Hub {
        /// Why.
        #[from]
        source: HubError,
    },

    /// A value in a JSON document (config.json, the metadata of a task file) is not what it must be.
    #[error("`{}`: `{key}`: expected {expected}, found {found}", path.display())]
    Key {
        /// The file that holds the document.
        path: PathBuf,
        /// Dotted path of the value, `pretrained_cfg.mean`.
        key: String,
        /// What it must be.
        expected: String,
        /// What it is.
        found: String,
    },

    /// A safetensors file that is truncated, damaged or not one at all.
    #[error("`{}` is not a readable safetensors file: {reason}", path.display())]
    Safetensors {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },

    /// A file of weights that is damaged, not what it seems, or does not go together with others.
    #[error("`{}` is not a readable {kind}: {reason}", path.display())]
    WeightFile {
        /// The file.
        path: PathBuf,
        /// What it should be: `PyTorch checkpoint`.
        kind: &'static str,
        /// What is wrong with it.
        reason: String,
    },

    /// An architecture name without a preset.
    #[error("architecture `{name}` is not known{}", nearest_text(nearest))]
    UnknownArchitecture {
        /// The name.
        name: String,
        /// Known names that resemble it.
        nearest: Vec<String>,
    },

    /// What is wrong with values that a file holds, for errors that know no file.
    #[error("`{}`: {problem}", path.display())]
    InFile {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: Box<CoreError>,
    },

    /// Tensors that are missing, surplus or of another shape than the architecture has.
    #[error("the tensors of {origin} do not fit: {mismatch}")]
    Tensors {
        /// Where they come from, in words: a file in backticks, or `the task file`.
        origin: String,
        /// The three lists.
        mismatch: TensorMismatch,
    },

    /// A safetensors file that is not a vpt task file.
    #[error("`{}` is not a vpt task file: {reason}", path.display())]
    NotTaskFile {
        /// The file.
        path: PathBuf,
        /// What it lacks.
        reason: String,
    },

    /// A task file of a format that this build does not know.
    #[error("`{}` has the format `{found}`; this build reads `{reads}`", path.display())]
    TaskFormat {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: String,
        /// The format that this build reads.
        reads: &'static str,
    },

    /// A task file applied to weights that it was not made on.
    #[error(
        "the task was trained on the backbone `{expected_source}` with sha256 {expected}, \
         but `{found_source}` has sha256 {found}"
    )]
    OtherBackbone {
        /// Hash that the task file carries.
        expected: String,
        /// Where the task's backbone was found when it was trained.
        expected_source: String,
        /// Hash of the backbone given.
        found: String,
        /// Where the backbone given comes from.
        found_source: String,
    },

    /// A setting (flag, method option, hyper-parameter) that cannot be.
    #[error("`{name}` is {value}, expected {expected}")]
    Setting {
        /// Name of the setting, as a user types it without dashes: `num-tokens`.
        name: String,
        /// Its value.
        value: String,
        /// What is allowed.
        expected: String,
    },

    /// An image size that the patches do not tile.
    #[error(
        "image size {}x{} (height x width) cannot be cut into patches of {}x{}",
        size[0], size[1], patch[0], patch[1]
    )]
    ImageSize {
        /// Height and width in pixels.
        size: [usize; 2],
        /// Height and width of a patch in pixels.
        patch: [usize; 2],
    },

    /// A device name that means nothing.
    #[error("unknown device `{text}`")]
    UnknownDevice {
        /// What the user gave.
        text: String,
    },

    /// A device that this build was not compiled for.
    #[error("device `{choice}` needs the Cargo feature `{feature}`, which this build lacks")]
    DeviceNotBuilt {
        /// The device asked for.
        choice: String,
        /// The feature.
        feature: &'static str,
    },

    /// No adapter for an explicitly requested device.
    #[error("no adapter for device `{choice}`: {reason}")]
    NoAdapter {
        /// The device asked for.
        choice: String,
        /// What the driver said, or which adapters there are.
        reason: String,
    },

    /// A device that failed its trial run: it crashed, timed out or computed wrong numbers.
    #[error("device `{device}` failed its trial run: {reason}")]
    DeviceFailed {
        /// The device.
        device: String,
        /// What happened.
        reason: String,
    },

    /// A device had no room for what was computed.
    #[error("the device has no room for what is computed ({reason})")]
    DeviceMemory {
        /// What Burn said was the cause.
        reason: String,
    },

    /// A result could not be read back from a device, or an operation on it failed.
    #[error("the device failed: {reason}")]
    Device {
        /// What Burn said.
        reason: String,
    },
}

impl CoreError {
    /// An [`CoreError::Io`] from its parts; made for `map_err(|e| CoreError::io("read", path, e))`.
    pub fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Io {
            action,
            path: path.to_owned(),
            source,
        }
    }

    /// A [`CoreError::Device`] or [`CoreError::DeviceMemory`] from what Burn says: a message, then a chain of causes of which the last is the
    /// first that happened.
    pub(crate) fn of_device(error: impl fmt::Display) -> Self {
        let text = error.to_string();
        tracing::debug!("{text}");
        let message = text.lines().next().unwrap_or_default().trim();
        let cause = text
            .rsplit_once("Caused by:")
            .and_then(|(_, cause)| cause.trim().lines().next());
        let of_memory = |cause: &str| {
            let cause = cause.to_lowercase();
            ["allocate", "out of memory", "outofmemory"]
                .iter()
                .any(|word| cause.contains(word))
        };
        match cause {
            Some(cause) if of_memory(cause) => Self::DeviceMemory {
                reason: cause.to_owned(),
            },
            None if of_memory(message) => Self::DeviceMemory {
                reason: message.to_owned(),
            },
            Some(cause) => Self::Device {
                reason: format!("{message}: {cause}"),
            },
            None => Self::Device {
                reason: message.to_owned(),
            },
        }
    }

    /// What went wrong when the tensors of `what` were written: a value that cannot be stored, or the file.
    pub(crate) fn writing_tensors(what: &str, path: &Path, error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::InvalidData => Self::setting(what, error, "finite values"),
            _ => Self::io("write", path, error),
        }
    }

    /// A [`CoreError::Setting`] from its parts.
    #[allow(
        clippy::needless_pass_by_value,
        reason = "numbers and texts alike, without a `&` at every call"
    )]
    pub fn setting(name: &str, value: impl ToString, expected: &str) -> Self {
        Self::Setting {
            name: name.to_owned(),
            value: value.to_string(),
            expected: expected.to_owned(),
        }
    }

    /// This error, with the file in which the values lie that it is about.
    pub(crate) fn in_file(self, path: &Path) -> Self {
        Self::InFile {
            path: path.to_owned(),
            problem: Box::new(self),
        }
    }

    /// One remedy, for the line `hint: …` below the message. None where the message says it all.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Io { source, .. } => match source.kind() {
                io::ErrorKind::NotFound => Some("check the path".into()),
                io::ErrorKind::PermissionDenied => {
                    Some("check the permissions of the file and its folder".into())
                }
                io::ErrorKind::StorageFull => Some("free some disk space, or write elsewhere".into()),
                io::ErrorKind::ReadOnlyFilesystem => Some("write elsewhere, this disk is read-only".into()),
                _ => None,
            },
            Self::ModelNotFound { .. } => Some(
                "give `demo`, a folder with model.safetensors and config.json, one weight file (.safetensors, .pth, \
                 .bin, .npz), `hf-hub:organisation/name`, or a name of `vpt list models`"
                    .into(),
            ),
            Self::Hub { source } => source.hint(),
            Self::InFile { problem, .. } => problem.hint(),
            Self::Key { .. } => Some("correct the value, or take the file again from where it came".into()),
            Self::Setting { .. } => Some("`--help` tells what each option allows".into()),
            Self::DeviceMemory { .. } => Some(
                "a smaller `--batch-size` (`--grad-accum-steps` keeps a step as it was) or `--img-size`, `--grad-checkpointing` when \
                 training, or `--device cpu`"
                    .into(),
            ),
            Self::Device { .. } => Some("`--device cpu` always works".into()),
            Self::Safetensors { .. } | Self::WeightFile { .. } => {
                Some("the file may be truncated: download or copy it again".into())
            }
            Self::UnknownArchitecture { .. } => Some("`vpt list models` shows the known ones".into()),
            Self::Tensors { .. } => Some(
                "check that `architecture` and `model_args` in config.json describe these weights".into(),
            ),
            Self::NotTaskFile { .. } => Some(
                "a task file is what `vpt train` writes as best.safetensors; weights go to `--model`".into(),
            ),
            Self::TaskFormat { .. } => Some("update vpt, or train the task again with this build".into()),
            Self::OtherBackbone { expected_source, .. } => Some(format!(
                "give the weights that the task was trained on with `--model` (then at `{expected_source}`)"
            )),
            Self::ImageSize { size, patch } => {
                let fitting = |i: usize| (size[i] / patch[i]).max(1) * patch[i];
                Some(format!(
                    "the nearest size that fits is {}x{}",
                    fitting(0),
                    fitting(1)
                ))
            }
            Self::UnknownDevice { .. } => {
                Some("one of auto, cpu, gpu, gpu:N, vulkan, metal, dx12, cuda, cuda:N".into())
            }
            Self::DeviceNotBuilt { feature, .. } => Some(format!(
                "build with `--features {feature}`, or use `--device auto`"
            )),
            Self::NoAdapter { .. } => {
                Some("`vpt inspect device` lists the adapters; `--device cpu` always works".into())
            }
            Self::DeviceFailed { .. } => {
                Some("use `--device cpu`, or update the driver and try `vpt inspect device --check`".into())
            }
        }
    }
}

/// `, did you mean …` for the names that resemble one that is not known.
fn nearest_text(nearest: &[String]) -> String {
    match nearest {
        [] => String::new(),
        names => format!(", did you mean `{}`", names.join("`, `")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_name_both_sides() {
        let error = CoreError::Key {
            path: "m/config.json".into(),
            key: "model_args.depth".into(),
            expected: "a positive integer".into(),
            found: "\"six\"".into(),
        };
        assert_eq!(
            error.to_string(),
            "`m/config.json`: `model_args.depth`: expected a positive integer, found \"six\""
        );
        let error = CoreError::UnknownArchitecture {
            name: "vit_tny".into(),
            nearest: vec!["vit_tiny".into()],
        };
        assert_eq!(
            error.to_string(),
            "architecture `vit_tny` is not known, did you mean `vit_tiny`"
        );
        let error = CoreError::ImageSize {
            size: [225, 10],
            patch: [16, 16],
        };
        assert_eq!(
            error.hint().as_deref(),
            Some("the nearest size that fits is 224x16")
        );
    }

    #[test]
    fn a_device_without_room_says_so() {
        let text = "An error happened during execution\nCaused by:\n  skipped `MatmulEntry`\nCaused by:\n  can't allocate buffer of size: 156303360\n\
                    No backtrace available";
        let error = CoreError::of_device(text);
        assert_eq!(
            error.to_string(),
            "the device has no room for what is computed (can't allocate buffer of size: 156303360)"
        );
        assert!(error.hint().unwrap().contains("--batch-size"));
        let error =
            CoreError::of_device("An error happened during execution\nCaused by:\n  the device is lost");
        assert_eq!(
            error.to_string(),
            "the device failed: An error happened during execution: the device is lost"
        );
    }
}
