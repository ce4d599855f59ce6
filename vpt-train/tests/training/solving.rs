//! `--opt lbfgs`: the probe is solved for each strength of the penalty, and resumes like any run.

use vpt_data::AugmentConfig;
use vpt_eval::EpochRow;
use vpt_train::{Opt, RunDir, TrainConfig};

use crate::bench::{Bench, assert_same_run, history};

fn config(bench: &Bench) -> TrainConfig {
    TrainConfig {
        opt: Opt::Lbfgs,
        weight_decay: None,
        epochs: 8,
        augment: AugmentConfig::none(),
        ..bench.config("linear")
    }
}

#[test]
fn each_strength_is_a_row_and_the_seed_does_not_matter() {
    let bench = Bench::new();
    let config = config(&bench);
    let finished = bench.run("whole", &config);
    let rows = history(&bench, "whole");
    let strengths: Vec<f64> = rows.iter().filter_map(|row| row.weight_decay).collect();
    assert_eq!(strengths.len(), 8);
    assert!(
        strengths
            .windows(2)
            .all(|pair| (pair[1] / pair[0] - 0.1).abs() < 1e-9),
        "{strengths:?}"
    );
    let losses: Vec<f64> = rows.iter().map(|row| row.train_loss).collect();
    assert!(
        losses.is_sorted_by(|a, b| a > b),
        "weaker penalties fit better: {losses:?}"
    );
    assert!(losses[0] < 3f64.ln() && losses[7] < 0.01, "{losses:?}");
    let best = rows.iter().max_by(|a, b| {
        a.metrics["top1"]
            .total_cmp(&b.metrics["top1"])
            .then(b.val_loss.total_cmp(&a.val_loss))
    });
    assert_eq!(best.map(|row| row.epoch), Some(finished.best_epoch));

    bench.run_in_pieces("pieces", &config, &[1, 2, 5]);
    assert_same_run(&bench, "whole", "pieces");

    let other = TrainConfig { seed: 7, ..config };
    bench.run("other", &other);
    assert_eq!(history(&bench, "other"), rows);
    assert_eq!(
        bench.read("other", RunDir::PREDICTIONS),
        bench.read("whole", RunDir::PREDICTIONS)
    );
}

#[test]
fn it_is_the_minimum_that_steps_approach() {
    let bench = Bench::new();
    let solved = TrainConfig {
        weight_decay: Some(1e-3),
        epochs: 1,
        ..config(&bench)
    };
    bench.run("solved", &solved);
    // Plain gradient descent adds the decay to the gradient, so that it makes the same function small.
    let stepped = TrainConfig {
        opt: Opt::Sgd,
        lr: 0.1,
        epochs: 300,
        batch_size: 15,
        warmup_epochs: 1.0,
        ..solved
    };
    bench.run("stepped", &stepped);
    let last = |name: &str| -> EpochRow { history(&bench, name).pop().expect("has epochs") };
    let (solved, stepped) = (last("solved"), last("stepped"));
    assert!(
        (solved.train_loss - stepped.train_loss).abs() < 2e-3,
        "{solved:?} {stepped:?}"
    );
    assert!(
        (solved.val_loss - stepped.val_loss).abs() < 2e-3,
        "{solved:?} {stepped:?}"
    );
}
