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
            .contains("hint: each image needs a line with its `path`"),
        "{}",
        run.stderr
    );
    assert!(!sandbox.path("runs").exists());
}

/// Weights are for training: the same for all they change nothing, and unequal ones change what is learnt and no count.
#[test]
fn images_count_by_their_weight_in_training_only() {
    let sandbox = Sandbox::new();
    let model = sandbox.model();
    let text = table(&sandbox);
    let with = |weight: &dyn Fn(usize) -> String| -> String {
        let lines = text.lines().enumerate();
        let weighted = lines.map(|(line, text)| match line {
            0 => format!("{text};weight\n"),
            _ => format!("{text};{}\n", weight(line)),
        });
        weighted.collect()
    };
    // Features computed once, images, and images that are blended.
    for (name, method) in [
        ("features", "--method linear --epochs 3"),
        ("images", "--method vpt-deep --num-tokens 2 --epochs 1 --no-aug"),
        ("mixed", "--method linear --epochs 2 --mixup 0.5 --cutmix 1"),
    ] {
        let results = |kind: &str, text: &str, flags: &str| {
            sandbox.write("scans.csv", text);
            sandbox.run(
                &format!(
                    "train --data-dir scans.csv --model {model} --batch 8 {method} {flags} --experiment {name}-{kind}"
                ),
                0,
            );
            let run = format!("runs/train/{name}-{kind}");
            let history = String::from_utf8(sandbox.read(&format!("{run}/results.csv"))).unwrap();
            // Without what depends on the clock.
            let losses = history.lines().map(|line| {
                let columns: Vec<&str> = line.split(',').collect();
                columns[2..5].join(",")
            });
            (
                losses.collect::<Vec<_>>(),
                sandbox.json(&format!("{run}/results.json")),
            )
        };
        let (plain, _) = results("plain", &text, "");
        let (even, _) = results("even", &with(&|_| "8".into()), "");
        assert_eq!(plain, even, "{name}: only proportions matter");
        let (uneven, measured) = results("uneven", &with(&|line| (1 + 50 * (line % 2)).to_string()), "");
        assert_ne!(plain, uneven, "{name}");
        assert_eq!(measured["metrics"]["top1"]["n"], 4, "each test image counts once");
        let kilograms = with(&|line| (60 + line).to_string());
        let (unused, _) = results("unused", &kilograms, "--weight-column none");
        assert_eq!(plain, unused, "{name}: a column of that name that is no weight");
    }
    sandbox.write(
        "scans.csv",
        with(&|line| if line == 3 { "-2".into() } else { "1".into() }),
    );
    let wrong = sandbox
        .run(&format!("train --data-dir scans.csv --model {model}"), 1)
        .stderr;
    assert!(
        wrong.contains("scans.csv:4: the weight is `-2`, expected a positive number"),
        "{wrong}"
    );
    sandbox.write("scans.csv", with(&|line| line.to_string()));
    let said = sandbox.run("inspect data scans.csv --json", 0).json()["notes"].to_string();
    assert!(said.contains("count 1 to 24 in the training loss"), "{said}");
}

#[test]
fn a_table_beside_class_folders_gives_subgroups() {
    let sandbox = Sandbox::new();
    sandbox.draw("pets", &["ant", "bee"], [8, 4, 12]);
    let model = sandbox.model();
    for (split, count) in [("train", 8), ("val", 4), ("test", 12)] {
        let mut text = String::from("file_name,scanner,patient\n");
        for class in ["ant", "bee"] {
            for image in 0..count {
                let scanner = ["A", "B"][image % 2];
                writeln!(
                    text,
                    "{class}/{image:03}.png,{scanner},{split}{class}{}",
                    image / 2
                )
                .unwrap();
            }
        }
        sandbox.write(&format!("pets/{split}/metadata.csv"), text);
    }
    sandbox.run(
        &format!("train --data-dir pets --model {model} --method linear --epochs 1"),
        0,
    );
    let results = sandbox.run("eval runs/train/pets --json", 0).json();
    let values: Vec<String> = results["subgroups"]
        .as_array()
        .unwrap()
        .iter()
        .map(|subgroup| format!("{}={}", subgroup["column"], subgroup["value"]).replace('"', ""))
        .collect();
    assert_eq!(values, ["scanner=A", "scanner=B"]);
    let predictions = String::from_utf8(sandbox.read("runs/train/pets/predictions.csv")).unwrap();
    assert!(
        predictions.contains("testant0"),
        "groups are known: {predictions}"
    );

    let table = String::from_utf8(sandbox.read("pets/test/metadata.csv")).unwrap();
    sandbox.write(
        "pets/test/metadata.csv",
        table.replace("bee/003.png,B,testbee1\n", ""),
    );
    let missing = sandbox
        .run(&format!("train --data-dir pets --model {model}"), 1)
        .stderr;
    assert!(
        missing.contains("metadata.csv: no line for the image `bee/003.png`") && missing.contains("hint:"),
        "{missing}"
    );
}
