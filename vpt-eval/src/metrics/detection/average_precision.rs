//! Average precision as COCO defines it: the mean of the interpolated precision at 101 recalls.

/// Number of recall thresholds: 0, 0.01 … 1.
const RECALLS: usize = 101;

/// The right detections of a ranking, in order: how many are right up to and with each, and how many are wrong before it.
#[derive(Debug, Default)]
pub(super) struct RankedHits {
    points: Vec<(u64, u64)>,
    hits: u64,
    wrong: u64,
}

impl RankedHits {
    pub(super) fn clear(&mut self) {
        self.points.clear();
        (self.hits, self.wrong) = (0, 0);
    }

    /// The next detection, `weight` times. Between copies of a right one precision only rises, so one point is enough.
    pub(super) fn push(&mut self, right: bool, weight: u64) {
        if right {
            self.hits += weight;
            self.points.push((self.hits, self.wrong));
        } else {
            self.wrong += weight;
        }
    }

    /// How many are right.
    pub(super) fn hits(&self) -> u64 {
        self.hits
    }

    /// AP with `positives` truths to be found, more than 0: the mean over recalls 0, 0.01 … 1 of the highest precision at
    /// that recall or a higher one; 0 for recalls that are not reached.
    ///
    /// Precision is hits / (hits + wrong), without the 2⁻⁵² that pycocotools adds below the line: it only moves a single
    /// first detection, from 1 to 1 − 2⁻⁵².
    pub(super) fn average_precision(&self, positives: u64) -> f64 {
        let mut sum = 0.0;
        let mut highest = 0.0_f64;
        let mut threshold = RECALLS; // those from here on are done
        for (i, &(hits, wrong)) in self.points.iter().enumerate().rev() {
            highest = highest.max(hits as f64 / (hits + wrong) as f64);
            let recall = |hits: u64| hits as f64 / positives as f64;
            let before = i.checked_sub(1).map(|i| recall(self.points[i].0));
            // This point answers the thresholds above the recall before it, up to its own.
            while threshold > 0 {
                let next = (threshold - 1) as f64 * 0.01;
                if before.is_some_and(|before| before >= next) {
                    break;
                }
                if recall(hits) >= next {
                    sum += highest;
                }
                threshold -= 1;
            }
        }
        sum / RECALLS as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ap(right: &[bool], positives: u64) -> f64 {
        let mut ranked = RankedHits::default();
        for &right in right {
            ranked.push(right, 1);
        }
        ranked.average_precision(positives)
    }

    #[test]
    fn known_rankings() {
        assert_eq!(ap(&[true, true], 2), 1.0);
        assert_eq!(ap(&[], 2), 0.0);
        assert_eq!(ap(&[false, false], 1), 0.0);
        assert_eq!(ap(&[false, true], 1), 0.5);
        // Recalls 0 … 0.5 are reached, 51 of 101.
        assert!((ap(&[true, false], 2) - 51.0 / 101.0).abs() < 1e-15);
        // 1/3 is reached at precision 1 (recalls to 0.33: 34), the rest at 2/3.
        let expected = (34.0 + 33.0 * 2.0 / 3.0) / 101.0;
        assert!((ap(&[true, false, true], 3) - expected).abs() < 1e-15);
    }

    #[test]
    fn a_recall_on_a_threshold_counts_for_it() {
        // 5/25 is 0.2 to the last bit, and 20 · 0.01 too: thresholds 0 … 20.
        assert!((ap(&[true; 5], 25) - 21.0 / 101.0).abs() < 1e-15);
    }

    #[test]
    fn weights_are_copies() {
        let (mut weighted, mut copied) = (RankedHits::default(), RankedHits::default());
        for (right, weight) in [(true, 2), (false, 3), (true, 1), (true, 4), (false, 1)] {
            weighted.push(right, weight);
            for _ in 0..weight {
                copied.push(right, 1);
            }
        }
        for positives in [7, 9, 40] {
            let both = [&weighted, &copied].map(|ranked| ranked.average_precision(positives));
            assert_eq!(both[0], both[1]);
        }
    }
}
