//! What is interrupted goes on to the same result, and what changed meanwhile is an error.

use std::fs;
use std::sync::atomic::AtomicBool;

use vpt_train::{Opt, Outcome, Resumed, RunDir, TrainConfig, TrainError, Trainer};

use crate::bench::{Bench, StopAfter, assert_same_run, cpu};

#[test]
fn interrupted_and_resumed_equals_uninterrupted() {
    let bench = Bench::new();
    // 15 images in batches of 4: 4 steps an epoch, 12 in all.
    let config = bench.config("vpt-deep");
    bench.run("whole", &config);
    for stops in [&[1][..], &[3], &[4], &[5], &[12], &[2, 3, 4, 8, 11, 12]] {
        let name = format!(
            "stops{}",
            stops.iter().map(|stop| format!("-{stop}")).collect::<String>()
        );
        bench.run_in_pieces(&name, &config, stops);
        assert_same_run(&bench, "whole", &name);
    }
    let other = TrainConfig { seed: 43, ..config };
    bench.run("other", &other);
    assert!(
        bench.read("whole", RunDir::BEST) != bench.read("other", RunDir::BEST),
        "the seed matters"
    );
}

#[test]
fn every_method_and_optimiser_resumes() {
    let bench = Bench::new();
    for (method, opt) in [
        ("full", Opt::AdamW),
        ("bitfit", Opt::Sgd),
        ("partial-1", Opt::AdamW),
        ("vpt-shallow", Opt::Sgd),
        ("vpt-deep+bias", Opt::AdamW),
        ("lora", Opt::AdamW),
        ("adapter", Opt::Sgd),
        ("adaptformer", Opt::AdamW),
        ("ssf", Opt::AdamW),
        ("norm", Opt::AdamW),
        ("mlp-2", Opt::AdamW),
        ("scratch", Opt::AdamW),
    ] {
        let config = TrainConfig {
            opt,
            epochs: 2,
            grad_accum_steps: 3,
            half: method == "partial-1",
            lr: 1e-2,
            patience: Some(5),
            ema: (method == "vpt-deep+bias" || method == "adapter").then_some(0.9),
            ..bench.config(method)
        };
        bench.run(method, &config);
        bench.run_in_pieces(&format!("{method}-pieces"), &config, &[1, 3]);
        assert_same_run(&bench, method, &format!("{method}-pieces"));
    }
}

#[test]
fn what_changed_since_the_start_is_an_error() {
    let bench = Bench::new();
    let config = bench.config("linear");
    let flag = AtomicBool::new(false);
    let outcome = bench
        .trainer("run", &config)
        .unwrap()
        .fit(
            &mut StopAfter {
                steps: 1,
                stop: &flag,
            },
            &flag,
        )
        .unwrap();
    assert!(matches!(outcome, Outcome::Interrupted { epochs: 0, .. }));
    fs::remove_file(bench.images().join("train/class0/0.png")).unwrap();
    let error = bench.resume("run").err().expect("an image is missing");
    assert!(
        matches!(error, TrainError::Changed { what: "data set", .. }),
        "{error}"
    );
    let state = bench.path("run").join(RunDir::STATE);
    let bytes = fs::read(&state).unwrap();
    fs::write(&state, &bytes[..bytes.len() / 2]).unwrap();
    let error = bench.resume("run").err().expect("half a file");
    assert!(error.to_string().contains("state.safetensors"), "{error}");
}

#[test]
fn a_finished_run_has_nothing_left_to_do() {
    let bench = Bench::new();
    let mut config = bench.config("linear");
    config.epochs = 1;
    let finished = bench.run("run", &config);
    let before = bench.read("run", RunDir::RESULTS);
    let Resumed::Finished(results) = Trainer::resume(&bench.path("run"), cpu()).unwrap() else {
        panic!("is finished");
    };
    assert_eq!(results.images, finished.results.images);
    assert!(bench.read("run", RunDir::RESULTS) == before);
    let error = Trainer::resume(&bench.images(), cpu()).err().expect("not a run");
    assert!(matches!(error, TrainError::NotARun { .. }), "{error}");
}
