//! Precision, recall, F1 and specificity of each class.

use super::confusion::{ClassCounts, ratio};

/// F1 of a class, 2·hits / (labelled + predicted); `None` if the class was neither.
pub fn f1(counts: &ClassCounts, class: usize) -> Option<f64> {
    ratio(
        2 * counts.hits[class],
        counts.actual[class] + counts.predicted[class],
    )
}

/// Mean F1 over the classes that were labelled or predicted.
pub fn macro_f1(counts: &ClassCounts) -> Option<f64> {
    super::mean_of_defined((0..counts.num_classes()).map(|class| f1(counts, class)))
}

/// Recall of a class: what medicine calls sensitivity.
pub fn sensitivity(counts: &ClassCounts, class: usize) -> Option<f64> {
    ratio(*counts.hits.get(class)?, counts.actual[class])
}

/// Share of the other classes' images that were not taken for `class`; `None` without such an image.
pub fn specificity(counts: &ClassCounts, class: usize) -> Option<f64> {
    let others = counts.total - counts.actual.get(class)?;
    let wrongly_taken = counts.predicted[class] - counts.hits[class];
    ratio(others - wrongly_taken, others)
}

/// Positive predictive value of a class: what [`ClassCounts::precision`] is called in medicine.
pub fn ppv(counts: &ClassCounts, class: usize) -> Option<f64> {
    ratio(*counts.hits.get(class)?, counts.predicted[class])
}

/// Negative predictive value: share of images of other classes among those not taken for `class`; `None` without such.
pub fn npv(counts: &ClassCounts, class: usize) -> Option<f64> {
    let not_taken = counts.total - counts.predicted.get(class)?;
    let missed = counts.actual[class] - counts.hits[class];
    ratio(not_taken - missed, not_taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_never_seen_is_left_out_of_macro_f1() {
        let counts = ClassCounts::new(&[0, 0, 1, 1], &[0, 1, 1, 1], &[1; 4], 3);
        assert_eq!(f1(&counts, 2), None);
        assert!((macro_f1(&counts).unwrap() - f64::midpoint(2.0 / 3.0, 0.8)).abs() < 1e-15);
    }

    #[test]
    fn specificity_counts_the_others() {
        let counts = ClassCounts::new(&[0, 0, 1, 1], &[0, 1, 1, 1], &[1; 4], 2);
        assert_eq!(
            (specificity(&counts, 1), sensitivity(&counts, 1)),
            (Some(0.5), Some(1.0))
        );
        assert_eq!((ppv(&counts, 1), npv(&counts, 1)), (Some(2.0 / 3.0), Some(1.0)));
        assert_eq!((ppv(&counts, 2), npv(&counts, 2)), (None, None));
    }
}
