//! Layer normalisation over the last axis, forward and backward in one pass each.
//!
//! With `x̂ = (x − mean) · rstd` and `y = γ x̂ + β`, the gradient of the input is
//! `dx = rstd · (g − mean(g) − x̂ · mean(g x̂))` where `g = γ dy`; `dγ = Σ dy x̂`, `dβ = Σ dy` over the rows.

use rayon::prelude::*;

use super::unwritten::filled;
use super::vector_math::{sum, sum_by};
use super::vectorised::vectorised;

/// Rows a task takes at once; also the unit in which `dγ` and `dβ` are summed, so that the
/// result does not depend on the number of threads.
const ROWS: usize = 32;

/// Normalises each row of `x` [rows, dim]; also returns `(mean, 1 / standard deviation)` of each row.
pub fn forward(x: &[f32], gamma: &[f32], beta: &[f32], eps: f32) -> (Vec<f32>, Vec<[f32; 2]>) {
    let dim = gamma.len();
    let mut stats = vec![[0.0; 2]; x.len() / dim];
    let parts = stats.par_chunks_mut(ROWS).zip(x.par_chunks(ROWS * dim));
    let (y, _) = filled(x.len(), ROWS * dim, parts, |y, (stats, x)| {
        normalise(y, stats, x, gamma, beta, eps);
    });
    (y, stats)
}

vectorised! {
    fn normalise(y: &mut [f32], stats: &mut [[f32; 2]], x: &[f32], gamma: &[f32], beta: &[f32], eps: f32) {
        let dim = gamma.len();
        for ((y, stats), x) in y.chunks_exact_mut(dim).zip(stats).zip(x.chunks_exact(dim)) {
            *stats = normalise_row(y, x, gamma, beta, eps);
        }
    }

    fn differentiate(dx: &mut [f32], x: &[f32], dy: &[f32], gamma: &[f32], stats: &[[f32; 2]]) {
        let dim = gamma.len();
        for (((dx, x), dy), stats) in
            dx.chunks_exact_mut(dim).zip(x.chunks_exact(dim)).zip(dy.chunks_exact(dim)).zip(stats)
        {
            backward_row(dx, x, dy, gamma, *stats);
        }
    }

    fn accumulate_affine(dgamma: &mut [f32], dbeta: &mut [f32], x: &[f32], dy: &[f32], stats: &[[f32; 2]]) {
        let dim = dgamma.len();
        let dbeta = &mut dbeta[..dim];
        for ((x, dy), [mean, rstd]) in x.chunks_exact(dim).zip(dy.chunks_exact(dim)).zip(stats) {
            for i in 0..dim {
                dgamma[i] += dy[i] * (x[i] - mean) * rstd;
                dbeta[i] += dy[i];
            }
        }
    }
}

#[inline(always)]
fn normalise_row(y: &mut [f32], x: &[f32], gamma: &[f32], beta: &[f32], eps: f32) -> [f32; 2] {
    let dim = x.len();
    let (y, gamma, beta) = (&mut y[..dim], &gamma[..dim], &beta[..dim]);
    let scale = 1.0 / dim as f32;
    let mean = sum(x) * scale;
    let variance = sum_by(dim, |i| (x[i] - mean) * (x[i] - mean)) * scale;
    let rstd = 1.0 / (variance + eps).sqrt();
    for i in 0..dim {
        y[i] = (x[i] - mean) * rstd * gamma[i] + beta[i];
    }
    [mean, rstd]
}

/// What [`backward`] returns: the gradient of the input and, when asked for, of `γ` and `β`.
pub struct Gradients {
    /// [rows, dim]
    pub x: Vec<f32>,
    /// `(dγ [dim], dβ [dim])`
    pub affine: Option<(Vec<f32>, Vec<f32>)>,
}

/// Gradients of [`forward`] from its input, its row statistics and the gradient `dy` [rows, dim] of its output.
pub fn backward(x: &[f32], stats: &[[f32; 2]], gamma: &[f32], dy: &[f32], affine: bool) -> Gradients {
    let dim = gamma.len();
    let parts = x
        .par_chunks(ROWS * dim)
        .zip(dy.par_chunks(ROWS * dim))
        .zip(stats.par_chunks(ROWS));
    let (dx, partial) = filled(x.len(), ROWS * dim, parts, |dx, ((x, dy), stats)| {
        differentiate(dx, x, dy, gamma, stats);
        affine.then(|| {
            let (mut dgamma, mut dbeta) = (vec![0.0; dim], vec![0.0; dim]);
            accumulate_affine(&mut dgamma, &mut dbeta, x, dy, stats);
            (dgamma, dbeta)
        })
    });
    let affine = affine.then(|| {
        let mut total = (vec![0.0; dim], vec![0.0; dim]);
        for (dgamma, dbeta) in partial.into_iter().flatten() {
            add(&mut total.0, &dgamma);
            add(&mut total.1, &dbeta);
        }
        total
    });
    Gradients { x: dx, affine }
}

#[inline(always)]
fn backward_row(dx: &mut [f32], x: &[f32], dy: &[f32], gamma: &[f32], [mean, rstd]: [f32; 2]) {
    let dim = x.len();
    let (dx, dy, gamma) = (&mut dx[..dim], &dy[..dim], &gamma[..dim]);
    let scale = 1.0 / dim as f32;
    let mean_g = sum_by(dim, |i| dy[i] * gamma[i]) * scale;
    let mean_gx = sum_by(dim, |i| dy[i] * gamma[i] * (x[i] - mean)) * rstd * scale;
    for i in 0..dim {
        let normal = (x[i] - mean) * rstd;
        dx[i] = rstd * (dy[i] * gamma[i] - mean_g - normal * mean_gx);
    }
}

fn add(total: &mut [f32], part: &[f32]) {
    for (total, part) in total.iter_mut().zip(part) {
        *total += part;
    }
}
