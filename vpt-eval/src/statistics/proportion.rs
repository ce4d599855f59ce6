//! A share of independent items, with its interval.

use serde::{Deserialize, Serialize};

use super::{Interval, normal_reach};
use crate::NotDefined;

/// `hits` of `items`: an accuracy, a sensitivity, a predictive value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Proportion {
    /// Items that have the property.
    pub hits: u64,
    /// All items.
    pub items: u64,
}

impl Proportion {
    /// `hits` of `items`; more hits than items are a caller's mistake.
    pub fn new(hits: u64, items: u64) -> Self {
        assert!(hits <= items, "{hits} of {items}");
        Self { hits, items }
    }

    /// The share; `None` without an item.
    pub fn value(&self) -> Option<f64> {
        (self.items > 0).then(|| self.hits as f64 / self.items as f64)
    }

    /// Score interval of Wilson (1927, J. Am. Stat. Assoc. 22:209), without continuity correction: close to its level
    /// also for few items and for shares near 0 and 1 (Brown, Cai & DasGupta 2001, Stat. Sci. 16:101).
    pub fn wilson(&self, level: f64) -> Result<Interval, NotDefined> {
        let z = normal_reach(level)?;
        let share = self.value().ok_or(NotDefined::NoImage)?;
        let n = self.items as f64;
        let shrink = 1.0 + z * z / n;
        let centre = (share + z * z / (2.0 * n)) / shrink;
        let half = z / shrink * (share * (1.0 - share) / n + z * z / (4.0 * n * n)).sqrt();
        let Interval { low, high } = Interval::of_share(centre, half);
        // Rounding must not leave an end on the wrong side of an exact 0 or 1.
        Ok(Interval {
            low: if self.hits == 0 { 0.0 } else { low },
            high: if self.hits == self.items { 1.0 } else { high },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn degenerate_input_has_a_reason() {
        assert_eq!(Proportion::new(0, 0).wilson(0.95), Err(NotDefined::NoImage));
        for level in [0.0, 1.0, -0.1, f64::NAN] {
            assert_eq!(Proportion::new(1, 2).wilson(level), Err(NotDefined::OutOfRange));
        }
    }

    proptest! {
        #[test]
        fn the_share_lies_inside(items in 1..5000_u64, part in 0.0..1.0_f64, level in 0.5..0.999_f64) {
            let proportion = Proportion::new((part * (items + 1) as f64) as u64, items);
            let interval = proportion.wilson(level).unwrap();
            prop_assert!(interval.contains(proportion.value().unwrap()));
            prop_assert!(interval.low >= 0.0 && interval.high <= 1.0);
            // Counting the misses instead mirrors it.
            let mirrored = Proportion::new(items - proportion.hits, items).wilson(level).unwrap();
            prop_assert!((mirrored.low - (1.0 - interval.high)).abs() < 1e-12);
        }
    }
}
