//! Temperature scaling: one number that makes probabilities truer and changes no prediction (Guo et al. 2017,
//! arXiv 1706.04599, section 4.2).

use std::ops::RangeInclusive;

use ndarray::{Array2, ArrayView1};

use vpt_data::Label;

use crate::NotDefined;

/// Temperatures that [`fit_temperature`] considers.
pub const TEMPERATURES: RangeInclusive<f64> = 0.01..=100.0;

/// By what to divide logits before the softmax.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Temperature {
    /// Above 1: the model was too sure. 1 where it could not be fitted.
    pub value: f64,
    /// Why it could not be fitted.
    pub reason: Option<NotDefined>,
}

/// The temperature with the least negative log likelihood on `logits` `[images, classes]` of the validation split (never of
/// the test split).
///
/// The likelihood is convex in 1 / T, so Newton's method inside a bracket that only shrinks finds its minimum; the result
/// depends on nothing but the arguments. It is 1, with the reason, for: no image; labels of one class; a logit that
/// is NaN or infinite; logits that do not differ between classes (`NoVariation`); predictions that are all right, or so
/// bad that the best answer is "all classes are equally likely" (`AtTheBound`).
pub fn fit_temperature(logits: &Array2<f32>, labels: &[usize]) -> Temperature {
    match best_inverse(logits, labels) {
        Ok(inverse) => Temperature {
            value: 1.0 / inverse,
            reason: None,
        },
        Err(reason) => Temperature {
            value: 1.0,
            reason: Some(reason),
        },
    }
}

/// [`fit_temperature`] where images have any number of classes: the temperature with the least mean binary cross-entropy of
/// all pairs of an image and a class. To the likelihood a pair is an image of two classes, with logits 0 and that of the class.
pub fn fit_temperature_of_sets(logits: &Array2<f32>, labels: &[Label]) -> Temperature {
    let (images, classes) = logits.dim();
    assert_eq!(
        images,
        labels.len(),
        "{images} rows of logits, {} labels",
        labels.len()
    );
    let pairs: Vec<(usize, usize)> = (0..images)
        .flat_map(|image| (0..classes).map(move |class| (image, class)))
        .collect();
    let side = |(pair, side): (usize, usize)| if side == 0 { 0.0 } else { logits[pairs[pair]] };
    let sides = Array2::from_shape_fn((pairs.len(), 2), side);
    let has = |&(image, class): &(usize, usize)| usize::from(labels[image].has(class));
    fit_temperature(&sides, &pairs.iter().map(has).collect::<Vec<_>>())
}

fn best_inverse(logits: &Array2<f32>, labels: &[usize]) -> Result<f64, NotDefined> {
    let (images, classes) = logits.dim();
    assert_eq!(
        images,
        labels.len(),
        "{images} rows of logits, {} labels",
        labels.len()
    );
    if let Some(label) = labels.iter().find(|&&label| label >= classes) {
        panic!("label {label} of {classes} classes");
    }
    if labels.is_empty() {
        return Err(NotDefined::NoImage);
    }
    if logits.iter().any(|x| !x.is_finite()) {
        return Err(NotDefined::NotFinite);
    }
    if labels.iter().all(|label| *label == labels[0]) {
        return Err(NotDefined::OneClass);
    }
    if logits
        .rows()
        .into_iter()
        .all(|row| row.iter().all(|x| *x == row[0]))
    {
        return Err(NotDefined::NoVariation);
    }

    let (mut low, mut high) = (1.0 / TEMPERATURES.end(), 1.0 / TEMPERATURES.start());
    if slope(logits, labels, low).0 >= 0.0 || slope(logits, labels, high).0 <= 0.0 {
        return Err(NotDefined::AtTheBound);
    }
    let mut inverse = 1.0;
    for _ in 0..MAX_STEPS {
        let (first, second) = slope(logits, labels, inverse);
        if first > 0.0 {
            high = inverse;
        } else {
            low = inverse;
        }
        let newton = inverse - first / second;
        if (newton - inverse).abs() <= PRECISION * inverse {
            return Ok(newton);
        }
        // Not inside where the likelihood is nearly straight, or NaN where it is flat.
        inverse = if newton > low && newton < high {
            newton
        } else {
            (low * high).sqrt()
        };
    }
    Ok(inverse)
}

/// Relative; Newton's method passes it in one more step than a visible difference needs.
const PRECISION: f64 = 1e-13;
const MAX_STEPS: usize = 200;

