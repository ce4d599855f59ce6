//! A score with a threshold: sensitivity, specificity, predictive values, likelihood ratios, and how to choose the threshold.
//!
//! An image is called positive where its score is at least the threshold, as in scikit-learn's `roc_curve`.

use super::confusion::ratio;
use super::curves::Ranking;
use crate::NotDefined;
use crate::statistics::Proportion;

/// Counts of a two-class decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BinaryCounts {
    /// Positive images called positive.
    pub true_positives: u64,
    /// Negative images called positive.
    pub false_positives: u64,
    /// Negative images called negative.
    pub true_negatives: u64,
    /// Positive images called negative.
    pub false_negatives: u64,
}

impl BinaryCounts {
    /// Counts at a threshold; image `i` counts `weights[i]` times. A score that is NaN is called negative.
    pub fn at(scores: &[f64], positive: &[bool], weights: &[u32], threshold: f64) -> Self {
        check_lengths(scores, positive, weights);
        let mut counts = Self::default();
        for ((&score, &is_positive), &weight) in scores.iter().zip(positive).zip(weights) {
            let cell = match (score >= threshold, is_positive) {
                (true, true) => &mut counts.true_positives,
                (true, false) => &mut counts.false_positives,
                (false, false) => &mut counts.true_negatives,
                (false, true) => &mut counts.false_negatives,
            };
            *cell += u64::from(weight);
        }
        counts
    }

    /// Images that have the condition.
    pub fn positives(&self) -> u64 {
        self.true_positives + self.false_negatives
    }

    /// Images that do not.
    pub fn negatives(&self) -> u64 {
        self.true_negatives + self.false_positives
    }

    /// All images.
    pub fn total(&self) -> u64 {
        self.positives() + self.negatives()
    }

    /// Share of right calls.
    pub fn accuracy(&self) -> Proportion {
        Proportion::new(self.true_positives + self.true_negatives, self.total())
    }

    /// Share of the positive images called positive (recall).
    pub fn sensitivity(&self) -> Proportion {
        Proportion::new(self.true_positives, self.positives())
    }

    /// Share of the negative images called negative.
    pub fn specificity(&self) -> Proportion {
        Proportion::new(self.true_negatives, self.negatives())
    }

    /// Positive predictive value: share of the images called positive that are (precision), at the data's prevalence.
    pub fn ppv(&self) -> Proportion {
        Proportion::new(self.true_positives, self.true_positives + self.false_positives)
    }

    /// Negative predictive value: share of the images called negative that are, at the data's prevalence.
    pub fn npv(&self) -> Proportion {
        Proportion::new(self.true_negatives, self.true_negatives + self.false_negatives)
    }

    /// Share of positive images in the data.
    pub fn prevalence(&self) -> Proportion {
        Proportion::new(self.positives(), self.total())
    }

    /// Harmonic mean of PPV and sensitivity; `None` if nothing is positive nor called so.
    pub fn f1(&self) -> Option<f64> {
        let missed_or_wrong = self.false_positives + self.false_negatives;
        ratio(2 * self.true_positives, 2 * self.true_positives + missed_or_wrong)
    }

    /// Positive likelihood ratio, sensitivity / (1 − specificity): how much a positive call raises the odds. `None`
    /// without false positives, where it has no bound.
    pub fn lr_positive(&self) -> Option<f64> {
        let false_alarms = ratio(self.false_positives, self.negatives())?;
        over(self.sensitivity().value()?, false_alarms)
    }

    /// Negative likelihood ratio, (1 − sensitivity) / specificity: how much a negative call lowers the odds. `None`
    /// without true negatives, where it has no bound.
    pub fn lr_negative(&self) -> Option<f64> {
        let missed = ratio(self.false_negatives, self.positives())?;
        over(missed, self.specificity().value()?)
    }

    /// Youden's J (1950), sensitivity + specificity − 1.
    pub fn youden(&self) -> Option<f64> {
        Some(self.sensitivity().value()? + self.specificity().value()? - 1.0)
    }
}

fn over(part: f64, whole: f64) -> Option<f64> {
    (whole > 0.0).then(|| part / whole)
}

/// A threshold and what it does.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OperatingPoint {
    /// Scores from here on are called positive; +∞ where no image is.
    pub threshold: f64,
    /// The counts there.
    pub counts: BinaryCounts,
}

