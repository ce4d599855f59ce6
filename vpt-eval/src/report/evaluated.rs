//! The predictions of a run as its page shows them.

use ndarray::Array2;
use vpt_core::Calibration;
use vpt_data::{Label, TaskKind};

use super::format::{UNKNOWN, Unit};
use crate::metrics::operating_points::BinaryCounts;
use crate::metrics::{self, Scores};
use crate::statistics::Proportion;
use crate::{Estimate, IntervalMethod, Predictions, Results};

/// Longest class name in a figure, a legend or a sentence, in characters.
pub(super) const NAME: usize = 28;

/// Predictions with the probabilities that temperature scaling makes of them.
pub(super) struct Evaluated<'a> {
    pub predictions: &'a Predictions,
    pub results: &'a Results,
    /// By what the logits are divided; 1 for no scaling.
    pub temperature: f64,
    /// Probability of the second class from which on an image is called positive.
    pub threshold: Option<f64>,
    /// Probabilities after scaling, `[images, classes]`.
    pub probs: Array2<f64>,
    /// What is said of each image.
    pub called: Vec<Label>,
    /// Weights that count each image once.
    pub ones: Vec<u32>,
    is_binary: bool,
}

/// Decisions, one for each image, or for each image and class where an image may have several.
pub(super) struct Decided {
    /// Probability of what was decided.
    pub confidence: Vec<f64>,
    /// Whether it is so.
    pub correct: Vec<bool>,
}

impl Decided {
    /// Weights that count each once.
    pub(super) fn ones(&self) -> Vec<u32> {
        vec![1; self.correct.len()]
    }
}

impl<'a> Evaluated<'a> {
    pub(super) fn new(predictions: &'a Predictions, results: &'a Results) -> Self {
        let Calibration {
            temperature,
            threshold,
            ..
        } = predictions.calibration;
        let is_binary = predictions.kind != TaskKind::MultiLabel && predictions.classes.len() == 2;
        Self {
            predictions,
            results,
            temperature,
            threshold: threshold.filter(|_| is_binary),
            probs: predictions.probs(),
            called: predictions.called(),
            is_binary,
            ones: vec![1; predictions.len()],
        }
    }

    /// Whether one class is "positive": the second of two.
    pub(super) fn is_binary(&self) -> bool {
        self.is_binary
    }

    /// Whether an image may have several classes, or none.
    pub(super) fn is_multi_label(&self) -> bool {
        self.predictions.kind == TaskKind::MultiLabel
    }

    pub(super) fn is_scaled(&self) -> bool {
        self.temperature != 1.0
    }

    /// Name of a class, not too long for a figure.
    pub(super) fn class(&self, class: usize) -> String {
        super::svg::shorten(&self.predictions.classes[class], NAME)
    }

    /// Probability of `class` for each image.
    pub(super) fn scores(&self, class: usize) -> Vec<f64> {
        self.probs.column(class).to_vec()
    }

    /// Whether each image is of `class`.
    pub(super) fn is_of(&self, class: usize) -> Vec<bool> {
        self.predictions
            .labels
            .iter()
            .map(|label| label.has(class))
            .collect()
    }

    /// The decisions, with their probabilities from `probs`.
    pub(super) fn decided(&self, probs: &Array2<f64>) -> Decided {
        let labels = &self.predictions.labels;
        let (confidence, correct) = if self.is_multi_label() {
            let pairs = probs.indexed_iter().map(|((image, class), &prob)| {
                let found = self.called[image].has(class);
                let confidence = if found { prob } else { 1.0 - prob };
                (confidence, found == labels[image].has(class))
            });
            pairs.unzip()
        } else {
            let images = self.called.iter().zip(labels).enumerate();
            let images = images.filter_map(|(i, (called, label))| {
                let class = called.class()?;
                Some((probs[[i, class]], called == label))
            });
            images.unzip()
        };
        Decided { confidence, correct }
    }

    /// A metric of the probabilities, after scaling or as the model gives them.
    pub(super) fn metric(&self, name: &str, scaled: bool) -> Option<f64> {
        let mut predictions = self.predictions.clone();
        if !scaled {
            predictions.calibration.temperature = 1.0;
        }
        let scores = Scores::of(&predictions);
        (metrics::find(name).ok()?.compute)(&scores.view(&self.ones))
    }

    /// Counts of the decision that the threshold makes; `None` without one.
    pub(super) fn decision(&self) -> Option<BinaryCounts> {
        let threshold = self.threshold?;
        Some(BinaryCounts::at(
            &self.scores(1),
            &self.is_of(1),
            &self.ones,
            threshold,
        ))
    }

    /// A share with Wilson's interval.
    pub(super) fn share(&self, share: Proportion) -> Estimate {
        match share.wilson(self.results.bootstrap.level) {
            Ok(interval) => Estimate::with(share.value(), interval, IntervalMethod::Wilson),
            Err(_) => Estimate::unknown(share.value()),
        }
    }
}

/// `93.1 % [90.2, 95.5]`; not broken between the ends of the interval.
pub(super) fn percent(estimate: &Estimate) -> String {
    let Some(value) = estimate.value else {
        return UNKNOWN.to_owned();
    };
    let interval = Unit::SHARE.interval(estimate).replace(' ', "\u{a0}");
    let text = format!("{}\u{a0}% {interval}", Unit::SHARE.number(value));
    text.trim_end().to_owned()
}

/// `93.1 %`.
pub(super) fn percent_of(value: f64) -> String {
    format!("{}\u{a0}%", Unit::SHARE.number(value))
}

/// `1 image`, `2,000 images`.
pub(super) fn images(count: usize) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{} image{plural}", super::format::count(count))
}
