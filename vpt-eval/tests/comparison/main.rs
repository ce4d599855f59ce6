//! A comparison of simulated runs, and the reports made of it.
//!
//! `VPT_EXAMPLE_PAGES=folder cargo test --release --workspace --test comparison` leaves the pages there to look at.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod page;
mod runs;
#[path = "../web_page/mod.rs"]
mod web_page;

use runs::{comparison, few_shot_runs, full_comparison, runs};
use vpt_eval::{Bootstrap, Comparison, EvalError, Results, RunSummary, few_shot};

#[test]
fn rows_hold_means_differences_and_verdicts() {
    let comparison = comparison();
    let names: Vec<&str> = comparison.rows.iter().map(|row| row.method.as_str()).collect();
    assert_eq!(names, ["vpt-deep", "vpt-shallow", "linear", "full"]);
    let [deep, _, linear, full] = &comparison.rows[..] else {
        panic!("four rows")
    };

    assert_eq!(full.difference, None);
    assert_eq!(full.seeds, [1, 2, 3]);
    let mean = full.score_per_seed.iter().sum::<f64>() / 3.0;
    assert!((full.score.value.unwrap() - mean).abs() < 1e-12);
    let (low, high) = linear.difference.unwrap().interval().unwrap();
    let difference = linear.score.value.unwrap() - mean;
    assert!((linear.difference.unwrap().value.unwrap() - difference).abs() < 1e-12);
    assert!(low < difference && difference < high && high < 0.0);
    assert!(
        linear.verdict.starts_with("full fine-tuning is better by "),
        "{}",
        linear.verdict
    );
    assert!(
        deep.verdict
            .starts_with("no difference this test set could show: "),
        "{}",
        deep.verdict
    );
    assert!(
        deep.verdict.contains(" would have shown; ")
            && deep.verdict.ends_with("; the prompt file is 220 times smaller"),
        "{}",
        deep.verdict
    );
    assert_eq!(full.train_seconds, Some(66.0));
    assert!((deep.tuned_percent.unwrap() - 0.4355).abs() < 1e-3);
}

#[test]
fn a_paired_difference_is_narrower_than_two_intervals() {
    let comparison = comparison();
    let width = |estimate: &vpt_eval::Estimate| estimate.interval().map(|(low, high)| high - low).unwrap();
    let [deep, .., full] = &comparison.rows[..] else {
        panic!("four rows")
    };
    let unpaired = width(&deep.score).hypot(width(&full.score));
    assert!(width(&deep.difference.unwrap()) < 0.8 * unpaired);
}

#[test]
fn json_round_trip() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("comparison.json");
    full_comparison().save(&path).unwrap();
    let loaded = Comparison::load(&path).unwrap();
    let read: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    assert_eq!(serde_json::to_value(&loaded).unwrap(), read);
    assert!(
        Results::load(&path)
            .unwrap_err()
            .to_string()
            .contains("vpt-comparison/1")
    );
}

#[test]
fn runs_on_other_images_are_refused() {
    let mut runs = runs();
    runs[4].predictions.paths[17] = "elsewhere.png".into();
    let error = Comparison::new(&runs, "full").unwrap_err();
    assert!(matches!(error, EvalError::NotPaired { .. }));
    assert!(
        error.to_string().contains("`test/17.png` and `elsewhere.png`"),
        "{error}"
    );
}

#[test]
fn impossible_questions_are_refused() {
    let error = Comparison::new(&runs(), "lora").unwrap_err().to_string();
    assert!(
        error.contains("`lora`") && error.contains("`vpt-deep`, `vpt-shallow`"),
        "{error}"
    );
    let options = Bootstrap::default();
    assert!(matches!(
        Comparison::with_metric(&runs(), "full", "f2", &options),
        Err(EvalError::UnknownMetric { .. })
    ));
    assert!(matches!(
        Comparison::with_metric(&runs(), "full", "sensitivity", &options),
        Err(EvalError::Undefined { .. })
    ));
    assert!(matches!(Comparison::new(&[], "full"), Err(EvalError::NoImages)));
}

#[test]
fn one_seed_says_so() {
    let one: Vec<RunSummary> = runs().into_iter().filter(|run| run.seed == 1).collect();
    let comparison = Comparison::new(&one, "full").unwrap();
    assert!(
        comparison.notes[0].contains("one seed"),
        "{}",
        comparison.notes[0]
    );
    let three = self::comparison();
    assert!(!three.notes[0].contains("one seed"));
}

