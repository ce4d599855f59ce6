//! From probabilities to decisions: temperature, threshold, abstention.

use crate::sandbox::Sandbox;

/// A run on two classes.
fn trained(sandbox: &Sandbox, flags: &str) {
    sandbox.draw("scans", &["healthy", "ill"], [8, 6, 6]);
    let model = sandbox.model();
    sandbox.run(
        &format!("train --data-dir scans --epochs 2 --batch 8 --method linear --model {model} {flags}"),
        0,
    );
}

#[test]
fn a_task_file_carries_how_to_decide() {
    let sandbox = Sandbox::new();
    trained(&sandbox, "--operating-point sensitivity=1 --abstain coverage=0.5");
    let results = sandbox.json("runs/train/scans/results.json");
    let calibration = &results["calibration"];
    let threshold = calibration["threshold"].as_f64().expect("a threshold");
    assert!((0.0..=1.0).contains(&threshold) && calibration["abstain_below"].is_number());
    assert!(results["abstention"]["decided"]["value"].is_number());

    // On the images that chose it, the threshold does what was asked.
    let val = sandbox.run("eval runs/train/scans --split val --json", 0).json();
    assert_eq!(val["metrics"]["sensitivity"]["value"], 1.0);
    assert_eq!(val["metrics"]["sensitivity"]["ci_method"], "wilson");

    let rare = sandbox
        .run("eval runs/train/scans --prevalence 0.01 --json", 0)
        .json();
    let at = &rare["at_prevalence"];
    assert_eq!(at["prevalence"], 0.01);
    let table = sandbox.run("eval runs/train/scans --prevalence 0.01", 0).stdout;
    assert!(table.contains("ppv at a prevalence of 1.0 %"), "{table}");

    let task = sandbox.run("inspect task runs/train/scans", 0).stdout;
    assert!(
        task.contains("threshold") && task.contains("undecided below"),
        "{task}"
    );

    let line = sandbox
        .run("predict runs/train/scans scans/test/ill --json", 0)
        .stdout;
    for line in line.lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        let ill = line["probs"][1].as_f64().unwrap();
        assert_eq!(line["label"] == "ill", ill >= threshold, "{line}");
        assert!(line["abstained"].is_boolean(), "{line}");
        // Probabilities are those of the logits divided by the temperature.
        let logit = |class: usize| line["logits"][class].as_f64().unwrap();
        let margin = (logit(1) - logit(0)) / calibration["temperature"].as_f64().unwrap();
        assert!((ill - 1.0 / (1.0 + (-margin).exp())).abs() < 1e-6, "{line}");
    }
    let plain = sandbox.run(
        "predict runs/train/scans scans/test/ill --json --no-calibration",
        0,
    );
    assert!(!plain.stdout.contains("abstained"), "{}", plain.stdout);
}

#[test]
fn decisions_are_chosen_anew_without_training() {
    let sandbox = Sandbox::new();
    trained(&sandbox, "");
    let before = sandbox.read("runs/train/scans/best.safetensors");
    let chosen = sandbox.run(
        "calibrate runs/train/scans --operating-point youden --output other.safetensors --json",
        0,
    );
    assert_eq!(chosen.json()["images"], 12);
    assert!(chosen.json()["before"]["threshold"].is_null());
    let threshold = chosen.json()["after"]["threshold"].as_f64().unwrap();
    assert_eq!(sandbox.read("runs/train/scans/best.safetensors"), before);
    let results = sandbox.run("eval other.safetensors --json", 0).json();
    assert_eq!(results["calibration"]["threshold"].as_f64(), Some(threshold));

    let text = sandbox
        .run("calibrate runs/train/scans --abstain coverage=0.5", 0)
        .stdout;
    assert!(
        text.contains("undecided") && text.contains("chosen on 12 val images"),
        "{text}"
    );
    assert_ne!(sandbox.read("runs/train/scans/best.safetensors"), before);
    let shown = sandbox.run("predict runs/train/scans scans/test", 0).stdout;
    assert!(shown.contains("undecided: "), "{shown}");
    sandbox.run(
        "predict runs/train/scans scans/test --output labels.csv --quiet",
        0,
    );
    let csv = String::from_utf8(sandbox.read("labels.csv")).unwrap();
    assert!(
        csv.starts_with("path,label,prob_healthy,prob_ill,abstained\n"),
        "{csv}"
    );
}

#[test]
fn the_class_to_be_found_can_be_named() {
    let sandbox = Sandbox::new();
    trained(&sandbox, "--positive-class healthy");
    let labels = String::from_utf8(sandbox.read("runs/train/scans/labels.txt")).unwrap();
    assert_eq!(labels, "ill\nhealthy\n");
    let model = sandbox.model();
    let wrong = sandbox.run(
        &format!("train --data-dir scans --model {model} --positive-class sick"),
        1,
    );
    assert!(
        wrong.stderr.contains("`sick`") || wrong.stderr.contains("sick"),
        "{}",
        wrong.stderr
    );
    assert!(wrong.stderr.contains("healthy, ill"), "{}", wrong.stderr);
}

#[test]
fn thresholds_need_two_classes() {
    let sandbox = Sandbox::new();
    crate::end_to_end::trained(&sandbox, "--method linear");
    for command in [
        "calibrate runs/train/pets --operating-point youden",
        "eval runs/train/pets --threshold 0.3",
        "eval runs/train/pets --prevalence 0.3",
        "predict runs/train/pets pets/test --threshold 0.3",
    ] {
        let refused = sandbox.run(command, 2);
        assert!(
            refused.stderr.contains("two classes") && refused.stderr.contains("hint:"),
            "{}",
            refused.stderr
        );
    }
    let model = sandbox.model();
    let refused = sandbox.run(
        &format!("train --data-dir pets --model {model} --operating-point youden"),
        1,
    );
    assert!(refused.stderr.contains("--operating-point"), "{}", refused.stderr);
    let refused = sandbox.run("train --data-dir pets --operating-point recall=0.9", 2);
    assert!(refused.stderr.contains("sensitivity=0.95"), "{}", refused.stderr);
}
