//! Saving: task files for the user, state for `--resume`.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use vpt_core::{HostTensor, TaskFile};
use vpt_eval::EpochRow;

use crate::{RunDir, RunState, TrainError, Trainer};

/// When to save. A run that takes minutes should not spend them on writing, so that a save is due only after twenty times
/// what the last one took; a killed run repeats the steps since, to the same result.
pub struct Checkpoints {
    last: Instant,
    took: Duration,
    /// Whether `best.safetensors` is behind [`Trainer::best_tuned`].
    pub best_changed: bool,
}

impl Checkpoints {
    /// `best_written` is false when a best epoch came from the state of another process, whose files may be newer.
    pub fn new(best_written: bool) -> Self {
        Self {
            last: Instant::now(),
            took: Duration::ZERO,
            best_changed: !best_written,
        }
    }

    /// After an epoch.
    pub fn due(&self) -> bool {
        self.last.elapsed() >= Duration::from_secs(2).max(20 * self.took)
    }

    /// After a step: long epochs are saved in between.
    pub fn due_within_epoch(&self) -> bool {
        self.last.elapsed() >= Duration::from_mins(1).max(20 * self.took)
    }

    fn done(&mut self, started: Instant) {
        (self.last, self.took) = (Instant::now(), started.elapsed());
    }
}

impl Trainer {
    /// After an epoch: writes `results.csv`, `best.safetensors` if it changed, `last.safetensors`, and then the state that
    /// includes them. What lies in the folder is never older than the state, and everything newer is written again on the
    /// way from there.
    pub(crate) fn checkpoint(&mut self) -> Result<(), TrainError> {
        let started = Instant::now();
        self.run.write(
            RunDir::RESULTS_CSV,
            EpochRow::to_csv(&self.progress.history).as_bytes(),
        )?;
        if self.checkpoints.best_changed {
            self.save_best()?;
        }
        let tuned = self.learned().tuned_tensors();
        self.save_task(RunDir::LAST, self.progress.history.len(), &tuned)?;
        self.save()?;
        self.checkpoints.done(started);
        Ok(())
    }

    /// Within an epoch: writes the state alone. `epoch_started` is when this process began to train the epoch.
    pub(crate) fn save_state(&mut self, epoch_started: Instant) -> Result<(), TrainError> {
        let started = Instant::now();
        let seconds = self.progress.seconds;
        self.progress.seconds += epoch_started.elapsed().as_secs_f64();
        self.save()?;
        self.progress.seconds = seconds;
        self.checkpoints.done(started);
        Ok(())
    }

    fn save(&self) -> Result<(), TrainError> {
        self.journal.save(&self.run)?;
        let average = self
            .average
            .as_ref()
            .map(|average| average.model().tuned_tensors());
        RunState {
            progress: self.progress.clone(),
            tuned: self.model.tuned_tensors(),
            average: average.unwrap_or_default(),
            best: self.best_tuned.clone(),
            optimizer: self.optimizer.state(),
        }
        .save(&self.run)
    }

    pub(crate) fn save_best(&mut self) -> Result<(), TrainError> {
        if let Some(best) = &self.progress.best {
            self.save_task(RunDir::BEST, best.epoch + 1, &self.best_tuned)?;
        }
        self.checkpoints.best_changed = false;
        Ok(())
    }

    /// Writes the task file `name` with the tuned tensors of `epoch` (from 1) and its validation metrics.
    fn save_task(
        &self,
        name: &str,
        epoch: usize,
        tuned: &BTreeMap<String, HostTensor>,
    ) -> Result<(), TrainError> {
        let mut metadata = self.metadata.clone();
        metadata.training.epoch = epoch;
        if let Some(row) = self.progress.history.get(epoch - 1) {
            metadata.metrics = row
                .metrics
                .iter()
                .map(|(name, value)| (format!("val_{name}"), *value))
                .collect();
        }
        let task = TaskFile {
            metadata,
            tensors: tuned.clone(),
        };
        Ok(task.save(&self.run.file(name), self.config.half)?)
    }
}
