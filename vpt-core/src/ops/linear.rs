//! A linear layer as matrix products over all rows at once, forward and backward.
//!
//! ```text
//! Y = X W + b        dX = dY Wᵀ        dW = Xᵀ dY        db = Σ rows of dY
//! ```
//!
//! Burn's own product zeroes its output, copies it once more to align it, and for the gradient of a weight forms one
//! product per image and then adds them up; `docs/performance.md` has what this brings.
#![allow(unsafe_code)]

use gemm::{Parallelism, gemm};
use half::slice::HalfFloatSliceExt;
use rayon::prelude::*;

use super::vectorised::vectorised;

/// Products of fewer multiply-adds stay on one thread.
const PARALLEL: usize = 128 * 128 * 128;

/// Rows that are filled or summed by one task: fixed, so that sums do not depend on the number of threads.
const ROWS: usize = 128;

/// Weights that are widened by one task.
const WIDENED: usize = 1 << 15;

/// `x` [rows, inputs] times `weight` [inputs, outputs] plus `bias` [outputs], if any: [rows, outputs].
pub fn forward(x: &[f32], weight: &[f32], bias: Option<&[f32]>, outputs: usize) -> Vec<f32> {
    let inputs = weight.len() / outputs;
    let rows = x.len() / inputs;
    let mut y = Vec::with_capacity(rows * outputs);
    let places = &mut y.spare_capacity_mut()[..rows * outputs];
    places.par_chunks_mut(ROWS * outputs).for_each(|places| {
        for row in places.chunks_exact_mut(outputs) {
            match bias {
                Some(bias) => row.iter_mut().zip(bias).for_each(|(place, &value)| {
                    place.write(value);
                }),
                None => row.iter_mut().for_each(|place| {
                    place.write(0.0);
                }),
            }
        }
    });
    // SAFETY: the loop above wrote every one of the elements.
    unsafe { y.set_len(rows * outputs) };
    product(
        &mut y,
        [rows, inputs, outputs],
        (x, [inputs, 1]),
        (weight, [outputs, 1]),
    );
    y
}

/// Weights stored in half as many bits, as the products take them.
pub fn widened<H: Sync>(weight: &[H]) -> Vec<f32>
where
    [H]: HalfFloatSliceExt,
{
    let mut wide = vec![0.0; weight.len()];
    wide.par_chunks_mut(WIDENED)
        .zip(weight.par_chunks(WIDENED))
        .for_each(|(wide, weight)| weight.convert_to_f32_slice(wide));
    wide
}

/// Weights stored as whole numbers, as the products take them: the values share `scales`, in blocks of equal length.
pub fn scaled(weight: &[i8], scales: &[f32]) -> Vec<f32> {
    let block = weight.len() / scales.len();
    let blocks = WIDENED.div_ceil(block);
    let mut wide = vec![0.0; weight.len()];
    wide.par_chunks_mut(blocks * block)
        .zip(weight.par_chunks(blocks * block))
        .zip(scales.par_chunks(blocks))
        .for_each(|((wide, weight), scales)| scale_blocks(wide, weight, scales));
    wide
}

vectorised! {
    /// Each block of `weight` times its scale.
    fn scale_blocks(wide: &mut [f32], weight: &[i8], scales: &[f32]) {
        let block = weight.len() / scales.len();
        let blocks = wide.chunks_exact_mut(block).zip(weight.chunks_exact(block));
        for ((wide, weight), &scale) in blocks.zip(scales) {
            for (wide, &weight) in wide.iter_mut().zip(weight) {
                *wide = scale * f32::from(weight);
            }
        }
    }
}

/// Gradient of the input, [rows, inputs], from `dy` [rows, outputs].
pub fn input_gradient(dy: &[f32], weight: &[f32], outputs: usize) -> Vec<f32> {
    let inputs = weight.len() / outputs;
    let rows = dy.len() / outputs;
    let mut dx = vec![0.0; rows * inputs];
    product(
        &mut dx,
        [rows, outputs, inputs],
        (dy, [outputs, 1]),
        (weight, [1, outputs]),
    );
    dx
}

/// Gradient of the weight, [inputs, outputs], from `x` [rows, inputs] and `dy` [rows, outputs].
pub fn weight_gradient(x: &[f32], dy: &[f32], inputs: usize) -> Vec<f32> {
    let rows = x.len() / inputs;
    let outputs = dy.len() / rows.max(1);
    let mut dweight = vec![0.0; inputs * outputs];
    product(
        &mut dweight,
        [inputs, rows, outputs],
        (x, [1, inputs]),
        (dy, [outputs, 1]),
    );
    dweight
}

/// Gradient of the bias, [outputs], from `dy` [rows, outputs].
pub fn bias_gradient(dy: &[f32], outputs: usize) -> Vec<f32> {
    let partial = dy.par_chunks(ROWS * outputs).map(|dy| {
        let mut total = vec![0.0; outputs];
        add_rows(&mut total, dy);
        total
    });
    let mut total = vec![0.0; outputs];
    for partial in partial.collect::<Vec<_>>() {
        add_rows(&mut total, &partial);
    }
    total
}

vectorised! {
    /// Adds each row of `rows` to `total`.
    fn add_rows(total: &mut [f32], rows: &[f32]) {
        for row in rows.chunks_exact(total.len()) {
            for (total, value) in total.iter_mut().zip(row) {
                *total += value;
            }
        }
    }
}

/// A matrix in a slice and its strides, `[row, column]`.
type Strided<'a> = (&'a [f32], [usize; 2]);

/// Adds `a` [m, k] times `b` [k, n] to the contiguous `c` [m, n].
fn product(c: &mut [f32], [m, k, n]: [usize; 3], (a, a_strides): Strided<'_>, (b, b_strides): Strided<'_>) {
    if c.is_empty() || k == 0 {
        return;
    }
    let last = |rows: usize, cols: usize, [row, col]: [usize; 2]| (rows - 1) * row + (cols - 1) * col;
    assert!(c.len() == m * n && last(m, k, a_strides) < a.len() && last(k, n, b_strides) < b.len());
    let parallel = if m * k * n < PARALLEL {
        Parallelism::None
    } else {
        Parallelism::Rayon(0)
    };
    let [a_row, a_col] = a_strides.map(|stride| stride as isize);
    let [b_row, b_col] = b_strides.map(|stride| stride as isize);
    // SAFETY: the assertion above keeps every access inside the three slices, and `c` is borrowed alone.
    unsafe {
        gemm(
            m,
            n,
            k,
            c.as_mut_ptr(),
            1,
            n as isize,
            true,
            a.as_ptr(),
            a_col,
            a_row,
            b.as_ptr(),
            b_col,
            b_row,
            1.0,
            1.0,
            false,
            false,
            false,
            parallel,
        );
    }
}
