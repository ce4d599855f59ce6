//! The bridge between Burn's tape and the kernels: one backend extension with its gradients.

mod linear;

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::flex::{FlexQTensor, FlexTensor};
use burn::backend::tensor::{FloatTensor, QuantizedTensor};
use burn::backend::{Autodiff, Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::tensor::{DType, Shape, Tensor, TensorData};

use self::linear::{LinearGradient, LinearState, QuantizedLinearGradient, StoredWeight, linear_forward};
use super::{
    RotaryPlace, attention as attention_kernel, gelu as gelu_kernel, layer_norm as layer_norm_kernel,
    linear as linear_kernel, rotary as rotary_kernel,
};

/// The operations of this module as a backend sees them. Shapes as in [`super`]; `prompts` may hold no token, `bias` no value.
#[backend_extension(Flex, Autodiff)]
pub(super) trait FusedOps: Backend {
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
    fn fused_layer_norm(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        eps: f64,
    ) -> FloatTensor<Self>;
    fn fused_gelu(x: FloatTensor<Self>) -> FloatTensor<Self>;
    fn fused_attention(
        qkv: FloatTensor<Self>,
        prompts: FloatTensor<Self>,
        heads: usize,
        rows: usize,
    ) -> FloatTensor<Self>;
    fn fused_rotary(
        qkv: FloatTensor<Self>,
        cos: FloatTensor<Self>,
        sin: FloatTensor<Self>,
        place: RotaryPlace,
    ) -> FloatTensor<Self>;
}

/// `weight` is `[inputs, outputs]`, as Burn keeps it.
pub(super) fn linear<const R: usize>(x: Tensor<R>, weight: Tensor<2>, bias: Option<Tensor<1>>) -> Tensor<R> {
    let bias = bias.unwrap_or_else(|| Tensor::empty([0], &x.device()));
    let linear = match weight.dtype() {
        DType::QFloat(_) => Dispatch::fused_quantized_linear,
        _ => Dispatch::fused_linear,
    };
    let y = linear(x.into_dispatch(), weight.into_dispatch(), bias.into_dispatch());
    Tensor::from_dispatch(y)
}

pub(super) fn layer_norm<const R: usize>(
    x: Tensor<R>,
    gamma: Tensor<1>,
    beta: Tensor<1>,
    eps: f64,
) -> Tensor<R> {
    let y = Dispatch::fused_layer_norm(
        x.into_dispatch(),
        gamma.into_dispatch(),
        beta.into_dispatch(),
        eps,
    );
    Tensor::from_dispatch(y)
}

pub(super) fn gelu<const R: usize>(x: Tensor<R>) -> Tensor<R> {
    Tensor::from_dispatch(Dispatch::fused_gelu(x.into_dispatch()))
}

pub(super) fn attention(qkv: Tensor<3>, prompts: Option<Tensor<3>>, heads: usize, rows: usize) -> Tensor<3> {
    let [_, _, width] = qkv.dims();
    let prompts = prompts.unwrap_or_else(|| Tensor::empty([1, 0, width], &qkv.device()));
    let out = Dispatch::fused_attention(qkv.into_dispatch(), prompts.into_dispatch(), heads, rows);
    Tensor::from_dispatch(out)
}

pub(super) fn rotary(qkv: Tensor<3>, cos: Tensor<2>, sin: Tensor<2>, place: RotaryPlace) -> Tensor<3> {
    let turned = Dispatch::fused_rotary(
        qkv.into_dispatch(),
        cos.into_dispatch(),
        sin.into_dispatch(),
        place,
    );
    Tensor::from_dispatch(turned)
}

/// The values of a contiguous tensor.
fn values(x: &FlexTensor) -> &[f32] {
    x.as_slice().expect("the tensor was made contiguous")
}

fn tensor(values: Vec<f32>, shape: impl Into<Shape>) -> FlexTensor {
    FlexTensor::from_data(TensorData::new(values, shape.into()))
}

fn attention_shape(
    qkv: &FlexTensor,
    prompts: &FlexTensor,
    heads: usize,
    rows: usize,
) -> attention_kernel::Shape {
    let [batch, tokens, width] = qkv.shape().dims();
    let [sets, count, _] = prompts.shape().dims();
    attention_kernel::Shape {
        batch,
        tokens,
        prompts: count,
        prompts_per_image: sets == batch && sets > 1,
        heads,
        dim: width / 3,
        rows,
    }
}

impl FusedOps for Flex {
    fn fused_linear(x: FlexTensor, weight: FlexTensor, bias: FlexTensor) -> FlexTensor {
        let weight = StoredWeight::Float(weight.to_contiguous());
        linear_forward(&x.to_contiguous(), &weight, &bias.to_contiguous())
    }

    fn fused_quantized_linear(x: FlexTensor, weight: FlexQTensor, bias: FlexTensor) -> FlexTensor {
        let weight = StoredWeight::Int8(weight);
        linear_forward(&x.to_contiguous(), &weight, &bias.to_contiguous())
    }

    fn fused_layer_norm(x: FlexTensor, gamma: FlexTensor, beta: FlexTensor, eps: f64) -> FlexTensor {
        layer_norm_forward(
            &x.to_contiguous(),
            &gamma.to_contiguous(),
            &beta.to_contiguous(),
            eps,
        )
        .0
    }

    fn fused_gelu(x: FlexTensor) -> FlexTensor {
        let x = x.to_contiguous();
        tensor(gelu_kernel::forward(values(&x)), x.shape())
    }

    fn fused_attention(qkv: FlexTensor, prompts: FlexTensor, heads: usize, rows: usize) -> FlexTensor {
        attention_forward(&qkv.to_contiguous(), &prompts.to_contiguous(), heads, rows).0
    }

    fn fused_rotary(qkv: FlexTensor, cos: FlexTensor, sin: FlexTensor, place: RotaryPlace) -> FlexTensor {
        turned(&qkv, &cos.to_contiguous(), &sin.to_contiguous(), place, false)
    }
}

fn turned(
    qkv: &FlexTensor,
    cos: &FlexTensor,
    sin: &FlexTensor,
    place: RotaryPlace,
    back: bool,
) -> FlexTensor {
    let [_, tokens, width] = qkv.shape().dims();
    let dim = width / 3;
    let mut result = values(&qkv.to_contiguous()).to_vec();
    rotary_kernel::turn(
        &mut result,
        [tokens, dim],
        place,
        [values(cos), values(sin)],
        back,
    );
    tensor(result, qkv.shape())
}

fn layer_norm_forward(
    x: &FlexTensor,
    gamma: &FlexTensor,
    beta: &FlexTensor,
    eps: f64,
) -> (FlexTensor, Vec<[f32; 2]>) {
    let (y, stats) = layer_norm_kernel::forward(values(x), values(gamma), values(beta), eps as f32);
    (tensor(y, x.shape()), stats)
}

fn attention_forward(
    qkv: &FlexTensor,
    prompts: &FlexTensor,
    heads: usize,
    rows: usize,
) -> (FlexTensor, Vec<f32>) {
    let shape = attention_shape(qkv, prompts, heads, rows);
    let (out, log_sums) = attention_kernel::forward(&shape, values(qkv), values(prompts));
    (tensor(out, [shape.batch, rows, shape.dim]), log_sums)
}

#[derive(Debug)]
struct LayerNormGradient;

/// What the layer norm keeps for its gradient.
#[derive(Clone, Debug)]
struct LayerNormState {
    x: FlexTensor,
    gamma: FlexTensor,
    stats: Vec<[f32; 2]>,
}

impl Backward<Flex, 3> for LayerNormGradient {
    type State = LayerNormState;

    fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Gradients, _: &mut Checkpointer) {
        let [x, gamma, beta] = ops.parents;
        let dy = grads.consume::<Flex>(&ops.node).to_contiguous();
        let state = ops.state;
        let affine = gamma.is_some() || beta.is_some();
        let gradients = layer_norm_kernel::backward(
            values(&state.x),
            &state.stats,
            values(&state.gamma),
            values(&dy),
            affine,
        );
        if let Some(node) = x {
            grads.register::<Flex>(node.id, tensor(gradients.x, state.x.shape()));
        }
        if let Some((dgamma, dbeta)) = gradients.affine {
            for (node, gradient) in [(gamma, dgamma), (beta, dbeta)] {
                if let Some(node) = node {
                    grads.register::<Flex>(node.id, tensor(gradient, state.gamma.shape()));
                }
            }
        }
    }
}

