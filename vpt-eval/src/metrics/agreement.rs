//! Agreement between prediction and label beyond chance: Matthews correlation, Cohen's kappa.

use super::accuracy;
use super::confusion::ClassCounts;

/// Matthews correlation coefficient for any number of classes (Gorodkin 2004); 0 where it is 0/0, as scikit-learn has it.
pub fn mcc(counts: &ClassCounts) -> Option<f64> {
    let total = counts.total as f64;
    let hits: u64 = counts.hits.iter().sum();
    let covariance = |a: &[u64], b: &[u64]| total * total - dot(a, b);
    let cross = hits as f64 * total - dot(&counts.actual, &counts.predicted);
    let scale = (covariance(&counts.actual, &counts.actual)
        * covariance(&counts.predicted, &counts.predicted))
    .sqrt();
    (counts.total > 0).then(|| if scale > 0.0 { cross / scale } else { 0.0 })
}

/// Cohen's kappa; `None` where chance alone would agree fully (one class only).
pub fn cohen_kappa(counts: &ClassCounts) -> Option<f64> {
    let total = counts.total as f64;
    let hits: u64 = counts.hits.iter().sum();
    kappa(
        total - hits as f64,
        total - dot(&counts.actual, &counts.predicted) / total,
    )
}

/// Cohen's kappa with quadratic weights, for classes in an order: being two grades off costs four times one grade.
pub fn quadratic_kappa(
    labels: &[usize],
    preds: &[usize],
    weights: &[u32],
    counts: &ClassCounts,
) -> Option<f64> {
    let squared = |a: usize, b: usize| (a as f64 - b as f64).powi(2);
    let pairs = labels.iter().zip(preds).zip(weights);
    let observed: f64 = pairs
        .map(|((&label, &pred), &weight)| f64::from(weight) * squared(label, pred))
        .sum();
    let expected = expected_squared_distance(&counts.actual, &counts.predicted, counts.total as f64);
    kappa(observed, expected)
}

/// How many grades predictions are off, on average.
pub fn mean_distance(labels: &[usize], preds: &[usize], weights: &[u32]) -> Option<f64> {
    let pairs = labels.iter().zip(preds).zip(weights);
    let (sum, images) = pairs.fold((0.0, 0.0), |(sum, images), ((&label, &pred), &weight)| {
        let weight = f64::from(weight);
        (sum + weight * label.abs_diff(pred) as f64, images + weight)
    });
    (images > 0.0).then(|| sum / images)
}

/// Share of images that are off by one grade at most.
pub fn within_one(labels: &[usize], preds: &[usize], weights: &[u32]) -> Option<f64> {
    let near = |(label, pred): (&usize, &usize)| label.abs_diff(*pred) <= 1;
    accuracy::share(labels.iter().zip(preds).map(near), weights)
}

/// Σ aᵢ bⱼ (i − j)² / total, expanded into moments so that it costs one pass over the classes.
fn expected_squared_distance(a: &[u64], b: &[u64], total: f64) -> f64 {
    let moment = |counts: &[u64], power: i32| -> f64 {
        counts
            .iter()
            .enumerate()
            .map(|(i, &n)| n as f64 * (i as f64).powi(power))
            .sum()
    };
    (moment(a, 2) * total - 2.0 * moment(a, 1) * moment(b, 1) + moment(b, 2) * total) / total
}

fn kappa(observed: f64, expected: f64) -> Option<f64> {
    (expected > 0.0).then(|| 1.0 - observed / expected)
}

fn dot(a: &[u64], b: &[u64]) -> f64 {
    a.iter().zip(b).map(|(&x, &y)| x as f64 * y as f64).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grades_near_the_truth_count() {
        let (labels, preds) = ([0, 1, 2, 3], [0, 2, 0, 3]);
        assert_eq!(mean_distance(&labels, &preds, &[1; 4]), Some(0.75));
        assert_eq!(within_one(&labels, &preds, &[1; 4]), Some(0.75));
        assert_eq!(mean_distance(&labels, &preds, &[0, 0, 3, 1]), Some(1.5));
        assert_eq!(
            (mean_distance(&[], &[], &[]), within_one(&[], &[], &[])),
            (None, None)
        );
    }

    #[test]
    fn full_agreement_is_one_and_chance_is_zero() {
        let labels = [0, 0, 1, 1, 2, 2];
        let counts = |preds: &[usize]| ClassCounts::new(&labels, preds, &[1; 6], 3);
        let same = counts(&labels);
        assert_eq!((mcc(&same), cohen_kappa(&same)), (Some(1.0), Some(1.0)));
        assert_eq!(quadratic_kappa(&labels, &labels, &[1; 6], &same), Some(1.0));
        let constant = counts(&[1; 6]);
        assert_eq!((mcc(&constant), cohen_kappa(&constant)), (Some(0.0), Some(0.0)));
    }
}
