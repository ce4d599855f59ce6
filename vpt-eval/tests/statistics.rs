//! Operating points, curves, intervals and tests against scikit-learn, SciPy and statsmodels (`scripts/export_metrics.py`).

#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use ndarray::Array2;
use safetensors::SafeTensors;
use serde_json::Value;
use vpt_eval::metrics::operating_points::{self, BinaryCounts, OperatingPoint, operating_points};
use vpt_eval::metrics::{self, Scores, calibration, curves, decision_curve, reliability, temperature};
use vpt_eval::statistics::{self, Draws, Interval, Kind, Sampling};
use vpt_eval::{Bootstrap, NotDefined};

const EXACT: f64 = 1e-9;
const BINARY: [&str; 3] = ["bin_imbalanced", "bin_ties", "bin_anticorrelated"];

struct Golden {
    inputs: Vec<u8>,
    expected: Value,
}

impl Golden {
    fn load() -> Self {
        let folder: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
        let expected = std::fs::read_to_string(folder.join("statistics_expected.json")).unwrap();
        Self {
            inputs: std::fs::read(folder.join("metrics_inputs.safetensors")).unwrap(),
            expected: serde_json::from_str(&expected).unwrap(),
        }
    }

    fn numbers<const N: usize, T>(&self, name: &str, parse: fn([u8; N]) -> T) -> (Vec<usize>, Vec<T>) {
        let file = SafeTensors::deserialize(&self.inputs).unwrap();
        let tensor = file.tensor(name).unwrap();
        let values = tensor
            .data()
            .chunks_exact(N)
            .map(|bytes| parse(bytes.try_into().unwrap()));
        (tensor.shape().to_vec(), values.collect())
    }

    fn classes(&self, set: &str) -> Vec<usize> {
        let labels = self.numbers(&format!("{set}.labels"), i64::from_le_bytes).1;
        labels.into_iter().map(|x| usize::try_from(x).unwrap()).collect()
    }

    fn binary(&self, set: &str) -> (Vec<f64>, Vec<bool>) {
        let scores = self.numbers(&format!("{set}.scores"), f64::from_le_bytes).1;
        (
            scores,
            self.classes(set).iter().map(|&label| label == 1).collect(),
        )
    }

    fn at(&self, pointer: &str) -> &Value {
        self.expected
            .pointer(pointer)
            .unwrap_or_else(|| panic!("no {pointer}"))
    }

    fn list(&self, pointer: &str) -> Vec<f64> {
        let values = self.at(pointer).as_array().unwrap();
        values.iter().map(|value| value.as_f64().unwrap()).collect()
    }

    /// `null` is "not defined", and +∞ for a threshold.
    fn check(&self, pointer: &str, got: Option<f64>, tolerance: f64) {
        match (self.at(pointer).as_f64(), got.filter(|got| got.is_finite())) {
            (Some(expected), Some(got)) => {
                assert!(
                    (got - expected).abs() <= tolerance,
                    "{pointer}: {got}, expected {expected}"
                );
            }
            (expected, got) => assert_eq!(got, expected, "{pointer}"),
        }
    }

    fn check_interval(&self, pointer: &str, got: Result<Interval, NotDefined>) {
        let Interval { low, high } = got.unwrap();
        self.check(&format!("{pointer}/0"), Some(low), EXACT);
        self.check(&format!("{pointer}/1"), Some(high), EXACT);
    }
}

#[test]
fn operating_points_equal_scikit_learn() {
    let golden = Golden::load();
    for set in BINARY {
        let (scores, positive) = golden.binary(set);
        let points = operating_points(&scores, &positive, &vec![1; scores.len()]).unwrap();
        let check = |key: &str, got: f64| {
            golden.check(&format!("/{set}/operating_points/{key}"), Some(got), EXACT);
        };
        for (i, target) in golden
            .list(&format!("/{set}/operating_points/targets"))
            .into_iter()
            .enumerate()
        {
            let threshold = |point: Result<OperatingPoint, NotDefined>| point.unwrap().threshold;
            check(
                &format!("threshold_at_sensitivity/{i}"),
                threshold(operating_points::at_sensitivity(&points, target)),
            );
            check(
                &format!("threshold_at_specificity/{i}"),
                threshold(operating_points::at_specificity(&points, target)),
            );
            check(
                &format!("specificity_at_sensitivity/{i}"),
                operating_points::specificity_at_sensitivity(&points, target).unwrap(),
            );
            check(
                &format!("sensitivity_at_specificity/{i}"),
                operating_points::sensitivity_at_specificity(&points, target).unwrap(),
            );
        }
        let best = operating_points::youden_point(&points).unwrap();
        check("youden_threshold", best.threshold);
        check("youden_j", best.counts.youden().unwrap());
    }
}

