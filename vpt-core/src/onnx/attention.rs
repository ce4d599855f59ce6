//! Attention of a block, with prompts, rotary embeddings, biases by relative position and windows; pooling by attention.

use burn::tensor::{Device, Tensor, s};

use super::graph::{Graph, Value};
use crate::CoreError;
use crate::ops::{self, RotaryLayout};
use crate::vit::{Attention, AttentionPool, Rotary, Windows};

/// What takes part in a block's attention.
pub(super) struct Attended<'a> {
    /// The tokens, normalised, `[batch, count, D]`.
    pub x: &'a Value,
    /// Their number.
    pub count: usize,
    /// Prompts as keys and values only, `[1, P, 3 D]`; see [`Block::fold`](crate::vit::Block::fold).
    pub prompts: Option<Tensor<3>>,
    /// How many of the first tokens ask.
    pub rows: usize,
}

impl Graph {
    /// A block's attention: `[batch, count, D] → [batch, rows, D]`.
    pub fn attention(&mut self, name: &str, attn: &Attention, of: Attended<'_>) -> Result<Value, CoreError> {
        let qkv = self.linear(&format!("{name}.qkv"), of.x, &attn.qkv)?;
        let mixed = match attn.windows() {
            None => self.mix(name, attn, &qkv, of.count, of.prompts, of.rows)?,
            Some(windows) => {
                let places = windows.places() + of.count - windows.patches();
                let placed = self.partition(name, attn, windows, &qkv, of.count)?;
                let mixed = self.mix(name, attn, &placed, places, of.prompts, places)?;
                let mixed = self.reverse(name, attn, windows, &mixed, of.count);
                match of.rows == of.count {
                    true => mixed,
                    false => self.slice(name, &mixed, 1, 0, of.rows),
                }
            }
        };
        let mixed = self.maybe_norm(&format!("{name}.norm"), mixed, attn.norm.as_ref())?;
        self.linear(&format!("{name}.proj"), &mixed, &attn.proj)
    }

    /// Values mixed by the scores of queries and keys: `[batch, count, 3 D] → [batch, rows, D]`.
    fn mix(
        &mut self,
        name: &str,
        attn: &Attention,
        qkv: &Value,
        count: usize,
        prompts: Option<Tensor<3>>,
        rows: usize,
    ) -> Result<Value, CoreError> {
        let (heads, dim) = (attn.num_heads(), attn.dim());
        let head_dim = dim / heads;
        let [q, k, v] = self.split(name, qkv, -1, dim);
        let q = match rows == count {
            true => q,
            false => self.slice(name, &q, 1, 0, rows),
        };
        let [mut q, mut k, mut v] = [q, k, v].map(|part| self.per_head(name, &part, heads, head_dim));
        if let Some(rope) = attn.rope() {
            q = self.rotary(name, &q, rope, rows)?;
            k = self.rotary(name, &k, rope, count)?;
        }
        let mut keys = count;
        if let Some(prompts) = prompts {
            let [_, others, _] = prompts.dims();
            keys += others;
            for (part, of_tokens) in [(1, &mut k), (2, &mut v)] {
                let of_prompts = prompts
                    .clone()
                    .slice(s![.., .., part * dim..(part + 1) * dim])
                    .reshape([1, others, heads, head_dim])
                    .swap_dims(1, 2);
                let what = ["", "k", "v"][part];
                let of_prompts = self.weight(&format!("{name}.prompts.{what}"), &of_prompts)?;
                let of_prompts = self.repeat_as(name, &of_prompts, 4, of_tokens);
                *of_tokens = self.concat(name, &[of_tokens, &of_prompts], 2);
            }
        }
        let q = self.scale(name, &q, 1.0 / (head_dim as f64).sqrt());
        let k = self.transpose(name, &k, &[0, 1, 3, 2]);
        let mut scores = self.matmul(name, &q, &k);
        if let Some(bias) = attn.bias() {
            scores = self.biased(name, &scores, bias, [heads, rows, keys])?;
        }
        let weights = self.softmax(name, &scores);
        let mixed = self.matmul(name, &weights, &v);
        let mixed = self.transpose(name, &mixed, &[0, 2, 1, 3]);
        Ok(self.reshape(name, &mixed, &[0, 0, dim as i64]))
    }

