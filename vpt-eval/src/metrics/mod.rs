//! Metrics: pure functions over flat arrays, and the table [`METRICS`] that gives them their names.
//!
//! # Weights
//! Every metric counts image `i` `weights[i]` times. All ones is the plain value; the multiplicities of a bootstrap
//! resample are the same code, so a metric and its interval cannot disagree.
//!
//! # Degenerate input
//! What a user's data can cause has a defined answer, `None` where no number would be true, and never panics:
//!
//! | input | answer |
//! |---|---|
//! | no image (or all weights 0) | `None` |
//! | ties between classes | `argmax` takes the lowest index; for top-k with k > 1 the higher index goes first, as in scikit-learn |
//! | ties between images | one step of the ROC and precision-recall curves, as in scikit-learn |
//! | a class without an image | left out of balanced accuracy and macro AUROC / AUPRC; its own AUROC and AUPRC are `None` |
//! | a class never predicted | precision 0, F1 0 (scikit-learn's `zero_division=0`) |
//! | a class neither labelled nor predicted | left out of macro F1 (scikit-learn's default labels) |
//! | one class only, in labels and predictions | accuracy as usual, MCC 0 (scikit-learn), kappa and AUROC `None` |
//! | multi-label: a class without an image, or with every image | left out of macro AUROC (and AUPRC, without one); its own are `None` |
//! | NaN logits | skipped by `argmax` (index 0 if all are); any metric that reads probabilities is `None` |
//! | a call never made (nothing called positive, or negative) | PPV, or NPV, `None` |
//! | images of equal confidence | AURC and adaptive ECE spread their errors evenly among them |
//!
//! Functions outside the table that can fail in more than one way ([`operating_points`], [`decision_curve`],
//! [`reliability`], [`risk_coverage`], [`temperature`]) return a [`NotDefined`](crate::NotDefined) with the reason: no image,
//! one class only, a score that is NaN, a target that is no share. A ratio without a bound is `None`, never infinite.
//!
//! Arrays of different lengths, or a label that is no class, are a caller's mistake and panic with both numbers;
//! [`Predictions::new`](crate::Predictions::new) has checked them long before.
//!
//! Boxes and masks are no logits: [`detection`] and [`segmentation`] have their own inputs, and their own conventions on top.
//!
//! # Adding a metric
//! A pure function in one file of this folder, and a line in [`METRICS`].

pub mod accuracy;
pub mod agreement;
pub mod calibration;
pub mod confusion;
pub mod curves;
pub mod decision_curve;
pub mod detection;
pub mod label_sets;
pub mod operating_points;
pub mod per_class;
mod places;
pub mod reliability;
pub mod risk_coverage;
mod scores;
pub mod segmentation;
pub mod temperature;

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use vpt_data::TaskKind;

pub use label_sets::LabelSets;
pub use places::{ObjectScores, Places, THRESHOLD, truths};
pub use scores::{Scores, View, probabilities, softmax};

use crate::{EvalError, Predictions};

/// A named number computed from predictions.
pub struct Metric {
    /// Name in `results.json`, tables and `--eval-metric`.
    pub name: &'static str,
    /// One line for `vpt list metrics`.
    pub about: &'static str,
    /// Whether a larger value is a better model.
    pub higher_is_better: bool,
    /// Where the value is a share of images: whether image `i` is one of the right ones, `None` if it does not count. The
    /// interval is then Wilson's where images are independent.
    pub outcome: Option<Outcome>,
    /// Tasks for which it says something.
    pub kinds: &'static [TaskKind],
    /// Numbers of classes, of which each image has one, for which it says something (top-5 of three classes does not). In a
    /// multi-label task each class is a question of its own, and any number is enough.
    pub classes: RangeInclusive<usize>,
    /// The pure function.
    pub compute: fn(&View) -> Option<f64>,
}

/// Whether an image is right in the sense of a metric.
pub type Outcome = fn(&View, usize) -> Option<bool>;

impl Metric {
    /// Of how many images the value is a share, if it is one.
    pub fn share_of(&self, view: &View) -> Option<u64> {
        let outcome = self.outcome?;
        let images = view.weights.iter().enumerate();
        let counted = images.filter(|(image, _)| outcome(view, *image).is_some());
        Some(counted.map(|(_, &weight)| u64::from(weight)).sum())
    }

