//! How far predicted contours are from true ones, in one image.

use ndarray::{Array2, ArrayView2};
use serde::{Deserialize, Serialize};

use super::boundary::boundary;
use super::distance_transform::squared_distances;
use crate::statistics::quantile;

/// What one image says about the contours of a class.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct ContourScores {
    /// Boundary F1 (Csurka et al. 2013, "What is a good evaluation measure for semantic segmentation?", BMVC): the harmonic
    /// mean of the share of predicted boundary pixels within the tolerance of a true one, and of true ones within that of a
    /// predicted one. 0 where only one of the masks has the class, `None` where neither has.
    pub boundary_f1: Option<f64>,
    /// Hausdorff distance 95 in pixels, as MONAI's `compute_hausdorff_distance(percentile=95)` has it: the larger of the 95th
    /// percentiles (numpy's, linear) of the distances from each boundary to the other. (medpy's `hd95` takes one percentile
    /// of both lists together, which is no larger.) `None` where not both masks have the class.
    pub hausdorff95: Option<f64>,
    /// Whether only one of the masks has the class.
    pub one_sided: bool,
}

/// Contours of each class in a true and a predicted mask `[height, width]`; pixels whose truth is `ignored` do not count.
/// Boundaries are those of [`boundary`](fn@super::boundary), `tolerance` is in pixels. Masks of different size are a caller's
/// mistake and panic.
pub fn contour_scores<T: Copy + Into<u32>>(
    truth: &ArrayView2<T>,
    pred: &ArrayView2<T>,
    classes: usize,
    ignored: u32,
    tolerance: f64,
) -> Vec<ContourScores> {
    assert_eq!(truth.dim(), pred.dim(), "masks of different size");
    let truth = truth.mapv(Into::<u32>::into);
    let pred = pred.mapv(Into::<u32>::into);
    let is_known = truth.mapv(|index| index != ignored);
    let mut seen = vec![false; classes];
    for (&truth, &pred) in truth.iter().zip(&pred).filter(|(truth, _)| **truth != ignored) {
        for index in [truth, pred] {
            if let Some(seen) = seen.get_mut(index as usize) {
                *seen = true;
            }
        }
    }
    let of_class = |class: usize| {
        let edges = |mask: &Array2<u32>| {
            let mask = mask.mapv(|index| index as usize == class);
            boundary(&mask.view(), &is_known.view())
        };
        compare(&edges(&truth), &edges(&pred), tolerance)
    };
    (0..classes)
        .map(|class| {
            if seen[class] {
                of_class(class)
            } else {
                ContourScores::default()
            }
        })
        .collect()
}

/// Compares two boundaries of the same size.
fn compare(truth: &Array2<bool>, pred: &Array2<bool>, tolerance: f64) -> ContourScores {
    let has = |edges: &Array2<bool>| edges.iter().any(|&is| is);
    match (has(truth), has(pred)) {
        (false, false) => ContourScores::default(),
        (true, true) => {
            let to_truth = distances(pred, truth);
            let to_pred = distances(truth, pred);
            let within = |sorted: &[f64]| {
                let near = sorted.partition_point(|&distance| distance <= tolerance);
                near as f64 / sorted.len() as f64
            };
            let (precision, recall) = (within(&to_truth), within(&to_pred));
            let sum = precision + recall;
            let f1 = if sum > 0.0 {
                2.0 * precision * recall / sum
            } else {
                0.0
            };
            ContourScores {
                boundary_f1: Some(f1),
                hausdorff95: Some(quantile(&to_truth, 0.95).max(quantile(&to_pred, 0.95))),
                one_sided: false,
            }
        }
        _ => ContourScores {
            boundary_f1: Some(0.0),
            hausdorff95: None,
            one_sided: true,
        },
    }
}

/// From each pixel of one boundary to the nearest of the other, in order of length.
fn distances(from: &Array2<bool>, to: &Array2<bool>) -> Vec<f64> {
    let squared = squared_distances(&to.view());
    let pixels = from.iter().zip(&squared).filter(|(is, _)| **is);
    let mut distances: Vec<f64> = pixels.map(|(_, squared)| squared.sqrt()).collect();
    distances.sort_unstable_by(f64::total_cmp);
    distances
}

#[cfg(test)]
mod tests {
    use super::*;

    fn square(at: usize) -> Array2<u8> {
        Array2::from_shape_fn((20, 20), |(y, x)| {
            u8::from((5..10).contains(&y) && (at..at + 5).contains(&x))
        })
    }

    fn scores(truth: &Array2<u8>, pred: &Array2<u8>, tolerance: f64) -> ContourScores {
        contour_scores(&truth.view(), &pred.view(), 3, 255, tolerance)[1]
    }

    #[test]
    fn equal_and_shifted_squares() {
        let same = scores(&square(5), &square(5), 0.0);
        assert_eq!((same.boundary_f1, same.hausdorff95), (Some(1.0), Some(0.0)));
        let shifted = scores(&square(5), &square(8), 3.0);
        assert_eq!((shifted.boundary_f1, shifted.hausdorff95), (Some(1.0), Some(3.0)));
        let strict = scores(&square(5), &square(8), 0.0).boundary_f1.unwrap();
        assert!(
            (strict - 4.0 / 16.0).abs() < 1e-15,
            "{strict}: two pixels above, two below"
        );
    }

    #[test]
    fn absent_classes_follow_the_convention() {
        let empty = Array2::<u8>::zeros((20, 20));
        for (truth, pred) in [(&empty, &square(5)), (&square(5), &empty)] {
            let scores = scores(truth, pred, 2.0);
            let expected = ContourScores {
                boundary_f1: Some(0.0),
                hausdorff95: None,
                one_sided: true,
            };
            assert_eq!(scores, expected);
        }
        assert_eq!(scores(&empty, &empty, 2.0), ContourScores::default());
    }

    #[test]
    fn what_is_ignored_has_no_contour() {
        let mut truth = square(5);
        truth.slice_mut(ndarray::s![.., 10..]).fill(255);
        // The prediction goes on where truth is not known.
        let pred = Array2::from_shape_fn((20, 20), |(y, x)| u8::from((5..10).contains(&y) && x >= 5));
        assert_eq!(
            scores(&truth, &pred, 0.0),
            ContourScores {
                boundary_f1: Some(1.0),
                hausdorff95: Some(0.0),
                one_sided: false
            }
        );
    }
}
