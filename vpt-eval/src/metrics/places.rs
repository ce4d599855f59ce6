//! [`Places`]: what was found in images, prepared once for many weightings of them.

use vpt_data::{Label, Object};

use super::detection::{
    Anomaly, CocoMatches, Counting, Detection, Froc, HitRule, ScoreCurve, ScorePoint, Truth,
};
use super::segmentation::SegmentationScores;
use crate::predictions::Found;
use crate::{EvalError, Predictions};

/// From this score on boxes are shown where nothing was chosen on validation.
pub const THRESHOLD: f64 = 0.3;

/// Boxes or masks against the truth.
pub enum Places {
    /// Boxes.
    Objects(Box<ObjectScores>),
    /// Masks.
    Masks(SegmentationScores),
}

/// Boxes against true boxes.
pub struct ObjectScores {
    /// COCO's matching.
    pub matches: CocoMatches,
    /// Sensitivity against false alarms, all classes together; a hit lies with half of its area on the object (IoU 0.5).
    pub froc: Froc,
    /// Whether an image has any object, by its surest box.
    pub anomaly: Anomaly,
    /// Objects of each image at the threshold.
    pub counting: Counting,
    /// From this score on a box is shown and counted.
    pub threshold: f64,
    /// Objects and boxes from the threshold on, of each class.
    counts: Vec<(u64, u64)>,
}

impl Places {
    /// Prepares predictions that found something; `None` for those of whole images.
    ///
    /// # Errors
    /// [`EvalError::Mismatch`] for boxes that no number can be computed from.
    pub fn of(predictions: &Predictions) -> Result<Option<Self>, EvalError> {
        let (images, classes) = (predictions.len(), predictions.classes.len());
        Ok(match &predictions.found {
            None => None,
            Some(Found::Masks(masks)) => Some(Self::Masks(SegmentationScores::new(classes, masks.clone()))),
            Some(Found::Objects(found)) => {
                let truths = truths(&predictions.labels);
                let matches = CocoMatches::new(images, classes, &truths, found)?;
                let threshold = predictions.calibration.threshold.unwrap_or(THRESHOLD);
                Some(Self::Objects(Box::new(ObjectScores {
                    froc: Froc::new(images, classes, &truths, found, None, HitRule::Iou(0.5))?,
                    anomaly: Anomaly::new(images, classes, &truths, found)?,
                    counting: Counting::new(images, classes, &truths, found, None, threshold)?,
                    counts: counts(classes, &truths, found, threshold),
                    matches,
                    threshold,
                })))
            }
        })
    }

    /// Number of images.
    pub fn len(&self) -> usize {
        match self {
            Self::Objects(objects) => objects.matches.images(),
            Self::Masks(masks) => masks.len(),
        }
    }

    /// Whether there is no image.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Number of classes.
    pub fn num_classes(&self) -> usize {
        match self {
            Self::Objects(objects) => objects.matches.num_classes(),
            Self::Masks(masks) => masks.num_classes(),
        }
    }
}

impl ObjectScores {
    /// Objects of a class, and boxes from the threshold on.
    pub fn counts(&self, class: usize) -> (u64, u64) {
        self.counts[class]
    }

    /// What is right and wrong from the threshold on, of a class or of all together; image `i` counts `weights[i]` times. `None` without
    /// truth, or where no box is that likely.
    pub fn at_threshold(&self, class: Option<usize>, weights: &[u32]) -> Option<ScorePoint> {
        let curve = ScoreCurve::new(&self.matches, class, weights).ok()?;
        // The highest score comes first.
        let reached = curve
            .points
            .partition_point(|point| point.score >= self.threshold);
        curve.points.get(reached.checked_sub(1)?).copied()
    }
}

fn counts(classes: usize, truths: &[Truth], found: &[Detection], threshold: f64) -> Vec<(u64, u64)> {
    let mut counts = vec![(0, 0); classes];
    for truth in truths.iter().filter(|truth| !truth.crowd) {
        counts[truth.class].0 += 1;
    }
    for object in found.iter().filter(|found| found.score >= threshold) {
        counts[object.class].1 += 1;
    }
    counts
}

/// The true boxes of all images. What is too hard to be asked for (Pascal VOC's `difficult`) counts like a crowd: neither right
/// nor wrong.
pub fn truths(labels: &[Label]) -> Vec<Truth> {
    let of = |(image, label): (usize, &Label)| {
        let objects: Vec<Object> = label.objects().unwrap_or_default().to_vec();
        objects.into_iter().map(move |object| Truth {
            image,
            class: object.class,
            bbox: object.bbox.edges(),
            area: object.area,
            crowd: object.crowd || object.difficult,
        })
    };
    labels.iter().enumerate().flat_map(of).collect()
}
