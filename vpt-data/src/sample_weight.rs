//! [`SampleWeight`]: how much an image counts in training.

use serde::{Deserialize, Serialize};
use std::hash::{Hash, Hasher};

/// How much an image counts in the training loss: a positive, finite number, 1 unless a table says otherwise.
///
/// Only proportions matter: training divides by the mean over its images. Evaluation counts every image once.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "f32", into = "f32")]
pub struct SampleWeight(f32);

impl SampleWeight {
    /// The weight, if it is one.
    pub fn new(weight: f32) -> Option<Self> {
        (weight.is_finite() && weight > 0.0).then_some(Self(weight))
    }

    /// The number.
    pub fn get(self) -> f32 {
        self.0
    }

    /// Whether it is that of an image of which nothing is said.
    pub fn is_one(&self) -> bool {
        *self == Self::default()
    }
}

impl Default for SampleWeight {
    fn default() -> Self {
        Self(1.0)
    }
}

// No weight is NaN, and none is a zero of either sign: equal numbers are equal bits.
impl Eq for SampleWeight {}

impl Hash for SampleWeight {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.to_bits().hash(state);
    }
}

impl From<SampleWeight> for f32 {
    fn from(weight: SampleWeight) -> Self {
        weight.0
    }
}

impl TryFrom<f32> for SampleWeight {
    type Error = String;

    fn try_from(weight: f32) -> Result<Self, Self::Error> {
        Self::new(weight).ok_or_else(|| format!("the weight {weight} is not a positive, finite number"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_positive_finite_numbers() {
        for wrong in [0.0, -0.0, -1.0, f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            assert_eq!(SampleWeight::new(wrong), None, "{wrong}");
        }
        assert!(serde_json::from_str::<SampleWeight>("-2").is_err());
        let half: SampleWeight = serde_json::from_str("0.5").unwrap();
        assert!(half.get() == 0.5 && !half.is_one() && SampleWeight::default().is_one());
    }
}
