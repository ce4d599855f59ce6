//! [`LogisticRegression`]: a linear probe as the convex problem that it is.

use std::ops::Range;

use ndarray::linalg::general_mat_mul;
use ndarray::{Array1, Array2, ArrayView1, ArrayView2, ArrayViewMut1, Axis, Slice, concatenate, s};
use rayon::prelude::*;

use crate::cholesky;

/// A linear layer on fixed features that makes a mean loss plus `l2 / 2` times the squared weights small; biases are not
/// penalised. scikit-learn's `LogisticRegression(C = 1 / (l2 * images))` is the same problem.
///
/// Parameters are one vector: the weights `[classes, D]` row by row, then the biases `[classes]`.
pub struct LogisticRegression<'a> {
    /// `[images, D]`.
    pub features: ArrayView2<'a, f32>,
    /// What the images are, `[images, classes]`: shares of the classes, scaled by how much the image counts
    /// ([`Link::Softmax`]), or how much it counts that each class is there ([`Link::Sigmoid`]).
    pub targets: ArrayView2<'a, f32>,
    /// From scores to probabilities.
    pub link: Link<'a>,
    /// Strength of the penalty.
    pub l2: f64,
}

/// From the scores of an image to probabilities, and the loss that goes with it.
pub enum Link<'a> {
    /// One class for an image: `-sum(t log(softmax(z + offset)))`.
    Softmax {
        /// What is added to the scores of each class, from logit adjustment.
        offset: Vec<f64>,
    },
    /// Any number of classes: a binary problem for each, summed, `-(t log(sigmoid(z)) + a log(1 - sigmoid(z)))`.
    Sigmoid {
        /// How much it counts that each class is not there, `[images, classes]`.
        absent: ArrayView2<'a, f32>,
    },
}

/// Rows are taken in so many parts at most, whose sums are added in order: the same bits for any number of threads.
const PARTS: usize = 32;

/// Fewest rows of a part.
const FEWEST_ROWS: usize = 128;

impl LogisticRegression<'_> {
    /// Mean loss with the penalty and its gradient at the parameters `x`.
    pub fn evaluate(&self, x: &[f64]) -> (f64, Vec<f64>) {
        let (images, dim) = self.features.dim();
        let classes = self.targets.ncols();
        let (weights, bias) = x.split_at(classes * dim);
        let weights =
            ArrayView2::from_shape((classes, dim), weights).expect("as many as classes and features");
        let bias = ArrayView1::from(bias);
        let parts: Vec<_> = self
            .parts()
            .into_par_iter()
            .map(|rows| self.part(rows, &weights, &bias))
            .collect();
        let mut loss = 0.0;
        let (mut by_weights, mut by_bias) = (Array2::zeros((classes, dim)), Array1::zeros(classes));
        for part in parts {
            loss += part.0;
            by_weights += &part.1;
            by_bias += &part.2;
        }
        let share = 1.0 / images.max(1) as f64;
        by_weights *= share;
        by_bias *= share;
        by_weights.scaled_add(self.l2, &weights);
        let squared: f64 = weights.iter().map(|weight| weight * weight).sum();
        let gradient = by_weights.into_iter().chain(by_bias).collect();
        (loss * share + 0.5 * self.l2 * squared, gradient)
    }

    /// Divides by a guess at the curvature: as if all classes of all images were equally likely, half the second moments of the
    /// features with a 1 for the bias (Böhning 1992, "Multinomial logistic regression algorithm") plus the penalty, for each class.
    /// Features of very unlike scales, or that move together, then cost no more steps than others.
    pub fn curvature(&self) -> Curvature {
        let (images, dim) = self.features.dim();
        let mut moments = Array2::<f64>::zeros((dim + 1, dim + 1));
        for part in self.parts() {
            let features = self.rows(part);
            let ones = Array2::ones((features.nrows(), 1));
            let wide = concatenate![Axis(1), features, ones];
            general_mat_mul(0.5 / images.max(1) as f64, &wide.t(), &wide, 1.0, &mut moments);
        }
        for i in 0..dim {
            moments[[i, i]] += self.l2;
        }
        Curvature {
            inverse: cholesky::inverse(&moments),
        }
    }

    /// Mean loss without the penalty, of [`LogisticRegression::evaluate`]'s value at `x`.
    pub fn without_penalty(&self, value: f64, x: &[f64]) -> f64 {
        let weights = &x[..x.len() - self.targets.ncols()];
        value - 0.5 * self.l2 * weights.iter().map(|weight| weight * weight).sum::<f64>()
    }

    fn parts(&self) -> Vec<Range<usize>> {
        let images = self.features.nrows();
        let rows = images.div_ceil(PARTS).max(FEWEST_ROWS);
        let firsts = (0..images).step_by(rows);
        firsts.map(|first| first..(first + rows).min(images)).collect()
    }

    fn rows(&self, rows: Range<usize>) -> Array2<f64> {
        self.features
            .slice_axis(Axis(0), Slice::from(rows))
            .mapv(f64::from)
    }

    /// Loss, summed over some images, and its gradients by weights and biases.
    fn part(
        &self,
        rows: Range<usize>,
        weights: &ArrayView2<'_, f64>,
        bias: &ArrayView1<'_, f64>,
    ) -> (f64, Array2<f64>, Array1<f64>) {
        let targets = self.targets.slice_axis(Axis(0), Slice::from(rows.clone()));
        let features = self.rows(rows.clone());
        let mut scores = features.dot(&weights.t()) + bias;
        let each = scores.outer_iter_mut().zip(targets.outer_iter());
        let loss = match &self.link {
            Link::Softmax { offset } => each
                .map(|(scores, shares)| softmax_loss(scores, offset, &shares))
                .sum(),
            Link::Sigmoid { absent } => {
                let absent = absent.slice_axis(Axis(0), Slice::from(rows));
                each.zip(absent.outer_iter())
                    .map(|((scores, present), absent)| sigmoid_loss(scores, &present, &absent))
                    .sum()
            }
        };
        (loss, scores.t().dot(&features), scores.sum_axis(Axis(0)))
    }
}

