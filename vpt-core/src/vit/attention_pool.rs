//! Pooling by attention.

use burn::module::{Module, Param};
use burn::nn::Linear;
use burn::tensor::activation::softmax;
use burn::tensor::{Device, Tensor, s};

use super::{Hook, LayerNorm, Mlp, VitConfig, linear, placeholder};
use crate::ops;

/// A learned query attends to all tokens, and an MLP follows (SigLIP; timm's `AttentionPoolLatent`).
#[derive(Module, Debug)]
pub struct AttentionPool {
    /// The query before its projection, `[1, 1, D]`.
    pub latent: Param<Tensor<3>>,
    /// Query projection `[D → D]`.
    pub q: Linear,
    /// Keys and values of all heads, `[D → 2 D]`.
    pub kv: Linear,
    /// Output projection `[D → D]`.
    pub proj: Linear,
    /// Before the MLP.
    pub norm: LayerNorm,
    /// Feed-forward half.
    pub mlp: Mlp,
    num_heads: usize,
}

impl AttentionPool {
    /// A pooling whose parameters are to be loaded.
    pub fn new(config: &VitConfig, device: &Device) -> Self {
        let dim = config.embed_dim;
        let plain = VitConfig {
            gated_mlp: false,
            mlp_norm: false,
            ..config.clone()
        };
        Self {
            latent: placeholder([1, 1, dim], device),
            q: linear(dim, dim, true, device),
            kv: linear(dim, 2 * dim, true, device),
            proj: linear(dim, dim, true, device),
            norm: LayerNorm::new(dim, config.norm_eps, device),
            mlp: Mlp::new(&plain, device),
            num_heads: config.num_heads,
        }
    }

    /// Attention heads.
    pub(crate) fn num_heads(&self) -> usize {
        self.num_heads
    }

    /// `[batch, tokens, D] → [batch, D]`.
    pub fn forward(&self, x: Tensor<3>) -> Tensor<2> {
        let [batch, _, dim] = x.dims();
        let kv = ops::linear(x, &self.kv);
        let weights = self.attend(kv.clone().slice(s![.., .., ..dim]));
        let v = self.per_head(kv.slice(s![.., .., dim..]));
        let mixed = weights.matmul(v).swap_dims(1, 2).reshape([batch, 1, dim]);
        let pooled = ops::linear(mixed, &self.proj);
        let fed = self.mlp.forward(self.norm.forward(pooled.clone()), Hook::none());
        (pooled + fed).reshape([batch, dim])
    }

    /// How much the pooling attends to each token: `[batch, tokens, D]` to `[batch, heads, tokens]`.
    pub fn weights(&self, x: Tensor<3>) -> Tensor<3> {
        let dim = x.dims()[2];
        let keys = ops::linear(x, &self.kv).slice(s![.., .., ..dim]);
        self.attend(keys).squeeze_dim::<3>(2)
    }

    /// The query's attention to keys `[batch, tokens, D]`: `[batch, heads, 1, tokens]`.
    fn attend(&self, keys: Tensor<3>) -> Tensor<4> {
        let [batch, _, dim] = keys.dims();
        let head_dim = dim / self.num_heads;
        let q = self.per_head(ops::linear(self.latent.val(), &self.q)) / (head_dim as f64).sqrt();
        let q = q.expand([batch, self.num_heads, 1, head_dim]);
        softmax(q.matmul(self.per_head(keys).swap_dims(2, 3)), 3)
    }

    /// `[batch, tokens, D]` to `[batch, heads, tokens, D / heads]`.
    fn per_head(&self, x: Tensor<3>) -> Tensor<4> {
        let [batch, tokens, dim] = x.dims();
        x.reshape([batch, tokens, self.num_heads, dim / self.num_heads])
            .swap_dims(1, 2)
    }
}
