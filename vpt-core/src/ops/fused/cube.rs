//! The kernels of GPUs. Matrix products are Burn's; what lies between them is one kernel each, where Burn's own operations would pass
//! over the numbers several times, and on the tape keep them as often. For gradients nothing is kept but inputs: means and softmax are
//! computed again. Scores of attention are held for some heads at a time ([`Sizes::in_groups`]), however many tokens there are.

mod kernels;

use std::array;

use burn::backend::ops::FloatTensorOps;
use burn::backend::{Cube, TensorMetadata};
use burn::tensor::Shape;
use burn_cubecl::cubecl::calculate_cube_count_elemwise;
use burn_cubecl::cubecl::prelude::{CubeCount, CubeDim};
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::ops::numeric::empty_device_contiguous_dtype;
use burn_cubecl::tensor::CubeTensor;

use super::{AttentionState, FusedOps, Kernels, LayerNormState};

/// A tensor to be written, beside `like`.
fn empty(like: &CubeTensor, shape: impl Into<Shape>) -> CubeTensor {
    empty_device_contiguous_dtype(like.client.clone(), like.device.clone(), shape.into(), like.dtype)
}

/// How a kernel is launched that has a workgroup for each row.
fn by_rows(x: &CubeTensor, rows: usize) -> (CubeCount, CubeDim) {
    let dim = CubeDim::new_1d(kernels::UNITS);
    (
        calculate_cube_count_elemwise(&x.client, rows * kernels::UNITS as usize, dim),
        dim,
    )
}

/// How a kernel is launched that has a thread for each number.
fn by_numbers(x: &CubeTensor, numbers: usize) -> (CubeCount, CubeDim) {
    let dim = CubeDim::new(&x.client, numbers);
    (calculate_cube_count_elemwise(&x.client, numbers, dim), dim)
}

/// Rows and width of the last axis.
fn rows_of(x: &CubeTensor) -> (usize, usize) {
    let shape = x.shape();
    let dim = shape[shape.num_dims() - 1];
    (shape.num_elements() / dim, dim)
}

/// Bytes of scores held at a time, or fewer where the adapter's buffers are smaller, unless a single head of an image has more. ViT-B/16 at
/// 224 × 224 takes 150 MB for 64 images with 50 prompts; products of matrices gain nothing by being larger.
const SCORES: u64 = 256 << 20;

/// Sizes of one attention.
#[derive(Clone, Copy)]
struct Sizes {
    batch: usize,
    tokens: usize,
    dim: usize,
    heads: usize,
    /// Prompts, and their sets: 1 or one for each image.
    count: usize,
    sets: usize,
}

impl Sizes {
    fn new(qkv: &CubeTensor, prompts: Option<&CubeTensor>, heads: usize) -> Self {
        let [batch, tokens, width] = qkv.shape().dims();
        let [sets, count] = prompts.map_or([1, 0], |prompts| {
            let [sets, count, _] = prompts.shape().dims();
            [sets, count]
        });
        Self {
            batch,
            tokens,
            dim: width / 3,
            heads,
            count,
            sets,
        }
    }

    fn head_dim(self) -> usize {
        self.dim / self.heads
    }

    fn scale(self) -> f32 {
        1.0 / (self.head_dim() as f32).sqrt()
    }

    /// Queries of the first `rows` tokens, keys and values, head by head: `[batch · heads, …, head_dim]`.
    fn split(self, qkv: &CubeTensor, prompts: Option<&CubeTensor>, rows: usize) -> [CubeTensor; 3] {
        let part = |third: usize, count: usize, first: usize| {
            let heads = empty(qkv, [self.batch, self.heads, count + first, self.head_dim()]);
            let (cubes, dim) = by_numbers(qkv, heads.shape().num_elements());
            kernels::split_heads::launch(
                &qkv.client,
                cubes,
                dim,
                qkv.clone().into_tensor_arg(),
                prompts.unwrap_or(qkv).clone().into_tensor_arg(),
                heads.clone().into_tensor_arg(),
                third,
                self.tokens,
                count,
                self.sets,
                self.head_dim(),
            );
            let shape = Shape::new([self.batch * self.heads, count + first, self.head_dim()]);
            Cube::float_reshape(heads, shape)
        };
        [
            part(0, 0, rows),
            part(1, self.count, self.tokens),
            part(2, self.count, self.tokens),
        ]
    }

