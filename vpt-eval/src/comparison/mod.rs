//! `comparison.json`: methods × seeds on one test set, each method against a baseline.

mod costs;
mod few_shot;
mod forgetting;
mod pair;
mod row;
mod run_summary;
mod search;

use std::path::Path;

use serde::{Deserialize, Serialize};
use vpt_data::TaskKind;

use crate::bootstrap::{self, Bootstrap};
use crate::metrics::{self, Scores};
use crate::report::verdict;
use crate::results::{load_json, save_json};
use crate::{EvalError, Predictions};

pub use costs::Costs;
pub use few_shot::{FewShotCrossing, FewShotCurve, FewShotPoint, FewShotRun, few_shot};
pub use forgetting::{Forgetting, SourceScore};
use pair::Compared;
pub use pair::{McNemarTests, Pair, SeedTest};
pub use row::ComparisonRow;
pub use run_summary::{RunCurves, RunSummary};
pub use search::{MethodSearch, Rung, Trial, TrialEnd};

/// What `comparison.json` holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// Always [`Comparison::SCHEMA`].
    pub schema: String,
    /// Version of vpt that compared.
    pub vpt_version: String,
    /// Name of the task or data set.
    pub task: String,
    /// The backbone.
    pub model: String,
    /// Device of the runs.
    pub device: Option<String>,
    /// The compared metric.
    pub metric: String,
    /// The method that all others are compared with.
    pub baseline: String,
    /// Number of test images.
    pub images: usize,
    /// How the intervals were made.
    pub bootstrap: Bootstrap,
    /// One row per method, in the order of the runs.
    pub rows: Vec<ComparisonRow>,
    /// Every pair of methods.
    #[serde(default)]
    pub pairs: Vec<Pair>,
    /// How the settings of each method were found; the caller fills it in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub search: Vec<MethodSearch>,
    /// Scores against the number of training images; the caller fills both in from [`few_shot`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub few_shot: Vec<FewShotCurve>,
    /// Where those curves cross the baseline's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub few_shot_crossings: Vec<FewShotCrossing>,
    /// The training curves of all runs.
    pub runs: Vec<RunCurves>,
    /// Commands that repeat the comparison; the caller fills them in.
    pub commands: Vec<String>,
    /// What the reader must know to judge the numbers.
    pub notes: Vec<String>,
}

impl Comparison {
    /// Kind and version of the document.
    pub const SCHEMA: &str = "vpt-comparison/1";

    /// Compares top-1 accuracy with 95 % intervals.
    pub fn new(runs: &[RunSummary], baseline: &str) -> Result<Self, EvalError> {
        Self::with_metric(runs, baseline, "top1", &Bootstrap::default())
    }

    /// Compares any metric. All runs must be about the same images.
    pub fn with_metric(
        runs: &[RunSummary],
        baseline: &str,
        metric: &str,
        options: &Bootstrap,
    ) -> Result<Self, EvalError> {
        let metric = metrics::find(metric)?;
        let first = runs.first().ok_or(EvalError::NoImages)?;
        for run in runs {
            first
                .predictions
                .check_paired(&run.predictions, &first.method, &run.method)?;
        }
        let methods = by_method(runs);
        let names = || methods.iter().map(|(name, _)| *name);
        let base = names()
            .position(|name| name == baseline)
            .ok_or_else(|| missing_baseline(baseline, names()))?;

        let scores: Vec<Vec<Scores>> = methods
            .iter()
            .map(|(_, runs)| runs.iter().map(|run| Scores::of(&run.predictions)).collect())
            .collect();
        let draws = first.predictions.draws();
        let values = bootstrap::seed_values(&scores, &draws, metric, options);
        let mut rows = methods
            .iter()
            .zip(&values)
            .map(|(method, values)| row::row(method, values, metric, options))
            .collect::<Result<Vec<_>, _>>()?;
        let compared: Vec<Compared> = rows
            .iter()
            .zip(&scores)
            .zip(&values)
            .map(|((row, scores), values)| Compared { row, scores, values })
            .collect();
        let mut pairs = pair::pairs(&compared, &draws, metric, options.level);
        verdict::write(&mut rows, &mut pairs, base, metric, options.level);
        let curves = |run: &RunSummary| RunCurves {
            method: run.method.clone(),
            seed: run.seed,
            run_dir: run.run_dir.clone(),
            epochs: run.epochs.clone(),
        };
        Ok(Self {
            schema: Self::SCHEMA.to_owned(),
            vpt_version: env!("CARGO_PKG_VERSION").to_owned(),
            task: first.results.task.clone(),
            model: first.results.model.clone(),
            device: first.results.device.clone(),
            metric: metric.name.to_owned(),
            baseline: baseline.to_owned(),
            images: first.predictions.len(),
            bootstrap: *options,
            notes: notes(&rows, &first.predictions, options),
            rows,
            pairs,
            search: Vec::new(),
            few_shot: Vec::new(),
            few_shot_crossings: Vec::new(),
            runs: runs.iter().map(curves).collect(),
            commands: Vec::new(),
        })
    }

