//! Metrics of images of any number of classes against scikit-learn (`scripts/export_metrics.py`).

#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use ndarray::Array2;
use serde_json::Value;
use vpt_data::{Label, TaskKind};
use vpt_eval::metrics::{self, Scores, per_class, temperature};
use vpt_eval::{Bootstrap, IntervalMethod, Predictions, Results};

const EXACT: f64 = 1e-12;

fn golden() -> Value {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/statistics_expected.json");
    let expected: Value = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    expected["multi_label"].clone()
}

fn predictions(golden: &Value) -> Predictions {
    let rows = golden["logits"].as_array().unwrap();
    let row = |row: &Value| -> Vec<f32> {
        let numbers = row.as_array().unwrap().iter();
        numbers.map(|x| x.as_f64().unwrap() as f32).collect()
    };
    let logits: Vec<f32> = rows.iter().flat_map(row).collect();
    let label = |label: &Value| {
        let classes = label.as_array().unwrap().iter();
        Label::many(classes.map(|class| class.as_u64().unwrap() as usize))
    };
    let labels: Vec<Label> = golden["labels"].as_array().unwrap().iter().map(label).collect();
    let images = labels.len();
    let classes = (0..5).map(|class| format!("finding {class}")).collect();
    let paths = (0..images)
        .map(|image| PathBuf::from(format!("{image}.png")))
        .collect();
    let logits = Array2::from_shape_vec((images, 5), logits).unwrap();
    Predictions::new(classes, paths, labels, logits).unwrap()
}

fn near(name: &str, got: Option<f64>, expected: &Value) {
    match (got, expected.as_f64()) {
        (Some(got), Some(expected)) => assert!((got - expected).abs() < EXACT, "{name}: {got} {expected}"),
        (got, expected) => assert_eq!(got, expected, "{name}"),
    }
}

#[test]
fn metrics_equal_scikit_learn() {
    let golden = golden();
    let predictions = predictions(&golden);
    assert_eq!(predictions.kind, TaskKind::MultiLabel);
    let evaluated = metrics::evaluate(&predictions);
    let expected = golden["metrics"].as_object().unwrap();
    assert_eq!(
        evaluated.keys().collect::<Vec<_>>(),
        expected.keys().collect::<Vec<_>>()
    );
    for (name, expected) in expected {
        near(name, evaluated.get(name).copied(), expected);
    }
    let scores = Scores::of(&predictions);
    let ones = scores.ones();
    let view = scores.view(&ones);
    for class in 0..5 {
        let counts = view.counts();
        let or_zero = |value: Option<f64>| value.or(Some(0.0)); // scikit-learn's zero_division
        near(
            "precision",
            or_zero(counts.precision(class)),
            &golden["precision"][class],
        );
        near("recall", or_zero(counts.recall(class)), &golden["recall"][class]);
        near("f1", or_zero(per_class::f1(counts, class)), &golden["f1"][class]);
        near("auroc", view.areas()[class].auroc, &golden["auroc"][class]);
        near("auprc", view.areas()[class].auprc, &golden["auprc"][class]);
    }
    let fitted = temperature::fit_temperature_of_sets(&predictions.logits, &predictions.labels);
    let expected = golden["temperature"].as_f64().unwrap();
    // SciPy's bounded search is not as exact as Newton's method.
    assert!((fitted.value - expected).abs() < 1e-6, "{fitted:?} {expected}");
}

#[test]
fn weights_equal_repeated_images() {
    let all = predictions(&golden());
    let weights: Vec<u32> = (0..all.len() as u32).map(|image| image * 7 % 4).collect();
    let repeated: Vec<usize> = (0..all.len())
        .flat_map(|image| vec![image; weights[image] as usize])
        .collect();
    let repeated = metrics::evaluate(&all.select(&repeated));
    let scores = Scores::of(&all);
    let view = scores.view(&weights);
    for (name, expected) in repeated {
        let got = (metrics::find(&name).unwrap().compute)(&view).unwrap();
        assert!((got - expected).abs() < EXACT, "{name}: {got} {expected}");
    }
}

#[test]
fn every_number_has_its_interval() {
    let predictions = predictions(&golden());
    let options = Bootstrap {
        resamples: 200,
        ..Bootstrap::default()
    };
    let results = Results::from_predictions(&predictions, &options);
    assert!(results.confusion_matrix.is_empty());
    for (name, metric) in &results.metrics {
        let (low, high) = metric.estimate.interval().unwrap();
        let value = metric.estimate.value.unwrap();
        assert!(low <= value && value <= high, "{name}");
    }
    assert_eq!(
        results.metrics["exact_match"].estimate.ci_method,
        Some(IntervalMethod::Wilson)
    );
    assert_eq!(
        results.per_class[0].recall.ci_method,
        Some(IntervalMethod::Wilson)
    );
    assert_eq!(results.per_class[0].auroc.ci_method, Some(IntervalMethod::Delong));
    assert_eq!(results.per_class[4].auroc.value, None, "a class without an image");
    // Specificity is of the images without the class.
    let row = &results.per_class[1];
    assert_eq!(row.support, 26);
}

/// `roc_auc_score` and `average_precision_score` of a multi-label indicator with `average="micro"`, which have no least number
/// of classes.
#[test]
fn micro_averages_of_few_classes_equal_scikit_learn() {
    let logits = ndarray::array![
        [2.0, -1.0],
        [-0.5, 0.3],
        [0.1, 0.1],
        [1.2, -2.0],
        [-1.0, 1.5],
        [0.4, 0.9]
    ];
    let labels = [
        [true, false],
        [false, false],
        [true, true],
        [false, false],
        [false, true],
        [true, false],
    ];
    for (classes, auroc, auprc) in [
        (2, 0.771_428_571_428_571_5, 0.77),
        (1, 0.777_777_777_777_777_9, 0.805_555_555_555_555_6),
    ] {
        let predictions = Predictions::new(
            (0..classes).map(|class| format!("finding {class}")).collect(),
            (0..6)
                .map(|image| PathBuf::from(format!("{image}.png")))
                .collect(),
            labels
                .iter()
                .map(|row| Label::many((0..classes).filter(|&class| row[class])))
                .collect::<Vec<_>>(),
            logits.slice(ndarray::s![.., ..classes]).to_owned(),
        )
        .unwrap();
        assert_eq!(predictions.kind, TaskKind::MultiLabel);
        let found = metrics::evaluate(&predictions);
        for (name, expected) in [("micro_auroc", auroc), ("micro_auprc", auprc)] {
            assert!(
                (found[name] - expected).abs() < EXACT,
                "{name} of {classes}: {}",
                found[name]
            );
        }
        assert!(
            found.contains_key("auroc") && found.contains_key("auprc"),
            "{found:?}"
        );
    }
    // Two classes that exclude each other are one question, and have one curve.
    assert!(
        !metrics::find("micro_auroc")
            .unwrap()
            .applies_to(TaskKind::Classification, 2)
    );
}