#[test]
fn every_pair_is_tested_once() {
    let comparison = comparison();
    let pairs = &comparison.pairs;
    assert_eq!(pairs.len(), 6);
    let deep_full = pairs
        .iter()
        .find(|pair| (&*pair.a, &*pair.b) == ("vpt-deep", "full"))
        .unwrap();
    assert_eq!(Some(deep_full.difference), comparison.rows[0].difference);
    for pair in pairs {
        let (p, holm) = (pair.p_value.unwrap(), pair.p_holm.unwrap());
        let (low, high) = pair.difference.interval().unwrap();
        assert!(p <= holm && holm <= 1.0);
        assert_eq!(p < 0.05, low > 0.0 || high < 0.0, "p and interval agree");
        // The quantiles for 80 % power are added to those of the interval: few seeds make both larger.
        let ratio = pair.detectable.unwrap() / ((high - low) / 2.0);
        assert!((1.24..1.45).contains(&ratio), "{ratio}");
        let tests = pair.mcnemar.as_ref().unwrap();
        assert_eq!(
            tests.seeds.iter().map(|test| test.seed).collect::<Vec<_>>(),
            [1, 2, 3]
        );
        assert!(pair.verdict.contains("points"), "{}", pair.verdict);
    }
    let [seed, ..] = &deep_full.mcnemar.as_ref().unwrap().seeds[..] else {
        panic!("three seeds")
    };
    let runs = runs();
    let right = |run: &RunSummary| {
        let labels = run.predictions.labels.iter().map(|label| label.class().unwrap());
        run.predictions
            .top1()
            .into_iter()
            .zip(labels)
            .map(|(pred, label)| pred == label)
            .collect::<Vec<_>>()
    };
    let (deep, full) = (right(&runs[0]), right(&runs[9]));
    let only = |a: &[bool], b: &[bool]| a.iter().zip(b).filter(|(a, b)| **a && !**b).count() as u64;
    assert_eq!(
        (seed.test.a_better, seed.test.b_better),
        (only(&deep, &full), only(&full, &deep))
    );
}

#[test]
fn mcnemar_is_left_out_where_it_does_not_hold() {
    let with = |metric: &str, groups: bool| {
        let mut runs = runs();
        for run in runs.iter_mut().filter(|_| groups) {
            run.predictions.groups = (0..run.predictions.len())
                .map(|i| Some((i / 2).to_string()))
                .collect();
        }
        let options = Bootstrap {
            resamples: 200,
            ..Bootstrap::default()
        };
        Comparison::with_metric(&runs, "full", metric, &options).unwrap()
    };
    let areas = with("auroc", false);
    assert!(
        areas
            .pairs
            .iter()
            .all(|pair| pair.mcnemar.is_none() && pair.p_value.is_some())
    );
    let patients = with("top1", true);
    assert!(
        patients
            .pairs
            .iter()
            .all(|pair| pair.mcnemar.is_none() && pair.p_value.is_some())
    );
    assert!(patients.notes[1].contains("patient"), "{:?}", patients.notes);
    assert!(
        with("top1", false)
            .pairs
            .iter()
            .all(|pair| pair.mcnemar.is_some())
    );
}

#[test]
fn older_documents_are_read() {
    let mut json = serde_json::to_value(comparison()).unwrap();
    json.as_object_mut().unwrap().remove("pairs");
    for row in json["rows"].as_array_mut().unwrap() {
        row.as_object_mut().unwrap().remove("costs");
    }
    let read: Comparison = serde_json::from_value(json).unwrap();
    assert!(read.pairs.is_empty() && read.search.is_empty() && read.rows[0].forgetting.is_none());
}

#[test]
fn few_shot_curves_pair_the_draws() {
    let options = Bootstrap {
        resamples: 200,
        ..Bootstrap::default()
    };
    let (curves, crossings) = few_shot(&few_shot_runs(), "full", "top1", &options).unwrap();
    let names: Vec<&str> = curves.iter().map(|curve| curve.method.as_str()).collect();
    assert_eq!(names, ["vpt-deep", "linear", "full"]);
    for curve in &curves {
        let shots: Vec<Option<usize>> = curve.points.iter().map(|point| point.shots).collect();
        assert_eq!(shots, [Some(1), Some(2), Some(4), Some(8), Some(16), None]);
        for point in &curve.points {
            assert_eq!(point.scores.len(), 3);
            let (low, high) = point.score.interval().unwrap();
            assert!(low < point.score.value.unwrap() && point.score.value.unwrap() < high);
            assert_eq!(point.difference.is_none(), curve.method == "full");
        }
    }
    assert_eq!(crossings.len(), 2, "{crossings:?}");
    assert!(
        crossings
            .iter()
            .all(|crossing| crossing.baseline == "full" && !crossing.overtakes)
    );
    assert!(matches!(
        few_shot(&few_shot_runs(), "lora", "top1", &options),
        Err(EvalError::NoBaseline { .. })
    ));
    assert!(matches!(
        few_shot(&[], "full", "top1", &options),
        Err(EvalError::NoImages)
    ));
}
