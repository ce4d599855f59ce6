//! Which detections of one class in one image are right: COCO's greedy matching, for all IoU thresholds and area ranges.

use super::iou::{area, overlap};
use super::{Detection, Truth};

/// The IoU thresholds over which AP is averaged (`np.linspace(0.5, 0.95, 10)`, to the last bit).
pub const IOU_THRESHOLDS: [f64; 10] = [
    0.5,
    0.55,
    0.6,
    0.65,
    0.7,
    0.75,
    0.8,
    0.85,
    0.899_999_999_999_999_9,
    0.95,
];

/// So many detections of a class and image count at most; the highest scores stay.
pub const MAX_DETECTIONS: usize = 100;

/// Truths of which size have to be found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AreaRange {
    /// Any size.
    All,
    /// Up to 32² square pixels.
    Small,
    /// 32² to 96².
    Medium,
    /// From 96² on.
    Large,
}

/// In the order of the arrays that have one entry for each.
pub const AREAS: [AreaRange; 4] = [
    AreaRange::All,
    AreaRange::Small,
    AreaRange::Medium,
    AreaRange::Large,
];

impl AreaRange {
    /// Both ends belong to it, as in pycocotools: an area of exactly 32² is small and medium.
    fn contains(self, area: f64) -> bool {
        let (low, high) = match self {
            Self::All => (0.0, 1e10),
            Self::Small => (0.0, 1024.0),
            Self::Medium => (1024.0, 9216.0),
            Self::Large => (9216.0, 1e10),
        };
        (low..=high).contains(&area)
    }
}

/// What became of a detection: bit `t` speaks of [`IOU_THRESHOLDS`]`[t]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Flags {
    /// It found a truth (which may be an ignored one).
    pub matched: u16,
    /// It counts neither as right nor as wrong.
    pub ignored: u16,
}

/// The detections of one class in one image.
pub(super) struct ImageMatches {
    /// Number of truths that have to be found, for each of [`AREAS`].
    pub positives: [u32; 4],
    /// For each detection, for each of [`AREAS`].
    pub flags: Vec<[Flags; 4]>,
}

impl ImageMatches {
    /// Matches `found`, highest score first, to `truths`. A detection takes the truth of highest IoU that is still free (the
    /// last of equal ones), one that has to be found before one that is ignored; crowds are never used up.
    pub(super) fn new(truths: &[&Truth], found: &[&Detection]) -> Self {
        let overlaps: Vec<f64> = found
            .iter()
            .flat_map(|found| {
                truths
                    .iter()
                    .map(|truth| overlap(found.bbox, truth.bbox, truth.crowd))
            })
            .collect();
        let mut matches = Self {
            positives: [0; 4],
            flags: vec![[Flags::default(); 4]; found.len()],
        };
        for (a, range) in AREAS.into_iter().enumerate() {
            let ignored = |&truth: &usize| truths[truth].crowd || !range.contains(truths[truth].area);
            // Those that have to be found come first.
            let (required, others): (Vec<usize>, Vec<usize>) =
                (0..truths.len()).partition(|truth| !ignored(truth));
            matches.positives[a] = required.len() as u32;
            for (t, &threshold) in IOU_THRESHOLDS.iter().enumerate() {
                let mut taken = vec![false; truths.len()];
                for (d, detection) in found.iter().enumerate() {
                    let row = &overlaps[d * truths.len()..(d + 1) * truths.len()];
                    let mut best = |candidates: &[usize]| {
                        let mut best = (threshold, None);
                        for &truth in candidates {
                            let free = !taken[truth] || truths[truth].crowd;
                            if free && row[truth] >= best.0 {
                                best = (row[truth], Some(truth));
                            }
                        }
                        if let Some(truth) = best.1 {
                            taken[truth] = true;
                        }
                        best.1.is_some()
                    };
                    let (bit, flags) = (1 << t, &mut matches.flags[d][a]);
                    if best(&required) {
                        flags.matched |= bit;
                    } else if best(&others) {
                        flags.matched |= bit;
                        flags.ignored |= bit;
                    } else if !range.contains(area(detection.bbox)) {
                        flags.ignored |= bit;
                    }
                }
            }
        }
        matches
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn truth(bbox: [f64; 4], crowd: bool) -> Truth {
        Truth {
            image: 0,
            class: 0,
            bbox,
            area: area(bbox),
            crowd,
        }
    }

    fn found(bbox: [f64; 4]) -> Detection {
        Detection {
            image: 0,
            class: 0,
            score: 0.5,
            bbox,
        }
    }

    #[test]
    fn thresholds_are_those_of_numpy() {
        let step = (0.95 - 0.5) / 9.0; // in float64, as linspace computes it
        for (t, threshold) in IOU_THRESHOLDS.iter().enumerate() {
            assert_eq!(*threshold, 0.5 + t as f64 * step);
        }
    }

    #[test]
    fn a_truth_is_found_once_and_a_crowd_any_number_of_times() {
        let (one, crowd) = (
            truth([0.0, 0.0, 10.0, 10.0], false),
            truth([50.0, 0.0, 90.0, 40.0], true),
        );
        let (a, b) = (found([0.0, 0.0, 10.0, 10.0]), found([60.0, 0.0, 70.0, 10.0]));
        let matches = ImageMatches::new(&[&one, &crowd], &[&a, &a, &b, &b]);
        assert_eq!(matches.positives, [1, 1, 0, 0]);
        let all: Vec<(u16, u16)> = matches
            .flags
            .iter()
            .map(|f| (f[0].matched, f[0].ignored))
            .collect();
        assert_eq!(all, [(1023, 0), (0, 0), (1023, 1023), (1023, 1023)]);
    }

    #[test]
    fn what_has_another_size_is_ignored() {
        let small = truth([0.0, 0.0, 10.0, 10.0], false);
        let (hit, wrong) = (found([0.0, 0.0, 10.0, 10.0]), found([100.0, 0.0, 110.0, 10.0]));
        let matches = ImageMatches::new(&[&small], &[&hit, &wrong]);
        let ignored = |d: usize| [0, 1, 2, 3].map(|a| matches.flags[d][a].ignored);
        assert_eq!(ignored(0), [0, 0, 1023, 1023]);
        assert_eq!(ignored(1), [0, 0, 1023, 1023]);
    }
}
