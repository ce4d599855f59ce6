//! Burn's AdamW and SGD over a parameter group, with state that is kept by parameter path.
//!
//! Burn's `ModuleOptimizer` would do for training, but not for `--resume`: it keys its record by parameter ids that are
//! random in every process, and loads it on the default device, which in a build with GPU support need not exist. So the
//! update rules, their state and its serialisation are Burn's, and the walk over the module is here.

use std::collections::BTreeMap;

use burn::module::{Module, ModuleMapper, Param, ParamGroup};
use burn::optim::decay::WeightDecayConfig;
use burn::optim::momentum::MomentumConfig;
use burn::optim::{
    AdamWConfig, DynState, GradientsParams, Optimizer as UpdateRule, RecordState, SgdConfig, StateSink,
    StateSource,
};
use burn::tensor::{Device, Tensor, TensorData};
use serde::{Deserialize, Serialize};
use vpt_core::HostTensor;

/// Update rule (`--opt`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Opt {
    /// AdamW (Loshchilov and Hutter 2019) as `torch.optim.AdamW`: beta 0.9 and 0.999, eps 1e-8.
    AdamW,
    /// Stochastic gradient descent with momentum and no dampening, weight decay added to the gradient, as `torch.optim.SGD`.
    Sgd,
    /// L-BFGS to convergence, for a linear probe on features that are computed once: with a weight decay this is an L2 penalty of half
    /// that strength on the mean loss, biases left out; without one validation chooses the strength. The head alone is solved for, so
    /// that [`GroupOptimizer`] has no such rule.
    Lbfgs,
}

/// What an optimiser is made of; [`GroupOptimizer::new`] builds it.
#[derive(Clone, Debug)]
pub struct OptimizerConfig {
    /// Update rule.
    pub opt: Opt,
    /// Momentum of SGD; AdamW ignores it.
    pub momentum: f64,
    /// Decay of every parameter outside `no_decay`.
    pub weight_decay: f64,
    /// Parameters without decay: biases, norms, whatever the tuning method names.
    pub no_decay: ParamGroup,
    /// Parameters whose learning rate is `head_lr_scale` times the one given to [`GroupOptimizer::step`].
    pub head: ParamGroup,
    /// See `head`; 1 where both learn alike.
    pub head_lr_scale: f64,
}

/// Optimises the parameters of a module that have a gradient, and leaves all others alone.
pub struct GroupOptimizer {
    config: OptimizerConfig,
    decaying: Box<dyn Rule>,
    plain: Box<dyn Rule>,
    states: BTreeMap<String, DynState>,
}

/// The state of an optimiser in main memory: tensors and counters named `<parameter path>.<field>`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OptimizerState {
    /// Moments or velocities, flat.
    pub tensors: BTreeMap<String, HostTensor>,
    /// Step counters.
    pub counters: BTreeMap<String, i64>,
}

impl GroupOptimizer {
    /// An optimiser that has not seen a gradient yet.
    pub fn new(config: OptimizerConfig) -> Self {
        let rule = |decay: f64| -> Box<dyn Rule> {
            match config.opt {
                Opt::AdamW => Box::new(
                    AdamWConfig::new()
                        .with_epsilon(1e-8)
                        .with_weight_decay(decay as f32)
                        .build(),
                ),
                // No gradient comes here from L-BFGS, which knows the whole problem.
                Opt::Sgd | Opt::Lbfgs => {
                    let momentum = MomentumConfig::new()
                        .with_momentum(config.momentum)
                        .with_dampening(0.0);
                    let sgd = SgdConfig::new().with_momentum(Some(momentum));
                    Box::new(
                        sgd.with_weight_decay(Some(WeightDecayConfig::new(decay as f32)))
                            .build(),
                    )
                }
            }
        };
        let (decaying, plain) = (rule(config.weight_decay), rule(0.0));
        Self {
            config,
            decaying,
            plain,
            states: BTreeMap::new(),
        }
    }

    /// One update of every parameter of `module` that `grads` has a gradient for, with learning rate `lr`.
    pub fn step<M: Module>(&mut self, lr: f64, module: M, grads: GradientsParams) -> M {
        module.map(&mut Step {
            optimizer: self,
            lr,
            grads,
            path: Vec::new(),
        })
    }

