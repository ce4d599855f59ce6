//! `vpt predict`: what images show, as a whole or where in them.

mod attention;
mod places;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Args;
use serde::Serialize;
use vpt_core::device::SelectedDevice;
use vpt_core::{Calibration, Classifier, Decision};
use vpt_data::{DataError, Sample, TaskKind, atomic, decode};
use vpt_eval::{EvalError, PredictOptions, Predictions, csv, predict};

use self::attention::AttentionMaps;
use crate::cli::{DecisionArgs, MemoryArgs, values};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::Output;
use crate::session::Session;
use crate::target::Target;
use crate::{inputs, progress};

const EXAMPLES: &str = "\
Examples:
  vpt predict runs/train/my_images photo.jpg
  vpt predict best.safetensors folder/ --output labels.csv
  find . -name '*.jpg' | vpt predict runs/train/my_images - --json
  vpt predict runs/train/my_images photo.jpg --attention looks
  vpt predict runs/train/my_boxes folder/ --draw drawn --output found.json

With `--json`, one object a line: {\"path\", \"label\", \"logits\", \"probs\"}, classes in the order of \
the task file; multi-label tasks add {\"labels\"}, the classes found, which `label` joins by `|`. Probabilities are calibrated and labels decided as it says (`vpt inspect task`); a \
task that may leave images undecided adds {\"abstained\"}. Boxes are {\"path\", \"size\", \"objects\"}, each object with {\"label\", \"score\", \"bbox\"} \
(left, upper, right, lower edge in pixels), masks {\"path\", \"size\", \"shares\"} of the classes' pixels.
With `--attention`, a PNG for each image: the image as the model sees it, then attention rollout of \
the backbone alone and of the task; `--json` adds {\"attention\", \"prompt_share\"}, the file and the \
part of what the head reads that is the prompts'.
Images that cannot be read are reported and make the exit code 1 (not with `--skip-bad-images`); the \
others are classified.";

/// Classify images, or find what is in them
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES, allow_negative_numbers = true)]
pub struct PredictArgs {
    /// Run folder or task file
    #[arg(value_name = "TASKFILE|RUN")]
    pub target: PathBuf,

    /// Images, folders, or `-` for paths on stdin
    #[arg(value_name = "IMAGE|DIR|-", required = true)]
    pub inputs: Vec<PathBuf>,

    /// Backbone, if it is no longer where training found it
    #[arg(long, value_name = "MODEL")]
    pub model: Option<String>,

    /// Classes to show for each image
    #[arg(long, visible_alias = "topk", value_name = "K", default_value = "3", value_parser = values::count)]
    pub top_k: usize,

    /// Images in a batch
    #[arg(short, long, visible_alias = "batch", value_name = "N", default_value = "32", value_parser = values::count)]
    pub batch_size: usize,

    /// Also write path, label and probabilities to a CSV file; boxes and masks also to FILE.json (COCO) or a folder (YOLO text files, PNG masks)
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,

    /// Also write pictures of where the model looks, with and without the task, into this folder
    #[arg(long, value_name = "DIR")]
    pub attention: Option<PathBuf>,

    /// For boxes and masks: also write the images with what is found drawn on them into this folder
    #[arg(long, value_name = "DIR")]
    pub draw: Option<PathBuf>,

    /// Images that cannot be read are reported and left out, and are no failure
    #[arg(long)]
    pub skip_bad_images: bool,

    #[command(flatten)]
    pub decisions: DecisionArgs,

    #[command(flatten)]
    pub memory: MemoryArgs,
}

/// One line of `--json`.
#[derive(Serialize)]
struct Line<'a> {
    path: &'a Path,
    label: String,
    /// The classes found; absent where an image has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    labels: Option<Vec<&'a str>>,
    logits: Vec<f32>,
    probs: Vec<f64>,
    /// Whether the task would rather leave this image to somebody else; absent if it never does.
    #[serde(skip_serializing_if = "Option::is_none")]
    abstained: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attention: Option<&'a Path>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prompt_share: Option<f32>,
}