#[derive(Debug)]
struct GeluGradient;

impl Backward<Flex, 1> for GeluGradient {
    type State = FlexTensor;

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let [x] = ops.parents;
        let dy = grads.consume::<Flex>(&ops.node).to_contiguous();
        if let Some(node) = x {
            let dx = gelu_kernel::backward(values(&ops.state), values(&dy));
            grads.register::<Flex>(node.id, tensor(dx, ops.state.shape()));
        }
    }
}

#[derive(Debug)]
struct AttentionGradient;

/// What attention keeps for its gradient: no score matrix.
#[derive(Clone, Debug)]
struct AttentionState {
    qkv: FlexTensor,
    prompts: FlexTensor,
    out: FlexTensor,
    log_sums: Vec<f32>,
    heads: usize,
    rows: usize,
}

impl Backward<Flex, 2> for AttentionGradient {
    type State = AttentionState;

    fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, _: &mut Checkpointer) {
        let [qkv, prompts] = ops.parents;
        let dout = grads.consume::<Flex>(&ops.node).to_contiguous();
        let state = ops.state;
        let shape = attention_shape(&state.qkv, &state.prompts, state.heads, state.rows);
        let (dqkv, dprompts) = attention_kernel::backward(
            &shape,
            (values(&state.qkv), values(&state.prompts)),
            (values(&state.out), &state.log_sums),
            values(&dout),
            prompts.is_some(),
        );
        if let Some(node) = qkv {
            grads.register::<Flex>(node.id, tensor(dqkv, state.qkv.shape()));
        }
        if let (Some(node), Some(dprompts)) = (prompts, dprompts) {
            grads.register::<Flex>(node.id, tensor(dprompts, state.prompts.shape()));
        }
    }
}

