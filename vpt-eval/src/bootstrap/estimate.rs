//! [`Estimate`]: a value and its interval.

use serde::{Deserialize, Serialize};

use crate::NotDefined;
use crate::statistics::{self, CrossedMean, Interval, Proportion};

/// A value and its interval. The ends are `None` where resampling cannot tell: see [`Estimate::new`].
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Estimate {
    /// The value on the images as they are.
    pub value: Option<f64>,
    /// Lower end of the interval.
    pub ci_low: Option<f64>,
    /// Upper end of the interval.
    pub ci_high: Option<f64>,
    /// Whose interval it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ci_method: Option<IntervalMethod>,
}

/// How an interval came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IntervalMethod {
    /// Wilson's score interval of a share.
    Wilson,
    /// DeLong's variance of an AUROC, on the logit scale.
    Delong,
    /// Resampled images, or groups of them.
    Bootstrap,
    /// Student's t with the spread of halves of the images, or of groups of them: see [`half_sample_estimates`](super::half_sample_estimates).
    Halves,
    /// Student's t over images and seeds: see [`CrossedMean`].
    Student,
}

impl Estimate {
    /// A value without an interval.
    pub(crate) fn unknown(value: Option<f64>) -> Self {
        Self {
            value,
            ..Self::default()
        }
    }

    /// A value with an interval.
    pub(crate) fn with(value: Option<f64>, interval: Interval, method: IntervalMethod) -> Self {
        Self {
            value,
            ci_low: Some(interval.low),
            ci_high: Some(interval.high),
            ci_method: Some(method),
        }
    }

    /// The percentile interval of `resampled` values (NaN = undefined in that resample) around `value`.
    ///
    /// Where every resample gives the same value, the images at hand contain no example of the variation, and an
    /// interval of width 0 would be a lie. A share of `share_of` items then gets Wilson's interval; anything else gets none.
    /// There is none either where fewer than half of the resamples have a value.
    pub fn new(value: Option<f64>, resampled: &[f64], level: f64, share_of: Option<u64>) -> Self {
        let Some(known) = value else {
            return Self::default();
        };
        let wilson = || share(known, share_of?).wilson(level).ok();
        match statistics::percentile(resampled, level) {
            Ok(interval) => Self::with(value, interval, IntervalMethod::Bootstrap),
            Err(NotDefined::NoVariation) => wilson().map_or(Self::unknown(value), |interval| {
                Self::with(value, interval, IntervalMethod::Wilson)
            }),
            Err(_) => Self::unknown(value),
        }
    }

    /// A mean over seeds, or a difference of two, with its interval; `value` where it has none.
    pub(crate) fn crossed(value: f64, mean: Result<CrossedMean, NotDefined>, level: f64) -> Self {
        match mean.and_then(|mean| mean.interval(level)) {
            Ok(interval) => Self::with(Some(value), interval, IntervalMethod::Student),
            Err(_) => Self::unknown(Some(value)),
        }
    }

    /// The same with an interval that holds the value.
    pub(super) fn widened(self) -> Self {
        let with = |end: Option<f64>, wider: fn(f64, f64) -> f64| Some(wider(end?, self.value?));
        Self {
            ci_low: with(self.ci_low, f64::min),
            ci_high: with(self.ci_high, f64::max),
            ..self
        }
    }

    /// Both ends, where there are any.
    pub fn interval(&self) -> Option<(f64, f64)> {
        self.ci_low.zip(self.ci_high)
    }
}

/// A share of `items` as counts.
pub(super) fn share(value: f64, items: u64) -> Proportion {
    Proportion::new(((value * items as f64).round() as u64).min(items), items)
}
