//! The bridge between Burn's tape and the kernels: backend extensions with their gradients.
//!
//! A backend that has [`Kernels`] gets layer norm, GELU and attention as one operation each, which keeps for its gradient what the
//! kernels' own gradient takes: [`flex`] on slices of host memory, [`cube`] on GPUs. The CPU has kernels for [`linear`] layers and
//! [`rotary`] embeddings too.

#[cfg(gpu_kernels)]
mod cube;
mod flex;
#[cfg(gpu_kernels)]
mod half;
mod linear;
mod rotary;

use std::fmt::Debug;

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, backend_extension};
use burn::tensor::Tensor;

#[cfg(gpu_kernels)]
pub(super) use half::half_product;
pub(super) use linear::linear;
pub(super) use rotary::rotary;

/// The operations as a backend sees them. Shapes as in [`super`].
#[backend_extension(Flex, Cube: cfg(gpu_kernels), Autodiff)]
pub(super) trait FusedOps: Backend {
    fn fused_layer_norm(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        eps: f64,
    ) -> FloatTensor<Self>;
    fn fused_gelu(x: FloatTensor<Self>) -> FloatTensor<Self>;
    fn fused_attention(qkv: FloatTensor<Self>, heads: usize, rows: usize) -> FloatTensor<Self>;
    fn fused_prompted_attention(
        qkv: FloatTensor<Self>,
        prompts: FloatTensor<Self>,
        heads: usize,
        rows: usize,
    ) -> FloatTensor<Self>;
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
    let qkv = qkv.into_dispatch();
    Tensor::from_dispatch(match prompts {
        Some(prompts) => Dispatch::fused_prompted_attention(qkv, prompts.into_dispatch(), heads, rows),
        None => Dispatch::fused_attention(qkv, heads, rows),
    })
}

/// The kernels of a backend, forward and back. What they take is contiguous.
pub(super) trait Kernels: Backend {
    /// What a layer norm finds on its way forward and its gradient needs again.
    type NormFound: Clone + Debug + Send + 'static;
    /// The same of attention.
    type AttentionFound: Clone + Debug + Send + 'static;

    /// Laid out row by row.
    fn contiguous(x: FloatTensor<Self>) -> FloatTensor<Self>;

    fn forward_layer_norm(
        x: &FloatTensor<Self>,
        gamma: &FloatTensor<Self>,
        beta: &FloatTensor<Self>,
        eps: f64,
    ) -> (FloatTensor<Self>, Self::NormFound);

    /// Gradients of `x` and, where `affine` asks for them, of gamma and beta.
    fn backward_layer_norm(
        kept: &LayerNormState<Self>,
        dy: FloatTensor<Self>,
        affine: bool,
    ) -> (FloatTensor<Self>, Option<[FloatTensor<Self>; 2]>);

    fn forward_gelu(x: &FloatTensor<Self>) -> FloatTensor<Self>;

    fn backward_gelu(x: FloatTensor<Self>, dy: FloatTensor<Self>) -> FloatTensor<Self>;

    fn forward_attention(
        qkv: &FloatTensor<Self>,
        prompts: Option<&FloatTensor<Self>>,
        heads: usize,
        rows: usize,
    ) -> (FloatTensor<Self>, Self::AttentionFound);

    /// Gradients of `qkv` and, where they are `learned`, of the prompts.
    fn backward_attention(
        kept: AttentionState<Self>,
        dout: FloatTensor<Self>,
        learned: bool,
    ) -> (FloatTensor<Self>, Option<FloatTensor<Self>>);
}

/// What a layer norm keeps for its gradient.
#[derive(Clone, Debug)]
pub(super) struct LayerNormState<B: Kernels> {
    x: FloatTensor<B>,
    gamma: FloatTensor<B>,
    eps: f64,
    found: B::NormFound,
}

/// What attention keeps for its gradient: no score matrix.
#[derive(Clone, Debug)]
pub(super) struct AttentionState<B: Kernels> {
    qkv: FloatTensor<B>,
    prompts: Option<FloatTensor<B>>,
    found: B::AttentionFound,
    heads: usize,
    rows: usize,
}

#[derive(Debug)]
struct LayerNormGradient;

impl<B: Kernels> Backward<B, 3> for LayerNormGradient {
    type State = LayerNormState<B>;

    fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Gradients, _: &mut Checkpointer) {
        let [x, gamma, beta] = ops.parents;
        let dy = B::contiguous(grads.consume::<B>(&ops.node));
        let (dx, affine) = B::backward_layer_norm(&ops.state, dy, gamma.is_some() || beta.is_some());
        if let Some(node) = x {
            grads.register::<B>(node.id, dx);
        }
        for (node, gradient) in [gamma, beta].into_iter().zip(affine.into_iter().flatten()) {
            if let Some(node) = node {
                grads.register::<B>(node.id, gradient);
            }
        }
    }
}

