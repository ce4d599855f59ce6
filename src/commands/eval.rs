//! `vpt eval`: metrics of a trained task, with intervals.

mod suite;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Args;
use vpt_core::TaskMetadata;
use vpt_data::{LeakOptions, atomic};
use vpt_eval::report::EvaluationReport;
use vpt_eval::{Results, metrics};

use crate::cli::values::{self, Bound};
use crate::cli::{DataArgs, DecisionArgs, MemoryArgs};
use crate::evaluation::{Base, Evaluation, Evaluator, Images};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::Output;
use crate::session::Session;
use crate::target::Target;
use crate::{shell, tables};

const EXAMPLES: &str = "\
Examples:
  vpt eval runs/train/my_images
  vpt eval runs/train/my_images --split val --save-predictions val.csv
  vpt eval best.safetensors --data-dir other_hospital --ci 0.99
  vpt eval runs/train/my_images --fail-under balanced_accuracy=0.9
  vpt eval --suite runs/train

A run folder or task file knows its backbone, its preprocessing and its data: nothing needs to be typed again.
Intervals of shares are Wilson's, of AUROC DeLong's, of boxes from the spread of halves of the \
images, all others from a bootstrap of images; where the data names groups (patients), all are from \
drawn groups. Probabilities and decisions are those of the task file (`vpt calibrate`).
The exit code is 3 when a `--fail-under` bound is not reached, in a suite by any task.

A suite loads each backbone once and its tasks one after the other. Its file:
  name = \"clinic\"
  [[task]]
  file = \"runs/train/chest\"            # or a task file; relative to this file
  [[task]]
  file = \"fundus.safetensors\"
  data_dir = \"other_hospital/fundus\"   # instead of the images of its training
  split = \"all\"";

/// Measure a trained task on a split, with intervals
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES, allow_negative_numbers = true)]
pub struct EvalArgs {
    /// Run folder or task file
    #[arg(value_name = "TASKFILE|RUN", required_unless_present = "suite")]
    pub target: Option<PathBuf>,

    /// Measure several tasks: a folder of run folders and task files, or a TOML file that lists them
    #[arg(long, value_name = "DIR|FILE.toml", conflicts_with_all = ["target", "data_dir", "task"])]
    pub suite: Option<PathBuf>,

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

    /// Also predictive values where this share of people has the last of two classes
    #[arg(long, value_name = "SHARE", value_parser = values::fraction)]
    pub prevalence: Option<f64>,

    /// Images in a batch
    #[arg(short, long, visible_alias = "batch", value_name = "N", default_value = "32", value_parser = values::count)]
    pub batch_size: usize,

    /// Write path, label and probabilities of each image to a CSV file, boxes and masks to a JSON file; those of a suite below a folder
    #[arg(long, value_name = "FILE|DIR")]
    pub save_predictions: Option<PathBuf>,

    /// Write a page with all figures, tables and pictures of errors to an HTML file
    #[arg(long, value_name = "FILE.html")]
    pub report: Option<PathBuf>,

    /// Exit with code 3 if a metric is worse than this; may be given several times
    #[arg(long, value_name = "[METRIC=]VALUE", value_parser = values::bound)]
    pub fail_under: Vec<Bound>,

    #[command(flatten)]
    pub decisions: DecisionArgs,

    #[command(flatten)]
    pub memory: MemoryArgs,
}

/// Predicts, measures, and holds the metrics against the bounds.
pub fn run(args: &EvalArgs, session: &Session) -> Result<Exit> {
    let evaluator = Evaluator {
        split: args.split,
        decisions: args.decisions,
        level: args.ci,
        batch_size: args.batch_size,
        prevalence: args.prevalence,
        precision: args.memory.precision,
    };
    match (&args.target, &args.suite) {
        (Some(target), _) => one(target, &evaluator, args, session),
        (None, Some(suite)) => suite::run(suite, &evaluator, args, session),
        (None, None) => Err(Failure::usage("nothing to measure")
            .hint("name a run folder or a task file, or several with `--suite`")
            .into()),
    }
}

fn one(target: &Path, evaluator: &Evaluator, args: &EvalArgs, session: &Session) -> Result<Exit> {
    let target = Target::open(target)?;
    let backbone = target.backbone(args.model.as_deref())?;
    let Evaluation {
        config,
        dataset,
        model,
        predictions,
        results,
    } = evaluator.run(&target, Base::Own(backbone), &args.data, session)?;
    if let Some(path) = &args.save_predictions {
        match predictions.found {
            Some(_) => predictions.save_found(path)?,
            None => predictions.save_csv(path)?,
        }
    }
    if let Some(path) = &args.report {
        let metadata = TaskMetadata {
            calibration: predictions.calibration.clone(),
            ..target.task.metadata.clone()
        };
        let leaks = dataset.leaks(LeakOptions::default()).summary();
        let page = EvaluationReport {
            results: &results,
            predictions: &predictions,
            main_metric: config.main_metric(),
            metadata: &metadata,
            dataset: &dataset,
            leaks: Some(&leaks),
            model: &model,
            device: &session.device()?.device,
            commands: vec![shell::command()],
        };
        atomic::write_bytes(path, page.html().as_bytes())
            .with_context(|| format!("cannot write `{}`", path.display()))?;
    }
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
        .result(tables::results(&results, metrics::find(config.main_metric())?))?;
    check_bounds(&args.fail_under, &results, config.main_metric(), session.output)
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
