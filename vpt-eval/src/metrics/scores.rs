//! Predictions as the metrics read them: prepared once, then weighted.

use std::cell::OnceCell;
use std::sync::OnceLock;

use ndarray::Array2;

use super::accuracy;
use super::calibration::Calibration;
use super::confusion::ClassCounts;
use super::curves::{Areas, Ranking};
use crate::Predictions;

/// Predictions, prepared once for many resamples: what does not depend on the weights is computed here.
pub struct Scores {
    labels: Vec<usize>,
    preds: Vec<usize>,
    probs: Array2<f64>,
    pub(super) truth_ranks: Vec<usize>,
    pub(super) calibration: Calibration,
    rankings: OnceLock<Vec<Ranking>>,
    micro: OnceLock<Ranking>,
    by_confidence: OnceLock<Ranking>,
}

impl Scores {
    /// Prepares predictions.
    pub fn of(predictions: &Predictions) -> Self {
        Self::new(&predictions.logits, &predictions.labels)
    }

    /// Prepares `logits` `[images, classes]` and the true class of each image.
    pub fn new(logits: &Array2<f32>, labels: &[usize]) -> Self {
        let (images, classes) = logits.dim();
        assert_eq!(
            images,
            labels.len(),
            "{images} rows of logits, {} labels",
            labels.len()
        );
        let probs = softmax(logits);
        let preds = logits
            .rows()
            .into_iter()
            .map(|row| accuracy::argmax(&row))
            .collect::<Vec<_>>();
        if let Some(label) = labels.iter().find(|&&label| label >= classes) {
            panic!("label {label} of {classes} classes");
        }
        Self {
            truth_ranks: accuracy::truth_ranks(logits, labels),
            calibration: Calibration::new(logits, &probs, &preds, labels),
            labels: labels.to_vec(),
            preds,
            probs,
            rankings: OnceLock::new(),
            micro: OnceLock::new(),
            by_confidence: OnceLock::new(),
        }
    }

    /// Number of images.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there is no image.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Number of classes, seen or not.
    pub fn num_classes(&self) -> usize {
        self.probs.ncols()
    }

    /// Weights that count each image once.
    pub fn ones(&self) -> Vec<u32> {
        vec![1; self.len()]
    }

    /// These predictions, with image `i` counted `weights[i]` times.
    pub fn view<'a>(&'a self, weights: &'a [u32]) -> View<'a> {
        assert_eq!(
            weights.len(),
            self.len(),
            "{} weights, {} images",
            weights.len(),
            self.len()
        );
        View {
            scores: self,
            weights,
            counts: OnceCell::new(),
            areas: OnceCell::new(),
            micro: OnceCell::new(),
        }
    }

    /// One ranking per class, each class against the rest; sorted on first use, then shared by all resamples.
    fn rankings(&self) -> &[Ranking] {
        self.rankings.get_or_init(|| {
            let rank = |class| {
                let positive: Vec<bool> = self.labels.iter().map(|&label| label == class).collect();
                Ranking::new(&self.probs.column(class).to_vec(), &positive)
            };
            (0..self.num_classes()).map(rank).collect()
        })
    }

    /// Images by the probability of their predicted class; right ones are positive.
    pub(super) fn by_confidence(&self) -> &Ranking {
        let Calibration {
            confidence, correct, ..
        } = &self.calibration;
        self.by_confidence
            .get_or_init(|| Ranking::new(confidence, correct))
    }
}

/// One weighting of the images, as every metric gets it. What several metrics need is computed once, on first use.
pub struct View<'a> {
    pub(super) scores: &'a Scores,
    /// How often each image counts.
    pub weights: &'a [u32],
    counts: OnceCell<ClassCounts>,
    areas: OnceCell<Vec<Areas>>,
    micro: OnceCell<Areas>,
}

impl View<'_> {
    /// True class of each image.
    pub fn labels(&self) -> &[usize] {
        &self.scores.labels
    }

    /// Most likely class of each image.
    pub fn preds(&self) -> &[usize] {
        &self.scores.preds
    }

    /// Hits, labels and predictions of each class.
    pub fn counts(&self) -> &ClassCounts {
        self.counts.get_or_init(|| {
            ClassCounts::new(
                self.labels(),
                self.preds(),
                self.weights,
                self.scores.num_classes(),
            )
        })
    }

    /// Areas under the curves of each class against the rest.
    pub fn areas(&self) -> &[Areas] {
        self.areas.get_or_init(|| {
            self.scores
                .rankings()
                .iter()
                .map(|ranking| ranking.areas(self.weights))
                .collect()
        })
    }

    /// Areas under the curves of all pairs of an image and a class.
    pub(super) fn micro(&self) -> Areas {
        let ranking = || Ranking::micro(&self.scores.probs, &self.scores.labels);
        *self
            .micro
            .get_or_init(|| self.scores.micro.get_or_init(ranking).areas(self.weights))
    }
}

/// Softmax of each row, in float64. Rows with NaN or +inf become NaN.
pub fn softmax(logits: &Array2<f32>) -> Array2<f64> {
    let mut probs = logits.mapv(f64::from);
    for mut row in probs.rows_mut() {
        let max = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        row.mapv_inplace(|x| (x - max).exp());
        let sum = row.sum();
        row.mapv_inplace(|x| x / sum);
    }
    probs
}
