//! Images of any number of classes, from the table to the prediction.

use image::{Rgb, RgbImage};
use serde_json::Value;

use crate::sandbox::Sandbox;

const CLASSES: [&str; 3] = ["bright", "red", "striped"];

/// Draws images that are bright, red and striped in all combinations, and the table that says so.
fn draw(sandbox: &Sandbox) {
    let mut table = String::from("path,labels,split\n");
    std::fs::create_dir_all(sandbox.path("images")).unwrap();
    for (split, count) in [("train", 48), ("val", 24), ("test", 24)] {
        for index in 0..count {
            let has = [index & 1 != 0, index & 2 != 0, index & 4 != 0];
            let noise = |x: u32, y: u32| ((x * 37 + y * 101 + index * 53) % 40) as u8;
            let picture = RgbImage::from_fn(36, 36, |x, y| {
                let base = noise(x, y) + if has[0] { 110 } else { 20 };
                let red = if has[1] { 100 } else { 0 };
                let line = if has[2] && x % 6 < 3 { 60 } else { 0 };
                Rgb([base + red.min(255 - base), base, base + line])
            });
            let path = format!("images/{split}{index:02}.png");
            picture.save(sandbox.path(&path)).unwrap();
            let names: Vec<&str> = CLASSES
                .into_iter()
                .zip(has)
                .filter_map(|(name, has)| has.then_some(name))
                .collect();
            table += &format!("{path},{},{split}\n", names.join("|"));
        }
    }
    sandbox.write("things.csv", table);
}

fn trained(sandbox: &Sandbox, flags: &str) {
    draw(sandbox);
    let model = sandbox.model();
    sandbox.run(
        &format!("train --data-dir things.csv --method linear --epochs 20 --batch 16 --lr 0.01 --model {model} {flags}"),
        0,
    );
}

#[test]
fn any_number_of_classes_from_the_table_to_the_prediction() {
    let sandbox = Sandbox::new();
    trained(&sandbox, "--operating-point youden");
    let args = String::from_utf8(sandbox.read("runs/train/things/args.toml")).unwrap();
    assert!(
        args.contains("kind = \"multi-label\"") && args.contains("eval_metric = \"auroc\""),
        "{args}"
    );
    assert!(!sandbox.path("runs/train/things/confusion_matrix.svg").exists());

    let results = sandbox.run("eval runs/train/things --json", 0).json();
    assert_eq!(results["kind"], "multi-label");
    for name in [
        "auroc",
        "auprc",
        "exact_match",
        "hamming_loss",
        "micro_f1",
        "macro_f1",
        "log_loss",
        "ece",
    ] {
        let metric = &results["metrics"][name];
        for key in ["value", "ci_low", "ci_high"] {
            assert!(metric[key].is_number(), "{name}: {metric}");
        }
    }
    assert_eq!(results["metrics"]["exact_match"]["ci_method"], "wilson");
    assert!(
        results["metrics"]["auroc"]["value"].as_f64().unwrap() > 0.8,
        "{}",
        results["metrics"]["auroc"]
    );
    assert!(results["metrics"]["top1"].is_null());
    assert_eq!(results["confusion_matrix"], Value::Array(vec![]));
    let thresholds = results["calibration"]["thresholds"].as_array().unwrap();
    assert_eq!(thresholds.len(), 3);

    let text = sandbox.run("eval runs/train/things", 0).stdout;
    assert!(
        text.contains("exact_match") && !text.contains("predicted"),
        "{text}"
    );

    let lines = sandbox.run("predict runs/train/things images --json", 0).stdout;
    for line in lines.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        let found: Vec<&str> = line["labels"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(Value::as_str)
            .collect();
        assert_eq!(line["label"], found.join("|"));
        for (class, name) in CLASSES.iter().enumerate() {
            let prob = line["probs"][class].as_f64().unwrap();
            assert_eq!(
                found.contains(name),
                prob >= thresholds[class].as_f64().unwrap(),
                "{line}"
            );
        }
    }
    let shown = sandbox
        .run(
            "predict runs/train/things images --threshold 1 --output found.csv",
            0,
        )
        .stdout;
    assert!(shown.contains("none: "), "{shown}");
    let found = String::from_utf8(sandbox.read("found.csv")).unwrap();
    assert!(
        found.starts_with("path,label,prob_bright,prob_red,prob_striped\n"),
        "{found}"
    );

    let saved = String::from_utf8(sandbox.read("runs/train/things/predictions.csv")).unwrap();
    assert!(saved.contains(",bright|red|striped,"), "{saved}");
    let inspected = sandbox.run("inspect task runs/train/things", 0).stdout;
    assert!(
        inspected.contains("multi-label") && inspected.contains("thresholds"),
        "{inspected}"
    );
    sandbox.run("inspect data things.csv", 0);
}

