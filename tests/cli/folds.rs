//! Cross-validation, and what splits must not share.

use std::fmt::Write as _;
use std::fs;

use crate::sandbox::Sandbox;

/// A table of drawn images: two classes, two images a patient, a scanner.
fn table(sandbox: &Sandbox, columns: &str) {
    let mut text = format!("{columns}\n");
    for (label, class) in ["healthy", "ill"].iter().enumerate() {
        for i in 0..12 {
            let file = format!("scans/{class}{i}.png");
            sandbox.image(&file, label, 100 * label + i);
            let patient = 100 * label + i / 2;
            let scanner = if i % 4 < 2 { "old" } else { "new" };
            writeln!(text, "{file},{class},{patient},{scanner}").unwrap();
        }
    }
    sandbox.write("scans.csv", text);
}

#[test]
fn each_image_is_tested_by_a_model_that_has_not_seen_it() {
    let sandbox = Sandbox::new();
    table(&sandbox, "path,label,patient,scanner");
    let model = sandbox.model();
    let train = format!("train --data-dir scans.csv --method linear --epochs 2 --folds 3 --model {model}");
    let run = sandbox.run(&train, 0);
    assert!(run.stdout.contains("mean ± sd"), "{}", run.stdout);
    let csv = String::from_utf8(sandbox.read("runs/folds/scans/predictions.csv")).unwrap();
    let mut paths: Vec<&str> = csv
        .lines()
        .skip(1)
        .map(|line| line.split(',').next().unwrap())
        .collect();
    paths.sort_unstable();
    paths.dedup();
    assert_eq!(paths.len(), 24, "every image once");
    let header = csv.lines().next().unwrap();
    assert!(header.ends_with(",group,data_scanner"), "{header}");

    let results = sandbox.json("runs/folds/scans/results.json");
    assert_eq!(
        (&results["split"], &results["images"]),
        (&"folds".into(), &24.into())
    );
    let subgroups = results["subgroups"].as_array().unwrap();
    let values: Vec<_> = subgroups
        .iter()
        .map(|part| part["value"].as_str().unwrap())
        .collect();
    assert_eq!(values, ["new", "old"]);

    let args = fs::read_to_string(sandbox.path("runs/folds/scans/fold2/args.toml")).unwrap();
    assert!(args.contains("fold = 2") && args.contains("folds = 3"), "{args}");
    // The second time nothing is trained; one fold alone is a run like any other.
    let again = sandbox.run(&train, 0);
    assert!(
        again.stderr.contains("fold 3: finished already"),
        "{}",
        again.stderr
    );
    sandbox.run(&format!("{train} --fold 1"), 0);
    let alone = sandbox.run("eval runs/train/scans --json", 0).json();
    let trained = sandbox.json("runs/train/scans/results.json");
    assert_eq!(
        alone["metrics"], trained["metrics"],
        "the images of the fold, not of another split"
    );
    let table = sandbox.run("eval runs/train/scans --split all", 0).stdout;
    assert!(
        table.contains("scanner = old") && table.contains("worst: scanner = "),
        "{table}"
    );
}

#[test]
fn impossible_folds_are_refused() {
    let sandbox = Sandbox::new();
    table(&sandbox, "path,label,patient,scanner");
    let many = sandbox.run("train --data-dir scans.csv --folds 9", 1).stderr;
    assert!(many.contains("6 groups") && many.contains("hint:"), "{many}");
    sandbox.run("train --data-dir scans.csv --fold 1", 2);
    let outside = sandbox
        .run("train --data-dir scans.csv --folds 3 --fold 4", 1)
        .stderr;
    assert!(outside.contains("--fold"), "{outside}");
    let shots = sandbox
        .run("train --data-dir scans.csv --folds 3 --shots 2", 1)
        .stderr;
    assert!(shots.contains("--shots"), "{shots}");
}

#[test]
fn columns_may_have_any_name() {
    let sandbox = Sandbox::new();
    table(&sandbox, "scan_file,finding,who,scanner");
    let model = sandbox.model();
    let flags = "--path-column scan_file --label-column finding --group-column who";
    let unknown = sandbox.run("inspect data scans.csv", 1).stderr;
    assert!(unknown.contains("scan_file"), "{unknown}");
    let data = sandbox.run(&format!("inspect data scans.csv {flags}"), 0).stdout;
    assert!(
        data.contains("scans (manifest)") && data.contains("healthy"),
        "{data}"
    );
    sandbox.run(
        &format!("train --data-dir scans.csv {flags} --method linear --epochs 1 --model {model}"),
        0,
    );
    // The task file remembers the columns.
    sandbox.run("eval runs/train/scans", 0);
    let wrong = sandbox
        .run(
            "train --data-dir scans.csv --path-column scan_file --label-column diagnosis",
            1,
        )
        .stderr;
    assert!(
        wrong.contains("diagnosis") && wrong.contains("finding"),
        "{wrong}"
    );
}

#[test]
fn images_that_splits_share_are_named() {
    let sandbox = Sandbox::new();
    sandbox.draw("pets", &["ant", "bee"], [6, 3, 4]);
    let copied = sandbox.read("pets/train/ant/000.png");
    sandbox.write("pets/test/ant/again.png", copied);
    let model = sandbox.model();
    let train = format!("train --data-dir pets --method linear --epochs 1 --model {model}");
    let run = sandbox.run(&train, 0);
    let found = |line: &str| {
        line.contains("leak between splits")
            && line.contains("of images of train")
            && line.contains("again.png")
    };
    assert!(run.stderr.lines().any(found), "{}", run.stderr);
    let log = String::from_utf8(sandbox.read("runs/train/pets/log.txt")).unwrap();
    assert!(log.contains("again.png"), "{log}");
    let quiet = sandbox.run(&format!("{train} --no-leak-check"), 0);
    assert!(!quiet.stderr.contains("leak"), "{}", quiet.stderr);
}
