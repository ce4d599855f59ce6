//! What flag values look like: small parsers whose errors say what was expected.

use std::collections::BTreeSet;
use std::str::FromStr;

use vpt_core::device::DeviceChoice;
use vpt_core::{CoreError, MethodConfig, MethodOptions, Precision};
use vpt_data::TaskKind;
use vpt_train::search::Protocol;

use crate::planned_run::KNN;

/// A whole number of at least 1.
pub fn count(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err("expected a whole number of at least 1".to_owned()),
        Ok(value) => Ok(value),
    }
}

/// How many images a batch has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BatchSize {
    /// So many.
    Fixed(usize),
    /// As many as memory has room for.
    Auto,
}

impl BatchSize {
    /// The number that was given.
    pub fn number(self) -> Option<usize> {
        match self {
            Self::Fixed(number) => Some(number),
            Self::Auto => None,
        }
    }
}

/// A whole number of at least 1, or `auto`.
pub fn batch_size(text: &str) -> Result<BatchSize, String> {
    match text {
        "auto" => Ok(BatchSize::Auto),
        _ => count(text)
            .map(BatchSize::Fixed)
            .map_err(|_| "expected a whole number of at least 1, or `auto`".to_owned()),
    }
}

/// In how many bits weights are kept.
pub fn precision(text: &str) -> Result<Precision, String> {
    text.parse().map_err(|error: CoreError| error.to_string())
}

/// A number above 0.
pub fn positive(text: &str) -> Result<f64, String> {
    number(text, |x| x > 0.0, "a number above 0")
}

/// A number that is not below 0.
pub fn non_negative(text: &str) -> Result<f64, String> {
    number(text, |x| x >= 0.0, "a number of at least 0")
}

/// A number from 0 to 1.
pub fn fraction(text: &str) -> Result<f64, String> {
    number(text, |x| (0.0..=1.0).contains(&x), "a number from 0 to 1")
}

/// A number from 0 to 1, without 1.
pub fn rate(text: &str) -> Result<f64, String> {
    number(
        text,
        |x| (0.0..1.0).contains(&x),
        "a number of at least 0 and below 1",
    )
}

/// A confidence level: strictly between 0 and 1.
pub fn level(text: &str) -> Result<f64, String> {
    number(
        text,
        |x| x > 0.0 && x < 1.0,
        "a number between 0 and 1, such as 0.95",
    )
}

/// An angle in degrees from 0 to 180.
pub fn degrees(text: &str) -> Result<f64, String> {
    number(text, |x| (0.0..=180.0).contains(&x), "degrees from 0 to 180")
}

/// An image size: `224` (square) or `224x160` (height x width) → `[height, width]`.
pub fn image_size(text: &str) -> Result<[usize; 2], String> {
    let side = |part: &str| part.parse().ok().filter(|side| (1..=8192).contains(side));
    let size = match text.split_once('x') {
        None => side(text).map(|side| [side, side]),
        Some((height, width)) => side(height)
            .zip(side(width))
            .map(|(height, width)| [height, width]),
    };
    size.ok_or_else(|| {
        "expected pixels such as `224`, or height x width such as `224x160`, up to 8192".to_owned()
    })
}

/// A seed: a whole number from 0 to 2^63 - 1, so that a TOML file can hold it.
pub fn seed(text: &str) -> Result<u64, String> {
    let fits = |seed: &u64| i64::try_from(*seed).is_ok();
    text.parse()
        .ok()
        .filter(fits)
        .ok_or_else(|| "expected a whole number of at least 0".to_owned())
}

/// A device to compute on.
pub fn device(text: &str) -> Result<DeviceChoice, String> {
    text.parse().map_err(|error: CoreError| {
        error
            .hint()
            .map_or(error.to_string(), |hint| format!("expected {hint}"))
    })
}

/// The name of a metric.
pub fn metric(text: &str) -> Result<String, String> {
    vpt_eval::metrics::find(text)
        .map(|metric| metric.name.to_owned())
        .map_err(|error| error.to_string())
}

