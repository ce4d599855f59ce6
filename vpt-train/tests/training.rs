//! Whole runs with tiny models on tiny drawn images.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use image::{Rgb, RgbImage};
use tempfile::TempDir;
use vpt_core::device::SelectedDevice;
use vpt_core::methods::{MethodConfig, PromptOptions};
use vpt_core::{Backbone, TaskFile, VitConfig};
use vpt_data::{AugmentConfig, Dataset, OpenOptions, Split};
use vpt_eval::{EpochRow, PredictOptions, Results, metrics, predict};
use vpt_train::{
    EndReason, Existing, Finished, HeadInit, Observer, Opt, Outcome, Resumed, RunDir, RunPlan, Silent,
    StepInfo, TrainConfig, TrainError, Trainer,
};

/// Three classes that differ in their main colour, by little enough that the first epoch does not settle it.
fn draw(root: &Path, splits: &[(&str, usize)]) {
    for &(split, count) in splits {
        for class in 0..3 {
            let folder = root.join(split).join(format!("class{class}"));
            fs::create_dir_all(&folder).unwrap();
            for index in 0..count {
                let salt = split.len() + 7 * index;
                let image = RgbImage::from_fn(40, 32, |x, y| {
                    let noise = (x as usize * 31 + y as usize * 17 + salt * 101 + class * 13) % 97;
                    let mut pixel = [
                        60 + noise as u8,
                        70 + (noise * 3 % 90) as u8,
                        80 + (noise * 7 % 80) as u8,
                    ];
                    pixel[class] += 40;
                    Rgb(pixel)
                });
                image.save(folder.join(format!("{index}.png"))).unwrap();
            }
        }
    }
}

struct Bench {
    root: TempDir,
}

impl Bench {
    fn new() -> Self {
        Self::with(&[("train", 5), ("val", 3), ("test", 2)])
    }

    fn with(splits: &[(&str, usize)]) -> Self {
        let root = tempfile::tempdir().unwrap();
        draw(&root.path().join("images"), splits);
        Self { root }
    }

    fn images(&self) -> PathBuf {
        self.root.path().join("images")
    }

    fn dataset(&self) -> Dataset {
        Dataset::open(&self.images(), &OpenOptions::default()).unwrap()
    }

    fn config(&self, method: &str) -> TrainConfig {
        let options = PromptOptions {
            num_tokens: 2,
            dropout: 0.1,
            ..PromptOptions::default()
        };
        TrainConfig {
            data_dir: self.images(),
            epochs: 3,
            batch_size: 4,
            warmup_epochs: 1.0,
            workers: 2,
            augment: AugmentConfig {
                mixup: 0.2,
                ..AugmentConfig::default()
            },
            ..TrainConfig::defaults_for(MethodConfig::parse(method, &options).unwrap())
        }
    }

    fn run_dir(&self, name: &str) -> RunDir {
        RunDir::create(&self.root.path().join("runs"), name, Existing::Refuse).unwrap()
    }

    fn trainer(&self, name: &str, config: &TrainConfig) -> Result<Trainer, TrainError> {
        Trainer::new(
            config.clone(),
            self.dataset(),
            backbone(),
            cpu(),
            self.run_dir(name),
        )
    }

    fn resume(&self, name: &str) -> Result<Trainer, TrainError> {
        let run = RunDir::open(&self.path(name)).unwrap();
        Trainer::resume_with(run, self.dataset(), backbone(), cpu())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join("runs/train").join(name)
    }

