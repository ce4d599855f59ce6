//! Results as text: pure functions from what was measured to aligned columns.

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use vpt_eval::metrics::{self, Metric};
use vpt_eval::report::format::{self, UNKNOWN, Unit};
use vpt_eval::report::{SuiteRow, place_table};
use vpt_eval::{Comparison, Estimate, Results, Subgroup, Suite};

/// Classes up to which a confusion matrix fits a terminal.
const MATRIX_CLASSES: usize = 12;

/// A table without lines: titles, rows, all columns but the first aligned to the right.
pub fn plain<T: ToString>(titles: &[&str], rows: impl IntoIterator<Item = Vec<T>>) -> String {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(titles);
    for row in rows {
        table.add_row(row.iter().map(ToString::to_string));
    }
    for (index, column) in table.column_iter_mut().enumerate() {
        let right = if index == 0 {
            CellAlignment::Left
        } else {
            CellAlignment::Right
        };
        column.set_cell_alignment(right);
        column.set_padding((0, 2));
    }
    trimmed(&table.to_string())
}

/// `key  value` lines with the values aligned.
pub fn pairs(pairs: &[(&str, String)]) -> String {
    let width = pairs
        .iter()
        .map(|(key, _)| key.chars().count())
        .max()
        .unwrap_or(0);
    let line = |(key, value): &(&str, String)| format!("{key:width$}  {value}").trim_end().to_owned();
    pairs.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// Metrics with intervals, the classes one by one, the confusion matrix where it fits, and subgroups by their `main` metric.
pub fn results(results: &Results, main: &Metric) -> String {
    let mut parts = vec![metrics_table(results)];
    parts.push(match results.per_class_places.is_empty() {
        true => classes_table(results),
        false => {
            let (titles, rows) = place_table(results, share);
            plain(titles, rows)
        }
    });
    if results.per_class.len() <= MATRIX_CLASSES && !results.confusion_matrix.is_empty() {
        parts.push(confusion_table(results));
    }
    parts.extend(subgroups_table(results, main));
    parts.join("\n\n")
}

/// A line a task.
pub fn suite(suite: &Suite) -> String {
    let rows = suite.tasks.iter().map(|task| SuiteRow::of(task).cells().to_vec());
    let backbones = match suite.backbones {
        1 => "1 backbone".to_owned(),
        several => format!("{several} backbones"),
    };
    format!(
        "{}: {} tasks on {backbones}\n\n{}",
        suite.name,
        suite.tasks.len(),
        plain(&SuiteRow::TITLES, rows)
    )
}

/// A line for each subgroup, and which is the worst; nothing where there are none.
fn subgroups_table(results: &Results, metric: &Metric) -> Option<String> {
    let unit = Unit::of(metric);
    let value = |subgroup: &Subgroup| match subgroup.metrics.get(metric.name) {
        Some(value) => unit.estimate(&value.estimate),
        None => UNKNOWN.to_owned(),
    };
    let rows = results.subgroups.iter().map(|subgroup| {
        vec![
            format!("{} = {}", subgroup.column, subgroup.value),
            subgroup.images.to_string(),
            value(subgroup),
        ]
    });
    let worst = Subgroup::worst(&results.subgroups, metric.name)?;
    let table = plain(&["subgroup", "images", metric.name], rows);
    Some(format!(
        "{table}\n\nworst: {} = {}, {} {} on {} images",
        worst.column,
        worst.value,
        metric.name,
        value(worst),
        worst.images
    ))
}

/// One line a metric, in the order of the metrics table.
pub fn metrics_table(results: &Results) -> String {
    let title = format!("{:.0} % interval", results.bootstrap.level * 100.0);
    let known = metrics::METRICS
        .iter()
        .filter_map(|metric| Some((metric, results.metrics.get(metric.name)?)));
    let rows = known.map(|(metric, value)| {
        let unit = Unit::of(metric);
        let percent = if metric.higher_is_better { " %" } else { "" };
        let number = value
            .estimate
            .value
            .map_or(UNKNOWN.to_owned(), |value| unit.number(value) + percent);
        vec![metric.name.to_owned(), number, unit.interval(&value.estimate)]
    });
    let abstention = results.abstention.iter().flat_map(|abstention| {
        [
            ("decided", abstention.decided),
            ("right of these", abstention.accuracy),
        ]
    });
    let percent = Unit::SHARE;
    let abstention = abstention.map(|(name, share)| (name.to_owned(), share));
    let population = results.at_prevalence.iter().flat_map(|at| {
        let place = format!("at a prevalence of {}", format::percent(100.0 * at.prevalence));
        [(format!("ppv {place}"), at.ppv), (format!("npv {place}"), at.npv)]
    });
    let shares = abstention.chain(population).map(|(name, share)| {
        let value = |value| percent.number(value) + " %";
        let number = share.value.map_or(UNKNOWN.to_owned(), value);
        vec![name, number, percent.interval(&share)]
    });
    plain(&["metric", "value", &title], rows.chain(shares))
}

fn classes_table(results: &Results) -> String {
    let rows = results.per_class.iter().map(|class| {
        let shares = [&class.precision, &class.recall, &class.f1, &class.auroc].map(share);
        [
            vec![class.class.clone(), class.support.to_string()],
            shares.to_vec(),
        ]
        .concat()
    });
    plain(
        &["class", "images", "precision %", "recall %", "F1 %", "AUROC %"],
        rows,
    )
}

fn confusion_table(results: &Results) -> String {
    let classes: Vec<_> = results
        .per_class
        .iter()
        .map(|class| class.class.as_str())
        .collect();
    let titles = [&["true \\ predicted"][..], &classes].concat();
    let rows = classes
        .iter()
        .zip(&results.confusion_matrix)
        .map(|(class, counts)| {
            let counts = counts.iter().map(ToString::to_string);
            [(*class).to_owned()].into_iter().chain(counts).collect()
        });
    plain(&titles, rows)
}

/// A line a method, then what it means in words.
pub fn comparison(comparison: &Comparison) -> String {
    let unit = metrics::find(&comparison.metric).map(Unit::of);
    let known = |text: Option<String>| text.unwrap_or(UNKNOWN.to_owned());
    let rows = comparison.rows.iter().map(|row| {
        let (score, difference) = match &unit {
            Ok(unit) => (
                unit.estimate(&row.score),
                row.difference.as_ref().map(|estimate| unit.difference(estimate)),
            ),
            Err(_) => (known(None), None),
        };
        vec![
            row.method.clone(),
            score,
            difference.unwrap_or("baseline".to_owned()),
            known(row.tuned_params.map(format::count)),
            known(row.tuned_percent.map(format::percent)),
            known(row.task_file_bytes.map(format::bytes)),
            known(row.train_seconds.map(format::duration)),
            known(row.train_images_per_second.map(format::rate)),
            known(row.images_per_second.map(format::rate)),
            known(row.peak_memory_bytes.map(format::bytes)),
        ]
    });
    let difference = format!("to {}", comparison.baseline);
    let titles = [
        "method",
        &comparison.metric,
        &difference,
        "tuned",
        "of all",
        "task file",
        "training",
        "train img/s",
        "infer img/s",
        "memory",
    ];
    let table = plain(&titles, rows);
    let verdicts = comparison.rows.iter().filter(|row| !row.verdict.is_empty());
    let verdicts = verdicts.map(|row| format!("{}: {}.", row.method, row.verdict));
    let lines = verdicts
        .chain(comparison.notes.iter().cloned())
        .collect::<Vec<_>>()
        .join("\n");
    let seeds = comparison
        .rows
        .iter()
        .map(|row| row.seeds.len())
        .max()
        .unwrap_or(0);
    format!(
        "{} on {} test images, seeds: {seeds}\n\n{table}\n\n{lines}",
        comparison.task, comparison.images
    )
}

fn share(estimate: &Estimate) -> String {
    estimate
        .value
        .map_or(UNKNOWN.to_owned(), |value| format!("{:.1}", value * 100.0))
}

/// Lines without spaces at their ends.
fn trimmed(text: &str) -> String {
    text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_lines_end_in_text() {
        let text = plain(&["name", "count"], [vec!["a", "1"], vec!["long name", "100"]]);
        assert_eq!(text, "name       count\na              1\nlong name    100");
        assert_eq!(
            pairs(&[("a", "1".into()), ("long", "2".into())]),
            "a     1\nlong  2"
        );
    }
}
