//! What the loop learns: probes, accumulation, early stopping, a loss that is no number, a start from a task file.

use std::sync::atomic::AtomicBool;

use vpt_core::methods::{MethodConfig, MethodOptions};
use vpt_core::{Backbone, TaskFile, VitConfig};
use vpt_data::AugmentConfig;
use vpt_train::{Cache, EndReason, HeadInit, Observer, RunDir, Silent, TrainConfig, TrainError, Trainer};

use crate::bench::{Bench, assert_same_run, backbone, cpu, finished, history};

#[test]
fn a_linear_probe_trains_on_cached_features() {
    let bench = Bench::new();
    let cached = TrainConfig {
        augment: AugmentConfig::none(),
        shuffle: false,
        ..bench.config("linear")
    };
    assert!(cached.features_are_constant());
    bench.run("cached", &cached);
    bench.run_in_pieces("cached-pieces", &cached, &[2, 9]);
    assert_same_run(&bench, "cached", "cached-pieces");
    let images = TrainConfig {
        cache: Cache::Off,
        ..cached
    };
    bench.run("images", &images);
    for (a, b) in history(&bench, "cached").iter().zip(history(&bench, "images")) {
        assert!((a.train_loss - b.train_loss).abs() < 1e-5, "{a:?} {b:?}");
        assert!((a.val_loss - b.val_loss).abs() < 1e-5, "{a:?} {b:?}");
    }
}

#[test]
fn tokens_below_the_learned_blocks_are_kept_where_memory_allows() {
    let bench = Bench::new();
    let backbone = || {
        let config = VitConfig {
            img_size: [32, 32],
            patch_size: [8, 8],
            embed_dim: 32,
            depth: 3,
            num_heads: 2,
            ..VitConfig::default()
        };
        Backbone::random(config, 0, 5)
    };
    let last = MethodOptions {
        num_tokens: 2,
        dropout: 0.1,
        deep_layers: Some(1),
        last: true,
        ..MethodOptions::default()
    };
    for method in ["vpt-deep", "partial-1"] {
        let kept = TrainConfig {
            method: MethodConfig::parse(method, &last).unwrap(),
            augment: AugmentConfig::none(),
            ..bench.config(method)
        };
        let anew = TrainConfig {
            cache: Cache::Off,
            ..kept.clone()
        };
        let too_little = TrainConfig {
            cache_mb: Some(0),
            ..kept.clone()
        };
        let on_disk = TrainConfig {
            cache: Cache::Disk,
            ..kept.clone()
        };
        for (name, config, note) in [
            ("kept", &kept, Some("is computed once")),
            ("anew", &anew, None),
            ("too-little", &too_little, Some("--cache-mb 0")),
            ("on-disk", &on_disk, Some("is computed once")),
        ] {
            let mut notes = Notes::default();
            let run = bench.run_dir(&format!("{method}-{name}"));
            let trainer = Trainer::new(config.clone(), bench.dataset(), backbone(), cpu(), run).unwrap();
            trainer.fit(&mut notes, &AtomicBool::new(false)).unwrap();
            let about = notes.0.iter().find(|note| note.contains("first 2 blocks"));
            match note {
                Some(words) => assert!(
                    about.is_some_and(|note| note.contains(words)),
                    "{name}: {:?}",
                    notes.0
                ),
                None => assert!(about.is_none(), "{name}: {:?}", notes.0),
            }
        }
        for name in ["anew", "too-little", "on-disk"] {
            let (kept, other) = (format!("{method}-kept"), format!("{method}-{name}"));
            assert_eq!(history(&bench, &kept), history(&bench, &other), "{other}");
            assert_eq!(
                TaskFile::load(&bench.path(&kept).join(RunDir::BEST))
                    .unwrap()
                    .tensors,
                TaskFile::load(&bench.path(&other).join(RunDir::BEST))
                    .unwrap()
                    .tensors,
                "{other}"
            );
        }
    }
}

/// What the run had to say.
#[derive(Default)]
struct Notes(Vec<String>);

impl Observer for Notes {
    fn note(&mut self, message: &str) {
        self.0.push(message.to_owned());
    }
}

#[test]
fn a_loss_that_is_no_number_stops_with_advice_and_keeps_the_state() {
    let bench = Bench::new();
    let config = TrainConfig {
        lr: 1e30,
        clip_grad: None,
        head_lr: None,
        head_init: HeadInit::Normal,
        ..bench.config("vpt-deep")
    };
    let error = bench
        .trainer("run", &config)
        .unwrap()
        .fit(&mut Silent, &AtomicBool::new(false))
        .unwrap_err();
    let TrainError::NotFinite { epoch, step, .. } = &error else {
        panic!("{error}")
    };
    assert_eq!(*epoch, 1);
    assert!((2..=4).contains(step), "{error}");
    assert!(error.to_string().contains("epoch 1, step"), "{error}");
    let hint = error.hint().unwrap();
    assert!(hint.contains("--lr") && hint.contains("--clip-grad"), "{hint}");
    assert!(bench.path("run").join(RunDir::STATE).exists());
    assert!(!bench.path("run").join(RunDir::RESULTS).exists());
    bench.resume("run").unwrap();
}

