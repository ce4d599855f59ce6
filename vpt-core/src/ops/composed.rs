//! The operations from Burn's own: what runs off the CPU backend, and the oracle of the kernels' tests.

use burn::tensor::activation::softmax;
use burn::tensor::{Tensor, s};

use super::{RotaryLayout, RotaryPlace};

/// `x` times a weight in float16 or bfloat16, multiplied in that precision.
#[cfg(not(gpu_kernels))]
pub(super) fn half_product<const R: usize>(x: Tensor<R>, weight: Tensor<2>) -> Tensor<R> {
    let dtype = x.dtype();
    burn::tensor::module::linear(x.cast(weight.dtype()), weight, None).cast(dtype)
}

/// See [`super::layer_norm`].
pub(super) fn layer_norm<const R: usize>(
    x: Tensor<R>,
    gamma: Tensor<1>,
    beta: Tensor<1>,
    eps: f64,
) -> Tensor<R> {
    burn::tensor::module::layer_norm(x, gamma, Some(beta), eps)
}

/// See [`super::gelu`]. Not Burn's own, whose gradient off the CPU backend is that of the tanh
/// approximation: wrong by up to 1e-3, and visible in the gradients of prompts.
pub(super) fn gelu<const R: usize>(x: Tensor<R>) -> Tensor<R> {
    let cdf = (x.clone() * std::f64::consts::FRAC_1_SQRT_2).erf() * 0.5 + 0.5;
    x * cdf
}

/// See [`super::attention`].
#[allow(
    clippy::needless_pass_by_value,
    reason = "tensors are handles, and pass as Burn passes them"
)]
pub(super) fn attention(
    qkv: Tensor<3>,
    prompts: Option<Tensor<3>>,
    bias: Option<Tensor<4>>,
    heads: usize,
    rows: usize,
) -> Tensor<3> {
    let [batch, tokens, width] = qkv.dims();
    let (dim, head_dim) = (width / 3, width / 3 / heads);
    // [B, T, dim] of the part-th third -> [B, H, T, head_dim]
    let part = |x: &Tensor<3>, part: usize, first: usize| {
        let [images, _, _] = x.dims();
        x.clone()
            .slice([0..images, 0..first, part * dim..(part + 1) * dim])
            .reshape([images, first, heads, head_dim])
            .swap_dims(1, 2)
    };
    let q = part(&qkv, 0, rows).mul_scalar(1.0 / (head_dim as f64).sqrt());
    let (mut k, mut v) = (part(&qkv, 1, tokens), part(&qkv, 2, tokens));
    let count = prompts.as_ref().map_or(0, |prompts| prompts.dims()[1]);
    if let Some(prompts) = prompts {
        let images = prompts.dims()[0];
        let every = |x: Tensor<4>| {
            if images == batch {
                x
            } else {
                x.expand([batch, heads, count, head_dim])
            }
        };
        k = Tensor::cat(vec![every(part(&prompts, 1, count)), k], 2);
        v = Tensor::cat(vec![every(part(&prompts, 2, count)), v], 2);
    }
    let scores = biased(q.matmul(k.swap_dims(2, 3)), bias, count);
    let weights = softmax(scores, 3);
    weights.matmul(v).swap_dims(1, 2).reshape([batch, rows, dim])
}

/// Scores `[batch, heads, rows, keys]` with `bias` `[1 or windows, heads, n, n]` added for the first `n` queries and the `n`
/// keys from `first` on; with windows, the batch holds those of one image after the other.
pub(super) fn biased(scores: Tensor<4>, bias: Option<Tensor<4>>, first: usize) -> Tensor<4> {
    let Some(bias) = bias else { return scores };
    let [batch, heads, rows, keys] = scores.dims();
    let windows = bias.dims()[0];
    let own = rows.min(bias.dims()[2]);
    let bias = bias.slice(s![.., .., ..own, ..]);
    let last = keys - first - bias.dims()[3];
    let device = bias.device();
    let zeros = |rows: usize, keys: usize| Tensor::<4>::zeros([windows, heads, rows, keys], &device);
    // Burn cannot make tensors without elements on every backend.
    let mut columns = vec![bias];
    if first > 0 {
        columns.insert(0, zeros(own, first));
    }
    if last > 0 {
        columns.push(zeros(own, last));
    }
    let mut lines = vec![Tensor::cat(columns, 3)];
    if rows > own {
        lines.push(zeros(rows - own, keys));
    }
    let bias = Tensor::cat(lines, 2);
    if windows == 1 {
        return scores + bias;
    }
    let all = windows * heads;
    let sum = scores.reshape([batch / windows, all, rows, keys]) + bias.reshape([1, all, rows, keys]);
    sum.reshape([batch, heads, rows, keys])
}

/// See [`super::rotary`].
pub(super) fn rotary(qkv: Tensor<3>, cos: Tensor<2>, sin: Tensor<2>, place: RotaryPlace) -> Tensor<3> {
    let [batch, tokens, width] = qkv.dims();
    let [patches, pairs] = cos.dims();
    let RotaryPlace { first, heads, layout } = place;
    let (dim, end) = (width / 3, first + patches);
    // The axis of the two partners of a pair, behind the heads.
    let (shape, axis) = match layout {
        RotaryLayout::Interleaved => ([batch, patches, 2 * heads, pairs, 2], 4),
        RotaryLayout::Halves => ([batch, patches, 2 * heads, 2, pairs], 3),
    };
    let table = |x: Tensor<2>| match layout {
        RotaryLayout::Interleaved => x.reshape([1, patches, 1, pairs, 1]),
        RotaryLayout::Halves => x.reshape([1, patches, 1, 1, pairs]),
    };
    let (cos, sin) = (table(cos), table(sin));
    let turned = qkv.clone().slice(s![.., first..end, ..2 * dim]).reshape(shape);
    let (a, b) = (turned.clone().narrow(axis, 0, 1), turned.narrow(axis, 1, 1));
    let pair = vec![
        a.clone() * cos.clone() - b.clone() * sin.clone(),
        b * cos + a * sin,
    ];
    let turned = Tensor::cat(pair, axis).reshape([batch, patches, 2 * dim]);
    let values = qkv.clone().slice(s![.., first..end, 2 * dim..]);
    let mut rows = vec![Tensor::cat(vec![turned, values], 2)];
    if first > 0 {
        rows.insert(0, qkv.clone().slice(s![.., ..first]));
    }
    if end < tokens {
        rows.push(qkv.slice(s![.., end..]));
    }
    Tensor::cat(rows, 1)
}
