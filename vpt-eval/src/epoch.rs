//! One row of `results.csv`: what an epoch of training cost and reached.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::{Deserialize, Deserializer, Serialize};

use crate::{EvalError, csv};

/// One epoch of training.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct EpochRow {
    /// Epoch, from 1.
    pub epoch: usize,
    /// Seconds for training and validation.
    pub seconds: f64,
    /// Learning rate of the last step.
    pub lr: f64,
    /// Weight decay of the epoch, where epochs differ in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight_decay: Option<f64>,
    /// Mean training loss.
    #[serde(deserialize_with = "nan_from_null")]
    pub train_loss: f64,
    /// Validation loss.
    #[serde(deserialize_with = "nan_from_null")]
    pub val_loss: f64,
    /// Validation metrics by name, fractions of 1.
    pub metrics: BTreeMap<String, f64>,
    /// Training images per second.
    pub images_per_second: f64,
}

/// JSON has no NaN; a loss that was none is written as `null`.
fn nan_from_null<'de, D: Deserializer<'de>>(json: D) -> Result<f64, D::Error> {
    Option::deserialize(json).map(|loss| loss.unwrap_or(f64::NAN))
}

const FIXED: [&str; 6] = [
    "epoch",
    "seconds",
    "lr",
    "train_loss",
    "val_loss",
    "images_per_second",
];

const DECAY: &str = "weight_decay";

impl EpochRow {
    /// `results.csv`: the fixed columns, `weight_decay` if any row has it, then one `val_<metric>` column for each metric that any row has.
    pub fn to_csv(rows: &[Self]) -> String {
        let names: BTreeSet<&String> = rows.iter().flat_map(|row| row.metrics.keys()).collect();
        let titles = FIXED.iter().map(|&name| name.to_owned());
        let decays = rows.iter().any(|row| row.weight_decay.is_some());
        let titles = titles.chain(decays.then(|| DECAY.to_owned()));
        let header = csv::line(titles.chain(names.iter().map(|name| format!("val_{name}"))));
        let line = |row: &Self| {
            let Self {
                epoch,
                seconds,
                lr,
                weight_decay,
                train_loss,
                val_loss,
                metrics,
                images_per_second,
            } = row;
            let fixed = [
                epoch.to_string(),
                format!("{seconds:.3}"),
                format!("{lr:e}"),
                train_loss.to_string(),
                val_loss.to_string(),
                format!("{images_per_second:.2}"),
            ];
            let metric = |name: &&String| metrics.get(*name).map_or(String::new(), f64::to_string);
            let decay = weight_decay.map_or(String::new(), |decay| format!("{decay:e}"));
            let fixed = fixed.into_iter().chain(decays.then_some(decay));
            csv::line(fixed.chain(names.iter().map(metric)))
        };
        header + &rows.iter().map(line).collect::<String>()
    }

    /// Reads what [`EpochRow::to_csv`] wrote.
    pub fn load_csv(path: &Path) -> Result<Vec<Self>, EvalError> {
        let text = std::fs::read_to_string(path).map_err(|source| EvalError::Io {
            action: "read",
            path: path.to_owned(),
            source,
        })?;
        let mut records = csv::parse(&text).into_iter();
        let header = records.next().map(|record| record.fields).unwrap_or_default();
        let row = |csv::Record { line, fields }: csv::Record| {
            let fields = header
                .iter()
                .zip(&fields)
                .map(|(name, field)| (name.as_str(), field.as_str()))
                .collect();
            Self::parse(&fields).map_err(|reason| EvalError::Csv {
                path: path.to_owned(),
                line,
                reason,
            })
        };
        records.map(row).collect()
    }

    fn parse(fields: &BTreeMap<&str, &str>) -> Result<Self, String> {
        let number = |name: &str| -> Result<f64, String> {
            let text = fields
                .get(name)
                .ok_or_else(|| format!("column `{name}` is missing"))?;
            text.parse()
                .map_err(|_| format!("`{text}` in column `{name}` is no number"))
        };
        let metric = |(&name, &text): (&&str, &&str)| {
            let name = name
                .strip_prefix("val_")
                .filter(|_| !FIXED.contains(&name) && !text.is_empty())?;
            Some(number(&format!("val_{name}")).map(|value| (name.to_owned(), value)))
        };
        Ok(Self {
            epoch: number("epoch")? as usize,
            seconds: number("seconds")?,
            lr: number("lr")?,
            weight_decay: match fields.get(DECAY) {
                Some(text) if !text.is_empty() => Some(number(DECAY)?),
                _ => None,
            },
            train_loss: number("train_loss")?,
            val_loss: number("val_loss")?,
            metrics: fields.iter().filter_map(metric).collect::<Result<_, _>>()?,
            images_per_second: number("images_per_second")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(epoch: usize, metrics: &[(&str, f64)]) -> EpochRow {
        EpochRow {
            epoch,
            seconds: 1.5,
            lr: 0.001,
            weight_decay: (epoch == 2).then_some(1e-4),
            train_loss: 0.1 + 0.2,
            val_loss: 1.0 / 3.0,
            metrics: metrics
                .iter()
                .map(|&(name, value)| (name.to_owned(), value))
                .collect(),
            images_per_second: 12.25,
        }
    }

    #[test]
    fn csv_round_trip() {
        let rows = vec![
            row(1, &[("top1", 0.5)]),
            row(2, &[("top1", 2.0 / 3.0), ("auroc", 0.9)]),
        ];
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("results.csv");
        std::fs::write(&path, EpochRow::to_csv(&rows)).unwrap();
        assert_eq!(EpochRow::load_csv(&path).unwrap(), rows);
    }

    #[test]
    fn a_loss_that_was_no_number_survives_json() {
        let diverged = EpochRow {
            val_loss: f64::NAN,
            ..row(1, &[])
        };
        let json = serde_json::to_string(&diverged).unwrap();
        assert!(serde_json::from_str::<EpochRow>(&json).unwrap().val_loss.is_nan());
    }

    #[test]
    fn a_broken_line_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("results.csv");
        std::fs::write(&path, EpochRow::to_csv(&[row(1, &[])]).replace("0.333", "x.333")).unwrap();
        let error = EpochRow::load_csv(&path).unwrap_err().to_string();
        assert!(
            error.contains("line 2") && error.contains("`val_loss`"),
            "{error}"
        );
    }
}
