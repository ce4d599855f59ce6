//! Pixels of an image by true and predicted class, and their sums over any weighting of the images.

use ndarray::{Array2, ArrayView2};
use serde::{Deserialize, Serialize};

use super::contours::{ContourScores, contour_scores};
use crate::EvalError;
use crate::metrics::confusion::ClassCounts;

/// What the masks of one image add to all numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ImageMasks {
    classes: usize,
    /// True class, predicted class and number of pixels, where there is any.
    cells: Vec<(u32, u32, u64)>,
    /// For each class; empty where contours were not asked for.
    contours: Vec<ContourScores>,
}

impl ImageMasks {
    /// Counts the pixels of a true and a predicted mask of class indices `[height, width]`. Pixels whose truth is `ignored`
    /// do not count. With a `tolerance` in pixels, contours are measured too.
    ///
    /// # Errors
    /// [`EvalError::Mismatch`] for masks of different size, and for an index that is no class.
    pub fn new<T: Copy + Into<u32>>(
        truth: &ArrayView2<T>,
        pred: &ArrayView2<T>,
        classes: usize,
        ignored: u32,
        tolerance: Option<f64>,
    ) -> Result<Self, EvalError> {
        let mismatch = |reason: String| EvalError::Mismatch { reason };
        if truth.dim() != pred.dim() {
            let ((h, w), (ph, pw)) = (truth.dim(), pred.dim());
            let reason =
                format!("the predicted mask has {pw} × {ph} pixels, expected {w} × {h} as the true one");
            return Err(mismatch(reason));
        }
        let mut matrix = std::collections::BTreeMap::<(u32, u32), u64>::new();
        let mut run = ((0, 0), 0);
        for (((y, x), &truth), &pred) in truth.indexed_iter().zip(pred) {
            let (truth, pred) = (truth.into(), pred.into());
            if truth == ignored {
                continue;
            }
            for (what, index) in [("true", truth), ("predicted", pred)] {
                if index as usize >= classes {
                    return Err(mismatch(format!(
                        "the {what} mask has index {index} at x {x}, y {y}, expected one below {classes}"
                    )));
                }
            }
            // Neighbours are mostly alike: the map is asked once for a run of them.
            if run.0 != (truth, pred) {
                *matrix.entry(run.0).or_default() += run.1;
                run = ((truth, pred), 0);
            }
            run.1 += 1;
        }
        *matrix.entry(run.0).or_default() += run.1;
        matrix.retain(|_, pixels| *pixels > 0);
        let contours = tolerance.map(|tolerance| contour_scores(truth, pred, classes, ignored, tolerance));
        Ok(Self {
            classes,
            cells: matrix.into_iter().map(|((t, p), n)| (t, p, n)).collect(),
            contours: contours.unwrap_or_default(),
        })
    }

    /// What is wrong with counts that come from a file, if anything.
    pub(crate) fn check(&self, classes: usize) -> Result<(), String> {
        let beyond = |cell: &&(u32, u32, u64)| cell.0.max(cell.1) as usize >= classes;
        if self.classes != classes {
            return Err(format!("a mask of {} classes, expected {classes}", self.classes));
        }
        if let Some((truth, pred, _)) = self.cells.iter().find(beyond) {
            return Err(format!(
                "pixels of class {truth} taken for {pred}, of {classes} classes"
            ));
        }
        if !self.contours.is_empty() && self.contours.len() != classes {
            return Err(format!(
                "contours of {} classes, expected {classes}",
                self.contours.len()
            ));
        }
        match self
            .cells
            .iter()
            .all(|(.., pixels)| u32::try_from(*pixels).is_ok())
        {
            true => Ok(()),
            false => Err("more pixels than an image can have".to_owned()),
        }
    }

    /// Confusion matrix `[true class, predicted class]` in pixels.
    pub fn confusion(&self) -> Array2<u64> {
        let mut matrix = Array2::zeros((self.classes, self.classes));
        for &(truth, pred, pixels) in &self.cells {
            matrix[[truth as usize, pred as usize]] += pixels;
        }
        matrix
    }

    /// For each class, if contours were measured.
    pub fn contours(&self) -> &[ContourScores] {
        &self.contours
    }
}

/// Images of one data set, ready for any weighting.
#[derive(Debug, Clone, PartialEq)]
pub struct SegmentationScores {
    classes: usize,
    images: Vec<ImageMasks>,
}

impl SegmentationScores {
    /// Images that have all been counted with this number of classes; another number is a caller's mistake and panics.
    pub fn new(classes: usize, images: Vec<ImageMasks>) -> Self {
        for image in &images {
            assert_eq!(
                image.classes, classes,
                "masks of {} classes among those of {classes}",
                image.classes
            );
        }
        Self { classes, images }
    }

    /// Number of images.
    pub fn len(&self) -> usize {
        self.images.len()
    }

    /// Whether there is no image.
    pub fn is_empty(&self) -> bool {
        self.images.is_empty()
    }

    /// Number of classes, seen or not.
    pub fn num_classes(&self) -> usize {
        self.classes
    }

    /// Weights that count each image once.
    pub fn ones(&self) -> Vec<u32> {
        vec![1; self.len()]
    }

    /// Confusion matrix `[true class, predicted class]` in pixels of all images.
    pub fn confusion(&self) -> Array2<u64> {
        let zeros = Array2::zeros((self.classes, self.classes));
        self.images
            .iter()
            .fold(zeros, |sum, image| sum + image.confusion())
    }

    /// Pixels of each class, with image `i` counted `weights[i]` times.
    pub fn counts(&self, weights: &[u32]) -> ClassCounts {
        assert_eq!(
            weights.len(),
            self.len(),
            "{} weights, {} images",
            weights.len(),
            self.len()
        );
        let mut counts = ClassCounts::new(&[], &[], &[], self.classes);
        for (image, &weight) in self.images.iter().zip(weights) {
            for &(truth, pred, pixels) in &image.cells {
                let pixels = pixels * u64::from(weight);
                counts.actual[truth as usize] += pixels;
                counts.predicted[pred as usize] += pixels;
                counts.hits[truth as usize] += if truth == pred { pixels } else { 0 };
                counts.total += pixels;
            }
        }
        counts
    }

    /// Mean boundary F1 and mean Hausdorff distance 95 of a class over the images that have them.
    pub fn mean_contours(&self, class: usize, weights: &[u32]) -> (Option<f64>, Option<f64>) {
        let mean = |value: fn(&ContourScores) -> Option<f64>| {
            let (mut sum, mut images) = (0.0, 0_u64);
            for (image, &weight) in self.images.iter().zip(weights) {
                if let Some(value) = image.contours.get(class).and_then(value).filter(|_| weight > 0) {
                    sum += f64::from(weight) * value;
                    images += u64::from(weight);
                }
            }
            (images > 0).then(|| sum / images as f64)
        };
        (
            mean(|scores| scores.boundary_f1),
            mean(|scores| scores.hausdorff95),
        )
    }
}
