//! What a comparison found, in one sentence a pair.

use super::format::{Unit, method_title, p_value};
use crate::metrics::Metric;
use crate::{ComparisonRow, Estimate, Pair};

/// Fills in the verdict of each pair, and of each row its difference to the baseline (row `base`) and the verdict on it.
pub(crate) fn write(
    rows: &mut [ComparisonRow],
    pairs: &mut [Pair],
    base: usize,
    metric: &Metric,
    level: f64,
) {
    let tests = pairs.iter().filter(|pair| pair.p_value.is_some()).count();
    let baseline = rows[base].clone();
    for pair in pairs {
        let find = |method: &str| rows.iter().position(|row| row.method == method);
        let (Some(a), Some(b)) = (find(&pair.a), find(&pair.b)) else {
            continue; // pairs are made of rows
        };
        let sentence = Sentence {
            pair,
            metric,
            level,
            tests,
        };
        let verdict = sentence.neutral(&rows[a], &rows[b]);
        if a == base || b == base {
            let row = if a == base { b } else { a };
            let difference = if a == base {
                negated(pair.difference)
            } else {
                pair.difference
            };
            rows[row].difference = Some(difference);
            rows[row].verdict = sentence.against(&rows[row], &baseline, &difference);
        }
        pair.verdict = verdict;
    }
}

/// The difference seen from the other side.
fn negated(difference: Estimate) -> Estimate {
    Estimate {
        value: difference.value.map(|value| -value),
        ci_low: difference.ci_high.map(|end| -end),
        ci_high: difference.ci_low.map(|end| -end),
        ..difference
    }
}

struct Sentence<'a> {
    pair: &'a Pair,
    metric: &'a Metric,
    level: f64,
    /// Number of pairs that were tested.
    tests: usize,
}

impl Sentence<'_> {
    /// Seen from a method: "better than …", or "… is better".
    fn against(&self, row: &ComparisonRow, baseline: &ComparisonRow, difference: &Estimate) -> String {
        let name = method_title(&baseline.method);
        let quality = self.quality(
            difference,
            &format!("better than {name}"),
            &format!("{name} is better"),
        );
        let file = if row.method.starts_with("vpt-") {
            "the prompt file"
        } else {
            "the task file"
        };
        let [bytes, other] = [row.task_file_bytes, baseline.task_file_bytes];
        let size = file_size(bytes, other, |word, times| {
            format!("{file} is {times} times {word}")
        });
        [Some(quality), size]
            .into_iter()
            .flatten()
            .collect::<Vec<_>>()
            .join("; ")
    }

    /// Of both methods by their names, of which the first is `a` and the second `b`.
    fn neutral(&self, a: &ComparisonRow, b: &ComparisonRow) -> String {
        let names = [a, b].map(|row| method_title(&row.method));
        let [first, second] = names.map(|name| format!("{name} is better"));
        let quality = self.quality(&self.pair.difference, &first, &second);
        let size = file_size(a.task_file_bytes, b.task_file_bytes, |word, times| {
            let smaller = if word == "smaller" { a } else { b };
            let prompts = |row: &ComparisonRow| row.method.starts_with("vpt-");
            let file = match prompts(smaller) && prompts(a) != prompts(b) {
                true => "the prompt file".to_owned(),
                false => format!("the file of {}", method_title(&smaller.method)),
            };
            format!("{file} is {times} times smaller")
        });
        [Some(quality), size]
            .into_iter()
            .flatten()
            .collect::<Vec<_>>()
            .join("; ")
    }

    /// Who is better and by how much, or that the test set cannot tell.
    fn quality(&self, difference: &Estimate, first: &str, second: &str) -> String {
        let unit = Unit::of(self.metric);
        // Positive means that the first is better, whatever the metric's direction.
        let sign = if self.metric.higher_is_better { 1.0 } else { -1.0 };
        let value = difference.value.unwrap_or_default();
        let better = value * sign;
        let by = |value: f64, a: f64, b: f64| {
            let (low, high) = (unit.number(a.min(b)), unit.number(a.max(b)));
            format!(
                "{}{} [{low}, {high}]{}",
                unit.number(value),
                unit.difference,
                self.chance()
            )
        };
        match difference.interval().map(|(low, high)| (low * sign, high * sign)) {
            Some((a, b)) if a > 0.0 && b > 0.0 => format!("{first} by {}", by(better, a, b)),
            Some((a, b)) if a < 0.0 && b < 0.0 => format!("{second} by {}", by(-better, -a, -b)),
            Some(_) => {
                let detectable = self.pair.detectable.map_or(String::new(), |least| {
                    format!("; {}{} would have shown", unit.number(least), unit.difference)
                });
                format!(
                    "no difference this test set could show: {}{} {}{}{detectable}",
                    unit.signed(value),
                    unit.difference,
                    unit.interval(difference),
                    self.chance()
                )
            }
            None if better == 0.0 => {
                "no difference this test set could show: the same score in every resample".to_owned()
            }
            None => format!(
                "{}{}, but too few images for an interval",
                unit.signed(value),
                unit.difference
            ),
        }
    }

    /// ` (p = 0.003, Holm 0.012)`.
    fn chance(&self) -> String {
        let Some(p) = self.pair.p_value else {
            return String::new();
        };
        match self.pair.p_holm.filter(|_| self.tests > 1) {
            None => format!(" (p {})", p_value(p)),
            Some(holm) => {
                let alpha = 1.0 - self.level;
                let doubt = match p <= alpha && holm > alpha {
                    true => format!(", as chance may bring among {} pairs", self.tests),
                    false => String::new(),
                };
                let holm = p_value(holm);
                format!(
                    " (p {}, Holm {}{doubt})",
                    p_value(p),
                    holm.trim_start_matches("= ")
                )
            }
        }
    }
}