    /// Copies the state to main memory.
    pub fn state(&self) -> OptimizerState {
        let mut sink = StateSink::default();
        for (path, state) in &self.states {
            self.plain.save(state, path, &mut sink);
        }
        let tensors = sink
            .tensors
            .into_iter()
            .map(|(name, data)| (name, host(&data)))
            .collect();
        let counters = sink.scalars.into_iter();
        let counters = counters
            .filter_map(|(name, value)| Some((name, i64::try_from(value).ok()?)))
            .collect();
        OptimizerState { tensors, counters }
    }

    /// Continues from `state`, whose tensors go to `device` (the one without autodiff).
    pub fn with_state(mut self, state: OptimizerState, device: &Device) -> Self {
        let paths = parameter_paths(&state);
        let counters = state
            .counters
            .into_iter()
            .map(|(name, value)| (name, value.into()));
        let mut source = StateSource::new(counters.collect());
        for (name, HostTensor { shape, data }) in state.tensors {
            source.insert_tensor(name, TensorData::new(data, shape));
        }
        let load = |path: String| Some((path.clone(), self.plain.load(&path, &mut source, device)?));
        self.states = paths.into_iter().filter_map(load).collect();
        self
    }
}

/// `prompts.tokens` of `prompts.tokens.momentum.moment_1`: both rules keep their state in a field `momentum`.
fn parameter_paths(state: &OptimizerState) -> Vec<String> {
    let paths = state
        .tensors
        .keys()
        .filter_map(|name| Some(name.rsplit_once(".momentum.")?.0.to_owned()));
    let mut paths: Vec<String> = paths.collect();
    paths.dedup();
    paths
}

fn host(data: &TensorData) -> HostTensor {
    let shape = data.shape().to_vec();
    HostTensor::new(shape, data.iter::<f32>().collect())
}

/// [`UpdateRule`] without its state type. Rules work element by element, so parameters are handed over flat.
trait Rule: Send + Sync {
    fn update(
        &self,
        lr: f64,
        value: Tensor<1>,
        grad: Tensor<1>,
        state: Option<DynState>,
    ) -> (Tensor<1>, Option<DynState>);
    fn save(&self, state: &DynState, path: &str, sink: &mut StateSink);
    fn load(&self, path: &str, source: &mut StateSource, device: &Device) -> Option<DynState>;
}

impl<R: UpdateRule> Rule for R {
    fn update(
        &self,
        lr: f64,
        value: Tensor<1>,
        grad: Tensor<1>,
        state: Option<DynState>,
    ) -> (Tensor<1>, Option<DynState>) {
        let (value, state) = self.step(lr, value, grad, state.map(DynState::downcast::<R::State<1>>));
        (value, state.map(|state| DynState::create(state, 1)))
    }

    fn save(&self, state: &DynState, path: &str, sink: &mut StateSink) {
        state.downcast_ref::<R::State<1>>().state_flatten(path, sink);
    }

    fn load(&self, path: &str, source: &mut StateSource, device: &Device) -> Option<DynState> {
        Some(DynState::create(
            R::State::<1>::state_unflatten(path, source, device)?,
            1,
        ))
    }
}

/// One step on its way through the module.
struct Step<'a> {
    optimizer: &'a mut GroupOptimizer,
    lr: f64,
    grads: GradientsParams,
    path: Vec<String>,
}

