//! Numbers as people read them.

use crate::Estimate;
use crate::metrics::Metric;

/// Stands for what is not known.
pub const UNKNOWN: &str = "–";

/// How a metric is printed: shares of 1 as percent, the rest as they are.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Unit {
    /// Factor from the value to what is printed.
    pub scale: f64,
    /// Digits after the point.
    pub digits: usize,
    /// Name of a difference of 1, with a leading space.
    pub difference: &'static str,
}

impl Unit {
    /// Shares of 1, in percent.
    pub const SHARE: Self = Self {
        scale: 100.0,
        digits: 1,
        difference: " points",
    };

    /// Percent for what is better when larger, the plain number for losses and errors.
    pub fn of(metric: &Metric) -> Self {
        if metric.higher_is_better {
            Self::SHARE
        } else {
            Self {
                scale: 1.0,
                digits: 3,
                difference: "",
            }
        }
    }

    /// `suffix` for an axis of percents, nothing for plain numbers.
    pub fn axis_suffix(&self, suffix: &'static str) -> &'static str {
        if self.difference.is_empty() { "" } else { suffix }
    }

    /// One number.
    pub fn number(&self, value: f64) -> String {
        minus(&format!("{:.*}", self.digits, value * self.scale))
    }

    /// One number, with its sign.
    pub fn signed(&self, value: f64) -> String {
        let text = self.number(value);
        let is_zero = text.trim_start_matches('−').chars().all(|c| c == '0' || c == '.');
        match (is_zero, text.strip_prefix('−')) {
            (true, stripped) => stripped.map_or(text.clone(), str::to_owned),
            (false, Some(_)) => text,
            (false, None) => format!("+{text}"),
        }
    }

    /// `[low, high]`, empty where there is no interval.
    pub fn interval(&self, estimate: &Estimate) -> String {
        let text = |(low, high)| format!("[{}, {}]", self.number(low), self.number(high));
        estimate.interval().map_or(String::new(), text)
    }

    /// `value [low, high]`.
    pub fn estimate(&self, estimate: &Estimate) -> String {
        let value = estimate
            .value
            .map_or(UNKNOWN.to_owned(), |value| self.number(value));
        format!("{value} {}", self.interval(estimate))
            .trim_end()
            .to_owned()
    }

    /// `+value [low, high]`.
    pub fn difference(&self, estimate: &Estimate) -> String {
        let value = estimate
            .value
            .map_or(UNKNOWN.to_owned(), |value| self.signed(value));
        format!("{value} {}", self.interval(estimate))
            .trim_end()
            .to_owned()
    }
}

/// A real minus sign, as wide as a plus; none before a rounded zero.
fn minus(text: &str) -> String {
    match text.strip_prefix('-') {
        Some(rest) if rest.chars().all(|c| c == '0' || c == '.') => rest.to_owned(),
        Some(rest) => format!("−{rest}"),
        None => text.to_owned(),
    }
}

/// `86,567,656`.
pub fn count(n: usize) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Three digits and a decimal prefix: `371 k`, `86.6 M`.
pub fn short(value: f64) -> String {
    let prefixes = [(1e9, " G"), (1e6, " M"), (1e3, " k")];
    match prefixes.iter().find(|(size, _)| value >= *size) {
        Some((size, prefix)) => format!("{}{prefix}", three_digits(value / size)),
        None => three_digits(value),
    }
}

/// Bytes with a decimal prefix: `371 kB`, `346 MB`.
pub fn bytes(n: u64) -> String {
    let text = short(n as f64);
    let space = if text.contains(' ') { "" } else { " " };
    format!("{text}{space}B")
}

/// `= 0.21`, `= 0.003`, `< 0.001`.
pub fn p_value(p: f64) -> String {
    match p {
        p if p < 0.001 => "< 0.001".to_owned(),
        p if p < 0.1 => format!("= {p:.3}"),
        p => format!("= {p:.2}"),
    }
}

/// Milliseconds with three digits.
pub fn milliseconds(ms: f64) -> String {
    format!("{} ms", three_digits(ms))
}

/// A percentage with two digits that mean something: `0.11 %`, `100 %`.
pub fn percent(value: f64) -> String {
    match value {
        0.0 => "0 %".to_owned(),
        v if v >= 10.0 => format!("{v:.0} %"),
        v if v >= 1.0 => format!("{v:.1} %"),
        v if v >= 0.1 => format!("{v:.2} %"),
        v if v >= 0.01 => format!("{v:.3} %"),
        v => format!("{v:.1e} %"),
    }
}

/// `42 s`, `3 min 20 s`, `1 h 05 min`.
pub fn duration(seconds: f64) -> String {
    let whole = seconds.round() as u64;
    match whole {
        0..10 => format!("{seconds:.1} s"),
        10..60 => format!("{whole} s"),
        60..3600 => format!("{} min {:02} s", whole / 60, whole % 60),
        _ => format!("{} h {:02} min", whole / 3600, whole % 3600 / 60),
    }
}

/// Images per second.
pub fn rate(per_second: f64) -> String {
    three_digits(per_second)
}

pub(super) fn three_digits(value: f64) -> String {
    match value.abs() {
        v if v >= 100.0 || v == v.trunc() => format!("{value:.0}"),
        v if v >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// What a reader calls a metric.
pub fn metric_title(name: &str) -> String {
    match name {
        "top1" => "top-1 accuracy".to_owned(),
        "top5" => "top-5 accuracy".to_owned(),
        "auroc" => "AUROC".to_owned(),
        "auprc" => "AUPRC".to_owned(),
        "macro_f1" => "macro F1".to_owned(),
        "micro_auroc" => "micro AUROC".to_owned(),
        "micro_auprc" => "micro AUPRC".to_owned(),
        "ppv" => "PPV".to_owned(),
        "npv" => "NPV".to_owned(),
        "mcc" => "MCC".to_owned(),
        "qwk" => "quadratic weighted kappa".to_owned(),
        "brier" => "Brier score".to_owned(),
        "ece" => "calibration error".to_owned(),
        "adaptive_ece" => "adaptive calibration error".to_owned(),
        "aurc" => "AURC".to_owned(),
        other => other.replace('_', " "),
    }
}

/// What a reader calls a method in a sentence.
pub fn method_title(method: &str) -> &str {
    match method {
        "full" => "full fine-tuning",
        "linear" => "the linear probe",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::find;

    #[test]
    fn numbers_read_well() {
        assert_eq!(
            (count(0), count(999), count(86567656)),
            ("0".into(), "999".into(), "86,567,656".into())
        );
        assert_eq!(
            (bytes(12), bytes(371_200), bytes(346_000_000)),
            ("12 B".into(), "371 kB".into(), "346 MB".into())
        );
        assert_eq!(
            (percent(100.0), percent(0.1123), percent(2.5)),
            ("100 %".into(), "0.11 %".into(), "2.5 %".into())
        );
        assert_eq!(
            (duration(3.25), duration(200.0), duration(3900.0)),
            ("3.2 s".into(), "3 min 20 s".into(), "1 h 05 min".into())
        );
        assert_eq!(
            [0.21, 0.0994, 0.003, 0.0001].map(p_value),
            ["= 0.21", "= 0.099", "= 0.003", "< 0.001"]
        );
        assert_eq!((short(92160.0), rate(8.346)), ("92.2 k".into(), "8.35".into()));
    }

    #[test]
    fn estimates_read_well() {
        let unit = Unit::of(find("top1").unwrap());
        let estimate = Estimate {
            value: Some(-0.018),
            ci_low: Some(-0.031),
            ci_high: Some(0.0001),
            ..Estimate::default()
        };
        assert_eq!(unit.difference(&estimate), "−1.8 [−3.1, 0.0]");
        assert_eq!(
            unit.estimate(&Estimate {
                value: Some(0.5),
                ..Estimate::default()
            }),
            "50.0"
        );
        assert_eq!(
            (unit.signed(0.02), unit.signed(-0.0001), unit.number(-0.0001)),
            ("+2.0".into(), "0.0".into(), "0.0".into())
        );
        assert_eq!(
            Unit::of(find("log_loss").unwrap()).estimate(&Estimate::default()),
            UNKNOWN
        );
    }
}
