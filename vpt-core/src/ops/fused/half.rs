//! Products with a frozen weight of 16-bit numbers on the tape, whose gradients keep the range of float32.
//!
//! ```text
//! Y = X W        dX[r] = s[r] · ((dY[r] / s[r]) Wᵀ)        s[r] = max |dY[r]|
//! ```
//!
//! Gradients are often below 6e-8, the smallest number of float16. So each row is multiplied as shares of its largest value. That is what
//! loss scaling (Micikevicius et al. 2018) is for, without a factor to search for and without steps that are lost. bfloat16, which has the
//! range of float32, is multiplied as it is.

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Cube, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::tensor::{DType, Shape, Tensor};

/// A product with a frozen weight in float16 or bfloat16.
#[backend_extension(Flex, Cube, Autodiff)]
trait HalfOps: Backend {
    fn half_product(x: FloatTensor<Self>, weight: FloatTensor<Self>) -> FloatTensor<Self>;
}

/// `x` `[..., inputs]` times `weight` `[inputs, outputs]`, which must be frozen.
pub(in crate::ops) fn half_product<const R: usize>(x: Tensor<R>, weight: Tensor<2>) -> Tensor<R> {
    Tensor::from_dispatch(Dispatch::half_product(x.into_dispatch(), weight.into_dispatch()))
}

/// The last axis of `x` times `weight` in the precision of `weight`; the result has that of `x`.
fn product<B: Backend>(x: FloatTensor<B>, weight: FloatTensor<B>) -> FloatTensor<B> {
    let (mut axes, dtype) = (x.shape().to_vec(), x.dtype());
    let [inputs, outputs] = weight.shape().dims();
    let rows = x.shape().num_elements() / inputs;
    let x = B::float_reshape(x, Shape::new([rows, inputs]));
    let x = B::float_cast(x, weight.dtype().into());
    let y = B::float_cast(B::float_matmul(x, weight), dtype.into());
    if let Some(last) = axes.last_mut() {
        *last = outputs;
    }
    B::float_reshape(y, Shape::from(axes))
}

/// [`product`], each row multiplied as shares of its largest value.
fn product_of_shares<B: Backend>(x: FloatTensor<B>, weight: FloatTensor<B>) -> FloatTensor<B> {
    let last = x.shape().num_dims() - 1;
    let largest = B::float_clamp_min(B::float_max_abs_dim(x.clone(), last), f32::MIN_POSITIVE.into());
    let shares = B::float_div(x, largest.clone());
    B::float_mul(product::<B>(shares, weight), largest)
}

#[derive(Debug)]
struct HalfGradient;

impl<B: Backend> Backward<B, 1> for HalfGradient {
    type State = FloatTensor<B>;

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let [Some(node)] = ops.parents else { return };
        let dy = grads.consume::<B>(&ops.node);
        let weight = B::float_swap_dims(ops.state, 0, 1);
        let dx = match weight.dtype() {
            DType::F16 => product_of_shares::<B>(dy, weight),
            _ => product::<B>(dy, weight),
        };
        grads.register::<B>(node.id, dx);
    }
}

impl HalfOps for Flex {
    fn half_product(x: FloatTensor<Self>, weight: FloatTensor<Self>) -> FloatTensor<Self> {
        product::<Self>(x, weight)
    }
}

impl HalfOps for Cube {
    fn half_product(x: FloatTensor<Self>, weight: FloatTensor<Self>) -> FloatTensor<Self> {
        product::<Self>(x, weight)
    }
}

impl<B: Backend + HalfOps, C: CheckpointStrategy> HalfOps for Autodiff<B, C> {
    fn half_product(x: FloatTensor<Self>, weight: FloatTensor<Self>) -> FloatTensor<Self> {
        debug_assert!(!weight.is_tracked(), "only frozen weights are kept in fewer bits");
        let nodes = [x.node()];
        let weight = weight.into_primitive();
        let y = product::<B>(x.into_primitive(), weight.clone());
        let prep = Backward::<B, 1>::prepare::<C>(HalfGradient, nodes);
        match prep.compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish(weight, y),
            OpsKind::UnTracked(prep) => prep.finish(y),
        }
    }
}
