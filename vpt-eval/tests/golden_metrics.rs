//! Metrics against scikit-learn and torchmetrics (`tests/fixtures`, from the project's golden set).

#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ndarray::Array2;
use safetensors::SafeTensors;
use serde_json::Value;
use vpt_eval::metrics::confusion::{ClassCounts, confusion_matrix};
use vpt_eval::metrics::curves::Ranking;
use vpt_eval::metrics::operating_points::{operating_points, sensitivity_at_specificity, youden_point};
use vpt_eval::metrics::{self, Scores, accuracy, agreement, calibration, per_class};

/// scikit-learn computes in float64.
const EXACT: f64 = 1e-9;
/// torchmetrics' calibration error computes in float32.
const FLOAT32: f64 = 1e-5;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(name)
}

struct Golden {
    inputs: Vec<u8>,
    expected: Value,
    worst: BTreeMap<String, f64>,
}

impl Golden {
    fn load() -> Self {
        let expected = std::fs::read_to_string(fixture("metrics_expected.json")).unwrap();
        Self {
            inputs: std::fs::read(fixture("metrics_inputs.safetensors")).unwrap(),
            expected: serde_json::from_str(&expected).unwrap(),
            worst: BTreeMap::new(),
        }
    }

    fn numbers<const N: usize, T>(&self, name: &str, parse: fn([u8; N]) -> T) -> (Vec<usize>, Vec<T>) {
        let file = SafeTensors::deserialize(&self.inputs).unwrap();
        let tensor = file.tensor(name).unwrap();
        let values = tensor
            .data()
            .chunks_exact(N)
            .map(|bytes| parse(bytes.try_into().unwrap()))
            .collect();
        (tensor.shape().to_vec(), values)
    }

    fn classes(&self, name: &str) -> Vec<usize> {
        self.numbers(name, i64::from_le_bytes)
            .1
            .into_iter()
            .map(|x| usize::try_from(x).unwrap())
            .collect()
    }

    fn logits(&self, set: &str) -> Array2<f32> {
        let (shape, values) = self.numbers(&format!("{set}.logits"), f32::from_le_bytes);
        Array2::from_shape_vec((shape[0], shape[1]), values).unwrap()
    }

    /// Compares with the expected value at a JSON pointer below the set; an undefined value is `null` there.
    fn check(&mut self, set: &str, pointer: &str, got: Option<f64>, tolerance: f64) {
        let expected = self
            .expected
            .pointer(&format!("/{set}/{pointer}"))
            .unwrap_or_else(|| panic!("no {set}/{pointer}"));
        match (expected.as_f64(), got) {
            (Some(expected), Some(got)) => {
                let error = (got - expected).abs();
                assert!(error <= tolerance, "{set}/{pointer}: {got}, expected {expected}");
                let name: Vec<&str> = pointer
                    .split('/')
                    .filter(|part| part.parse::<usize>().is_err())
                    .collect();
                let worst = self.worst.entry(name.join("/")).or_default();
                *worst = worst.max(error);
            }
            (expected, got) => assert_eq!(got, expected, "{set}/{pointer}"),
        }
    }
}

#[test]
fn multiclass_equals_scikit_learn() {
    let mut golden = Golden::load();
    for set in ["mc7", "mc10_ties", "mc6_absent_and_never_predicted", "mc3_small"] {
        let (logits, labels) = (golden.logits(set), golden.classes(&format!("{set}.labels")));
        let classes = logits.ncols();
        let scores = Scores::new(&logits, &labels);
        let weights = scores.ones();
        let view = scores.view(&weights);
        let value = |name: &str| (metrics::find(name).unwrap().compute)(&view);

        golden.check(set, "top1_accuracy", value("top1"), EXACT);
        if classes > 5 {
            golden.check(set, "top5_accuracy", value("top5"), EXACT);
        }
        if classes > 3 {
            let ranks = accuracy::truth_ranks(&logits, &labels);
            golden.check(set, "top3_accuracy", accuracy::top_k(&ranks, &weights, 3), EXACT);
        }
        golden.check(set, "balanced_accuracy", value("balanced_accuracy"), EXACT);
        golden.check(set, "macro/f1", value("macro_f1"), EXACT);
        golden.check(set, "macro_auroc_ovr", value("auroc"), EXACT);
        golden.check(set, "macro_average_precision", value("auprc"), EXACT);
        golden.check(set, "mcc", value("mcc"), EXACT);
        golden.check(set, "cohen_kappa", value("kappa"), EXACT);
        golden.check(set, "cohen_kappa_quadratic", value("qwk"), EXACT);
        golden.check(set, "nll", value("log_loss"), EXACT);
        golden.check(set, "brier_sum_over_classes", value("brier"), EXACT);
        golden.check(set, "ece_15_bins", value("ece"), FLOAT32);
        golden.check(set, "ece_15_bins_float64", value("ece"), EXACT);

        let counts = view.counts();
        for class in 0..classes {
            let at = |table: &str| format!("per_class/{table}/{class}");
            let or_zero = |value: Option<f64>| value.or(Some(0.0)); // scikit-learn's zero_division
            golden.check(set, &at("precision"), or_zero(counts.precision(class)), EXACT);
            golden.check(set, &at("recall"), or_zero(counts.recall(class)), EXACT);
            golden.check(set, &at("f1"), or_zero(per_class::f1(counts, class)), EXACT);
            golden.check(set, &at("support"), Some(counts.actual[class] as f64), 0.0);
            golden.check(
                set,
                &at("specificity"),
                per_class::specificity(counts, class),
                EXACT,
            );
            golden.check(set, &at("auroc_ovr"), view.areas()[class].auroc, EXACT);
            golden.check(set, &at("average_precision"), view.areas()[class].auprc, EXACT);
        }
        for ((truth, pred), &count) in confusion_matrix(&labels, view.preds(), classes).indexed_iter() {
            golden.check(
                set,
                &format!("confusion_matrix_rows_true/{truth}/{pred}"),
                Some(count as f64),
                0.0,
            );
        }
    }
    println!("largest errors: {:#?}", golden.worst);
}