/// Classifies batch by batch, so that paths on stdin are answered as they come.
pub fn run(args: &PredictArgs, session: &Session) -> Result<Exit> {
    let output = session.output;
    let target = Target::open(&args.target)?;
    let calibration = args.decisions.calibration(&target.task.metadata)?;
    let backbone = target.backbone(args.model.as_deref())?;
    let device = session.device()?;
    let dense = target.task.metadata.head.is_dense();
    if args.draw.is_some() && !dense {
        return Err(
            Failure::usage("`--draw` shows boxes and masks, the task is of whole images")
                .hint("leave it out; `--attention DIR` shows where the model looks")
                .into(),
        );
    }
    let mut maps = match &args.attention {
        Some(folder) if !dense => {
            let preprocess = &target.task.metadata.preprocess;
            Some(AttentionMaps::new(folder, &backbone, preprocess, &device)?)
        }
        _ => None,
    };
    let model = Predictor {
        model: target
            .task
            .apply(backbone, &device.device)?
            .with_precision(args.memory.precision)?,
        device,
        target,
        calibration,
        batch_size: args.batch_size,
    };

    if dense {
        return places::run(args, &model, output);
    }
    let mut paths = inputs::images(&args.inputs).peekable();
    let mut csv = args
        .output
        .as_ref()
        .map(|_| csv_titles(&model.target.task.metadata.task.classes, &model.calibration));
    let (mut done, mut bad) = (0, 0);
    let bar = progress::bar(output, 0, "{spinner} {pos} images, {per_sec}");
    while paths.peek().is_some() {
        let batch = paths.by_ref().take(args.batch_size).collect::<Result<Vec<_>>>()?;
        let (predictions, unreadable) = model.predict(&batch)?;
        for error in &unreadable {
            bar.suspend(|| match args.skip_bad_images {
                true => output.warn(format!("skipped: {error}")),
                false => output.error(error),
            });
        }
        bad += unreadable.len();
        if let Some(predictions) = predictions {
            let mut found = Vec::new();
            if let Some(maps) = &mut maps {
                for path in &predictions.paths {
                    found.push(maps.write(&model.model, path)?);
                }
            }
            bar.suspend(|| print(&predictions, &found, args.top_k, output))?;
            done += predictions.len();
            if let Some(csv) = &mut csv {
                csv.push_str(&csv_lines(&predictions));
            }
        }
        bar.set_position(done as u64);
    }
    bar.finish_and_clear();
    if let Some(folder) = args.attention.as_ref().filter(|_| done > 0) {
        output.info(format!(
            "in {}: each image, where its backbone alone looks, where the task does",
            folder.display()
        ));
    }
    if let Some((csv, path)) = csv.zip(args.output.as_ref()) {
        atomic::write_bytes(path, csv.as_bytes())
            .with_context(|| format!("cannot write `{}`", path.display()))?;
    }
    ended(done, bad, args.skip_bad_images, output)
}

/// How it ends when so many images are done, and so many could not be read.
fn ended(done: usize, bad: usize, skip_bad_images: bool, output: Output) -> Result<Exit> {
    match bad {
        0 => Ok(Exit::Success),
        _ if skip_bad_images && done > 0 => {
            output.warn(format!("skipped {bad} of {} images", done + bad));
            Ok(Exit::Success)
        }
        _ => Err(
            Failure::new(format!("{bad} of {} images could not be read", done + bad))
                .hint("replace or remove these files, or leave them out with `--skip-bad-images`; the others are classified")
                .into(),
        ),
    }
}

/// A model, and how to feed it.
struct Predictor {
    target: Target,
    model: Classifier,
    device: SelectedDevice,
    calibration: Calibration,
    batch_size: usize,
}

impl Predictor {
    /// Predictions for those of `paths` that can be read, and why the others cannot.
    fn predict(&self, paths: &[PathBuf]) -> Result<(Option<Predictions>, Vec<DataError>)> {
        match self.predict_all(paths) {
            Ok(predictions) => Ok((Some(predictions), Vec::new())),
            Err(EvalError::Data(_)) => {
                // Rare, so it may cost a second look at each image of the batch.
                let (mut good, mut bad) = (Vec::new(), Vec::new());
                for path in paths {
                    match decode(path) {
                        Ok(_) => good.push(path.clone()),
                        Err(error) => bad.push(error),
                    }
                }
                let predictions = if good.is_empty() {
                    None
                } else {
                    Some(self.predict_all(&good)?)
                };
                Ok((predictions, bad))
            }
            Err(error) => Err(error.into()),
        }
    }

