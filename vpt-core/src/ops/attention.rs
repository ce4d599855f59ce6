//! Multi-head attention with prompts as extra keys and values, forward and backward, one (image, head) a task.
//!
//! Per image and head, with `Q` [R, d], `K` and `V` [P + N, d] (the prompts' rows first):
//!
//! ```text
//! S = Q Kᵀ / √d      A = softmax(S)      O = A V
//! dV = Aᵀ dO         dA = dO Vᵀ          dS = A ∘ (dA − rowsum(dO ∘ O))
//! dQ = dS K / √d     dK = dSᵀ Q / √d
//! ```
//!
//! `A` is not kept: backward rebuilds it from `Q`, `K` and the log of each row's sum of exponentials.
#![allow(unsafe_code)]

use gemm::{Parallelism, gemm};
use rayon::prelude::*;

use super::unwritten::zeros;
use super::vector_math::{dot, exp, max, sum};
use super::vectorised::vectorised;

/// Sizes of one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Images B.
    pub batch: usize,
    /// Tokens N of each image.
    pub tokens: usize,
    /// Prompts P; may be 0.
    pub prompts: usize,
    /// Each image has prompts of its own (prompt dropout): `prompts` is [B, P, 3 D], else [1, P, 3 D].
    pub prompts_per_image: bool,
    /// Heads H.
    pub heads: usize,
    /// Width D of a token.
    pub dim: usize,
    /// Only the first R tokens ask (queries); the output has R rows.
    pub rows: usize,
}

impl Shape {
    fn head_dim(&self) -> usize {
        self.dim / self.heads
    }

    fn keys(&self) -> usize {
        self.prompts + self.tokens
    }

    fn scale(&self) -> f32 {
        1.0 / (self.head_dim() as f32).sqrt()
    }

    fn prompts_of(&self, image: usize) -> usize {
        if self.prompts_per_image {
            image * self.prompts * 3 * self.dim
        } else {
            0
        }
    }

    /// Checks that the slices are as long as the shape says: what the unchecked products below rely on.
    fn check(&self, qkv: &[f32], prompts: &[f32]) {
        let sets = if self.prompts_per_image { self.batch } else { 1 };
        assert_eq!(
            qkv.len(),
            self.batch * self.tokens * 3 * self.dim,
            "attention: length of qkv"
        );
        assert_eq!(
            prompts.len(),
            sets * self.prompts * 3 * self.dim,
            "attention: length of prompts"
        );
        assert!(
            self.dim.is_multiple_of(self.heads) && self.rows <= self.tokens,
            "attention: {self:?}"
        );
    }
}

/// A matrix inside a slice: element (i, j) stands at `offset + i · row_stride + j · col_stride`.
#[derive(Clone, Copy)]
struct View {
    offset: usize,
    rows: usize,
    cols: usize,
    row_stride: usize,
    col_stride: usize,
}

impl View {
    fn new(offset: usize, rows: usize, cols: usize, row_stride: usize) -> Self {
        Self {
            offset,
            rows,
            cols,
            row_stride,
            col_stride: 1,
        }
    }

    fn transposed(self) -> Self {
        Self {
            rows: self.cols,
            cols: self.rows,
            row_stride: self.col_stride,
            col_stride: self.row_stride,
            ..self
        }
    }

    fn last(&self) -> usize {
        self.offset + (self.rows - 1) * self.row_stride + (self.cols - 1) * self.col_stride
    }
}

/// Adds or writes matrix products into places that other tasks do not touch.
#[derive(Clone, Copy)]
struct Target {
    start: *mut f32,
    len: usize,
}

// SAFETY: each task writes only the columns of its own (image, head), see `forward` and `backward`.
unsafe impl Send for Target {}
// SAFETY: as above.
unsafe impl Sync for Target {}

impl Target {
    fn of(values: &mut [f32]) -> Self {
        Self {
            start: values.as_mut_ptr(),
            len: values.len(),
        }
    }

