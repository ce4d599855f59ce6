//! Losses of images that have any number of classes: each class is a question of its own, answered yes or no.

use burn::tensor::activation::log_sigmoid;
use burn::tensor::{Tensor, TensorData};
use vpt_data::Label;

use crate::Loss;

/// Loss and targets where an image has any number of classes.
#[derive(Clone, Debug)]
pub struct BinaryObjective {
    /// How the answers are compared with the targets.
    pub loss: Loss,
    /// γ of [`Loss::Focal`].
    pub focal_gamma: f64,
    /// Share of a target that is doubt, 0..1: 1 becomes 1 - s / 2, and 0 becomes s / 2.
    pub smoothing: f32,
    /// How often an image of each class counts for that class.
    pub positive_weights: Vec<f32>,
}

impl BinaryObjective {
    /// The loss, summed over the images and its mean over the classes, so that it is comparable between tasks and with the
    /// `log_loss` of validation. `logits` and, where images are mixed, `soft` are `[batch, classes]`; `weights` `[batch]` is how
    /// much each image counts.
    pub fn loss(
        &self,
        logits: Tensor<2>,
        labels: &[Label],
        soft: Option<&[f32]>,
        weights: &[f32],
    ) -> Tensor<1> {
        let device = logits.device();
        let classes = self.positive_weights.len();
        let (present, absent) = self.shares(labels, soft, weights);
        let [present, absent] = [present, absent]
            .map(|shares| Tensor::from_data(TensorData::new(shares, [labels.len(), classes]), &device));
        let gamma = match self.loss {
            Loss::CrossEntropy => 0.0,
            Loss::Focal => self.focal_gamma,
        };
        binary_focal(logits, present, absent, gamma).div_scalar(classes as f32)
    }

    /// How much the answers yes and no of each image and class count, both `[batch, classes]`.
    pub(crate) fn shares(
        &self,
        labels: &[Label],
        soft: Option<&[f32]>,
        weights: &[f32],
    ) -> (Vec<f32>, Vec<f32>) {
        let (mut present, mut absent) = (vec![], vec![]);
        let targets = self.targets(labels, soft);
        for (row, weight) in targets.chunks_exact(self.positive_weights.len()).zip(weights) {
            let yes = row.iter().zip(&self.positive_weights);
            present.extend(yes.map(|(target, positive)| weight * target * positive));
            absent.extend(row.iter().map(|target| weight * (1.0 - target)));
        }
        (present, absent)
    }

    /// Rows of `[batch, classes]`: 1 for the classes of an image and 0 for all others (or what mixup or cutmix made of
    /// these), smoothed towards a half.
    fn targets(&self, labels: &[Label], soft: Option<&[f32]>) -> Vec<f32> {
        let classes = self.positive_weights.len();
        let mut rows = soft.map_or_else(|| vec![0.0; labels.len() * classes], <[f32]>::to_vec);
        if soft.is_none() {
            for (row, label) in rows.chunks_exact_mut(classes).zip(labels) {
                for &class in label.classes() {
                    row[class] = 1.0;
                }
            }
        }
        for target in &mut rows {
            *target = (1.0 - self.smoothing) * *target + self.smoothing / 2.0;
        }
        rows
    }
}

