//! Variance of the AUROC and the paired test of two, without resampling (DeLong, DeLong & Clarke-Pearson 1988,
//! Biometrics 44:837), by midranks in O(n log n) (Sun & Xu 2014, IEEE Signal Process. Lett. 21:1389).

use super::{Interval, normal_cdf, normal_reach};
use crate::NotDefined;

/// An AUROC and its variance.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Delong {
    /// Area under the ROC curve; a tied pair counts half.
    pub auroc: f64,
    /// Its variance over repeated samples of as many positive and negative images.
    pub variance: f64,
}

/// Two AUROCs on the same images.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PairedDelong {
    /// The first.
    pub a: Delong,
    /// The second.
    pub b: Delong,
    /// Covariance of the two.
    pub covariance: f64,
    /// Variance of the difference `a − b`.
    pub variance: f64,
    /// The difference in standard errors.
    pub z: f64,
    /// Two-sided p value of "both are equal", by the normal approximation.
    pub p_value: f64,
}

/// A variance up to this is rounding of 0: components are multiples of 1 / (number of images of a class).
const ROUNDING: f64 = 1e-28;

/// AUROC of `scores` with DeLong's variance; `positive[i]` says whether image `i` has the condition.
///
/// The variance of a perfect ranking is 0: [`Delong::interval`] then says so instead of giving an interval without width.
pub fn delong(scores: &[f64], positive: &[bool]) -> Result<Delong, NotDefined> {
    Ok(Components::new(scores, positive)?.delong())
}

/// Tests whether two scores of the same images have the same AUROC.
pub fn delong_paired(
    scores_a: &[f64],
    scores_b: &[f64],
    positive: &[bool],
) -> Result<PairedDelong, NotDefined> {
    let (a, b) = (
        Components::new(scores_a, positive)?,
        Components::new(scores_b, positive)?,
    );
    let covariance = a.covariance(&b);
    // Summed from differences: the variances of two close rankings would cancel.
    let variance = a.minus(&b).delong().variance;
    if variance <= ROUNDING {
        return Err(NotDefined::NoVariation);
    }
    let (a, b) = (a.delong(), b.delong());
    let z = (a.auroc - b.auroc) / variance.sqrt();
    Ok(PairedDelong {
        a,
        b,
        covariance,
        variance,
        z,
        p_value: 2.0 * normal_cdf(-z.abs()),
    })
}

impl Delong {
    /// AUROC ± normal quantile · standard error, cut to 0 … 1 (as R's pROC does).
    pub fn interval(&self, level: f64) -> Result<Interval, NotDefined> {
        Ok(Interval::of_share(self.auroc, self.half(level)?))
    }

    /// The interval made on the scale of log(AUROC / (1 − AUROC)) and taken back, which never leaves 0 … 1 and covers
    /// better near 1 (Pepe 2003, The Statistical Evaluation of Medical Tests, section 5.2.4).
    pub fn logit_interval(&self, level: f64) -> Result<Interval, NotDefined> {
        let half = self.half(level)? / (self.auroc * (1.0 - self.auroc));
        if !half.is_finite() {
            return Err(NotDefined::NoVariation);
        }
        let logit = (self.auroc / (1.0 - self.auroc)).ln();
        let share = |x: f64| 1.0 / (1.0 + (-x).exp());
        Ok(Interval {
            low: share(logit - half),
            high: share(logit + half),
        })
    }

    fn half(&self, level: f64) -> Result<f64, NotDefined> {
        let z = normal_reach(level)?;
        let varies = self.variance > ROUNDING;
        varies
            .then(|| z * self.variance.sqrt())
            .ok_or(NotDefined::NoVariation)
    }
}

impl PairedDelong {
    /// `a − b`.
    pub fn difference(&self) -> f64 {
        self.a.auroc - self.b.auroc
    }

    /// Normal interval of the difference.
    pub fn interval(&self, level: f64) -> Result<Interval, NotDefined> {
        let half = normal_reach(level)? * self.variance.sqrt();
        Ok(Interval {
            low: (self.difference() - half).max(-1.0),
            high: (self.difference() + half).min(1.0),
        })
    }
}

/// DeLong's structural components: what each image adds to the area.
struct Components {
    /// Of each positive image: the share of negative ones it scores above (V10).
    positives: Vec<f64>,
    /// Of each negative image: the share of positive ones it scores below (V01).
    negatives: Vec<f64>,
}

