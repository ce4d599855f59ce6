//! Every metric for every value of what is known of the images: does the model serve women and men, all scanners, all ages?

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::predictions::Column;
use crate::{Bootstrap, MetricValue, Predictions, bootstrap, metrics};

/// Columns with more different words than this are names, not groups.
const MOST_VALUES: usize = 20;
/// A column of numbers with more different ones than this is cut at its quartiles.
const MOST_NUMBERS: usize = 8;
/// With fewer images a subgroup is listed, but chance alone could make it the worst.
const FEWEST_IMAGES: usize = 10;

/// The images that share one value of a column.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Subgroup {
    /// The column.
    pub column: String,
    /// The value, or the range of numbers.
    pub value: String,
    /// Number of images.
    pub images: usize,
    /// Metrics by name.
    pub metrics: BTreeMap<String, MetricValue>,
}

impl Subgroup {
    /// All subgroups of all columns that have between 2 and 20 values; a column of more numbers than eight is cut into its
    /// quarters. Images without a value are no subgroup.
    pub fn of(predictions: &Predictions, options: &Bootstrap) -> Vec<Self> {
        let subgroup = |column: &Column, value: String, images: &[usize]| {
            let part = predictions.select(images);
            let applicable: Vec<_> = metrics::applicable(part.kind, part.classes.len()).collect();
            let estimates = bootstrap::intervals(&part, &applicable, options);
            let metrics = applicable.iter().zip(estimates).map(|(metric, estimate)| {
                let value = MetricValue::of(metric, estimate, images.len());
                (metric.name.to_owned(), value)
            });
            Self {
                column: column.name.clone(),
                value,
                images: images.len(),
                metrics: metrics.collect(),
            }
        };
        let columns = predictions.columns.iter();
        columns
            .flat_map(|column| {
                parts(column)
                    .into_iter()
                    .map(move |(value, images)| subgroup(column, value, &images))
            })
            .collect()
    }

    /// The subgroup with the worst value of a metric, among those of at least ten images.
    pub fn worst<'a>(subgroups: &'a [Self], metric: &str) -> Option<&'a Self> {
        let value = |subgroup: &Self| {
            let metric = subgroup.metrics.get(metric)?;
            let sign = if metric.higher_is_better { 1.0 } else { -1.0 };
            Some(sign * metric.estimate.value?)
        };
        subgroups
            .iter()
            .filter(|subgroup| subgroup.images >= FEWEST_IMAGES)
            .filter_map(|subgroup| Some((value(subgroup)?, subgroup)))
            .min_by(|a, b| a.0.total_cmp(&b.0))
            .map(|(_, subgroup)| subgroup)
    }
}

/// The values of a column in order, with the images that have them; nothing if the column does not group.
fn parts(column: &Column) -> Vec<(String, Vec<usize>)> {
    let known = || {
        let values = column.values.iter().enumerate();
        values.filter(|(_, value)| !value.trim().is_empty())
    };
    let numbers: Option<Vec<(usize, f64)>> = known()
        .map(|(image, value)| {
            let number = value.trim().parse::<f64>().ok();
            Some((image, number.filter(|number| number.is_finite())?))
        })
        .collect();
    let distinct = known()
        .map(|(_, value)| value.trim())
        .collect::<BTreeSet<_>>()
        .len();
    let parts = match numbers {
        Some(numbers) if distinct > MOST_NUMBERS => quarters(&numbers),
        Some(mut numbers) => {
            numbers.sort_by(|a, b| a.1.total_cmp(&b.1));
            let mut parts: Vec<(String, Vec<usize>)> = Vec::new();
            for (image, number) in numbers {
                let value = number.to_string();
                match parts.last_mut() {
                    Some((last, images)) if *last == value => images.push(image),
                    _ => parts.push((value, vec![image])),
                }
            }
            parts
        }
        None if distinct > MOST_VALUES => Vec::new(),
        None => {
            let mut parts = BTreeMap::<&str, Vec<usize>>::new();
            for (image, value) in known() {
                parts.entry(value.trim()).or_default().push(image);
            }
            let named = |(value, images): (&str, Vec<usize>)| (value.to_owned(), images);
            parts.into_iter().map(named).collect()
        }
    };
    if parts.len() < 2 { Vec::new() } else { parts }
}