/// See [`LogisticRegression::curvature`].
pub struct Curvature {
    /// `[D + 1, D + 1]`, the bias last.
    inverse: Array2<f64>,
}

impl Curvature {
    /// A vector of parameters, divided by the curvature.
    pub fn scaled(&self, x: &[f64]) -> Vec<f64> {
        let width = self.inverse.nrows();
        let classes = x.len() / width;
        let (weights, bias) = x.split_at(x.len() - classes);
        let weights = ArrayView2::from_shape((classes, width - 1), weights).expect("as many as features");
        let bias = ArrayView2::from_shape((classes, 1), bias).expect("one for each class");
        let scaled = concatenate![Axis(1), weights, bias].dot(&self.inverse);
        let parts = [
            scaled.slice(s![.., ..width - 1]),
            scaled.slice(s![.., width - 1..]),
        ];
        parts.into_iter().flatten().copied().collect()
    }
}

/// The loss of one image of one class; its gradient takes the place of the scores.
fn softmax_loss(mut scores: ArrayViewMut1<'_, f64>, offset: &[f64], shares: &ArrayView1<'_, f32>) -> f64 {
    scores += &ArrayView1::from(offset);
    let most = scores.fold(f64::NEG_INFINITY, |most, score| score.max(most));
    let log_sum = most + scores.iter().map(|score| (score - most).exp()).sum::<f64>().ln();
    let weight: f64 = shares.iter().map(|&share| f64::from(share)).sum();
    let mut loss = 0.0;
    for (score, &share) in scores.iter_mut().zip(shares) {
        let share = f64::from(share);
        loss += share * (log_sum - *score);
        *score = weight * (*score - log_sum).exp() - share;
    }
    loss
}

/// The loss of one image of any number of classes; its gradient takes the place of the scores.
fn sigmoid_loss(
    mut scores: ArrayViewMut1<'_, f64>,
    present: &ArrayView1<'_, f32>,
    absent: &ArrayView1<'_, f32>,
) -> f64 {
    let mut loss = 0.0;
    for ((score, &yes), &no) in scores.iter_mut().zip(present).zip(absent) {
        let (yes, no, z) = (f64::from(yes), f64::from(no), *score);
        loss += yes * softplus(-z) + no * softplus(z);
        *score = no * sigmoid(z) - yes * sigmoid(-z);
    }
    loss
}

/// log(1 + e^z).
fn softplus(z: f64) -> f64 {
    z.max(0.0) + (-z.abs()).exp().ln_1p()
}