    fn read(&self, name: &str, file: &str) -> Vec<u8> {
        let path = self.path(name).join(file);
        fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// Trains without a stop.
    fn run(&self, name: &str, config: &TrainConfig) -> Finished {
        finished(
            self.trainer(name, config)
                .unwrap()
                .fit(&mut Silent, &AtomicBool::new(false))
                .unwrap(),
        )
    }

    /// Trains, stopping after each of the steps `stops` (counted over the whole run) and resuming.
    fn run_in_pieces(&self, name: &str, config: &TrainConfig, stops: &[usize]) -> Finished {
        let mut trainer = self.trainer(name, config).unwrap();
        let mut taken = 0;
        for &stop in stops {
            let flag = AtomicBool::new(false);
            let mut observer = StopAfter {
                steps: stop - taken,
                stop: &flag,
            };
            let outcome = trainer.fit(&mut observer, &flag).unwrap();
            assert!(
                matches!(outcome, Outcome::Interrupted { .. }),
                "stop after step {stop}"
            );
            taken = stop;
            trainer = self.resume(name).unwrap();
        }
        finished(trainer.fit(&mut Silent, &AtomicBool::new(false)).unwrap())
    }
}

fn backbone() -> Backbone {
    let config = VitConfig {
        img_size: [32, 32],
        patch_size: [8, 8],
        embed_dim: 32,
        depth: 2,
        num_heads: 2,
        drop_path: 0.2,
        ..VitConfig::default()
    };
    Backbone::random(config, 0, 5)
}

fn cpu() -> SelectedDevice {
    SelectedDevice::cpu()
}

fn finished(outcome: Outcome) -> Finished {
    match outcome {
        Outcome::Finished(finished) => *finished,
        Outcome::Interrupted { epochs, .. } => panic!("interrupted after {epochs} epochs"),
    }
}

struct StopAfter<'a> {
    steps: usize,
    stop: &'a AtomicBool,
}

impl Observer for StopAfter<'_> {
    fn step(&mut self, _step: &StepInfo) {
        self.steps -= 1;
        if self.steps == 0 {
            self.stop.store(true, Ordering::Relaxed);
        }
    }
}

/// `results.csv` without what a clock measured.
fn history(bench: &Bench, name: &str) -> Vec<EpochRow> {
    let rows = EpochRow::load_csv(&bench.path(name).join(RunDir::RESULTS_CSV)).unwrap();
    rows.into_iter()
        .map(|row| EpochRow {
            seconds: 0.0,
            images_per_second: 0.0,
            ..row
        })
        .collect()
}

fn assert_same_run(bench: &Bench, name: &str, other: &str) {
    for file in [
        RunDir::BEST,
        RunDir::LAST,
        RunDir::PREDICTIONS,
        RunDir::CONFUSION,
        RunDir::ARGS,
        RunDir::PREVIEW,
    ] {
        assert!(
            bench.read(name, file) == bench.read(other, file),
            "{file} of {name} and {other}"
        );
    }
    assert_eq!(history(bench, name), history(bench, other));
}

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
    ] {
        let config = TrainConfig {
            opt,
            epochs: 2,
            grad_accum_steps: 3,
            half: method == "partial-1",
            lr: 1e-2,
            patience: Some(5),
            ..bench.config(method)
        };
        bench.run(method, &config);
        bench.run_in_pieces(&format!("{method}-pieces"), &config, &[1, 3]);
        assert_same_run(&bench, method, &format!("{method}-pieces"));
    }
}

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
        cache_features: false,
        ..cached
    };
    bench.run("images", &images);
    for (a, b) in history(&bench, "cached").iter().zip(history(&bench, "images")) {
        assert!((a.train_loss - b.train_loss).abs() < 1e-5, "{a:?} {b:?}");
        assert!((a.val_loss - b.val_loss).abs() < 1e-5, "{a:?} {b:?}");
    }
}

#[test]
fn the_run_folder_is_complete_and_the_task_file_reproduces_its_metrics() {
    for half in [false, true] {
        let bench = Bench::new();
        let config = TrainConfig {
            half,
            ..bench.config("vpt-deep")
        };
        let finished = bench.run("run", &config);
        let run = bench.path("run");
        for file in [
            "args.toml",
            "results.csv",
            "results.json",
            "results.svg",
            "best.safetensors",
            "last.safetensors",
            "state",
            "predictions.csv",
            "confusion_matrix.svg",
            "labels.txt",
            "train_batch0.jpg",
            "log.txt",
        ] {
            assert!(run.join(file).exists(), "{file}");
        }
        assert!(
            !fs::read_dir(&run)
                .unwrap()
                .any(|e| e.unwrap().file_name().to_string_lossy().ends_with(".tmp"))
        );
        assert_eq!(
            fs::read_to_string(run.join("labels.txt")).unwrap(),
            "class0\nclass1\nclass2\n"
        );
        assert_eq!(
            TrainConfig::from_toml(&fs::read_to_string(run.join("args.toml")).unwrap()).unwrap(),
            config
        );

        let results = Results::load(&run.join("results.json")).unwrap();
        assert_eq!(
            (results.split.as_str(), results.images, finished.split),
            ("test", 6, Split::Test)
        );
        assert_eq!(results.best_epoch, Some(finished.best_epoch));
        assert_eq!(results.tuned_params, Some(2 * 2 * 32 + 3 * 32 + 3));
        assert_eq!(
            results.task_file_bytes,
            Some(fs::metadata(run.join("best.safetensors")).unwrap().len())
        );

        let task = TaskFile::load(&run.join("best.safetensors")).unwrap();
        let device = cpu();
        let model = task.apply(&backbone(), &device.device).unwrap();
        let dataset = bench.dataset();
        let options = PredictOptions {
            batch_size: 64,
            workers: 1,
        };
        let preprocess = &task.metadata.preprocess;
        let none = &mut |_, _| {};
        let val = predict(
            &model,
            &dataset.val,
            &dataset.classes,
            preprocess,
            &options,
            &device.device,
            none,
        )
        .unwrap();
        let expected: BTreeMap<String, f64> = metrics::evaluate(&val)
            .into_iter()
            .map(|(name, value)| (format!("val_{name}"), value))
            .collect();
        assert_eq!(task.metadata.metrics, expected, "half: {half}");
        assert_eq!(task.metadata.training.epoch, finished.best_epoch);
        assert_eq!(task.metadata.task.classes, dataset.classes);
    }
}

