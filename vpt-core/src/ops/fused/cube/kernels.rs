//! The kernels, in CubeCL: compiled at run time for Vulkan, Metal, DX12 and CUDA.
//!
//! Where a value is made of a whole row, the [`UNITS`] threads of a workgroup share the row: each takes every 64th number, and
//! what they found is added up in shared memory, in an order that is always the same.
#![allow(
    missing_docs,
    clippy::cast_possible_truncation,
    clippy::pedantic,
    unstable_name_collisions,
    reason = "what the `cube` macro makes of each kernel is not ours to document"
)]

use burn_cubecl::cubecl;
use burn_cubecl::cubecl::prelude::*;

/// Threads that share a row.
pub const UNITS: u32 = 64;

/// One more than the halvings that leave one thread.
const LEVELS: u32 = UNITS.ilog2() + 1;

const INVERSE_SQRT_2: f32 = std::f32::consts::FRAC_1_SQRT_2;
/// 1 / √(2 π).
const NORMAL_DENSITY: f32 = 0.398_942_3;

/// The sum over the workgroup; every thread gets it.
#[cube]
fn total(own: f32, shared: &mut Shared<[f32]>) -> f32 {
    let unit = UNIT_POS as usize;
    shared[unit] = own;
    sync_cube();
    #[unroll]
    for level in 1..LEVELS {
        let half = comptime!((UNITS >> level) as usize);
        if unit < half {
            let other = shared[unit + half];
            shared[unit] += other;
        }
        sync_cube();
    }
    let sum = shared[0];
    sync_cube();
    sum
}

/// The largest over the workgroup; every thread gets it.
#[cube]
fn largest(own: f32, shared: &mut Shared<[f32]>) -> f32 {
    let unit = UNIT_POS as usize;
    shared[unit] = own;
    sync_cube();
    #[unroll]
    for level in 1..LEVELS {
        let half = comptime!((UNITS >> level) as usize);
        if unit < half {
            let other = shared[unit + half];
            if other > shared[unit] {
                shared[unit] = other;
            }
        }
        sync_cube();
    }
    let top = shared[0];
    sync_cube();
    top
}

/// Rows of `scores` become softmax(`scale` · row), in place.
#[cube(launch)]
pub fn softmax(scores: &mut Tensor<f32>, scale: f32, rows: usize, keys: usize) {
    let row = CUBE_POS;
    if row >= rows {
        terminate!();
    }
    let mut shared = Shared::<[f32]>::new_slice(UNITS as usize);
    let start = row * keys;
    let unit = UNIT_POS as usize;
    let step = UNITS as usize;
    let mut top = scores[start] * scale;
    let mut key = unit;
    while key < keys {
        let score = scores[start + key] * scale;
        if score > top {
            top = score;
        }
        key += step;
    }
    let top = largest(top, &mut shared);
    let mut sum = 0.0f32;
    let mut key = unit;
    while key < keys {
        let value = (scores[start + key] * scale - top).exp();
        scores[start + key] = value;
        sum += value;
        key += step;
    }
    let sum = total(sum, &mut shared);
    let mut key = unit;
    while key < keys {
        scores[start + key] /= sum;
        key += step;
    }
}

/// `gradient`, which is that of the weights `a`, becomes that of the scores before `scale`, in place: `scale · a ∘ (g − ⟨a, g⟩)`.
#[cube(launch)]
pub fn softmax_gradient(a: &Tensor<f32>, gradient: &mut Tensor<f32>, scale: f32, rows: usize, keys: usize) {
    let row = CUBE_POS;
    if row >= rows {
        terminate!();
    }
    let mut shared = Shared::<[f32]>::new_slice(UNITS as usize);
    let start = row * keys;
    let unit = UNIT_POS as usize;
    let step = UNITS as usize;
    let mut sum = 0.0f32;
    let mut key = unit;
    while key < keys {
        sum += a[start + key] * gradient[start + key];
        key += step;
    }
    let sum = total(sum, &mut shared);
    let mut key = unit;
    while key < keys {
        gradient[start + key] = scale * a[start + key] * (gradient[start + key] - sum);
        key += step;
    }
}

/// Mean of the workgroup's row.
#[cube]
fn mean_of(x: &Tensor<f32>, start: usize, dim: usize, shared: &mut Shared<[f32]>) -> f32 {
    let mut sum = 0.0f32;
    let mut i = UNIT_POS as usize;
    while i < dim {
        sum += x[start + i];
        i += UNITS as usize;
    }
    total(sum, shared) / f32::cast_from(dim)
}

/// Inverse standard deviation of the workgroup's row.
#[cube]
fn inverse_deviation(
    x: &Tensor<f32>,
    start: usize,
    dim: usize,
    mean: f32,
    eps: f32,
    shared: &mut Shared<[f32]>,
) -> f32 {
    let mut squares = 0.0f32;
    let mut i = UNIT_POS as usize;
    while i < dim {
        let centred = x[start + i] - mean;
        squares += centred * centred;
        i += UNITS as usize;
    }
    1.0f32 / (total(squares, shared) / f32::cast_from(dim) + eps).sqrt()
}

/// `y = (x − mean) / √(variance + eps) · gamma + beta`, row by row.
#[cube(launch)]
pub fn layer_norm(
    x: &Tensor<f32>,
    gamma: &Tensor<f32>,
    beta: &Tensor<f32>,
    y: &mut Tensor<f32>,
    eps: f32,
    rows: usize,
    dim: usize,
) {
    let row = CUBE_POS;
    if row >= rows {
        terminate!();
    }
    let mut shared = Shared::<[f32]>::new_slice(UNITS as usize);
    let start = row * dim;
    let mean = mean_of(x, start, dim, &mut shared);
    let inverse = inverse_deviation(x, start, dim, mean, eps, &mut shared);
    let mut i = UNIT_POS as usize;
    while i < dim {
        y[start + i] = (x[start + i] - mean) * inverse * gamma[i] + beta[i];
        i += UNITS as usize;
    }
}

