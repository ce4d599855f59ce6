//! GELU with the exact normal distribution function, `y = x Φ(x)`, and its gradient `Φ(x) + x φ(x)`.

use rayon::prelude::*;

use super::vector_math::{normal_cdf, normal_pdf};
use super::vectorised::vectorised;

/// Elements a task takes at once.
const CHUNK: usize = 8192;

/// `x Φ(x)` of every element.
pub fn forward(x: &[f32]) -> Vec<f32> {
    let mut y = vec![0.0; x.len()];
    y.par_chunks_mut(CHUNK)
        .zip(x.par_chunks(CHUNK))
        .for_each(|(y, x)| gelu(y, x));
    y
}

/// `dy · (Φ(x) + x φ(x))` of every element.
pub fn backward(x: &[f32], dy: &[f32]) -> Vec<f32> {
    let mut dx = vec![0.0; x.len()];
    dx.par_chunks_mut(CHUNK)
        .zip(x.par_chunks(CHUNK))
        .zip(dy.par_chunks(CHUNK))
        .for_each(|((dx, x), dy)| gelu_gradient(dx, x, dy));
    dx
}

vectorised! {
    fn gelu(y: &mut [f32], x: &[f32]) {
        for (y, x) in y.iter_mut().zip(x) {
            *y = x * normal_cdf(*x);
        }
    }

    fn gelu_gradient(dx: &mut [f32], x: &[f32], dy: &[f32]) {
        for ((dx, x), dy) in dx.iter_mut().zip(x).zip(dy) {
            *dx = dy * (normal_cdf(*x) + x * normal_pdf(*x));
        }
    }
}
