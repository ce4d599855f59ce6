//! The inverse of a symmetric, positive definite matrix.

use ndarray::{Array2, Axis};
use rayon::prelude::*;

/// Smallest pivot, so that rounding makes no matrix of dependent rows indefinite.
const LEAST_PIVOT: f64 = 1e-12;

/// The inverse of `matrix`, by its Cholesky factor. Columns are solved for side by side, each in the same way for any number of
/// threads.
pub fn inverse(matrix: &Array2<f64>) -> Array2<f64> {
    let size = matrix.nrows();
    let factor = factor(matrix);
    let mut inverse = Array2::<f64>::zeros((size, size));
    let rows: Vec<_> = inverse.axis_iter_mut(Axis(0)).collect();
    rows.into_par_iter().enumerate().for_each(|(column, mut row)| {
        // The matrix is symmetric, so the solution may lie in a row; forwards with the factor, then backwards.
        row[column] = 1.0;
        for i in column..size {
            let known = (column..i).map(|j| factor[[i, j]] * row[j]).sum::<f64>();
            row[i] = (row[i] - known) / factor[[i, i]];
        }
        for i in (0..size).rev() {
            row[i] /= factor[[i, i]];
            let value = row[i];
            for j in 0..i {
                row[j] -= factor[[i, j]] * value;
            }
        }
    });
    inverse
}

/// The lower triangle whose product with its transpose is `matrix`.
fn factor(matrix: &Array2<f64>) -> Array2<f64> {
    let size = matrix.nrows();
    let mut factor = Array2::<f64>::zeros((size, size));
    for i in 0..size {
        for j in 0..=i {
            let (above, here) = (factor.row(j), factor.row(i));
            let known = (0..j).map(|k| above[k] * here[k]).sum::<f64>();
            let rest = matrix[[i, j]] - known;
            factor[[i, j]] = match i == j {
                true => rest.max(LEAST_PIVOT).sqrt(),
                false => rest / factor[[j, j]],
            };
        }
    }
    factor
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matrix_times_inverse_is_one() {
        let half = Array2::from_shape_fn((7, 7), |(i, j)| ((i * 7 + j * j) as f64).sin());
        let matrix = half.dot(&half.t()) + Array2::<f64>::eye(7) * 0.1;
        let one = matrix.dot(&inverse(&matrix));
        let difference = (one - Array2::<f64>::eye(7)).mapv(f64::abs);
        assert!(difference.iter().all(|x| *x < 1e-9), "{difference}");
    }

    #[test]
    fn dependent_rows_give_numbers() {
        let inverse = inverse(&Array2::from_elem((3, 3), 2.0));
        assert!(inverse.iter().all(|x| x.is_finite()), "{inverse}");
    }
}