impl Components {
    fn new(scores: &[f64], positive: &[bool]) -> Result<Self, NotDefined> {
        assert_eq!(
            scores.len(),
            positive.len(),
            "{} scores, {} labels",
            scores.len(),
            positive.len()
        );
        if scores.is_empty() {
            return Err(NotDefined::NoImage);
        }
        if scores.iter().any(|score| !score.is_finite()) {
            return Err(NotDefined::NotFinite);
        }
        let all = midranks(scores);
        let side = |wanted: bool| -> (Vec<f64>, Vec<f64>) {
            let own = || (0..scores.len()).filter(move |&i| positive[i] == wanted);
            let own_scores: Vec<f64> = own().map(|i| scores[i]).collect();
            (own().map(|i| all[i]).collect(), midranks(&own_scores))
        };
        let ((ranks_p, own_p), (ranks_n, own_n)) = (side(true), side(false));
        let (m, n) = (ranks_p.len(), ranks_n.len());
        if m == 0 || n == 0 {
            return Err(NotDefined::OneClass);
        }
        if m < 2 || n < 2 {
            return Err(NotDefined::OneImageOfAClass);
        }
        // The rank among all less that among one's own side counts the other side's images below.
        let below =
            |ranks: &[f64], own: &[f64]| -> Vec<f64> { ranks.iter().zip(own).map(|(a, o)| a - o).collect() };
        Ok(Self {
            positives: below(&ranks_p, &own_p).iter().map(|b| b / n as f64).collect(),
            negatives: below(&ranks_n, &own_n)
                .iter()
                .map(|b| 1.0 - b / m as f64)
                .collect(),
        })
    }

    fn minus(&self, other: &Self) -> Self {
        let minus = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a - b).collect();
        Self {
            positives: minus(&self.positives, &other.positives),
            negatives: minus(&self.negatives, &other.negatives),
        }
    }

    fn covariance(&self, other: &Self) -> f64 {
        covariance(&self.positives, &other.positives) / self.positives.len() as f64
            + covariance(&self.negatives, &other.negatives) / self.negatives.len() as f64
    }

    fn delong(&self) -> Delong {
        Delong {
            auroc: mean(&self.positives),
            variance: self.covariance(self),
        }
    }
}

/// Rank of each value from 1; equal values share the mean of their ranks.
fn midranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_unstable_by(|&a, &b| values[a].total_cmp(&values[b]));
    let mut ranks = vec![0.0; values.len()];
    let mut before = 0;
    for tie in order.chunk_by(|&a, &b| values[a] == values[b]) {
        let rank = before as f64 + (tie.len() + 1) as f64 / 2.0;
        for &i in tie {
            ranks[i] = rank;
        }
        before += tie.len();
    }
    ranks
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// Sample covariance, divided by n − 1.
fn covariance(a: &[f64], b: &[f64]) -> f64 {
    let (mean_a, mean_b) = (mean(a), mean(b));
    let products = a.iter().zip(b).map(|(x, y)| (x - mean_a) * (y - mean_b));
    products.sum::<f64>() / (a.len() - 1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ties_share_a_rank() {
        assert_eq!(
            midranks(&[2.0, 1.0, 2.0, 3.0, 0.0, -0.0]),
            [4.5, 3.0, 4.5, 6.0, 1.5, 1.5]
        );
    }

    #[test]
    fn degenerate_input_has_a_reason() {
        let reason = |scores: &[f64], positive: &[bool]| delong(scores, positive).unwrap_err();
        assert_eq!(reason(&[], &[]), NotDefined::NoImage);
        assert_eq!(reason(&[0.1, 0.2], &[true, true]), NotDefined::OneClass);
        assert_eq!(reason(&[0.1, 0.2], &[true, false]), NotDefined::OneImageOfAClass);
        assert_eq!(
            reason(&[0.1, f64::NAN, 0.3], &[true, false, true]),
            NotDefined::NotFinite
        );
        let positive = [false, false, true, true];
        let perfect = delong(&[0.1, 0.2, 0.3, 0.4], &positive).unwrap();
        assert_eq!(perfect.auroc, 1.0);
        assert_eq!(perfect.interval(0.95), Err(NotDefined::NoVariation));
        assert_eq!(perfect.logit_interval(0.95), Err(NotDefined::NoVariation));
        let scores = [0.3, 0.1, 0.2, 0.4];
        assert_eq!(
            delong_paired(&scores, &scores, &positive),
            Err(NotDefined::NoVariation)
        );
        assert_eq!(
            delong(&scores, &positive).unwrap().interval(1.0),
            Err(NotDefined::OutOfRange)
        );
    }

    proptest! {
        /// The area is that of the ROC walk, and the paired variance is Var a + Var b − 2 Cov.
        #[test]
        fn agrees_with_the_ranking(images in prop::collection::vec((0..9_u8, 0..9_u8, any::<bool>()), 6..40)) {
            let column = |pick: fn(&(u8, u8, bool)) -> u8| -> Vec<f64> {
                images.iter().map(|image| f64::from(pick(image))).collect()
            };
            let (a, b) = (column(|image| image.0), column(|image| image.1));
            let positive: Vec<bool> = images.iter().map(|image| image.2).collect();
            let Ok(paired) = delong_paired(&a, &b, &positive) else { return Ok(()) };
            let ranking = crate::metrics::curves::Ranking::new(&a, &positive);
            let auroc = ranking.areas(&vec![1; a.len()]).auroc.unwrap();
            prop_assert!((paired.a.auroc - auroc).abs() < 1e-12);
            let variance = paired.a.variance + paired.b.variance - 2.0 * paired.covariance;
            prop_assert!((paired.variance - variance).abs() < 1e-12);
            prop_assert!((0.0..=1.0).contains(&paired.p_value));
        }
    }
}
