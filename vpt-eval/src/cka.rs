//! How alike two representations of the same images are.

use ndarray::{Array2, Axis};

/// Linear centred kernel alignment of two sets of features `[images, D]` and `[images, D']` of the same images (Kornblith et
/// al. 2019, arXiv 1905.00414, eq. 5): 1 where one is the other turned and scaled, 0 where nothing of one can be told from
/// the other. `None` where features do not differ between images, or the numbers of images do.
pub fn linear_cka(a: &Array2<f32>, b: &Array2<f32>) -> Option<f64> {
    if a.nrows() != b.nrows() {
        return None;
    }
    let (a, b) = (centred(a)?, centred(b)?);
    let square =
        |x: &Array2<f64>, y: &Array2<f64>| x.t().dot(y).iter().map(|value| value * value).sum::<f64>();
    let (of_a, of_b) = (square(&a, &a).sqrt(), square(&b, &b).sqrt());
    let alike = square(&a, &b) / (of_a * of_b);
    (of_a > 0.0 && of_b > 0.0).then_some(alike.clamp(0.0, 1.0))
}

fn centred(features: &Array2<f32>) -> Option<Array2<f64>> {
    let features = features.mapv(f64::from);
    let mean = features.mean_axis(Axis(0))?;
    Some(features - mean)
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn turned_scaled_and_moved_features_are_the_same() {
        let a = array![[1.0, 2.0], [3.0, -1.0], [0.5, 0.0], [-2.0, 1.5]];
        let turned = a.dot(&array![[0.6, -0.8], [0.8, 0.6]]) * 3.0 + 7.0;
        assert!((linear_cka(&a, &turned).unwrap() - 1.0).abs() < 1e-6);
    }

    /// By hand: centred columns (−1, 0, 1) and (1, −2, 1) are orthogonal; with (−1, 0, 1) beside it the second has
    /// HSIC 4 / (2 · √(6² + 2²)).
    #[test]
    fn small_features_by_hand() {
        let a = array![[0.0], [1.0], [2.0]];
        let orthogonal = array![[3.0], [0.0], [3.0]];
        assert_eq!(linear_cka(&a, &orthogonal), Some(0.0));
        let both = array![[3.0, -1.0], [0.0, 0.0], [3.0, 1.0]];
        let expected = 4.0 / (2.0 * 40_f64.sqrt());
        assert!((linear_cka(&a, &both).unwrap() - expected).abs() < 1e-12);
    }

    #[test]
    fn what_has_no_spread_is_not_compared() {
        let a = array![[1.0, 2.0], [3.0, 4.0]];
        assert_eq!(linear_cka(&a, &array![[1.0], [1.0]]), None);
        assert_eq!(linear_cka(&a, &array![[1.0]]), None);
    }
}
