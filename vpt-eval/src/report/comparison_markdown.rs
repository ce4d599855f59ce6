//! The comparison as Markdown, for READMEs and pull requests: the page without its figures.

use super::comparison_sections::sections;
use super::evaluated::images;
use super::figure::Table;
use super::format::{method_title, metric_title};
use super::section::Block;
use crate::Comparison;
use crate::metrics::{self, Metric};

/// Verdicts, tables, notes and commands.
pub fn comparison_markdown(comparison: &Comparison) -> String {
    let Ok(metric) = metrics::find(&comparison.metric) else {
        return String::new(); // a comparison is only ever made with a metric that exists
    };
    let mut parts = vec![
        format!("# {}", cell(&comparison.task)),
        summary(comparison, metric),
    ];
    for section in sections(comparison, metric) {
        let blocks: Vec<String> = section.blocks.iter().filter_map(block).collect();
        // A part of figures only has nothing to say here.
        if blocks.iter().any(|text| !text.is_empty()) && section.id != "curves" {
            parts.push(format!("## {}", section.title));
            parts.extend(blocks);
        }
    }
    parts.join("\n\n") + "\n"
}

fn block(block: &Block) -> Option<String> {
    match block {
        Block::Heading(text) => Some(format!("### {}", cell(text))),
        Block::Text(text) | Block::Note(text) => Some(text.clone()),
        Block::Table(found) => Some(table(found)),
        Block::Verdicts(verdicts) => {
            let line = |verdict: &super::section::Verdict| {
                let sentence = verdict.sentence.replace('\u{a0}', " ");
                format!("- **{}**: {sentence}.", cell(verdict.method))
            };
            Some(verdicts.iter().map(line).collect::<Vec<_>>().join("\n"))
        }
        Block::Details(details) => {
            let mut parts = vec![format!("### {}", cell(&details.summary)), details.text.clone()];
            parts.extend(details.tables.iter().map(table));
            parts.retain(|part| !part.is_empty());
            Some(parts.join("\n\n"))
        }
        Block::Commands(commands) => Some(
            commands
                .iter()
                .map(|command| format!("    {command}"))
                .collect::<Vec<_>>()
                .join("\n"),
        ),
        Block::Figures(_) | Block::Cards(_) | Block::Pictures(_) | Block::Pairs(_) => None,
    }
}

fn table(table: &Table) -> String {
    let line = |cells: &[String]| {
        let cells: Vec<String> = cells.iter().map(|text| cell(text)).collect();
        format!("| {} |", cells.join(" | "))
    };
    let numbers = table.columns.len() - 1 - usize::from(table.ends_in_text);
    let mut rule = "|---|".to_owned() + &"---:|".repeat(numbers);
    if table.ends_in_text {
        rule += "---|";
    }
    let mut lines = vec![line(&table.columns), rule];
    lines.extend(table.rows.iter().map(|row| line(&row.cells)));
    let caption = match table.caption.as_str() {
        "" => String::new(),
        caption => format!("{caption}\n\n"),
    };
    caption + &lines.join("\n")
}

/// Methods, images, metric, baseline, backbone, device, seeds.
pub(super) fn summary(comparison: &Comparison, metric: &Metric) -> String {
    let seeds: std::collections::BTreeSet<u64> =
        comparison.rows.iter().flat_map(|row| row.seeds.clone()).collect();
    let seeds: Vec<String> = seeds.iter().map(u64::to_string).collect();
    let device = comparison
        .device
        .as_ref()
        .map_or(String::new(), |device| format!(", {device}"));
    let methods = match comparison.rows.len() {
        1 => "One method".to_owned(),
        several => format!("{several} methods"),
    };
    format!(
        "{methods} on {} of the test split, {}, compared with {}. Backbone `{}`{device}, seeds {}, vpt {}.",
        images(comparison.images),
        metric_title(metric.name),
        method_title(&comparison.baseline),
        comparison.model,
        seeds.join(" "),
        comparison.vpt_version
    )
}

/// Text that cannot break out of its table cell.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace(['\n', '\r'], " ")
}