impl ModuleMapper for Step<'_> {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let Some(grad) = self.grads.remove::<D>(param.id) else {
            return param;
        };
        let path = self.path.join(".");
        let GroupOptimizer {
            config,
            decaying,
            plain,
            states,
        } = &mut *self.optimizer;
        let rule = if config.no_decay.matches(&param.id, Some(&path)) {
            plain
        } else {
            decaying
        };
        let in_head = config.head.matches(&param.id, Some(&path));
        let lr = if in_head {
            self.lr * config.head_lr_scale
        } else {
            self.lr
        };

        let (id, tensor, mapper) = param.consume();
        let (shape, strategy) = (tensor.shape(), tensor.gradient_checkpointing_strategy());
        let value = tensor.inner().reshape([-1]);
        let (value, state) = rule.update(lr, value, grad.reshape([-1]), states.remove(&path));
        if let Some(state) = state {
            states.insert(path, state);
        }
        let mut tensor = Tensor::from_inner(value.reshape(shape));
        if let Some(strategy) = strategy {
            tensor = tensor.with_gradient_checkpointing_strategy(strategy);
        }
        Param::from_mapped_value(id, tensor.require_grad(), mapper)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::nn::{Linear, LinearConfig};

    fn optimizer(opt: Opt, head_lr_scale: f64) -> GroupOptimizer {
        GroupOptimizer::new(OptimizerConfig {
            opt,
            momentum: 0.9,
            weight_decay: 0.1,
            no_decay: ParamGroup::from_predicate("bias"),
            head: ParamGroup::from_path("weight"),
            head_lr_scale,
        })
    }

    fn layer(device: &Device) -> Linear {
        let weight = Tensor::<2>::from_floats([[1.0, -2.0], [0.5, 3.0]], device);
        let bias = Tensor::<1>::from_floats([0.25, -0.125], device);
        let mut layer = LinearConfig::new(2, 2).init(device);
        layer.weight = Param::from_tensor(weight).set_require_grad(true);
        layer.bias = Some(Param::from_tensor(bias).set_require_grad(true));
        layer
    }

    fn grads(layer: &Linear, device: &Device) -> GradientsParams {
        let input = Tensor::<2>::from_floats([[1.0, 2.0], [-1.0, 0.5]], device);
        let loss = layer.forward(input).powi_scalar(2).sum();
        GradientsParams::from_grads(loss.backward(), layer)
    }

    fn values(layer: &Linear) -> Vec<f32> {
        let weight = layer.weight.val().into_data().try_to_vec::<f32>();
        let bias = layer
            .bias
            .as_ref()
            .expect("has a bias")
            .val()
            .into_data()
            .try_to_vec::<f32>();
        [weight, bias].map(Result::unwrap).concat()
    }

    #[test]
    fn continues_bit_for_bit_from_saved_state() {
        let device = Device::flex().autodiff();
        for opt in [Opt::AdamW, Opt::Sgd] {
            let mut first = optimizer(opt, 1.0);
            let mut model = layer(&device);
            for _ in 0..3 {
                let grads = grads(&model, &device);
                model = first.step(0.01, model, grads);
            }
            let state = first.state();
            let mut second = optimizer(opt, 1.0).with_state(state.clone(), &Device::flex());
            assert_eq!(second.state(), state);
            assert_eq!(state.tensors.len(), if opt == Opt::AdamW { 4 } else { 2 });

            let (mut a, mut b) = (model.clone(), model);
            for _ in 0..2 {
                let (grads_a, grads_b) = (grads(&a, &device), grads(&b, &device));
                a = first.step(0.01, a, grads_a);
                b = second.step(0.01, b, grads_b);
            }
            assert_eq!(values(&a), values(&b), "{opt:?}");
            let mut fresh = optimizer(opt, 1.0);
            let grads = grads(&b, &device);
            assert_ne!(
                values(&fresh.step(0.01, b.clone(), grads)),
                values(&a),
                "the state matters"
            );
        }
    }

    #[test]
    fn groups_choose_decay_and_rate() {
        let device = Device::flex().autodiff();
        let model = layer(&device);
        let zero = |model: &Linear| {
            let mut grads = GradientsParams::new();
            grads.register(model.weight.id, Tensor::<2>::zeros([2, 2], &Device::flex()));
            grads.register(
                model.bias.as_ref().expect("has a bias").id,
                Tensor::<1>::zeros([2], &Device::flex()),
            );
            grads
        };
        // Without a gradient AdamW only decays: by lr * decay, the head's rate doubled, the bias not at all.
        let moved = optimizer(Opt::AdamW, 2.0).step(0.5, model.clone(), zero(&model));
        let expected: Vec<f32> = [1.0, -2.0, 0.5, 3.0]
            .iter()
            .map(|x| x * 0.9)
            .chain([0.25, -0.125])
            .collect();
        for (got, expected) in values(&moved).iter().zip(expected) {
            assert!((got - expected).abs() < 1e-6, "{got} != {expected}");
        }
        assert_eq!(
            values(&optimizer(Opt::AdamW, 2.0).step(0.5, model.clone(), GradientsParams::new())),
            values(&model)
        );
    }
}