#[derive(Debug)]
struct RotaryGradient;

/// What the turn keeps for its gradient: the angles.
#[derive(Clone, Debug)]
struct RotaryState {
    cos: FlexTensor,
    sin: FlexTensor,
    place: RotaryPlace,
}

impl Backward<Flex, 1> for RotaryGradient {
    type State = RotaryState;

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let [qkv] = ops.parents;
        let dy = grads.consume::<Flex>(&ops.node);
        let RotaryState { cos, sin, place } = ops.state;
        if let Some(node) = qkv {
            grads.register::<Flex>(node.id, turned(&dy, &cos, &sin, place, true));
        }
    }
}

impl<C: CheckpointStrategy> FusedOps for Autodiff<Flex, C> {
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

    fn fused_layer_norm(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        eps: f64,
    ) -> FloatTensor<Self> {
        let nodes = [x.node(), gamma.node(), beta.node()];
        let input = x.primitive().to_contiguous();
        let (gamma, beta) = (
            gamma.primitive().to_contiguous(),
            beta.primitive().to_contiguous(),
        );
        let (y, stats) = layer_norm_forward(&input, &gamma, &beta, eps);
        match LayerNormGradient.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish(
                LayerNormState {
                    x: input,
                    gamma,
                    stats,
                },
                y,
            ),
            OpsKind::UnTracked(prep) => prep.finish(y),
        }
    }

    fn fused_gelu(x: FloatTensor<Self>) -> FloatTensor<Self> {
        let nodes = [x.node()];
        let input = x.primitive().to_contiguous();
        let y = Flex::fused_gelu(input.clone());
        match GeluGradient.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish(input, y),
            OpsKind::UnTracked(prep) => prep.finish(y),
        }
    }

    fn fused_attention(
        qkv: FloatTensor<Self>,
        prompts: FloatTensor<Self>,
        heads: usize,
        rows: usize,
    ) -> FloatTensor<Self> {
        let nodes = [qkv.node(), prompts.node()];
        let (qkv, prompts) = (
            qkv.primitive().to_contiguous(),
            prompts.primitive().to_contiguous(),
        );
        let (out, log_sums) = attention_forward(&qkv, &prompts, heads, rows);
        match AttentionGradient.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prep) => {
                let state = AttentionState {
                    qkv,
                    prompts,
                    out: out.clone(),
                    log_sums,
                    heads,
                    rows,
                };
                prep.finish(state, out)
            }
            OpsKind::UnTracked(prep) => prep.finish(out),
        }
    }

    fn fused_rotary(
        qkv: FloatTensor<Self>,
        cos: FloatTensor<Self>,
        sin: FloatTensor<Self>,
        place: RotaryPlace,
    ) -> FloatTensor<Self> {
        let nodes = [qkv.node()];
        let (cos, sin) = (cos.primitive().to_contiguous(), sin.primitive().to_contiguous());
        let input = qkv.primitive();
        let y = turned(input, &cos, &sin, place, false);
        match RotaryGradient.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish(RotaryState { cos, sin, place }, y),
            OpsKind::UnTracked(prep) => prep.finish(y),
        }
    }
}
