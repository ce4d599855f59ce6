//! Segmentation metrics against the project's golden set and SciPy (`tests/fixtures`, `scripts/export_dense_metrics.py`).

#![allow(clippy::unwrap_used)]

use std::path::Path;

use ndarray::{Array2, array};
use serde_json::Value;
use vpt_eval::metrics::segmentation::{
    IGNORED, ImageMasks, SegmentationScores, contour_scores, dice, frequency_weighted_iou, iou,
    mean_class_accuracy, mean_dice, mean_iou, pixel_accuracy,
};

const EXACT: f64 = 1e-12;

fn fixture(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(name);
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// Digits are classes, a point is an ignored pixel.
fn mask(size: &Value, text: &Value) -> Array2<u8> {
    let [height, width] = [0, 1].map(|i| usize::try_from(size[i].as_u64().unwrap()).unwrap());
    let pixel = |byte: u8| if byte == b'.' { 255 } else { byte - b'0' };
    let pixels = text.as_str().unwrap().bytes().map(pixel).collect();
    Array2::from_shape_vec((height, width), pixels).unwrap()
}

fn check(what: &str, got: Option<f64>, expected: &Value) {
    match (got, expected.as_f64()) {
        (Some(got), Some(expected)) => {
            assert!((got - expected).abs() <= EXACT, "{what}: {got} {expected}");
        }
        (got, expected) => assert_eq!(got, expected, "{what}"),
    }
}

fn golden(set: &Value, tolerance: Option<f64>) -> SegmentationScores {
    let rows = set["expected"]["confusion_matrix_rows_true"].as_array().unwrap();
    let images = set["labels"]
        .as_array()
        .unwrap()
        .iter()
        .zip(set["preds"].as_array().unwrap());
    let images = images.map(|(truth, pred)| {
        let (truth, pred) = (mask(&set["size"], truth), mask(&set["size"], pred));
        ImageMasks::new(&truth.view(), &pred.view(), rows.len(), IGNORED, tolerance).unwrap()
    });
    SegmentationScores::new(rows.len(), images.collect())
}

#[test]
fn overlap_equals_the_golden_set() {
    for (name, set) in fixture("segmentation.json").as_object().unwrap() {
        let scores = golden(set, None);
        let expected = &set["expected"];
        for ((truth, pred), &pixels) in scores.confusion().indexed_iter() {
            assert_eq!(
                expected["confusion_matrix_rows_true"][truth][pred].as_u64(),
                Some(pixels),
                "{name}"
            );
        }
        let counts = scores.counts(&scores.ones());
        for class in 0..scores.num_classes() {
            check("iou", iou(&counts, class), &expected["per_class_iou"][class]);
            check("dice", dice(&counts, class), &expected["per_class_dice"][class]);
        }
        check("miou", mean_iou(&counts), &expected["miou_present"]);
        check("dice", mean_dice(&counts), &expected["mean_dice_present"]);
        check("accuracy", pixel_accuracy(&counts), &expected["pixel_accuracy"]);
        check(
            "classes",
            mean_class_accuracy(&counts),
            &expected["mean_class_accuracy"],
        );
        check("fw_iou", frequency_weighted_iou(&counts), &expected["fw_iou"]);
    }
}

#[test]
fn contours_equal_scipy() {
    let mut seen = [0, 0];
    for case in fixture("contours.json").as_array().unwrap() {
        let (truth, pred) = (
            mask(&case["size"], &case["truth"]),
            mask(&case["size"], &case["pred"]),
        );
        let classes = usize::try_from(case["classes"].as_u64().unwrap()).unwrap();
        let tolerance = case["tolerance"].as_f64().unwrap();
        let scores = contour_scores(&truth.view(), &pred.view(), classes, IGNORED, tolerance);
        for (class, scores) in scores.iter().enumerate() {
            check("boundary F1", scores.boundary_f1, &case["boundary_f1"][class]);
            check("hausdorff 95", scores.hausdorff95, &case["hausdorff95"][class]);
            seen[0] += usize::from(scores.hausdorff95.is_some());
            seen[1] += usize::from(scores.one_sided);
        }
    }
    assert!(seen[0] > 8 && seen[1] > 0, "{seen:?}");
}

#[test]
fn what_is_no_mask_is_refused() {
    let truth: Array2<u8> = array![[0, 1], [255, 0]];
    let message = |pred: Array2<u8>| {
        let masks = ImageMasks::new(&truth.view(), &pred.view(), 2, IGNORED, None);
        masks.err().map_or(String::new(), |error| error.to_string())
    };
    assert_eq!(
        message(array![[0, 1], [9, 0]]),
        "",
        "nothing is read where truth is ignored"
    );
    assert!(message(array![[0, 7], [0, 0]]).contains("index 7 at x 1, y 0"));
    assert!(message(array![[0, 1, 0], [0, 0, 0]]).contains("3 × 2 pixels, expected 2 × 2"));
    let empty = SegmentationScores::new(2, Vec::new());
    let counts = empty.counts(&[]);
    assert_eq!((mean_iou(&counts), pixel_accuracy(&counts)), (None, None));
}