    /// `[batch, n, D] → [batch, heads, n, D / heads]`.
    fn per_head(&mut self, name: &str, x: &Value, heads: usize, head_dim: usize) -> Value {
        let apart = self.reshape(name, x, &[0, 0, heads as i64, head_dim as i64]);
        self.transpose(name, &apart, &[0, 2, 1, 3])
    }

    /// Scores `[batch, heads, rows, keys]` with what is added between the image's own tokens, `[1 or windows, heads, n, n]`.
    fn biased(
        &mut self,
        name: &str,
        scores: &Value,
        bias: Tensor<4>,
        [heads, rows, keys]: [usize; 3],
    ) -> Result<Value, CoreError> {
        let windows = bias.dims()[0];
        let zeros = Tensor::zeros([windows, heads, rows, keys], &bias.device());
        let bias = self.constant(&format!("{name}.bias"), &ops::biased(zeros, Some(bias)))?;
        if windows == 1 {
            return Ok(self.add(name, scores, &bias));
        }
        let [windows, heads, rows, keys] = [windows, heads, rows, keys].map(|length| length as i64);
        let apart = self.reshape(name, scores, &[-1, windows, heads, rows, keys]);
        let sum = self.add(name, &apart, &bias);
        Ok(self.reshape(name, &sum, &[-1, heads, rows, keys]))
    }

    /// Queries or keys `[batch, heads, rows, head_dim]` of the first `rows` tokens, those of the patches turned.
    fn rotary(&mut self, name: &str, x: &Value, rope: &Rotary, rows: usize) -> Result<Value, CoreError> {
        if rows <= rope.prefix() {
            return Ok(x.clone());
        }
        let [cos, sin] = rope.tables();
        let [patches, pairs] = cos.dims();
        let end = rows.min(rope.prefix() + patches);
        // Tokens without a place are turned by nothing.
        let table = |table: Tensor<2>, still: f64| {
            let device = table.device();
            let full = |count: usize| Tensor::<2>::full([count, pairs], still, &device);
            let mut parts = vec![table.slice(s![..end - rope.prefix()])];
            if rope.prefix() > 0 {
                parts.insert(0, full(rope.prefix()));
            }
            if rows > end {
                parts.push(full(rows - end));
            }
            Tensor::cat(parts, 0)
        };
        let (cos, sin) = (table(cos, 1.0), table(sin, 0.0));
        // The two partners of a pair lie side by side on this axis, each of this length.
        let (axis, length) = match rope.layout() {
            RotaryLayout::Halves => (3, pairs),
            RotaryLayout::Interleaved => (4, 1),
        };
        let interleaved = rope.layout() == RotaryLayout::Interleaved;
        let [cos, sin] = [("cos", cos), ("sin", sin)].map(|(what, table)| {
            let name = format!("{name}.rope.{what}");
            match interleaved {
                false => self.constant(&name, &table),
                true => self.constant(&name, &table.reshape([rows, pairs, 1])),
            }
        });
        let (cos, sin) = (cos?, sin?);
        let x = match interleaved {
            false => x.clone(),
            true => self.reshape(name, x, &[0, 0, 0, pairs as i64, 2]),
        };
        let [a, b] = self.split(name, &x, axis, length);
        let [a_cos, b_sin, b_cos, a_sin] =
            [(&a, &cos), (&b, &sin), (&b, &cos), (&a, &sin)].map(|(x, table)| self.mul(name, x, table));
        let left = self.sub(name, &a_cos, &b_sin);
        let right = self.add(name, &b_cos, &a_sin);
        let turned = self.concat(name, &[&left, &right], axis);
        Ok(match interleaved {
            false => turned,
            true => self.reshape(name, &turned, &[0, 0, 0, 2 * pairs as i64]),
        })
    }

