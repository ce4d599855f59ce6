//! Linear layers, layer norm, GELU, rotary embeddings and attention, each as one operation on the tape.
//!
//! On the CPU backend they run fused kernels with hand-written gradients, which keep only what the
//! gradient needs (no score matrix, no intermediates of the norm). On GPUs layer norm, GELU and attention do, unless
//! [`set_gpu_kernels`] or the environment keeps them from it.
//! Otherwise, and for other number types, the same values come from Burn's own operations: the form the kernels are tested against.
#![allow(
    clippy::inline_always,
    reason = "a loop is compiled for the vector instructions of its caller only if it is part of it"
)]

mod attention;
mod composed;
mod fused;
mod gelu;
mod layer_norm;
mod linear;
mod rotary;
mod tiles;
mod unwritten;
mod vector_math;
mod vectorised;

use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, Ordering};

use burn::module::Param;
use burn::nn::Linear;
use burn::tensor::{DType, Device, Tensor};

#[cfg(not(gpu_kernels))]
use composed::half_product;
#[cfg(gpu_kernels)]
use fused::half_product;

pub use rotary::{RotaryLayout, RotaryPlace};

/// Environment variable that keeps GPUs from kernels of our own when it is `0`.
pub const GPU_KERNELS: &str = "VPT_GPU_KERNELS";

/// Whether GPUs run kernels of our own.
static ON_GPU: LazyLock<AtomicBool> =
    LazyLock::new(|| AtomicBool::new(std::env::var(GPU_KERNELS).as_deref() != Ok("0")));

/// Whether GPUs of this build run kernels of our own. With Burn's fusion, tensors are promises that kernels cannot read.
pub fn gpu_kernels() -> bool {
    cfg!(gpu_kernels) && ON_GPU.load(Ordering::Relaxed)
}

/// Whether GPUs shall run kernels of our own, in this process; Burn's operations give the same values without them.
pub fn set_gpu_kernels(enabled: bool) {
    ON_GPU.store(enabled, Ordering::Relaxed);
}

/// Whether gradients that pass a weight in float16 keep the range of float32 on GPUs of this build. With Burn's fusion they do not.
pub const F16_GRADIENTS_ON_GPU: bool = cfg!(gpu_kernels);

/// Whether a tensor takes the kernels of the CPU backend: float32 on it.
fn is_fused<const D: usize>(x: &Tensor<D>) -> bool {
    x.dtype() == DType::F32 && on_cpu_backend(&x.device())
}

/// Whether a tensor takes the kernels that GPUs have too.
fn is_fused_anywhere<const D: usize>(x: &Tensor<D>) -> bool {
    x.dtype() == DType::F32 && (on_cpu_backend(&x.device()) || gpu_kernels())
}

/// Whether the device, or the device below its tape, is Burn's CPU backend.
pub fn on_cpu_backend(device: &Device) -> bool {
    device.clone().inner() == Device::flex()
}

/// A linear layer, whose weight may be stored in fewer bits than `x`. On the CPU the weight is widened, but for bfloat16 where the
/// processor multiplies that faster; there, and on other devices, `x` has as many bits as the weight for as long as it takes to multiply them.
///
/// # Shapes
/// - `x`: `[..., inputs]`
/// - output: `[..., outputs]`
pub fn linear<const R: usize>(x: Tensor<R>, layer: &Linear) -> Tensor<R> {
    if is_fused(&x) {
        fused::linear(x, layer.weight.val(), layer.bias.as_ref().map(Param::val))
    } else {
        let (weight, bias) = (layer.weight.val(), layer.bias.as_ref().map(Param::val));
        let dtype = x.dtype();
        if matches!(weight.dtype(), DType::F16 | DType::BF16) && weight.dtype() != dtype {
            let product = half_product(x, weight);
            return match bias {
                Some(bias) => product + bias.unsqueeze(),
                None => product,
            };
        }
        burn::tensor::module::linear(x, weight.dequantize().cast(dtype), bias)
    }
}

/// Layer normalisation over the last axis.
///
/// # Shapes
/// - `x`, output: `[..., dim]`
/// - `gamma`, `beta`: `[dim]`
pub fn layer_norm<const R: usize>(x: Tensor<R>, gamma: Tensor<1>, beta: Tensor<1>, eps: f64) -> Tensor<R> {
    if is_fused_anywhere(&x) {
        fused::layer_norm(x, gamma, beta, eps)
    } else {
        composed::layer_norm(x, gamma, beta, eps)
    }
}

/// GELU with the exact normal distribution function, of each element.
pub fn gelu<const R: usize>(x: Tensor<R>) -> Tensor<R> {
    if is_fused_anywhere(&x) {
        fused::gelu(x)
    } else {
        composed::gelu(x)
    }
}

/// Multi-head attention in which the first `rows` tokens ask all tokens and the prompts.
///
/// # Shapes
/// - `qkv`: `[batch, tokens, 3 * dim]`, queries, keys and values side by side
/// - `prompts`: `[1 or batch, num_tokens, 3 * dim]`, the same product of the prompts; their queries are not used
/// - output: `[batch, rows, dim]`
/// - `bias`: `[1, heads, n, n]`, added to the scores between the first `n` tokens; or `[windows, heads, n, n]`, where the
///   batch holds the windows of one image after the other. The kernels have none, so with a bias
///   attention is Burn's own operations on every device, and keeps the scores for the gradient
pub fn attention(
    qkv: Tensor<3>,
    prompts: Option<Tensor<3>>,
    bias: Option<Tensor<4>>,
    heads: usize,
    rows: usize,
) -> Tensor<3> {
    if bias.is_none() && is_fused_anywhere(&qkv) {
        fused::attention(qkv, prompts, heads, rows)
    } else {
        composed::attention(qkv, prompts, bias, heads, rows)
    }
}

/// Scores `[batch, heads, rows, keys]` with `bias` `[1, heads, n, n]` added between the first `n` tokens.
pub fn biased(scores: Tensor<4>, bias: Option<Tensor<4>>) -> Tensor<4> {
    composed::biased(scores, bias, 0)
}

/// Turns queries and keys of the patches by their rotary embeddings, in every head.
///
/// # Shapes
/// - `qkv`, output: `[batch, tokens, 3 * dim]`, queries, keys and values side by side
/// - `cos`, `sin`: `[patches, dim / heads / 2]`
pub fn rotary(qkv: Tensor<3>, cos: Tensor<2>, sin: Tensor<2>, place: RotaryPlace) -> Tensor<3> {
    if is_fused(&qkv) {
        fused::rotary(qkv, cos, sin, place)
    } else {
        composed::rotary(qkv, cos, sin, place)
    }
}

#[cfg(test)]
mod tests;
