//! The operations from Burn's own: what runs off the CPU backend, and the oracle of the kernels' tests.

use burn::tensor::Tensor;
use burn::tensor::activation::softmax;

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
pub(super) fn attention(qkv: Tensor<3>, prompts: Option<Tensor<3>>, heads: usize, rows: usize) -> Tensor<3> {
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
    if let Some(prompts) = prompts {
        let [images, count, _] = prompts.dims();
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
    let weights = softmax(q.matmul(k.swap_dims(2, 3)), 3);
    weights.matmul(v).swap_dims(1, 2).reshape([batch, rows, dim])
}
