//! [`RunState`]: everything `--resume` continues from, in one file that is replaced in one move.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::Path;

use serde::{Deserialize, Serialize};
use vpt_core::HostTensor;
use vpt_core::device::{SelectedDevice, reserved_bytes};
use vpt_core::weights::{SafetensorsFile, StoredFloat};
use vpt_eval::EpochRow;

use crate::optimizer::OptimizerState;
use crate::{RunDir, TrainConfig, TrainError};

/// Key of the metadata document.
const KEY: &str = "vpt-state";

/// Version of the format.
const FORMAT: &str = "vpt-state/1";

/// Where a run stands. Randomness needs no state: it is a function of seed, epoch and image.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Version of the format.
    pub format: String,
    /// Day of the run's first start, `YYYY-MM-DD`.
    pub date: String,
    /// SHA-256 of the data set.
    pub data_fingerprint: String,
    /// SHA-256 of the backbone.
    pub backbone_sha256: String,
    /// Whether the head stands where training starts: taken from another run, or fitted as `--head-init` says.
    pub head_ready: bool,
    /// Epoch in progress, from 0.
    pub epoch: usize,
    /// Next batch of that epoch.
    pub batch: usize,
    /// Optimiser steps taken.
    pub step: usize,
    /// Sum of the training loss over the images of the epoch so far.
    pub loss_sum: f64,
    /// Images of the epoch so far.
    pub images: usize,
    /// Seconds that the epoch's training took so far.
    pub seconds: f64,
    /// Seconds of training in all epochs, without validation.
    pub train_seconds: f64,
    /// Images trained on in all epochs.
    pub train_images: usize,
    /// Most memory that was reserved on a GPU at the end of an epoch, bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_memory_bytes: Option<u64>,
    /// Epochs since the best one.
    pub stale_epochs: usize,
    /// Why the loop is over, once it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<EndReason>,
    /// The best epoch so far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub best: Option<Best>,
    /// The finished epochs.
    #[serde(default)]
    pub history: Vec<EpochRow>,
}

/// Why no further epoch is trained.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EndReason {
    /// All epochs are done.
    Complete,
    /// `--patience` epochs went by without a better one.
    EarlyStop,
}

/// The best epoch by the validation metric.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Best {
    /// Epoch, from 0.
    pub epoch: usize,
    /// Its value of the metric.
    pub metric: f64,
    /// Its validation loss, which decides between equal metrics.
    pub val_loss: f64,
}

/// [`Progress`] and the tensors that belong to it.
#[derive(Clone, Debug, PartialEq)]
pub struct RunState {
    /// Where the run stands.
    pub progress: Progress,
    /// The tuned tensors, under the names of the task file.
    pub tuned: BTreeMap<String, HostTensor>,
    /// Their running mean; empty without one.
    pub average: BTreeMap<String, HostTensor>,
    /// The tuned tensors of the best epoch.
    pub best: BTreeMap<String, HostTensor>,
    /// The optimiser's state.
    pub optimizer: OptimizerState,
}

/// The metadata document: TOML, because it keeps every finite and infinite float exactly.
#[derive(Serialize, Deserialize)]
struct Document {
    counters: BTreeMap<String, i64>,
    progress: Progress,
}

impl Progress {
    /// A run that has not begun.
    pub fn new(date: String, data_fingerprint: String, backbone_sha256: String) -> Self {
        Self {
            format: FORMAT.into(),
            date,
            data_fingerprint,
            backbone_sha256,
            head_ready: false,
            epoch: 0,
            batch: 0,
            step: 0,
            loss_sum: 0.0,
            images: 0,
            seconds: 0.0,
            train_seconds: 0.0,
            train_images: 0,
            device_memory_bytes: None,
            stale_epochs: 0,
            ended: None,
            best: None,
            history: Vec::new(),
        }
    }
}

impl Progress {
    /// Counts an optimiser step over `batches` batches of `images` images.
    pub(crate) fn count_step(&mut self, batches: usize, images: usize) {
        self.batch += batches;
        self.step += 1;
        self.images += images;
    }

    /// Remembers the most memory that was reserved on `device`, if it has memory of its own.
    pub(crate) fn count_device_memory(&mut self, device: &SelectedDevice) {
        let all = std::iter::once(&device.device).chain(&device.peers);
        let reserved = all.filter_map(reserved_bytes).reduce(|sum, bytes| sum + bytes);
        self.device_memory_bytes = self.device_memory_bytes.max(reserved);
    }