    /// `self[c] = scale · a[va] · b[vb]`, added to what is there when `add`.
    fn product(self, c: View, (a, va): (&[f32], View), (b, vb): (&[f32], View), scale: f32, add: bool) {
        if c.rows == 0 || c.cols == 0 || va.cols == 0 {
            return;
        }
        assert!(va.rows == c.rows && vb.cols == c.cols && va.cols == vb.rows);
        assert!(va.last() < a.len() && vb.last() < b.len() && c.last() < self.len);
        // SAFETY: the assertions above keep every access inside the three slices; the target's elements
        // belong to this task alone.
        unsafe {
            gemm(
                c.rows,
                c.cols,
                va.cols,
                self.start.add(c.offset),
                c.col_stride as isize,
                c.row_stride as isize,
                add,
                a.as_ptr().add(va.offset),
                va.col_stride as isize,
                va.row_stride as isize,
                b.as_ptr().add(vb.offset),
                vb.col_stride as isize,
                vb.row_stride as isize,
                1.0,
                scale,
                false,
                false,
                false,
                Parallelism::None,
            );
        }
    }
}

/// Where one (image, head) finds its matrices.
struct Task {
    q: View,
    k: View,
    v: View,
    prompt_k: View,
    prompt_v: View,
    out: View,
    stats: usize,
}

impl Task {
    fn new(shape: &Shape, index: usize) -> Self {
        let (image, head) = (index / shape.heads, index % shape.heads);
        let (d, width, dim) = (shape.head_dim(), 3 * shape.dim, shape.dim);
        let start = image * shape.tokens * width + head * d;
        let prompts = shape.prompts_of(image) + head * d;
        Self {
            q: View::new(start, shape.rows, d, width),
            k: View::new(start + dim, shape.tokens, d, width),
            v: View::new(start + 2 * dim, shape.tokens, d, width),
            prompt_k: View::new(prompts + dim, shape.prompts, d, width),
            prompt_v: View::new(prompts + 2 * dim, shape.prompts, d, width),
            out: View::new(image * shape.rows * dim + head * d, shape.rows, d, dim),
            stats: index * shape.rows,
        }
    }
}

/// Scaled scores `S` [R, P + N] of one task.
fn scores(into: &mut [f32], shape: &Shape, task: &Task, qkv: &[f32], prompts: &[f32]) {
    let (prompt_cols, token_cols) = columns(shape);
    let target = Target::of(into);
    target.product(
        prompt_cols,
        (qkv, task.q),
        (prompts, task.prompt_k.transposed()),
        shape.scale(),
        false,
    );
    target.product(
        token_cols,
        (qkv, task.q),
        (qkv, task.k.transposed()),
        shape.scale(),
        false,
    );
}

/// The two column blocks, prompts and tokens, of an [R, P + N] matrix.
fn columns(shape: &Shape) -> (View, View) {
    let keys = shape.keys();
    (
        View::new(0, shape.rows, shape.prompts, keys),
        View::new(shape.prompts, shape.rows, shape.tokens, keys),
    )
}

/// Attention output [B, R, D] and the log of each row's sum of exponentials [B, H, R].
///
/// `qkv` [B, N, 3 D] holds queries, keys and values side by side; of `prompts` [1 or B, P, 3 D] only keys and values are read.
pub fn forward(shape: &Shape, qkv: &[f32], prompts: &[f32]) -> (Vec<f32>, Vec<f32>) {
    shape.check(qkv, prompts);
    let mut out = zeros(shape.batch * shape.rows * shape.dim);
    let mut stats = vec![0.0; shape.batch * shape.heads * shape.rows];
    let target = Target::of(&mut out);
    stats.par_chunks_mut(shape.rows).enumerate().for_each_init(
        || vec![0.0; shape.rows * shape.keys()],
        |attention, (index, stats)| {
            let task = Task::new(shape, index);
            scores(attention, shape, &task, qkv, prompts);
            softmax(attention, stats);
            let (prompt_cols, token_cols) = columns(shape);
            target.product(task.out, (attention, token_cols), (qkv, task.v), 1.0, false);
            target.product(
                task.out,
                (attention, prompt_cols),
                (prompts, task.prompt_v),
                1.0,
                true,
            );
        },
    );
    (out, stats)
}

