//! `vpt knn`: alone, into a run folder, and as a method of a comparison.

use serde_json::{Value, json};

use crate::sandbox::Sandbox;

const CLASSES: [&str; 3] = ["ant", "bee", "cat"];

/// Without what a clock or the system measured.
fn timeless(mut results: Value) -> Value {
    for key in [
        "train_seconds",
        "eval_seconds",
        "images_per_second",
        "train_images_per_second",
        "peak_memory_bytes",
    ] {
        assert!(results[key].is_number(), "{key}: {results}");
        results[key] = Value::Null;
    }
    results
}

#[test]
fn nearest_neighbours_need_no_training() {
    let sandbox = Sandbox::new();
    sandbox.draw("pets", &CLASSES, [6, 3, 4]);
    let model = sandbox.model();
    let run = sandbox.run(&format!("knn --data-dir pets --model {model} --json"), 0);
    let results = run.json();
    assert_eq!(results["images"], 12);
    assert_eq!(results["split"], "test");
    assert_eq!(results["tuned_params"], 0);
    assert_eq!(results["method"], "knn");
    assert!(results["neighbours"].is_number(), "{results}");
    assert!(results["metrics"]["top1"]["ci_low"].is_number(), "{results}");
    assert!(sandbox.listing(".").iter().all(|file| !file.starts_with("runs")));
    let one = sandbox.run(
        &format!("knn --data-dir pets/train --model {model} -k 1 --shots 2"),
        0,
    );
    assert!(
        one.stdout.contains("knn, k = 1 of 6 training images"),
        "{}",
        one.stdout
    );
}

#[test]
fn a_run_folder_keeps_what_it_found() {
    let sandbox = Sandbox::new();
    sandbox.draw("pets", &CLASSES, [6, 3, 4]);
    let words = format!(
        "knn --data-dir pets --model {} -k 5,3 --experiment near",
        sandbox.model()
    );
    sandbox.run(&words, 0);
    let results = sandbox.json("runs/train/near/results.json");
    assert_eq!(
        (&results["method"], &results["seed"]),
        (&json!("knn"), &json!(42))
    );
    assert_eq!(
        results["task_file_bytes"],
        18 * 48 * 4 + 18 * 4,
        "18 features of width 48, 18 classes"
    );
    let predictions = String::from_utf8(sandbox.read("runs/train/near/predictions.csv")).unwrap();
    assert_eq!(predictions.lines().count(), 1 + 12, "{predictions}");
    let log = String::from_utf8(sandbox.read("runs/train/near/log.txt")).unwrap();
    assert!(
        log.contains("k = 5: val top1 ") && log.contains("k = 3: val top1 "),
        "{log}"
    );

    let taken = sandbox.run(&words, 1);
    assert!(taken.stderr.contains("exists already"), "{}", taken.stderr);
    sandbox.run(&format!("{words} --exist-ok --threads 1"), 0);
    assert_eq!(
        timeless(sandbox.json("runs/train/near/results.json")),
        timeless(results)
    );
    let training = sandbox.run("train --resume runs/train/near", 0);
    assert!(
        training.stderr.contains("finished already"),
        "{}",
        training.stderr
    );
}

#[test]
fn neighbours_are_compared_like_any_method() {
    let sandbox = Sandbox::new();
    sandbox.draw("pets", &CLASSES, [4, 2, 4]);
    let words = format!(
        "compare --data-dir pets --methods linear,knn --seeds 2 --epochs 1 --model {}",
        sandbox.model()
    );
    let first = sandbox.run(&words, 0);
    assert!(first.stderr.contains("knn seed 1"), "{}", first.stderr);
    let comparison = sandbox.json("runs/compare/pets/comparison.json");
    let row = &comparison["rows"][1];
    assert_eq!((&row["method"], &row["seeds"]), (&json!("knn"), &json!([0, 1])));
    assert_eq!(row["run_dirs"], json!(["knn-seed0", "knn-seed1"]));
    let scores = row["score_per_seed"].as_array().unwrap();
    assert_eq!(scores[0], scores[1], "there is nothing random in it");

    let second = sandbox.run(&words, 0);
    assert_eq!(first.stdout, second.stdout);
    assert_eq!(
        second.stderr.matches("finished already").count(),
        4,
        "{}",
        second.stderr
    );
    // What concerns training alone is no other run of it.
    let third = sandbox.run(&format!("{words} --lr 0.5"), 0);
    assert_eq!(
        third.stderr.matches("finished already").count(),
        2,
        "{}",
        third.stderr
    );
}