/// Notes the order of events, and puts the test images in place only once training is over.
struct TestComesLast {
    hidden: PathBuf,
    test: PathBuf,
    events: Vec<String>,
}

impl Observer for TestComesLast {
    fn started(&mut self, plan: &RunPlan) {
        self.events
            .push(format!("started {}", plan.epochs * plan.steps_per_epoch));
    }
    fn step(&mut self, _step: &StepInfo) {
        self.events.push("step".into());
    }
    fn progress(&mut self, split: Split, done: usize, total: usize) {
        if done == total {
            self.events.push(split.to_string());
        }
    }
    fn training_finished(&mut self, reason: EndReason) {
        assert_eq!(reason, EndReason::Complete);
        self.events.push("over".into());
        fs::rename(&self.hidden, &self.test).unwrap();
    }
}

#[test]
fn test_images_are_read_once_and_only_after_the_last_step() {
    let bench = Bench::new();
    let trainer = bench.trainer("run", &bench.config("vpt-shallow")).unwrap();
    // Until training is over there are no test images: whoever reads one fails.
    let (test, hidden) = (bench.images().join("test"), bench.root.path().join("hidden"));
    fs::rename(&test, &hidden).unwrap();
    let mut observer = TestComesLast {
        hidden,
        test,
        events: Vec::new(),
    };
    finished(trainer.fit(&mut observer, &AtomicBool::new(false)).unwrap());
    // The head is fitted to the features of the training images first.
    let mut expected = vec!["started 12", "train"];
    for _ in 0..3 {
        expected.extend(["step", "step", "step", "step", "val"]);
    }
    expected.extend(["over", "test"]);
    assert_eq!(observer.events, expected);
}

#[test]
fn without_test_images_the_results_say_val() {
    let bench = Bench::with(&[("train", 4), ("val", 3)]);
    let mut config = bench.config("linear");
    config.epochs = 2;
    let finished = bench.run("run", &config);
    assert_eq!(
        (
            finished.split,
            finished.results.split.as_str(),
            finished.results.images
        ),
        (Split::Val, "val", 9)
    );
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
fn training_stops_early_when_nothing_improves() {
    let bench = Bench::new();
    let config = TrainConfig {
        lr: 1e-30,
        head_lr: None,
        head_init: HeadInit::Normal,
        weight_decay: 0.0,
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
            weight_decay: 0.0,
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
        weight_decay: 0.0,
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

#[test]
fn a_folder_that_cannot_be_written_is_named() {
    let bench = Bench::new();
    let trainer = bench.trainer("run", &bench.config("linear")).unwrap();
    fs::write(bench.path("run").join("state"), "a file in the way").unwrap();
    let error = trainer.fit(&mut Silent, &AtomicBool::new(false)).unwrap_err();
    assert!(
        matches!(&error, TrainError::Write { path, .. } if path.ends_with("state")),
        "{error}"
    );
    let left: Vec<_> = fs::read_dir(bench.path("run"))
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    assert!(
        !left.iter().any(|name| name.to_string_lossy().ends_with(".tmp")),
        "{left:?}"
    );
}
