//! [`Calibration`]: how logits become probabilities, a decision, or "ask somebody".

use std::fmt;

use serde::{Deserialize, Serialize};
use vpt_data::TaskKind;

use super::TaskInfo;

/// How logits become probabilities and decisions. Chosen on the validation images and stored in the task file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// Logits are divided by it before the softmax (or the sigmoid); above 0. Above 1, the model was too sure (Guo et al. 2017,
    /// arXiv 1706.04599).
    pub temperature: f64,
    /// Probability of the last class from which it is predicted, for two classes; none for the larger logit. Where an image
    /// has any number of classes: probability from which a class is found, 0.5 if none.
    #[serde(default)]
    pub threshold: Option<f64>,
    /// The same for each class, instead of one for all, where an image has any number of classes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thresholds: Option<Vec<f64>>,
    /// Decisions less certain than this ([`Decision::certainty`]) are left to somebody else; none decides always.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub abstain_below: Option<f64>,
}

impl Default for Calibration {
    fn default() -> Self {
        Self {
            temperature: 1.0,
            threshold: None,
            thresholds: None,
            abstain_below: None,
        }
    }
}

/// What is said about one image.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Decision {
    /// The class.
    pub class: usize,
    /// How far from changing, between 0 and 1: the probability of the class. With a threshold, 0.5 at the threshold and 1
    /// where the probability of the last class is 0 or 1, straight between (so that it is that probability again for a
    /// threshold of 0.5).
    pub certainty: f64,
    /// Whether that is too little to decide.
    pub abstained: bool,
}

impl Calibration {
    /// Probabilities of the classes from one image's logits `[classes]`: softmax in float64. A row with NaN or +∞ becomes NaN.
    pub fn probs(&self, logits: &[f32]) -> Vec<f64> {
        let scaled = || logits.iter().map(|&logit| f64::from(logit) / self.temperature);
        let max = scaled().fold(f64::NEG_INFINITY, f64::max);
        let mut probs: Vec<f64> = scaled().map(|x| (x - max).exp()).collect();
        let sum: f64 = probs.iter().sum();
        for prob in &mut probs {
            *prob /= sum;
        }
        probs
    }

    /// Probabilities of the classes from one image's logits `[classes]` as a task of that kind understands them: they sum to
    /// 1 where an image has one class; else each is for itself, the sigmoid of logit / temperature.
    pub fn probs_for(&self, kind: TaskKind, logits: &[f32]) -> Vec<f64> {
        match kind {
            TaskKind::Classification | TaskKind::Ordinal => self.probs(logits),
            TaskKind::MultiLabel | TaskKind::Detection | TaskKind::Segmentation => logits
                .iter()
                .map(|&logit| sigmoid(f64::from(logit) / self.temperature))
                .collect(),
        }
    }

    /// Which classes are found in one image's logits `[classes]`, where it has any number of them: those whose probability
    /// is at least their threshold. NaN never is.
    pub fn present(&self, logits: &[f32]) -> Vec<bool> {
        let probs = self.probs_for(TaskKind::MultiLabel, logits);
        let probs = probs.into_iter().enumerate();
        probs
            .map(|(class, prob)| prob >= self.threshold_of(class))
            .collect()
    }

    /// The probability from which a class is found.
    pub fn threshold_of(&self, class: usize) -> f64 {
        let own = self
            .thresholds
            .as_ref()
            .and_then(|thresholds| thresholds.get(class));
        own.copied().or(self.threshold).unwrap_or(0.5)
    }

    /// The decision from one image's logits `[classes]`. On ties the lowest index wins; NaN never does (0 if all are NaN).
    pub fn decide(&self, logits: &[f32]) -> Decision {
        self.decide_between(argmax(logits), &self.probs(logits))
    }

    /// The decision from probabilities `[classes]`, of which `largest` is the largest.
    fn decide_between(&self, largest: usize, probs: &[f64]) -> Decision {
        let (class, certainty) = match (self.threshold, probs) {
            (Some(threshold), [_, positive]) => {
                let class = usize::from(*positive >= threshold);
                let (beyond, room) = match class {
                    1 => (positive - threshold, 1.0 - threshold),
                    _ => (threshold - positive, threshold),
                };
                // Without room on this side, every decision for it is at the threshold.
                (class, 0.5 + if room > 0.0 { beyond / room / 2.0 } else { 0.0 })
            }
            _ => (largest, probs.get(largest).copied().unwrap_or(f64::NAN)),
        };
        Decision {
            class,
            certainty,
            abstained: self.abstain_below.is_some_and(|least| certainty < least),
        }
    }