    /// What `part` makes of `xs`, each `[batch · heads, …, …]`: of a few heads at a time, so that their scores with `rows` rows stay within
    /// [`SCORES`] and fit into a buffer.
    fn in_groups<const N: usize, const M: usize>(
        self,
        rows: usize,
        xs: [CubeTensor; N],
        part: impl Fn([CubeTensor; N]) -> [CubeTensor; M],
    ) -> [CubeTensor; M] {
        let all = self.batch * self.heads;
        let of_a_head = rows * (self.count + self.tokens) * size_of::<f32>();
        let room = SCORES.min(xs[0].client.properties().memory.max_page_size) as usize;
        let groups = all.div_ceil((room / of_a_head).max(1));
        if groups == 1 {
            return part(xs);
        }
        let parts = (0..groups).map(|group| {
            let heads = all * group / groups..all * (group + 1) / groups;
            part(xs.each_ref().map(|x| {
                let [_, rows, width] = x.shape().dims();
                let ranges = [heads.clone(), 0..rows, 0..width];
                Cube::float_slice(x.clone(), &ranges.map(Into::into))
            }))
        });
        let parts: Vec<_> = parts.collect();
        array::from_fn(|i| Cube::float_cat(parts.iter().map(|part| part[i].clone()).collect(), 0))
    }

    /// Weights `[heads, rows, count + tokens]`, of as many heads as there are in `q` and `k`.
    fn weights(self, q: &CubeTensor, k: &CubeTensor) -> CubeTensor {
        let scores = Cube::float_matmul(q.clone(), Cube::float_swap_dims(k.clone(), 1, 2));
        let scores = into_contiguous(scores);
        let (rows, keys) = rows_of(&scores);
        let (cubes, dim) = by_rows(&scores, rows);
        kernels::softmax::launch(
            &scores.client,
            cubes,
            dim,
            scores.clone().into_tensor_arg(),
            self.scale(),
            rows,
            keys,
        );
        scores
    }

    /// Gradients of keys and values of the prompts, `[batch · heads, count + tokens, head_dim]` of which the first `count`, as one of
    /// `[sets, count, 3 dim]`.
    fn prompt_gradient(self, k: &CubeTensor, v: &CubeTensor) -> CubeTensor {
        let own = |x: &CubeTensor| {
            let shape = Shape::new([self.batch, self.heads, self.count + self.tokens, self.head_dim()]);
            let ranges = [0..self.batch, 0..self.heads, 0..self.count, 0..self.head_dim()];
            let own = Cube::float_slice(Cube::float_reshape(x.clone(), shape), &ranges.map(Into::into));
            let own = match self.sets {
                1 => Cube::float_sum_dim(own, 0),
                _ => own,
            };
            let shape = Shape::new([self.sets, self.count, self.dim]);
            Cube::float_reshape(Cube::float_swap_dims(own, 1, 2), shape)
        };
        let (k, v) = (own(k), own(v));
        let zeros = Cube::float_mul_scalar(k.clone(), 0.0.into());
        Cube::float_cat(vec![zeros, k, v], 2)
    }
}

impl Kernels for Cube {
    type NormFound = ();
    type AttentionFound = ();

    fn contiguous(x: CubeTensor) -> CubeTensor {
        into_contiguous(x)
    }

    fn forward_layer_norm(
        x: &CubeTensor,
        gamma: &CubeTensor,
        beta: &CubeTensor,
        eps: f64,
    ) -> (CubeTensor, ()) {
        let (rows, width) = rows_of(x);
        let y = empty(x, x.shape());
        let (cubes, dim) = by_rows(x, rows);
        kernels::layer_norm::launch(
            &x.client,
            cubes,
            dim,
            x.clone().into_tensor_arg(),
            gamma.clone().into_tensor_arg(),
            beta.clone().into_tensor_arg(),
            y.clone().into_tensor_arg(),
            eps as f32,
            rows,
            width,
        );
        (y, ())
    }

    fn backward_layer_norm(
        kept: &LayerNormState<Self>,
        dy: CubeTensor,
        affine: bool,
    ) -> (CubeTensor, Option<[CubeTensor; 2]>) {
        let x = &kept.x;
        let (rows, width) = rows_of(x);
        let dx = empty(x, x.shape());
        // Where it is not asked for, the kernel does not touch it.
        let products = if affine {
            empty(x, [rows, width])
        } else {
            empty(x, [1, 1])
        };
        let (cubes, dim) = by_rows(x, rows);
        kernels::layer_norm_gradient::launch(
            &x.client,
            cubes,
            dim,
            x.clone().into_tensor_arg(),
            kept.gamma.clone().into_tensor_arg(),
            dy.clone().into_tensor_arg(),
            dx.clone().into_tensor_arg(),
            products.clone().into_tensor_arg(),
            kept.eps as f32,
            rows,
            width,
            affine,
        );
        let over_rows = |x: CubeTensor| {
            let rows = Cube::float_reshape(x, Shape::new([rows, width]));
            Cube::float_reshape(Cube::float_sum_dim(rows, 0), Shape::new([width]))
        };
        (dx, affine.then(|| [over_rows(products), over_rows(dy)]))
    }

    fn forward_gelu(x: &CubeTensor) -> CubeTensor {
        let y = empty(x, x.shape());
        let len = x.shape().num_elements();
        let (cubes, dim) = by_numbers(x, len);
        kernels::gelu::launch(
            &x.client,
            cubes,
            dim,
            x.clone().into_tensor_arg(),
            y.clone().into_tensor_arg(),
            len,
        );
        y
    }

