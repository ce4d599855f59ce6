//! `vpt inspect`: look into a model, a task file, a data set or a device.

mod model;
mod task;

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::{Args, Subcommand};
use serde::Serialize;
use vpt_core::device::{self, DeviceSummary};
use vpt_core::ops;
use vpt_core::parity::{self, ParityReport};
use vpt_data::{
    DataSummary, Dataset, Leak, LeakOptions, ObjectSummary, OpenOptions, PixelSummary, Preprocess, TaskKind,
};
use vpt_eval::report::format;

use self::model::{ModelArgs, pixels};
use self::task::TaskArgs;
use crate::cli::{ColumnArgs, values};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::session::Session;
use crate::tables;

const EXAMPLES: &str = "\
Examples:
  vpt inspect model demo
  vpt inspect model vit_large_patch16_224 --no-pretrained --batch-size 8 --batch-size 64
  vpt inspect task runs/train/my_images
  vpt inspect task runs/train/my_images --attention my_images/val
  vpt inspect data my_images
  vpt inspect device --check";

/// Files that a list shows.
const LISTED: usize = 20;

/// Look into a model, a task file, a data set or a device
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub struct InspectArgs {
    #[command(subcommand)]
    pub what: What,
}

/// What to look into.
#[derive(Clone, Debug, Subcommand)]
pub enum What {
    /// Architecture, preprocessing, parameters, multiply-adds and memory of a backbone
    Model(ModelArgs),
    /// Classes, method, backbone and metrics that a task file carries
    Task(TaskArgs),
    /// Images per split and class, sizes, colour modes, duplicates across splits
    Data {
        /// The data set's folder
        #[arg(value_name = "DIR")]
        dir: PathBuf,

        /// What is asked of the images, where annotations hold more than one thing: `segmentation` makes masks of outlines
        #[arg(long, value_name = "KIND", value_parser = values::dense_kind)]
        kind: Option<TaskKind>,

        #[command(flatten)]
        columns: ColumnArgs,
    },
    /// The device that would be used
    Device {
        /// Compare logits and gradients with the CPU
        #[arg(long)]
        check: bool,
    },
}

/// Prints what is to be known.
pub fn run(args: &InspectArgs, session: &Session) -> Result<Exit> {
    match &args.what {
        What::Model(args) => model::run(args, session),
        What::Task(args) => task::run(args, session),
        What::Data { dir, kind, columns } => inspect_data(dir, *kind, columns, session),
        What::Device { check } => inspect_device(*check, session),
    }
}

fn inspect_data(dir: &Path, kind: Option<TaskKind>, columns: &ColumnArgs, session: &Session) -> Result<Exit> {
    // What is wrong with the images is what is asked for, so it must not end the command.
    let dataset = Dataset::open(
        dir,
        &OpenOptions {
            check_images: false,
            columns: columns.names(),
            kind,
            ..OpenOptions::default()
        },
    )?;
    let summary = DataSummary::of(&dataset)?;
    // Equal files are in the summary already.
    let leaks = dataset.leaks(LeakOptions {
        content: false,
        ..LeakOptions::default()
    });
    session.output.json(&Inspected {
        summary: &summary,
        leaks: &leaks.pairs,
    })?;
    session.output.result(data_text(&summary))?;
    for line in leaks.summary() {
        session.output.result(format!("\nleak between splits: {line}"))?;
    }
    Ok(Exit::Success)
}

/// What `--json` prints of a data set.
#[derive(Serialize)]
struct Inspected<'a> {
    #[serde(flatten)]
    summary: &'a DataSummary,
    /// Groups in several splits, and images that look alike across them.
    leaks: &'a [Leak],
}

