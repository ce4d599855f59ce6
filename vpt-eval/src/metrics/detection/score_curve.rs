//! What each score threshold does at IoU 0.5: precision, recall and F1.

use super::{AreaRange, CocoMatches, by_score};
use crate::NotDefined;

/// Points from the highest score to the lowest, one for each distinct score.
#[derive(Debug, Clone, PartialEq)]
pub struct ScoreCurve {
    /// At least one, unless there is no detection.
    pub points: Vec<ScorePoint>,
    /// Truths to be found.
    pub positives: u64,
}

/// Counts of the detections with a score of at least a threshold.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ScorePoint {
    /// The threshold.
    pub score: f64,
    /// Right detections: each has a truth of its own.
    pub hits: u64,
    /// Wrong ones.
    pub wrong: u64,
    /// Share of right ones among the detections.
    pub precision: f64,
    /// Share of the truths that are found.
    pub recall: f64,
    /// Harmonic mean of both.
    pub f1: f64,
}

impl ScoreCurve {
    /// Of a class, or of all classes together with one threshold for all (`None`); image `i` counts `weights[i]` times.
    /// Matching is COCO's, at IoU 0.5, with a hundred detections of a class in an image.
    ///
    /// Not defined without truth.
    pub fn new(matches: &CocoMatches, class: Option<usize>, weights: &[u32]) -> Result<Self, NotDefined> {
        matches.check_weights(weights);
        let classes = class.map_or(0..matches.num_classes(), |class| class..class + 1);
        let classes: Vec<_> = classes.map(|class| matches.class(class)).collect();
        let positives = classes
            .iter()
            .map(|class| class.positives(AreaRange::All, weights))
            .sum();
        if positives == 0 {
            return Err(NotDefined::NoImage);
        }
        let mut places: Vec<(f64, bool, u64)> = classes
            .iter()
            .flat_map(|class| &class.places)
            .filter_map(|place| {
                let weight = u64::from(weights[place.image as usize]);
                Some((place.score, place.right_at_half()?, weight)).filter(|_| weight > 0)
            })
            .collect();
        places.sort_by(|a, b| by_score(a.0, b.0));
        let (mut points, mut hits, mut wrong) = (Vec::new(), 0, 0);
        for (i, &(score, right, weight)) in places.iter().enumerate() {
            *(if right { &mut hits } else { &mut wrong }) += weight;
            if places.get(i + 1).is_none_or(|next| next.0 != score) {
                points.push(ScorePoint {
                    score,
                    hits,
                    wrong,
                    precision: hits as f64 / (hits + wrong) as f64,
                    recall: hits as f64 / positives as f64,
                    f1: 2.0 * hits as f64 / (hits + wrong + positives) as f64,
                });
            }
        }
        Ok(Self { points, positives })
    }

    /// The point of highest F1; the highest threshold of equal ones. `None` without a detection.
    ///
    /// A threshold chosen on the images it is judged on looks better than it is: choose on validation, judge on test.
    pub fn best(&self) -> Option<&ScorePoint> {
        self.points.iter().reduce(|best, point| {
            // What differs by rounding only is a tie.
            if point.f1 > best.f1 + 1e-12 { point } else { best }
        })
    }

    /// The last point whose threshold is at least `score`: what a detector with that threshold does. `None` where it detects
    /// nothing.
    pub fn at(&self, score: f64) -> Option<&ScorePoint> {
        let above = self.points.partition_point(|point| point.score >= score);
        self.points[..above].last()
    }
}
