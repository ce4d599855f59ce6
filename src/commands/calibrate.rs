//! `vpt calibrate`: choose anew how a trained task decides, without training it again.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use serde::Serialize;
use vpt_core::Calibration;
use vpt_data::TaskKind;
use vpt_eval::report::format::{UNKNOWN, Unit};
use vpt_eval::{PredictOptions, Predictions, metrics, predict};

use crate::cli::training::CalibrationArgs;
use crate::cli::{DataArgs, values};
use crate::evaluation::Images;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::session::Session;
use crate::target::Target;
use crate::{progress, shell, tables};

const EXAMPLES: &str = "\
Examples:
  vpt calibrate runs/train/my_images --operating-point sensitivity=0.95
  vpt calibrate runs/train/my_images --abstain error=0.02 --output careful.safetensors
  vpt calibrate best.safetensors --data-dir other_hospital --operating-point youden

Fits temperature, threshold and abstention to the validation images (never to test images that you will report on) and \
writes them into the task file. What was learned stays as it is.";

/// Choose temperature, threshold and abstention of a trained task on validation images
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES, allow_negative_numbers = true)]
pub struct CalibrateArgs {
    /// Run folder or task file
    #[arg(value_name = "TASKFILE|RUN")]
    pub target: PathBuf,

    #[command(flatten)]
    pub data: DataArgs,

    /// Which images to choose on
    #[arg(long, value_name = "SPLIT", default_value = "val", help_heading = "Data")]
    pub split: Images,

    /// Backbone, if it is no longer where training found it
    #[arg(long, value_name = "MODEL")]
    pub model: Option<String>,

    #[command(flatten)]
    pub calibration: CalibrationArgs,

    /// Images in a batch
    #[arg(short, long, visible_alias = "batch", value_name = "N", default_value = "32", value_parser = values::count)]
    pub batch_size: usize,

    /// Task file to write [default: the one that was read]
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Calibrated<'a> {
    output: &'a PathBuf,
    split: &'a str,
    images: usize,
    before: &'a Calibration,
    after: &'a Calibration,
}

/// Predicts, fits, writes.
pub fn run(args: &CalibrateArgs, session: &Session) -> Result<Exit> {
    let output = session.output;
    let target = Target::open(&args.target)?;
    let config = target.settings()?;
    let metadata = &target.task.metadata;
    let classes = &metadata.task.classes;
    if metadata.head.is_dense() {
        return Err(Failure::usage(format!("the task is {}: nothing of it is calibrated", metadata.task.kind))
            .hint("the score from which boxes are shown is chosen while training; `--threshold` of `vpt predict` and `vpt eval` takes another")
            .into());
    }
    let multi_label = metadata.task.kind == TaskKind::MultiLabel;
    let plan = args.calibration.plan();
    if let Some(rule) = plan.abstain.filter(|_| multi_label) {
        return Err(Failure::usage(format!(
            "`--abstain {rule}` is for tasks of one class for each image, the task is {}",
            metadata.task.kind
        ))
        .hint("leave it out: a class is found or not, by its own threshold (`--operating-point`)")
        .into());
    }
    if let Some(rule) = plan.threshold.filter(|_| classes.len() != 2 && !multi_label) {
        return Err(Failure::usage(format!(
            "`--operating-point {rule}` is a threshold between two classes, the task has {}",
            classes.len()
        ))
        .hint("leave it out: the most likely class is predicted")
        .into());
    }
    let backbone = target.backbone(args.model.as_deref())?;
    let samples = args.split.of(&target.dataset(&args.data)?)?;
    let device = session.device()?;
    let model = target.task.apply(backbone, &device.device)?;
    let options = PredictOptions {
        batch_size: args.batch_size,
        workers: config.workers,
    };
    let bar = progress::images(output, "predicting", samples.len());
    let predicted = predict(
        &model,
        &options.loader(&samples, classes.len(), &metadata.preprocess),
        classes,
        &device.device,
        &mut |done, _| bar.set_position(done as u64),
    )?;
    bar.finish_and_clear();
    let predictions = predicted.decided_by(metadata.task.kind, metadata.calibration.clone());

    let (after, notes) = plan.fit(&predictions);
    for note in &notes {
        output.warn(note);
    }
    let before = metadata.calibration.clone();
    let mut task = target.task.clone();
    task.metadata.calibration = after.clone();
    let path = args.output.clone().unwrap_or_else(|| target.path.clone());
    task.save(&path, config.half)?;

    output.json(&Calibrated {
        output: &path,
        split: args.split.name(),
        images: predictions.len(),
        before: &before,
        after: &after,
    })?;
    output.result(table(&predictions, &before, &after))?;
    output.result(format!(
        "\nchosen on {} {} images, written to {}",
        predictions.len(),
        args.split.name(),
        path.display()
    ))?;
    output.info(format!("measure it with `vpt eval {}`", shell::quote(&path)));
    Ok(Exit::Success)
}

/// What changes on the images that it was chosen on.
fn table(predictions: &Predictions, before: &Calibration, after: &Calibration) -> String {
    let value = |calibration: &Calibration, name: &str| {
        let with = Predictions {
            calibration: calibration.clone(),
            ..predictions.clone()
        };
        let unit = metrics::find(name).map(Unit::of).ok()?;
        Some(unit.number(*metrics::evaluate(&with).get(name)?))
    };
    let undecided = |calibration: &Calibration| {
        let with = Predictions {
            calibration: calibration.clone(),
            ..predictions.clone()
        };
        let left = with
            .decisions()
            .iter()
            .filter(|decision| decision.abstained)
            .count();
        format!("{left} of {}", predictions.len())
    };
    let rows = [
        "sensitivity",
        "specificity",
        "balanced_accuracy",
        "exact_match",
        "log_loss",
        "ece",
    ];
    let rows = rows
        .into_iter()
        .filter_map(|name| Some(vec![name.to_owned(), value(before, name)?, value(after, name)?]));
    let either = |number: Option<f64>| number.map_or(UNKNOWN.to_owned(), |number| format!("{number:.4}"));
    let multi_label = predictions.kind == TaskKind::MultiLabel;
    let mut chosen = vec![vec![
        "temperature".to_owned(),
        either(Some(before.temperature)),
        either(Some(after.temperature)),
    ]];
    if multi_label {
        let thresholds = |(class, name): (usize, &String)| {
            let of = |calibration: &Calibration| either(Some(calibration.threshold_of(class)));
            vec![format!("threshold of {name}"), of(before), of(after)]
        };
        chosen.extend(predictions.classes.iter().enumerate().map(thresholds));
    } else {
        chosen.push(vec![
            "threshold".to_owned(),
            either(before.threshold),
            either(after.threshold),
        ]);
        chosen.push(vec!["undecided".to_owned(), undecided(before), undecided(after)]);
    }
    tables::plain(&["", "before", "after"], chosen.into_iter().chain(rows))
}
