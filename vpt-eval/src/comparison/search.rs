//! How a method's settings were found.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The search of one method's settings by successive halving on the validation split.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct MethodSearch {
    /// Tuning method.
    pub method: String,
    /// The budget as the user gave it, for example `12 trials` or `30 min`.
    pub budget: String,
    /// Metric of the validation split by which trials are ranked.
    pub metric: String,
    /// The rounds, shortest first.
    pub rungs: Vec<Rung>,
    /// Every trial, in the order in which they began.
    pub trials: Vec<Trial>,
}

/// A round of successive halving.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Rung {
    /// Epochs of each trial up to the end of the round.
    pub epochs: usize,
    /// Trials that took part.
    pub trials: usize,
}

/// One setting that was tried.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Trial {
    /// Name of the trial, unique in its search.
    pub id: String,
    /// What was searched over, by the names in `args.toml`.
    pub settings: BTreeMap<String, String>,
    /// Epochs that it was trained.
    pub epochs: usize,
    /// Seed of the training.
    pub seed: u64,
    /// The best value of [`MethodSearch::metric`]; `None` where there is none.
    pub score: Option<f64>,
    /// Seconds of training.
    pub seconds: Option<f64>,
    /// What became of it.
    pub ended: TrialEnd,
    /// Why, where more can be said: the error of a failed trial.
    pub reason: Option<String>,
}

/// What became of a trial.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TrialEnd {
    /// It went on to the next rung.
    Promoted,
    /// Others were better.
    #[default]
    Stopped,
    /// Its settings were chosen.
    Best,
    /// It did not end well.
    Failed,
}

impl TrialEnd {
    /// As it is written in tables and JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Promoted => "promoted",
            Self::Stopped => "stopped",
            Self::Best => "best",
            Self::Failed => "failed",
        }
    }
}
