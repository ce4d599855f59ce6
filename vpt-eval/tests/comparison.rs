//! A comparison of simulated runs, and the reports made of it.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::PathBuf;

use ndarray::Array2;
use rand::RngExt;
use vpt_eval::{Bootstrap, Comparison, EpochRow, EvalError, Predictions, Results, RunSummary, report};

const IMAGES: usize = 400;

/// Three-class predictions that are right with probability `p`. What makes an image hard is the same for all models
/// (`hardness`), so paired differences are small.
fn predictions(p: f64, seed: u64) -> Predictions {
    let mut hardness = vpt_data::rng::rng(7, &[]);
    let mut noise = vpt_data::rng::rng(seed, &[]);
    let labels: Vec<usize> = (0..IMAGES).map(|i| i % 3).collect();
    let mut logits = Array2::zeros((IMAGES, 3));
    for (i, &label) in labels.iter().enumerate() {
        let hard: f64 = 0.8 * hardness.random::<f64>() + 0.2 * noise.random::<f64>();
        let said = if hard < p { label } else { (label + 1 + i % 2) % 3 };
        logits[[i, said]] = 1.0 + noise.random::<f32>();
    }
    let paths = (0..IMAGES)
        .map(|i| PathBuf::from(format!("test/{i}.png")))
        .collect();
    let classes = ["mild", "moderate & worse", "none"].map(str::to_owned).to_vec();
    Predictions::new(classes, paths, labels, logits).unwrap()
}

fn epochs(p: f64, seed: u64) -> Vec<EpochRow> {
    let mut noise = vpt_data::rng::rng(seed, &[1]);
    let row = |epoch: usize| {
        let rise = 1.0 - (-(epoch as f64) / 8.0).exp();
        let wobble: f64 = 0.03 * (noise.random::<f64>() - 0.5);
        EpochRow {
            epoch,
            seconds: 2.0,
            weight_decay: None,
            lr: 1e-3 * (1.0 - epoch as f64 / 31.0),
            train_loss: 1.1 - 0.9 * rise + wobble,
            val_loss: 1.1 - 0.7 * rise * p + 2.0 * wobble,
            metrics: BTreeMap::from([
                ("top1".to_owned(), 0.33 + (p - 0.33) * rise + wobble),
                ("macro_f1".to_owned(), 0.3 + (p - 0.33) * rise + wobble),
            ]),
            images_per_second: 120.0,
        }
    };
    (1..=30).map(row).collect()
}

fn run(method: &str, p: f64, seed: u64, tuned: usize, bytes: u64) -> RunSummary {
    let predictions = predictions(p, seed * 31 + tuned as u64);
    let results = Results {
        task: "drawn <fundus>".into(),
        model: "demo".into(),
        method: method.into(),
        seed: Some(seed),
        device: Some("cpu (flex)".into()),
        tuned_params: Some(tuned),
        total_params: Some(5_400_000 + tuned),
        task_file_bytes: Some(bytes),
        train_seconds: Some(64.0 + seed as f64),
        train_images_per_second: Some(118.0),
        images_per_second: Some(311.0),
        peak_memory_bytes: Some(734_003_200),
        ..Results::from_predictions(
            &predictions,
            &Bootstrap {
                resamples: 50,
                ..Bootstrap::default()
            },
        )
    };
    let run_dir = PathBuf::from(format!("runs/compare/demo/{method}-{seed}"));
    RunSummary {
        method: method.into(),
        seed,
        results,
        predictions,
        epochs: epochs(p, seed),
        run_dir,
    }
}

fn runs() -> Vec<RunSummary> {
    let methods = [
        ("vpt-deep", 0.83, 23_619, 97_000),
        ("vpt-shallow", 0.74, 2_499, 12_400),
        ("linear", 0.7, 579, 4_700),
        ("full", 0.84, 5_400_000, 21_600_000),
    ];
    methods
        .iter()
        .flat_map(|&(name, p, tuned, bytes)| (1..=3).map(move |seed| run(name, p, seed, tuned, bytes)))
        .collect()
}

fn comparison() -> Comparison {
    let mut comparison = Comparison::new(&runs(), "full").unwrap();
    comparison.commands = vec!["vpt compare --data-dir <folder> --seeds 3".into()];
    comparison
}

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
        deep.verdict.ends_with("; the prompt file is 220 times smaller"),
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
    comparison().save(&path).unwrap();
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
fn what_is_not_known_is_not_invented() {
    let bare = |mut run: RunSummary| {
        run.results = Results {
            method: run.method.clone(),
            ..Results::default()
        };
        run.epochs.clear();
        run
    };
    let comparison = Comparison::new(&runs().into_iter().map(bare).collect::<Vec<_>>(), "linear").unwrap();
    let (html, markdown) = (
        report::comparison_html(&comparison),
        report::comparison_markdown(&comparison),
    );
    assert!(markdown.contains("| – | – | – | – | – | – |"), "{markdown}");
    assert!(!markdown.contains("smaller") && !markdown.contains("larger"));
    assert!(!html.contains("NaN") && !html.contains("against tuned parameters"));
    assert!(markdown.contains("better than the linear probe by"));
}

#[test]
fn reports_are_complete_safe_and_repeatable() {
    let comparison = comparison();
    let (html, markdown) = (
        report::comparison_html(&comparison),
        report::comparison_markdown(&comparison),
    );
    assert_eq!(html, report::comparison_html(&self::comparison()));
    for text in [&html, &markdown] {
        for row in &comparison.rows {
            assert!(text.contains(&row.method));
        }
    }
    assert!(html.replace('\u{a0}', " ").contains(&comparison.rows[2].verdict));
    assert!(
        html.contains("drawn &#60;fundus&#62;") && !html.contains("<fundus>"),
        "names are escaped"
    );
    assert!(
        !html.contains("http://") && !html.contains("https://") && !html.contains("<script"),
        "no network, no script"
    );
    assert_eq!(html.matches("<svg").count(), 2 + comparison.rows.len());
    assert!(!html.contains("NaN") && !html.contains("inf\""));
    let table: Vec<&str> = markdown.lines().filter(|line| line.starts_with('|')).collect();
    assert_eq!(table.len(), 2 + comparison.rows.len());
    assert!(
        table
            .iter()
            .all(|line| line.matches('|').count() == table[0].matches('|').count())
    );

    if let Some(dir) = std::env::var_os("VPT_KEEP_REPORTS").map(PathBuf::from) {
        let predictions = &runs()[0].predictions;
        let matrix = vpt_eval::metrics::confusion::confusion_matrix(
            &predictions
                .labels
                .iter()
                .filter_map(vpt_data::Label::class)
                .collect::<Vec<_>>(),
            &predictions.top1(),
            3,
        );
        std::fs::write(dir.join("comparison.html"), html).unwrap();
        std::fs::write(dir.join("comparison.md"), markdown).unwrap();
        std::fs::write(dir.join("curves.svg"), report::curves_svg(&runs()[0].epochs)).unwrap();
        std::fs::write(
            dir.join("confusion.svg"),
            report::confusion_svg(&matrix, &predictions.classes, false),
        )
        .unwrap();
    }
}
