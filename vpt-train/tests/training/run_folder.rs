//! What a run leaves behind, and when it reads the test images.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;

use vpt_core::TaskFile;
use vpt_data::Split;
use vpt_eval::{PredictOptions, Results, metrics, predict};
use vpt_train::{EndReason, Observer, RunPlan, Silent, StepInfo, TrainConfig, TrainError};

use crate::bench::{Bench, backbone, cpu, finished};

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
            TrainConfig {
                kind: Some(vpt_data::TaskKind::Classification),
                eval_metric: Some("top1".into()),
                ..config.clone()
            }
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
            &options.loader(&dataset.val, dataset.classes.len(), preprocess),
            &dataset.classes,
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
    // The validation images once more, to choose temperature and threshold of the best epoch.
    expected.extend(["over", "val", "test"]);
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
