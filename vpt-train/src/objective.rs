//! [`Objective`]: from the logits of a batch to the number that training makes small.

use burn::tensor::{Tensor, TensorData};
use vpt_data::{Label, TaskKind};

use crate::{BinaryObjective, Loss, Targets, TrainConfig};

/// Loss, targets and logit adjustment of a run. Only training knows them: validation, test and inference see the logits as
/// they are.
#[derive(Clone, Debug)]
pub struct Objective {
    /// What the logits are compared with.
    pub targets: Targets,
    /// How they are compared.
    pub loss: Loss,
    /// γ of [`Loss::Focal`].
    pub focal_gamma: f64,
    /// What is added to the logits of each class while training; nothing without `--logit-adjustment`.
    pub adjustment: Option<Vec<f32>>,
    /// Where an image has any number of classes, this alone.
    pub binary: Option<BinaryObjective>,
    /// Mean weight of the training images, by which their weights are divided: they move the loss between images and not the
    /// learning rate.
    pub mean_weight: f32,
}

/// γ of the focal loss unless `--focal-gamma` says otherwise: that of Lin et al.
const FOCAL_GAMMA: f64 = 2.0;

impl Objective {
    /// What `config` asks for with so many training images of each class, and with `weights`, how much each of them counts.
    pub fn new(config: &TrainConfig, counts: &[usize], weights: &[f32]) -> Self {
        let images = weights.len();
        let focal_gamma = config.focal_gamma.unwrap_or(FOCAL_GAMMA);
        let binary = || BinaryObjective {
            loss: config.loss,
            focal_gamma,
            smoothing: config.smoothing as f32,
            positive_weights: config.class_weights.positive_weights(counts, images),
        };
        Self {
            binary: (config.kind() == TaskKind::MultiLabel).then(binary),
            targets: Targets {
                smoothing: config.smoothing as f32,
                grade_spread: config.grade_spread as f32,
                weights: config.class_weights.weights(counts),
            },
            loss: config.loss,
            focal_gamma,
            adjustment: config.logit_adjustment.map(|tau| log_priors(counts, tau)),
            mean_weight: mean(weights),
        }
    }

    /// How much each class of each image counts, `[images, classes]`: its share of the image, in the loss of one class for an
    /// image; or, where each class is a question of its own, its presence, and beside it its absence.
    pub(crate) fn shares(&self, labels: &[Label], weights: &[f32]) -> (Vec<f32>, Option<Vec<f32>>) {
        let weights = self.relative(weights);
        match &self.binary {
            Some(binary) => {
                let (present, absent) = binary.shares(labels, None, &weights);
                (present, Some(absent))
            }
            None => (self.rows(labels, None, &weights), None),
        }
    }

    /// The loss, summed over the images; `logits` and, where images are mixed, `soft` are `[batch, classes]`. `weights` `[batch]` is
    /// how much each image counts.
    pub fn loss(
        &self,
        logits: Tensor<2>,
        labels: &[Label],
        soft: Option<&[f32]>,
        weights: &[f32],
    ) -> Tensor<1> {
        let weights = self.relative(weights);
        if let Some(binary) = &self.binary {
            return binary.loss(logits, labels, soft, &weights);
        }
        let device = logits.device();
        let classes = self.targets.weights.len();
        let rows = TensorData::new(self.rows(labels, soft, &weights), [labels.len(), classes]);
        let logits = match &self.adjustment {
            Some(terms) => logits + Tensor::from_data(TensorData::new(terms.clone(), [1, classes]), &device),
            None => logits,
        };
        self.loss
            .value(logits, Tensor::from_data(rows, &device), self.focal_gamma)
    }

    /// Shares of the classes, `[images, classes]`, scaled by how much each image counts.
    fn rows(&self, labels: &[Label], soft: Option<&[f32]>, weights: &[f32]) -> Vec<f32> {
        let labels: Vec<usize> = labels.iter().filter_map(Label::class).collect();
        let mut rows = self.targets.rows(&labels, soft);
        for (row, weight) in rows.chunks_exact_mut(self.targets.weights.len()).zip(weights) {
            for share in row {
                *share *= weight;
            }
        }
        rows
    }

    fn relative(&self, weights: &[f32]) -> Vec<f32> {
        weights.iter().map(|weight| weight / self.mean_weight).collect()
    }
}

/// Of no weights it is 1.
fn mean(weights: &[f32]) -> f32 {
    let sum: f64 = weights.iter().copied().map(f64::from).sum();
    match weights.len() {
        0 => 1.0,
        images => (sum / images as f64) as f32,
    }
}

