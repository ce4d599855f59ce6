//! Accuracy: top-1, top-k, balanced.

use ndarray::{Array2, ArrayView1};

use super::View;
use super::confusion::ClassCounts;

/// How many classes go before the true one, for each row of `logits` `[images, classes]`.
///
/// Among equal logits the higher index goes first, as in scikit-learn's `top_k_accuracy_score`.
pub fn truth_ranks(logits: &Array2<f32>, labels: &[usize]) -> Vec<usize> {
    let rank = |(row, &label): (ArrayView1<f32>, &usize)| {
        let truth = row[label];
        row.iter()
            .enumerate()
            .filter(|&(class, &x)| x > truth || (x == truth && class > label))
            .count()
    };
    logits.rows().into_iter().zip(labels).map(rank).collect()
}

/// Whether the prediction of an image is its label; `None` where images have any number of classes.
pub(super) fn is_right(view: &View, image: usize) -> Option<bool> {
    Some(view.labels().get(image)? == view.preds().get(image)?)
}

/// Share of images whose prediction is the label.
pub fn accuracy(labels: &[usize], preds: &[usize], weights: &[u32]) -> Option<f64> {
    share(
        labels.iter().zip(preds).map(|(label, pred)| label == pred),
        weights,
    )
}

/// Share of images with fewer than `k` classes before the true one (see [`truth_ranks`]).
pub fn top_k(ranks: &[usize], weights: &[u32], k: usize) -> Option<f64> {
    share(ranks.iter().map(|&rank| rank < k), weights)
}

/// Mean recall over the classes that have an image.
pub fn balanced_accuracy(counts: &ClassCounts) -> Option<f64> {
    super::mean_of_defined((0..counts.num_classes()).map(|class| counts.recall(class)))
}

pub(super) fn share(hits: impl Iterator<Item = bool>, weights: &[u32]) -> Option<f64> {
    let add = |(hit, all): (u64, u64), (is_hit, &weight): (bool, &u32)| {
        (
            hit + u64::from(is_hit) * u64::from(weight),
            all + u64::from(weight),
        )
    };
    let (hit, all) = hits.zip(weights).fold((0, 0), add);
    (all > 0).then(|| hit as f64 / all as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn ranks_follow_scikit_learn_on_ties() {
        let logits = array![[0.5, 0.5, 0.1], [0.2, 0.4, 0.9]];
        assert_eq!(truth_ranks(&logits, &[0, 2]), [1, 0]);
    }
}
