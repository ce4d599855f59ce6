//! Are the probabilities true? Log loss, Brier score, expected calibration error.

use ndarray::{Array2, ArrayView1};

use super::label_sets::LabelSets;

/// Number of equal bins of the expected calibration error.
pub const ECE_BINS: usize = 15;

/// What each image adds to the calibration metrics, computed once.
#[derive(Debug, Clone)]
pub struct Calibration {
    /// −log p(true class), from the logits, so it stays finite where the probability is rounded to 0. Where an image has any
    /// number of classes: the mean over all classes of −log of the probability of what is true of the class.
    pub log_loss: Vec<f64>,
    /// Σ over classes of (p − [is true class])²; their mean where an image has any number of classes.
    pub brier: Vec<f64>,
    /// Probability of the predicted class; where an image has any number of them, the probability of what is said of each
    /// class, all classes of an image in a row.
    pub confidence: Vec<f64>,
    /// Whether the prediction is right, or what is said of each class.
    pub correct: Vec<bool>,
}

impl Calibration {
    /// From `logits`, divided by `temperature`, and their softmax `probs`, both `[images, classes]`.
    pub fn new(
        logits: &Array2<f32>,
        temperature: f64,
        probs: &Array2<f64>,
        preds: &[usize],
        labels: &[usize],
    ) -> Self {
        let rows = || probs.rows().into_iter();
        Self {
            log_loss: logits
                .rows()
                .into_iter()
                .zip(labels)
                .map(|(row, &label)| log_loss(&row, temperature, label))
                .collect(),
            brier: rows()
                .zip(labels)
                .map(|(row, &label)| brier(&row, label))
                .collect(),
            confidence: rows().zip(preds).map(|(row, &pred)| row[pred]).collect(),
            correct: preds
                .iter()
                .zip(labels)
                .map(|(pred, label)| pred == label)
                .collect(),
        }
    }
}

impl Calibration {
    /// Where images have any number of classes: from `logits`, divided by `temperature`, and their sigmoid `probs`, both
    /// `[images, classes]`.
    pub fn of_sets(logits: &Array2<f32>, temperature: f64, probs: &Array2<f64>, sets: &LabelSets) -> Self {
        let mean_of = |row: ArrayView1<bool>, term: &dyn Fn(usize, bool) -> f64| {
            let sum: f64 = row.iter().enumerate().map(|(class, &is)| term(class, is)).sum();
            sum / row.len() as f64
        };
        let per_image = |term: &dyn Fn(usize, usize, bool) -> f64| -> Vec<f64> {
            let rows = sets.truth.rows().into_iter().enumerate();
            rows.map(|(image, row)| mean_of(row, &|class, is| term(image, class, is)))
                .collect()
        };
        let said = || sets.found.iter().zip(probs.iter());
        Self {
            log_loss: per_image(&|image, class, is| {
                binary_log_loss(f64::from(logits[[image, class]]) / temperature, is)
            }),
            brier: per_image(&|image, class, is| (probs[[image, class]] - f64::from(u8::from(is))).powi(2)),
            confidence: said()
                .map(|(&found, &prob)| if found { prob } else { 1.0 - prob })
                .collect(),
            correct: sets
                .found
                .iter()
                .zip(&sets.truth)
                .map(|(found, truth)| found == truth)
                .collect(),
        }
    }
}

/// −log of the probability of what is true of a class, from its logit: log(1 + e^-x) where the image has it, else
/// log(1 + e^x).
pub fn binary_log_loss(logit: f64, is: bool) -> f64 {
    let margin = if is { logit } else { -logit };
    // Nothing is lost on either side: the exponent is never above 0.
    (-margin).max(0.0) + (-margin.abs()).exp().ln_1p()
}

/// Negative log likelihood of `label` under the softmax of one row of logits divided by `temperature`.
pub fn log_loss(logits: &ArrayView1<f32>, temperature: f64, label: usize) -> f64 {
    let scaled = |x: f32| f64::from(x) / temperature;
    let max = scaled(logits.iter().copied().fold(f32::NEG_INFINITY, f32::max));
    let sum: f64 = logits.iter().map(|&x| (scaled(x) - max).exp()).sum();
    sum.ln() + max - scaled(logits[label])
}