#[test]
fn softmax_equals_float64_softmax() {
    let golden = Golden::load();
    let logits = golden.logits("mc7");
    let expected = golden.numbers("mc7.probs", f64::from_le_bytes).1;
    for (got, expected) in metrics::softmax(&logits).iter().zip(expected) {
        assert!((got - expected).abs() < 1e-15);
    }
}

#[test]
fn binary_equals_scikit_learn() {
    let mut golden = Golden::load();
    for set in ["bin_imbalanced", "bin_ties", "bin_anticorrelated"] {
        let labels = golden.classes(&format!("{set}.labels"));
        let scores = golden.numbers(&format!("{set}.scores"), f64::from_le_bytes).1;
        let preds: Vec<usize> = scores.iter().map(|&score| usize::from(score >= 0.5)).collect();
        let positive: Vec<bool> = labels.iter().map(|&label| label == 1).collect();
        let weights = vec![1; labels.len()];

        let areas = Ranking::new(&scores, &positive).areas(&weights);
        golden.check(set, "auroc", areas.auroc, EXACT);
        golden.check(set, "auprc_average_precision", areas.auprc, EXACT);

        let counts = ClassCounts::new(&labels, &preds, &weights, 2);
        golden.check(
            set,
            "accuracy",
            accuracy::accuracy(&labels, &preds, &weights),
            EXACT,
        );
        golden.check(
            set,
            "balanced_accuracy",
            accuracy::balanced_accuracy(&counts),
            EXACT,
        );
        golden.check(set, "sensitivity", per_class::sensitivity(&counts, 1), EXACT);
        golden.check(set, "specificity", per_class::specificity(&counts, 1), EXACT);
        golden.check(set, "precision", counts.precision(1), EXACT);
        golden.check(set, "npv", counts.precision(0), EXACT);
        golden.check(set, "f1", per_class::f1(&counts, 1), EXACT);
        golden.check(set, "mcc", agreement::mcc(&counts), EXACT);
        golden.check(set, "cohen_kappa", agreement::cohen_kappa(&counts), EXACT);

        let points = operating_points(&scores, &positive, &weights).unwrap();
        let best = youden_point(&points).unwrap();
        golden.check(set, "youden_j", best.counts.youden(), EXACT);
        golden.check(set, "youden_threshold", Some(best.threshold), EXACT);
        golden.check(
            set,
            "sensitivity_at_specificity_0.90",
            sensitivity_at_specificity(&points, 0.9).ok(),
            EXACT,
        );

        // scikit-learn's binary Brier score looks at the positive class only: half of the sum over both.
        let both = scores
            .iter()
            .zip(&labels)
            .map(|(&p, &label)| calibration::brier(&ndarray::aview1(&[1.0 - p, p]), label));
        golden.check(
            set,
            "brier",
            Some(both.sum::<f64>() / labels.len() as f64 / 2.0),
            EXACT,
        );
    }
    println!("largest errors: {:#?}", golden.worst);
}

#[test]
fn kappa_of_grades_equals_scikit_learn() {
    let mut golden = Golden::load();
    for (set, grades) in [("dr5", 5), ("ord4", 4)] {
        let (labels, preds) = (
            golden.classes(&format!("{set}.labels")),
            golden.classes(&format!("{set}.preds")),
        );
        let weights = vec![1; labels.len()];
        let counts = ClassCounts::new(&labels, &preds, &weights, grades);
        golden.check(set, "kappa_none", agreement::cohen_kappa(&counts), EXACT);
        golden.check(
            set,
            "kappa_quadratic",
            agreement::quadratic_kappa(&labels, &preds, &weights, &counts),
            EXACT,
        );
        golden.check(set, "mcc", agreement::mcc(&counts), EXACT);
    }
}
