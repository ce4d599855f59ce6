//! Clipping the gradient by its norm over all tuned parameters together.

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::Tensor;

/// Scales all gradients so that their common Euclidean norm is at most `max_norm`, as torch's `clip_grad_norm_`.
///
/// (Burn's own clipping treats every tensor alone, which changes the direction of the step.) Nothing is read back from
/// the device. A norm that is not finite stays so: the loss check stops such a run.
pub fn clip_global_norm<M: Module>(module: &M, grads: GradientsParams, max_norm: f64) -> GradientsParams {
    let mut squares = SumOfSquares {
        grads: &grads,
        total: None,
    };
    module.visit(&mut squares);
    let Some(total) = squares.total else { return grads };
    let scale = (total.sqrt() + 1e-6).recip().mul_scalar(max_norm).clamp_max(1.0);
    let mut scaled = Scaled { grads, scale };
    module.visit(&mut scaled);
    scaled.grads
}

struct SumOfSquares<'a> {
    grads: &'a GradientsParams,
    total: Option<Tensor<1>>,
}

impl ModuleVisitor for SumOfSquares<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(grad) = self.grads.get::<D>(param.id) {
            let squares = grad.square().sum();
            self.total = Some(match self.total.take() {
                Some(total) => total + squares,
                None => squares,
            });
        }
    }
}

struct Scaled {
    grads: GradientsParams,
    scale: Tensor<1>,
}

impl ModuleVisitor for Scaled {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(grad) = self.grads.remove::<D>(param.id) {
            let scale = self.scale.clone().unsqueeze::<D>();
            self.grads.register(param.id, grad * scale);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::nn::{Linear, LinearConfig};
    use burn::tensor::Device;

    /// Gradients 3 (two weights) and 4 (bias) of a small layer: norm sqrt(9 + 9 + 16) = 5.83.
    fn case() -> (Linear, GradientsParams) {
        let device = Device::flex();
        let layer = LinearConfig::new(2, 1).init(&device);
        let mut grads = GradientsParams::new();
        grads.register(layer.weight.id, Tensor::<2>::full([2, 1], 3.0, &device));
        let bias = layer.bias.as_ref().expect("has a bias").id;
        grads.register(bias, Tensor::<1>::full([1], 4.0, &device));
        (layer, grads)
    }

    fn values(layer: &Linear, grads: &GradientsParams) -> Vec<f32> {
        let bias = layer.bias.as_ref().expect("has a bias").id;
        let weight = grads.get::<2>(layer.weight.id).expect("weight has a gradient");
        let bias = grads.get::<1>(bias).expect("bias has a gradient");
        [
            weight.into_data().try_to_vec::<f32>(),
            bias.into_data().try_to_vec::<f32>(),
        ]
        .map(Result::unwrap)
        .concat()
    }

    #[test]
    fn scales_all_tensors_alike_when_the_norm_is_too_large() {
        let (layer, grads) = case();
        let clipped = values(&layer, &clip_global_norm(&layer, grads, 1.0));
        let norm = 34f32.sqrt();
        for (got, expected) in clipped.iter().zip([3.0 / norm, 3.0 / norm, 4.0 / norm]) {
            assert!((got - expected).abs() < 1e-6, "{got} != {expected}");
        }
    }

    #[test]
    fn leaves_a_short_gradient_alone() {
        let (layer, grads) = case();
        assert_eq!(
            values(&layer, &clip_global_norm(&layer, grads, 6.0)),
            [3.0, 3.0, 4.0]
        );
    }
}
