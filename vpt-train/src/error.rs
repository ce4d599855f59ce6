//! [`TrainError`]: everything that can go wrong between arguments and results.

use std::io;
use std::path::{Path, PathBuf};

use vpt_core::CoreError;
use vpt_data::DataError;
use vpt_eval::EvalError;

/// An error of this crate. The message names the flag, file or step, what was expected and what was found;
/// [`TrainError::hint`] has the remedy.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainError {
    /// A setting outside its range.
    #[error("`{flag}` is `{value}`, expected {allowed}")]
    Setting {
        /// The flag, `--lr`.
        flag: &'static str,
        /// What was given.
        value: String,
        /// What may be given, in words.
        allowed: String,
    },

    /// Settings that cannot be read: an unknown key, a value of the wrong type.
    #[error("in the settings: {reason}")]
    Config {
        /// What the TOML reader said.
        reason: String,
    },

    /// The run folder that was asked for is there already.
    #[error("run folder `{}` exists already", path.display())]
    RunExists {
        /// The folder.
        path: PathBuf,
    },

    /// Another process trains into the folder.
    #[error("another vpt process is training into `{}`", path.display())]
    RunLocked {
        /// The folder.
        path: PathBuf,
    },

    /// `--resume` was given something that training did not make.
    #[error("`{}` is not a training run: {reason}", path.display())]
    NotARun {
        /// The folder.
        path: PathBuf,
        /// What is missing.
        reason: String,
    },

    /// The operating system refused to write.
    #[error("cannot write `{}`: {source}", path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },

    /// The operating system refused to read.
    #[error("cannot read `{}`: {source}", path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },

    /// A state file that training cannot continue from.
    #[error("`{}` is not a readable training state: {reason}", path.display())]
    State {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },

    /// The images or the backbone are not those the run was started with.
    #[error("cannot resume: the {what} changed since the run was started (then `{then}`, now `{now}`)")]
    Changed {
        /// `data set` or `backbone`.
        what: &'static str,
        /// Hash then.
        then: String,
        /// Hash now.
        now: String,
    },

    /// Nothing can choose the best epoch.
    #[error("data set `{dataset}` has no {split} images")]
    EmptySplit {
        /// Its name.
        dataset: String,
        /// The split.
        split: vpt_data::Split,
    },

    /// The loss left the realm of numbers.
    #[error("the loss is `{loss}` at epoch {epoch}, step {step} (learning rate {lr:.3e})")]
    NotFinite {
        /// What the loss was: `NaN` or `inf`.
        loss: f64,
        /// Epoch, from 1.
        epoch: usize,
        /// Optimiser step, from 1.
        step: usize,
        /// Learning rate of that step.
        lr: f64,
        /// Gradient norm limit, if there was one.
        clip_grad: Option<f64>,
    },

    /// Data could not be read.
    #[error(transparent)]
    Data(#[from] DataError),

    /// The model, its weights or a task file.
    #[error(transparent)]
    Core(#[from] CoreError),

    /// Predictions, metrics or reports.
    #[error(transparent)]
    Eval(#[from] EvalError),
}

impl TrainError {
    /// One remedy, without the `hint: ` before it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Setting { .. } | Self::Read { .. } => None,
            Self::Config { .. } => Some("`args.toml` of any run shows every setting by name".into()),
            Self::RunExists { path } => Some(format!(
                "use another --experiment, --exist-ok to replace it, or --resume {} to continue it",
                path.display()
            )),
            Self::RunLocked { .. } => Some("wait for it, or use another --experiment".into()),
            Self::NotARun { .. } => {
                Some("give the folder that `vpt train` printed, such as runs/train/flowers".into())
            }
            Self::Write { source, .. } => match source.kind() {
                io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                    Some("choose a folder that you may write to with --output".into())
                }
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Some(
                    "free some space, then continue with --resume; or use another disk with --output".into(),
                ),
                _ => Some("choose another folder with --output".into()),
            },
            Self::State { .. } => Some("start the run again with --exist-ok".into()),
            Self::Changed { what, .. } => Some(format!(
                "bring the {what} back, or start a new run; --init-from takes over what was learnt"
            )),
            Self::EmptySplit { split, .. } => Some(match split {
                vpt_data::Split::Test => "add test images, or raise --test-fraction".into(),
                _ => "add images, or raise --val-fraction".into(),
            }),
            Self::NotFinite { lr, clip_grad, .. } => Some(match clip_grad {
                None => format!(
                    "lower --lr (for instance to {:.1e}) or limit steps with --clip-grad 1",
                    lr / 3.0
                ),
                Some(limit) => format!(
                    "lower --lr (for instance to {:.1e}) or --clip-grad (now {limit})",
                    lr / 3.0
                ),
            }),
            Self::Data(error) => error.hint(),
            Self::Core(error) => error.hint(),
            Self::Eval(error) => error.hint(),
        }
    }

    /// For `map_err` after writing `path`.
    pub(crate) fn writing(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Write { path, source }
    }

    /// For `map_err` after reading `path`.
    pub(crate) fn reading(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Read { path, source }
    }
}