/// With x̂ = (x − mean) / σ and g = dy ∘ gamma: `dx = (g − mean(g) − x̂ · mean(g ∘ x̂)) / σ`, row by row; `normalised` gets dy ∘ x̂,
/// whose sum over the rows is the gradient of gamma.
#[cube(launch)]
pub fn layer_norm_gradient(
    x: &Tensor<f32>,
    gamma: &Tensor<f32>,
    dy: &Tensor<f32>,
    dx: &mut Tensor<f32>,
    normalised: &mut Tensor<f32>,
    eps: f32,
    rows: usize,
    dim: usize,
    #[comptime] affine: bool,
) {
    let row = CUBE_POS;
    if row >= rows {
        terminate!();
    }
    let mut shared = Shared::<[f32]>::new_slice(UNITS as usize);
    let start = row * dim;
    let unit = UNIT_POS as usize;
    let step = UNITS as usize;
    let mean = mean_of(x, start, dim, &mut shared);
    let inverse = inverse_deviation(x, start, dim, mean, eps, &mut shared);
    let mut sum = 0.0f32;
    let mut product = 0.0f32;
    let mut i = unit;
    while i < dim {
        let g = dy[start + i] * gamma[i];
        sum += g;
        product += g * (x[start + i] - mean) * inverse;
        i += step;
    }
    let sum = total(sum, &mut shared) / f32::cast_from(dim);
    let product = total(product, &mut shared) / f32::cast_from(dim);
    let mut i = unit;
    while i < dim {
        let standard = (x[start + i] - mean) * inverse;
        dx[start + i] = inverse * (dy[start + i] * gamma[i] - sum - standard * product);
        if comptime!(affine) {
            normalised[start + i] = dy[start + i] * standard;
        }
        i += step;
    }
}

/// `y = x · Φ(x)`.
#[cube(launch)]
pub fn gelu(x: &Tensor<f32>, y: &mut Tensor<f32>, len: usize) {
    let i = ABSOLUTE_POS;
    if i < len {
        let value = x[i];
        y[i] = value * (0.5f32 + 0.5f32 * (value * INVERSE_SQRT_2).erf());
    }
}

/// `dx = dy · (Φ(x) + x · φ(x))`.
#[cube(launch)]
pub fn gelu_gradient(x: &Tensor<f32>, dy: &Tensor<f32>, dx: &mut Tensor<f32>, len: usize) {
    let i = ABSOLUTE_POS;
    if i < len {
        let value = x[i];
        let below = 0.5f32 + 0.5f32 * (value * INVERSE_SQRT_2).erf();
        let density = NORMAL_DENSITY * (value * value * -0.5f32).exp();
        dx[i] = dy[i] * (below + value * density);
    }
}

/// Takes one third of `prompts` `[sets, count, 3 dim]` and `qkv` `[batch, tokens, 3 dim]`, in this order, head by head:
/// `heads` `[batch, heads, count + first, head_dim]`, of the first `first` tokens. `sets` is 1 or `batch`.
#[cube(launch)]
pub fn split_heads(
    qkv: &Tensor<f32>,
    prompts: &Tensor<f32>,
    heads: &mut Tensor<f32>,
    third: usize,
    tokens: usize,
    count: usize,
    sets: usize,
    #[comptime] head_dim: usize,
) {
    let i = ABSOLUTE_POS;
    if i < heads.len() {
        let number = heads.shape(1);
        let rows = heads.shape(2);
        let d = i % head_dim;
        let row = (i / head_dim) % rows;
        let head = (i / (head_dim * rows)) % number;
        let image = i / (head_dim * rows * number);
        let dim = number * head_dim;
        let column = third * dim + head * head_dim + d;
        if row < count {
            let set = select(sets == 1, 0, image);
            heads[i] = prompts[(set * count + row) * 3 * dim + column];
        } else {
            heads[i] = qkv[(image * tokens + row - count) * 3 * dim + column];
        }
    }
}

/// Puts gradients of queries `[batch, heads, rows, head_dim]`, keys and values `[batch, heads, count + tokens, head_dim]` where their
/// values came from: `qkv` `[batch, tokens, 3 dim]`. Tokens that did not ask get zeros for their queries.
#[cube(launch)]
pub fn merge_heads(
    q: &Tensor<f32>,
    k: &Tensor<f32>,
    v: &Tensor<f32>,
    qkv: &mut Tensor<f32>,
    rows: usize,
    count: usize,
    #[comptime] head_dim: usize,
) {
    let i = ABSOLUTE_POS;
    if i < qkv.len() {
        let tokens = qkv.shape(1);
        let width = qkv.shape(2);
        let column = i % width;
        let token = (i / width) % tokens;
        let image = i / (width * tokens);
        let dim = width / 3;
        let third = column / dim;
        let within = column % dim;
        let head = within / head_dim;
        let d = within % head_dim;
        let place = image * (dim / head_dim) + head;
        let from = (place * (count + tokens) + count + token) * head_dim + d;
        if third == 0 {
            if token < rows {
                qkv[i] = q[(place * rows + token) * head_dim + d];
            } else {
                qkv[i] = 0.0f32;
            }
        } else if third == 1 {
            qkv[i] = k[from];
        } else {
            qkv[i] = v[from];
        }
    }
}
