//! `vpt inspect task`: what a task file carries, and how much attention its prompts get.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use serde::Serialize;
use vpt_core::TaskMetadata;
use vpt_data::decode;
use vpt_eval::{PromptAttention, prompt_attention};

use super::{preprocess, shortened};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::session::Session;
use crate::target::Target;
use crate::{inputs, progress, tables};

/// Which task, and on which images to look at its prompts.
#[derive(Args, Clone, Debug)]
pub struct TaskArgs {
    /// Run folder or task file
    #[arg(value_name = "TASKFILE|RUN")]
    pub target: PathBuf,

    /// Images or folders on which to measure how much attention the prompts get
    #[arg(long, value_name = "IMAGE|DIR", num_args = 1..)]
    pub attention: Vec<PathBuf>,

    /// Backbone, if it is no longer where training found it
    #[arg(long, value_name = "MODEL", requires = "attention")]
    pub model: Option<String>,
}

/// The document of the task file, and what was measured.
#[derive(Serialize)]
struct Report<'a> {
    #[serde(flatten)]
    metadata: &'a TaskMetadata,
    #[serde(skip_serializing_if = "Option::is_none")]
    prompt_attention: Option<&'a PromptAttention>,
}

/// Prints it.
pub fn run(args: &TaskArgs, session: &Session) -> Result<Exit> {
    let target = Target::open(&args.target)?;
    let attention = match args.attention.as_slice() {
        [] => None,
        images => Some(attention(&target, images, args.model.as_deref(), session)?),
    };
    let Target { path, task } = &target;
    let metadata = &task.metadata;
    let output = session.output;
    output.json(&Report {
        metadata,
        prompt_attention: attention.as_ref(),
    })?;
    let tensors = task
        .tensors
        .iter()
        .map(|(name, tensor)| format!("{name} {:?}", tensor.shape));
    let metrics = metadata
        .metrics
        .iter()
        .map(|(name, value)| format!("{name} {value:.4}"));
    output.result(tables::pairs(&[
        ("task file", path.display().to_string()),
        ("task", format!("{} ({})", metadata.task.name, metadata.task.kind)),
        ("classes", metadata.task.classes.join(", ")),
        ("method", metadata.method.to_string()),
        ("tensors", shortened(&tensors.collect::<Vec<_>>())),
        (
            "backbone",
            format!(
                "{} from {}",
                metadata.backbone.architecture, metadata.backbone.source
            ),
        ),
        ("sha256", metadata.backbone.sha256.clone()),
        ("preprocess", preprocess(&metadata.preprocess)),
        ("validation", metrics.collect::<Vec<_>>().join(", ")),
        ("decisions", metadata.calibration.to_string()),
        ("epoch", metadata.training.epoch.to_string()),
        ("seed", metadata.training.seed.to_string()),
        (
            "trained",
            format!("{} with vpt {}", metadata.training.date, metadata.vpt_version),
        ),
    ]))?;
    if let Some(attention) = &attention {
        output.result(format!("\n{}", attention_text(attention)))?;
    }
    Ok(Exit::Success)
}

/// Measures the prompts of a task on some images.
fn attention(
    target: &Target,
    images: &[PathBuf],
    model: Option<&str>,
    session: &Session,
) -> Result<PromptAttention> {
    let paths = inputs::images(images).collect::<Result<Vec<_>>>()?;
    let backbone = target.backbone(model)?;
    let device = session.device()?.device;
    let preprocess = &target.task.metadata.preprocess;
    let model = target.task.apply(backbone, &device)?;
    let bar = progress::images(session.output, "attention", paths.len());
    let crops = paths.iter().map(|path| {
        bar.inc(1);
        Ok(preprocess.crop(&decode(path)?))
    });
    let found = prompt_attention(&model, crops, preprocess, &device)?;
    bar.finish_and_clear();
    found.ok_or_else(|| {
        Failure::new(format!(
            "the method `{}` has no prompts",
            target.task.metadata.method
        ))
        .hint("`--attention` looks at the prompts of vpt-deep and vpt-shallow")
        .into()
    })
}

/// A row for each block, a column for each head.
fn attention_text(attention: &PromptAttention) -> String {
    let heads = attention.tokens.first().map_or(0, Vec::len);
    let titles = (1..=heads).map(|head| format!("head {head}"));
    let titles: Vec<_> = ["% of attention to prompts".to_owned()]
        .into_iter()
        .chain(titles)
        .chain(["mean".to_owned(), "class token".to_owned()])
        .collect();
    let mean = |shares: &[f64]| shares.iter().sum::<f64>() / shares.len().max(1) as f64;
    let rows = attention.tokens.iter().zip(&attention.first_token).enumerate();
    let rows = rows.map(|(block, (tokens, first))| {
        let shares = tokens.iter().copied().chain([mean(tokens), mean(first)]);
        [format!("block {}", block + 1)]
            .into_iter()
            .chain(shares.map(|share| format!("{:.1}", share * 100.0)))
            .collect::<Vec<_>>()
    });
    let titles: Vec<_> = titles.iter().map(String::as_str).collect();
    format!(
        "{}\n\nmean over {} images; by head, what all tokens of the image give",
        tables::plain(&titles, rows),
        attention.images
    )
}
