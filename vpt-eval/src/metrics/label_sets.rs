//! [`LabelSets`]: metrics of images that have any number of classes.

use ndarray::{Array2, Zip};

use super::accuracy::share;
use super::confusion::{ClassCounts, ratio};

/// Which classes images have, and which were found in them, both `[images, classes]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelSets {
    /// Whether the image has the class.
    pub truth: Array2<bool>,
    /// Whether the class was found.
    pub found: Array2<bool>,
}

impl LabelSets {
    /// Hits, labels and predictions of each class; image `i` counts `weights[i]` times.
    pub fn counts(&self, weights: &[u32]) -> ClassCounts {
        let classes = self.truth.ncols();
        let mut counts = ClassCounts {
            hits: vec![0; classes],
            actual: vec![0; classes],
            predicted: vec![0; classes],
            total: weights.iter().map(|&weight| u64::from(weight)).sum(),
        };
        for ((truth, found), &weight) in self.truth.rows().into_iter().zip(self.found.rows()).zip(weights) {
            for class in 0..classes {
                let weighted = |is: bool| if is { u64::from(weight) } else { 0 };
                counts.actual[class] += weighted(truth[class]);
                counts.predicted[class] += weighted(found[class]);
                counts.hits[class] += weighted(truth[class] && found[class]);
            }
        }
        counts
    }

    /// Whether exactly the right classes were found in an image.
    pub fn is_exact(&self, image: usize) -> bool {
        self.truth.row(image) == self.found.row(image)
    }

    /// Share of images of which exactly the right classes were found (scikit-learn's `accuracy_score` of label sets).
    pub fn exact_match(&self, weights: &[u32]) -> Option<f64> {
        share((0..self.truth.nrows()).map(|image| self.is_exact(image)), weights)
    }

    /// Share of pairs of an image and a class about which the wrong thing is said (scikit-learn's `hamming_loss`).
    pub fn hamming_loss(&self, weights: &[u32]) -> Option<f64> {
        let wrong = Zip::from(&self.truth)
            .and(&self.found)
            .map_collect(|truth, found| truth != found);
        let rows = wrong.rows().into_iter().zip(weights);
        let wrong: u64 = rows
            .map(|(row, &weight)| u64::from(weight) * row.iter().filter(|&&wrong| wrong).count() as u64)
            .sum();
        let images: u64 = weights.iter().map(|&weight| u64::from(weight)).sum();
        ratio(wrong, images * self.truth.ncols() as u64)
    }
}

/// F1 of all pairs of an image and a class together: 2·hits / (labelled + predicted); `None` if there are neither.
pub fn micro_f1(counts: &ClassCounts) -> Option<f64> {
    let sum = |values: &[u64]| values.iter().sum::<u64>();
    ratio(
        2 * sum(&counts.hits),
        sum(&counts.actual) + sum(&counts.predicted),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    fn sets() -> LabelSets {
        LabelSets {
            truth: array![[true, false, true], [false, false, false], [true, true, false]],
            found: array![[true, false, true], [false, true, false], [true, false, false]],
        }
    }

    #[test]
    fn sets_are_counted_class_by_class() {
        let counts = sets().counts(&[1, 1, 2]);
        assert_eq!(
            (
                counts.hits.as_slice(),
                counts.actual.as_slice(),
                counts.predicted.as_slice(),
                counts.total
            ),
            (&[3, 0, 1][..], &[3, 2, 1][..], &[3, 1, 1][..], 4)
        );
        assert_eq!(micro_f1(&counts), Some(8.0 / 11.0));
        assert_eq!(sets().exact_match(&[1, 1, 2]), Some(0.25));
        assert_eq!(sets().hamming_loss(&[1, 1, 2]), Some(3.0 / 12.0));
    }

    #[test]
    fn nothing_gives_no_number() {
        assert_eq!(sets().exact_match(&[0; 3]), None);
        assert_eq!(sets().hamming_loss(&[0; 3]), None);
        assert_eq!(micro_f1(&sets().counts(&[0; 3])), None);
    }
}
