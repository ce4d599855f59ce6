//! What a comparison found, in one sentence a method.

use super::format::{Unit, method_title};
use crate::ComparisonRow;
use crate::metrics::Metric;

/// Who is better and by how much, or that the test set cannot tell; then what the file costs.
pub(crate) fn verdict(row: &ComparisonRow, baseline: &ComparisonRow, metric: &Metric) -> String {
    let mut sentence = quality(row, baseline, metric);
    if let Some(size) = file_size(row, baseline) {
        sentence += "; ";
        sentence += &size;
    }
    sentence
}

fn quality(row: &ComparisonRow, baseline: &ComparisonRow, metric: &Metric) -> String {
    let unit = Unit::of(metric);
    let baseline_name = method_title(&baseline.method);
    // Positive means that the method is better, whatever the metric's direction.
    let sign = if metric.higher_is_better { 1.0 } else { -1.0 };
    let difference = row.difference.unwrap_or_default();
    let better = difference.value.unwrap_or_default() * sign;
    let by = |value: f64, a: f64, b: f64| {
        let (low, high) = (unit.number(a.min(b)), unit.number(a.max(b)));
        format!("{}{} [{low}, {high}]", unit.number(value), unit.difference)
    };
    match difference.interval().map(|(low, high)| (low * sign, high * sign)) {
        Some((a, b)) if a > 0.0 && b > 0.0 => format!("better than {baseline_name} by {}", by(better, a, b)),
        Some((a, b)) if a < 0.0 && b < 0.0 => format!("{baseline_name} is better by {}", by(-better, -a, -b)),
        Some(_) => {
            format!(
                "no difference this test set could show: {}{} {}",
                unit.signed(difference.value.unwrap_or_default()),
                unit.difference,
                unit.interval(&difference)
            )
        }
        None if better == 0.0 => {
            "no difference this test set could show: the same score in every resample".to_owned()
        }
        None => format!(
            "{}{}, but too few images for an interval",
            unit.signed(better * sign),
            unit.difference
        ),
    }
}

/// How the size of what must be kept for the task compares, where it differs by half or more.
fn file_size(row: &ComparisonRow, baseline: &ComparisonRow) -> Option<String> {
    let ratio = baseline.task_file_bytes? as f64 / row.task_file_bytes.filter(|&bytes| bytes > 0)? as f64;
    let file = if row.method.starts_with("vpt-") {
        "the prompt file"
    } else {
        "the task file"
    };
    match ratio {
        r if r >= 1.5 => Some(format!("{file} is {} times smaller", times(r))),
        r if r <= 1.0 / 1.5 => Some(format!("{file} is {} times larger", times(1.0 / r))),
        _ => None,
    }
}

fn times(ratio: f64) -> String {
    match ratio {
        r if r >= 100.0 => format!("{:.0}", (r / 10.0).round() * 10.0),
        r if r >= 10.0 => format!("{r:.0}"),
        r => format!("{r:.1}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Estimate, metrics::find};

    fn row(method: &str, bytes: u64, difference: [f64; 3]) -> ComparisonRow {
        let [value, low, high] = difference.map(Some);
        ComparisonRow {
            method: method.to_owned(),
            task_file_bytes: Some(bytes),
            difference: Some(Estimate {
                value,
                ci_low: low,
                ci_high: high,
                ..Estimate::default()
            }),
            ..ComparisonRow::default()
        }
    }

    fn say(metric: &str, difference: [f64; 3]) -> String {
        let full = row("full", 9_000_000, [0.0; 3]);
        verdict(&row("vpt-deep", 10_000, difference), &full, find(metric).unwrap())
    }

    #[test]
    fn each_outcome_is_said_plainly() {
        assert_eq!(
            say("top1", [-0.018, -0.031, -0.006]),
            "full fine-tuning is better by 1.8 points [0.6, 3.1]; the prompt file is 900 times smaller"
        );
        assert!(
            say("top1", [0.02, 0.01, 0.03])
                .starts_with("better than full fine-tuning by 2.0 points [1.0, 3.0];")
        );
        assert!(
            say("top1", [0.02, -0.01, 0.05])
                .starts_with("no difference this test set could show: +2.0 points [−1.0, 5.0];")
        );
    }

    #[test]
    fn a_lower_loss_is_better() {
        assert!(
            say("log_loss", [-0.2, -0.3, -0.1])
                .starts_with("better than full fine-tuning by 0.200 [0.100, 0.300];")
        );
    }

    #[test]
    fn equal_scores_have_no_interval() {
        let mut same = row("linear", 10_000, [0.0; 3]);
        same.difference = Some(Estimate {
            value: Some(0.0),
            ..Estimate::default()
        });
        let sentence = verdict(&same, &row("full", 10_000, [0.0; 3]), find("top1").unwrap());
        assert_eq!(
            sentence,
            "no difference this test set could show: the same score in every resample"
        );
    }
}
