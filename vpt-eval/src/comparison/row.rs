//! One method of a comparison.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{Costs, Forgetting, MethodRuns};
use crate::bootstrap::{self, Bootstrap, Estimate};
use crate::metrics::Metric;
use crate::statistics::{CrossedMean, SeedValues};
use crate::{EvalError, Predictions, Results};

/// One method of a comparison. Costs are means over the seeds, peak memory is the largest.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ComparisonRow {
    /// Tuning method.
    pub method: String,
    /// Seeds that were trained.
    pub seeds: Vec<u64>,
    /// The compared metric: mean over the seeds, with an interval over seeds and images.
    pub score: Estimate,
    /// The compared metric of each seed.
    pub score_per_seed: Vec<f64>,
    /// `score` minus the baseline's, with an interval over seeds and images; `None` for the baseline itself.
    pub difference: Option<Estimate>,
    /// In words, whether it is better than the baseline and what it costs: that of the [`Pair`](super::Pair), seen from this method; empty for the
    /// baseline itself.
    pub verdict: String,
    /// Other metrics, means over the seeds.
    pub metrics: BTreeMap<String, f64>,
    /// Number of tuned parameters.
    pub tuned_params: Option<usize>,
    /// Number of all parameters.
    pub total_params: Option<usize>,
    /// Tuned parameters in percent of all.
    pub tuned_percent: Option<f64>,
    /// Size of the task file.
    pub task_file_bytes: Option<u64>,
    /// Seconds of training.
    pub train_seconds: Option<f64>,
    /// Trained images per second.
    pub train_images_per_second: Option<f64>,
    /// Evaluated images per second.
    pub images_per_second: Option<f64>,
    /// Most memory that a training process held.
    pub peak_memory_bytes: Option<u64>,
    /// Most memory that training reserved on a GPU.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device_memory_bytes: Option<u64>,
    /// What else it costs.
    pub costs: Costs,
    /// What became of what the backbone knew.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub forgetting: Option<Forgetting>,
    /// The run folders, one per seed.
    pub run_dirs: Vec<PathBuf>,
}

pub(super) fn row(
    (method, runs): &MethodRuns,
    values: &SeedValues,
    metric: &'static Metric,
    options: &Bootstrap,
) -> Result<ComparisonRow, EvalError> {
    let predictions = &runs[0].predictions;
    let says_something = metric.applies_to(predictions.kind, predictions.classes.len());
    if !says_something || values.values.iter().any(|value| value.is_nan()) {
        return Err(EvalError::Undefined {
            name: metric.name.to_owned(),
            method: (*method).to_owned(),
        });
    }
    let results = || runs.iter().map(|run| &run.results);
    let (tuned_params, total_params) = (runs[0].results.tuned_params, runs[0].results.total_params);
    Ok(ComparisonRow {
        method: (*method).to_owned(),
        seeds: runs.iter().map(|run| run.seed).collect(),
        score: score(predictions, values, metric, options),
        score_per_seed: values.values.clone(),
        metrics: mean_metrics(&results().collect::<Vec<_>>()),
        tuned_params,
        total_params,
        tuned_percent: tuned_params
            .zip(total_params)
            .map(|(tuned, total)| 100.0 * tuned as f64 / total as f64),
        task_file_bytes: results().filter_map(|r| r.task_file_bytes).max(),
        train_seconds: mean_of_known(results().map(|r| r.train_seconds)),
        train_images_per_second: mean_of_known(results().map(|r| r.train_images_per_second)),
        images_per_second: mean_of_known(results().map(|r| r.images_per_second)),
        peak_memory_bytes: results().filter_map(|r| r.peak_memory_bytes).max(),
        device_memory_bytes: results().filter_map(|r| r.device_memory_bytes).max(),
        run_dirs: runs.iter().map(|run| run.run_dir.clone()).collect(),
        ..ComparisonRow::default()
    })
}

/// The mean over seeds. The interval of one seed is that of `results.json`; of several, it never leaves what the metric can be.
pub(super) fn score(
    predictions: &Predictions,
    values: &SeedValues,
    metric: &'static Metric,
    options: &Bootstrap,
) -> Estimate {
    if values.values.len() == 1 {
        return bootstrap::intervals(predictions, &[metric], options)[0];
    }
    let mean = CrossedMean::of(values, predictions.draws().units());
    let estimate = Estimate::crossed(values.mean(), mean, options.level);
    if metric.higher_is_better {
        Estimate {
            ci_high: estimate.ci_high.map(|end| end.min(1.0)),
            ..estimate
        }
    } else {
        Estimate {
            ci_low: estimate.ci_low.map(|end| end.max(0.0)),
            ..estimate
        }
    }
}

/// Means of the metrics that are defined in every run.
fn mean_metrics(results: &[&Results]) -> BTreeMap<String, f64> {
    let mean_of = |name: &String| -> Option<(String, f64)> {
        let values: Option<Vec<f64>> = results.iter().map(|r| r.value(name)).collect();
        Some((name.clone(), mean(&values?)))
    };
    results[0].metrics.keys().filter_map(mean_of).collect()
}

fn mean_of_known(values: impl Iterator<Item = Option<f64>>) -> Option<f64> {
    let known: Vec<f64> = values.flatten().collect();
    (!known.is_empty()).then(|| mean(&known))
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}
