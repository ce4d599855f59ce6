//! The comparison as Markdown, for READMEs and pull requests.

use super::format::{self, UNKNOWN, Unit, method_title, metric_title};
use crate::metrics::{self, Metric};
use crate::{Comparison, ComparisonRow};

/// Table, verdicts, notes and commands.
pub fn comparison_markdown(comparison: &Comparison) -> String {
    let Ok(metric) = metrics::find(&comparison.metric) else {
        return String::new(); // a comparison is only ever made with a metric that exists
    };
    let header = column_titles(comparison, metric);
    let mut lines = vec![
        format!(
            "# {}: methods on {} test images",
            cell(&comparison.task),
            comparison.images
        ),
        String::new(),
        format!("| {} |", header.join(" | ")),
        format!("|---|{}", "---:|".repeat(header.len() - 1)),
    ];
    for row in &comparison.rows {
        let cells: Vec<String> = row_cells(row, metric).iter().map(|text| cell(text)).collect();
        lines.push(format!("| {} |", cells.join(" | ")));
    }
    lines.push(String::new());
    let verdicts = comparison.rows.iter().filter(|row| !row.verdict.is_empty());
    lines.extend(verdicts.map(|row| format!("- **{}**: {}.", cell(&row.method), row.verdict)));
    lines.push(String::new());
    lines.extend(comparison.notes.iter().cloned());
    lines.push(provenance(comparison));
    if !comparison.commands.is_empty() {
        lines.push(String::new());
        lines.extend(comparison.commands.iter().map(|command| format!("    {command}")));
    }
    lines.join("\n") + "\n"
}

/// Titles of the table's columns.
pub(super) fn column_titles(comparison: &Comparison, metric: &Metric) -> Vec<String> {
    let percent = if metric.higher_is_better { " %" } else { "" };
    vec![
        "method".to_owned(),
        format!("{}{percent}", metric_title(metric.name)),
        format!("difference to {}", method_title(&comparison.baseline)),
        "tuned parameters".to_owned(),
        "task file".to_owned(),
        "training".to_owned(),
        "images/s train".to_owned(),
        "images/s infer".to_owned(),
        "peak memory".to_owned(),
    ]
}

/// The cells of a row, as text.
pub(super) fn row_cells(row: &ComparisonRow, metric: &Metric) -> Vec<String> {
    let unit = Unit::of(metric);
    let known = |text: Option<String>| text.unwrap_or(UNKNOWN.to_owned());
    let percent = row.tuned_percent.map_or(String::new(), |percent| {
        format!(" ({})", format::percent(percent))
    });
    vec![
        row.method.clone(),
        unit.estimate(&row.score),
        row.difference
            .as_ref()
            .map_or("baseline".to_owned(), |difference| unit.difference(difference)),
        known(row.tuned_params.map(|tuned| format::count(tuned) + &percent)),
        known(row.task_file_bytes.map(format::bytes)),
        known(row.train_seconds.map(format::duration)),
        known(row.train_images_per_second.map(format::rate)),
        known(row.images_per_second.map(format::rate)),
        known(row.peak_memory_bytes.map(format::bytes)),
    ]
}

/// Backbone, device, seeds, version.
pub(super) fn provenance(comparison: &Comparison) -> String {
    let seeds: std::collections::BTreeSet<u64> =
        comparison.rows.iter().flat_map(|row| row.seeds.clone()).collect();
    let seeds: Vec<String> = seeds.iter().map(u64::to_string).collect();
    let device = comparison
        .device
        .as_ref()
        .map_or(String::new(), |device| format!(", {device}"));
    format!(
        "Backbone `{}`{device}, seeds {}, vpt {}.",
        comparison.model,
        seeds.join(" "),
        comparison.vpt_version
    )
}

/// Text that cannot break out of its table cell.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace(['\n', '\r'], " ")
}