    /// Moves on to the next epoch, if there is to be one.
    pub(crate) fn close_epoch(&mut self, row: EpochRow, is_best: bool, config: &TrainConfig) {
        self.history.push(row);
        self.train_seconds += self.seconds;
        self.train_images += self.images;
        self.stale_epochs = if is_best { 0 } else { self.stale_epochs + 1 };
        self.epoch += 1;
        (self.batch, self.loss_sum, self.images, self.seconds) = (0, 0.0, 0, 0.0);
        self.ended = if self.epoch >= config.epochs {
            Some(EndReason::Complete)
        } else if config
            .patience
            .is_some_and(|patience| self.stale_epochs >= patience)
        {
            Some(EndReason::EarlyStop)
        } else {
            None
        };
    }
}

impl RunState {
    /// A run that is over.
    pub(crate) fn without_tensors(progress: Progress) -> Self {
        Self {
            progress,
            tuned: BTreeMap::new(),
            average: BTreeMap::new(),
            best: BTreeMap::new(),
            optimizer: OptimizerState::default(),
        }
    }

    /// Replaces the state of `run`: whenever the process is killed, the file holds the old state or this one.
    ///
    /// # Errors
    /// [`TrainError::Write`]; [`TrainError::State`] when a tensor holds a value that is not finite.
    pub fn save(self, run: &RunDir) -> Result<(), TrainError> {
        let path = run.file(RunDir::STATE);
        let bad = |reason: String| TrainError::State {
            path: path.clone(),
            reason,
        };
        let document = Document {
            counters: self.optimizer.counters,
            progress: self.progress,
        };
        let document = toml::to_string(&document).map_err(|error| bad(error.to_string()))?;
        let groups = [
            (TUNED, self.tuned),
            (AVERAGE, self.average),
            (BEST, self.best),
            (OPTIMIZER, self.optimizer.tensors),
        ];
        let tensors = groups.into_iter().flat_map(|(group, tensors)| {
            tensors
                .into_iter()
                .map(move |(name, tensor)| (format!("{group}/{name}"), tensor))
        });
        let file = SafetensorsFile {
            tensors: tensors.collect(),
            metadata: BTreeMap::from([(KEY.into(), document)]),
        };
        let written = run.write_with(RunDir::STATE, |out| file.write(out, StoredFloat::F32));
        written.map_err(|error| match error {
            TrainError::Write { source, .. } if source.kind() == ErrorKind::InvalidData => {
                bad(source.to_string())
            }
            other => other,
        })
    }

    /// Reads the state in the run folder `run`; `None` when it was not saved yet.
    ///
    /// # Errors
    /// [`TrainError::State`] when the file is damaged or of another version, [`vpt_core::CoreError`] when it is not a
    /// safetensors file.
    pub fn load(run: &RunDir) -> Result<Option<Self>, TrainError> {
        let path = run.file(RunDir::STATE);
        if !path.exists() {
            return Ok(None);
        }
        Self::read(&path).map(Some)
    }

    fn read(path: &Path) -> Result<Self, TrainError> {
        let bad = |reason: String| TrainError::State {
            path: path.to_owned(),
            reason,
        };
        let file = SafetensorsFile::read(path)?;
        let document = file
            .metadata
            .get(KEY)
            .ok_or_else(|| bad(format!("its metadata has no key `{KEY}`")))?;
        let Document { counters, progress } =
            toml::from_str(document).map_err(|error| bad(error.to_string()))?;
        if progress.format != FORMAT {
            return Err(bad(format!(
                "its format is `{}`, expected `{FORMAT}`",
                progress.format
            )));
        }
        let mut groups: BTreeMap<String, BTreeMap<String, HostTensor>> = BTreeMap::new();
        for (name, tensor) in file.tensors {
            let (group, name) = name
                .split_once('/')
                .ok_or_else(|| bad(format!("tensor `{name}` belongs to no group")))?;
            groups
                .entry(group.into())
                .or_default()
                .insert(name.into(), tensor);
        }
        let mut take = |group: &str| groups.remove(group).unwrap_or_default();
        let (tuned, average) = (take(TUNED), take(AVERAGE));
        let (best, tensors) = (take(BEST), take(OPTIMIZER));
        Ok(Self {
            progress,
            tuned,
            average,
            best,
            optimizer: OptimizerState { tensors, counters },
        })
    }
}

const TUNED: &str = "tuned";
const AVERAGE: &str = "average";
const BEST: &str = "best";
const OPTIMIZER: &str = "optimizer";
