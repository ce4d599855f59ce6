//! What a method does to what the backbone knew before.

use serde::{Deserialize, Serialize};

use crate::Estimate;

/// How much of the backbone is left after training.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Forgetting {
    /// Whether the backbone's tensors are bit for bit what they were: then nothing is forgotten, which the hash proves.
    pub backbone_unchanged: bool,
    /// Hash of the backbone's tensors after training.
    pub backbone_sha256: String,
    /// The backbone's own source task, before and after.
    pub source: Option<SourceScore>,
    /// Linear CKA (Kornblith et al. 2019, arXiv 1905.00414) between the features before and after on the test images: 1
    /// where they are the same up to rotation and scale.
    pub cka: Option<f64>,
}

/// A score on the task that the backbone was trained for.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct SourceScore {
    /// Name of the source task.
    pub task: String,
    /// Name of the metric.
    pub metric: String,
    /// Number of images.
    pub images: usize,
    /// The untouched backbone's score.
    pub before: Estimate,
    /// The score with the tuned backbone.
    pub after: Estimate,
    /// `after − before` on the same images.
    pub difference: Estimate,
}
