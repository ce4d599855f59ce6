//! `vpt list`: what this build knows.

use anyhow::Result;
use clap::{Args, ValueEnum};
use serde::Serialize;
use vpt_core::MethodKind;
use vpt_core::presets::PRESETS;
use vpt_core::weights::BUILTIN;
use vpt_data::{Format, TaskSpec};
use vpt_eval::metrics::METRICS;

use crate::exit::Exit;
use crate::session::Session;
use crate::{settings, tables};

const EXAMPLES: &str = "\
Examples:
  vpt list methods
  vpt list metrics --json";

/// List models, methods, tasks, metrics or data formats
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub struct ListArgs {
    /// What to list
    #[arg(value_name = "WHAT")]
    pub what: What,
}

/// What `vpt list` lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum What {
    /// The built-in backbone, and architectures that weight files may have
    Models,
    /// Tuning methods
    Methods,
    /// Tasks described by TOML files
    Tasks,
    /// Metrics
    Metrics,
    /// Data set formats
    Formats,
}

/// A name and what it stands for.
#[derive(Serialize)]
struct Entry {
    name: String,
    about: String,
}

impl Entry {
    #[allow(
        clippy::needless_pass_by_value,
        reason = "names and texts alike, without a `&` at every call"
    )]
    fn new(name: impl ToString, about: impl ToString) -> Self {
        Self {
            name: name.to_string(),
            about: about.to_string(),
        }
    }
}

/// What `--model` takes: the built-in backbone, and the architectures that weight files may have.
fn models() -> Vec<Entry> {
    let builtin = Entry::new(BUILTIN, "built in, used unless `--model` says otherwise");
    let known = PRESETS.iter().map(|preset| {
        let config = preset.timm_args().resolve();
        let [height, width] = config.img_size;
        let about = format!(
            "{} blocks of width {}, {height} x {width} pixels",
            config.depth, config.embed_dim
        );
        Entry::new(preset.name, about)
    });
    [builtin].into_iter().chain(known).collect()
}

fn tasks() -> Result<Vec<Entry>> {
    let folders = settings::task_folders();
    let entry = |name: String| {
        let task = TaskSpec::find(&name, &folders)?;
        let about = task
            .description
            .unwrap_or_else(|| task.data_dir.display().to_string());
        Ok(Entry::new(name, about))
    };
    TaskSpec::list(&folders).into_iter().map(entry).collect()
}

/// Prints names with a line each.
pub fn run(args: &ListArgs, session: &Session) -> Result<Exit> {
    let entries = match args.what {
        What::Models => models(),
        What::Methods => MethodKind::ALL
            .iter()
            .map(|kind| Entry::new(kind, kind.summary()))
            .collect(),
        What::Tasks => tasks()?,
        What::Metrics => METRICS
            .iter()
            .map(|metric| Entry::new(metric.name, metric.about))
            .collect(),
        What::Formats => Format::ALL
            .iter()
            .map(|format| Entry::new(format, format.about()))
            .collect(),
    };
    session.output.json(&entries)?;
    if entries.is_empty() {
        session.output.info("there are none here");
    } else {
        let pairs: Vec<_> = entries
            .iter()
            .map(|entry| (entry.name.as_str(), entry.about.clone()))
            .collect();
        session.output.result(tables::pairs(&pairs))?;
    }
    Ok(Exit::Success)
}
