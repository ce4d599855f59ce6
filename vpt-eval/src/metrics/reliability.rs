//! Reliability curve, and the calibration error in bins of equally many images.

use super::calibration::{Calibration, ECE_BINS, equal_bin};
use super::curves::Ranking;
use crate::NotDefined;
use crate::statistics::Proportion;

/// One bin `(low, high]` of the reliability curve.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ReliabilityBin {
    /// Lower end; 0 belongs to the first bin.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// Mean probability; `None` for an empty bin.
    pub mean_probability: Option<f64>,
    /// How often it happened: the height of the curve, and by [`Proportion::wilson`] its interval.
    pub observed: Proportion,
}

/// Probabilities in `bins` equal bins against how often `happened` is true in each: the predicted class's probability and
/// whether the prediction is right, or the positive class's and whether the image is positive. Image `i` counts
/// `weights[i]` times.
///
/// Not defined without an image or a bin, or where a probability is not between 0 and 1.
pub fn reliability_curve(
    probs: &[f64],
    happened: &[bool],
    weights: &[u32],
    bins: usize,
) -> Result<Vec<ReliabilityBin>, NotDefined> {
    super::operating_points::check_lengths(probs, happened, weights);
    if bins == 0 {
        return Err(NotDefined::OutOfRange);
    }
    if weights.iter().all(|&weight| weight == 0) {
        return Err(NotDefined::NoImage);
    }
    if probs.iter().any(|p| p.is_nan()) {
        return Err(NotDefined::NotFinite);
    }
    if probs.iter().any(|p| !(0.0..=1.0).contains(p)) {
        return Err(NotDefined::OutOfRange);
    }
    let mut sums = vec![(0.0, Proportion::default()); bins];
    for ((&p, &happened), &weight) in probs.iter().zip(happened).zip(weights) {
        let (sum, observed) = &mut sums[equal_bin(p, bins)];
        *sum += p * f64::from(weight);
        observed.items += u64::from(weight);
        observed.hits += if happened { u64::from(weight) } else { 0 };
    }
    let bin = |(i, (sum, observed)): (usize, (f64, Proportion))| ReliabilityBin {
        low: i as f64 / bins as f64,
        high: (i + 1) as f64 / bins as f64,
        mean_probability: (observed.items > 0).then(|| sum / observed.items as f64),
        observed,
    };
    Ok(sums.into_iter().enumerate().map(bin).collect())
}

/// Expected calibration error in 15 bins of equally many images (Nguyen & O'Connor 2015, arXiv 1508.05154): unlike bins of
/// equal width, none is nearly empty where the model is almost always sure.
///
/// `by_confidence` is the [`Ranking`] of the confidences. A bin holds exactly a 15th of the images: one on an edge counts
/// partly on both sides. Images of equal confidence are right as often on each side. `None` without an image, or where a
/// confidence is NaN.
pub fn adaptive_ece(calibration: &Calibration, by_confidence: &Ranking, weights: &[u32]) -> Option<f64> {
    let total: u64 = weights.iter().map(|&weight| u64::from(weight)).sum();
    let mut gaps = [0.0; ECE_BINS];
    let mut start = 0; // in 15ths of an image, so that edges are whole numbers
    by_confidence.for_each_tie(weights, |tie| {
        let images = tie.positives + tie.negatives;
        if images == 0 {
            return;
        }
        let end = start + images * ECE_BINS as u64;
        let gap = tie.positives as f64 / images as f64 - calibration.confidence[tie.image];
        for bin in start / total..=(end - 1) / total {
            let inside = end.min((bin + 1) * total) - start.max(bin * total);
            gaps[bin as usize] += inside as f64 / ECE_BINS as f64 * gap;
        }
        start = end;
    });
    let error = gaps.iter().map(|gap| gap.abs()).sum::<f64>() / total as f64;
    (start > 0 && error.is_finite()).then_some(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn adaptive(confidence: &[f64], correct: &[bool]) -> Option<f64> {
        let calibration = Calibration {
            log_loss: vec![],
            brier: vec![],
            confidence: confidence.to_vec(),
            correct: correct.to_vec(),
        };
        let ranking = Ranking::new(confidence, correct);
        adaptive_ece(&calibration, &ranking, &vec![1; correct.len()])
    }

    #[test]
    fn bins_hold_equally_many_images() {
        // 30 images, two a bin: sure and wrong, then unsure and right.
        let confidence: Vec<f64> = (0..30).map(|i| 1.0 - f64::from(i) / 60.0).collect();
        let correct: Vec<bool> = (0..30).map(|i| i % 2 == 1).collect();
        let by_hand: f64 = confidence
            .chunks(2)
            .map(|pair| (1.0 - pair[0] - pair[1]).abs())
            .sum::<f64>()
            / 30.0;
        assert!((adaptive(&confidence, &correct).unwrap() - by_hand).abs() < 1e-15);
    }

    #[test]
    fn order_of_equal_confidences_changes_nothing() {
        let correct: Vec<bool> = (0..40).map(|i| i % 4 != 0).collect();
        let reversed: Vec<bool> = correct.iter().rev().copied().collect();
        assert!((adaptive(&[0.75; 40], &correct).unwrap()).abs() < 1e-15);
        assert_eq!(adaptive(&[0.6; 40], &correct), adaptive(&[0.6; 40], &reversed));
    }

    #[test]
    fn fewer_images_than_bins_are_their_own_bins() {
        let error = adaptive(&[1.0, 0.5], &[false, true]).unwrap();
        assert!((error - 0.75).abs() < 0.04, "{error}: one bin holds half of each");
        assert_eq!((adaptive(&[], &[]), adaptive(&[f64::NAN], &[true])), (None, None));
    }

    #[test]
    fn bins_are_open_below() {
        let curve = reliability_curve(
            &[0.0, 0.5, 0.6, 1.0],
            &[false, true, true, true],
            &[1, 1, 2, 1],
            2,
        )
        .unwrap();
        assert_eq!(
            (curve[0].mean_probability, curve[0].observed),
            (Some(0.25), Proportion::new(1, 2))
        );
        assert_eq!((curve[1].low, curve[1].high), (0.5, 1.0));
        assert_eq!(curve[1].observed, Proportion::new(3, 3));
    }

    #[test]
    fn degenerate_input_has_a_reason() {
        let reason = |probs: &[f64], weights: &[u32], bins| {
            reliability_curve(probs, &vec![true; probs.len()], weights, bins).unwrap_err()
        };
        assert_eq!(reason(&[0.5], &[1], 0), NotDefined::OutOfRange);
        assert_eq!(reason(&[1.5], &[1], 2), NotDefined::OutOfRange);
        assert_eq!(reason(&[f64::NAN], &[1], 2), NotDefined::NotFinite);
        assert_eq!(reason(&[0.5], &[0], 2), NotDefined::NoImage);
        assert_eq!(reason(&[], &[], 2), NotDefined::NoImage);
    }
}
