//! A classifier that may abstain: how often it errs on the images it is surest of (El-Yaniv & Wiener 2010,
//! J. Mach. Learn. Res. 11:1605).

use super::curves::Ranking;
use crate::NotDefined;

/// One point of the risk–coverage curve.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RiskPoint {
    /// The classifier answers from this confidence on.
    pub confidence: f64,
    /// Share of the images it answers.
    pub coverage: f64,
    /// Share of wrong answers among them.
    pub risk: f64,
}

/// The curve, from the surest images to all: one point per distinct confidence. Image `i` counts `weights[i]` times.
///
/// Not defined without an image, or where a confidence is NaN.
pub fn risk_coverage_curve(
    confidence: &[f64],
    correct: &[bool],
    weights: &[u32],
) -> Result<Vec<RiskPoint>, NotDefined> {
    super::operating_points::check_lengths(confidence, correct, weights);
    let total: u64 = weights.iter().map(|&weight| u64::from(weight)).sum();
    if total == 0 {
        return Err(NotDefined::NoImage);
    }
    if confidence.iter().any(|c| c.is_nan()) {
        return Err(NotDefined::NotFinite);
    }
    let (mut points, mut answered, mut wrong) = (Vec::new(), 0, 0);
    Ranking::new(confidence, correct).for_each_tie(weights, |tie| {
        if tie.positives + tie.negatives > 0 {
            answered += tie.positives + tie.negatives;
            wrong += tie.negatives;
            points.push(RiskPoint {
                confidence: confidence[tie.image],
                coverage: answered as f64 / total as f64,
                risk: wrong as f64 / answered as f64,
            });
        }
    });
    Ok(points)
}

/// Area under the risk–coverage curve: the mean, over k = 1 … n, of the risk on the k surest images (Geifman & El-Yaniv
/// 2017, arXiv 1705.08500). 0 for a classifier without errors; the error rate for one whose confidence says nothing.
///
/// `ranking` has the images by confidence, right ones as positive. Images of equal confidence are counted in random order,
/// on average: errors among them come evenly. `None` without an image, or where a confidence is NaN.
pub fn aurc(ranking: &Ranking, weights: &[u32]) -> Option<f64> {
    let (mut answered, mut wrong, mut sum) = (0_u64, 0_u64, 0.0);
    ranking.for_each_tie(weights, |tie| {
        let images = tie.positives + tie.negatives;
        if wrong + tie.negatives > 0 {
            let each = tie.negatives as f64 / images as f64;
            for k in 1..=images {
                sum += (wrong as f64 + k as f64 * each) / (answered + k) as f64;
            }
        }
        answered += images;
        wrong += tie.negatives;
    });
    (answered > 0).then(|| sum / answered as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn area(confidence: &[f64], correct: &[bool]) -> Option<f64> {
        aurc(&Ranking::new(confidence, correct), &vec![1; correct.len()])
    }

    #[test]
    fn errors_cost_less_where_the_model_is_unsure() {
        let confidence = [0.9, 0.8, 0.7, 0.6];
        assert_eq!(area(&confidence, &[true; 4]), Some(0.0));
        assert_eq!(area(&confidence, &[false; 4]), Some(1.0));
        assert_eq!(area(&confidence, &[true, true, true, false]), Some(0.25 / 4.0));
        let early = area(&confidence, &[false, true, true, true]).unwrap();
        assert!((early - (1.0 + 0.5 + 1.0 / 3.0 + 0.25) / 4.0).abs() < 1e-15);
        assert_eq!(
            area(&[0.5; 4], &[false, true, true, true]),
            Some(0.25),
            "the error rate"
        );
    }

    #[test]
    fn the_curve_ends_at_the_error_rate() {
        let curve = risk_coverage_curve(&[0.9, 0.7, 0.7, 0.6], &[true, false, true, true], &[1; 4]).unwrap();
        let points: Vec<_> = curve.iter().map(|p| (p.confidence, p.coverage, p.risk)).collect();
        assert_eq!(
            points,
            [(0.9, 0.25, 0.0), (0.7, 0.75, 1.0 / 3.0), (0.6, 1.0, 0.25)]
        );
    }

    #[test]
    fn degenerate_input_has_a_reason() {
        assert_eq!((area(&[], &[]), area(&[f64::NAN], &[true])), (None, None));
        let reason = |confidence: &[f64], weights: &[u32]| {
            risk_coverage_curve(confidence, &vec![true; weights.len()], weights).unwrap_err()
        };
        assert_eq!(reason(&[], &[]), NotDefined::NoImage);
        assert_eq!(reason(&[0.5], &[0]), NotDefined::NoImage);
        assert_eq!(reason(&[f64::NAN], &[1]), NotDefined::NotFinite);
    }
}