    fn predict_all(&self, paths: &[PathBuf]) -> Result<Predictions, EvalError> {
        let samples: Vec<_> = paths
            .iter()
            .map(|path| Sample {
                path: path.clone(),
                ..Sample::default()
            })
            .collect();
        let metadata = &self.target.task.metadata;
        let options = PredictOptions {
            batch_size: self.batch_size,
            workers: 0,
        };
        let classes = &metadata.task.classes;
        let images = options.loader(&samples, classes.len(), &metadata.preprocess);
        let device = &self.device.device;
        let predictions = predict(&self.model, &images, classes, device, &mut |_, _| {})?;
        Ok(predictions.decided_by(metadata.task.kind, self.calibration.clone()))
    }
}

/// Prints one line an image; `found` is empty, or has what was found of each.
fn print(predictions: &Predictions, found: &[attention::Found], top_k: usize, output: Output) -> Result<()> {
    let (probs, decisions, called) = (predictions.probs(), predictions.decisions(), predictions.called());
    let may_abstain = predictions.calibration.abstain_below.is_some();
    let multi_label = predictions.kind == TaskKind::MultiLabel;
    for (index, path) in predictions.paths.iter().enumerate() {
        let probs = probs.row(index).to_vec();
        let decision = decisions[index];
        let called = &called[index];
        let label = called.names(&predictions.classes);
        let names = called
            .classes()
            .iter()
            .map(|&class| predictions.classes[class].as_str());
        output.json_line(&Line {
            path,
            label: label.clone(),
            labels: multi_label.then(|| names.collect()),
            logits: predictions.logits.row(index).to_vec(),
            probs: probs.clone(),
            abstained: may_abstain.then_some(decision.abstained),
            attention: found.get(index).map(|found| found.path.as_path()),
            prompt_share: found.get(index).map(|found| found.prompts),
        })?;
        let mut order: Vec<usize> = (0..probs.len()).collect();
        order.sort_by(|&a, &b| probs[b].total_cmp(&probs[a]));
        // All that was found of any number of classes; the likeliest where nothing was.
        let none_found = called.classes().is_empty();
        let shown = if multi_label && !none_found {
            order.retain(|&class| called.has(class));
            order.len()
        } else {
            top_k
        };
        let shown = order
            .iter()
            .take(shown)
            .map(|&class| format!("{} {:.1} %", predictions.classes[class], probs[class] * 100.0));
        let shown = shown.collect::<Vec<_>>().join(", ");
        let said = match decision {
            _ if multi_label && none_found => format!("none: {shown}"),
            _ if multi_label => shown,
            Decision { abstained: true, .. } => format!("undecided: {shown}"),
            // Where a threshold decides, the likeliest class need not be the decision.
            _ if predictions.calibration.threshold.is_some() => format!("{label}: {shown}"),
            _ => shown,
        };
        output.result(format!("{}  {said}", path.display()))?;
    }
    Ok(())
}

fn csv_titles(classes: &[String], calibration: &Calibration) -> String {
    let probs = classes.iter().map(|class| format!("prob_{class}"));
    let abstained = calibration.abstain_below.map(|_| "abstained".to_owned());
    let titles = ["path", "label"].map(str::to_owned).into_iter();
    csv::line(titles.chain(probs).chain(abstained))
}

fn csv_lines(predictions: &Predictions) -> String {
    let (probs, decisions, called) = (predictions.probs(), predictions.decisions(), predictions.called());
    let may_abstain = predictions.calibration.abstain_below.is_some();
    let line = |(index, path): (usize, &PathBuf)| {
        let decision = decisions[index];
        let names = [
            path.display().to_string(),
            called[index].names(&predictions.classes),
        ];
        let probs = probs.row(index).into_iter().map(|prob| format!("{prob:.6}"));
        let abstained = may_abstain.then(|| decision.abstained.to_string());
        csv::line(names.into_iter().chain(probs).chain(abstained))
    };
    predictions.paths.iter().enumerate().map(line).collect()
}