    /// The baseline's row.
    pub fn baseline_row(&self) -> Option<&ComparisonRow> {
        self.rows.iter().find(|row| row.method == self.baseline)
    }

    /// Writes `comparison.json`.
    pub fn save(&self, path: &Path) -> Result<(), EvalError> {
        save_json(self, path)
    }

    /// Reads `comparison.json`.
    pub fn load(path: &Path) -> Result<Self, EvalError> {
        load_json(path, Self::SCHEMA)
    }
}

fn missing_baseline<'a>(baseline: &str, methods: impl Iterator<Item = &'a str>) -> EvalError {
    let mut names: Vec<String> = methods.map(|name| format!("`{name}`")).collect();
    names.dedup();
    EvalError::NoBaseline {
        baseline: baseline.to_owned(),
        methods: names.join(", "),
    }
}

type MethodRuns<'a> = (&'a str, Vec<&'a RunSummary>);

/// Groups runs by method, methods in the order of their first run.
fn by_method(runs: &[RunSummary]) -> Vec<MethodRuns<'_>> {
    let mut methods: Vec<MethodRuns> = Vec::new();
    for run in runs {
        match methods.iter_mut().find(|(name, _)| *name == run.method) {
            Some((_, seeds)) => seeds.push(run),
            None => methods.push((&run.method, vec![run])),
        }
    }
    methods
}

fn notes(rows: &[ComparisonRow], predictions: &Predictions, options: &Bootstrap) -> Vec<String> {
    let Bootstrap { level, resamples, .. } = options;
    let draws = predictions.draws();
    let patients = draws.units() < draws.images();
    let drawn = match predictions.kind {
        TaskKind::Detection => "half-samples",
        _ => "bootstrap resamples",
    };
    let fewest = rows.iter().map(|row| row.seeds.len()).min().unwrap_or(0);
    let units = if patients { "patients" } else { "images" };
    let covers = match fewest {
        0 | 1 => format!(
            "the choice of test {units} only: with one seed, nothing is known about other seeds, and a difference that another \
             training would turn round can be called one"
        ),
        2 => format!("the choice of test {units} and, with two seeds roughly, of the seed"),
        _ => format!("the choice of test {units} and of the seed"),
    };
    let mut notes = vec![format!(
        "Intervals hold {:.0} % ({resamples} {drawn} of {units}) and cover {covers}.",
        level * 100.0
    )];
    if patients {
        notes.push(
            "Several images are of one patient: whole patients are resampled, and McNemar's test, which takes images for \
             independent, is left out."
                .to_owned(),
        );
    }
    notes.extend([
        "Checkpoints were chosen on the validation split; the test split was read once per run.".to_owned(),
        "Peak memory is the resident set of the training process; memory on a GPU is not in it.".to_owned(),
    ]);
    notes
}