    /// What is wrong with these values: the key and what it has to be.
    pub(super) fn check(&self, task: &TaskInfo) -> Result<(), (&'static str, String, String)> {
        let wrong = |key, expected: &str, found: f64| Err((key, expected.to_owned(), found.to_string()));
        let share = |value: Option<f64>| value.filter(|value| !(0.0..=1.0).contains(value));
        if !(self.temperature > 0.0 && self.temperature.is_finite()) {
            return wrong("calibration.temperature", "a positive number", self.temperature);
        }
        if let Some(threshold) = share(self.threshold) {
            return wrong("calibration.threshold", "a probability", threshold);
        }
        if let Some(thresholds) = &self.thresholds {
            let classes = task.classes.len();
            if task.kind != TaskKind::MultiLabel || thresholds.len() != classes {
                let expected = match task.kind {
                    TaskKind::MultiLabel => format!("a probability for each of the {classes} classes"),
                    one => format!("nothing for a task of {one}"),
                };
                let found = format!("{} probabilities", thresholds.len());
                return Err(("calibration.thresholds", expected, found));
            }
            if let Some(threshold) = thresholds.iter().find_map(|&threshold| share(Some(threshold))) {
                return wrong("calibration.thresholds", "probabilities", threshold);
            }
        }
        match share(self.abstain_below) {
            Some(least) => wrong("calibration.abstain_below", "a share of 1", least),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Calibration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "temperature {:.3}", self.temperature)?;
        if let Some(threshold) = self.threshold {
            write!(f, ", threshold {threshold:.4}")?;
        }
        if let Some(thresholds) = &self.thresholds {
            let shown: Vec<String> = thresholds
                .iter()
                .map(|threshold| format!("{threshold:.4}"))
                .collect();
            write!(f, ", thresholds {}", shown.join(" "))?;
        }
        if let Some(least) = self.abstain_below {
            write!(f, ", undecided below a certainty of {least:.4}")?;
        }
        Ok(())
    }
}

/// 1 / (1 + e^-x), without overflow on either side.
pub fn sigmoid(x: f64) -> f64 {
    let e = (-x.abs()).exp();
    if x < 0.0 { e / (1.0 + e) } else { 1.0 / (1.0 + e) }
}