/// A kind of task that asks where things are.
pub fn dense_kind(text: &str) -> Result<TaskKind, String> {
    let kinds = [TaskKind::Detection, TaskKind::Segmentation];
    let kind = kinds.into_iter().find(|kind| kind.name() == text);
    kind.ok_or_else(|| "expected `detection` or `segmentation`".to_owned())
}

/// The name of a tuning method.
pub fn method(text: &str) -> Result<String, String> {
    let method = MethodConfig::parse(text, &MethodOptions::default());
    method
        .map(|method| method.to_string())
        .map_err(|error| error.to_string())
}

/// A method of a comparison: one that is trained, or `knn`.
pub fn compared(text: &str) -> Result<String, String> {
    if text == KNN {
        return Ok(text.to_owned());
    }
    method(text).map_err(|error| format!("{error}, or {KNN}"))
}

/// A range of positive numbers: `LOW,HIGH`.
pub fn range(text: &str) -> Result<[f64; 2], String> {
    let parsed = text
        .split_once(',')
        .and_then(|(low, high)| positive(low).ok().zip(positive(high).ok()));
    match parsed {
        Some((low, high)) if low <= high => Ok([low, high]),
        _ => Err("expected two numbers above 0, the lower one first, such as `0.5,1`".to_owned()),
    }
}

/// RandAugment: `COUNT,MAGNITUDE`, the magnitude from 0 to 10.
pub fn rand_augment(text: &str) -> Result<(usize, f64), String> {
    text.split_once(',')
        .and_then(|(operations, magnitude)| count(operations).ok().zip(non_negative(magnitude).ok()))
        .filter(|(_, magnitude)| *magnitude <= 10.0)
        .ok_or_else(|| "expected operations and magnitude (0 to 10), such as `2,9`".to_owned())
}

/// The seeds of a comparison: how many (`3` → 0, 1, 2) or which ones (`7,8`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seeds(pub Vec<u64>);

/// Parses [`Seeds`].
pub fn seeds(text: &str) -> Result<Seeds, String> {
    let expected = || "expected how many seeds, such as `3`, or which ones, such as `0,1,7`".to_owned();
    if !text.contains(',') {
        let many = count(text).map_err(|_| expected())?;
        return Ok(Seeds((0..many as u64).collect()));
    }
    let list = text
        .trim_end_matches(',')
        .split(',')
        .map(|text| seed(text.trim()).map_err(|_| expected()));
    let list = list.collect::<Result<Vec<u64>, _>>()?;
    match list.iter().collect::<BTreeSet<_>>().len() == list.len() {
        true => Ok(Seeds(list)),
        false => Err("expected each seed once".to_owned()),
    }
}

/// How many training images of each class a comparison has: some numbers, of which the largest (or all) is the comparison
/// itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShotCounts {
    /// Without the largest, ascending.
    pub fewer: Vec<usize>,
    /// The largest; all if `None`.
    pub most: Option<usize>,
}

/// Parses [`ShotCounts`].
pub fn shots(text: &str) -> Result<ShotCounts, String> {
    let expected = || "expected numbers of images and perhaps `all`, such as `1,2,4,8,16,all`".to_owned();
    let parts: Vec<&str> = text.split(',').map(str::trim).collect();
    let numbers = parts.iter().filter(|part| **part != "all");
    let numbers = numbers.map(|part| count(part).map_err(|_| expected()));
    let mut fewer: Vec<usize> = numbers.collect::<Result<BTreeSet<_>, _>>()?.into_iter().collect();
    let most = match parts.contains(&"all") {
        true => None,
        false => fewer.pop(),
    };
    Ok(ShotCounts { fewer, most })
}

/// A published way to choose settings.
pub fn protocol(text: &str) -> Result<Protocol, String> {
    match text {
        "vtab1k" => Ok(Protocol::Vtab1k),
        _ => Err("expected `vtab1k`".to_owned()),
    }
}

