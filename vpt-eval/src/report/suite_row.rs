//! [`SuiteRow`]: one task in the table across a suite, wherever that is shown.

use super::format::{self, UNKNOWN, Unit};
use crate::{SuiteTask, metrics};

/// What the table across a suite says of one task. Method and metric are called as in flags and `results.json`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SuiteRow {
    /// What the suite calls it.
    pub task: String,
    /// What it asks of a model.
    pub kind: String,
    /// The method that tuned it.
    pub method: String,
    /// How many classes it has.
    pub classes: String,
    /// How many images were measured.
    pub images: String,
    /// The metric that it is judged by.
    pub metric: String,
    /// That metric with its interval.
    pub value: String,
    /// The expected calibration error with its interval.
    pub calibration_error: String,
    /// Size of the task file.
    pub task_file: String,
}

impl SuiteRow {
    /// What the cells are.
    pub const TITLES: [&str; 9] = [
        "task",
        "kind",
        "method",
        "classes",
        "images",
        "metric",
        "value",
        "calibration error",
        "task file",
    ];

    /// The row of a measured task.
    pub fn of(task: &SuiteTask) -> Self {
        let results = &task.results;
        let value = |name: &str| {
            let unit = Unit::of(metrics::find(name).ok()?);
            Some(unit.estimate(&results.metrics.get(name)?.estimate))
        };
        let known = |value: Option<String>| value.unwrap_or(UNKNOWN.to_owned());
        Self {
            task: task.name.clone(),
            kind: task.kind.to_string(),
            method: results.method.clone(),
            classes: results.per_class.len().to_string(),
            images: format::count(results.images),
            metric: task.main_metric.clone(),
            value: known(value(&task.main_metric)),
            calibration_error: known(value("ece")),
            task_file: known(results.task_file_bytes.map(format::bytes)),
        }
    }

    /// The cells, in the order of [`SuiteRow::TITLES`].
    pub fn cells(self) -> [String; 9] {
        [
            self.task,
            self.kind,
            self.method,
            self.classes,
            self.images,
            self.metric,
            self.value,
            self.calibration_error,
            self.task_file,
        ]
    }
}
