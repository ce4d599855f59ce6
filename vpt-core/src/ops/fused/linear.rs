//! A linear layer on the tape: how its weight is stored, its product and its gradients.

use std::borrow::Cow;

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::flex::{FlexQTensor, FlexTensor};
use burn::backend::tensor::{FloatTensor, QuantizedTensor};
use burn::backend::{Autodiff, Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::tensor::{DType, Shape, Tensor};
use half::{bf16, f16};

use super::flex::{tensor, values};
use crate::ops::{linear as linear_kernel, tiles};

/// A linear layer as the CPU backend sees it; `bias` may have no value.
#[backend_extension(Flex, Autodiff)]
trait LinearOps: Backend {
    fn fused_linear(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
    ) -> FloatTensor<Self>;
    fn fused_quantized_linear(
        x: FloatTensor<Self>,
        weight: QuantizedTensor<Self>,
        bias: FloatTensor<Self>,
    ) -> FloatTensor<Self>;
}

/// `weight` is `[inputs, outputs]`, as Burn keeps it.
pub(in crate::ops) fn linear<const R: usize>(
    x: Tensor<R>,
    weight: Tensor<2>,
    bias: Option<Tensor<1>>,
) -> Tensor<R> {
    let bias = bias.unwrap_or_else(|| Tensor::empty([0], &x.device()));
    let linear = match weight.dtype() {
        DType::QFloat(_) => Dispatch::fused_quantized_linear,
        _ => Dispatch::fused_linear,
    };
    let y = linear(x.into_dispatch(), weight.into_dispatch(), bias.into_dispatch());
    Tensor::from_dispatch(y)
}

/// The contiguous weight of a linear layer, as it is stored.
#[derive(Clone, Debug)]
pub(super) enum StoredWeight {
    /// In float32, or in half as many bits.
    Float(FlexTensor),
    /// As whole numbers of 8 bits, with a scale for each block of neighbours.
    Int8(FlexQTensor),
}

impl StoredWeight {
    /// `[inputs, outputs]`.
    pub fn dims(&self) -> [usize; 2] {
        match self {
            Self::Float(weight) => weight.shape().dims(),
            Self::Int8(weight) => weight.shape().dims(),
        }
    }

    /// `x` [rows, inputs] times this, plus `bias` if there is one.
    fn forward(&self, x: &[f32], bias: Option<&[f32]>) -> Vec<f32> {
        let [_, outputs] = self.dims();
        self.as_bf16()
            .and_then(|weight| tiles::forward(x, weight, bias, outputs))
            .unwrap_or_else(|| linear_kernel::forward(x, &self.values(), bias, outputs))
    }

    /// The gradient of the input.
    fn input_gradient(&self, dy: &[f32]) -> Vec<f32> {
        let [_, outputs] = self.dims();
        self.as_bf16()
            .and_then(|weight| tiles::input_gradient(dy, weight, outputs))
            .unwrap_or_else(|| linear_kernel::input_gradient(dy, &self.values(), outputs))
    }

    fn as_bf16(&self) -> Option<&[bf16]> {
        match self {
            Self::Float(weight) if weight.dtype() == DType::BF16 => {
                Some(weight.as_slice().expect("the tensor was made contiguous"))
            }
            _ => None,
        }
    }

    /// The values that products in float32 take.
    fn values(&self) -> Cow<'_, [f32]> {
        if let Some(stored) = self.as_bf16() {
            return Cow::Owned(linear_kernel::widened(stored));
        }
        match self {
            Self::Float(weight) => match weight.dtype() {
                DType::F16 => {
                    let stored: &[f16] = weight.as_slice().expect("the tensor was made contiguous");
                    Cow::Owned(linear_kernel::widened(stored))
                }
                _ => Cow::Borrowed(values(weight)),
            },
            Self::Int8(weight) => {
                let stored: &[i8] = weight
                    .tensor()
                    .as_slice()
                    .expect("weights are quantised as they lie");
                Cow::Owned(linear_kernel::scaled(stored, weight.scales()))
            }
        }
    }
}

/// `x` times `weight` plus `bias`, if it has values.
pub(super) fn linear_forward(x: &FlexTensor, weight: &StoredWeight, bias: &FlexTensor) -> FlexTensor {
    let [_, outputs] = weight.dims();
    let bias = Some(values(bias)).filter(|bias| !bias.is_empty());
    let y = weight.forward(values(x), bias);
    tensor(y, with_last_axis(&x.shape(), outputs))
}