    fn backward_gelu(x: CubeTensor, dy: CubeTensor) -> CubeTensor {
        let dx = empty(&x, x.shape());
        let len = x.shape().num_elements();
        let (cubes, dim) = by_numbers(&x, len);
        let client = x.client.clone();
        kernels::gelu_gradient::launch(
            &client,
            cubes,
            dim,
            x.into_tensor_arg(),
            dy.into_tensor_arg(),
            dx.clone().into_tensor_arg(),
            len,
        );
        dx
    }

    fn forward_attention(
        qkv: &CubeTensor,
        prompts: Option<&CubeTensor>,
        heads: usize,
        rows: usize,
    ) -> (CubeTensor, ()) {
        let sizes = Sizes::new(qkv, prompts, heads);
        let heads_of = sizes.split(qkv, prompts, rows);
        let [out] = sizes.in_groups(rows, heads_of, |[q, k, v]| {
            [Cube::float_matmul(sizes.weights(&q, &k), v)]
        });
        let by_heads = Shape::new([sizes.batch, heads, rows, sizes.head_dim()]);
        let out = Cube::float_swap_dims(Cube::float_reshape(out, by_heads), 1, 2);
        let out = Cube::float_reshape(out, Shape::new([sizes.batch, rows, sizes.dim]));
        (into_contiguous(out), ())
    }

    fn backward_attention(
        kept: AttentionState<Self>,
        dout: CubeTensor,
        learned: bool,
    ) -> (CubeTensor, Option<CubeTensor>) {
        let AttentionState {
            qkv,
            prompts,
            heads,
            rows,
            ..
        } = kept;
        let sizes = Sizes::new(&qkv, prompts.as_ref(), heads);
        let [q, k, v] = sizes.split(&qkv, prompts.as_ref(), rows);
        let by_tokens = Shape::new([sizes.batch, rows, heads, sizes.head_dim()]);
        let dout = Cube::float_swap_dims(Cube::float_reshape(dout, by_tokens), 1, 2);
        let by_heads = Shape::new([sizes.batch * heads, rows, sizes.head_dim()]);
        let dout = Cube::float_reshape(into_contiguous(dout), by_heads);
        let [dq, dk, dv] = sizes.in_groups(rows, [q, k, v, dout], |[q, k, v, dout]| {
            let weights = sizes.weights(&q, &k);
            let dv = Cube::float_matmul(Cube::float_swap_dims(weights.clone(), 1, 2), dout.clone());
            let scores = into_contiguous(Cube::float_matmul(dout, Cube::float_swap_dims(v, 1, 2)));
            let (lines, keys) = rows_of(&scores);
            let (cubes, dim) = by_rows(&scores, lines);
            kernels::softmax_gradient::launch(
                &scores.client,
                cubes,
                dim,
                weights.into_tensor_arg(),
                scores.clone().into_tensor_arg(),
                sizes.scale(),
                lines,
                keys,
            );
            let dq = Cube::float_matmul(scores.clone(), k);
            let dk = Cube::float_matmul(Cube::float_swap_dims(scores, 1, 2), q);
            [dq, dk, dv].map(into_contiguous)
        });
        let dprompts = (learned && sizes.count > 0).then(|| sizes.prompt_gradient(&dk, &dv));
        let dqkv = empty(&qkv, qkv.shape());
        let (cubes, dim) = by_numbers(&qkv, qkv.shape().num_elements());
        kernels::merge_heads::launch(
            &qkv.client,
            cubes,
            dim,
            dq.into_tensor_arg(),
            dk.into_tensor_arg(),
            dv.into_tensor_arg(),
            dqkv.clone().into_tensor_arg(),
            rows,
            sizes.count,
            sizes.head_dim(),
        );
        (dqkv, dprompts)
    }
}

impl FusedOps for Cube {
    fn fused_layer_norm(x: CubeTensor, gamma: CubeTensor, beta: CubeTensor, eps: f64) -> CubeTensor {
        let [x, gamma, beta] = [x, gamma, beta].map(Self::contiguous);
        Self::forward_layer_norm(&x, &gamma, &beta, eps).0
    }

    fn fused_gelu(x: CubeTensor) -> CubeTensor {
        Self::forward_gelu(&Self::contiguous(x))
    }

    fn fused_attention(qkv: CubeTensor, heads: usize, rows: usize) -> CubeTensor {
        Self::forward_attention(&Self::contiguous(qkv), None, heads, rows).0
    }

    fn fused_prompted_attention(
        qkv: CubeTensor,
        prompts: CubeTensor,
        heads: usize,
        rows: usize,
    ) -> CubeTensor {
        let [qkv, prompts] = [qkv, prompts].map(Self::contiguous);
        Self::forward_attention(&qkv, Some(&prompts), heads, rows).0
    }
}
