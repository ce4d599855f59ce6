//! `results.json`: everything known about one evaluated run.

mod document;
mod place_row;

pub use place_row::PlaceRow;

pub(crate) use document::{load_json, save_json};

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use vpt_core::{Calibration, Decision};
use vpt_data::TaskKind;

use crate::bootstrap::{self, Bootstrap, Estimate, Statistic};
use crate::metrics::{self, Scores, View, confusion, per_class};
use crate::statistics::Scale;
use crate::{AtPrevalence, EvalError, Predictions, Subgroup};

/// One metric of a run.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct MetricValue {
    /// Fraction of 1, with its interval; `None` where the metric is not defined on these images.
    #[serde(flatten)]
    pub estimate: Estimate,
    /// Number of images.
    pub n: usize,
    /// Whether a larger value is a better model.
    pub higher_is_better: bool,
}

impl MetricValue {
    /// What was estimated from `n` images.
    pub(crate) fn of(metric: &metrics::Metric, estimate: Estimate, n: usize) -> Self {
        Self {
            estimate,
            n,
            higher_is_better: metric.higher_is_better,
        }
    }
}

/// One class against the rest. Precision is undefined where the class was never predicted, recall where it has no image.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ClassRow {
    /// Name of the class.
    pub class: String,
    /// Images of the class.
    pub support: usize,
    /// Images taken for the class.
    pub predicted: usize,
    /// Share of right ones among those taken for the class.
    pub precision: Estimate,
    /// Share of the class's images that were found (sensitivity).
    pub recall: Estimate,
    /// Harmonic mean of precision and recall.
    pub f1: Estimate,
    /// Share of the other classes' images not taken for this one.
    pub specificity: Estimate,
    /// Area under the ROC curve, this class against the rest.
    pub auroc: Estimate,
}

/// A task that leaves its least certain images to somebody else.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Abstention {
    /// Share of the images that are decided.
    pub decided: Estimate,
    /// Share of right ones among them.
    pub accuracy: Estimate,
}

/// What `results.json` holds. Fields that a caller does not know stay `None`:
/// `Results { method, seed, ..Results::from_predictions(&predictions, &bootstrap) }`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Results {
    /// Always [`Results::SCHEMA`].
    pub schema: String,
    /// Version of vpt that evaluated.
    pub vpt_version: String,
    /// Name of the task or data set.
    pub task: String,
    /// What was asked of the model.
    pub kind: TaskKind,
    /// The evaluated split: `train`, `val` or `test`.
    pub split: String,
    /// Tuning method, for example `vpt-deep`.
    pub method: String,
    /// The backbone, as the user named it.
    pub model: String,
    /// Seed of the training.
    pub seed: Option<u64>,
    /// Device that evaluated.
    pub device: Option<String>,

    /// Number of evaluated images.
    pub images: usize,
    /// Metrics by name.
    pub metrics: BTreeMap<String, MetricValue>,
    /// One row per class, in the model's order.
    pub per_class: Vec<ClassRow>,
    /// One row per class of boxes or masks, in the model's order; empty for tasks of whole images.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub per_class_places: Vec<PlaceRow>,
    /// How logits became probabilities and decisions: temperature and threshold of the task file.
    pub calibration: Calibration,
    /// What remains where the least certain images are left undecided; only for tasks that do so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub abstention: Option<Abstention>,
    /// Predictive values in another population; only where one was named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at_prevalence: Option<AtPrevalence>,
    /// The metrics of parts of the images, where the data set knows more of them than their class.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub subgroups: Vec<Subgroup>,
    /// Counts `[true class][predicted class]`; empty where an image has any number of classes.
    pub confusion_matrix: Vec<Vec<usize>>,
    /// How the intervals were made.
    pub bootstrap: Bootstrap,

    /// How many neighbours vote; for k nearest neighbours only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub neighbours: Option<usize>,

    /// Number of tuned parameters.
    pub tuned_params: Option<usize>,
    /// Number of all parameters.
    pub total_params: Option<usize>,
    /// Size of the task file.
    pub task_file_bytes: Option<u64>,
    /// Seconds of training, validation included.
    pub train_seconds: Option<f64>,
    /// Seconds of this evaluation, decoding included.
    pub eval_seconds: Option<f64>,
    /// Evaluated images per second, decoding included.
    pub images_per_second: Option<f64>,
    /// Trained images per second, decoding and augmentation included.
    pub train_images_per_second: Option<f64>,
    /// Most memory that the training process held (resident set).
    pub peak_memory_bytes: Option<u64>,
    /// Most memory that training reserved on a GPU.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device_memory_bytes: Option<u64>,
    /// Number of trained epochs.
    pub epochs: Option<usize>,
    /// Epoch whose weights were evaluated.
    pub best_epoch: Option<usize>,

    /// SHA-256 of the backbone's canonical tensors.
    pub backbone_sha256: Option<String>,
    /// Fingerprint of the data set: contents and labels of all splits.
    pub data_fingerprint: Option<String>,
    /// When the run was made, RFC 3339.
    pub date: Option<String>,
}

impl Default for Results {
    fn default() -> Self {
        Self {
            schema: Self::SCHEMA.to_owned(),
            vpt_version: env!("CARGO_PKG_VERSION").to_owned(),
            task: String::new(),
            kind: TaskKind::default(),
            split: String::new(),
            method: String::new(),
            model: String::new(),
            seed: None,
            device: None,
            images: 0,
            metrics: BTreeMap::new(),
            per_class: Vec::new(),
            per_class_places: Vec::new(),
            calibration: Calibration::default(),
            abstention: None,
            at_prevalence: None,
            subgroups: Vec::new(),
            confusion_matrix: Vec::new(),
            bootstrap: Bootstrap::default(),
            neighbours: None,
            tuned_params: None,
            total_params: None,
            task_file_bytes: None,
            train_seconds: None,
            eval_seconds: None,
            images_per_second: None,
            train_images_per_second: None,
            peak_memory_bytes: None,
            device_memory_bytes: None,
            epochs: None,
            best_epoch: None,
            backbone_sha256: None,
            data_fingerprint: None,
            date: None,
        }
    }
}

