//! [`Average`]: a running mean of what is learned (`--ema`), which is steadier than what the last step left.

use std::collections::BTreeMap;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param, ParamGroup, ParamId};
use burn::tensor::Tensor;

/// A model whose learned parameters are an exponential moving average of another's over its steps (Polyak and Juditsky 1992, in the form that
/// TensorFlow's `ExponentialMovingAverage` has). The frozen ones are shared.
#[derive(Debug)]
pub struct Average<M> {
    decay: f64,
    group: ParamGroup,
    model: M,
}

impl<M: Module> Average<M> {
    /// The average over no steps yet, `model` itself, whose `group` learns.
    pub fn new(decay: f64, group: ParamGroup, model: &M) -> Self {
        Self {
            decay,
            group,
            model: model.valid(),
        }
    }

    /// The model with averaged parameters, off the tape.
    pub fn model(&self) -> &M {
        &self.model
    }

    /// Takes in what `model` is after `steps` steps. An average of few steps forgets faster, so that it soon leaves the start behind.
    pub fn add(&mut self, model: &M, steps: usize) {
        let mut learned = Learned {
            group: &self.group,
            values: BTreeMap::new(),
        };
        model.visit(&mut learned);
        let share = 1.0 - decay_after(self.decay, steps);
        self.model = self.model.clone().map(&mut Towards {
            values: learned.values,
            share,
        });
    }
}

/// What the average keeps of itself at step `steps`.
fn decay_after(decay: f64, steps: usize) -> f64 {
    decay.min((1.0 + steps as f64) / (10.0 + steps as f64))
}

/// Collects the values of a group, flat.
struct Learned<'a> {
    group: &'a ParamGroup,
    values: BTreeMap<ParamId, Tensor<1>>,
}

impl ModuleVisitor for Learned<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if self.group.matches(&param.id, None) {
            self.values.insert(param.id, param.val().inner().reshape([-1]));
        }
    }
}

/// Moves parameters by a share of the way to those values.
struct Towards {
    values: BTreeMap<ParamId, Tensor<1>>,
    share: f64,
}

impl ModuleMapper for Towards {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let Some(value) = self.values.remove(&param.id) else {
            return param;
        };
        let (id, mean, mapper) = param.consume();
        let way = value.reshape(mean.shape()) - mean.clone();
        Param::from_mapped_value(id, mean + way.mul_scalar(self.share), mapper)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::nn::{Linear, LinearConfig};
    use burn::tensor::Device;

    fn layer(weight: [f32; 2], bias: f32, device: &Device) -> Linear {
        let mut layer = LinearConfig::new(2, 1).init(device);
        layer.weight = Param::from_tensor(Tensor::from_floats([[weight[0]], [weight[1]]], device));
        layer.bias = Some(Param::from_tensor(Tensor::from_floats([bias], device)));
        layer
    }

    /// `layer` after a step.
    fn moved(layer: Linear, weight: [f32; 2], bias: f32) -> Linear {
        let device = Device::flex().autodiff();
        let Linear { weight: w, bias: b } = layer;
        Linear {
            weight: w.map(|_| Tensor::from_floats([[weight[0]], [weight[1]]], &device)),
            bias: b.map(|b| b.map(|_| Tensor::from_floats([bias], &device))),
        }
    }

    fn values(layer: &Linear) -> Vec<f32> {
        let weight = layer.weight.val().into_data().try_to_vec::<f32>();
        let bias = layer.bias.as_ref().map(|bias| bias.val().into_data());
        let bias = bias.expect("has a bias").try_to_vec::<f32>();
        [weight, bias].map(Result::unwrap).concat()
    }

    #[test]
    fn the_group_is_averaged_and_the_rest_left_alone() {
        let start = layer([1.0, -2.0], 0.5, &Device::flex().autodiff());
        let group = ParamGroup::from_ids(vec![start.weight.id]);
        let mut average = Average::new(0.75, group, &start);
        assert_eq!(values(average.model()), values(&start));
        let first = moved(start, [5.0, 2.0], 9.0);
        // Long after the start the decay is as given.
        average.add(&first, 1000);
        assert_eq!(values(average.model()), [2.0, -1.0, 0.5]);
        average.add(&moved(first, [2.0, 3.0], 7.0), 1001);
        assert_eq!(values(average.model()), [2.0, 0.0, 0.5]);
    }

    #[test]
    fn early_averages_forget_faster() {
        assert_eq!(decay_after(0.99, 0), 0.1);
        assert_eq!(decay_after(0.99, 10), 0.55);
        assert_eq!(decay_after(0.99, 1_000_000), 0.99);
    }
}