    /// Whether it says something about a task of this kind with this number of classes.
    pub fn applies_to(&self, kind: TaskKind, classes: usize) -> bool {
        let any_number = kind == TaskKind::MultiLabel || kind.is_dense();
        self.kinds.contains(&kind) && (any_number || self.classes.contains(&classes))
    }
}

const BOXES: &[TaskKind] = &[TaskKind::Detection];
const MASKS: &[TaskKind] = &[TaskKind::Segmentation];
/// Each image has one class.
const ONE: &[TaskKind] = &[TaskKind::Classification, TaskKind::Ordinal];
const GRADES: &[TaskKind] = &[TaskKind::Ordinal];
/// Each image has any number of classes.
const SETS: &[TaskKind] = &[TaskKind::MultiLabel];
const ALL: &[TaskKind] = &[TaskKind::Classification, TaskKind::Ordinal, TaskKind::MultiLabel];

const ANY: RangeInclusive<usize> = 1..=usize::MAX;
const TWO: RangeInclusive<usize> = 2..=2;

const fn metric(
    name: &'static str,
    higher_is_better: bool,
    outcome: Option<Outcome>,
    kinds: &'static [TaskKind],
    classes: RangeInclusive<usize>,
    compute: fn(&View) -> Option<f64>,
    about: &'static str,
) -> Metric {
    Metric {
        name,
        about,
        higher_is_better,
        outcome,
        kinds,
        classes,
        compute,
    }
}

