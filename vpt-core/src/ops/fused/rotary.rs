//! Rotary embeddings on the tape.

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::tensor::Tensor;

use super::flex::{tensor, values};
use crate::ops::{RotaryPlace, rotary as rotary_kernel};

/// Rotary embeddings as the CPU backend sees them.
#[backend_extension(Flex, Autodiff)]
trait RotaryOps: Backend {
    fn fused_rotary(
        qkv: FloatTensor<Self>,
        cos: FloatTensor<Self>,
        sin: FloatTensor<Self>,
        place: RotaryPlace,
    ) -> FloatTensor<Self>;
}

pub(in crate::ops) fn rotary(
    qkv: Tensor<3>,
    cos: Tensor<2>,
    sin: Tensor<2>,
    place: RotaryPlace,
) -> Tensor<3> {
    let turned = Dispatch::fused_rotary(
        qkv.into_dispatch(),
        cos.into_dispatch(),
        sin.into_dispatch(),
        place,
    );
    Tensor::from_dispatch(turned)
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

impl RotaryOps for Flex {
    fn fused_rotary(qkv: FlexTensor, cos: FlexTensor, sin: FlexTensor, place: RotaryPlace) -> FlexTensor {
        turned(&qkv, &cos.to_contiguous(), &sin.to_contiguous(), place, false)
    }
}

impl<C: CheckpointStrategy> RotaryOps for Autodiff<Flex, C> {
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
