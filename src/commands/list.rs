//! `vpt list`: what this build knows.

use anyhow::Result;
use clap::{Args, ValueEnum};
use serde::Serialize;
use vpt_core::MethodKind;
use vpt_core::presets::{PRESETS, PUBLISHED, Published};
use vpt_core::weights::BUILTIN;
use vpt_data::{Format, TaskSpec};
use vpt_eval::metrics::METRICS;

use crate::exit::Exit;
use crate::session::Session;
use crate::{settings, tables};

const EXAMPLES: &str = "\
Examples:
  vpt list methods
  vpt list models dinov2
  vpt list models histopathology
  vpt list models 'vit_base*clip'
  vpt list metrics --json";

/// List models, methods, tasks, metrics or data formats
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub struct ListArgs {
    /// What to list
    #[arg(value_name = "WHAT")]
    pub what: What,

    /// Only what contains this in its name or description; `*` stands for anything
    #[arg(value_name = "FILTER")]
    pub filter: Option<String>,
}

/// What `vpt list` lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum What {
    /// The built-in backbone, medical backbones on the hub, and timm's architectures
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

/// What `--model` takes: the built-in backbone, published medical ones, and timm's architectures.
fn models() -> Vec<Entry> {
    let builtin = Entry::new(BUILTIN, "built in, used unless `--model` says otherwise");
    let known = PRESETS.iter().map(|preset| {
        let config = preset.timm_args().resolve();
        let [height, width] = config.img_size;
        let (first, last) = (config.embed_dim, config.num_features());
        let widths = match first == last {
            true => first.to_string(),
            false => format!("{first} to {last}"),
        };
        let about = format!(
            "{} blocks of width {widths}, {height} x {width} pixels",
            config.depth
        );
        Entry::new(preset.name, about)
    });
    let published = PUBLISHED.iter().map(|published| {
        let Published {
            name,
            repo,
            about,
            licence,
            source,
            ..
        } = published;
        Entry::new(name, format!("{about} ({source}; {licence}), hf-hub:{repo}"))
    });
    [builtin].into_iter().chain(published).chain(known).collect()
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
    let mut entries = match args.what {
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
    if let Some(filter) = &args.filter {
        entries.retain(|entry| contains(&entry.name, filter) || contains(&entry.about, filter));
    }
    session.output.json(&entries)?;
    if entries.is_empty() {
        session.output.info(match &args.filter {
            Some(filter) => format!("nothing contains `{filter}`"),
            None => "there are none here".to_owned(),
        });
    } else {
        let pairs: Vec<_> = entries
            .iter()
            .map(|entry| (entry.name.as_str(), entry.about.clone()))
            .collect();
        session.output.result(tables::pairs(&pairs))?;
    }
    Ok(Exit::Success)
}

/// Whether `text` contains the pieces of `filter` between its `*`, in their order.
fn contains(text: &str, filter: &str) -> bool {
    let text = text.to_lowercase();
    let mut rest = text.as_str();
    filter.to_lowercase().split('*').all(|piece| {
        let found = rest.find(piece);
        rest = found.map_or(rest, |start| &rest[start + piece.len()..]);
        found.is_some()
    })
}

#[cfg(test)]
mod tests {
    use super::contains;

    #[test]
    fn pieces_of_a_filter_stand_in_their_order() {
        let name = "vit_base_patch16_clip_224";
        for filter in ["", "clip", "CLIP", "base*clip", "*base*", "vit*224"] {
            assert!(contains(name, filter), "`{filter}`");
        }
        for filter in ["dinov2", "clip*base", "224*224"] {
            assert!(!contains(name, filter), "`{filter}`");
        }
    }
}