/// `-sum(y (1 - p)^gamma log(p) + n p^gamma log(1 - p))` over batch and classes with p = sigmoid(logits), and y (`present`) and n
/// (`absent`) how much yes and no are right, all `[batch, classes]`: for targets t, y = t and n = 1 - t times their weights. It is
/// binary cross-entropy for `gamma` 0, else the focal loss of Lin et al. (2017, arXiv 1708.02002, equation 4), which is defined for
/// this very case.
pub fn binary_focal(logits: Tensor<2>, present: Tensor<2>, absent: Tensor<2>, gamma: f64) -> Tensor<1> {
    // 1 - p is the sigmoid of the negated logit, so nothing is subtracted from 1, which would lose all digits.
    let (yes, no) = (log_sigmoid(logits.clone()), log_sigmoid(logits.neg()));
    let (of_yes, of_no) = if gamma == 0.0 {
        (yes, no)
    } else {
        let hard_yes = no.clone().mul_scalar(gamma).exp();
        let hard_no = yes.clone().mul_scalar(gamma).exp();
        (hard_yes * yes, hard_no * no)
    };
    (present * of_yes + absent * of_no).sum().neg()
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    const LOGITS: [f32; 6] = [0.0, -1.0, 2.0, 4.0, 0.3, -3.0];
    const TARGETS: [f32; 6] = [1.0, 0.0, 1.0, 0.25, 0.9, 0.0];
    const WEIGHTS: [f32; 3] = [1.0, 2.0, 0.5];

    fn tensor(values: &[f32], device: &Device) -> Tensor<2> {
        let shape = [values.len() / 3, 3];
        Tensor::from_data(TensorData::new(values.to_vec(), shape), device)
    }

    fn measured(logits: &[f32], targets: &[f32], gamma: f64) -> (f32, Vec<f32>) {
        let device = Device::flex().autodiff();
        let logits = tensor(logits, &device).require_grad();
        let present: Vec<f32> = targets
            .iter()
            .zip(WEIGHTS.iter().cycle())
            .map(|(t, w)| t * w)
            .collect();
        let absent: Vec<f32> = targets.iter().map(|target| 1.0 - target).collect();
        let value = binary_focal(
            logits.clone(),
            tensor(&present, &device),
            tensor(&absent, &device),
            gamma,
        );
        let grads = value.backward();
        let gradient = logits.grad(&grads).expect("has a gradient").into_data();
        (
            value.into_scalar::<f32>(),
            gradient.try_to_vec().expect("are float32"),
        )
    }

    /// The formula, in float64.
    fn expected(logits: &[f64; 6], gamma: f64) -> f64 {
        let each = logits.iter().zip(TARGETS).enumerate();
        each.map(|(at, (logit, target))| {
            let (p, target) = (1.0 / (1.0 + (-logit).exp()), f64::from(target));
            -(f64::from(WEIGHTS[at % 3]) * target * (1.0 - p).powf(gamma) * p.ln()
                + (1.0 - target) * p.powf(gamma) * (1.0 - p).ln())
        })
        .sum()
    }

    #[test]
    fn values_and_gradients_are_those_of_the_formula() {
        let logits = LOGITS.map(f64::from);
        for gamma in [0.0, 0.5, 1.0, 2.0, 5.0] {
            let (value, gradient) = measured(&LOGITS, &TARGETS, gamma);
            assert!(
                (f64::from(value) - expected(&logits, gamma)).abs() < 1e-5,
                "{gamma}"
            );
            for (index, got) in gradient.into_iter().enumerate() {
                let at = |step| {
                    let mut logits = logits;
                    logits[index] += step;
                    expected(&logits, gamma)
                };
                let slope = (at(1e-5) - at(-1e-5)) / 2e-5;
                assert!(
                    (f64::from(got) - slope).abs() < 1e-5,
                    "{gamma}, logit {index}: {got} {slope}"
                );
            }
        }
    }

    #[test]
    fn survives_enormous_logits() {
        for gamma in [0.0, 0.5, 2.0] {
            let (value, gradient) = measured(&[1e4, -1e4, 0.0], &[0.0, 1.0, 0.0], gamma);
            let (first, second) = (1e4, 2.0 * 1e4);
            let zero = 0.5f32.powf(gamma as f32) * 2.0f32.ln();
            assert!((value - (first + second + zero)).abs() < 1e-2, "{gamma}: {value}");
            assert!(gradient.iter().all(|x| x.is_finite()), "{gamma}: {gradient:?}");
        }
    }

    #[test]
    fn targets_are_smoothed_towards_a_half() {
        let objective = BinaryObjective {
            loss: Loss::CrossEntropy,
            focal_gamma: 2.0,
            smoothing: 0.2,
            positive_weights: vec![1.0; 3],
        };
        let rows = objective.targets(&[Label::many([0, 2]), Label::many([])], None);
        near(&rows, &[0.9, 0.1, 0.9, 0.1, 0.1, 0.1]);
        let mixed = objective.targets(&[Label::many([])], Some(&[0.5, 1.0, 0.0]));
        near(&mixed, &[0.5, 0.9, 0.1]);
    }

    fn near(got: &[f32], expected: &[f32]) {
        let differ = |(a, b): (&f32, &f32)| (a - b).abs() > 1e-6;
        assert!(!got.iter().zip(expected).any(differ), "{got:?} {expected:?}");
    }

    #[test]
    fn the_loss_is_a_mean_over_the_classes() {
        let objective = BinaryObjective {
            loss: Loss::CrossEntropy,
            focal_gamma: 2.0,
            smoothing: 0.0,
            positive_weights: vec![1.0; 3],
        };
        let logits = tensor(&[0.0; 6], &Device::flex());
        let labels = [Label::many([0]), Label::many([1, 2])];
        let loss = |weights| {
            objective
                .loss(logits.clone(), &labels, None, weights)
                .into_scalar::<f32>()
        };
        assert!((loss(&[1.0, 1.0]) - 2.0 * 2.0f32.ln()).abs() < 1e-6);
        assert!(
            (loss(&[0.5, 3.0]) - 3.5 * 2.0f32.ln()).abs() < 1e-6,
            "an image counts by its weight"
        );
    }
}
