//! `vpt export`: a fine-tuned backbone as weights that other programs load.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use serde::Serialize;

use crate::exit::Exit;
use crate::session::Session;
use crate::shell;
use crate::target::Target;

const EXAMPLES: &str = "\
Examples:
  vpt export runs/train/my_images-full --output weights/my_images
  vpt train --data-dir other_images --model weights/my_images

Writes model.safetensors and config.json in timm's form: the backbone with what training changed, and the head.
For methods that change the backbone or the head (full, partial, bitfit, norm, linear); what others add lives in their task file.";

/// Write a fine-tuned backbone in timm's form
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub struct ExportArgs {
    /// Task file, or the folder of a run
    #[arg(value_name = "TASKFILE|RUN")]
    pub target: PathBuf,

    /// Folder to write
    #[arg(long, value_name = "DIR")]
    pub output: PathBuf,

    /// Backbone, if it is no longer where training found it
    #[arg(long, value_name = "MODEL")]
    pub model: Option<String>,

    /// Store float16
    #[arg(long)]
    pub half: bool,
}

/// What was written.
#[derive(Serialize)]
struct Written<'a> {
    output: &'a PathBuf,
    architecture: &'a str,
    classes: usize,
    image_size: [usize; 2],
    half: bool,
}

/// Merges the task into its backbone and saves it.
pub fn run(args: &ExportArgs, session: &Session) -> Result<Exit> {
    let target = Target::open(&args.target)?;
    let merged = target.task.merge(target.backbone(args.model.as_deref())?)?;
    merged.save(&args.output, args.half)?;
    let output = session.output;
    output.result(format!("{} in {}", merged.architecture, args.output.display()))?;
    output.info(format!("use it with `--model {}`", shell::quote(&args.output)));
    output.json(&Written {
        output: &args.output,
        architecture: &merged.architecture,
        classes: merged.num_classes,
        image_size: merged.preprocess.input_size,
        half: args.half,
    })?;
    Ok(Exit::Success)
}
