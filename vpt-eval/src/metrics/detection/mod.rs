//! Detection: boxes with scores against true boxes, as pure functions over arrays.
//!
//! | number | where |
//! |---|---|
//! | COCO AP and AR, by IoU, by size, per class | [`CocoMatches`] |
//! | precision–recall and F1–confidence curves at IoU 0.5 | [`ScoreCurve`] |
//! | sensitivity against false positives per image | [`Froc`] |
//! | objects counted per image | [`Counting`] |
//! | healthy or not, from boxes | [`Anomaly`] |
//!
//! # Degenerate input
//! | input | answer |
//! |---|---|
//! | a score, coordinate or area that is NaN or infinite, a box that ends before it starts, an image or class that does not exist | an error that names the box: nothing is computed |
//! | a class without truth | its numbers are `None`, and it is left out of means; its detections count nowhere |
//! | a class with truth and without detections | AP and AR 0 |
//! | an area range without truth | `None` |
//! | no image, or all weights 0 | `None` |
//! | tied scores | AP: the order of the images, then that of the detections (pycocotools' stable sort); curves: one step |
//! | a crowd (COCO's `iscrowd`) | need not be found; a detection inside it is neither right nor wrong |
//! | more than 100 detections of a class in an image | the 100 of highest score count in AP, AR and [`ScoreCurve`] |
//!
//! Weights count image `i` `weights[i]` times, as everywhere in [`metrics`](crate::metrics).

mod anomaly;
mod average_precision;
mod coco;
mod counting;
mod froc;
mod iou;
mod matching;
mod score_curve;

pub use anomaly::Anomaly;
pub use coco::{ClassAp, Coco, CocoMatches};
pub use counting::{Counting, CountingError};
pub use froc::{FP_PER_IMAGE, Froc, FrocPoint, HitRule};
pub use iou::{iou, overlap};
pub use matching::{AREAS, AreaRange, IOU_THRESHOLDS, MAX_DETECTIONS};
pub use score_curve::{ScoreCurve, ScorePoint};

use crate::EvalError;

/// A true object.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Truth {
    /// Index of the image.
    pub image: usize,
    /// Index of the class.
    pub class: usize,
    /// `[x0, y0, x1, y1]` in pixels.
    pub bbox: [f64; 4],
    /// Area in square pixels that decides about small, medium and large: that of the mask where there is one (COCO's `area`),
    /// else that of the box.
    pub area: f64,
    /// Whether the box holds any number of objects (COCO's `iscrowd`).
    pub crowd: bool,
}

/// A box that a model gives.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Detection {
    /// Index of the image.
    pub image: usize,
    /// Index of the class.
    pub class: usize,
    /// The higher, the surer; any finite number.
    pub score: f64,
    /// `[x0, y0, x1, y1]` in pixels.
    pub bbox: [f64; 4],
}

/// Refuses boxes that no number could be computed from, with the first of them.
///
/// # Errors
/// [`EvalError::Mismatch`] for NaN, infinities, a box that ends before it starts, and images and classes that do not exist.
pub fn check(
    images: usize,
    classes: usize,
    truths: &[Truth],
    detections: &[Detection],
) -> Result<(), EvalError> {
    let of = |what: &str, index: usize, reason: String| EvalError::Mismatch {
        reason: format!("{what} {} of the list {reason}", index + 1),
    };
    for (index, truth) in truths.iter().enumerate() {
        let place = check_place(images, classes, truth.image, truth.class, &truth.bbox);
        place.map_err(|reason| of("true box", index, reason))?;
        if !(truth.area.is_finite() && truth.area >= 0.0) {
            let reason = format!("has area {}, expected a finite number from 0", truth.area);
            return Err(of("true box", index, reason));
        }
    }
    for (index, found) in detections.iter().enumerate() {
        let place = check_place(images, classes, found.image, found.class, &found.bbox);
        place.map_err(|reason| of("detection", index, reason))?;
        if !found.score.is_finite() {
            let reason = format!("has score {}, expected a finite number", found.score);
            return Err(of("detection", index, reason));
        }
    }
    Ok(())
}

fn check_place(
    images: usize,
    classes: usize,
    image: usize,
    class: usize,
    bbox: &[f64; 4],
) -> Result<(), String> {
    // Places are packed into 32 bits.
    let images = images.min(u32::MAX as usize);
    if image >= images {
        return Err(format!("is of image {image}, expected one below {images}"));
    }
    if class >= classes {
        return Err(format!("is of class {class}, expected one below {classes}"));
    }
    let [x0, y0, x1, y1] = *bbox;
    if bbox.iter().any(|x| !x.is_finite()) || x1 < x0 || y1 < y0 {
        return Err(format!(
            "is {bbox:?}, expected finite x0 ≤ x1 and y0 ≤ y1 as [x0, y0, x1, y1]"
        ));
    }
    Ok(())
}

/// Highest score first; equal scores keep their order. Scores have passed [`check`].
fn by_score(a: f64, b: f64) -> std::cmp::Ordering {
    b.partial_cmp(&a).unwrap_or(std::cmp::Ordering::Equal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_box_is_refused_by_name() {
        let truth = Truth {
            image: 0,
            class: 0,
            bbox: [0.0, 0.0, 1.0, 1.0],
            area: 1.0,
            crowd: false,
        };
        let found = Detection {
            image: 0,
            class: 0,
            score: 0.5,
            bbox: [0.0, 0.0, 1.0, 1.0],
        };
        let message = |truth: Truth, found: Detection| {
            let error = check(1, 1, &[truth], &[found]).err();
            error.map_or(String::new(), |error| error.to_string())
        };
        assert_eq!(message(truth, found), "");
        for score in [f64::NAN, f64::INFINITY] {
            let message = message(truth, Detection { score, ..found });
            assert!(
                message.contains("detection 1") && message.contains(&score.to_string()),
                "{message}"
            );
        }
        let bbox = [2.0, 0.0, 1.0, 1.0];
        assert!(message(Truth { bbox, ..truth }, found).contains("true box 1"));
        assert!(message(truth, Detection { class: 1, ..found }).contains("class 1"));
        assert!(message(truth, Detection { image: 1, ..found }).contains("image 1"));
        let area = f64::NAN;
        assert!(message(Truth { area, ..truth }, found).contains("area NaN"));
    }
}
