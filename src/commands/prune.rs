//! `vpt prune`: a task with the prompts that get the most attention.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use serde::Serialize;
use vpt_data::{Split, decode};
use vpt_eval::prompt_attention;

use crate::cli::{DataArgs, values};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::session::Session;
use crate::target::Target;
use crate::{progress, shell, tables};

const EXAMPLES: &str = "\
Examples:
  vpt prune runs/train/my_images --keep 5 --output pruned.safetensors
  vpt train -c runs/train/my_images/args.toml --num-tokens 5 --init-from pruned.safetensors
  vpt eval pruned.safetensors

Keeps in each block the prompts that the tokens of the training images attend to most. What was chosen on validation images \
(temperature, threshold) is left out of the new file: train on from it, or choose it again with `vpt calibrate`.";

/// Keep only the prompts that get the most attention
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub struct PruneArgs {
    /// Run folder or task file
    #[arg(value_name = "TASKFILE|RUN")]
    pub target: PathBuf,

    /// Prompts to keep in each block
    #[arg(long, value_name = "K", value_parser = values::count)]
    pub keep: usize,

    /// Task file to write
    #[arg(long, value_name = "FILE")]
    pub output: PathBuf,

    /// Training images to look at; all if there are fewer
    #[arg(long, value_name = "N", default_value = "256", value_parser = values::count)]
    pub images: usize,

    #[command(flatten)]
    pub data: DataArgs,

    /// Backbone, if it is no longer where training found it
    #[arg(long, value_name = "MODEL")]
    pub model: Option<String>,

    /// Store float16
    #[arg(long)]
    pub half: bool,
}

/// What was written.
#[derive(Serialize)]
struct Pruned {
    output: PathBuf,
    /// Prompts that stay, by set.
    kept: Vec<Vec<usize>>,
    num_tokens: usize,
    of: usize,
    /// Share of all attention to prompts that the kept ones get, by set's first block.
    attention_kept: f64,
    images: usize,
}

/// Measures, chooses, writes.
pub fn run(args: &PruneArgs, session: &Session) -> Result<Exit> {
    let target = Target::open(&args.target)?;
    let metadata = &target.task.metadata;
    let no_prompts = || {
        Failure::usage(format!("the method `{}` has no prompts", metadata.method))
            .hint("only vpt-deep and vpt-shallow can be pruned")
    };
    let config = metadata.method.prompts.clone().ok_or_else(no_prompts)?;
    if args.keep >= config.num_tokens {
        return Err(Failure::usage(format!(
            "`--keep {}` keeps all of the {} prompts",
            args.keep, config.num_tokens
        ))
        .hint(format!("keep fewer than {}", config.num_tokens))
        .into());
    }
    let dataset = target.dataset(&args.data)?;
    let train = dataset.split(Split::Train);
    // Spread over the list, which is in the order of classes.
    let step = train.len().div_ceil(args.images).max(1);
    let samples: Vec<_> = train.iter().step_by(step).collect();
    let device = session.device()?.device;
    let model = target
        .task
        .apply(target.backbone(args.model.as_deref())?, &device)?;
    let bar = progress::images(session.output, "attention", samples.len());
    let crops = samples.iter().map(|sample| {
        bar.inc(1);
        Ok(metadata.preprocess.crop(&decode(&sample.path)?))
    });
    let attention = prompt_attention(&model, crops, &metadata.preprocess, &device)?.ok_or_else(no_prompts)?;
    bar.finish_and_clear();
    let kept = attention.most_attended(&config, args.keep);
    target.task.with_prompts(&kept)?.save(&args.output, args.half)?;

    let first = config.prompted_blocks(attention.prompts.len()).start;
    let (mut all, mut stays) = (0.0, 0.0);
    for (set, places) in kept.iter().enumerate() {
        all += attention.prompts[first + set].iter().sum::<f64>();
        stays += places
            .iter()
            .map(|&place| attention.prompts[first + set][place])
            .sum::<f64>();
    }
    let pruned = Pruned {
        output: args.output.clone(),
        num_tokens: args.keep,
        of: config.num_tokens,
        attention_kept: if all > 0.0 { stays / all } else { 0.0 },
        images: attention.images,
        kept,
    };
    let output = session.output;
    output.json(&pruned)?;
    output.result(tables::pairs(&[
        (
            "prompts",
            format!("{} of {} in each set", pruned.num_tokens, pruned.of),
        ),
        (
            "attention",
            format!(
                "{:.1} % of what prompts get, over {} training images",
                100.0 * pruned.attention_kept,
                pruned.images
            ),
        ),
        ("task file", args.output.display().to_string()),
    ]))?;
    output.hint(format!(
        "train on from it with `--num-tokens {} --init-from {}`",
        args.keep,
        shell::quote(&args.output)
    ));
    Ok(Exit::Success)
}