/// First and second derivative of the summed negative log likelihood with respect to the inverse temperature.
fn slope(logits: &Array2<f32>, labels: &[usize], inverse: f64) -> (f64, f64) {
    let image = |(row, &label): (ArrayView1<f32>, &usize)| {
        let max = f64::from(row.iter().copied().fold(f32::NEG_INFINITY, f32::max));
        let (mut sum, mut mean, mut square) = (0.0, 0.0, 0.0);
        for &x in row {
            let below = f64::from(x) - max;
            let weight = (below * inverse).exp();
            sum += weight;
            mean += weight * below;
            square += weight * below * below;
        }
        mean /= sum;
        (mean - (f64::from(row[label]) - max), square / sum - mean * mean)
    };
    logits
        .rows()
        .into_iter()
        .zip(labels)
        .map(image)
        .fold((0.0, 0.0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;
    use proptest::prelude::*;

    #[test]
    fn two_classes_have_a_closed_form() {
        // Always the same margin of 3, right three times of four: the best probability is 3/4, so 3 / T = ln 3.
        let logits = array![[3.0, 0.0], [0.0, 3.0], [3.0, 0.0], [3.0, 0.0]];
        let fitted = fit_temperature(&logits, &[0, 1, 0, 1]);
        assert_eq!(fitted.reason, None);
        assert!((fitted.value - 3.0 / 3.0_f64.ln()).abs() < 1e-12);
        let again = fit_temperature(
            &logits.mapv(|x| (f64::from(x) / fitted.value) as f32),
            &[0, 1, 0, 1],
        );
        assert!((again.value - 1.0).abs() < 1e-6, "scaled logits need no scaling");
    }

    #[test]
    fn sets_have_a_closed_form_too() {
        // Always the same logit of 2 for or against, right three times of four: 2 / T = ln 3.
        let logits = array![[2.0, -2.0], [-2.0, 2.0]];
        let labels = [Label::many([0]), Label::many([])];
        let fitted = fit_temperature_of_sets(&logits, &labels);
        assert!((fitted.value - 2.0 / 3.0_f64.ln()).abs() < 1e-12, "{fitted:?}");
        let none = fit_temperature_of_sets(&logits, &[Label::many([]), Label::many([])]);
        assert_eq!((none.value, none.reason), (1.0, Some(NotDefined::OneClass)));
    }

    proptest! {
        #[test]
        fn no_neighbour_is_better(rows in prop::collection::vec((prop::array::uniform3(-20..20_i8), 0..3_usize), 2..30)) {
            let labels: Vec<usize> = rows.iter().map(|row| row.1).collect();
            let logits = Array2::from_shape_fn((rows.len(), 3), |(i, class)| f32::from(rows[i].0[class]) / 4.0);
            let fitted = fit_temperature(&logits, &labels);
            let loss = |inverse: f64| -> f64 {
                let image = |(row, &label): (ArrayView1<f32>, &usize)| {
                    let sum: f64 = row.iter().map(|&x| (f64::from(x - row[label]) * inverse).exp()).sum();
                    sum.ln()
                };
                logits.rows().into_iter().zip(&labels).map(image).sum()
            };
            if fitted.reason.is_none() {
                let best = loss(1.0 / fitted.value);
                for factor in [0.9, 0.99, 1.01, 1.1] {
                    prop_assert!(loss(factor / fitted.value) >= best - 1e-9);
                }
                let slope = slope(&logits, &labels, 1.0 / fitted.value).0;
                prop_assert!(slope.abs() < 1e-8 * rows.len() as f64, "{}", slope);
            }
        }
    }

    #[test]
    fn far_temperatures_are_found() {
        for factor in [0.05, 30.0] {
            let logits = array![[1.0, 0.0, 0.2], [0.1, 1.0, 0.0], [1.0, 0.3, 0.1], [0.0, 0.5, 1.0]];
            let labels = [0, 1, 1, 2];
            let one = fit_temperature(&logits, &labels).value;
            let scaled = fit_temperature(&logits.mapv(|x| x * factor), &labels);
            assert!(
                (scaled.value / one / f64::from(factor) - 1.0).abs() < 1e-6,
                "{scaled:?}"
            );
        }
    }

    #[test]
    fn degenerate_input_gives_one_and_a_reason() {
        let reason = |logits: Array2<f32>, labels: &[usize]| {
            let fitted = fit_temperature(&logits, labels);
            assert_eq!(fitted.value, 1.0);
            fitted.reason.unwrap()
        };
        let sure = array![[9.0, 0.0], [0.0, 9.0]];
        assert_eq!(reason(Array2::zeros((0, 2)), &[]), NotDefined::NoImage);
        assert_eq!(reason(sure.clone(), &[0, 0]), NotDefined::OneClass);
        assert_eq!(reason(sure.clone(), &[0, 1]), NotDefined::AtTheBound);
        assert_eq!(reason(sure, &[1, 0]), NotDefined::AtTheBound);
        assert_eq!(
            reason(array![[2.0, 2.0], [1.0, 1.0]], &[0, 1]),
            NotDefined::NoVariation
        );
        assert_eq!(
            reason(array![[f32::NAN, 0.0], [1.0, 0.0]], &[0, 1]),
            NotDefined::NotFinite
        );
    }
}