/// How the sizes of what must be kept for the task compare, where they differ by half or more.
fn file_size(bytes: Option<u64>, other: Option<u64>, say: impl Fn(&str, String) -> String) -> Option<String> {
    let ratio = other? as f64 / bytes.filter(|&bytes| bytes > 0)? as f64;
    match ratio {
        r if r >= 1.5 => Some(say("smaller", times(r))),
        r if r > 0.0 && r <= 1.0 / 1.5 => Some(say("larger", times(1.0 / r))),
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
    use crate::metrics::find;

    fn row(method: &str, bytes: u64) -> ComparisonRow {
        ComparisonRow {
            method: method.to_owned(),
            task_file_bytes: Some(bytes),
            ..ComparisonRow::default()
        }
    }

    fn pair(a: &str, b: &str, difference: [f64; 3], p_value: f64, p_holm: f64) -> Pair {
        let [value, low, high] = difference.map(Some);
        Pair {
            a: a.to_owned(),
            b: b.to_owned(),
            difference: Estimate {
                value,
                ci_low: low,
                ci_high: high,
                ..Estimate::default()
            },
            p_value: Some(p_value),
            p_holm: Some(p_holm),
            detectable: Some(0.042),
            ..Pair::default()
        }
    }

    /// The verdict on the pair, and on the prompts against full fine-tuning.
    fn say(metric: &str, difference: [f64; 3], p_value: f64, p_holm: f64) -> [String; 2] {
        let mut rows = [
            row("vpt-deep", 10_000),
            row("full", 9_000_000),
            row("linear", 10_000),
        ];
        let mut pairs = [
            pair("vpt-deep", "full", difference, p_value, p_holm),
            pair("full", "linear", [0.0; 3], 1.0, 1.0),
        ];
        super::write(&mut rows, &mut pairs, 1, find(metric).unwrap(), 0.95);
        [pairs[0].verdict.clone(), rows[0].verdict.clone()]
    }

    #[test]
    fn each_outcome_is_said_plainly() {
        let [pair, row] = say("top1", [-0.018, -0.031, -0.006], 0.003, 0.012);
        assert_eq!(
            pair,
            "full fine-tuning is better by 1.8 points [0.6, 3.1] (p = 0.003, Holm 0.012); the prompt file is 900 times smaller"
        );
        assert_eq!(row, pair);
        let [pair, row] = say("top1", [0.02, 0.01, 0.03], 1e-5, 2e-5);
        assert_eq!(
            row,
            "better than full fine-tuning by 2.0 points [1.0, 3.0] (p < 0.001, Holm < 0.001); the prompt file is 900 times \
             smaller"
        );
        assert!(pair.starts_with("vpt-deep is better by 2.0 points"), "{pair}");
        let [_, row] = say("top1", [0.02, -0.01, 0.05], 0.21, 0.42);
        assert!(
            row.starts_with(
                "no difference this test set could show: +2.0 points [−1.0, 5.0] (p = 0.21, Holm 0.42); 4.2 points would \
                 have shown;"
            ),
            "{row}"
        );
        let [_, row] = say("top1", [0.02, 0.001, 0.04], 0.04, 0.08);
        assert!(
            row.contains("(p = 0.040, Holm 0.080, as chance may bring among 2 pairs)"),
            "{row}"
        );
    }

    #[test]
    fn a_lower_loss_is_better() {
        let [_, row] = say("log_loss", [-0.2, -0.3, -0.1], 0.01, 0.02);
        assert!(
            row.starts_with("better than full fine-tuning by 0.200 [0.100, 0.300] (p = 0.010"),
            "{row}"
        );
    }

    #[test]
    fn the_baseline_may_come_first() {
        let mut rows = [row("full", 9_000_000), row("lora", 90_000), row("linear", 10_000)];
        let mut pairs = [
            pair("full", "lora", [0.02, 0.01, 0.04], 0.004, 0.004),
            pair("lora", "linear", [0.02, 0.01, 0.04], 0.004, 0.004),
        ];
        super::write(&mut rows, &mut pairs, 0, find("top1").unwrap(), 0.95);
        let difference = rows[1].difference.unwrap();
        assert_eq!(
            (difference.value, difference.interval()),
            (Some(-0.02), Some((-0.04, -0.01)))
        );
        assert!(
            rows[1]
                .verdict
                .starts_with("full fine-tuning is better by 2.0 points [1.0, 4.0]"),
            "{}",
            rows[1].verdict
        );
        assert!(rows[1].verdict.ends_with("the task file is 100 times smaller"));
        assert!(rows[0].verdict.is_empty() && rows[0].difference.is_none());
        assert!(
            pairs[1]
                .verdict
                .ends_with("the file of the linear probe is 9.0 times smaller"),
            "{}",
            pairs[1].verdict
        );
    }

    #[test]
    fn equal_scores_have_no_interval() {
        let mut rows = [row("linear", 10_000), row("full", 10_000)];
        let mut pairs = [Pair {
            a: "linear".into(),
            b: "full".into(),
            difference: Estimate::unknown(Some(0.0)),
            ..Pair::default()
        }];
        super::write(&mut rows, &mut pairs, 1, find("top1").unwrap(), 0.95);
        assert_eq!(
            rows[0].verdict,
            "no difference this test set could show: the same score in every resample"
        );
    }
}