fn sigmoid(z: f64) -> f64 {
    (-softplus(-z)).exp()
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;
    use crate::Lbfgs;

    /// Made by scripts/export_logistic.py.
    #[derive(Deserialize)]
    struct Fixture {
        images: usize,
        dim: usize,
        classes: usize,
        features: Vec<f32>,
        problems: std::collections::BTreeMap<String, Solved>,
    }

    #[derive(Deserialize)]
    struct Solved {
        targets: Vec<f32>,
        l2: f64,
        positive_weights: Option<Vec<f64>>,
        weights: Vec<f64>,
        bias: Vec<f64>,
        loss: f64,
    }

    impl Solved {
        /// How much presence and absence count.
        fn shares(&self) -> (Vec<f32>, Vec<f32>) {
            let absent = self.targets.iter().map(|target| 1.0 - target).collect();
            match &self.positive_weights {
                None => (self.targets.clone(), absent),
                Some(weights) => {
                    let weights = weights.iter().cycle();
                    let present = self.targets.iter().zip(weights);
                    (
                        present.map(|(target, weight)| target * *weight as f32).collect(),
                        absent,
                    )
                }
            }
        }
    }

    impl Fixture {
        fn read() -> Self {
            serde_json::from_str(include_str!("../tests/fixtures/logistic.json")).expect("is a fixture")
        }

        fn problem<'a>(
            &'a self,
            solved: &Solved,
            (targets, absent): &'a (Vec<f32>, Vec<f32>),
        ) -> LogisticRegression<'a> {
            let view = |values: &'a [f32]| {
                ArrayView2::from_shape((self.images, values.len() / self.images), values).expect("fits")
            };
            LogisticRegression {
                features: view(&self.features),
                targets: view(targets),
                link: match &solved.positive_weights {
                    Some(_) => Link::Sigmoid { absent: view(absent) },
                    None => Link::Softmax {
                        offset: vec![0.0; self.classes],
                    },
                },
                l2: solved.l2,
            }
        }
    }

    #[test]
    fn solutions_are_those_of_scikit_learn() {
        let fixture = Fixture::read();
        assert_eq!(fixture.problems.len(), 4);
        for (name, solved) in &fixture.problems {
            let shares = solved.shares();
            let problem = fixture.problem(solved, &shares);
            let solver = Lbfgs {
                tolerance: 1e-11,
                ..Lbfgs::default()
            };
            let start = vec![0.0; fixture.classes * (fixture.dim + 1)];
            let curvature = problem.curvature();
            let scaled = |x: &[f64]| curvature.scaled(x);
            let minimum = solver.minimise(start.clone(), scaled, |x| problem.evaluate(x));
            let loss = problem.without_penalty(minimum.value, &minimum.x);
            assert!(
                (loss - solved.loss).abs() < 1e-7,
                "{name}: {loss} {}",
                solved.loss
            );
            for (found, expected) in minimum.x.iter().zip(solved.weights.iter().chain(&solved.bias)) {
                assert!(
                    (found - expected).abs() < 1e-5 * expected.abs().max(1.0),
                    "{name}: {found} {expected}"
                );
            }
            assert!(minimum.iterations < 100, "{name}: {minimum:?}");
            let usual = Lbfgs::default().minimise(start, scaled, |x| problem.evaluate(x));
            assert!(
                (usual.value - minimum.value).abs() < 1e-7,
                "{name}: {} {}",
                usual.value,
                minimum.value
            );
        }
    }

    #[test]
    fn gradients_are_slopes() {
        let fixture = Fixture::read();
        for (name, solved) in &fixture.problems {
            let shares = solved.shares();
            let mut problem = fixture.problem(solved, &shares);
            if let Link::Softmax { offset } = &mut problem.link {
                *offset = vec![0.3, -0.2, 1.0, -2.0];
            }
            let x: Vec<f64> = (0..fixture.classes * (fixture.dim + 1))
                .map(|i| (i as f64).sin())
                .collect();
            let (_, gradient) = problem.evaluate(&x);
            for (i, found) in gradient.iter().enumerate() {
                let at = |step: f64| {
                    let mut x = x.clone();
                    x[i] += step;
                    problem.evaluate(&x).0
                };
                let slope = (at(1e-5) - at(-1e-5)) / 2e-5;
                assert!((found - slope).abs() < 1e-7, "{name}, {i}: {found} {slope}");
            }
        }
    }

    #[test]
    fn no_score_is_too_large() {
        let features = ArrayView2::from_shape((1, 1), &[1e3f32]).expect("fits");
        let targets = ArrayView2::from_shape((1, 2), &[0.0f32, 1.0]).expect("fits");
        let absent = ArrayView2::from_shape((1, 2), &[1.0f32, 0.0]).expect("fits");
        for link in [Link::Softmax { offset: vec![0.0; 2] }, Link::Sigmoid { absent }] {
            let problem = LogisticRegression {
                features,
                targets,
                link,
                l2: 0.0,
            };
            let (loss, gradient) = problem.evaluate(&[1e3, -1e3, 0.0, 0.0]);
            assert!(
                loss.is_finite() && gradient.iter().all(|slope| slope.is_finite()),
                "{loss} {gradient:?}"
            );
            assert_eq!(problem.evaluate(&[-1e3, 1e3, 0.0, 0.0]).0, 0.0);
        }
    }
}
