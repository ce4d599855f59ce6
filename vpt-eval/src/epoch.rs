//! One row of `results.csv`: what an epoch of training cost and reached.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::EvalError;

/// One epoch of training.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct EpochRow {
    /// Epoch, from 1.
    pub epoch: usize,
    /// Seconds for training and validation.
    pub seconds: f64,
    /// Learning rate of the last step.
    pub lr: f64,
    /// Mean training loss.
    pub train_loss: f64,
    /// Validation loss.
    pub val_loss: f64,
    /// Validation metrics by name, fractions of 1.
    pub metrics: BTreeMap<String, f64>,
    /// Training images per second.
    pub images_per_second: f64,
}

const FIXED: [&str; 6] = [
    "epoch",
    "seconds",
    "lr",
    "train_loss",
    "val_loss",
    "images_per_second",
];

impl EpochRow {
    /// `results.csv`: the fixed columns, then one `val_<metric>` column for each metric that any row has.
    pub fn to_csv(rows: &[Self]) -> String {
        let names: std::collections::BTreeSet<&String> =
            rows.iter().flat_map(|row| row.metrics.keys()).collect();
        let mut csv = FIXED.join(",");
        names.iter().for_each(|name| csv += &format!(",val_{name}"));
        csv.push('\n');
        for row in rows {
            let Self {
                epoch,
                seconds,
                lr,
                train_loss,
                val_loss,
                metrics,
                images_per_second,
            } = row;
            csv += &format!("{epoch},{seconds:.3},{lr:e},{train_loss},{val_loss},{images_per_second:.2}");
            for name in &names {
                csv += &metrics
                    .get(*name)
                    .map_or(",".to_owned(), |value| format!(",{value}"));
            }
            csv.push('\n');
        }
        csv
    }

    /// Reads what [`EpochRow::to_csv`] wrote.
    pub fn load_csv(path: &Path) -> Result<Vec<Self>, EvalError> {
        let text = std::fs::read_to_string(path).map_err(|source| EvalError::Io {
            action: "read",
            path: path.to_owned(),
            source,
        })?;
        let mut lines = text.lines().enumerate();
        let header: Vec<&str> = lines
            .next()
            .map_or(Vec::new(), |(_, line)| line.split(',').collect());
        lines
            .map(|(i, line)| {
                let fields: BTreeMap<&str, &str> = header.iter().copied().zip(line.split(',')).collect();
                Self::parse(&fields).map_err(|reason| EvalError::Csv {
                    path: path.to_owned(),
                    line: i as u64 + 1,
                    reason,
                })
            })
            .collect()
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