/// τ log(π_c) for every class, π_c its share of the training images (Menon et al. 2021, arXiv 2007.07314, equation 10). With
/// these added in training, the logits without them rank the classes as if they were equally frequent. A class without
/// images counts as one of one image.
fn log_priors(counts: &[usize], tau: f64) -> Vec<f32> {
    let all = counts.iter().sum::<usize>().max(1) as f64;
    counts
        .iter()
        .map(|&count| (tau * (count.max(1) as f64 / all).ln()) as f32)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;
    use vpt_core::methods::{MethodConfig, MethodOptions};

    use crate::ClassWeights;

    const COUNTS: [usize; 3] = [60, 30, 10];

    fn config() -> TrainConfig {
        let method = MethodConfig::parse("linear", &MethodOptions::default()).expect("is a method");
        TrainConfig::defaults_for(method)
    }

    fn loss(config: &TrainConfig, logits: &[f32; 3], label: usize) -> f64 {
        let logits = Tensor::from_data(TensorData::new(logits.to_vec(), [1, 3]), &Device::flex());
        let loss = Objective::new(config, &COUNTS, &[1.0; 100]).loss(logits, &[label.into()], None, &[1.0]);
        f64::from(loss.into_scalar::<f32>())
    }

    #[test]
    fn adjusted_logits_pay_for_the_frequency_of_their_class() {
        let logits = [0.5, -0.2, 1.5];
        for tau in [0.5, 1.0, 2.0] {
            let config = TrainConfig {
                logit_adjustment: Some(tau),
                ..config()
            };
            for label in 0..3 {
                // log(1 + sum over the others of (π_other / π_label)^τ e^(f_other - f_label)), equation 10.
                let others = (0..3).filter(|&other| other != label).map(|other| {
                    (COUNTS[other] as f64 / COUNTS[label] as f64).powf(tau)
                        * (f64::from(logits[other]) - f64::from(logits[label])).exp()
                });
                let expected = (1.0 + others.sum::<f64>()).ln();
                let got = loss(&config, &logits, label);
                assert!((got - expected).abs() < 1e-5, "{tau} {label}: {got} {expected}");
            }
        }
        let none = log_priors(&[0, 5], 1.0);
        assert!(none.iter().all(|term| term.is_finite()), "{none:?}");
    }

    /// The loss of each kind of task is linear in the weights, of which only proportions matter; mixed images have mixed weights.
    #[test]
    fn images_count_by_their_weights() {
        let logits = [0.5, -0.2, 1.5, 0.1, 0.3, -1.0];
        let several = [Label::many([0, 2]), Label::many([])];
        let one = [Label::One(2), Label::One(0)];
        for (kind, labels) in [
            (TaskKind::Classification, &one),
            (TaskKind::Ordinal, &one),
            (TaskKind::MultiLabel, &several),
        ] {
            for loss in [Loss::CrossEntropy, Loss::Focal] {
                let config = TrainConfig {
                    kind: Some(kind),
                    loss,
                    smoothing: 0.1,
                    class_weights: ClassWeights::Balanced,
                    ..config()
                };
                let value = |all: &[f32], weights: &[f32], soft: Option<&[f32]>| {
                    let logits = Tensor::from_data(TensorData::new(logits.to_vec(), [2, 3]), &Device::flex());
                    let loss = Objective::new(&config, &COUNTS, all).loss(logits, labels, soft, weights);
                    f64::from(loss.into_scalar::<f32>())
                };
                // The second image counts three times as much, before the mean of 2 is divided out.
                let weighted = value(&[1.0, 3.0], &[1.0, 3.0], None);
                let (whole, more) = (value(&[1.0], &[1.0, 1.0], None), value(&[1.0], &[1.0, 2.0], None));
                let (first, second) = (2.0 * whole - more, more - whole);
                assert!(
                    (weighted - (first + 3.0 * second) / 2.0).abs() < 1e-5,
                    "{kind} {loss:?}"
                );
                let scaled = value(&[100.0, 300.0], &[100.0, 300.0], None);
                assert!((scaled - weighted).abs() < 1e-5, "{kind} {loss:?}");
                let soft = [0.25, 0.0, 0.75, 0.75, 0.0, 0.25];
                let [single, double] = [1.0, 2.0].map(|weight| value(&[1.0], &[weight; 2], Some(&soft)));
                assert!((double - 2.0 * single).abs() < 1e-5, "{kind} {loss:?}");
            }
        }
        assert_eq!(mean(&[]), 1.0);
    }

    #[test]
    fn focal_loss_is_scaled_by_class_weights() {
        let plain = TrainConfig {
            loss: Loss::Focal,
            ..config()
        };
        let weighted = TrainConfig {
            class_weights: ClassWeights::Balanced,
            ..plain.clone()
        };
        for label in 0..3 {
            let weight = 100.0 / (3 * COUNTS[label]) as f64;
            let logits = [0.5, -0.2, 1.5];
            let (plain, weighted) = (loss(&plain, &logits, label), loss(&weighted, &logits, label));
            assert!((weighted - weight * plain).abs() < 1e-6, "{label}");
        }
        let gamma_of_the_paper = TrainConfig {
            focal_gamma: Some(2.0),
            ..plain.clone()
        };
        assert_eq!(
            loss(&plain, &[1.0, 0.0, 0.0], 0),
            loss(&gamma_of_the_paper, &[1.0, 0.0, 0.0], 0)
        );
    }
}
