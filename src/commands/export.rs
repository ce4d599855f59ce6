//! `vpt export`: a task and its backbone in forms that other programs load.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::{Args, ValueEnum};
use serde::Serialize;
use vpt_core::OnnxModel;
use vpt_data::TaskKind;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::session::Session;
use crate::shell;
use crate::target::Target;

const EXAMPLES: &str = "\
Examples:
  vpt export runs/train/my_images-full --output weights/my_images
  vpt train --data-dir other_images --model weights/my_images
  vpt export runs/train/my_images --format onnx --output my_images.onnx

timm: a folder with model.safetensors and config.json, the backbone with what training changed, and the head. For methods whose \
outcome is a backbone (full, partial, bitfit, norm, linear, lora, ssf), for tasks of whole images.
onnx: one graph of backbone, prompts (or whatever the method adds) and head, from normalised `pixels` [batch, 3, H, W] to `logits` \
and `probs`, or `boxes` and `scores`, for every method and kind of task; classes, preprocessing and calibration are its metadata.
Weights above 2 GiB go to FILE.onnx.data.";

/// Write a task and its backbone for timm or as ONNX
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub struct ExportArgs {
    /// Task file, or the folder of a run
    #[arg(value_name = "TASKFILE|RUN")]
    pub target: PathBuf,

    /// What to write: weights and config.json in timm's form, or an ONNX graph
    #[arg(long, value_enum, default_value = "timm")]
    pub format: ExportFormat,

    /// Folder to write (timm), or file (onnx)
    #[arg(long, value_name = "DIR|FILE")]
    pub output: PathBuf,

    /// Backbone, if it is no longer where training found it
    #[arg(long, value_name = "MODEL")]
    pub model: Option<String>,

    /// Store float16; of an ONNX graph the weights, which are widened when it is loaded
    #[arg(long)]
    pub half: bool,
}

/// What can be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum ExportFormat {
    // No descriptions: they would make the whole help page a long one.
    Timm,
    Onnx,
}

/// What was written.
#[derive(Serialize)]
struct Written<'a> {
    output: &'a Path,
    format: ExportFormat,
    architecture: &'a str,
    classes: usize,
    image_size: [usize; 2],
    half: bool,
    /// Bytes of the ONNX file, and of the weights beside it.
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data_bytes: Option<u64>,
}

/// Writes the task in the form that is asked for.
pub fn run(args: &ExportArgs, session: &Session) -> Result<Exit> {
    let target = Target::open(&args.target)?;
    match args.format {
        ExportFormat::Timm => timm(args, &target, session),
        ExportFormat::Onnx => onnx(args, &target, session),
    }
}

/// Merges the task into its backbone and saves it.
fn timm(args: &ExportArgs, target: &Target, session: &Session) -> Result<Exit> {
    let merged = target.task.merge(target.backbone(args.model.as_deref())?)?;
    merged.save(&args.output, args.half)?;
    let output = session.output;
    if let Some(why) = merged.unfit_for_timm() {
        output.warn(format!("timm will not load it, vpt does: {why}"));
    }
    output.result(format!("{} in {}", merged.architecture, args.output.display()))?;
    output.info(format!("use it with `--model {}`", shell::quote(&args.output)));
    output.json(&Written {
        output: &args.output,
        format: args.format,
        architecture: &merged.architecture,
        classes: merged.num_classes,
        image_size: merged.preprocess.input_size,
        half: args.half,
        bytes: None,
        data_bytes: None,
    })?;
    Ok(Exit::Success)
}

/// Writes backbone, what the method adds, and head as one graph.
fn onnx(args: &ExportArgs, target: &Target, session: &Session) -> Result<Exit> {
    if fs::metadata(&args.output).is_ok_and(|found| found.is_dir()) {
        let said = format!("`{}` is a folder; ONNX is one file", args.output.display());
        return Err(Failure::new(said)
            .hint("give a file, such as `--output model.onnx`")
            .into());
    }
    let task = &target.task;
    let written = OnnxModel::new(task, target.backbone(args.model.as_deref())?, args.half)?;
    let files = written.save(&args.output)?;
    let (output, metadata) = (session.output, &task.metadata);
    let (architecture, [height, width]) = (&metadata.backbone.architecture, metadata.preprocess.input_size);
    output.result(format!(
        "{architecture} with {} in {}",
        metadata.method,
        args.output.display()
    ))?;
    let classes = metadata.task.classes.len();
    let outputs = match metadata.task.kind {
        TaskKind::Classification | TaskKind::Ordinal | TaskKind::MultiLabel => {
            format!("`logits` and `probs` [batch, {classes}]")
        }
        TaskKind::Detection => {
            format!(
                "`boxes` [batch, points, 4] in pixels and `scores` [batch, points, {classes}], overlaps included"
            )
        }
        TaskKind::Segmentation => {
            format!("`logits` and `probs` [batch, {classes}, {height}, {width}]")
        }
    };
    output.info(format!(
        "input `pixels` [batch, 3, {height}, {width}], outputs {outputs}"
    ));
    if let Some(bytes) = files.data_bytes {
        output.info(format!(
            "{bytes} bytes of weights lie in `{}.data`, which belongs to it",
            args.output.display()
        ));
    }
    output.json(&Written {
        output: &args.output,
        format: args.format,
        architecture,
        classes,
        image_size: metadata.preprocess.input_size,
        half: args.half,
        bytes: Some(files.model_bytes),
        data_bytes: files.data_bytes,
    })?;
    Ok(Exit::Success)
}
