//! A table of images in the place of a folder.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::sandbox::Sandbox;

/// Twelve patients with two images each, of two classes.
fn table(sandbox: &Sandbox) -> String {
    let mut text = String::from("file;diagnosis;patient_id\n");
    for patient in 0..12 {
        for image in 0..2 {
            let (name, label) = (format!("scans/p{patient}-{image}.png"), patient % 2);
            sandbox.image(&name, label, 10 * patient + image);
            let diagnosis = ["healthy", "ill"][label];
            writeln!(text, "{name};{diagnosis};p{patient}").unwrap();
        }
    }
    text
}

#[test]
fn a_table_is_trained_on_and_evaluated_without_parting_patients() {
    let sandbox = Sandbox::new();
    let text = table(&sandbox);
    sandbox.write("scans.csv", &text);
    let model = sandbox.model();
    let data = sandbox.run("inspect data scans.csv --json", 0).json();
    assert_eq!(
        (&data["format"], &data["classes"]),
        (&"manifest".into(), &serde_json::json!(["healthy", "ill"]))
    );
    let note = data["notes"][0].as_str().unwrap();
    assert!(note.ends_with("images of one group stay together"), "{note}");

    sandbox.run(
        &format!("train --data-dir scans.csv --model {model} --method linear --epochs 2"),
        0,
    );
    let results = sandbox
        .run("eval runs/train/scans --save-predictions p.csv --json", 0)
        .json();
    assert_eq!(
        results["metrics"]["top1"]["n"], 4,
        "two of twelve patients are tested"
    );
    let predictions = String::from_utf8(sandbox.read("p.csv")).unwrap();
    let mut images: BTreeMap<&str, usize> = BTreeMap::new();
    for line in predictions.lines().skip(1) {
        let (_, file) = line.split_once("scans/").unwrap();
        *images.entry(file.split('-').next().unwrap()).or_default() += 1;
    }
    assert_eq!(images.into_values().collect::<Vec<_>>(), [2, 2], "whole patients");
}

#[test]
fn a_mistake_names_its_line_and_nothing_is_written() {
    let sandbox = Sandbox::new();
    let text = table(&sandbox).replacen(";ill;", ";;", 1);
    sandbox.write("scans.csv", &text);
    let model = sandbox.model();
    let run = sandbox.run(&format!("train --data-dir scans.csv --model {model}"), 1);
    assert!(
        run.stderr.contains("scans.csv:4: the label is empty"),
        "{}",
        run.stderr
    );
    assert!(
        run.stderr
            .contains("hint: each line needs a `path` and a `label`"),
        "{}",
        run.stderr
    );
    assert!(!sandbox.path("runs").exists());
}