/// All operating points, from the threshold +∞ (nothing is positive) down to the lowest score (everything is): the
/// points of the ROC curve. Each distinct score is one threshold.
///
/// Not defined without an image of each class, or where a score is NaN.
pub fn operating_points(
    scores: &[f64],
    positive: &[bool],
    weights: &[u32],
) -> Result<Vec<OperatingPoint>, NotDefined> {
    check_lengths(scores, positive, weights);
    if scores.iter().any(|score| score.is_nan()) {
        return Err(NotDefined::NotFinite);
    }
    let none = BinaryCounts::at(scores, positive, weights, f64::NAN); // no score is ≥ NaN
    if none.total() == 0 {
        return Err(NotDefined::NoImage);
    }
    if none.positives() == 0 || none.negatives() == 0 {
        return Err(NotDefined::OneClass);
    }
    let mut points = vec![OperatingPoint {
        threshold: f64::INFINITY,
        counts: none,
    }];
    let mut counts = none;
    Ranking::new(scores, positive).for_each_tie(weights, |tie| {
        if tie.positives + tie.negatives == 0 {
            return; // none of its images is in this resample
        }
        counts.true_positives += tie.positives;
        counts.false_negatives -= tie.positives;
        counts.false_positives += tie.negatives;
        counts.true_negatives -= tie.negatives;
        let threshold = scores[tie.image];
        points.push(OperatingPoint { threshold, counts });
    });
    Ok(points)
}

/// The highest threshold whose sensitivity is at least `target`: the most specific one.
pub fn at_sensitivity(points: &[OperatingPoint], target: f64) -> Result<OperatingPoint, NotDefined> {
    check_share(target)?;
    let reaches = |point: &&OperatingPoint| {
        point
            .counts
            .sensitivity()
            .value()
            .is_some_and(|value| value >= target)
    };
    points.iter().find(reaches).copied().ok_or(NotDefined::OneClass)
}

/// The lowest threshold whose specificity is at least `target`: the most sensitive one. Its threshold is +∞ where no
/// score reaches the target and only "nothing is positive" does.
pub fn at_specificity(points: &[OperatingPoint], target: f64) -> Result<OperatingPoint, NotDefined> {
    check_share(target)?;
    let reaches = |point: &&OperatingPoint| {
        point
            .counts
            .specificity()
            .value()
            .is_some_and(|value| value >= target)
    };
    points
        .iter()
        .rev()
        .find(reaches)
        .copied()
        .ok_or(NotDefined::OneClass)
}

/// The point with the largest Youden's J; the highest threshold on ties.
///
/// A threshold chosen on the images it is judged on looks better than it is: choose on validation, judge on test.
pub fn youden_point(points: &[OperatingPoint]) -> Result<OperatingPoint, NotDefined> {
    let mut best: Option<(f64, &OperatingPoint)> = None;
    for point in points {
        let Some(j) = point.counts.youden() else { continue };
        // Sums of two rounded shares: what differs by rounding only is a tie.
        if best.is_none_or(|(highest, _)| j > highest + 1e-12) {
            best = Some((j, point));
        }
    }
    best.map(|(_, point)| *point).ok_or(NotDefined::OneClass)
}

/// Best sensitivity with a specificity of at least `specificity`.
pub fn sensitivity_at_specificity(points: &[OperatingPoint], specificity: f64) -> Result<f64, NotDefined> {
    let counts = at_specificity(points, specificity)?.counts;
    counts.sensitivity().value().ok_or(NotDefined::OneClass)
}

/// Best specificity with a sensitivity of at least `sensitivity`.
pub fn specificity_at_sensitivity(points: &[OperatingPoint], sensitivity: f64) -> Result<f64, NotDefined> {
    let counts = at_sensitivity(points, sensitivity)?.counts;
    counts.specificity().value().ok_or(NotDefined::OneClass)
}

/// Positive predictive value in a population of the given prevalence (Bayes' theorem); `None` where nobody would be called
/// positive, or where an argument is no share.
///
/// A test set enriched with positive images overstates it; the clinic's prevalence does not.
pub fn ppv_at_prevalence(sensitivity: f64, specificity: f64, prevalence: f64) -> Option<f64> {
    let found = sensitivity * prevalence;
    predictive_value(
        [sensitivity, specificity, prevalence],
        found,
        (1.0 - specificity) * (1.0 - prevalence),
    )
}

/// Negative predictive value in a population of the given prevalence (Bayes' theorem); `None` where nobody would be called
/// negative, or where an argument is no share.
pub fn npv_at_prevalence(sensitivity: f64, specificity: f64, prevalence: f64) -> Option<f64> {
    let cleared = specificity * (1.0 - prevalence);
    predictive_value(
        [sensitivity, specificity, prevalence],
        cleared,
        (1.0 - sensitivity) * prevalence,
    )
}

fn predictive_value(shares: [f64; 3], right: f64, wrong: f64) -> Option<f64> {
    let valid = shares.iter().all(|share| (0.0..=1.0).contains(share)); // NaN is not
    (valid && right + wrong > 0.0).then(|| right / (right + wrong))
}

pub(super) fn check_lengths(scores: &[f64], positive: &[bool], weights: &[u32]) {
    assert!(
        scores.len() == positive.len() && scores.len() == weights.len(),
        "{} scores, {} labels, {} weights",
        scores.len(),
        positive.len(),
        weights.len()
    );
}

