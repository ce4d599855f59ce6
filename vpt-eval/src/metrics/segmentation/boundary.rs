//! Where a class ends.

use ndarray::{Array2, ArrayView2};

/// Share of the image's diagonal that two contours may be apart, as in MATLAB's `bfscore`.
const TOLERANCE: f64 = 0.0075;

/// 0.75 % of the diagonal of an image, in pixels.
pub fn default_tolerance(height: usize, width: usize) -> f64 {
    TOLERANCE * (height as f64).hypot(width as f64)
}

/// Boundary of a class `[height, width]`: its pixels with one of four neighbours outside the image or of another class, as
/// `mask ^ scipy.ndimage.binary_erosion(mask)` has it (MONAI's `get_mask_edges`, medpy's surfaces).
///
/// Pixels that `is_known` denies are no boundary, and no neighbour makes one next to them: where truth is unknown nothing
/// ends.
pub fn boundary(mask: &ArrayView2<bool>, is_known: &ArrayView2<bool>) -> Array2<bool> {
    let (height, width) = mask.dim();
    Array2::from_shape_fn((height, width), |(y, x)| {
        if !mask[[y, x]] || !is_known[[y, x]] {
            return false;
        }
        if y == 0 || x == 0 || y + 1 == height || x + 1 == width {
            return true;
        }
        let other = |at: [usize; 2]| is_known[at] && !mask[at];
        other([y - 1, x]) || other([y + 1, x]) || other([y, x - 1]) || other([y, x + 1])
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn inner_pixels_are_left_out() {
        let mask = Array2::from_shape_fn((5, 5), |(y, x)| (1..5).contains(&y) && (1..4).contains(&x));
        let known = Array2::from_elem((5, 5), true);
        let mut expected = mask.clone();
        for y in [2, 3] {
            expected[[y, 2]] = false;
        }
        assert_eq!(boundary(&mask.view(), &known.view()), expected);
    }

    #[test]
    fn nothing_ends_at_the_unknown() {
        let mask = array![[true, true, true], [true, true, false], [true, true, true]];
        let mut known = Array2::from_elem((3, 3), true);
        assert!(boundary(&mask.view(), &known.view())[[1, 1]]);
        known[[1, 2]] = false;
        assert!(!boundary(&mask.view(), &known.view())[[1, 1]]);
    }
}
