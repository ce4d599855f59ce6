//! [`Knn`]: classification by the most similar training images, the baseline that learns nothing.

use ndarray::parallel::prelude::*;
use ndarray::{Array1, Array2, ArrayView1, Axis};

/// Weighted k nearest neighbours as DINO evaluates features (Caron et al. 2021, arXiv 2104.14294, `eval_knn.py`): by
/// cosine similarity, the vote of a neighbour of similarity `s` weighing `exp(s / temperature)`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Knn {
    /// Neighbours that vote; all, where there are fewer.
    pub k: usize,
    /// DINO's is 0.07.
    pub temperature: f32,
}

impl Knn {
    /// With DINO's temperature.
    pub fn new(k: usize) -> Self {
        Self { k, temperature: 0.07 }
    }

    /// The logarithm of each class's share of the votes, `[queries, classes]`; the training images `[images, D]` have the
    /// classes `labels`. A class without a vote has the share of a millionth, so that the loss stays finite.
    ///
    /// # Panics
    /// When `train` and `labels` have another length, a label is no class, or widths differ (programming errors).
    pub fn log_shares(
        &self,
        train: &Array2<f32>,
        labels: &[usize],
        queries: &Array2<f32>,
        classes: usize,
    ) -> Array2<f32> {
        assert_eq!(train.nrows(), labels.len(), "a label for each training image");
        let train = unit_rows(train);
        let mut shares = Array2::zeros((queries.nrows(), classes));
        shares
            .axis_iter_mut(Axis(0))
            .into_par_iter()
            .zip(queries.axis_iter(Axis(0)).into_par_iter())
            .for_each(|(mut row, query)| row.assign(&self.vote(&train, labels, &query, classes)));
        shares
    }

    fn vote(
        &self,
        train: &Array2<f32>,
        labels: &[usize],
        query: &ArrayView1<'_, f32>,
        classes: usize,
    ) -> Array1<f32> {
        let similarity = train.dot(query) / norm(query);
        let mut order: Vec<usize> = (0..labels.len()).collect();
        // The more similar first, of equals the earlier: the same neighbours on every machine.
        let nearer = |&a: &usize, &b: &usize| similarity[b].total_cmp(&similarity[a]).then(a.cmp(&b));
        if self.k < order.len() {
            order.select_nth_unstable_by(self.k, nearer);
            order.truncate(self.k);
        }
        order.sort_unstable_by(nearer);
        let mut votes = Array1::<f32>::zeros(classes);
        let most = order.first().map_or(0.0, |&nearest| similarity[nearest]);
        for neighbour in order {
            votes[labels[neighbour]] += ((similarity[neighbour] - most) / self.temperature).exp();
        }
        let total = votes.sum().max(f32::MIN_POSITIVE);
        votes.mapv(|vote| (vote / total).max(1e-6).ln())
    }
}

fn unit_rows(features: &Array2<f32>) -> Array2<f32> {
    let mut rows = features.clone();
    for mut row in rows.axis_iter_mut(Axis(0)) {
        let length = norm(&row.view());
        row /= length;
    }
    rows
}

/// The length of a vector, 1 for the zero vector.
fn norm(row: &ArrayView1<'_, f32>) -> f32 {
    let length = row.dot(row).sqrt();
    if length > 0.0 { length } else { 1.0 }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn direction_decides_not_length() {
        let train = array![[1.0, 0.0], [5.0, 0.5], [0.0, 2.0]];
        let shares = Knn::new(1).log_shares(&train, &[0, 0, 1], &array![[0.1, 0.0], [0.0, 9.0]], 2);
        assert_eq!(shares.row(0).to_vec(), [0.0, 1e-6f32.ln()]);
        assert_eq!(shares.row(1).to_vec(), [1e-6f32.ln(), 0.0]);
    }

    #[test]
    fn votes_weigh_by_similarity() {
        let train = array![[1.0f32, 0.0], [0.6, 0.8], [0.6, -0.8]];
        let shares = Knn::new(3).log_shares(&train, &[0, 1, 1], &array![[1.0, 0.0]], 2);
        // exp(1 / 0.07) against twice exp(0.6 / 0.07).
        let others = 2.0 * (-0.4f32 / 0.07).exp();
        assert!(
            (shares[[0, 0]] - (1.0 / (1.0 + others)).ln()).abs() < 1e-4,
            "{shares}"
        );
        assert!(
            (shares[[0, 1]] - (others / (1.0 + others)).ln()).abs() < 1e-4,
            "{shares}"
        );
    }

    #[test]
    fn more_neighbours_than_images_are_all_of_them() {
        let train = array![[1.0, 0.0], [0.0, 0.0]];
        let shares = Knn::new(99).log_shares(&train, &[0, 1], &array![[0.0, 0.0]], 2);
        assert!((shares[[0, 0]] - 0.5f32.ln()).abs() < 1e-6, "{shares}");
    }
}
