//! Detection metrics against pycocotools (`tests/fixtures`: the project's golden sets, and random ones by
//! `scripts/export_dense_metrics.py`), and what must hold for any boxes.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::collections::BTreeMap;
use std::path::Path;

use proptest::prelude::*;
use serde_json::Value;
use vpt_eval::Bootstrap;
use vpt_eval::bootstrap::half_sample_estimates;
use vpt_eval::metrics::detection::{
    Coco, CocoMatches, Detection, FP_PER_IMAGE, Froc, HitRule, ScoreCurve, Truth,
};
use vpt_eval::statistics::{Draws, Sampling, Scale};

/// pycocotools computes in float64; sums are in another order.
const EXACT: f64 = 1e-12;

fn fixture(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(name);
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap()
}

fn index(value: &Value) -> usize {
    usize::try_from(value.as_u64().unwrap()).unwrap()
}

/// COCO's x, y, width, height as corners.
fn corners(values: &[Value]) -> [f64; 4] {
    let [x, y, w, h] = [0, 1, 2, 3].map(|i| number(&values[i]));
    [x, y, x + w, y + h]
}

struct Golden {
    images: usize,
    classes: usize,
    truths: Vec<Truth>,
    detections: Vec<Detection>,
    expected: Value,
}

impl Golden {
    fn of_coco(name: &str) -> Self {
        let document = fixture(name);
        let places = |key: &str| -> BTreeMap<u64, usize> {
            let ids = document["gt"][key].as_array().unwrap().iter();
            let sorted: std::collections::BTreeSet<u64> =
                ids.map(|row| row["id"].as_u64().unwrap()).collect();
            sorted.into_iter().zip(0..).collect()
        };
        let (images, classes) = (places("images"), places("categories"));
        let place = |row: &Value| {
            (
                images[&row["image_id"].as_u64().unwrap()],
                classes[&row["category_id"].as_u64().unwrap()],
                corners(row["bbox"].as_array().unwrap()),
            )
        };
        let truth = |row: &Value| {
            let (image, class, bbox) = place(row);
            Truth {
                image,
                class,
                bbox,
                area: number(&row["area"]),
                crowd: row["iscrowd"] == 1,
            }
        };
        let found = |row: &Value| {
            let (image, class, bbox) = place(row);
            Detection {
                image,
                class,
                score: number(&row["score"]),
                bbox,
            }
        };
        Self {
            images: images.len(),
            classes: classes.len(),
            truths: document["gt"]["annotations"]
                .as_array()
                .unwrap()
                .iter()
                .map(truth)
                .collect(),
            detections: document["dt"].as_array().unwrap().iter().map(found).collect(),
            expected: document["expected"].clone(),
        }
    }

    fn random() -> Vec<Self> {
        let truth = |row: &Value| {
            let row = row.as_array().unwrap();
            Truth {
                image: index(&row[0]),
                class: index(&row[1]),
                bbox: corners(&row[2..6]),
                area: number(&row[6]),
                crowd: row[7].as_bool().unwrap(),
            }
        };
        let found = |row: &Value| {
            let row = row.as_array().unwrap();
            Detection {
                image: index(&row[0]),
                class: index(&row[1]),
                bbox: corners(&row[2..6]),
                score: number(&row[6]),
            }
        };
        let set = |set: &Value| Self {
            images: index(&set["images"]),
            classes: index(&set["classes"]),
            truths: set["truths"].as_array().unwrap().iter().map(truth).collect(),
            detections: set["detections"].as_array().unwrap().iter().map(found).collect(),
            expected: set["expected"].clone(),
        };
        fixture("detection_random.json")
            .as_array()
            .unwrap()
            .iter()
            .map(set)
            .collect()
    }

    fn matches(&self) -> CocoMatches {
        CocoMatches::new(self.images, self.classes, &self.truths, &self.detections).unwrap()
    }
}

