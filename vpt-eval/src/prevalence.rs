//! Predictive values where the condition is rarer, or more frequent, than in the test images.

use serde::{Deserialize, Serialize};

use crate::bootstrap::{self, Statistic};
use crate::metrics::operating_points::{npv_at_prevalence, ppv_at_prevalence};
use crate::metrics::{Scores, View, per_class};
use crate::statistics::Scale;
use crate::{Bootstrap, Estimate, Predictions};

/// What a decision is worth in a population (Bayes' theorem): a test set enriched with ill people overstates the PPV.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct AtPrevalence {
    /// Share of the second class in the population.
    pub prevalence: f64,
    /// Share of the second class among those called so.
    pub ppv: Estimate,
    /// Share of the first class among those called so.
    pub npv: Estimate,
}

impl AtPrevalence {
    /// From sensitivity and specificity of the decisions, with bootstrap intervals; `None` unless there are two classes.
    pub fn of(predictions: &Predictions, prevalence: f64, options: &Bootstrap) -> Option<Self> {
        if predictions.classes.len() != 2 {
            return None;
        }
        let statistic = |value: fn(f64, f64, f64) -> Option<f64>| Statistic {
            compute: Box::new(move |view: &View| {
                let counts = view.counts();
                let sensitivity = per_class::sensitivity(counts, 1)?;
                value(sensitivity, per_class::specificity(counts, 1)?, prevalence)
            }),
            share_of: None,
            auroc_of: None,
            scale: Scale::Share,
        };
        let statistics = [statistic(ppv_at_prevalence), statistic(npv_at_prevalence)];
        let scores = Scores::of(predictions);
        let estimates = bootstrap::estimates(&scores, &predictions.draws(), &statistics, options);
        Some(Self {
            prevalence,
            ppv: estimates[0],
            npv: estimates[1],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array2;

    #[test]
    fn rare_conditions_make_positive_calls_doubtful() {
        // Sensitivity 0.9, specificity 0.8.
        let wrong = |i: usize| if i < 50 { i % 10 == 0 } else { i % 5 == 0 };
        let logits = Array2::from_shape_fn((100, 2), |(i, class)| {
            let is_ill = i < 50;
            f32::from(u8::from((class == 1) == (is_ill != wrong(i))))
        });
        let paths = (0..100).map(|i| format!("{i}.png").into()).collect();
        let labels = (0..100).map(|i| usize::from(i < 50)).collect();
        let predictions =
            Predictions::new(vec!["healthy".into(), "ill".into()], paths, labels, logits).unwrap();
        let options = Bootstrap {
            resamples: 200,
            ..Bootstrap::default()
        };
        let rare = AtPrevalence::of(&predictions, 0.01, &options).unwrap();
        assert!((rare.ppv.value.unwrap() - 0.009 / (0.009 + 0.198)).abs() < 1e-12);
        assert!((rare.npv.value.unwrap() - 0.792 / (0.792 + 0.001)).abs() < 1e-12);
        let (low, high) = rare.ppv.interval().unwrap();
        assert!(low < rare.ppv.value.unwrap() && rare.ppv.value.unwrap() < high);
        let half = AtPrevalence::of(&predictions, 0.5, &options).unwrap();
        assert!(half.ppv.value > rare.ppv.value);
        let three = Predictions::new(
            vec!["a".into(), "b".into(), "c".into()],
            vec!["x".into()],
            vec![0],
            Array2::zeros((1, 3)),
        );
        assert_eq!(AtPrevalence::of(&three.unwrap(), 0.1, &options), None);
    }
}
