//! FROC: how many lesions are found, against how many false alarms an image has (Bunch et al. 1978, J. Appl. Photogr.
//! Eng. 4:166).
//!
//! The counts are those of LUNA16 (Setio et al. 2017, arXiv 1612.08012): a truth is found from the highest score of the
//! detections that hit it; a detection is a false alarm if it hits no truth of its class, so that a second hit of one truth is
//! neither. A detection that hits a crowd is no false alarm, and a crowd need not be found.

use rayon::prelude::*;

use super::{Detection, Truth, by_score, check, overlap};
use crate::{EvalError, NotDefined};

/// False positives per image at which sensitivity is reported; the mean over them is LUNA16's score (CPM).
pub const FP_PER_IMAGE: [f64; 7] = [0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0];

/// When a detection hits a truth.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum HitRule {
    /// IoU of at least so much, and above 0; for a crowd the share of the detection inside it.
    Iou(f64),
    /// The centre of the detection lies in the true box, or on its edge.
    CentreInBox,
}

impl HitRule {
    fn hits(self, found: &Detection, truth: &Truth) -> bool {
        match self {
            Self::Iou(threshold) => {
                let overlap = overlap(found.bbox, truth.bbox, truth.crowd);
                overlap > 0.0 && overlap >= threshold
            }
            Self::CentreInBox => {
                let ([a0, b0, a1, b1], [x0, y0, x1, y1]) = (found.bbox, truth.bbox);
                let (x, y) = (f64::midpoint(a0, a1), f64::midpoint(b0, b1));
                (x0..=x1).contains(&x) && (y0..=y1).contains(&y)
            }
        }
    }
}

/// Truths found and false alarms by score, ready for any weighting of the images.
#[derive(Debug, Clone)]
pub struct Froc {
    /// Truths to be found in each image.
    truths: Vec<u32>,
    /// Highest score first.
    events: Vec<Event>,
}

#[derive(Debug, Clone, Copy)]
struct Event {
    score: f64,
    image: u32,
    /// A truth is found, else a false alarm.
    found: bool,
}

/// A threshold and what it does.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FrocPoint {
    /// Detections count from this score on.
    pub score: f64,
    /// False alarms per image.
    pub fp_per_image: f64,
    /// Share of the truths found.
    pub sensitivity: f64,
}

impl Froc {
    /// Of a class, or of all classes together (`None`); a detection only ever hits truth of its own class.
    ///
    /// # Errors
    /// Those of [`check`].
    pub fn new(
        images: usize,
        classes: usize,
        truths: &[Truth],
        detections: &[Detection],
        class: Option<usize>,
        rule: HitRule,
    ) -> Result<Self, EvalError> {
        check(images, classes, truths, detections)?;
        let wanted = |of: usize| class.is_none_or(|class| class == of);
        let mut of_images: Vec<(Vec<&Truth>, Vec<&Detection>)> = vec![Default::default(); images];
        for truth in truths.iter().filter(|truth| wanted(truth.class)) {
            of_images[truth.image].0.push(truth);
        }
        for found in detections.iter().filter(|found| wanted(found.class)) {
            of_images[found.image].1.push(found);
        }
        let counted = of_images
            .iter()
            .map(|(truths, _)| truths.iter().filter(|truth| !truth.crowd).count() as u32)
            .collect();
        let mut events: Vec<Event> = of_images
            .par_iter()
            .enumerate()
            .flat_map_iter(|(image, (truths, found))| image_events(image as u32, truths, found, rule))
            .collect();
        events.sort_by(|a, b| by_score(a.score, b.score));
        Ok(Self {
            truths: counted,
            events,
        })
    }

    /// The curve from the highest score to the lowest, one point for each distinct score; image `i` counts `weights[i]` times.
    ///
    /// Not defined without an image, or without truth.
    pub fn curve(&self, weights: &[u32]) -> Result<Vec<FrocPoint>, NotDefined> {
        assert_eq!(
            weights.len(),
            self.truths.len(),
            "{} weights, {} images",
            weights.len(),
            self.truths.len()
        );
        let images: u64 = weights.iter().map(|&weight| u64::from(weight)).sum();
        let each = self.truths.iter().zip(weights);
        let truths: u64 = each.map(|(&n, &weight)| u64::from(n) * u64::from(weight)).sum();
        if images == 0 || truths == 0 {
            return Err(NotDefined::NoImage);
        }
        let (mut points, mut found, mut alarms) = (Vec::new(), 0, 0);
        for (i, event) in self.events.iter().enumerate() {
            let weight = u64::from(weights[event.image as usize]);
            *(if event.found { &mut found } else { &mut alarms }) += weight;
            if self
                .events
                .get(i + 1)
                .is_none_or(|next| next.score != event.score)
            {
                points.push(FrocPoint {
                    score: event.score,
                    fp_per_image: alarms as f64 / images as f64,
                    sensitivity: found as f64 / truths as f64,
                });
            }
        }
        Ok(points)
    }

