//! [`Evaluation`]: a trained task, measured on a split of a data set.

use std::fs;

use anyhow::Result;
use clap::ValueEnum;
use serde::Deserialize;
use vpt_core::{Backbone, Classifier, Precision, SharedBackbone};
use vpt_data::{Dataset, Sample, Split};
use vpt_eval::{AtPrevalence, Bootstrap, PredictOptions, Predictions, Results, find, predict};
use vpt_train::TrainConfig;

use crate::cli::{DataArgs, DecisionArgs};
use crate::failure::Failure;
use crate::progress;
use crate::session::Session;
use crate::target::Target;

/// Images in a batch whose head answers for every place of them.
const MOST_WITH_PLACES: usize = 8;

/// What to measure on, and how.
#[derive(Clone, Debug)]
pub struct Evaluator {
    /// Which images.
    pub split: Images,
    /// Decisions other than those of the task file.
    pub decisions: DecisionArgs,
    /// Confidence level of the intervals.
    pub level: f64,
    /// Images in a batch.
    pub batch_size: usize,
    /// Share of the last of two classes in the population that predictive values are also wanted for.
    pub prevalence: Option<f64>,
    /// In how many bits frozen weights are kept.
    pub precision: Precision,
}

/// What a task is put onto.
#[allow(clippy::large_enum_variant, reason = "one for each task")]
pub enum Base<'a> {
    /// A backbone for this task.
    Own(Backbone),
    /// One that other tasks use too.
    Shared(&'a SharedBackbone),
}

/// What was measured, and with what.
pub struct Evaluation {
    /// The settings of the training.
    pub config: TrainConfig,
    /// The data set.
    pub dataset: Dataset,
    /// The model.
    pub model: Classifier,
    /// What it said.
    pub predictions: Predictions,
    /// What that is worth.
    pub results: Results,
}

/// A part of a data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Images {
    /// What was learnt from
    Train,
    /// What chose the epoch
    Val,
    /// What was held out
    Test,
    /// All of them, for data that had no part in training
    All,
}

impl Evaluator {
    /// Predicts and measures. The images are those of the training unless `data` names others.
    pub fn run(
        &self,
        target: &Target,
        base: Base<'_>,
        data: &DataArgs,
        session: &Session,
    ) -> Result<Evaluation> {
        let metadata = &target.task.metadata;
        let config = target.settings()?;
        let calibration = self.decisions.calibration(metadata)?;
        if self.prevalence.is_some() && metadata.head.is_dense() {
            return Err(Failure::usage(
                "`--prevalence` speaks of whole images, the task finds something in them",
            )
            .hint("leave it out")
            .into());
        }
        if self.prevalence.is_some() && metadata.task.classes.len() != 2 {
            let classes = metadata.task.classes.len();
            return Err(Failure::usage(format!(
                "`--prevalence` is that of one of two classes, the task has {classes}"
            ))
            .hint("leave it out")
            .into());
        }
        let dataset = target.dataset(data)?;
        let samples = self.split.of(&dataset)?;
        let device = session.device()?;
        let model = match base {
            Base::Own(backbone) => target
                .task
                .apply(backbone, &device.device)?
                .with_precision(self.precision)?,
            Base::Shared(backbone) => backbone.attach(&target.task)?.into_model(),
        };
        let options = PredictOptions {
            batch_size: match metadata.head.is_dense() {
                true => self.batch_size.min(MOST_WITH_PLACES),
                false => self.batch_size,
            },
            workers: config.workers,
        };
        let bar = progress::images(session.output, "evaluating", samples.len());
        let classes = &metadata.task.classes;
        let images = options.loader(&samples, classes.len(), &metadata.preprocess);
        let mut progress = |done: usize, _| bar.set_position(done as u64);
        let predictions = match metadata.head.is_dense() {
            true => find(&model, &images, classes, true, &device.device, &mut |batch| {
                progress(batch.done, samples.len());
            })?,
            false => predict(&model, &images, classes, &device.device, &mut progress)?,
        };
        bar.finish_and_clear();
        let predictions = predictions
            .decided_by(metadata.task.kind, calibration)
            .described(&dataset.columns, &samples);
        let bootstrap = Bootstrap {
            level: self.level,
            ..Bootstrap::default()
        };
        let results = Results {
            task: metadata.task.name.clone(),
            split: self.split.name().to_owned(),
            method: metadata.method.to_string(),
            model: config.model.clone(),
            seed: Some(metadata.training.seed),
            device: Some(device.name),
            tuned_params: Some(model.num_tuned()),
            total_params: Some(model.num_total()),
            task_file_bytes: fs::metadata(&target.path).ok().map(|file| file.len()),
            best_epoch: Some(metadata.training.epoch),
            backbone_sha256: Some(metadata.backbone.sha256.clone()),
            data_fingerprint: Some(dataset.fingerprint()?),
            at_prevalence: self
                .prevalence
                .and_then(|prevalence| AtPrevalence::of(&predictions, prevalence, &bootstrap)),
            ..Results::from_predictions(&predictions, &bootstrap)
        };
        Ok(Evaluation {
            config,
            dataset,
            model,
            predictions,
            results,
        })
    }
}

impl Images {
    /// As `--split` says it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Train => Split::Train.name(),
            Self::Val => Split::Val.name(),
            Self::Test => Split::Test.name(),
            Self::All => "all",
        }
    }

    /// The images, of which there must be some.
    pub fn of(self, dataset: &Dataset) -> Result<Vec<Sample>> {
        let splits = match self {
            Self::Train => &[Split::Train][..],
            Self::Val => &[Split::Val],
            Self::Test => &[Split::Test],
            Self::All => &Split::ALL,
        };
        let samples: Vec<Sample> = splits
            .iter()
            .flat_map(|&split| dataset.split(split).to_vec())
            .collect();
        if samples.is_empty() {
            return Err(Failure::new(format!(
                "`{}` has no {} images",
                dataset.root.display(),
                self.name()
            ))
            .hint("choose another `--split`, or other images with `--data-dir`")
            .into());
        }
        Ok(samples)
    }
}
