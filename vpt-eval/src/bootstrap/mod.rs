//! Values with intervals, and differences of models, by resampling where no formula is better.
//!
//! A resample is a list of weights: how often each image was drawn; a half-sample has weights 0 and 1. Every metric takes weights, so all metrics, all
//! classes and both sides of a difference share one resample. Resample `r` draws from its own random stream
//! `(seed, r)`: the result does not depend on the number of threads.

mod estimate;
mod models;
mod statistic;

pub use estimate::{Estimate, IntervalMethod};
pub use models::{paired_difference, seed_values};
pub use statistic::{Compute, Statistic, estimates, half_sample_estimates};

use serde::{Deserialize, Serialize};

use crate::Predictions;
use crate::metrics::{Metric, Scores};

/// How intervals are made.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Bootstrap {
    /// Share of repeated experiments whose interval holds the truth, for example 0.95.
    pub level: f64,
    /// Number of resamples.
    pub resamples: usize,
    /// Seed of the resampling; it has nothing to do with the training seed.
    pub seed: u64,
}

impl Default for Bootstrap {
    fn default() -> Self {
        Self {
            level: 0.95,
            resamples: 2000,
            seed: 0,
        }
    }
}

/// Each metric on these predictions, with its interval.
pub fn intervals(
    predictions: &Predictions,
    metrics: &[&'static Metric],
    options: &Bootstrap,
) -> Vec<Estimate> {
    let scores = Scores::of(predictions);
    let ones = scores.ones();
    let view = scores.view(&ones);
    let statistics: Vec<Statistic> = metrics
        .iter()
        .map(|metric| Statistic::of(metric, &view))
        .collect();
    estimates(&scores, &predictions.draws(), &statistics, options)
}

/// NaN where a value is undefined.
fn or_nan(values: Vec<Option<f64>>) -> Vec<f64> {
    values
        .into_iter()
        .map(|value| value.unwrap_or(f64::NAN))
        .collect()
}

#[cfg(test)]
mod tests;
