//! Runs that take less memory: blocks computed again, weights in fewer bits, batches that fit.

use vpt_core::{Precision, TaskFile};
use vpt_train::{RunDir, TrainConfig, TrainError};

use crate::bench::{Bench, assert_same_run, backbone, history};

#[test]
fn blocks_that_are_computed_again_train_the_same() {
    let bench = Bench::new();
    for method in ["vpt-deep", "vpt-shallow", "lora", "full"] {
        let kept = TrainConfig {
            grad_accum_steps: 2,
            ..bench.config(method)
        };
        let again = TrainConfig {
            grad_checkpointing: true,
            ..kept.clone()
        };
        let names = [format!("{method}-kept"), format!("{method}-again")];
        bench.run(&names[0], &kept);
        bench.run(&names[1], &again);
        let [kept_rows, again_rows] = names.each_ref().map(|name| history(&bench, name));
        for (a, b) in kept_rows.iter().zip(&again_rows) {
            assert!(
                (a.train_loss - b.train_loss).abs() < 1e-5,
                "{method}: {a:?} {b:?}"
            );
            assert!((a.val_loss - b.val_loss).abs() < 1e-4, "{method}: {a:?} {b:?}");
        }
        let pieces = format!("{method}-pieces");
        bench.run_in_pieces(&pieces, &again, &[1, 3]);
        assert_same_run(&bench, &names[1], &pieces);
    }
}

#[test]
fn weights_in_fewer_bits_train_nearly_the_same() {
    let bench = Bench::new();
    let config = bench.config("vpt-deep");
    bench.run("f32", &config);
    for precision in [Precision::F16, Precision::Bf16, Precision::Int8] {
        let config = TrainConfig {
            precision,
            ..config.clone()
        };
        let name = precision.name();
        bench.run(name, &config);
        let rows = history(&bench, "f32").into_iter().zip(history(&bench, name));
        for (whole, fewer) in rows {
            let apart = (whole.train_loss - fewer.train_loss).abs();
            assert!(apart > 0.0 && apart < 2e-2, "{name}: {whole:?} {fewer:?}");
        }
        // What was learned is in float32, and the settings say how.
        let task = TaskFile::load(&bench.path(name).join(RunDir::BEST)).unwrap();
        assert_eq!(task.metadata.training.args["precision"], name);
        let pieces = format!("{name}-pieces");
        bench.run_in_pieces(&pieces, &config, &[2]);
        assert_same_run(&bench, name, &pieces);
    }
}

#[test]
fn batches_are_made_to_fit_and_steps_stay_what_they_were() {
    let (bench, backbone) = (Bench::new(), backbone());
    let (dataset, config) = (
        bench.dataset(),
        TrainConfig {
            batch_size: 1024,
            ..bench.config("vpt-deep")
        },
    );
    let plan = config.memory_plan(&dataset, &backbone).unwrap();
    assert_eq!(
        plan.images,
        15 * 3 * 40 * 32 + 9 * 3 * 32 * 32,
        "training images as they are decoded, validation images as the model sees them"
    );
    let shrunk = TrainConfig {
        shrink: Some(16),
        ..config.clone()
    };
    let images = shrunk.memory_plan(&dataset, &backbone).unwrap().images;
    assert_eq!(images, 15 * 3 * 20 * 16 + 9 * 3 * 32 * 32, "half of each side");
    let fit = |free: u64| config.clone().with_batch_that_fits(&dataset, &backbone, free);
    let roomy = fit(10 * plan.total()).unwrap();
    assert_eq!(roomy, config, "not more than is usual");
    let tight = fit(plan.total()).unwrap();
    assert!(tight.batch_size < 1024 && tight.batch_size * tight.grad_accum_steps == 1024);
    let needed = tight.memory_plan(&dataset, &backbone).unwrap().total();
    assert!(needed <= plan.total() * 4 / 5, "a part of the memory stays free");
    match fit(1_000_000) {
        Err(error @ TrainError::Setting { .. }) => {
            let text = error.to_string();
            assert!(
                text.contains("--batch-size") && text.contains("--grad-checkpointing"),
                "{text}"
            );
        }
        other => panic!("{other:?}"),
    }
}