fn data_text(summary: &DataSummary) -> String {
    let [width, height] = [summary.width, summary.height]
        .map(|range| format!("{} to {}, median {}", range.min, range.max, range.median));
    let modes = summary
        .modes
        .iter()
        .map(|(mode, count)| format!("{mode} {count}"))
        .collect::<Vec<_>>()
        .join(", ");
    let images: usize = summary.splits.iter().map(|split| split.images).sum();
    let mut parts = vec![
        tables::pairs(&[
            (
                "data",
                format!(
                    "{} ({}), {} classes",
                    match summary.root.as_os_str().is_empty() {
                        true => summary.name.as_str().into(), // a table in this very folder
                        false => summary.root.to_string_lossy(),
                    },
                    summary.format,
                    summary.classes.len()
                ),
            ),
            (
                "images",
                format!("{images}, {}", format::bytes(summary.total_bytes)),
            ),
            ("width", width),
            ("height", height),
            ("colours", modes),
            (
                "imbalance",
                format!(
                    "{:.1} {} of the largest class for one of the smallest",
                    summary.imbalance,
                    if summary.objects.is_some() {
                        "objects"
                    } else {
                        "images"
                    }
                ),
            ),
        ]),
        classes_table(summary),
    ];
    parts.extend(summary.objects.as_ref().map(objects_text));
    parts.extend(
        summary
            .pixels
            .as_ref()
            .map(|pixels| pixels_table(pixels, &summary.classes)),
    );
    if !summary.problems.is_empty() {
        let mut lines = summary.problems.lines(LISTED);
        lines.insert(0, "in the annotations:".to_owned());
        parts.push(lines.join("\n  "));
    }
    let lists = [
        ("in two splits", &summary.duplicates_across_splits),
        ("under two classes", &summary.contradictions),
    ];
    for (what, pairs) in lists.into_iter().filter(|(_, pairs)| !pairs.is_empty()) {
        let files = pairs
            .iter()
            .take(LISTED)
            .map(|pair| format!("  {} = {}", pair.first.path, pair.second.path));
        parts.push(listed(
            &format!("the same image {what}"),
            files.collect(),
            pairs.len(),
        ));
    }
    if !summary.unreadable.is_empty() {
        let files = summary
            .unreadable
            .iter()
            .take(LISTED)
            .map(|bad| format!("  {}: {}", bad.path.display(), bad.reason));
        parts.push(listed("unreadable", files.collect(), summary.unreadable.len()));
    }
    parts.extend(summary.notes.iter().map(|note| format!("note: {note}")));
    parts.join("\n\n")
}

/// What is known of boxes.
fn objects_text(found: &ObjectSummary) -> String {
    let range = found.per_picture;
    let mut pairs = vec![
        ("objects", found.objects.to_string()),
        (
            "an image",
            format!("{} to {}, median {}", range.min, range.max, range.median),
        ),
        (
            "sizes",
            format!(
                "{} small (below 32 x 32 pixels), {} medium (below 96 x 96), {} large",
                found.small, found.medium, found.large
            ),
        ),
        (
            "without",
            format!("{} images have no object", found.without.iter().sum::<usize>()),
        ),
    ];
    for (name, count) in [
        ("crowds", found.crowds),
        ("difficult", found.difficult),
        ("outlines", found.outlines),
    ] {
        if count > 0 {
            pairs.push((name, count.to_string()));
        }
    }
    tables::pairs(&pairs)
}

/// Which part of the pixels each class has in each split.
fn pixels_table(splits: &[PixelSummary], classes: &[String]) -> String {
    let titles: Vec<_> = ["pixels %"]
        .into_iter()
        .chain(splits.iter().map(|split| split.split.name()))
        .collect();
    let percent = |share: f64| format!("{:.1}", 100.0 * share);
    let row = |(label, class): (usize, &String)| {
        let shares = splits
            .iter()
            .map(|split| percent(split.shares.get(label).copied().unwrap_or_default()));
        [class.clone()].into_iter().chain(shares).collect()
    };
    let ignored = splits.iter().map(|split| percent(split.ignored));
    let ignored: Vec<String> = ["(ignored)".to_owned()].into_iter().chain(ignored).collect();
    tables::plain(&titles, classes.iter().enumerate().map(row).chain([ignored]))
}

