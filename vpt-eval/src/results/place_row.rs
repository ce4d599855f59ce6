//! [`PlaceRow`], and results of boxes and masks.

use serde::{Deserialize, Serialize};

use super::{MetricValue, Results};
use crate::bootstrap::{self, Bootstrap, Estimate, Statistic};
use crate::metrics::confusion::ClassCounts;
use crate::metrics::detection::ScorePoint;
use crate::metrics::{self, Scores, View, per_class, segmentation};
use crate::statistics::Scale;
use crate::{Predictions, Subgroup};

/// One class of boxes or masks. What does not concern the task is absent.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct PlaceRow {
    /// Name of the class.
    pub class: String,
    /// Images that have it.
    pub images: usize,
    /// Its objects, or its pixels.
    pub support: u64,
    /// Boxes from the threshold on, or pixels taken for the class.
    pub predicted: u64,
    /// Share of right ones among those predicted (boxes: at IoU 0.5).
    pub precision: Estimate,
    /// Share of the class that was found.
    pub recall: Estimate,
    /// Harmonic mean of both; of pixels it is Dice's coefficient.
    pub f1: Estimate,
    /// Boxes: COCO's AP.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ap: Option<Estimate>,
    /// Boxes: AP at IoU 0.5.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ap50: Option<Estimate>,
    /// Masks: intersection over union.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iou: Option<Estimate>,
}

impl Results {
    /// Metrics and per-class table of boxes or masks.
    pub(super) fn of_places(predictions: &Predictions, scores: &Scores, options: &Bootstrap) -> Self {
        let weights = scores.ones();
        let view = scores.view(&weights);
        let classes = scores.num_classes();
        let metrics: Vec<_> = metrics::applicable(predictions.kind, classes).collect();
        let mut statistics: Vec<Statistic> = metrics
            .iter()
            .map(|metric| Statistic::of(metric, &view))
            .collect();
        statistics.extend((0..classes).flat_map(place_statistics));
        let mut estimates =
            bootstrap::estimates(scores, &predictions.draws(), &statistics, options).into_iter();
        let metric_value = |(metric, estimate): (&&metrics::Metric, Estimate)| {
            let value = MetricValue::of(metric, estimate, scores.len());
            (metric.name.to_owned(), value)
        };
        let metrics = metrics.iter().zip(estimates.by_ref()).map(metric_value).collect();
        let mut next = || estimates.next().unwrap_or_default();
        let row = |(class, name): (usize, &String)| {
            let boxes = view.objects().is_some();
            let (support, predicted) = match view.objects() {
                Some(objects) => objects.counts(class),
                None => (view.counts().actual[class], view.counts().predicted[class]),
            };
            let [precision, recall, f1, ap, ap50, iou] = std::array::from_fn(|_| next());
            PlaceRow {
                class: name.clone(),
                images: predictions.labels.iter().filter(|label| label.has(class)).count(),
                support,
                predicted,
                precision,
                recall,
                f1,
                ap: boxes.then_some(ap),
                ap50: boxes.then_some(ap50),
                iou: (!boxes).then_some(iou),
            }
        };
        Self {
            kind: predictions.kind,
            images: predictions.len(),
            metrics,
            per_class_places: predictions.classes.iter().enumerate().map(row).collect(),
            subgroups: Subgroup::of(predictions, options),
            calibration: predictions.calibration.clone(),
            bootstrap: *options,
            eval_seconds: predictions.seconds,
            images_per_second: predictions.images_per_second(),
            ..Self::default()
        }
    }
}

/// Precision, recall, F1, AP, AP at 0.5 and IoU of one class of boxes or masks.
fn place_statistics<'a>(class: usize) -> [Statistic<'a>; 6] {
    fn statistic<'a>(compute: impl Fn(&View) -> Option<f64> + Sync + 'a) -> Statistic<'a> {
        Statistic {
            compute: Box::new(compute),
            share_of: None,
            auroc_of: None,
            scale: Scale::Share,
        }
    }
    /// What boxes say at the threshold, or pixels.
    fn at(
        view: &View,
        class: usize,
        of_box: fn(&ScorePoint) -> f64,
        of_pixels: fn(&ClassCounts, usize) -> Option<f64>,
    ) -> Option<f64> {
        match view.objects() {
            Some(objects) => Some(of_box(&objects.at_threshold(Some(class), view.weights)?)),
            None => of_pixels(view.counts(), class),
        }
    }
    let ap = |view: &View, class: usize| view.coco()?.per_class.get(class).copied().flatten();
    [
        statistic(move |v| at(v, class, |point| point.precision, ClassCounts::precision)),
        statistic(move |v| at(v, class, |point| point.recall, ClassCounts::recall)),
        statistic(move |v| at(v, class, |point| point.f1, per_class::f1)),
        statistic(move |v| Some(ap(v, class)?.ap)),
        statistic(move |v| Some(ap(v, class)?.ap50)),
        statistic(move |v| segmentation::iou(v.masks().map(|_| v.counts())?, class)),
    ]
}
