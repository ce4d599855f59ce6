//! [`Targets`]: hard labels, smoothing, class weights and mixed images in one form.

/// Turns labels into the target distributions that a [`crate::Loss`] reads.
#[derive(Clone, Debug)]
pub struct Targets {
    /// Share of the target that is spread evenly over all classes, 0..1.
    pub smoothing: f32,
    /// How far the target of a grade spreads to its neighbours: standard deviation in grades, 0 keeps it in one place.
    pub grade_spread: f32,
    /// One weight per class.
    pub weights: Vec<f32>,
}

impl Targets {
    /// Rows of a `[batch, classes]` matrix: the label's row of 0 and 1 (or the row of `soft`, what mixup or cutmix made of
    /// it), spread over neighbouring grades (`exp(-(i - j)² / (2 spread²))`, as in Díaz & Marathe 2019, "Soft Labels for
    /// Ordinal Regression"), smoothed, then scaled by the weight of its class (of its classes, in their proportion).
    pub fn rows(&self, labels: &[usize], soft: Option<&[f32]>) -> Vec<f32> {
        let classes = self.weights.len();
        let mut rows = match soft {
            Some(soft) => soft.to_vec(),
            None => one_hot(labels, classes),
        };
        for row in rows.chunks_exact_mut(classes) {
            let weight: f32 = row
                .iter()
                .zip(&self.weights)
                .map(|(share, weight)| share * weight)
                .sum();
            if self.grade_spread > 0.0 {
                row.copy_from_slice(&spread(row, self.grade_spread));
            }
            for share in row {
                *share = weight * ((1.0 - self.smoothing) * *share + self.smoothing / classes as f32);
            }
        }
        rows
    }
}

/// Shares of grades, each spread over its neighbours.
fn spread(shares: &[f32], deviation: f32) -> Vec<f32> {
    let mut spread = vec![0.0; shares.len()];
    for (grade, share) in shares.iter().enumerate().filter(|(_, share)| **share > 0.0) {
        let near = |other: usize| (-0.5 * (other.abs_diff(grade) as f32 / deviation).powi(2)).exp();
        let sum: f32 = (0..shares.len()).map(near).sum();
        for (other, target) in spread.iter_mut().enumerate() {
            *target += share * near(other) / sum;
        }
    }
    spread
}

fn one_hot(labels: &[usize], classes: usize) -> Vec<f32> {
    let mut rows = vec![0.0; labels.len() * classes];
    for (image, &label) in labels.iter().enumerate() {
        rows[image * classes + label] = 1.0;
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cross_entropy;
    use burn::tensor::{Device, Tensor, TensorData};

    fn loss(logits: &[f32], rows: Vec<f32>, classes: usize) -> f32 {
        let shape = [logits.len() / classes, classes];
        let logits = Tensor::from_data(TensorData::new(logits.to_vec(), shape), &Device::flex());
        let targets = Tensor::from_data(TensorData::new(rows, shape), &Device::flex());
        cross_entropy(logits, targets).into_scalar::<f32>()
    }

    fn plain(classes: usize) -> Targets {
        Targets {
            smoothing: 0.0,
            grade_spread: 0.0,
            weights: vec![1.0; classes],
        }
    }

    #[test]
    fn smoothing_is_the_mean_over_classes_in_its_share() {
        let logits = [0.3, -1.0, 2.0];
        let each: f32 = (0..3)
            .map(|class| loss(&logits, plain(3).rows(&[class], None), 3))
            .sum();
        let smooth = Targets {
            smoothing: 0.1,
            ..plain(3)
        };
        let hard = loss(&logits, plain(3).rows(&[2], None), 3);
        let value = loss(&logits, smooth.rows(&[2], None), 3);
        assert!((value - (0.9 * hard + 0.1 * each / 3.0)).abs() < 1e-6);
    }

    #[test]
    fn grades_spread_to_their_neighbours() {
        let grades = Targets {
            grade_spread: 0.7,
            ..plain(4)
        };
        let rows = grades.rows(&[1, 3], None);
        let (middle, end) = rows.split_at(4);
        for row in [middle, end] {
            assert!((row.iter().sum::<f32>() - 1.0).abs() < 1e-6, "{row:?}");
        }
        assert_eq!(middle[0], middle[2]);
        assert!(middle[1] > middle[2] && middle[2] > middle[3]);
        assert!((middle[2] / middle[1] - (-0.5_f32 / 0.49).exp()).abs() < 1e-6);
        assert!(end.is_sorted());
        let nearly_hard = Targets {
            grade_spread: 0.01,
            ..plain(4)
        };
        assert_eq!(nearly_hard.rows(&[1], None), plain(4).rows(&[1], None));
    }

    #[test]
    fn soft_targets_mix_the_losses_and_the_weights() {
        let logits = [0.3, -1.0, 2.0];
        let of = |targets: &Targets, class| loss(&logits, targets.rows(&[class], None), 3);
        let mixed = loss(&logits, plain(3).rows(&[9], Some(&[0.25, 0.0, 0.75])), 3);
        assert!((mixed - (0.25 * of(&plain(3), 0) + 0.75 * of(&plain(3), 2))).abs() < 1e-6);
        let weighted = Targets {
            weights: vec![4.0, 1.0, 0.0],
            ..plain(3)
        };
        let value = loss(&logits, weighted.rows(&[9], Some(&[0.25, 0.0, 0.75])), 3);
        assert!((value - mixed).abs() < 1e-6, "0.25 * 4 + 0.75 * 0 = 1");
    }
}