fn classes_table(summary: &DataSummary) -> String {
    let titles: Vec<_> = ["class"]
        .into_iter()
        .chain(summary.splits.iter().map(|split| split.split.name()))
        .collect();
    let row = |(label, class): (usize, &String)| {
        let counts = summary
            .splits
            .iter()
            .map(|split| split.per_class[label].to_string());
        [class.clone()].into_iter().chain(counts).collect()
    };
    tables::plain(&titles, summary.classes.iter().enumerate().map(row))
}

/// A title with a count, the first lines, and how many there are beyond them.
fn listed(title: &str, mut lines: Vec<String>, count: usize) -> String {
    lines.insert(0, format!("{title}: {count}"));
    if count > LISTED {
        lines.push(format!("  and {} more", count - LISTED));
    }
    lines.join("\n")
}

#[derive(Serialize)]
struct DeviceReport {
    device: String,
    note: Option<String>,
    adapters: Vec<DeviceSummary>,
    check: Option<ParityReport>,
}

fn inspect_device(check: bool, session: &Session) -> Result<Exit> {
    let selected = session.device()?;
    let adapters = device::adapters();
    let check = check.then(|| parity::check(&selected)).transpose()?;
    let mut lines = vec![("device", selected.name.clone())];
    lines.extend(selected.note.clone().map(|note| ("", note)));
    for adapter in &adapters {
        let DeviceSummary {
            index,
            name,
            api,
            kind,
            driver,
        } = adapter;
        lines.push((
            "adapter",
            format!("gpu:{index}  {name} ({api}, {kind}) {driver}")
                .trim_end()
                .to_owned(),
        ));
    }
    if let Some(report) = &check {
        let verdict = if report.passed {
            "agrees with the CPU"
        } else {
            "differs from the CPU"
        };
        lines.push(("check", verdict.to_owned()));
        lines.push((
            "",
            format!(
                "logits differ by {:.1e} of {:.2}",
                report.max_abs_logits, report.largest_logit
            ),
        ));
        lines.push((
            "",
            format!(
                "gradients differ by {:.1e} of {:.2}",
                report.max_abs_grad, report.largest_grad
            ),
        ));
        if let Some(half) = report.max_abs_half {
            let verdict = match report.half_passed {
                true => "logits",
                false => "wrong, do not use it here: logits",
            };
            let gradients = report.max_abs_half_grad;
            let gradients = gradients.map_or_else(String::new, |apart| format!(", gradients by {apart:.1e}"));
            lines.push((
                "",
                format!("`--precision f16`: {verdict} differ by {half:.1e}{gradients}"),
            ));
        }
    }
    session.output.result(tables::pairs(&lines))?;
    let failed = check.as_ref().is_some_and(|report| !report.passed);
    let name = selected.name.clone();
    session.output.json(&DeviceReport {
        device: selected.name,
        note: selected.note,
        adapters,
        check,
    })?;
    let hint = match ops::gpu_kernels() {
        true => format!(
            "use `--device cpu`, update the driver, or try it with `{}=0` in the environment",
            ops::GPU_KERNELS
        ),
        false => "use `--device cpu`, or update the driver".to_owned(),
    };
    match failed {
        false => Ok(Exit::Success),
        true => Err(
            Failure::new(format!("device `{name}` computes other numbers than the CPU"))
                .hint(hint)
                .into(),
        ),
    }
}

fn preprocess(preprocess: &Preprocess) -> String {
    let Preprocess {
        input_size,
        mean,
        std,
        interpolation,
        crop_pct,
        crop_mode,
        windows,
    } = preprocess;
    let windows = match windows {
        1 => String::new(),
        times => format!(", {times} times as large, through windows"),
    };
    let text = format!(
        "{}, {interpolation:?}, {crop_mode:?} crop {crop_pct}, mean {mean:?}, std {std:?}{windows}",
        pixels(*input_size)
    );
    text.to_lowercase()
}

/// The first few, and how many there are.
fn shortened(names: &[String]) -> String {
    const SHOWN: usize = 6;
    match names.len() {
        count if count > SHOWN => format!("{}, … ({count} in all)", names[..SHOWN].join(", ")),
        _ => names.join(", "),
    }
}
