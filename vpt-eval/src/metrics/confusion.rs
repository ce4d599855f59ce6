//! The confusion matrix and its margins, from which most metrics follow.

use ndarray::Array2;

/// Confusion matrix `[true class, predicted class]`.
pub fn confusion_matrix(labels: &[usize], preds: &[usize], classes: usize) -> Array2<usize> {
    assert_eq!(
        labels.len(),
        preds.len(),
        "{} labels, {} predictions",
        labels.len(),
        preds.len()
    );
    let mut matrix = Array2::zeros((classes, classes));
    for (&label, &pred) in labels.iter().zip(preds) {
        matrix[[label, pred]] += 1;
    }
    matrix
}

/// Diagonal and margins of a weighted confusion matrix: all that precision, recall, F1, MCC and kappa need.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClassCounts {
    /// Images of the class that were found (true positives).
    pub hits: Vec<u64>,
    /// Images of the class.
    pub actual: Vec<u64>,
    /// Images taken for the class.
    pub predicted: Vec<u64>,
    /// All images.
    pub total: u64,
}

impl ClassCounts {
    /// Counts in one pass; image `i` counts `weights[i]` times.
    pub fn new(labels: &[usize], preds: &[usize], weights: &[u32], classes: usize) -> Self {
        assert_eq!(
            labels.len(),
            preds.len(),
            "{} labels, {} predictions",
            labels.len(),
            preds.len()
        );
        let zeros = vec![0; classes];
        let mut counts = Self {
            hits: zeros.clone(),
            actual: zeros.clone(),
            predicted: zeros,
            total: 0,
        };
        for ((&label, &pred), &weight) in labels.iter().zip(preds).zip(weights) {
            let weight = u64::from(weight);
            counts.actual[label] += weight;
            counts.predicted[pred] += weight;
            counts.hits[label] += if label == pred { weight } else { 0 };
            counts.total += weight;
        }
        counts
    }

    /// Number of classes, seen or not.
    pub fn num_classes(&self) -> usize {
        self.actual.len()
    }

    /// Share of the class's images that were found; `None` without such an image.
    pub fn recall(&self, class: usize) -> Option<f64> {
        ratio(self.hits[class], self.actual[class])
    }

    /// Share of right ones among the images taken for the class; `None` if none was.
    pub fn precision(&self, class: usize) -> Option<f64> {
        ratio(self.hits[class], self.predicted[class])
    }
}

/// `part / whole`, `None` for an empty whole.
pub(super) fn ratio(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn rows_are_truth() {
        assert_eq!(
            confusion_matrix(&[0, 0, 1], &[0, 1, 1], 2),
            array![[1, 1], [0, 1]]
        );
    }

    #[test]
    fn margins_agree_with_the_matrix() {
        let counts = ClassCounts::new(&[0, 0, 1], &[0, 1, 1], &[1, 2, 0], 2);
        assert_eq!(
            (counts.hits, counts.actual, counts.predicted),
            (vec![1, 0], vec![3, 0], vec![1, 2])
        );
        assert_eq!(counts.total, 3);
    }
}