impl Results {
    /// Kind and version of the document.
    pub const SCHEMA: &str = "vpt-results/1";

    /// Metrics, per-class table and confusion matrix of these predictions, each number with its interval.
    pub fn from_predictions(predictions: &Predictions, options: &Bootstrap) -> Self {
        let scores = Scores::of(predictions);
        if scores.places().is_some() {
            return Self::of_places(predictions, &scores, options);
        }
        let weights = scores.ones();
        let view = scores.view(&weights);
        let classes = scores.num_classes();

        let decisions = predictions.decisions();
        let metrics: Vec<_> = metrics::applicable(predictions.kind, classes).collect();
        let mut statistics: Vec<Statistic> = metrics
            .iter()
            .map(|metric| Statistic::of(metric, &view))
            .collect();
        statistics.extend((0..classes).flat_map(|class| class_statistics(class, &view)));
        if predictions.calibration.abstain_below.is_some() && view.sets().is_none() {
            statistics.extend(abstention_statistics(&decisions, &view));
        }
        let mut estimates =
            bootstrap::estimates(&scores, &predictions.draws(), &statistics, options).into_iter();

        let metric_value = |(metric, estimate): (&&metrics::Metric, Estimate)| {
            let value = MetricValue::of(metric, estimate, scores.len());
            (metric.name.to_owned(), value)
        };
        let metrics = metrics.iter().zip(estimates.by_ref()).map(metric_value).collect();
        let mut next = || estimates.next().unwrap_or_default();
        let class_row = |(class, name): (usize, &String)| ClassRow {
            class: name.clone(),
            support: view.counts().actual[class] as usize,
            predicted: view.counts().predicted[class] as usize,
            precision: next(),
            recall: next(),
            f1: next(),
            specificity: next(),
            auroc: next(),
        };
        let per_class = predictions.classes.iter().enumerate().map(class_row).collect();
        let abstention = estimates.next().zip(estimates.next());
        Self {
            kind: predictions.kind,
            images: predictions.len(),
            metrics,
            per_class,
            subgroups: Subgroup::of(predictions, options),
            abstention: abstention.map(|(decided, accuracy)| Abstention { decided, accuracy }),
            confusion_matrix: match view.sets() {
                Some(_) => Vec::new(),
                None => confusion::confusion_matrix(view.labels(), view.preds(), classes)
                    .outer_iter()
                    .map(|row| row.to_vec())
                    .collect(),
            },
            calibration: predictions.calibration.clone(),
            bootstrap: *options,
            eval_seconds: predictions.seconds,
            images_per_second: predictions.images_per_second(),
            ..Self::default()
        }
    }

    /// A metric's value, if it is known and defined.
    pub fn value(&self, metric: &str) -> Option<f64> {
        self.metrics.get(metric)?.estimate.value
    }

    /// Writes `results.json`.
    pub fn save(&self, path: &Path) -> Result<(), EvalError> {
        save_json(self, path)
    }

    /// Reads `results.json`.
    pub fn load(path: &Path) -> Result<Self, EvalError> {
        load_json(path, Self::SCHEMA)
    }
}

/// Precision, recall, F1, specificity and AUROC of one class, in the order of [`ClassRow`].
fn class_statistics<'a>(class: usize, view: &View) -> [Statistic<'a>; 5] {
    fn statistic<'a>(
        share_of: Option<u64>,
        compute: impl Fn(&View) -> Option<f64> + Sync + 'a,
    ) -> Statistic<'a> {
        Statistic {
            compute: Box::new(compute),
            share_of,
            auroc_of: None,
            scale: Scale::Share,
        }
    }
    let counts = view.counts();
    let others = counts.total - counts.actual[class];
    [
        statistic(Some(counts.predicted[class]), move |v| {
            v.counts().precision(class)
        }),
        statistic(Some(counts.actual[class]), move |v| v.counts().recall(class)),
        statistic(None, move |v| per_class::f1(v.counts(), class)),
        statistic(Some(others), move |v| per_class::specificity(v.counts(), class)),
        Statistic {
            auroc_of: Some(class),
            ..statistic(None, move |v| v.areas()[class].auroc)
        },
    ]
}

/// Share of the decided images, and of right ones among them.
fn abstention_statistics<'a>(decisions: &'a [Decision], view: &View) -> [Statistic<'a>; 2] {
    let weight_of = |view: &View, counted: &dyn Fn(usize) -> bool| -> u64 {
        let images = view.weights.iter().enumerate();
        images
            .filter(|(i, _)| counted(*i))
            .map(|(_, weight)| u64::from(*weight))
            .sum()
    };
    let decided = move |view: &View| weight_of(view, &|i| !decisions[i].abstained);
    let right = move |view: &View| {
        weight_of(view, &|i| {
            !decisions[i].abstained && decisions[i].class == view.labels()[i]
        })
    };
    let ratio = |part: u64, whole: u64| (whole > 0).then(|| part as f64 / whole as f64);
    [
        Statistic {
            compute: Box::new(move |v| ratio(decided(v), v.counts().total)),
            share_of: Some(view.counts().total),
            auroc_of: None,
            scale: Scale::Share,
        },
        Statistic {
            compute: Box::new(move |v| ratio(right(v), decided(v))),
            share_of: Some(decided(view)),
            auroc_of: None,
            scale: Scale::Share,
        },
    ]
}

#[cfg(test)]
mod tests;
