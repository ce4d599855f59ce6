//! Multi-head self-attention.

use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::activation::softmax;
use burn::tensor::module::linear as linear_product;
use burn::tensor::{Device, Tensor, s};

use super::{VitConfig, linear};

/// Multi-head self-attention with one fused query/key/value product, timm's `Attention`.
///
/// Two economies, both exact: prompts can take part as keys and values only (they are projected once on
/// `[P, D]` and shared by the batch), and queries can be limited to the first rows.
#[derive(Module, Debug)]
pub struct Attention {
    /// Queries, keys and values of all heads, `[D → 3 D]`.
    pub qkv: Linear,
    /// Output projection `[D → D]`.
    pub proj: Linear,
    num_heads: usize,
}

impl Attention {
    /// An attention whose parameters are to be loaded.
    pub fn new(config: &VitConfig, device: &Device) -> Self {
        let dim = config.embed_dim;
        Self {
            qkv: linear(dim, 3 * dim, config.qkv_bias, device),
            proj: linear(dim, dim, true, device),
            num_heads: config.num_heads,
        }
    }

    /// Attention of the first `rows` tokens (all when none) over all tokens and `prompts`.
    ///
    /// # Shapes
    /// - x: `[batch, tokens, D]`, normalised
    /// - prompts: `[1, P, D]` shared by the batch or `[batch, P, D]`, normalised
    /// - output: `[batch, rows, D]`
    pub fn forward(&self, x: Tensor<3>, prompts: Option<Tensor<3>>, rows: Option<usize>) -> Tensor<3> {
        let [batch, _, dim] = x.dims();
        let head_dim = dim / self.num_heads;
        let (query, [key, value]) = match rows {
            None => {
                let [query, key, value] = self.split_heads(self.qkv.forward(x));
                (query, [key, value])
            }
            Some(rows) => {
                let [query] = self.split_heads(self.project(x.clone().slice(s![.., ..rows]), 0..dim));
                (query, self.split_heads(self.project(x, dim..3 * dim)))
            }
        };
        let (key, value) = match prompts {
            None => (key, value),
            Some(prompts) => {
                let [prompt_key, prompt_value] = self.split_heads(self.project(prompts, dim..3 * dim));
                (append(key, prompt_key), append(value, prompt_value))
            }
        };
        let query = query * (head_dim as f64).powf(-0.5);
        let weights = softmax(query.matmul(key.swap_dims(3, 4)), 4);
        let mixed = weights.matmul(value); // [1, batch, heads, rows, head_dim]
        let rows = mixed.dims()[3];
        self.proj
            .forward(mixed.permute([0, 1, 3, 2, 4]).reshape([batch, rows, dim]))
    }

    /// The columns `range` of the fused product: `[batch, tokens, D] → [batch, tokens, columns]`.
    fn project(&self, x: Tensor<3>, range: std::ops::Range<usize>) -> Tensor<3> {
        let weight = self.qkv.weight.val().slice(s![.., range.clone()]);
        let bias = self.qkv.bias.as_ref().map(|bias| bias.val().slice(s![range]));
        linear_product(x, weight, bias)
    }

    /// `[batch, tokens, N · D] → N × [1, batch, heads, tokens, head_dim]`, without copying.
    fn split_heads<const N: usize>(&self, packed: Tensor<3>) -> [Tensor<5>; N] {
        let [batch, tokens, width] = packed.dims();
        let heads = self.num_heads;
        let packed = packed
            .reshape([batch, tokens, N, heads, width / N / heads])
            .permute([2, 0, 3, 1, 4]);
        std::array::from_fn(|i| packed.clone().slice(s![i..=i]))
    }
}

/// Appends the prompts' keys or values `[1, 1 or batch, heads, P, head_dim]` to those of the tokens.
fn append(tokens: Tensor<5>, prompts: Tensor<5>) -> Tensor<5> {
    let [one, batch, ..] = tokens.dims();
    let [_, _, heads, count, head_dim] = prompts.dims();
    Tensor::cat(
        vec![tokens, prompts.expand([one, batch, heads, count, head_dim])],
        3,
    )
}
