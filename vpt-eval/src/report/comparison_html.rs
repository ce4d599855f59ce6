//! The comparison as one page: no network, no script, light and dark, phone and paper.

use askama::Template;

use super::comparison_markdown::{column_titles, provenance, row_cells};
use super::curves::method_curves;
use super::forest::forest;
use super::format::{method_title, metric_title};
use super::plot::{padded, range};
use super::scatter::scatter;
use super::svg;
use crate::metrics::{self, Metric};
use crate::{Comparison, RunCurves};

#[derive(Template)]
#[template(path = "comparison.html")]
struct Page<'a> {
    comparison: &'a Comparison,
    metric_title: String,
    baseline_title: &'a str,
    style: &'static str,
    columns: Vec<String>,
    rows: Vec<TableRow>,
    forest: Option<String>,
    scatter: Option<String>,
    curves: Vec<MethodCurves<'a>>,
    provenance: String,
}

struct TableRow {
    cells: Vec<String>,
    verdict: String,
    is_baseline: bool,
    colour: String,
}

struct MethodCurves<'a> {
    method: &'a str,
    figure: String,
    run_dirs: Vec<String>,
}

/// A self-contained HTML page with table, figures, curves and commands.
pub fn comparison_html(comparison: &Comparison) -> String {
    let Ok(metric) = metrics::find(&comparison.metric) else {
        return String::new(); // a comparison is only ever made with a metric that exists
    };
    let row = |(i, row): (usize, &crate::ComparisonRow)| TableRow {
        cells: row_cells(row, metric),
        verdict: row.verdict.replace(", ", ",\u{a0}"), // intervals are not broken between their ends
        is_baseline: row.method == comparison.baseline,
        colour: svg::series(i),
    };
    let page = Page {
        metric_title: metric_title(metric.name),
        baseline_title: method_title(&comparison.baseline),
        style: svg::STYLE,
        columns: column_titles(comparison, metric),
        rows: comparison.rows.iter().enumerate().map(row).collect(),
        forest: forest(comparison, metric),
        scatter: scatter(comparison, metric),
        curves: curves(comparison, metric),
        provenance: provenance(comparison).replace('`', ""),
        comparison,
    };
    // Rendering into a String fails only if a Display implementation does, and ours are numbers and strings.
    page.render().unwrap_or_default()
}

/// Curves of each method, all on the same vertical axes.
fn curves<'a>(comparison: &'a Comparison, metric: &Metric) -> Vec<MethodCurves<'a>> {
    let rows = || comparison.runs.iter().flat_map(|run| &run.epochs);
    let axis = |values: Option<(f64, f64)>| values.map_or((0.0, 1.0), |values| padded(values, 0.05));
    let axes = (
        axis(range(rows().flat_map(|row| [row.train_loss, row.val_loss]))),
        axis(range(
            rows().filter_map(|row| row.metrics.get(metric.name).copied()),
        )),
    );
    let of_method = |(i, row): (usize, &'a crate::ComparisonRow)| {
        let runs: Vec<&RunCurves> = comparison
            .runs
            .iter()
            .filter(|run| run.method == row.method)
            .collect();
        let figure = method_curves(&runs, metric.name, i, axes);
        let run_dirs = runs.iter().map(|run| run.run_dir.display().to_string()).collect();
        MethodCurves {
            method: &row.method,
            figure,
            run_dirs,
        }
    };
    comparison.rows.iter().enumerate().map(of_method).collect()
}