/// Undefined is `null`, or −1 in pycocotools' own list.
fn check(what: &str, got: Option<f64>, expected: &Value) -> f64 {
    match (got, expected.as_f64().filter(|&x| x != -1.0)) {
        (Some(got), Some(expected)) => {
            let error = (got - expected).abs();
            assert!(error <= EXACT, "{what}: {got}, expected {expected}");
            error
        }
        (got, expected) => {
            assert_eq!(got, expected, "{what}");
            0.0
        }
    }
}

const STATS: [&str; 12] = [
    "AP",
    "AP50",
    "AP75",
    "AP_small",
    "AP_medium",
    "AP_large",
    "AR_max1",
    "AR_max10",
    "AR_max100",
    "AR_small",
    "AR_medium",
    "AR_large",
];

fn stats(coco: &Coco) -> [Option<f64>; 12] {
    [
        coco.ap,
        coco.ap50,
        coco.ap75,
        coco.ap_small,
        coco.ap_medium,
        coco.ap_large,
        coco.ar1,
        coco.ar10,
        coco.ar100,
        coco.ar_small,
        coco.ar_medium,
        coco.ar_large,
    ]
}

#[test]
fn golden_sets_equal_pycocotools() {
    let mut worst = 0.0_f64;
    for name in ["detection_main.json", "detection_unused_category.json"] {
        let golden = Golden::of_coco(name);
        let matches = golden.matches();
        let coco = matches.evaluate(&matches.ones());
        let expected = &golden.expected;
        for (key, got) in STATS.iter().zip(stats(&coco)) {
            worst = worst.max(check(key, got, &expected["stats"][key]));
        }
        for (class, got) in coco.per_class.iter().enumerate() {
            let row = &expected["per_category"][(class + 1).to_string()];
            let got = |value: fn(&vpt_eval::metrics::detection::ClassAp) -> f64| got.as_ref().map(value);
            worst = worst.max(check("AP of a class", got(|class| class.ap), &row["AP"]));
            worst = worst.max(check("AP50 of a class", got(|class| class.ap50), &row["AP50"]));
            worst = worst.max(check("AP75 of a class", got(|class| class.ap75), &row["AP75"]));
            worst = worst.max(check(
                "AR of a class",
                got(|class| class.ar100),
                &row["AR_max100"],
            ));
        }
        for (t, got) in coco.ap_per_iou.iter().enumerate() {
            let key = format!("{:.2}", 0.5 + 0.05 * t as f64);
            worst = worst.max(check(&key, *got, &expected["AP_per_iou"][&key]));
        }
    }
    println!("largest error: {worst:e}");
}

#[test]
fn random_sets_and_their_resamples_equal_pycocotools() {
    let (mut worst, mut seen) = (0.0_f64, 0);
    for golden in Golden::random() {
        let matches = golden.matches();
        for expected in golden.expected.as_array().unwrap() {
            let weights: Vec<u32> = expected["weights"]
                .as_array()
                .unwrap()
                .iter()
                .map(|w| index(w) as u32)
                .collect();
            let coco = matches.evaluate(&weights);
            for ((key, got), expected) in STATS
                .iter()
                .zip(stats(&coco))
                .zip(expected["stats"].as_array().unwrap())
            {
                worst = worst.max(check(key, got, expected));
            }
            for (class, got) in coco.per_class.iter().enumerate() {
                worst = worst.max(check(
                    "class",
                    got.map(|class| class.ap),
                    &expected["per_class_ap"][class],
                ));
                worst = worst.max(check(
                    "class",
                    got.map(|class| class.ar100),
                    &expected["per_class_ar100"][class],
                ));
            }
            for (t, got) in coco.ap_per_iou.iter().enumerate() {
                worst = worst.max(check("IoU", *got, &expected["ap_per_iou"][t]));
            }
            seen += 1;
        }
    }
    assert_eq!(seen, 4 + 1 + 2);
    println!("largest error: {worst:e}");
}