    /// From images to windows, `[batch, count, 3 D] → [batch · windows, places + others, 3 D]`.
    fn partition(
        &mut self,
        name: &str,
        attn: &Attention,
        windows: &Windows,
        qkv: &Value,
        count: usize,
    ) -> Result<Value, CoreError> {
        let width = 3 * attn.dim() as i64;
        let mut patches = self.slice(name, qkv, 1, 0, windows.patches());
        if windows.are_padded() {
            // Where a window is not full there are zeros, of which keys and values are the biases.
            let zeros = Tensor::<3>::zeros([1, 1, attn.dim()], &Device::flex());
            let padding = self.constant(&format!("{name}.padding"), &ops::linear(zeros, &attn.qkv))?;
            let padding = self.repeat_as(name, &padding, 3, &patches);
            patches = self.concat(name, &[&patches, &padding], 1);
        }
        let placed = self.gather(name, &patches, &windows.patch_of_place(), 1);
        let placed = self.reshape(name, &placed, &[-1, windows.places() as i64, width]);
        let others = count - windows.patches();
        if others == 0 {
            return Ok(placed);
        }
        let rest = self.slice(name, qkv, 1, windows.patches(), count);
        let rest = self.reshape(name, &rest, &[0, 1, others as i64, width]);
        let rest = self.expand(name, &rest, &[1, windows.count() as i64, 1, 1]);
        let rest = self.reshape(name, &rest, &[-1, others as i64, width]);
        Ok(self.concat(name, &[&placed, &rest], 1))
    }

    /// From windows back to images, `[batch · windows, places + others, D] → [batch, count, D]`.
    fn reverse(
        &mut self,
        name: &str,
        attn: &Attention,
        windows: &Windows,
        mixed: &Value,
        count: usize,
    ) -> Value {
        let (dim, places) = (attn.dim() as i64, windows.places());
        let others = count - windows.patches();
        let all = (windows.count() * places) as i64;
        let patches = self.slice(name, mixed, 1, 0, places);
        let patches = self.reshape(name, &patches, &[-1, all, dim]);
        let patches = self.gather(name, &patches, &windows.place_of_patch(), 1);
        if others == 0 {
            return patches;
        }
        let rest = self.slice(name, mixed, 1, places, places + others);
        let rest = self.reshape(name, &rest, &[-1, windows.count() as i64, others as i64, dim]);
        let rest = self.mean(name, &rest, 1);
        self.concat(name, &[&patches, &rest], 1)
    }

    /// Pooling by attention, `[batch, n, D] → [batch, D]`.
    pub fn attention_pool(
        &mut self,
        name: &str,
        x: &Value,
        pool: &AttentionPool,
    ) -> Result<Value, CoreError> {
        let (heads, dim) = (pool.num_heads(), pool.latent.dims()[2]);
        let head_dim = dim / heads;
        // The query is the same for every image.
        let q = ops::linear(pool.latent.val(), &pool.q) / (head_dim as f64).sqrt();
        let q = q.reshape([1, 1, heads, head_dim]).swap_dims(1, 2);
        let q = self.constant(&format!("{name}.q"), &q)?;
        let kv = self.linear(&format!("{name}.kv"), x, &pool.kv)?;
        let [k, v] = self.split(name, &kv, -1, dim);
        let [k, v] = [k, v].map(|part| self.per_head(name, &part, heads, head_dim));
        let k = self.transpose(name, &k, &[0, 1, 3, 2]);
        let scores = self.matmul(name, &q, &k);
        let weights = self.softmax(name, &scores);
        let mixed = self.matmul(name, &weights, &v);
        let mixed = self.transpose(name, &mixed, &[0, 2, 1, 3]);
        let mixed = self.reshape(name, &mixed, &[0, dim as i64]);
        let pooled = self.linear(&format!("{name}.proj"), &mixed, &pool.proj)?;
        let normed = self.layer_norm(&format!("{name}.norm"), &pooled, &pool.norm)?;
        let fed = self.mlp(&format!("{name}.mlp"), &normed, &pool.mlp)?;
        Ok(self.add(name, &pooled, &fed))
    }
}
