//! A finished run, as a comparison reads it.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::{EpochRow, EvalError, Predictions, Results};

/// A finished run: one method, one seed.
#[derive(Debug, Clone)]
pub struct RunSummary {
    /// Tuning method, the label of its row.
    pub method: String,
    /// Seed of the training.
    pub seed: u64,
    /// Its `results.json` on the test split.
    pub results: Results,
    /// Its predictions on the test split.
    pub predictions: Predictions,
    /// Its training curve.
    pub epochs: Vec<EpochRow>,
    /// Its run folder, as links shall name it.
    pub run_dir: PathBuf,
}

impl RunSummary {
    /// Reads `results.json`, `predictions.csv` (of boxes and masks `predictions.json`) and `results.csv` of a run folder.
    pub fn load(run_dir: &Path) -> Result<Self, EvalError> {
        let results = Results::load(&run_dir.join("results.json"))?;
        let predictions = Predictions::load_from(run_dir, results.kind)?;
        Ok(Self {
            method: results.method.clone(),
            seed: results.seed.unwrap_or_default(),
            predictions: predictions.decided_by(results.kind, results.calibration.clone()),
            epochs: EpochRow::load_csv(&run_dir.join("results.csv"))?,
            run_dir: run_dir.to_owned(),
            results,
        })
    }
}

/// The training curve of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunCurves {
    /// Tuning method.
    pub method: String,
    /// Seed of the training.
    pub seed: u64,
    /// The run folder.
    pub run_dir: PathBuf,
    /// One row per epoch.
    pub epochs: Vec<EpochRow>,
}
