//! Choosing on validation how a model's logits become decisions: temperature, threshold, and when to abstain.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use vpt_core::Calibration;
use vpt_data::{Label, TaskKind};

use crate::metrics::Places;
use crate::metrics::detection::ScoreCurve;
use crate::metrics::operating_points::{
    OperatingPoint, at_sensitivity, at_specificity, operating_points, youden_point,
};
use crate::metrics::temperature::{fit_temperature, fit_temperature_of_sets};
use crate::{NotDefined, Predictions};

/// Which threshold to take (`--operating-point`): for two classes, of which the last is the one to be found, or for each
/// class where an image has any number of them.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum ThresholdRule {
    /// The largest sum of sensitivity and specificity (Youden 1950).
    Youden,
    /// The most specific threshold that finds at least this share of the last class.
    Sensitivity(f64),
    /// The most sensitive threshold that leaves at least this share of the first class alone.
    Specificity(f64),
    /// The least total cost, where a missed image of the last class costs this many false alarms.
    Cost(f64),
}

/// When a decision is left to somebody else (`--abstain`).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum AbstainRule {
    /// The surest images, this share of all, are decided.
    Coverage(f64),
    /// As many images are decided as an error rate of at most this allows.
    Error(f64),
}

/// What to choose on validation.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct CalibrationPlan {
    /// Whether to fit a temperature.
    pub temperature: bool,
    /// Which threshold to take; the larger probability decides without.
    pub threshold: Option<ThresholdRule>,
    /// When to abstain; never without, nor where an image has any number of classes.
    pub abstain: Option<AbstainRule>,
}

impl CalibrationPlan {
    /// Fits to `validation`, whose own calibration does not matter. What could not be done as asked is said in words.
    pub fn fit(&self, validation: &Predictions) -> (Calibration, Vec<String>) {
        if let Some(places) = Places::of(validation).ok().flatten() {
            return self.fit_places(&places);
        }
        let mut notes = Vec::new();
        let mut fitted = Predictions {
            calibration: Calibration::default(),
            ..validation.clone()
        };
        if self.temperature {
            let temperature = match fitted.kind {
                TaskKind::MultiLabel => fit_temperature_of_sets(&fitted.logits, &fitted.labels),
                _ => fit_temperature(&fitted.logits, &single(&fitted.labels)),
            };
            fitted.calibration.temperature = temperature.value;
            if let Some(reason) = temperature.reason {
                notes.push(format!(
                    "probabilities are not calibrated: on the validation images, {reason}"
                ));
            }
        }
        if let Some(rule) = self.threshold.filter(|_| fitted.kind == TaskKind::MultiLabel) {
            fitted.calibration.thresholds = rule.thresholds(&fitted, &mut notes);
        } else if let Some(rule) = self.threshold {
            match rule.threshold(&fitted) {
                Ok(threshold) => fitted.calibration.threshold = Some(threshold),
                Err(reason) => notes.push(format!(
                    "no threshold for `{rule}`: on the validation images, {reason}"
                )),
            }
        }
        if let Some(rule) = self.abstain.filter(|_| fitted.kind != TaskKind::MultiLabel) {
            let least = rule.least_certainty(&fitted);
            fitted.calibration.abstain_below = least;
            if least == Some(1.0) {
                notes.push(format!(
                    "`{rule}` cannot be reached on the validation images: nearly everything will be left undecided"
                ));
            }
        }
        (fitted.calibration, notes)
    }

    /// The score from which on a box is shown: that of the best F1 of all boxes. Nothing is chosen for masks.
    fn fit_places(&self, places: &Places) -> (Calibration, Vec<String>) {
        let mut calibration = Calibration::default();
        let mut notes = Vec::new();
        if let Places::Objects(objects) = places {
            let matches = &objects.matches;
            let curve = ScoreCurve::new(matches, None, &matches.ones());
            calibration.threshold = curve.ok().and_then(|curve| curve.best().map(|point| point.score));
            if calibration.threshold.is_none() {
                notes.push(
                    "no threshold: nothing is to be found, or was found, in the validation images".into(),
                );
            }
        }
        if self.threshold.is_some() || self.abstain.is_some() {
            notes.push("boxes and masks have no operating point to be chosen by a rule".into());
        }
        (calibration, notes)
    }
}

impl ThresholdRule {
    /// The threshold, half-way to the next lower probability, so that rounding does not move an image across it.
    fn threshold(self, validation: &Predictions) -> Result<f64, NotDefined> {
        if validation.classes.len() != 2 {
            return Err(NotDefined::NotTwoClasses);
        }
        self.threshold_of(validation, 1)
    }

    /// The threshold of each class; 0.5 for those that cannot have one, with a note. `None` if none can.
    fn thresholds(self, validation: &Predictions, notes: &mut Vec<String>) -> Option<Vec<f64>> {
        let classes = validation.classes.iter().enumerate();
        let found: Vec<Option<f64>> = classes
            .map(|(class, name)| {
                let threshold = self.threshold_of(validation, class);
                let said = |reason: &NotDefined| {
                    notes.push(format!(
                        "no threshold of `{name}` for `{self}`, 0.5 is taken: on the validation images, {reason}"
                    ));
                };
                threshold.inspect_err(said).ok()
            })
            .collect();
        found
            .iter()
            .any(Option::is_some)
            .then(|| found.iter().map(|threshold| threshold.unwrap_or(0.5)).collect())
    }