fn check_share(target: f64) -> Result<(), NotDefined> {
    (0.0..=1.0)
        .contains(&target)
        .then_some(())
        .ok_or(NotDefined::OutOfRange)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCORES: [f64; 6] = [0.9, 0.8, 0.8, 0.4, 0.3, 0.1];
    const POSITIVE: [bool; 6] = [true, true, false, true, false, false];

    fn points() -> Vec<OperatingPoint> {
        operating_points(&SCORES, &POSITIVE, &[1; 6]).unwrap()
    }

    #[test]
    fn points_are_the_counts_at_their_thresholds() {
        let thresholds: Vec<f64> = points().iter().map(|point| point.threshold).collect();
        assert_eq!(thresholds, [f64::INFINITY, 0.9, 0.8, 0.4, 0.3, 0.1]);
        for weights in [[1; 6], [0, 3, 1, 0, 2, 1]] {
            for point in operating_points(&SCORES, &POSITIVE, &weights).unwrap() {
                let counts = BinaryCounts::at(&SCORES, &POSITIVE, &weights, point.threshold);
                assert_eq!(counts, point.counts);
            }
        }
    }

    #[test]
    fn targets_are_reached_by_the_best_threshold() {
        let points = points();
        assert_eq!(at_sensitivity(&points, 2.0 / 3.0).unwrap().threshold, 0.8);
        assert_eq!(at_sensitivity(&points, 1.0).unwrap().threshold, 0.4);
        assert_eq!(at_sensitivity(&points, 0.0).unwrap().threshold, f64::INFINITY);
        assert_eq!(at_specificity(&points, 0.6).unwrap().threshold, 0.4);
        assert_eq!(at_specificity(&points, 1.0).unwrap().threshold, 0.9);
        assert_eq!(at_specificity(&points, 1.1), Err(NotDefined::OutOfRange));
        assert_eq!(at_sensitivity(&points, f64::NAN), Err(NotDefined::OutOfRange));
        assert_eq!(youden_point(&points).unwrap().threshold, 0.4);
        assert_eq!(sensitivity_at_specificity(&points, 1.0), Ok(1.0 / 3.0));
        assert_eq!(specificity_at_sensitivity(&points, 1.0), Ok(2.0 / 3.0));
    }

    #[test]
    fn likelihood_ratios_and_bayes() {
        let counts = BinaryCounts {
            true_positives: 8,
            false_positives: 10,
            true_negatives: 90,
            false_negatives: 2,
        };
        assert!((counts.lr_positive().unwrap() - 8.0).abs() < 1e-12);
        assert!((counts.lr_negative().unwrap() - 0.2 / 0.9).abs() < 1e-12);
        // At the data's own prevalence Bayes' theorem gives the counted values.
        let prevalence = counts.prevalence().value().unwrap();
        let ppv = ppv_at_prevalence(0.8, 0.9, prevalence).unwrap();
        let npv = npv_at_prevalence(0.8, 0.9, prevalence).unwrap();
        assert!((ppv - counts.ppv().value().unwrap()).abs() < 1e-12);
        assert!((npv - counts.npv().value().unwrap()).abs() < 1e-12);
        assert_eq!(ppv_at_prevalence(0.8, 0.9, 0.0), Some(0.0));
        assert_eq!(ppv_at_prevalence(0.8, 1.0, 0.0), None);
        assert_eq!(npv_at_prevalence(0.8, 0.9, f64::NAN), None);
    }

    #[test]
    fn degenerate_input_has_a_reason() {
        let reason = |scores: &[f64], positive: &[bool], weights: &[u32]| {
            operating_points(scores, positive, weights).unwrap_err()
        };
        assert_eq!(reason(&[], &[], &[]), NotDefined::NoImage);
        assert_eq!(reason(&[0.5], &[true], &[0]), NotDefined::NoImage);
        assert_eq!(reason(&[0.5, 0.6], &[true, false], &[1, 0]), NotDefined::OneClass);
        assert_eq!(
            reason(&[f64::NAN, 0.6], &[true, false], &[1, 1]),
            NotDefined::NotFinite
        );
        assert_eq!(at_sensitivity(&[], 0.5), Err(NotDefined::OneClass));
        assert_eq!(youden_point(&[]), Err(NotDefined::OneClass));
        let empty = BinaryCounts::default();
        assert_eq!(
            (empty.f1(), empty.lr_positive(), empty.lr_negative()),
            (None, None, None)
        );
        let sure = BinaryCounts::at(&[0.9, 0.1], &[true, false], &[1, 1], 0.5);
        assert_eq!((sure.lr_positive(), sure.lr_negative()), (None, Some(0.0)));
    }
}
