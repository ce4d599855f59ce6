//! Objects counted: how far the number of detections is from the number of objects in an image.

use super::{Detection, Truth, check};
use crate::EvalError;

/// Objects and detections of each image at a score threshold, of one class or of all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counting {
    /// Objects and detections; `None` where a crowd leaves their number open.
    images: Vec<Option<(u32, u32)>>,
}

/// How far counts are off.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CountingError {
    /// Images that could be counted.
    pub images: u64,
    /// Mean of |detections − objects| over them.
    pub mean_absolute: f64,
    /// Mean of detections − objects: above 0, too many are found.
    pub mean_signed: f64,
    /// Mean of |detections − objects| / objects over the images that have objects; `None` without one.
    pub mean_relative: Option<f64>,
}

impl Counting {
    /// Counts detections with a score of at least `threshold`, of a class or of all together (`None`). Images with a crowd
    /// that would be counted are left out.
    ///
    /// # Errors
    /// Those of [`check`].
    pub fn new(
        images: usize,
        classes: usize,
        truths: &[Truth],
        detections: &[Detection],
        class: Option<usize>,
        threshold: f64,
    ) -> Result<Self, EvalError> {
        check(images, classes, truths, detections)?;
        let wanted = |of: usize| class.is_none_or(|class| class == of);
        let mut counts = vec![Some((0, 0)); images];
        for found in detections.iter().filter(|found| wanted(found.class)) {
            if let Some(count) = counts[found.image].as_mut().filter(|_| found.score >= threshold) {
                count.1 += 1;
            }
        }
        for truth in truths.iter().filter(|truth| wanted(truth.class)) {
            let count = &mut counts[truth.image];
            *count = count
                .filter(|_| !truth.crowd)
                .map(|(objects, found)| (objects + 1, found));
        }
        Ok(Self { images: counts })
    }

    /// The errors, with image `i` counted `weights[i]` times; `None` without an image.
    pub fn error(&self, weights: &[u32]) -> Option<CountingError> {
        assert_eq!(
            weights.len(),
            self.images.len(),
            "{} weights, {} images",
            weights.len(),
            self.images.len()
        );
        let (mut images, mut with_objects) = (0_u64, 0_u64);
        let (mut absolute, mut signed, mut relative) = (0.0, 0.0, 0.0);
        for (count, &weight) in self.images.iter().zip(weights) {
            let Some((objects, found)) = *count else { continue };
            let off = f64::from(found) - f64::from(objects);
            images += u64::from(weight);
            absolute += f64::from(weight) * off.abs();
            signed += f64::from(weight) * off;
            if objects > 0 {
                with_objects += u64::from(weight);
                relative += f64::from(weight) * off.abs() / f64::from(objects);
            }
        }
        (images > 0).then(|| CountingError {
            images,
            mean_absolute: absolute / images as f64,
            mean_signed: signed / images as f64,
            mean_relative: (with_objects > 0).then(|| relative / with_objects as f64),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_counts() {
        let bbox = [0.0, 0.0, 1.0, 1.0];
        let truth = |image, class, crowd| Truth {
            image,
            class,
            bbox,
            area: 1.0,
            crowd,
        };
        let found = |image, class, score| Detection {
            image,
            class,
            score,
            bbox,
        };
        let truths = [
            truth(0, 0, false),
            truth(0, 0, false),
            truth(0, 1, false),
            truth(2, 0, true),
        ];
        let detections = [
            found(0, 0, 0.9),
            found(0, 0, 0.2),
            found(1, 0, 0.5),
            found(2, 0, 0.9),
        ];
        let error = |class, weights: &[u32]| {
            let counting = Counting::new(3, 2, &truths, &detections, class, 0.5).unwrap();
            counting.error(weights)
        };
        let expected = CountingError {
            images: 2,
            mean_absolute: 1.0,
            mean_signed: 0.0,
            mean_relative: Some(0.5),
        };
        assert_eq!(error(Some(0), &[1; 3]), Some(expected));
        let all = error(None, &[1; 3]).unwrap();
        assert_eq!((all.mean_absolute, all.mean_relative), (1.5, Some(2.0 / 3.0)));
        assert_eq!(error(Some(0), &[0, 1, 1]).unwrap().mean_relative, None);
        assert_eq!(error(Some(0), &[0, 0, 1]), None, "a crowd is not counted");
    }
}