#[test]
fn counts_at_a_threshold_equal_scikit_learn_and_statsmodels() {
    let golden = Golden::load();
    for set in BINARY {
        let (scores, positive) = golden.binary(set);
        for i in 0..2 {
            let at = |key: &str| format!("/{set}/at/{i}/{key}");
            let threshold = golden.at(&at("threshold")).as_f64().unwrap();
            let counts = BinaryCounts::at(&scores, &positive, &vec![1; scores.len()], threshold);
            golden.check(&at("f1"), counts.f1(), EXACT);
            golden.check(&at("lr_positive"), counts.lr_positive(), EXACT);
            golden.check(&at("lr_negative"), counts.lr_negative(), EXACT);
            for (name, share) in [
                ("accuracy", counts.accuracy()),
                ("sensitivity", counts.sensitivity()),
                ("specificity", counts.specificity()),
                ("ppv", counts.ppv()),
                ("npv", counts.npv()),
            ] {
                golden.check(&at(&format!("shares/{name}/value")), share.value(), EXACT);
                golden.check_interval(&at(&format!("shares/{name}/wilson_95")), share.wilson(0.95));
                golden.check_interval(&at(&format!("shares/{name}/wilson_99")), share.wilson(0.99));
            }
            let sensitivity = counts.sensitivity().value().unwrap();
            let specificity = counts.specificity().value().unwrap();
            let prevalence = golden.at(&at("prevalence")).as_f64().unwrap();
            let ppv = operating_points::ppv_at_prevalence(sensitivity, specificity, prevalence);
            let npv = operating_points::npv_at_prevalence(sensitivity, specificity, prevalence);
            golden.check(&at("ppv_at_prevalence"), ppv, EXACT);
            golden.check(&at("npv_at_prevalence"), npv, EXACT);
        }
    }
}

#[test]
fn decision_and_reliability_curves_equal_their_definition() {
    let golden = Golden::load();
    for set in BINARY {
        let (scores, positive) = golden.binary(set);
        let weights = vec![1; scores.len()];
        let thresholds = golden.list(&format!("/{set}/decision_curve/thresholds"));
        let curve = decision_curve::decision_curve(&scores, &positive, &weights, &thresholds).unwrap();
        for (i, point) in curve.iter().enumerate() {
            golden.check(
                &format!("/{set}/decision_curve/model/{i}"),
                Some(point.model),
                EXACT,
            );
            let treat_all = format!("/{set}/decision_curve/treat_all/{i}");
            golden.check(&treat_all, Some(point.treat_all), EXACT);
        }
        let bins = reliability::reliability_curve(&scores, &positive, &weights, 10).unwrap();
        for (i, bin) in bins.iter().enumerate() {
            let at = |key: &str| format!("/{set}/reliability/{key}/{i}");
            golden.check(&at("items"), Some(bin.observed.items as f64), 0.0);
            golden.check(&at("hits"), Some(bin.observed.hits as f64), 0.0);
            golden.check(&at("mean_probability"), bin.mean_probability, EXACT);
        }
    }
}

#[test]
fn delong_equals_all_pairs() {
    let golden = Golden::load();
    for set in BINARY {
        let (scores, positive) = golden.binary(set);
        let at = |key: &str| format!("/{set}/{key}");
        let single = statistics::delong(&scores, &positive).unwrap();
        golden.check(&at("delong/auroc"), Some(single.auroc), EXACT);
        golden.check(&at("delong/variance"), Some(single.variance), 1e-12);
        golden.check_interval(&at("delong/interval"), single.interval(0.95));
        golden.check_interval(&at("delong/logit_interval"), single.logit_interval(0.95));

        let other = golden.list(&at("other_scores"));
        let paired = statistics::delong_paired(&scores, &other, &positive).unwrap();
        golden.check(&at("paired_delong/difference"), Some(paired.difference()), EXACT);
        golden.check(&at("paired_delong/covariance"), Some(paired.covariance), 1e-12);
        golden.check(&at("paired_delong/z"), Some(paired.z), EXACT);
        golden.check(&at("paired_delong/p_value"), Some(paired.p_value), EXACT);
        golden.check_interval(&at("paired_delong/interval"), paired.interval(0.95));
    }
}