#[derive(Debug)]
struct GeluGradient;

impl<B: Kernels> Backward<B, 1> for GeluGradient {
    type State = FloatTensor<B>;

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let [x] = ops.parents;
        let dy = B::contiguous(grads.consume::<B>(&ops.node));
        if let Some(node) = x {
            grads.register::<B>(node.id, B::backward_gelu(ops.state, dy));
        }
    }
}

/// Of queries, keys and values, and of prompts where there are any.
#[derive(Debug)]
struct AttentionGradient;

impl<B: Kernels> Backward<B, 1> for AttentionGradient {
    type State = AttentionState<B>;

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let [qkv] = ops.parents;
        let dout = B::contiguous(grads.consume::<B>(&ops.node));
        if let Some(node) = qkv {
            let (dqkv, _) = B::backward_attention(ops.state, dout, false);
            grads.register::<B>(node.id, dqkv);
        }
    }
}

impl<B: Kernels> Backward<B, 2> for AttentionGradient {
    type State = AttentionState<B>;

    fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, _: &mut Checkpointer) {
        let [qkv, prompts] = ops.parents;
        let dout = B::contiguous(grads.consume::<B>(&ops.node));
        let (dqkv, dprompts) = B::backward_attention(ops.state, dout, prompts.is_some());
        if let Some(node) = qkv {
            grads.register::<B>(node.id, dqkv);
        }
        if let (Some(node), Some(dprompts)) = (prompts, dprompts) {
            grads.register::<B>(node.id, dprompts);
        }
    }
}

impl<B: Kernels + FusedOps, C: CheckpointStrategy> FusedOps for Autodiff<B, C> {
    fn fused_layer_norm(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        eps: f64,
    ) -> FloatTensor<Self> {
        let nodes = [x.node(), gamma.node(), beta.node()];
        let [x, gamma, beta] = [x, gamma, beta].map(|x| B::contiguous(x.into_primitive()));
        let (y, found) = B::forward_layer_norm(&x, &gamma, &beta, eps);
        let prep = Backward::<B, 3>::prepare::<C>(LayerNormGradient, nodes);
        match prep.compute_bound().stateful() {
            OpsKind::Tracked(prep) => {
                let state = LayerNormState { x, gamma, eps, found };
                prep.finish(state, y)
            }
            OpsKind::UnTracked(prep) => prep.finish(y),
        }
    }

    fn fused_gelu(x: FloatTensor<Self>) -> FloatTensor<Self> {
        let nodes = [x.node()];
        let x = B::contiguous(x.into_primitive());
        let y = B::forward_gelu(&x);
        let prep = Backward::<B, 1>::prepare::<C>(GeluGradient, nodes);
        match prep.compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish(x, y),
            OpsKind::UnTracked(prep) => prep.finish(y),
        }
    }

    fn fused_attention(qkv: FloatTensor<Self>, heads: usize, rows: usize) -> FloatTensor<Self> {
        let nodes = [qkv.node()];
        let (out, state) = attention_forward(qkv.into_primitive(), None, heads, rows);
        let prep = Backward::<B, 1>::prepare::<C>(AttentionGradient, nodes);
        match prep.compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish(state, out),
            OpsKind::UnTracked(prep) => prep.finish(out),
        }
    }

    fn fused_prompted_attention(
        qkv: FloatTensor<Self>,
        prompts: FloatTensor<Self>,
        heads: usize,
        rows: usize,
    ) -> FloatTensor<Self> {
        let nodes = [qkv.node(), prompts.node()];
        let prompts = prompts.into_primitive();
        let (out, state) = attention_forward(qkv.into_primitive(), Some(prompts), heads, rows);
        let prep = Backward::<B, 2>::prepare::<C>(AttentionGradient, nodes);
        match prep.compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish(state, out),
            OpsKind::UnTracked(prep) => prep.finish(out),
        }
    }
}

/// The output, and what its gradient takes.
fn attention_forward<B: Kernels>(
    qkv: FloatTensor<B>,
    prompts: Option<FloatTensor<B>>,
    heads: usize,
    rows: usize,
) -> (FloatTensor<B>, AttentionState<B>) {
    let (qkv, prompts) = (B::contiguous(qkv), prompts.map(B::contiguous));
    let (out, found) = B::forward_attention(&qkv, prompts.as_ref(), heads, rows);
    let state = AttentionState {
        qkv,
        prompts,
        found,
        heads,
        rows,
    };
    (out, state)
}