/// Index of the largest value; the lowest index on ties; NaN is skipped.
pub fn argmax(values: &[f32]) -> usize {
    let better = |best: (usize, f32), (i, x): (usize, f32)| if x > best.1 { (i, x) } else { best };
    values
        .iter()
        .copied()
        .enumerate()
        .fold((0, f32::NEG_INFINITY), better)
        .0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_threshold(threshold: f64) -> Calibration {
        Calibration {
            threshold: Some(threshold),
            ..Calibration::default()
        }
    }

    fn decide(calibration: &Calibration, probs: &[f64]) -> Decision {
        let largest = argmax(&probs.iter().map(|&p| p as f32).collect::<Vec<_>>());
        calibration.decide_between(largest, probs)
    }

    #[test]
    fn ties_go_to_the_lowest_index() {
        assert_eq!(argmax(&[1.0, 3.0, 3.0]), 1);
        assert_eq!(argmax(&[f32::NAN, -1.0]), 1);
        assert_eq!(argmax(&[f32::NAN; 2]), 0);
    }

    #[test]
    fn temperature_flattens_and_keeps_the_order() {
        let plain = Calibration::default();
        let warm = Calibration {
            temperature: 2.0,
            ..Calibration::default()
        };
        let (sharp, flat) = (plain.probs(&[3.0, 0.0, 1.0]), warm.probs(&[3.0, 0.0, 1.0]));
        assert!((sharp.iter().sum::<f64>() - 1.0).abs() < 1e-15);
        assert_eq!(flat, plain.probs(&[1.5, 0.0, 0.5]));
        assert!(flat[0] < sharp[0]);
        assert_eq!(warm.decide(&[3.0, 0.0, 1.0]).class, 0);
        assert_eq!(plain.probs(&[700.0, -700.0]), [1.0, 0.0]);
    }

    #[test]
    fn a_threshold_decides_between_two_classes() {
        let low = with_threshold(0.2);
        assert_eq!(decide(&low, &[0.8, 0.2]).class, 1);
        assert_eq!(decide(&low, &[0.81, 0.19]).class, 0);
        let certainty = |positive: f64| decide(&low, &[1.0 - positive, positive]).certainty;
        assert_eq!([certainty(0.0), certainty(0.2), certainty(1.0)], [1.0, 0.5, 1.0]);
        assert!((certainty(0.6) - 0.75).abs() < 1e-12 && (certainty(0.1) - 0.75).abs() < 1e-12);
        for threshold in [0.0, 1.0] {
            for positive in [0.0, 0.3, 1.0] {
                let decision = decide(&with_threshold(threshold), &[1.0 - positive, positive]);
                assert!((0.5..=1.0).contains(&decision.certainty), "{decision:?}");
            }
        }
        // Three classes have no last class to hold a threshold against.
        assert_eq!(decide(&with_threshold(0.9), &[0.2, 0.5, 0.3]).class, 1);
    }

    #[test]
    fn half_is_the_larger_probability() {
        for positive in [0.0, 0.3, 0.6, 1.0] {
            let probs = [1.0 - positive, positive];
            let (plain, half) = (
                decide(&Calibration::default(), &probs),
                decide(&with_threshold(0.5), &probs),
            );
            assert_eq!(plain.class, half.class);
            assert!((plain.certainty - half.certainty).abs() < 1e-12);
        }
    }

    #[test]
    fn any_number_of_classes_each_for_itself() {
        let kind = TaskKind::MultiLabel;
        let plain = Calibration::default();
        let probs = plain.probs_for(kind, &[0.0, 3.0f32.ln(), -800.0, 800.0]);
        assert!((probs[1] - 0.75).abs() < 1e-7, "{probs:?}");
        assert_eq!([probs[0], probs[2], probs[3]], [0.5, 0.0, 1.0]);
        assert_eq!(
            plain.present(&[0.0, -0.1, 2.0, f32::NAN]),
            [true, false, true, false]
        );
        let warm = Calibration {
            temperature: 2.0,
            ..Calibration::default()
        };
        assert_eq!(warm.probs_for(kind, &[3.0]), plain.probs_for(kind, &[1.5]));
        assert_eq!(with_threshold(0.2).present(&[-1.0, -2.0]), [true, false]);
        let own = Calibration {
            thresholds: Some(vec![0.9, 0.1]),
            ..with_threshold(0.2)
        };
        assert_eq!(own.present(&[1.0, -2.0]), [false, true]);
        assert!(own.to_string().ends_with("thresholds 0.9000 0.1000"));
    }

    #[test]
    fn as_many_thresholds_as_classes() {
        let check = |thresholds: &[f64], kind| {
            let task = TaskInfo {
                name: String::new(),
                kind,
                classes: vec!["a".into(), "b".into()],
            };
            let calibration = Calibration {
                thresholds: Some(thresholds.to_vec()),
                ..Calibration::default()
            };
            calibration.check(&task)
        };
        assert!(check(&[0.0, 1.0], TaskKind::MultiLabel).is_ok());
        for (thresholds, kind) in [
            (&[0.5][..], TaskKind::MultiLabel),
            (&[0.5, 1.5], TaskKind::MultiLabel),
            (&[0.5, f64::NAN], TaskKind::MultiLabel),
            (&[0.5, 0.5], TaskKind::Classification),
        ] {
            assert_eq!(check(thresholds, kind).unwrap_err().0, "calibration.thresholds");
        }
    }

    #[test]
    fn the_uncertain_are_left_to_others() {
        let careful = Calibration {
            abstain_below: Some(0.7),
            ..Calibration::default()
        };
        assert!(decide(&careful, &[0.6, 0.4]).abstained && !decide(&careful, &[0.3, 0.7]).abstained);
        assert!(!decide(&Calibration::default(), &[0.5, 0.5]).abstained);
    }

    #[test]
    fn numbers_that_are_none_never_panic() {
        let plain = Calibration::default();
        assert_eq!(plain.decide(&[f32::NAN, 0.3]).class, 1);
        assert_eq!(plain.decide(&[f32::NAN; 2]).class, 0);
        assert!(plain.decide(&[]).certainty.is_nan());
        assert_eq!(with_threshold(0.5).decide(&[f32::NAN; 2]).class, 0);
    }
}