/// All metrics, in the order tables show them. Values are fractions of 1, never percent.
#[rustfmt::skip]
pub static METRICS: [Metric; 42] = [
    metric("top1", true, Some(accuracy::is_right), ONE, ANY, |v| accuracy::accuracy(v.labels(), v.preds(), v.weights), "share of images whose most likely class is right"),
    metric("top5", true, Some(|v, i| v.scores.truth_ranks.get(i).map(|&rank| rank < 5)), ONE, 6..=usize::MAX, |v| accuracy::top_k(&v.scores.truth_ranks, v.weights, 5), "share of images whose class is among the five most likely"),
    metric("exact_match", true, Some(|v, i| v.sets().map(|sets| sets.is_exact(i))), SETS, ANY, |v| v.sets()?.exact_match(v.weights), "multi-label: share of images of which exactly the right classes are found"),
    metric("hamming_loss", false, None, SETS, ANY, |v| v.sets()?.hamming_loss(v.weights), "multi-label: share of pairs of an image and a class about which the wrong thing is said"),
    metric("balanced_accuracy", true, None, ONE, ANY, |v| accuracy::balanced_accuracy(v.counts()), "mean recall over the classes"),
    metric("macro_f1", true, None, ALL, ANY, |v| per_class::macro_f1(v.counts()), "mean F1 over the classes"),
    metric("micro_f1", true, None, SETS, ANY, |v| label_sets::micro_f1(v.counts()), "multi-label: F1 of all pairs of an image and a class together"),
    metric("auroc", true, None, ALL, 2..=usize::MAX, |v| v.mean_area(|area| area.auroc), "area under the ROC curve, one class against the rest, mean over the classes (two that exclude each other: of the second)"),
    metric("auprc", true, None, ALL, 2..=usize::MAX, |v| v.mean_area(|area| area.auprc), "average precision, one class against the rest, mean over the classes (two that exclude each other: of the second)"),
    metric("micro_auroc", true, None, ALL, 3..=usize::MAX, |v| v.micro().auroc, "area under the ROC curve of all pairs of an image and a class in one ranking"),
    metric("micro_auprc", true, None, ALL, 3..=usize::MAX, |v| v.micro().auprc, "average precision of all pairs of an image and a class in one ranking"),
    metric("sensitivity", true, Some(|v, i| accuracy::is_right(v, i).filter(|_| v.labels()[i] == 1)), ONE, TWO, |v| per_class::sensitivity(v.counts(), 1), "two classes: share of the second that is found"),
    metric("specificity", true, Some(|v, i| accuracy::is_right(v, i).filter(|_| v.labels()[i] == 0)), ONE, TWO, |v| per_class::specificity(v.counts(), 1), "two classes: share of the first that is left alone"),
    metric("ppv", true, Some(|v, i| accuracy::is_right(v, i).filter(|_| v.preds()[i] == 1)), ONE, TWO, |v| per_class::ppv(v.counts(), 1), "two classes: share of right ones among those taken for the second"),
    metric("npv", true, Some(|v, i| accuracy::is_right(v, i).filter(|_| v.preds()[i] == 0)), ONE, TWO, |v| per_class::npv(v.counts(), 1), "two classes: share of right ones among those taken for the first"),
    metric("mcc", true, None, ONE, ANY, |v| agreement::mcc(v.counts()), "Matthews correlation between prediction and label"),
    metric("kappa", true, None, ONE, ANY, |v| agreement::cohen_kappa(v.counts()), "Cohen's kappa: agreement beyond chance"),
    metric("qwk", true, None, ONE, 3..=usize::MAX, |v| agreement::quadratic_kappa(v.labels(), v.preds(), v.weights, v.counts()), "quadratic weighted kappa, for classes in an order (grades)"),
    metric("mae", false, None, GRADES, 3..=usize::MAX, |v| agreement::mean_distance(v.labels(), v.preds(), v.weights), "grades: how many grades predictions are off, on average"),
    metric("within_one", true, Some(|v, i| v.labels().get(i).map(|label| label.abs_diff(v.preds()[i]) <= 1)), GRADES, 3..=usize::MAX, |v| agreement::within_one(v.labels(), v.preds(), v.weights), "grades: share of images that are off by one grade at most"),
    metric("log_loss", false, None, ALL, ANY, |v| calibration::mean(&v.scores.calibration.log_loss, v.weights), "mean negative log likelihood of the true class (multi-label: binary, of all pairs of an image and a class)"),
    metric("brier", false, None, ALL, ANY, |v| calibration::mean(&v.scores.calibration.brier, v.weights), "mean squared error of the probabilities, summed over the classes (0 to 2; multi-label: their mean, 0 to 1)"),
    metric("ece", false, None, ALL, ANY, |v| calibration::ece(&v.scores.calibration, v.weights), "expected calibration error in 15 bins: how far confidence is from accuracy"),
    metric("adaptive_ece", false, None, ONE, ANY, |v| reliability::adaptive_ece(&v.scores.calibration, v.scores.by_confidence(), v.weights), "expected calibration error in 15 bins of equally many images"),
    metric("ap", true, None, BOXES, ANY, |v| v.coco()?.ap, "boxes: COCO's AP, mean over classes and IoU 0.5 to 0.95"),
    metric("ap50", true, None, BOXES, ANY, |v| v.coco()?.ap50, "boxes: AP at IoU 0.5 (Pascal VOC's mAP)"),
    metric("ap75", true, None, BOXES, ANY, |v| v.coco()?.ap75, "boxes: AP at IoU 0.75"),
    metric("ap_small", true, None, BOXES, ANY, |v| v.coco()?.ap_small, "boxes: AP of objects up to 32 x 32 pixels"),
    metric("ap_medium", true, None, BOXES, ANY, |v| v.coco()?.ap_medium, "boxes: AP of objects from 32 x 32 to 96 x 96 pixels"),
    metric("ap_large", true, None, BOXES, ANY, |v| v.coco()?.ap_large, "boxes: AP of larger objects"),
    metric("ar100", true, None, BOXES, ANY, |v| v.coco()?.ar100, "boxes: COCO's AR, recall with a hundred boxes an image"),
    metric("froc", true, None, BOXES, ANY, |v| v.objects()?.froc.mean_sensitivity(v.weights), "boxes: sensitivity at 1/8, 1/4, 1/2, 1, 2, 4 and 8 false alarms an image, their mean"),
    metric("image_auroc", true, None, BOXES, ANY, |v| v.objects()?.anomaly.auroc(v.weights), "boxes: area under the ROC curve of images with objects against images without, by their surest box"),
    metric("box_f1", true, None, BOXES, ANY, |v| Some(v.objects()?.at_threshold(None, v.weights)?.f1), "boxes: F1 at IoU 0.5 from the task's threshold on, all classes together"),
    metric("count_mae", false, None, BOXES, ANY, |v| Some(v.objects()?.counting.error(v.weights)?.mean_absolute), "boxes: how many objects the count of an image is off, on average, from the task's threshold on"),
    metric("miou", true, None, MASKS, ANY, |v| segmentation::mean_iou(&v.masks()?.counts(v.weights)), "masks: intersection over union, mean over the classes"),
    metric("dice", true, None, MASKS, ANY, |v| segmentation::mean_dice(&v.masks()?.counts(v.weights)), "masks: Dice coefficient (F1 of the pixels), mean over the classes"),
    metric("pixel_accuracy", true, None, MASKS, ANY, |v| segmentation::pixel_accuracy(&v.masks()?.counts(v.weights)), "masks: share of pixels whose class is right"),
    metric("class_accuracy", true, None, MASKS, ANY, |v| segmentation::mean_class_accuracy(&v.masks()?.counts(v.weights)), "masks: share of each class's pixels that are found, mean over the classes"),
    metric("boundary_f1", true, None, MASKS, ANY, |v| v.mean_contours()?.0, "masks: F1 of boundaries within a small distance, mean over images and classes"),
    metric("hausdorff95", false, None, MASKS, ANY, |v| v.mean_contours()?.1, "masks: 95th percentile of the distances between boundaries in pixels, mean over images and classes"),
    metric("aurc", false, None, ONE, ANY, |v| risk_coverage::aurc(v.scores.by_confidence(), v.weights), "area under the risk-coverage curve: error rate on the surest images, mean over all coverages"),
];

