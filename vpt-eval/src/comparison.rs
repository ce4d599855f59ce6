//! `comparison.json`: methods × seeds on one test set, each method against a baseline.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::bootstrap::{self, Bootstrap, Estimate};
use crate::metrics::{self, Metric, Scores};
use crate::report::verdict;
use crate::results::{load_json, save_json};
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
    /// Reads `results.json`, `predictions.csv` and `results.csv` of a run folder.
    pub fn load(run_dir: &Path) -> Result<Self, EvalError> {
        let results = Results::load(&run_dir.join("results.json"))?;
        let predictions = Predictions::load_csv(&run_dir.join("predictions.csv"), results.kind)?;
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
    /// In words, whether it is better than the baseline and what it costs; empty for the baseline itself.
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
    /// The run folders, one per seed.
    pub run_dirs: Vec<PathBuf>,
}

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
            .ok_or_else(|| EvalError::NoBaseline {
                baseline: baseline.to_owned(),
                methods: names()
                    .map(|name| format!("`{name}`"))
                    .collect::<Vec<_>>()
                    .join(", "),
            })?;

        let scores: Vec<Vec<Scores>> = methods
            .iter()
            .map(|(_, runs)| runs.iter().map(|run| Scores::of(&run.predictions)).collect())
            .collect();
        let resampled = bootstrap::over_seeds(&scores, &first.predictions.draws(), metric, options);
        let mut rows = methods
            .iter()
            .zip(&scores)
            .zip(&resampled)
            .map(|((method, scores), resampled)| row(method, scores, resampled, metric, options))
            .collect::<Result<Vec<_>, _>>()?;

        let base_row = rows[base].clone();
        for (i, row) in rows.iter_mut().enumerate().filter(|(i, _)| *i != base) {
            let value = row.score.value.zip(base_row.score.value).map(|(a, b)| a - b);
            let differences: Vec<f64> = resampled[i]
                .iter()
                .zip(&resampled[base])
                .map(|(a, b)| a - b)
                .collect();
            row.difference = Some(Estimate::new(value, &differences, options.level, None));
            row.verdict = verdict::verdict(row, &base_row, metric);
        }
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
            notes: notes(&rows, options),
            rows,
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

fn row(
    (method, runs): &MethodRuns,
    scores: &[Scores],
    resampled: &[f64],
    metric: &Metric,
    options: &Bootstrap,
) -> Result<ComparisonRow, EvalError> {
    let score = |scores: &Scores| {
        let says_something = metric.applies_to(runs[0].predictions.kind, scores.num_classes());
        (metric.compute)(&scores.view(&scores.ones())).filter(|_| says_something)
    };
    let score_per_seed: Vec<f64> =
        scores
            .iter()
            .map(score)
            .collect::<Option<_>>()
            .ok_or_else(|| EvalError::Undefined {
                name: metric.name.to_owned(),
                method: (*method).to_owned(),
            })?;
    // With one run a perfect score is a share of images like any other; with more, it would be one of several.
    let ones = scores[0].ones();
    let share_of = metric.share_of.filter(|_| runs.len() == 1);
    let share_of = share_of.map(|images| images(&scores[0].view(&ones)));
    let results = || runs.iter().map(|run| &run.results);
    let (tuned_params, total_params) = (runs[0].results.tuned_params, runs[0].results.total_params);
    Ok(ComparisonRow {
        method: (*method).to_owned(),
        seeds: runs.iter().map(|run| run.seed).collect(),
        score: Estimate::new(Some(mean(&score_per_seed)), resampled, options.level, share_of),
        score_per_seed,
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
        run_dirs: runs.iter().map(|run| run.run_dir.clone()).collect(),
        ..ComparisonRow::default()
    })
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

fn notes(rows: &[ComparisonRow], options: &Bootstrap) -> Vec<String> {
    let Bootstrap { level, resamples, .. } = options;
    let fewest = rows.iter().map(|row| row.seeds.len()).min().unwrap_or(0);
    let covers = match fewest {
        0 | 1 => "the choice of test images; with one seed, nothing is known about other seeds",
        2 => "the choice of test images and, roughly with two seeds, of the seed",
        _ => "the choice of test images and of the seed",
    };
    vec![
        format!(
            "Intervals hold {:.0} % ({resamples} bootstrap resamples) and cover {covers}.",
            level * 100.0
        ),
        "Checkpoints were chosen on the validation split; the test split was read once per run.".to_owned(),
        "Peak memory is the resident set of the training process; memory on a GPU is not in it.".to_owned(),
    ]
}