#[test]
fn intervals_hold_their_values_and_depend_on_the_seed_alone() {
    let golden = Golden::of_coco("detection_main.json");
    let matches = golden.matches();
    let draws = Draws::new(golden.images, &Sampling::Images);
    let options = Bootstrap {
        resamples: 200,
        ..Bootstrap::default()
    };
    let values = |weights: &[u32]| {
        let coco = matches.evaluate(weights);
        vec![coco.ap, coco.ap50, coco.ap75, coco.ar100]
    };
    let estimates = half_sample_estimates(&draws, &options, &[Scale::Share; 4], values);
    let coco = matches.evaluate(&matches.ones());
    let plain = [coco.ap, coco.ap50, coco.ap75, coco.ar100];
    for (estimate, value) in estimates.iter().zip(plain) {
        assert_eq!(estimate.value, value);
        let (low, high) = estimate.interval().unwrap();
        let value = value.unwrap();
        assert!(
            low < value && value < high && high - low < 0.5,
            "{low} {value} {high}"
        );
    }
    assert_eq!(
        half_sample_estimates(&draws, &options, &[Scale::Share; 4], values),
        estimates
    );
    let other = Bootstrap { seed: 1, ..options };
    assert_ne!(
        half_sample_estimates(&draws, &other, &[Scale::Share; 4], values),
        estimates
    );
}

#[test]
fn the_score_curve_counts_what_coco_matches() {
    let golden = Golden::of_coco("detection_main.json");
    let matches = golden.matches();
    let ones = matches.ones();
    let all = ScoreCurve::new(&matches, None, &ones).unwrap();
    let (mut positives, mut hits) = (0, 0);
    for class in 0..golden.classes {
        let curve = ScoreCurve::new(&matches, Some(class), &ones).unwrap();
        positives += curve.positives;
        hits += curve.points.last().unwrap().hits;
        let best = curve.best().unwrap();
        assert!(curve.points.iter().all(|point| point.f1 <= best.f1 + 1e-12));
        assert_eq!(curve.at(best.score), Some(best));
        for pair in curve.points.windows(2) {
            assert!(pair[0].score > pair[1].score && pair[0].recall <= pair[1].recall);
        }
        assert_eq!(curve.at(2.0), None);
    }
    assert_eq!(
        (all.positives, all.points.last().unwrap().hits),
        (positives, hits)
    );
    assert_eq!(positives, 131, "141 truths, 10 of them crowds");
    let none = CocoMatches::new(2, 1, &[], &golden.detections[..0]).unwrap();
    assert!(ScoreCurve::new(&none, None, &[1, 1]).is_err());
}

/// Truths on a grid that do not touch, and detections near them, of distinct scores.
fn scene() -> impl Strategy<Value = (usize, Vec<Truth>, Vec<Detection>)> {
    let object = (
        0..4_usize,
        0..2_usize,
        prop::bool::weighted(0.1),
        -6..7_i8,
        -6..7_i8,
        0..3_u8,
    );
    prop::collection::vec(object, 1..25)
        .prop_flat_map(|objects| {
            let scores = Just((0..objects.len() * 2).collect::<Vec<_>>()).prop_shuffle();
            (Just(objects), scores)
        })
        .prop_map(|(objects, scores)| {
            let (mut truths, mut detections) = (Vec::new(), Vec::new());
            for (i, (image, class, crowd, dx, dy, copies)) in objects.into_iter().enumerate() {
                let (x, side) = (400.0 * i as f64, 20.0 + 15.0 * i as f64);
                let bbox = [x, 0.0, x + side, side];
                truths.push(Truth {
                    image,
                    class,
                    bbox,
                    area: side * side,
                    crowd,
                });
                for copy in 0..usize::from(copies) {
                    let (dx, dy) = (f64::from(dx) * (copy + 1) as f64, f64::from(dy));
                    detections.push(Detection {
                        image,
                        class,
                        score: scores[2 * i + copy] as f64 / 50.0,
                        bbox: [x + dx, dy, x + dx + side, dy + side],
                    });
                }
            }
            (4, truths, detections)
        })
}

