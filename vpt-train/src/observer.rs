//! [`Observer`]: what a run tells while it goes on. All methods do nothing by default.

use std::path::PathBuf;

use vpt_data::Split;
use vpt_eval::{EpochRow, Results};

use crate::state::EndReason;

/// What is about to be trained.
#[derive(Clone, Debug)]
pub struct RunPlan {
    /// The run folder.
    pub run: PathBuf,
    /// Images per split: train, val, test.
    pub images: [usize; 3],
    /// Number of classes.
    pub classes: usize,
    /// Epochs in all.
    pub epochs: usize,
    /// Optimiser steps an epoch.
    pub steps_per_epoch: usize,
    /// Epoch (from 0) and step within it from which a resumed run continues; both 0 at the start.
    pub from: (usize, usize),
    /// Parameters that are tuned, and of the whole model.
    pub parameters: (usize, usize),
    /// Whether features are computed once and only the head is trained on them.
    pub cached_features: bool,
}

/// One optimiser step.
#[derive(Clone, Copy, Debug)]
pub struct StepInfo {
    /// Epoch, from 0.
    pub epoch: usize,
    /// Step within the epoch, from 0.
    pub step: usize,
    /// Images of this step.
    pub images: usize,
    /// Learning rate.
    pub lr: f64,
    /// Mean training loss of the epoch so far, as of the last time it was read from the device.
    pub loss: Option<f64>,
}

/// Follows a run. Calls come in this order: `started`, then per epoch `step`… `progress`… `epoch`, then
/// `training_finished`, `progress` of the final evaluation, `finished`.
pub trait Observer {
    /// Before the first step.
    fn started(&mut self, _plan: &RunPlan) {}
    /// After each optimiser step.
    fn step(&mut self, _step: &StepInfo) {}
    /// `done` of `total` images of a split went through the model, for features, validation or the final evaluation.
    fn progress(&mut self, _split: Split, _done: usize, _total: usize) {}
    /// After validation.
    fn epoch(&mut self, _row: &EpochRow, _is_best: bool) {}
    /// After the last step, before the test images are read for the first time.
    fn training_finished(&mut self, _reason: EndReason) {}
    /// The results are written.
    fn finished(&mut self, _results: &Results) {}
    /// Something that the user should know.
    fn note(&mut self, _message: &str) {}
}

/// An observer that says nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Observer for Silent {}