vectorised! {
    /// Softmax of each row in place; `log_sums` gets the log of each row's sum of exponentials.
    fn softmax(scores: &mut [f32], log_sums: &mut [f32]) {
        let keys = scores.len() / log_sums.len();
        for (row, log_sum) in scores.chunks_exact_mut(keys).zip(log_sums) {
            let top = max(row);
            for value in row.iter_mut() {
                *value = exp(*value - top);
            }
            let total = sum(row);
            let scale = 1.0 / total;
            for value in row.iter_mut() {
                *value *= scale;
            }
            *log_sum = top + total.ln();
        }
    }

    /// Turns scores `a` into probabilities and `g = dA` into `dS = A ∘ (dA − rowsum(dO ∘ O))`.
    fn softmax_gradient(a: &mut [f32], g: &mut [f32], log_sums: &[f32], outputs: [&[f32]; 2], head: View) {
        let keys = a.len() / log_sums.len();
        let [out, dout] = outputs;
        let rows = a.chunks_exact_mut(keys).zip(g.chunks_exact_mut(keys)).zip(log_sums);
        for (row, ((a, g), log_sum)) in rows.enumerate() {
            let start = head.offset + row * head.row_stride;
            let delta = dot(&dout[start..start + head.cols], &out[start..start + head.cols]);
            for (a, g) in a.iter_mut().zip(g) {
                *a = exp(*a - log_sum);
                *g = *a * (*g - delta);
            }
        }
    }
}

/// Gradients of `qkv` and, when asked for, of `prompts`, from the forward's inputs and outputs and the
/// gradient `dout` [B, R, D] of its output. The prompts' query columns get zeros.
pub fn backward(
    shape: &Shape,
    (qkv, prompts): (&[f32], &[f32]),
    (out, stats): (&[f32], &[f32]),
    dout: &[f32],
    prompt_gradient: bool,
) -> (Vec<f32>, Option<Vec<f32>>) {
    shape.check(qkv, prompts);
    assert!(out.len() == shape.batch * shape.rows * shape.dim && dout.len() == out.len());
    let (keys, d, dim, width) = (shape.keys(), shape.head_dim(), shape.dim, 3 * shape.dim);
    let prompt_gradient = prompt_gradient && shape.prompts > 0;
    let mut dqkv = zeros(qkv.len());
    // One copy per image: shared prompts are summed over the images afterwards, in a fixed order.
    let copy = shape.prompts * width;
    let mut dprompts = zeros(if prompt_gradient { shape.batch * copy } else { 0 });
    let (token_target, prompt_target) = (Target::of(&mut dqkv), Target::of(&mut dprompts));
    (0..shape.batch * shape.heads).into_par_iter().for_each_init(
        || (vec![0.0; shape.rows * keys], vec![0.0; shape.rows * keys]),
        |(attention, gradient), index| {
            let task = Task::new(shape, index);
            let (prompt_cols, token_cols) = columns(shape);
            scores(attention, shape, &task, qkv, prompts);
            let target = Target::of(gradient);
            target.product(
                prompt_cols,
                (dout, task.out),
                (prompts, task.prompt_v.transposed()),
                1.0,
                false,
            );
            target.product(
                token_cols,
                (dout, task.out),
                (qkv, task.v.transposed()),
                1.0,
                false,
            );
            let stats = &stats[task.stats..task.stats + shape.rows];
            softmax_gradient(attention, gradient, stats, [out, dout], task.out);
            let scale = shape.scale();
            token_target.product(
                task.v,
                (attention, token_cols.transposed()),
                (dout, task.out),
                1.0,
                false,
            );
            token_target.product(task.q, (gradient, token_cols), (qkv, task.k), scale, false);
            token_target.product(
                task.q,
                (gradient, prompt_cols),
                (prompts, task.prompt_k),
                scale,
                true,
            );
            token_target.product(
                task.k,
                (gradient, token_cols.transposed()),
                (qkv, task.q),
                scale,
                false,
            );
            if prompt_gradient {
                let start = (index / shape.heads) * copy + (index % shape.heads) * d;
                let (k, v) = (start + dim, start + 2 * dim);
                let view = |offset| View::new(offset, shape.prompts, d, width);
                prompt_target.product(
                    view(v),
                    (attention, prompt_cols.transposed()),
                    (dout, task.out),
                    1.0,
                    false,
                );
                prompt_target.product(
                    view(k),
                    (gradient, prompt_cols.transposed()),
                    (qkv, task.q),
                    scale,
                    false,
                );
            }
        },
    );
    if prompt_gradient && !shape.prompts_per_image {
        sum_copies(&mut dprompts, copy);
    }
    (dqkv, prompt_gradient.then_some(dprompts))
}

/// Adds all copies of length `len` into the first and drops the rest.
fn sum_copies(copies: &mut Vec<f32>, len: usize) {
    let (first, rest) = copies.split_at_mut(len);
    for copy in rest.chunks_exact(len) {
        for (total, value) in first.iter_mut().zip(copy) {
            *total += value;
        }
    }
    copies.truncate(len);
}