fn coco(images: usize, truths: &[Truth], detections: &[Detection]) -> Coco {
    let matches = CocoMatches::new(images, 2, truths, detections).unwrap();
    matches.evaluate(&matches.ones())
}

proptest! {
    #[test]
    fn only_the_order_of_scores_counts((images, truths, detections) in scene()) {
        let squashed: Vec<Detection> = detections.iter().map(|d| Detection { score: (d.score * 3.0).tanh() - 7.0, ..*d }).collect();
        prop_assert_eq!(coco(images, &truths, &detections), coco(images, &truths, &squashed));
    }

    #[test]
    fn the_order_of_images_and_boxes_counts_for_nothing((images, truths, detections) in scene(), turn in 1..4_usize) {
        let image = |image: usize| (image + turn) % images;
        let mut turned: Vec<Truth> = truths.iter().map(|t| Truth { image: image(t.image), ..*t }).collect();
        let mut found: Vec<Detection> = detections.iter().map(|d| Detection { image: image(d.image), ..*d }).collect();
        turned.reverse();
        found.reverse();
        prop_assert_eq!(coco(images, &truths, &detections), coco(images, &turned, &found));
    }

    #[test]
    fn perfect_detections_give_one((images, truths, _) in scene()) {
        let perfect: Vec<Detection> = truths.iter().map(|t| Detection { image: t.image, class: t.class, score: 0.5, bbox: t.bbox }).collect();
        let coco = coco(images, &truths, &perfect);
        for value in stats(&coco).into_iter().enumerate().filter(|(i, _)| *i != 6).filter_map(|(_, value)| value) {
            prop_assert!((value - 1.0).abs() < 1e-12, "{}", value); // not AR with one detection
        }
        prop_assert_eq!(coco.ap.is_some(), truths.iter().any(|truth| !truth.crowd));
        let froc = Froc::new(images, 2, &truths, &perfect, None, HitRule::CentreInBox).unwrap();
        for sensitivity in froc.sensitivity_at(&FP_PER_IMAGE, &vec![1; images]).into_iter().flatten() {
            prop_assert_eq!(sensitivity, 1.0);
        }
    }

    #[test]
    fn a_duplicate_never_raises_ap((images, truths, detections) in scene(), which in any::<prop::sample::Index>()) {
        prop_assume!(!detections.is_empty());
        let before = coco(images, &truths, &detections);
        let mut more = detections.clone();
        more.push(*which.get(&detections));
        let after = coco(images, &truths, &more);
        for (before, after) in before.per_class.iter().zip(&after.per_class) {
            match (before, after) {
                (Some(before), Some(after)) => prop_assert!(after.ap <= before.ap + 1e-12 && after.ap50 <= before.ap50 + 1e-12),
                _ => prop_assert_eq!(before, after),
            }
        }
    }

    #[test]
    fn weights_are_copies_of_images((images, truths, detections) in scene(), weights in prop::collection::vec(0..4_u32, 4)) {
        let starts: Vec<usize> = (0..images).map(|image| weights[..image].iter().sum::<u32>() as usize).collect();
        let places = |image: usize| (0..weights[image] as usize).map(move |copy| (image, copy));
        let copied: Vec<Truth> = truths.iter().flat_map(|t| places(t.image).map(|(image, copy)| Truth { image: starts[image] + copy, ..*t })).collect();
        let found: Vec<Detection> = detections.iter().flat_map(|d| places(d.image).map(|(image, copy)| Detection { image: starts[image] + copy, ..*d })).collect();
        let total = weights.iter().sum::<u32>() as usize;
        let weighted = CocoMatches::new(images, 2, &truths, &detections).unwrap().evaluate(&weights);
        let copied = coco(total, &copied, &found);
        prop_assert_eq!(stats(&weighted), stats(&copied));
    }
}