/// The metric of that name, or an error that lists the names.
pub fn find(name: &str) -> Result<&'static Metric, EvalError> {
    METRICS
        .iter()
        .find(|m| m.name == name)
        .ok_or_else(|| EvalError::UnknownMetric {
            name: name.to_owned(),
            known: METRICS.iter().map(|m| m.name).collect::<Vec<_>>().join(", "),
        })
}

/// The metrics that say something about a task of this kind with this number of classes.
pub fn applicable(kind: TaskKind, classes: usize) -> impl Iterator<Item = &'static Metric> {
    METRICS
        .iter()
        .filter(move |metric| metric.applies_to(kind, classes))
}

/// All applicable metrics that are defined on these predictions, without intervals: what a training epoch logs.
pub fn evaluate(predictions: &Predictions) -> BTreeMap<String, f64> {
    let scores = Scores::of(predictions);
    let weights = scores.ones();
    let view = scores.view(&weights);
    let value = |m: &Metric| Some((m.name.to_owned(), (m.compute)(&view)?));
    applicable(predictions.kind, scores.num_classes())
        .filter_map(value)
        .collect()
}

/// Mean of the values that are defined, `None` if none is.
fn mean_of_defined(values: impl Iterator<Item = Option<f64>>) -> Option<f64> {
    let (sum, n) = values
        .flatten()
        .fold((0.0, 0_usize), |(sum, n), value| (sum + value, n + 1));
    (n > 0).then(|| sum / n as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array2, array};
    use vpt_data::Label;

    fn all(scores: &Scores) -> BTreeMap<&'static str, Option<f64>> {
        let weights = scores.ones();
        let view = scores.view(&weights);
        METRICS.iter().map(|m| (m.name, (m.compute)(&view))).collect()
    }

    #[test]
    fn no_image_gives_no_number() {
        let values = all(&Scores::new(&Array2::zeros((0, 3)), &[]));
        assert!(values.values().all(Option::is_none), "{values:?}");
    }

    #[test]
    fn one_class_gives_what_is_defined() {
        let values = all(&Scores::new(&array![[2.0, 0.0], [1.0, 0.0]], &[0, 0]));
        assert_eq!(values["top1"], Some(1.0));
        assert_eq!(values["balanced_accuracy"], Some(1.0));
        assert_eq!(values["macro_f1"], Some(1.0));
        assert_eq!(values["mcc"], Some(0.0));
        assert_eq!((values["kappa"], values["auroc"]), (None, None));
        assert_eq!((values["sensitivity"], values["specificity"]), (None, Some(1.0)));
    }

    #[test]
    fn nan_logits_never_panic_and_hide_no_probability() {
        let values = all(&Scores::new(
            &array![[f32::NAN, 1.0], [f32::NAN, f32::NAN], [0.0, 3.0]],
            &[1, 0, 1],
        ));
        assert_eq!(values["top1"], Some(1.0));
        for name in [
            "log_loss",
            "brier",
            "ece",
            "adaptive_ece",
            "aurc",
            "auroc",
            "auprc",
            "micro_auroc",
        ] {
            assert_eq!(values[name], None, "{name}");
        }
    }

    #[test]
    fn weights_equal_repeated_images() {
        let logits = array![[0.1, 0.9, 0.3], [1.5, 0.2, 0.2], [0.3, 0.2, 0.9], [0.9, 0.8, 0.1]];
        let labels = [1, 0, 1, 2];
        let weights = [2, 0, 3, 1];
        let rows: Vec<usize> = (0..4).flat_map(|i| vec![i; weights[i] as usize]).collect();
        let repeated = Scores::new(
            &logits.select(ndarray::Axis(0), &rows),
            &rows.iter().map(|&i| labels[i]).collect::<Vec<_>>(),
        );
        let scores = Scores::new(&logits, &labels);
        let weighted = scores.view(&weights);
        for (name, expected) in all(&repeated) {
            let got = (find(name).unwrap().compute)(&weighted);
            match (got, expected) {
                (Some(a), Some(b)) => assert!((a - b).abs() < 1e-12, "{name}: {a} {b}"),
                _ => assert_eq!(got, expected, "{name}"),
            }
        }
    }

    #[test]
    fn shares_are_means_of_their_outcomes() {
        let weights = [2, 0, 3, 1, 1];
        let one = Scores::new(
            &array![
                [0.1, 0.9, 0.3],
                [1.5, 0.2, 0.2],
                [0.3, 0.2, 0.9],
                [0.9, 0.8, 0.1],
                [0.0, 0.4, 0.8]
            ],
            &[1, 0, 0, 2, 2],
        );
        let two = Scores::new(
            &array![[0.1, 0.9], [1.5, 0.2], [0.3, 0.2], [0.9, 0.8], [0.0, 0.4]],
            &[1, 0, 1, 0, 0],
        );
        let labels = [vec![0], vec![], vec![1, 2], vec![1], vec![0, 1]].map(Label::many);
        let many = Scores::multi_label(
            &array![
                [1.0, -1.0, -1.0],
                [-1.0, -1.0, 2.0],
                [-1.0, 1.0, 1.0],
                [-1.0, 1.0, 1.0],
                [1.0, 1.0, -1.0]
            ],
            &labels,
            &vpt_core::Calibration::default(),
        );
        let kinds = [TaskKind::Ordinal, TaskKind::Ordinal, TaskKind::MultiLabel];
        let mut seen = 0;
        for (scores, kind) in [one, two, many].iter().zip(kinds) {
            let view = scores.view(&weights);
            for metric in applicable(kind, scores.num_classes()) {
                let Some(outcome) = metric.outcome else { continue };
                let (mut hits, mut all) = (0, 0);
                for (image, &weight) in weights.iter().enumerate() {
                    hits += weight * u32::from(outcome(&view, image) == Some(true));
                    all += weight * u32::from(outcome(&view, image).is_some());
                }
                assert_eq!(metric.share_of(&view), Some(u64::from(all)), "{}", metric.name);
                let share = f64::from(hits) / f64::from(all);
                assert_eq!((metric.compute)(&view), Some(share), "{}", metric.name);
                seen += 1;
            }
        }
        assert_eq!(seen, 2 + 5 + 1);
    }

    #[test]
    fn unknown_names_are_listed() {
        let error = find("acuracy").err().map(|e| e.to_string()).unwrap_or_default();
        assert!(
            error.contains("`acuracy`") && error.contains("balanced_accuracy"),
            "{error}"
        );
    }
}