#[test]
fn methods_are_compared_and_decisions_chosen_anew() {
    let sandbox = Sandbox::new();
    draw(&sandbox);
    let model = sandbox.model();
    let compared = sandbox
        .run(
            &format!(
                "compare --data-dir things.csv --methods linear,bitfit --seeds 1 --epochs 2 --batch 16 --model {model} --class-weights balanced --loss focal --json"
            ),
            0,
        )
        .json();
    assert_eq!(compared["metric"], "auroc");
    let again = sandbox.run(
        &format!(
            "compare --data-dir things.csv --methods linear,bitfit --seeds 1 --epochs 2 --batch 16 --model {model} --class-weights balanced --loss focal"
        ),
        0,
    );
    assert!(again.stderr.contains("finished already"), "{}", again.stderr);
    let run = "runs/compare/things/linear-seed0";
    let chosen = sandbox
        .run(&format!("calibrate {run} --operating-point sensitivity=1"), 0)
        .stdout;
    assert!(chosen.contains("threshold of striped"), "{chosen}");
    let val = sandbox.run(&format!("eval {run} --split val --json"), 0).json();
    for class in val["per_class"].as_array().unwrap() {
        assert_eq!(class["recall"]["value"], 1.0, "{class}");
    }
    let refused = sandbox
        .run(&format!("calibrate {run} --abstain coverage=0.9"), 2)
        .stderr;
    assert!(refused.contains("multi-label"), "{refused}");
    sandbox.draw("scans", &["bright", "red", "striped"], [3, 2, 2]);
    let other = sandbox.run(&format!("eval {run} --data-dir scans"), 1).stderr;
    assert!(
        other.contains("multi-label") && other.contains("classification"),
        "{other}"
    );
}

#[test]
fn what_supposes_one_class_is_refused() {
    let sandbox = Sandbox::new();
    draw(&sandbox);
    sandbox.draw("scans", &["healthy", "ill"], [3, 2, 2]);
    let model = sandbox.model();
    let refused = |words: &str| {
        let run = sandbox
            .command(&format!("{words} --model {model}"))
            .output()
            .unwrap();
        assert!(!run.status.success(), "{words}");
        String::from_utf8(run.stderr).unwrap()
    };
    for (words, said) in [
        (
            "train --data-dir things.csv --kind classification",
            ["`classification`", "`multi-label`"],
        ),
        (
            "train --data-dir things.csv --kind ordinal",
            ["`ordinal`", "`multi-label`"],
        ),
        (
            "train --data-dir scans --kind multi-label",
            ["`multi-label`", "`classification`"],
        ),
        (
            "train --data-dir things.csv --abstain coverage=0.9",
            ["`--abstain`", "multi-label"],
        ),
        (
            "train --data-dir things.csv --sampling balanced",
            ["`--sampling`", "multi-label"],
        ),
        (
            "train --data-dir things.csv --logit-adjustment 1",
            ["`--logit-adjustment`", "multi-label"],
        ),
        (
            "train --data-dir things.csv --eval-metric qwk",
            ["`--eval-metric`", "multi-label"],
        ),
        // The default of other tasks, asked for: not exchanged for the metric of this one.
        (
            "train --data-dir things.csv --eval-metric top1",
            ["`--eval-metric` is `top1`", "multi-label"],
        ),
        ("knn --data-dir things.csv", ["any number of classes", "linear"]),
    ] {
        let error = refused(words);
        assert!(said.iter().all(|said| error.contains(said)), "{words}: {error}");
    }
    assert!(!sandbox.path("runs").exists(), "nothing was begun");
}