#[test]
fn averages_and_areas_over_classes_equal_scikit_learn() {
    let golden = Golden::load();
    for set in ["mc7", "mc10_ties", "mc6_absent_and_never_predicted", "mc3_small"] {
        let (shape, values) = golden.numbers(&format!("{set}.logits"), f32::from_le_bytes);
        let logits = Array2::from_shape_vec((shape[0], shape[1]), values).unwrap();
        let labels = golden.classes(set);
        let scores = Scores::new(&logits, &labels);
        let weights = scores.ones();
        for name in ["micro_auroc", "micro_auprc", "aurc", "adaptive_ece"] {
            let value = (metrics::find(name).unwrap().compute)(&scores.view(&weights));
            golden.check(&format!("/{set}/{name}"), value, EXACT);
        }
        let fitted = temperature::fit_temperature(&logits, &labels);
        assert_eq!(fitted.reason, None);
        // A search by values alone finds the minimum to the root of the precision.
        golden.check(&format!("/{set}/temperature"), Some(fitted.value), 1e-6);
        let scaled = logits.mapv(|x| f64::from(x) / fitted.value);
        let loss = |(row, &label): (ndarray::ArrayView1<f64>, &usize)| {
            row.iter().map(|x| x.exp()).sum::<f64>().ln() - row[label]
        };
        let total: f64 = scaled.rows().into_iter().zip(&labels).map(loss).sum();
        golden.check(&format!("/{set}/loss"), Some(total / labels.len() as f64), 1e-10);
    }
}

/// A metric of `n` numbers, weighted by how often each was drawn.
fn mean(values: &[f64], weights: &[u32]) -> f64 {
    let total: u32 = weights.iter().sum();
    let sum: f64 = values.iter().zip(weights).map(|(x, &w)| x * f64::from(w)).sum();
    sum / f64::from(total)
}

#[test]
fn bootstrap_intervals_equal_scipy() {
    let golden = Golden::load();
    let level = 0.95;
    let check = |case: &str, jackknife: &[Vec<f64>]| {
        let value = golden.at(&format!("/bca/{case}/value")).as_f64().unwrap();
        let resampled = golden.list(&format!("/bca/{case}/resampled"));
        let percentile = statistics::percentile(&resampled, level);
        golden.check_interval(&format!("/bca/{case}/percentile"), percentile);
        let bca = statistics::bca(value, &resampled, jackknife, level);
        golden.check_interval(&format!("/bca/{case}/bca"), bca);
    };

    let sample = golden.list("/bca/mean/data/0");
    let draws = Draws::new(sample.len(), &Sampling::Images);
    let left_out = statistics::jackknife(&draws, 1, |weights| vec![mean(&sample, weights)]);
    check("mean", &left_out[0]);

    // Two samples are two strata.
    let (a, b) = (
        golden.list("/bca/difference/data/0"),
        golden.list("/bca/difference/data/1"),
    );
    let strata: Vec<usize> = (0..a.len() + b.len())
        .map(|i| usize::from(i >= a.len()))
        .collect();
    let draws = Draws::new(strata.len(), &Sampling::Stratified(&strata));
    let left_out = statistics::jackknife(&draws, 1, |weights| {
        let (of_a, of_b) = weights.split_at(a.len());
        vec![mean(&a, of_a) - mean(&b, of_b)]
    });
    check("difference", &left_out[0]);
}

#[test]
fn threads_change_no_interval() {
    let golden = Golden::load();
    let (scores, positive) = golden.binary("bin_ties");
    let ranking = curves::Ranking::new(&scores, &positive);
    let groups: Vec<usize> = (0..scores.len()).map(|i| i / 3).collect();
    let classes: Vec<usize> = positive.iter().map(|&p| usize::from(p)).collect();
    let options = Bootstrap {
        resamples: 300,
        ..Bootstrap::default()
    };
    let all = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| {
            [
                Sampling::Images,
                Sampling::Stratified(&classes),
                Sampling::Clustered(&groups),
            ]
            .map(|sampling| {
                let draws = Draws::new(scores.len(), &sampling);
                statistics::interval(Kind::Bca, &draws, &options, |weights| {
                    ranking.areas(weights).auroc
                })
                .unwrap()
            })
        })
    };
    let one = all(1);
    assert_eq!(one, all(4));
    assert!(one[0] != one[1] && one[1] != one[2] && one[0] != one[2]);
}

#[test]
fn ece_is_the_area_between_the_reliability_curve_and_the_diagonal() {
    let golden = Golden::load();
    let (scores, positive) = golden.binary("bin_imbalanced");
    let weights = vec![1; scores.len()];
    let bins = reliability::reliability_curve(&scores, &positive, &weights, calibration::ECE_BINS).unwrap();
    let gap = |bin: &reliability::ReliabilityBin| {
        let observed = bin.observed.value()? - bin.mean_probability?;
        Some(observed.abs() * bin.observed.items as f64 / scores.len() as f64)
    };
    // torchmetrics' value for the positive class, computed in float32.
    let ece: f64 = bins.iter().filter_map(gap).sum();
    assert!((ece - 0.13094375733518973).abs() < 1e-5, "{ece}");
}
