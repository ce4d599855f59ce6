//! What a method costs, beside what each run measures anyway.

use serde::{Deserialize, Serialize};

/// Costs of a method. All are measured; what nobody measured is `None`.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Costs {
    /// Seconds that the search of its settings took, all trials together.
    pub search_seconds: Option<f64>,
    /// Number of trials in that search.
    pub search_trials: Option<usize>,
    /// Milliseconds from one prepared image to its logits.
    pub latency_ms: Option<f64>,
    /// Milliseconds from a batch of `batch` prepared images to its logits.
    pub batch_latency_ms: Option<f64>,
    /// Images in that batch.
    pub batch: Option<usize>,
    /// `latency_ms` of the backbone alone.
    pub bare_latency_ms: Option<f64>,
    /// `batch_latency_ms` of the backbone alone.
    pub bare_batch_latency_ms: Option<f64>,
    /// Multiply-adds for one image.
    pub multiply_adds: Option<u64>,
    /// Multiply-adds of the backbone alone for one image.
    pub bare_multiply_adds: Option<u64>,
}

impl Costs {
    /// Latency of one image over that of the backbone alone, for example 1.02.
    pub fn latency_ratio(&self) -> Option<f64> {
        ratio(self.latency_ms?, self.bare_latency_ms?)
    }

    /// Latency of a batch over that of the backbone alone.
    pub fn batch_latency_ratio(&self) -> Option<f64> {
        ratio(self.batch_latency_ms?, self.bare_batch_latency_ms?)
    }

    /// Multiply-adds over those of the backbone alone.
    pub fn multiply_adds_ratio(&self) -> Option<f64> {
        ratio(self.multiply_adds? as f64, self.bare_multiply_adds? as f64)
    }
}

fn ratio(value: f64, bare: f64) -> Option<f64> {
    (bare > 0.0).then(|| value / bare)
}
