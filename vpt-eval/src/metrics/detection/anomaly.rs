//! Healthy or not, from boxes: an image is as suspicious as its surest detection.

use super::{Detection, Truth, check};
use crate::EvalError;
use crate::metrics::curves::Ranking;

/// A score and a label for each image, as [`operating_points`](crate::metrics::operating_points) and
/// [`delong`](crate::statistics::delong()) take them.
#[derive(Debug, Clone, PartialEq)]
pub struct Anomaly {
    /// Highest score of any detection; images without one share a score one below the lowest of all.
    pub scores: Vec<f64>,
    /// Whether the image has an object that is no crowd.
    pub positive: Vec<bool>,
}

impl Anomaly {
    /// Of all classes together.
    ///
    /// # Errors
    /// Those of [`check`].
    pub fn new(
        images: usize,
        classes: usize,
        truths: &[Truth],
        detections: &[Detection],
    ) -> Result<Self, EvalError> {
        check(images, classes, truths, detections)?;
        let mut highest: Vec<Option<f64>> = vec![None; images];
        let mut lowest = 0.0_f64;
        for found in detections {
            let score = &mut highest[found.image];
            *score = Some(score.map_or(found.score, |score| score.max(found.score)));
            lowest = lowest.min(found.score);
        }
        // Below everything also where a step of 1 is lost by rounding.
        let none = (lowest - 1.0).min(lowest.next_down());
        let mut positive = vec![false; images];
        for truth in truths.iter().filter(|truth| !truth.crowd) {
            positive[truth.image] = true;
        }
        Ok(Self {
            scores: highest.into_iter().map(|score| score.unwrap_or(none)).collect(),
            positive,
        })
    }

    /// Area under the ROC curve, with image `i` counted `weights[i]` times; `None` without an image of each kind.
    pub fn auroc(&self, weights: &[u32]) -> Option<f64> {
        Ranking::new(&self.scores, &self.positive).areas(weights).auroc
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(truths: &[usize], scores: &[(usize, f64)]) -> Anomaly {
        let bbox = [0.0, 0.0, 1.0, 1.0];
        let truths: Vec<Truth> = truths
            .iter()
            .map(|&image| Truth {
                image,
                class: 0,
                bbox,
                area: 1.0,
                crowd: image == 3,
            })
            .collect();
        let found: Vec<Detection> = scores
            .iter()
            .map(|&(image, score)| Detection {
                image,
                class: 0,
                score,
                bbox,
            })
            .collect();
        Anomaly::new(4, 1, &truths, &found).unwrap()
    }

    #[test]
    fn the_surest_detection_speaks_for_the_image() {
        let anomaly = of(&[0, 1, 3], &[(0, 0.2), (0, 0.9), (2, 0.5), (1, 0.6)]);
        assert_eq!(anomaly.positive, [true, true, false, false]);
        assert_eq!(anomaly.scores, [0.9, 0.6, 0.5, -1.0]);
        assert_eq!(anomaly.auroc(&[1; 4]), Some(1.0));
        let some = of(&[0, 1], &[(0, 0.9), (2, 0.5)]);
        assert_eq!(
            some.auroc(&[1; 4]),
            Some(0.625),
            "nothing found in 1 and 3 is a tie"
        );
        assert_eq!(some.auroc(&[1, 1, 0, 0]), None);
    }
}
