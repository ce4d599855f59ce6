//! Net benefit: is acting on the model better than treating everybody or nobody? (Vickers & Elkin 2006,
//! Med. Decis. Making 26:565.)

use super::operating_points::{BinaryCounts, check_lengths};
use crate::NotDefined;

/// Net benefits at one threshold probability.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DecisionPoint {
    /// Probability of the condition from which on one would treat; it says how many needless treatments one right one is
    /// worth.
    pub threshold: f64,
    /// Of treating whom the model gives at least this probability.
    pub model: f64,
    /// Of treating everybody.
    pub treat_all: f64,
    /// Of treating nobody: always 0.
    pub treat_none: f64,
}

/// Net benefit of a decision, true positives / n − false positives / n · p / (1 − p), in true positives per image.
/// `None` without an image, or for a threshold probability p outside [0, 1).
pub fn net_benefit(counts: &BinaryCounts, threshold: f64) -> Option<f64> {
    let odds = threshold / (1.0 - threshold);
    let defined = counts.total() > 0 && (0.0..1.0).contains(&threshold); // NaN is not
    defined.then(|| {
        let n = counts.total() as f64;
        counts.true_positives as f64 / n - counts.false_positives as f64 / n * odds
    })
}

/// The decision curve at `thresholds`. `probs` are probabilities of the condition: they must be calibrated for the curve
/// to mean anything. Image `i` counts `weights[i]` times.
///
/// Not defined without an image, where a probability is NaN, or for a threshold outside [0, 1). Images of one class only
/// have a curve too: its best value is then 0 or 1.
pub fn decision_curve(
    probs: &[f64],
    positive: &[bool],
    weights: &[u32],
    thresholds: &[f64],
) -> Result<Vec<DecisionPoint>, NotDefined> {
    check_lengths(probs, positive, weights);
    if weights.iter().all(|&weight| weight == 0) {
        return Err(NotDefined::NoImage);
    }
    if probs.iter().any(|p| p.is_nan()) {
        return Err(NotDefined::NotFinite);
    }
    let all = BinaryCounts::at(probs, positive, weights, f64::NEG_INFINITY);
    let point = |&threshold: &f64| {
        let counts = BinaryCounts::at(probs, positive, weights, threshold);
        Some(DecisionPoint {
            threshold,
            model: net_benefit(&counts, threshold)?,
            treat_all: net_benefit(&all, threshold)?,
            treat_none: 0.0,
        })
    };
    let points: Option<Vec<DecisionPoint>> = thresholds.iter().map(point).collect();
    points.ok_or(NotDefined::OutOfRange)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn treating_all_breaks_even_at_the_prevalence() {
        let probs = [0.9, 0.6, 0.4, 0.1];
        let positive = [true, false, false, false];
        let curve = decision_curve(&probs, &positive, &[1; 4], &[0.0, 0.25, 0.5]).unwrap();
        let model: Vec<f64> = curve.iter().map(|point| point.model).collect();
        assert_eq!(
            curve[0].model, curve[0].treat_all,
            "at 0 the model treats everybody"
        );
        assert!(curve[1].treat_all.abs() < 1e-15, "prevalence 1/4");
        assert_eq!(model, [0.25, 0.25 - 0.5 / 3.0, 0.0]);
    }

    #[test]
    fn degenerate_input_has_a_reason() {
        let reason = |probs: &[f64], weights: &[u32], threshold| {
            let positive = vec![true; probs.len()];
            decision_curve(probs, &positive, weights, &[threshold]).unwrap_err()
        };
        assert_eq!(reason(&[], &[], 0.5), NotDefined::NoImage);
        assert_eq!(reason(&[0.5], &[0], 0.5), NotDefined::NoImage);
        assert_eq!(reason(&[f64::NAN], &[1], 0.5), NotDefined::NotFinite);
        assert_eq!(reason(&[0.5], &[1], 1.0), NotDefined::OutOfRange);
        assert_eq!(reason(&[0.5], &[1], f64::NAN), NotDefined::OutOfRange);
    }
}
