//! Simulated runs to compare.

use std::collections::BTreeMap;
use std::path::PathBuf;

use ndarray::Array2;
use rand::RngExt;
use vpt_eval::{
    Bootstrap, Comparison, Costs, EpochRow, Estimate, FewShotRun, Forgetting, MethodSearch, Predictions,
    Results, RunSummary, Rung, SourceScore, Trial, TrialEnd, few_shot,
};

const IMAGES: usize = 400;

/// Three-class predictions that are right with probability `p`. What makes an image hard is the same for all models
/// (`hardness`), so paired differences are small.
pub fn predictions(p: f64, seed: u64) -> Predictions {
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

pub fn epochs(p: f64, seed: u64) -> Vec<EpochRow> {
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

pub fn run(method: &str, p: f64, seed: u64, tuned: usize, bytes: u64) -> RunSummary {
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

pub fn runs() -> Vec<RunSummary> {
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

pub fn comparison() -> Comparison {
    let mut comparison = Comparison::new(&runs(), "full").unwrap();
    comparison.commands = vec!["vpt compare --data-dir <folder> --seeds 3".into()];
    comparison
}

/// Runs on drawn parts of the training images: prompts are better with few, full fine-tuning with many.
pub fn few_shot_runs() -> Vec<FewShotRun> {
    let shots = [Some(1), Some(2), Some(4), Some(8), Some(16), None];
    let mut runs = Vec::new();
    for (method, start, gain) in [
        ("vpt-deep", 0.6, 0.045),
        ("linear", 0.58, 0.025),
        ("full", 0.42, 0.085),
    ] {
        for (place, shots) in shots.into_iter().enumerate() {
            for draw in 0..3 {
                let p = start + gain * place as f64 + 0.01 * draw as f64;
                runs.push(FewShotRun {
                    shots,
                    images: shots.map_or(120, |shots| 3 * shots),
                    draw,
                    run: run(method, p, 100 * place as u64 + draw, 500, 4_700),
                });
            }
        }
    }
    runs
}

/// A comparison with everything on it.
pub fn full_comparison() -> Comparison {
    let mut comparison = comparison();
    let estimate = |value: f64, half: f64| Estimate {
        value: Some(value),
        ci_low: Some(value - half),
        ci_high: Some(value + half),
        ..Estimate::default()
    };
    for (i, row) in comparison.rows.iter_mut().enumerate() {
        row.train_seconds = Some([210.0, 180.0, 4.2, 640.0][i]);
        let more = [1.021, 1.3, 1.0, 1.0][i];
        row.costs = Costs {
            search_seconds: Some(1800.0),
            search_trials: Some(12),
            latency_ms: Some(12.3 * more),
            batch_latency_ms: Some(310.0 * more),
            batch: Some(32),
            bare_latency_ms: Some(12.3),
            bare_batch_latency_ms: Some(310.0),
            multiply_adds: Some((1.26e9 * more) as u64),
            bare_multiply_adds: Some(1_260_000_000),
        };
        let full = row.method == "full";
        row.forgetting = Some(Forgetting {
            backbone_unchanged: !full,
            backbone_sha256: "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08".into(),
            source: Some(SourceScore {
                task: "held-out classes of <demo>".into(),
                metric: "top1".into(),
                images: 1200,
                before: estimate(0.91, 0.02),
                after: if full {
                    estimate(0.64, 0.03)
                } else {
                    estimate(0.91, 0.02)
                },
                difference: if full {
                    estimate(-0.27, 0.03)
                } else {
                    Estimate {
                        value: Some(0.0),
                        ..Estimate::default()
                    }
                },
            }),
            cka: full.then_some(0.713),
        });
    }
    let trial = |method: &str, i: usize| {
        let failed = method == "full" && i == 5;
        Trial {
            id: format!("t{i:02}"),
            settings: BTreeMap::from([
                ("optim.lr".to_owned(), format!("{}e-3", i + 1)),
                ("optim.weight_decay".to_owned(), "0.01".to_owned()),
            ]),
            epochs: [12, 3, 6, 3, 6, 3][i],
            seed: 0,
            score: (!failed).then_some(0.8 - 0.02 * i as f64),
            seconds: Some(12.0 * (i + 1) as f64),
            ended: match i {
                0 => TrialEnd::Best,
                2 | 4 => TrialEnd::Promoted,
                _ if failed => TrialEnd::Failed,
                _ => TrialEnd::Stopped,
            },
            reason: failed.then(|| "the loss is not a number in epoch 2: lower `--lr` <or clip>".to_owned()),
        }
    };
    let search = |method: &&str| MethodSearch {
        method: (*method).to_owned(),
        budget: "6 trials".into(),
        metric: "top1".into(),
        rungs: [(3, 6), (6, 3), (12, 1)]
            .map(|(epochs, trials)| Rung { epochs, trials })
            .to_vec(),
        trials: (0..6).map(|i| trial(method, i)).collect(),
    };
    comparison.search = ["vpt-deep", "vpt-shallow", "linear", "full"]
        .iter()
        .map(search)
        .collect();
    let options = Bootstrap {
        resamples: 200,
        ..Bootstrap::default()
    };
    (comparison.few_shot, comparison.few_shot_crossings) =
        few_shot(&few_shot_runs(), "full", "top1", &options).unwrap();
    comparison
}
