//! GELU with the exact normal distribution function, `y = x Φ(x)`, and its gradient `Φ(x) + x φ(x)`.

use rayon::prelude::*;

use super::unwritten::filled;
use super::vector_math::{normal_cdf, normal_pdf};
use super::vectorised::vectorised;

/// Elements a task takes at once.
const CHUNK: usize = 8192;

/// `x Φ(x)` of every element.
pub fn forward(x: &[f32]) -> Vec<f32> {
    filled(x.len(), CHUNK, x.par_chunks(CHUNK), gelu).0
}

/// `dy · (Φ(x) + x φ(x))` of every element.
pub fn backward(x: &[f32], dy: &[f32]) -> Vec<f32> {
    let parts = x.par_chunks(CHUNK).zip(dy.par_chunks(CHUNK));
    filled(x.len(), CHUNK, parts, |dx, (x, dy)| gelu_gradient(dx, x, dy)).0
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
