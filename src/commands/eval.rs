//! `vpt eval`: metrics of a trained task, with intervals.

use std::fs;
use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, ValueEnum};
use vpt_data::{Dataset, Sample, Split};
use vpt_eval::{Bootstrap, PredictOptions, Results, metrics, predict};

use crate::cli::values::{self, Bound};
use crate::cli::{DataArgs, DecisionArgs};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::Output;
use crate::session::Session;
use crate::target::Target;
use crate::{progress, tables};

const EXAMPLES: &str = "\
Examples:
  vpt eval runs/train/my_images
  vpt eval runs/train/my_images --split val --save-predictions val.csv
  vpt eval best.safetensors --data-dir other_hospital --ci 0.99
  vpt eval runs/train/my_images --fail-under balanced_accuracy=0.9

A run folder or task file knows its backbone, its preprocessing and its data: nothing needs to be typed again.
Intervals of shares are Wilson's, of AUROC DeLong's, all others from a bootstrap of images; where
the data names groups (patients), all are from a bootstrap of groups. Probabilities and decisions
are those of the task file (`vpt calibrate`).
The exit code is 3 when a `--fail-under` bound is not reached.";

/// Measure a trained task on a split, with intervals
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES, allow_negative_numbers = true)]
pub struct EvalArgs {
    /// Run folder or task file
    #[arg(value_name = "TASKFILE|RUN")]
    pub target: PathBuf,

    #[command(flatten)]
    pub data: DataArgs,

    /// Which images to measure on
    #[arg(long, value_name = "SPLIT", default_value = "test", help_heading = "Data")]
    pub split: Images,

    /// Backbone, if it is no longer where training found it
    #[arg(long, value_name = "MODEL")]
    pub model: Option<String>,

    /// Confidence level of the intervals
    #[arg(long, value_name = "LEVEL", default_value = "0.95", value_parser = values::level)]
    pub ci: f64,

    /// Images in a batch
    #[arg(short, long, visible_alias = "batch", value_name = "N", default_value = "64", value_parser = values::count)]
    pub batch_size: usize,

    /// Write path, label and probabilities of each image to a CSV file
    #[arg(long, value_name = "FILE.csv")]
    pub save_predictions: Option<PathBuf>,

    /// Exit with code 3 if a metric is worse than this; may be given several times
    #[arg(long, value_name = "[METRIC=]VALUE", value_parser = values::bound)]
    pub fail_under: Vec<Bound>,

    #[command(flatten)]
    pub decisions: DecisionArgs,
}

/// The images that `vpt eval` measures on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
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

/// Predicts, measures, and holds the metrics against the bounds.
pub fn run(args: &EvalArgs, session: &Session) -> Result<Exit> {
    let target = Target::open(&args.target)?;
    let config = target.settings()?;
    let calibration = args.decisions.calibration(&target.task.metadata)?;
    let backbone = target.backbone(args.model.as_deref())?;
    let dataset = target.dataset(&args.data)?;
    let samples = args.split.of(&dataset)?;
    let device = session.device()?;
    let model = target.task.apply(backbone, &device.device)?;
    let metadata = &target.task.metadata;
    let options = PredictOptions {
        batch_size: args.batch_size,
        workers: config.workers,
    };
    let bar = progress::images(session.output, "evaluating", samples.len());
    let mut predictions = predict(
        &model,
        &samples,
        &metadata.task.classes,
        &metadata.preprocess,
        &options,
        &device.device,
        &mut |done, _| bar.set_position(done as u64),
    )?;
    bar.finish_and_clear();
    predictions.calibration = calibration;
    if let Some(path) = &args.save_predictions {
        predictions.save_csv(path)?;
    }
    let results = Results {
        task: metadata.task.name.clone(),
        split: args.split.name().to_owned(),
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
        ..Results::from_predictions(
            &predictions,
            &Bootstrap {
                level: args.ci,
                ..Bootstrap::default()
            },
        )
    };
    session.output.json(&results)?;
    session.output.result(format!(
        "{}, {} on {} {} images of {}\n",
        results.method,
        config.model,
        results.images,
        results.split,
        dataset.root.display()
    ))?;
    session
        .output
        .result(tables::results(&results, metrics::find(&config.eval_metric)?))?;
    check_bounds(&args.fail_under, &results, &config.eval_metric, session.output)
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

/// Exit code 3 if a metric is worse than its bound.
fn check_bounds(bounds: &[Bound], results: &Results, main_metric: &str, output: Output) -> Result<Exit> {
    let mut exit = Exit::Success;
    for bound in bounds {
        let metric = metrics::find(bound.metric.as_deref().unwrap_or(main_metric))?;
        let value = results.value(metric.name).ok_or_else(|| {
            Failure::new(format!("`{}` is not defined on these images", metric.name))
                .hint("hold `--fail-under` against another metric of the table")
        })?;
        let (worse, relation) = match metric.higher_is_better {
            true => (value < bound.value, "below"),
            false => (value > bound.value, "above"),
        };
        if worse {
            output.error(format!(
                "{} is {value:.4}, {relation} {}",
                metric.name, bound.value
            ));
            exit = Exit::FailUnder;
        }
    }
    Ok(exit)
}