    /// Sensitivity at the lowest threshold with at most so many false alarms per image, without interpolation; 0 where no
    /// threshold has as few. `None` without an image, without truth, or where a rate is no number from 0.
    pub fn sensitivity_at(&self, fp_per_image: &[f64], weights: &[u32]) -> Vec<Option<f64>> {
        let curve = self.curve(weights).ok();
        let at = |&rate: &f64| {
            let curve = curve.as_ref().filter(|_| rate >= 0.0)?;
            let within = curve.partition_point(|point| point.fp_per_image <= rate);
            Some(curve[..within].last().map_or(0.0, |point| point.sensitivity))
        };
        fp_per_image.iter().map(at).collect()
    }

    /// The mean of [`Froc::sensitivity_at`] over [`FP_PER_IMAGE`].
    pub fn mean_sensitivity(&self, weights: &[u32]) -> Option<f64> {
        crate::metrics::mean_of_defined(self.sensitivity_at(&FP_PER_IMAGE, weights).into_iter())
    }
}

fn image_events(image: u32, truths: &[&Truth], found: &[&Detection], rule: HitRule) -> Vec<Event> {
    let mut best: Vec<Option<f64>> = vec![None; truths.len()];
    let mut events = Vec::new();
    for found in found {
        let mut alarm = true;
        for (truth, best) in truths.iter().zip(&mut best) {
            if truth.class == found.class && rule.hits(found, truth) {
                alarm = false;
                *best = Some(best.map_or(found.score, |best| best.max(found.score)));
            }
        }
        if alarm {
            events.push(Event {
                score: found.score,
                image,
                found: false,
            });
        }
    }
    let counted = truths
        .iter()
        .zip(best)
        .filter_map(|(truth, best)| best.filter(|_| !truth.crowd));
    events.extend(counted.map(|score| Event {
        score,
        image,
        found: true,
    }));
    events
}

#[cfg(test)]
mod tests {
    use super::*;

    fn truth(image: usize, x: f64, crowd: bool) -> Truth {
        Truth {
            image,
            class: 0,
            bbox: [x, 0.0, x + 10.0, 10.0],
            area: 100.0,
            crowd,
        }
    }

    fn found(image: usize, x: f64, score: f64) -> Detection {
        Detection {
            image,
            class: 0,
            score,
            bbox: [x, 0.0, x + 10.0, 10.0],
        }
    }

    #[test]
    fn known_counts() {
        let truths = [truth(0, 0.0, false), truth(1, 0.0, false), truth(1, 50.0, true)];
        let detections = [
            found(0, 80.0, 0.9),
            found(0, 0.0, 0.8),
            found(0, 1.0, 0.7),  // hits what is found: neither
            found(1, 51.0, 0.6), // in the crowd: neither
            found(2, 0.0, 0.5),
            found(1, 4.0, 0.4), // IoU 6/14, centre inside
        ];
        let froc = |rule| Froc::new(4, 1, &truths, &detections, None, rule).unwrap();
        let points = |rule| -> Vec<(f64, f64, f64)> {
            let curve = froc(rule).curve(&[1; 4]).unwrap();
            let tuple = |point: FrocPoint| (point.score, point.fp_per_image, point.sensitivity);
            curve.into_iter().map(tuple).collect()
        };
        let start = [(0.9, 0.25, 0.0), (0.8, 0.25, 0.5), (0.5, 0.5, 0.5)];
        let with = |last| [&start[..], &[last]].concat();
        assert_eq!(points(HitRule::Iou(0.5)), with((0.4, 0.75, 0.5)));
        assert_eq!(points(HitRule::CentreInBox), with((0.4, 0.5, 1.0)));
        let centre = froc(HitRule::CentreInBox);
        let at = centre.sensitivity_at(&[0.1, 0.25, 0.5, f64::NAN], &[1; 4]);
        assert_eq!(at, [Some(0.0), Some(0.5), Some(1.0), None]);
        let mean = (0.0 + 0.5 + 5.0) / 7.0;
        assert!((centre.mean_sensitivity(&[1; 4]).unwrap() - mean).abs() < 1e-15);
        assert_eq!(centre.curve(&[0; 4]), Err(NotDefined::NoImage));
        assert_eq!(centre.sensitivity_at(&[1.0], &[0, 0, 1, 1]), [None]);
        assert_eq!(centre.sensitivity_at(&[1.0], &[2, 0, 0, 0]), [Some(1.0)]);
    }

    #[test]
    fn classes_are_hit_apart() {
        let detections = [Detection {
            class: 1,
            ..found(0, 0.0, 0.9)
        }];
        let froc = |class| {
            let truths = [truth(0, 0.0, false)];
            Froc::new(1, 2, &truths, &detections, class, HitRule::Iou(0.5)).unwrap()
        };
        assert_eq!(froc(None).sensitivity_at(&[8.0], &[1]), [Some(0.0)]);
        assert!(froc(Some(0)).curve(&[1]).unwrap().is_empty());
        assert_eq!(froc(Some(1)).curve(&[1]), Err(NotDefined::NoImage));
    }
}
