//! What training makes small for masks: cross entropy of the pixels, and one minus Dice's coefficient of the classes (Milletari et al. 2016).

use burn::tensor::activation::log_softmax;
use burn::tensor::{Int, Tensor, TensorData};

/// Keeps Dice's coefficient defined where a class is nowhere.
const SMOOTH: f64 = 1.0;

/// The loss of a batch, times the number of its images. `logits` are `[batch, height, width, classes]`, `masks` the class of each
/// pixel, image by image; pixels of no class are left out.
pub fn segmentation_loss(logits: Tensor<4>, masks: &[u8]) -> Tensor<1> {
    let [batch, height, width, classes] = logits.dims();
    let device = logits.device();
    let pixels = batch * height * width;
    let counted = |mask: u8| usize::from(mask) < classes;
    let known: usize = masks.iter().filter(|&&mask| counted(mask)).count();
    let scale = 1.0 / known.max(1) as f64;
    let weights: Vec<f32> = masks
        .iter()
        .map(|&mask| f32::from(u8::from(counted(mask))))
        .collect();
    let truth: Vec<i64> = masks
        .iter()
        .map(|&mask| if counted(mask) { i64::from(mask) } else { 0 })
        .collect();
    let weights = Tensor::<2>::from_data(TensorData::new(weights, [pixels, 1]), &device);
    let truth = Tensor::<2, Int>::from_data(TensorData::new(truth, [pixels, 1]), &device);

    let log_likelihood = log_softmax(logits.reshape([pixels, classes]), 1);
    let own = log_likelihood.clone().gather(1, truth.clone()) * weights.clone();
    let cross_entropy = own.sum().neg() * scale;

    let likelihood = log_likelihood.exp() * weights.clone();
    let places = Tensor::<1, Int>::arange(0..classes as i64, &device).reshape([1, classes]);
    let is_class = truth.equal(places.expand([pixels, classes])).float() * weights;
    let common = (likelihood.clone() * is_class.clone()).sum_dim(0);
    let both = (likelihood + is_class).sum_dim(0);
    let dice = (common * 2.0 + SMOOTH) / (both + SMOOTH);
    let dice = dice.mean().neg() + 1.0;
    (cross_entropy + dice) * batch as f64
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;
    use vpt_data::Mask;

    use super::*;

    fn loss(logits: &[f32], masks: &[u8]) -> f32 {
        let shape = [1, 1, masks.len(), logits.len() / masks.len()];
        let logits = Tensor::from_data(TensorData::new(logits.to_vec(), shape), &Device::flex());
        segmentation_loss(logits, masks).into_scalar::<f32>()
    }

    #[test]
    fn equals_the_formulas() {
        // Likelihoods 0.8, 0.2 and 0.4, 0.6 of two pixels of the classes 0 and 1.
        let logits = [0.8f32.ln(), 0.2f32.ln(), 0.4f32.ln(), 0.6f32.ln()];
        let cross_entropy = -(0.8f32.ln() + 0.6f32.ln()) / 2.0;
        let dice = |common: f32, both: f32| (2.0 * common + 1.0) / (both + 1.0);
        let expected = cross_entropy + 1.0 - f32::midpoint(dice(0.8, 1.2 + 1.0), dice(0.6, 0.8 + 1.0));
        assert!((loss(&logits, &[0, 1]) - expected).abs() < 1e-6);
    }

    #[test]
    fn pixels_of_no_class_change_nothing() {
        let two = loss(&[1.0, 0.0, 0.5, 2.0], &[0, 1]);
        let three = loss(&[1.0, 0.0, 0.5, 2.0, 9.0, -9.0], &[0, 1, Mask::IGNORED]);
        assert!((two - three).abs() < 1e-6);
        assert!(loss(&[1.0, 0.0], &[Mask::IGNORED]).is_finite());
    }
}