/// Squared distance between one row of probabilities and the one-hot label: 0 to 2.
pub fn brier(probs: &ArrayView1<f64>, label: usize) -> f64 {
    probs
        .iter()
        .enumerate()
        .map(|(class, &p)| (p - f64::from(u8::from(class == label))).powi(2))
        .sum()
}

/// Weighted mean of a value per image; `None` without an image or where the sum is not finite.
pub fn mean(values: &[f64], weights: &[u32]) -> Option<f64> {
    // An image that is not in the resample must not turn the sum into NaN by 0 · NaN.
    let term = |(&value, &weight): (&f64, &u32)| {
        if weight == 0 {
            0.0
        } else {
            value * f64::from(weight)
        }
    };
    let total: u64 = weights.iter().map(|&weight| u64::from(weight)).sum();
    let mean = values.iter().zip(weights).map(term).sum::<f64>() / total as f64;
    mean.is_finite().then_some(mean)
}

/// Expected calibration error in 15 equal bins `(lo, hi]` of the confidence (Guo et al. 2017, arXiv 1706.04599):
/// Σ over bins of |right predictions − summed confidence| / images. Where an image has any number of classes, of all pairs
/// of an image and a class.
pub fn ece(calibration: &Calibration, weights: &[u32]) -> Option<f64> {
    let mut gaps = [0.0; ECE_BINS];
    let mut total = 0_u64;
    let each = calibration.confidence.len() / weights.len().max(1);
    let weights = weights
        .iter()
        .flat_map(|weight| std::iter::repeat_n(weight, each));
    let images = calibration
        .confidence
        .iter()
        .zip(&calibration.correct)
        .zip(weights);
    for ((&confidence, &correct), &weight) in images.filter(|(_, weight)| **weight > 0) {
        gaps[equal_bin(confidence, ECE_BINS)] +=
            f64::from(weight) * (f64::from(u8::from(correct)) - confidence);
        total += u64::from(weight);
    }
    let error = gaps.iter().map(|gap| gap.abs()).sum::<f64>() / total as f64;
    error.is_finite().then_some(error)
}

/// The bin `(lo, hi]` of a probability, of `bins` equal ones; 0 belongs to the first. NaN goes there too, and makes its sums
/// NaN.
pub(super) fn equal_bin(probability: f64, bins: usize) -> usize {
    let bin = (probability * bins as f64).ceil() as usize;
    bin.clamp(1, bins) - 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn log_loss_stays_finite() {
        let loss = log_loss(&array![0.0, 2000.0].view(), 1.0, 0);
        assert_eq!(loss, 2000.0);
    }

    #[test]
    fn binary_log_loss_stays_finite() {
        assert_eq!(binary_log_loss(2000.0, false), 2000.0);
        assert_eq!(binary_log_loss(2000.0, true), 0.0);
        assert!((binary_log_loss(0.0, true) - 2.0f64.ln()).abs() < 1e-15);
        assert!(binary_log_loss(f64::NAN, true).is_nan());
    }

    #[test]
    fn brier_spans_zero_to_two() {
        assert_eq!(brier(&array![1.0, 0.0].view(), 0), 0.0);
        assert_eq!(brier(&array![1.0, 0.0].view(), 1), 2.0);
    }

    #[test]
    fn ece_of_a_sure_and_wrong_model_is_one() {
        let calibration = |correct| Calibration {
            log_loss: vec![],
            brier: vec![],
            confidence: vec![1.0; 4],
            correct: vec![correct; 4],
        };
        assert_eq!(ece(&calibration(false), &[1; 4]), Some(1.0));
        assert_eq!(ece(&calibration(true), &[1; 4]), Some(0.0));
        assert_eq!(ece(&calibration(true), &[0; 4]), None);
    }
}