/// `shape` with another length of its last axis.
fn with_last_axis(shape: &Shape, length: usize) -> Shape {
    let mut axes = shape.to_vec();
    if let Some(last) = axes.last_mut() {
        *last = length;
    }
    Shape::from(axes)
}

#[derive(Debug)]
pub(super) struct LinearGradient;

/// What a linear layer keeps for its gradient: the weight where the input is tracked, the input where the weight is.
#[derive(Clone, Debug)]
pub(super) struct LinearState {
    pub x: Option<FlexTensor>,
    pub weight: Option<StoredWeight>,
    pub inputs: usize,
    pub outputs: usize,
}

impl Backward<Flex, 3> for LinearGradient {
    type State = LinearState;

    fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Gradients, _: &mut Checkpointer) {
        let [x, weight, bias] = ops.parents;
        let dy = grads.consume::<Flex>(&ops.node).to_contiguous();
        let LinearState {
            x: kept,
            weight: kept_weight,
            inputs,
            outputs,
        } = ops.state;
        if let (Some(node), Some(weight)) = (x, kept_weight) {
            let dx = weight.input_gradient(values(&dy));
            grads.register::<Flex>(node.id, tensor(dx, with_last_axis(&dy.shape(), inputs)));
        }
        if let (Some(node), Some(x)) = (weight, kept) {
            let dweight = linear_kernel::weight_gradient(values(&x), values(&dy), inputs);
            grads.register::<Flex>(node.id, tensor(dweight, [inputs, outputs]));
        }
        if let Some(node) = bias {
            grads.register::<Flex>(
                node.id,
                tensor(linear_kernel::bias_gradient(values(&dy), outputs), [outputs]),
            );
        }
    }
}

#[derive(Debug)]
pub(super) struct QuantizedLinearGradient;

impl Backward<Flex, 2> for QuantizedLinearGradient {
    type State = StoredWeight;

    fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, _: &mut Checkpointer) {
        let [x, bias] = ops.parents;
        let dy = grads.consume::<Flex>(&ops.node).to_contiguous();
        let [inputs, outputs] = ops.state.dims();
        if let Some(node) = x {
            let dx = ops.state.input_gradient(values(&dy));
            grads.register::<Flex>(node.id, tensor(dx, with_last_axis(&dy.shape(), inputs)));
        }
        if let Some(node) = bias {
            let dbias = linear_kernel::bias_gradient(values(&dy), outputs);
            grads.register::<Flex>(node.id, tensor(dbias, [outputs]));
        }
    }
}

impl LinearOps for Flex {
    fn fused_linear(x: FlexTensor, weight: FlexTensor, bias: FlexTensor) -> FlexTensor {
        let weight = StoredWeight::Float(weight.to_contiguous());
        linear_forward(&x.to_contiguous(), &weight, &bias.to_contiguous())
    }

    fn fused_quantized_linear(x: FlexTensor, weight: FlexQTensor, bias: FlexTensor) -> FlexTensor {
        let weight = StoredWeight::Int8(weight);
        linear_forward(&x.to_contiguous(), &weight, &bias.to_contiguous())
    }
}

impl<C: CheckpointStrategy> LinearOps for Autodiff<Flex, C> {
    fn fused_linear(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        let nodes = [x.node(), weight.node(), bias.node()];
        let (keeps_weight, keeps_input) = (x.is_tracked(), weight.is_tracked());
        let x = x.primitive().to_contiguous();
        let weight = StoredWeight::Float(weight.primitive().to_contiguous());
        let y = linear_forward(&x, &weight, &bias.primitive().to_contiguous());
        match LinearGradient.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prep) => {
                let [inputs, outputs] = weight.dims();
                let state = LinearState {
                    x: keeps_input.then_some(x),
                    weight: keeps_weight.then_some(weight),
                    inputs,
                    outputs,
                };
                prep.finish(state, y)
            }
            OpsKind::UnTracked(prep) => prep.finish(y),
        }
    }

    fn fused_quantized_linear(
        x: FloatTensor<Self>,
        weight: FlexQTensor,
        bias: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        let nodes = [x.node(), bias.node()];
        let weight = StoredWeight::Int8(weight);
        let (input, bias) = (x.primitive().to_contiguous(), bias.primitive().to_contiguous());
        let y = linear_forward(&input, &weight, &bias);
        match QuantizedLinearGradient
            .prepare::<C>(nodes)
            .compute_bound()
            .stateful()
        {
            OpsKind::Tracked(prep) => prep.finish(weight, y),
            OpsKind::UnTracked(prep) => prep.finish(y),
        }
    }
}