/// Cuts at the quartiles; equal numbers stay together, so that there may be fewer than four parts.
fn quarters(numbers: &[(usize, f64)]) -> Vec<(String, Vec<usize>)> {
    let mut sorted: Vec<f64> = numbers.iter().map(|(_, number)| *number).collect();
    sorted.sort_by(f64::total_cmp);
    let mut ends: Vec<f64> = [0.25, 0.5, 0.75, 1.0]
        .iter()
        .map(|share| sorted[((sorted.len() as f64 * share).ceil() as usize).max(1) - 1])
        .collect();
    ends.dedup();
    let mut parts: Vec<(String, Vec<usize>)> = Vec::new();
    let mut below = f64::NEG_INFINITY;
    for &end in &ends {
        let inside = numbers
            .iter()
            .filter(|(_, number)| *number > below && *number <= end);
        let lowest = sorted
            .iter()
            .copied()
            .find(|number| *number > below)
            .unwrap_or(end);
        let mut images: Vec<usize> = inside.map(|(image, _)| *image).collect();
        images.sort_unstable();
        parts.push((format!("{lowest} to {end}"), images));
        below = end;
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array2;

    fn column(values: &[&str]) -> Column {
        Column {
            name: "x".into(),
            values: values.iter().map(|value| (*value).to_owned()).collect(),
        }
    }

    #[test]
    fn words_group_and_names_do_not() {
        let words = parts(&column(&["F", "M", "", " F ", "M"]));
        assert_eq!(
            words,
            [("F".to_owned(), vec![0, 3]), ("M".to_owned(), vec![1, 4])]
        );
        let names: Vec<String> = (0..30).map(|i| format!("scan {i}")).collect();
        assert!(parts(&column(&names.iter().map(String::as_str).collect::<Vec<_>>())).is_empty());
        assert!(parts(&column(&["same", "same", ""])).is_empty());
        assert!(parts(&column(&[])).is_empty());
    }

    #[test]
    fn numbers_come_in_their_order_or_in_quarters() {
        let few = parts(&column(&["10", "2", "2.0", "", "10"]));
        assert_eq!(few, [("2".to_owned(), vec![1, 2]), ("10".to_owned(), vec![0, 4])]);
        let ages: Vec<String> = (0..40).rev().map(|age| age.to_string()).collect();
        let many = parts(&column(&ages.iter().map(String::as_str).collect::<Vec<_>>()));
        let names: Vec<&str> = many.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["0 to 9", "10 to 19", "20 to 29", "30 to 39"]);
        assert!(many.iter().all(|(_, images)| images.len() == 10));
        assert_eq!(many[0].1, (30..40).collect::<Vec<_>>());
    }

    #[test]
    fn the_worst_is_named() {
        let images = 60;
        let logits = Array2::from_shape_fn((images, 2), |(i, class)| {
            // Right everywhere but on a third of the images of the old scanner.
            let right = i % 2 == 0 || i % 3 != 0;
            f32::from(u8::from((class == i / 30) == right))
        });
        let paths = (0..images).map(|i| format!("{i}.png").into()).collect();
        let labels = (0..images).map(|i| i / 30).collect();
        let mut predictions = Predictions::new(vec!["a".into(), "b".into()], paths, labels, logits).unwrap();
        let scanner = |i: usize| if i % 2 == 0 { "new" } else { "old" };
        predictions.columns = vec![Column {
            name: "scanner".into(),
            values: (0..images).map(|i| scanner(i).to_owned()).collect(),
        }];
        let options = Bootstrap {
            resamples: 100,
            ..Bootstrap::default()
        };
        let subgroups = Subgroup::of(&predictions, &options);
        assert_eq!(subgroups.len(), 2);
        let worst = Subgroup::worst(&subgroups, "top1").unwrap();
        assert_eq!((worst.value.as_str(), worst.images), ("old", 30));
        let top1 = worst.metrics["top1"].estimate;
        assert!((top1.value.unwrap() - 2.0 / 3.0).abs() < 1e-12 && top1.interval().is_some());
        assert_eq!(Subgroup::worst(&subgroups, "log_loss").unwrap().value, "old");
        assert_eq!(Subgroup::worst(&subgroups, "unknown"), None);
        assert_eq!(Subgroup::worst(&[], "top1"), None);
    }
}
