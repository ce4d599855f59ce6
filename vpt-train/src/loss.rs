//! [`Loss`]: what training makes small, against a distribution over the classes.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

/// The training loss (`--loss`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Loss {
    /// [`cross_entropy`].
    CrossEntropy,
    /// [`focal`], with the γ of `--focal-gamma`.
    Focal,
}

impl Loss {
    /// The loss, summed over the batch; `logits` and `targets` are `[batch, classes]`. `gamma` is that of [`focal`].
    pub fn value(self, logits: Tensor<2>, targets: Tensor<2>, gamma: f64) -> Tensor<1> {
        match self {
            Self::CrossEntropy => cross_entropy(logits, targets),
            Self::Focal => focal(logits, targets, gamma),
        }
    }
}

/// `-sum(targets * log_softmax(logits))` over the whole batch; both are `[batch, classes]`.
///
/// Divided by the batch size it is the usual mean cross-entropy, and with class weights sum(w_i CE_i) / B, the form of
/// the VPT reference (torch divides by the sum of the weights instead).
pub fn cross_entropy(logits: Tensor<2>, targets: Tensor<2>) -> Tensor<1> {
    (log_softmax(logits) * targets).sum().neg()
}

/// `-sum(targets * (1 - p)^gamma * log(p))` over the whole batch with p = softmax(logits), all `[batch, classes]`: the
/// focal loss -(1 - p_t)^γ log(p_t) of Lin et al. (2017, arXiv 1708.02002, equation 4) for each class in its share of the
/// target. The weights α_t of the paper's equation 5 are class weights, which `targets` holds. `gamma` 0 is [`cross_entropy`].
pub fn focal(logits: Tensor<2>, targets: Tensor<2>, gamma: f64) -> Tensor<1> {
    let log_p = log_softmax(logits);
    // At p = 1 the derivative of the power has no limit for gamma < 1; what is lost below the floor is less than 1e-7.
    let missing = (log_p.clone().exp().neg() + 1.0).clamp_min(LEAST_MISSING);
    (missing.powf_scalar(gamma) * log_p * targets).sum().neg()
}

/// Smallest 1 - p that [`focal`] tells apart from 0: a float32 next to 1 is no closer.
const LEAST_MISSING: f64 = 1e-7;

/// Row by row. The maximum is a constant shift, so it stays off the tape.
fn log_softmax(logits: Tensor<2>) -> Tensor<2> {
    let shifted = logits.clone() - logits.detach().max_dim(1);
    shifted.clone() - shifted.exp().sum_dim(1).log()
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, TensorData};

    const CLASSES: usize = 3;
    const LOGITS: [f32; 9] = [0.3, -1.0, 2.0, 4.0, 0.0, -3.0, 0.1, 0.2, 0.3];
    /// A hard row, a smoothed one, a mixed one that is weighted.
    const TARGETS: [f32; 9] = [0.0, 0.0, 1.0, 0.05, 0.9, 0.05, 0.75, 2.25, 0.0];

    fn matrix(values: &[f32], classes: usize, device: &Device) -> Tensor<2> {
        let shape = [values.len() / classes, classes];
        Tensor::from_data(TensorData::new(values.to_vec(), shape), device)
    }

    /// Loss and its gradient with respect to the logits.
    fn measured(logits: &[f32], targets: &[f32], classes: usize, loss: Loss, gamma: f64) -> (f32, Vec<f32>) {
        let device = Device::flex().autodiff();
        let logits = matrix(logits, classes, &device).require_grad();
        let value = loss.value(logits.clone(), matrix(targets, classes, &device), gamma);
        let grads = value.backward();
        let gradient = logits.grad(&grads).expect("has a gradient").into_data();
        (
            value.into_scalar::<f32>(),
            gradient.try_to_vec::<f32>().expect("are float32"),
        )
    }

    /// The formula, in float64.
    fn expected(logits: &[f64], gamma: f64) -> f64 {
        let rows = logits.chunks(CLASSES).zip(TARGETS.chunks(CLASSES));
        rows.map(|(logits, targets)| {
            let sum: f64 = logits.iter().map(|logit| logit.exp()).sum();
            let each = logits.iter().zip(targets).map(|(logit, &target)| {
                let p = logit.exp() / sum;
                -f64::from(target) * (1.0 - p).powf(gamma) * p.ln()
            });
            each.sum::<f64>()
        })
        .sum()
    }

    #[test]
    fn survives_enormous_logits() {
        for (loss, gamma) in [
            (Loss::CrossEntropy, 0.0),
            (Loss::Focal, 0.0),
            (Loss::Focal, 0.5),
            (Loss::Focal, 2.0),
        ] {
            let (value, gradient) = measured(&[1e4, 0.0, -1e4, 0.0], &[1.0, 0.0, 0.0, 1.0], 2, loss, gamma);
            assert_eq!(value, 0.0, "{loss:?} {gamma}");
            assert!(
                gradient.iter().all(|x| x.abs() < 1e-3),
                "{loss:?} {gamma}: {gradient:?}"
            );
            let (value, gradient) = measured(&[1e4, 0.0], &[0.0, 1.0], 2, loss, gamma);
            assert_eq!(value, 1e4, "{loss:?} {gamma}");
            assert_eq!(gradient, [1.0, -1.0], "{loss:?} {gamma}");
        }
    }

    #[test]
    fn focal_without_gamma_is_cross_entropy_to_the_bit() {
        assert_eq!(
            measured(&LOGITS, &TARGETS, CLASSES, Loss::Focal, 0.0),
            measured(&LOGITS, &TARGETS, CLASSES, Loss::CrossEntropy, 0.0)
        );
    }

    #[test]
    fn values_and_gradients_are_those_of_the_formula() {
        let logits = LOGITS.map(f64::from);
        for (loss, gamma) in [
            (Loss::CrossEntropy, 0.0),
            (Loss::Focal, 0.5),
            (Loss::Focal, 1.0),
            (Loss::Focal, 2.0),
            (Loss::Focal, 5.0),
        ] {
            let (value, gradient) = measured(&LOGITS, &TARGETS, CLASSES, loss, gamma);
            assert!(
                (f64::from(value) - expected(&logits, gamma)).abs() < 1e-5,
                "{loss:?} {gamma}"
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
                    "{loss:?} {gamma}, logit {index}: {got} {slope}"
                );
            }
        }
    }

    #[test]
    fn easy_images_count_less() {
        let of = |loss, logit| measured(&[logit, 0.0], &[1.0, 0.0], 2, loss, 2.0).0;
        let share = |logit| of(Loss::Focal, logit) / of(Loss::CrossEntropy, logit);
        // p = 1 / (1 + e^-x), so (1 - p)^2 is 0.25 at 0, 0.0322 at the logit of 0.8205.
        assert!((share(0.0) - 0.25).abs() < 1e-6);
        assert!((share((0.82f32 / 0.18).ln()) - 0.18f32.powi(2)).abs() < 1e-6);
    }
}