#[test]
fn a_running_mean_is_validated_and_stored_and_leaves_training_as_it_is() {
    let bench = Bench::new();
    let plain = bench.config("vpt-deep");
    let averaged = TrainConfig {
        ema: Some(0.9),
        ..plain.clone()
    };
    bench.run("plain", &plain);
    bench.run("averaged", &averaged);
    for (a, b) in history(&bench, "plain").iter().zip(history(&bench, "averaged")) {
        assert_eq!(a.train_loss, b.train_loss);
        assert_ne!(a.val_loss, b.val_loss);
    }
    let prompts = |run: &str, file: &str| {
        let task = TaskFile::load(&bench.path(run).join(file)).unwrap();
        task.tensors["prompts"].data.clone()
    };
    assert_ne!(prompts("plain", RunDir::LAST), prompts("averaged", RunDir::LAST));
}

#[test]
fn training_stops_early_when_nothing_improves() {
    let bench = Bench::new();
    let config = TrainConfig {
        lr: 1e-30,
        head_lr: None,
        head_init: HeadInit::Normal,
        weight_decay: Some(0.0),
        epochs: 9,
        patience: Some(2),
        ..bench.config("vpt-deep")
    };
    let finished = bench.run("run", &config);
    assert_eq!((finished.best_epoch, finished.reason), (1, EndReason::EarlyStop));
    assert_eq!(history(&bench, "run").len(), 3);
}

#[test]
fn gradient_accumulation_equals_a_large_batch() {
    let bench = Bench::new();
    let plain = |batch_size, grad_accum_steps| {
        let mut config = bench.config("vpt-deep");
        config.method.prompts.as_mut().unwrap().dropout = 0.0;
        TrainConfig {
            batch_size,
            grad_accum_steps,
            shuffle: false,
            augment: AugmentConfig::none(),
            ..config
        }
    };
    let still = Backbone::random(
        VitConfig {
            drop_path: 0.0,
            ..backbone().config
        },
        0,
        5,
    );
    let run = |name: &str, config: TrainConfig| {
        let trainer =
            Trainer::new(config, bench.dataset(), still.clone(), cpu(), bench.run_dir(name)).unwrap();
        finished(trainer.fit(&mut Silent, &AtomicBool::new(false)).unwrap());
        history(&bench, name)
    };
    // 15 images: 12 + 3 either way.
    for (a, b) in run("large", plain(12, 1)).iter().zip(run("small", plain(4, 3))) {
        assert!((a.train_loss - b.train_loss).abs() < 1e-4, "{a:?} {b:?}");
        assert!((a.val_loss - b.val_loss).abs() < 1e-4, "{a:?} {b:?}");
        assert_eq!(a.lr, b.lr);
    }
}

/// Without a step of their own, prompts and a probed head are what a linear probe on the same features would be; a head at
/// random values knows nothing.
#[test]
fn a_probed_head_has_learnt_before_the_first_step() {
    let bench = Bench::with(&[("train", 12), ("val", 12), ("test", 2)]);
    let val_loss = |name: &str, head_init| {
        let config = TrainConfig {
            lr: 1e-30,
            head_lr: None,
            head_init,
            weight_decay: Some(0.0),
            epochs: 1,
            ..bench.config("vpt-deep")
        };
        bench.run(name, &config);
        history(&bench, name)[0].val_loss
    };
    let (normal, probe) = (
        val_loss("normal", HeadInit::Normal),
        val_loss("probe", HeadInit::Probe),
    );
    assert!((normal - 3f64.ln()).abs() < 0.2, "{normal}");
    assert!(probe < 0.8 * normal, "{probe} {normal}");
}

#[test]
fn a_run_can_start_from_a_task_file() {
    let bench = Bench::new();
    let config = bench.config("vpt-deep");
    bench.run("first", &config);
    let best = bench.path("first").join(RunDir::BEST);
    let still = TrainConfig {
        lr: 1e-30,
        head_lr: None,
        head_init: HeadInit::Probe, // which the head of the task file makes unnecessary
        weight_decay: Some(0.0),
        epochs: 1,
        init_from: Some(best),
        ..config
    };
    bench.run("second", &still);
    let metrics = |name: &str| {
        TaskFile::load(&bench.path(name).join(RunDir::BEST))
            .unwrap()
            .metadata
            .metrics
    };
    assert_eq!(metrics("first"), metrics("second"));

    let mut fewer = still.clone();
    fewer.method.prompts.as_mut().unwrap().num_tokens = 1;
    let error = bench
        .trainer("third", &fewer)
        .err()
        .expect("another number of prompts")
        .to_string();
    assert!(
        error.contains("--init-from") && error.contains("prompts"),
        "{error}"
    );
    let linear = TrainConfig {
        init_from: still.init_from,
        ..bench.config("linear")
    };
    let error = bench
        .trainer("fourth", &linear)
        .err()
        .expect("another method")
        .to_string();
    assert!(error.contains("--init-from"), "{error}");
    assert!(!bench.path("fourth").exists(), "nothing is left behind");
}
