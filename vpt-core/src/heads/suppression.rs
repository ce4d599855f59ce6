//! From what a detection head says to a list of objects: likely boxes, and of those that overlap the likeliest.

use burn::tensor::activation::sigmoid;

use super::{DetectionOutput, Point};
use crate::{CoreError, HostTensor};

/// An object that was found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FoundObject {
    /// Its class.
    pub class: usize,
    /// How likely it is there and its box right, 0 to 1.
    pub score: f32,
    /// Left, upper, right and lower edge in pixels of the input.
    pub bbox: [f32; 4],
}

/// Which boxes are kept.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Suppression {
    /// Less likely ones are dropped.
    pub min_score: f32,
    /// Of two boxes of a class that overlap more than this (IoU), the less likely one is dropped.
    pub max_iou: f32,
    /// The likeliest boxes of an image, before overlaps are looked for.
    pub candidates: usize,
    /// The likeliest boxes of an image in the end, of all classes.
    pub objects: usize,
}

impl Default for Suppression {
    /// As detectors are compared on COCO: nearly everything is kept, 100 boxes at most.
    fn default() -> Self {
        Self {
            min_score: 0.01,
            max_iou: 0.6,
            candidates: 1000,
            objects: 100,
        }
    }
}

impl DetectionOutput {
    /// The objects of each image, the likeliest first.
    ///
    /// # Errors
    /// When the device cannot deliver its own tensors.
    pub fn objects(self, points: &[Point], rules: &Suppression) -> Result<Vec<Vec<FoundObject>>, CoreError> {
        let [batch, count, classes] = self.logits.dims();
        let scores = HostTensor::from_tensor(&sigmoid(self.logits))?.data;
        let reach = HostTensor::from_tensor(&self.reach)?.data;
        let image = |image: usize| {
            let scores = &scores[image * count * classes..(image + 1) * count * classes];
            let reach = &reach[image * count * 4..(image + 1) * count * 4];
            let found = scores
                .iter()
                .enumerate()
                .filter(|(_, score)| **score >= rules.min_score);
            let candidates = found.map(|(place, &score)| FoundObject {
                class: place % classes,
                score,
                bbox: points[place / classes].bbox(&reach[place / classes * 4..][..4]),
            });
            rules.apply(candidates.collect())
        };
        Ok((0..batch).map(image).collect())
    }
}

impl Suppression {
    /// The boxes that are kept, the likeliest first; of equally likely ones the first.
    pub fn apply(&self, mut found: Vec<FoundObject>) -> Vec<FoundObject> {
        found.retain(|object| {
            object.score >= self.min_score && object.bbox.iter().all(|edge| edge.is_finite())
        });
        found.sort_by(|a, b| b.score.total_cmp(&a.score));
        found.truncate(self.candidates);
        let mut kept: Vec<FoundObject> = Vec::new();
        for object in found {
            if kept.len() == self.objects {
                break;
            }
            let hides = |other: &FoundObject| {
                other.class == object.class && iou(&other.bbox, &object.bbox) > self.max_iou
            };
            if !kept.iter().any(hides) {
                kept.push(object);
            }
        }
        kept
    }
}

fn iou(a: &[f32; 4], b: &[f32; 4]) -> f32 {
    let area = |x: &[f32; 4]| (x[2] - x[0]).max(0.0) * (x[3] - x[1]).max(0.0);
    let common = area(&[a[0].max(b[0]), a[1].max(b[1]), a[2].min(b[2]), a[3].min(b[3])]);
    common / (area(a) + area(b) - common).max(f32::MIN_POSITIVE)
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Tensor, TensorData};

    use super::*;
    use crate::heads::DetectionHead;

    fn object(class: usize, score: f32, bbox: [f32; 4]) -> FoundObject {
        FoundObject { class, score, bbox }
    }

    #[test]
    fn of_overlapping_boxes_the_likeliest_stays() {
        let rules = Suppression::default();
        let found = vec![
            object(0, 0.5, [0.0, 0.0, 10.0, 10.0]),
            object(0, 0.9, [1.0, 0.0, 11.0, 10.0]),
            object(1, 0.4, [1.0, 0.0, 11.0, 10.0]),
            object(0, 0.3, [6.0, 0.0, 16.0, 10.0]),
            object(0, 0.001, [50.0, 0.0, 60.0, 10.0]),
            object(0, 0.8, [f32::NAN, 0.0, 60.0, 10.0]),
        ];
        let scores: Vec<f32> = rules
            .apply(found.clone())
            .iter()
            .map(|object| object.score)
            .collect();
        assert_eq!(scores, [0.9, 0.4, 0.3]);
        let one = Suppression { objects: 1, ..rules };
        assert_eq!(one.apply(found).len(), 1);
    }

    #[test]
    fn boxes_lie_around_their_points() {
        let points = DetectionHead::points([1, 1], [8, 8]);
        let mut logits = vec![-20.0; points.len() * 2];
        let mut reach = vec![1.0; points.len() * 4];
        // The third point of the finest level: (2, 6), stride 4.
        logits[2 * 2 + 1] = 20.0;
        reach[2 * 4..3 * 4].copy_from_slice(&[0.25, 0.5, 1.0, 0.75]);
        let device = Device::flex();
        let output = DetectionOutput {
            logits: Tensor::from_data(TensorData::new(logits, [1, points.len(), 2]), &device),
            reach: Tensor::from_data(TensorData::new(reach, [1, points.len(), 4]), &device),
        };
        let objects = output.objects(&points, &Suppression::default()).unwrap();
        assert_eq!(objects.len(), 1);
        assert_eq!(objects[0].len(), 1);
        assert_eq!(
            (objects[0][0].class, objects[0][0].bbox),
            (1, [1.0, 4.0, 6.0, 9.0])
        );
    }
}
