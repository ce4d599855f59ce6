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
    product(
        [rows, inputs, outputs],
        (x, [inputs, 1]),
        (weight, [outputs, 1]),
        bias,
    )
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
    product(
        [rows, outputs, inputs],
        (dy, [outputs, 1]),
        (weight, [1, outputs]),
        None,
    )
}

/// Gradient of the weight, [inputs, outputs], from `x` [rows, inputs] and `dy` [rows, outputs].
pub fn weight_gradient(x: &[f32], dy: &[f32], inputs: usize) -> Vec<f32> {
    let rows = x.len() / inputs;
    let outputs = dy.len() / rows.max(1);
    product(
        [inputs, rows, outputs],
        (x, [1, inputs]),
        (dy, [outputs, 1]),
        None,
    )
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

/// `a` [m, k] times `b` [k, n], plus `bias` [n] in each row: [m, n].
fn product(
    [m, k, n]: [usize; 3],
    (a, a_strides): Strided<'_>,
    (b, b_strides): Strided<'_>,
    bias: Option<&[f32]>,
) -> Vec<f32> {
    if m == 0 || k == 0 || n == 0 {
        return bias.unwrap_or(&vec![0.0; n]).repeat(m);
    }
    let last = |rows: usize, cols: usize, [row, col]: [usize; 2]| (rows - 1) * row + (cols - 1) * col;
    assert!(last(m, k, a_strides) < a.len() && last(k, n, b_strides) < b.len());
    let mut c = Vec::with_capacity(m * n);
    let places = &mut c.spare_capacity_mut()[..m * n];
    if let Some(bias) = bias {
        assert!(bias.len() == n);
        places.par_chunks_mut(ROWS * n).for_each(|places| {
            for row in places.chunks_exact_mut(n) {
                row.write_copy_of_slice(bias);
            }
        });
    }
    let parallel = if m * k * n < PARALLEL {
        Parallelism::None
    } else {
        Parallelism::Rayon(0)
    };
    let [a_row, a_col] = a_strides.map(|stride| stride as isize);
    let [b_row, b_col] = b_strides.map(|stride| stride as isize);
    // SAFETY: the assertion above keeps every access inside the three slices, and `places` is borrowed alone. It is read only where the
    // bias was written, and written in every place.
    unsafe {
        gemm(
            m,
            n,
            k,
            places.as_mut_ptr().cast::<f32>(),
            1,
            n as isize,
            bias.is_some(),
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
        c.set_len(m * n);
    }
    c
}
