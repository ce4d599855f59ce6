//! The kernels of the CPU backend, on slices.

use burn::backend::flex::FlexTensor;
use burn::backend::{Flex, TensorMetadata};
use burn::tensor::{Shape, TensorData};

use super::{AttentionState, FusedOps, Kernels, LayerNormState};
use crate::ops::{attention, gelu, layer_norm};

/// The values of a contiguous tensor.
pub(super) fn values(x: &FlexTensor) -> &[f32] {
    x.as_slice().expect("the tensor was made contiguous")
}

/// A tensor of these values.
pub(super) fn tensor(values: Vec<f32>, shape: impl Into<Shape>) -> FlexTensor {
    FlexTensor::from_data(TensorData::new(values, shape.into()))
}

/// Values of prompts, which may be none.
fn prompt_values(prompts: Option<&FlexTensor>) -> &[f32] {
    prompts.map_or(&[], values)
}

fn attention_shape(
    qkv: &FlexTensor,
    prompts: Option<&FlexTensor>,
    heads: usize,
    rows: usize,
) -> attention::Shape {
    let [batch, tokens, width] = qkv.shape().dims();
    let [sets, count] = prompts.map_or([1, 0], |prompts| {
        let [sets, count, _] = prompts.shape().dims();
        [sets, count]
    });
    attention::Shape {
        batch,
        tokens,
        prompts: count,
        prompts_per_image: sets == batch && sets > 1,
        heads,
        dim: width / 3,
        rows,
    }
}

impl Kernels for Flex {
    /// Mean and inverse standard deviation.
    type NormFound = Vec<[f32; 2]>;
    /// The output, and the log of each row's sum of exponentials.
    type AttentionFound = (FlexTensor, Vec<f32>);

    fn contiguous(x: FlexTensor) -> FlexTensor {
        x.to_contiguous()
    }

    fn forward_layer_norm(
        x: &FlexTensor,
        gamma: &FlexTensor,
        beta: &FlexTensor,
        eps: f64,
    ) -> (FlexTensor, Self::NormFound) {
        let (y, moments) = layer_norm::forward(values(x), values(gamma), values(beta), eps as f32);
        (tensor(y, x.shape()), moments)
    }

    fn backward_layer_norm(
        kept: &LayerNormState<Self>,
        dy: FlexTensor,
        affine: bool,
    ) -> (FlexTensor, Option<[FlexTensor; 2]>) {
        let gradients = layer_norm::backward(
            values(&kept.x),
            &kept.found,
            values(&kept.gamma),
            values(&dy),
            affine,
        );
        let affine = gradients
            .affine
            .map(|(dgamma, dbeta)| [dgamma, dbeta].map(|gradient| tensor(gradient, kept.gamma.shape())));
        (tensor(gradients.x, kept.x.shape()), affine)
    }

    fn forward_gelu(x: &FlexTensor) -> FlexTensor {
        tensor(gelu::forward(values(x)), x.shape())
    }

    fn backward_gelu(x: FlexTensor, dy: FlexTensor) -> FlexTensor {
        tensor(gelu::backward(values(&x), values(&dy)), x.shape())
    }

    fn forward_attention(
        qkv: &FlexTensor,
        prompts: Option<&FlexTensor>,
        heads: usize,
        rows: usize,
    ) -> (FlexTensor, Self::AttentionFound) {
        let shape = attention_shape(qkv, prompts, heads, rows);
        let (out, log_sums) = attention::forward(&shape, values(qkv), prompt_values(prompts));
        let out = tensor(out, [shape.batch, rows, shape.dim]);
        (out.clone(), (out, log_sums))
    }

    fn backward_attention(
        kept: AttentionState<Self>,
        dout: FlexTensor,
        learned: bool,
    ) -> (FlexTensor, Option<FlexTensor>) {
        let prompts = kept.prompts.as_ref();
        let (out, log_sums) = &kept.found;
        let shape = attention_shape(&kept.qkv, prompts, kept.heads, kept.rows);
        let (dqkv, dprompts) = attention::backward(
            &shape,
            (values(&kept.qkv), prompt_values(prompts)),
            (values(out), log_sums),
            values(&dout),
            learned,
        );
        let dprompts = dprompts
            .zip(prompts)
            .map(|(values, prompts)| tensor(values, prompts.shape()));
        (tensor(dqkv, kept.qkv.shape()), dprompts)
    }
}

impl FusedOps for Flex {
    fn fused_layer_norm(x: FlexTensor, gamma: FlexTensor, beta: FlexTensor, eps: f64) -> FlexTensor {
        let [x, gamma, beta] = [x, gamma, beta].map(Self::contiguous);
        Self::forward_layer_norm(&x, &gamma, &beta, eps).0
    }

    fn fused_gelu(x: FlexTensor) -> FlexTensor {
        Self::forward_gelu(&Self::contiguous(x))
    }

    fn fused_attention(qkv: FlexTensor, heads: usize, rows: usize) -> FlexTensor {
        Self::forward_attention(&Self::contiguous(qkv), None, heads, rows).0
    }

    fn fused_prompted_attention(
        qkv: FlexTensor,
        prompts: FlexTensor,
        heads: usize,
        rows: usize,
    ) -> FlexTensor {
        let [qkv, prompts] = [qkv, prompts].map(Self::contiguous);
        Self::forward_attention(&qkv, Some(&prompts), heads, rows).0
    }
}