    /// The threshold of one class against the rest.
    fn threshold_of(self, validation: &Predictions, class: usize) -> Result<f64, NotDefined> {
        let scores = validation.probs().column(class).to_vec();
        let positive: Vec<bool> = validation.labels.iter().map(|label| label.has(class)).collect();
        let points = operating_points(&scores, &positive, &vec![1; scores.len()])?;
        let chosen = match self {
            Self::Youden => youden_point(&points)?,
            Self::Sensitivity(target) => at_sensitivity(&points, target)?,
            Self::Specificity(target) => at_specificity(&points, target)?,
            Self::Cost(ratio) => cheapest(&points, ratio)?,
        };
        let place = points
            .iter()
            .position(|point| point.threshold == chosen.threshold);
        let lower = place.and_then(|place| points.get(place + 1));
        let lower = lower.map_or(0.0, |point| point.threshold);
        Ok(f64::midpoint(chosen.threshold.min(1.0), lower))
    }
}

/// The classes of images that have one each.
fn single(labels: &[Label]) -> Vec<usize> {
    labels.iter().filter_map(Label::class).collect()
}

/// The point of least cost; the highest threshold on ties.
fn cheapest(points: &[OperatingPoint], ratio: f64) -> Result<OperatingPoint, NotDefined> {
    let cost = |point: &OperatingPoint| {
        ratio * point.counts.false_negatives as f64 + point.counts.false_positives as f64
    };
    points
        .iter()
        .min_by(|a, b| cost(a).total_cmp(&cost(b)))
        .copied()
        .ok_or(NotDefined::NoImage)
}

impl AbstainRule {
    /// The certainty below which nothing is decided, half-way to the next less certain image; `None` where everything can be
    /// decided, 1 where nothing can.
    fn least_certainty(self, validation: &Predictions) -> Option<f64> {
        let decisions = validation.decisions();
        let mut surest_first: Vec<(f64, bool)> = decisions
            .iter()
            .zip(&validation.labels)
            .map(|(decision, label)| (decision.certainty, label.has(decision.class)))
            .collect();
        surest_first.sort_by(|a, b| b.0.total_cmp(&a.0));
        let images = surest_first.len();
        // Images of equal certainty are decided together: only the last of them can end the list.
        let ends_here = |count: usize| count == images || surest_first[count].0 < surest_first[count - 1].0;
        let mut wrong = 0;
        let mut decided = 0;
        for (i, &(_, right)) in surest_first.iter().enumerate() {
            wrong += usize::from(!right);
            let count = i + 1;
            let allowed = match self {
                Self::Coverage(share) => decided < (share * images as f64).round() as usize,
                Self::Error(rate) => wrong as f64 <= rate * count as f64,
            };
            if allowed && ends_here(count) {
                decided = count;
            }
        }
        match decided {
            0 => Some(1.0),
            all if all == images => None,
            some => Some(f64::midpoint(surest_first[some - 1].0, surest_first[some].0)),
        }
    }
}

impl fmt::Display for ThresholdRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Youden => write!(f, "youden"),
            Self::Sensitivity(target) => write!(f, "sensitivity={target}"),
            Self::Specificity(target) => write!(f, "specificity={target}"),
            Self::Cost(ratio) => write!(f, "cost={ratio}"),
        }
    }
}

impl FromStr for ThresholdRule {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let rule = match text.split_once('=') {
            None if text == "youden" => Some(Self::Youden),
            Some(("sensitivity", share)) => part(share).map(Self::Sensitivity),
            Some(("specificity", share)) => part(share).map(Self::Specificity),
            Some(("cost", ratio)) => {
                let ratio = ratio.parse().ok();
                ratio
                    .filter(|ratio: &f64| *ratio > 0.0 && ratio.is_finite())
                    .map(Self::Cost)
            }
            _ => None,
        };
        rule.ok_or_else(|| {
            "expected `youden`, `sensitivity=0.95`, `specificity=0.9` or `cost=5` (false alarms that a missed image is worth)".to_owned()
        })
    }
}

impl fmt::Display for AbstainRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Coverage(share) => write!(f, "coverage={share}"),
            Self::Error(rate) => write!(f, "error={rate}"),
        }
    }
}

impl FromStr for AbstainRule {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let rule = match text.split_once('=') {
            Some(("coverage", share)) => part(share).map(Self::Coverage),
            Some(("error", rate)) => part(rate).map(Self::Error),
            _ => None,
        };
        rule.ok_or_else(|| {
            "expected `coverage=0.9` (decide the surest 90 %) or `error=0.02` (decide as many as 2 % errors allow)"
                .to_owned()
        })
    }
}

/// A share above 0, up to 1.
fn part(text: &str) -> Option<f64> {
    text.parse()
        .ok()
        .filter(|share: &f64| *share > 0.0 && *share <= 1.0)
}

macro_rules! as_text {
    ($rule:ty) => {
        impl TryFrom<String> for $rule {
            type Error = String;

            fn try_from(text: String) -> Result<Self, String> {
                text.parse()
                    .map_err(|expected| format!("`{text}`: {expected}"))
            }
        }

        impl From<$rule> for String {
            fn from(rule: $rule) -> Self {
                rule.to_string()
            }
        }
    };
}
as_text!(ThresholdRule);
as_text!(AbstainRule);

#[cfg(test)]
mod tests;