/// A bound that `vpt eval` holds a metric against.
#[derive(Clone, Debug, PartialEq)]
pub struct Bound {
    /// Name of the metric; `None` means the task's main metric.
    pub metric: Option<String>,
    /// The value it must reach.
    pub value: f64,
}

/// Parses a [`Bound`]: `0.9` or `macro_f1=0.9`.
pub fn bound(text: &str) -> Result<Bound, String> {
    let (name, value) = match text.split_once('=') {
        Some((name, value)) => (Some(metric(name.trim())?), value),
        None => (None, text),
    };
    match value.trim().parse::<f64>() {
        Ok(value) if value.is_finite() => Ok(Bound { metric: name, value }),
        _ => Err("expected a number such as `0.9`, or metric=number such as `macro_f1=0.9`".to_owned()),
    }
}

/// Parses what says itself how it is written.
pub fn rule<T: FromStr<Err = String>>(text: &str) -> Result<T, String> {
    text.parse()
}

/// One assignment of `--set`: `KEY=VALUE` for every method, `METHOD.KEY=VALUE` for one.
#[derive(Clone, Debug, PartialEq)]
pub struct Setting {
    /// Everything before `=`, still with the method if there is one.
    pub key: String,
    /// The value as it would stand in a TOML file.
    pub value: String,
}

/// Parses a [`Setting`].
pub fn setting(text: &str) -> Result<Setting, String> {
    match text.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() && !value.trim().is_empty() => Ok(Setting {
            key: key.trim().to_owned(),
            value: value.trim().to_owned(),
        }),
        _ => Err("expected KEY=VALUE, such as `lr=0.01` or `vpt-deep.lr=0.01`".to_owned()),
    }
}

fn number(text: &str, accept: impl Fn(f64) -> bool, expected: &str) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|value: &f64| value.is_finite() && accept(*value))
        .ok_or_else(|| format!("expected {expected}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn image_sizes_are_square_or_height_by_width() {
        assert_eq!(image_size("224"), Ok([224, 224]));
        assert_eq!(image_size("224x160"), Ok([224, 160]));
        for bad in ["0", "224x", "x", "-1", "1e3", "99999"] {
            assert!(image_size(bad).is_err(), "`{bad}` was accepted");
        }
    }

    #[test]
    fn numbers_out_of_range_and_not_a_number_are_refused() {
        assert_eq!(positive("1e-3"), Ok(1e-3));
        for bad in ["0", "-1", "nan", "inf", "", "x"] {
            assert!(positive(bad).is_err(), "`{bad}` was accepted");
        }
        assert!(rate("1").is_err() && fraction("1").is_ok());
    }

    #[test]
    fn seeds_are_a_number_or_a_list() {
        assert_eq!(seeds("3"), Ok(Seeds(vec![0, 1, 2])));
        assert_eq!(seeds("7,"), Ok(Seeds(vec![7])));
        assert_eq!(seeds("5,1"), Ok(Seeds(vec![5, 1])));
        assert!(seeds("0").is_err() && seeds("1,1").is_err() && seeds("a,b").is_err());
    }

    #[test]
    fn the_most_shots_are_the_comparison_itself() {
        let counts = |fewer: &[usize], most| {
            Ok(ShotCounts {
                fewer: fewer.to_vec(),
                most,
            })
        };
        assert_eq!(shots("1,16,4,all"), counts(&[1, 4, 16], None));
        assert_eq!(shots("8,2"), counts(&[2], Some(8)));
        assert_eq!(shots("16"), counts(&[], Some(16)));
        assert_eq!(shots("all"), counts(&[], None));
        assert!(shots("0").is_err() && shots("").is_err() && shots("some").is_err());
    }

    #[test]
    fn bounds_name_a_metric_or_mean_the_main_one() {
        assert_eq!(
            bound("0.9"),
            Ok(Bound {
                metric: None,
                value: 0.9
            })
        );
        assert_eq!(
            bound("auroc=0.8"),
            Ok(Bound {
                metric: Some("auroc".to_owned()),
                value: 0.8
            })
        );
        assert!(bound("=1").is_err() && bound("auroc=").is_err());
    }
}
