//! Several tasks in one table.

use std::fs;

use crate::sandbox::Sandbox;

/// Two tasks on one backbone.
fn two_tasks() -> Sandbox {
    let sandbox = Sandbox::new();
    crate::end_to_end::trained(&sandbox, "--method linear");
    sandbox.draw("scans", &["healthy", "ill"], [6, 3, 4]);
    let model = sandbox.model();
    sandbox.run(
        &format!(
            "train --data-dir scans --epochs 2 --batch 8 --method linear --model {model} --eval-metric auroc"
        ),
        0,
    );
    sandbox
}

#[test]
fn a_folder_of_runs_is_a_suite() {
    let sandbox = two_tasks();
    let suite = sandbox.run("eval --suite runs/train --json", 0).json();
    assert_eq!(
        (&suite["schema"], &suite["backbones"]),
        (&"vpt-suite/1".into(), &1.into())
    );
    let tasks = suite["tasks"].as_array().unwrap();
    let names: Vec<&str> = tasks.iter().map(|task| task["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["pets", "scans"]);
    // The same numbers as each task alone.
    for task in ["pets", "scans"] {
        let alone = sandbox.run(&format!("eval runs/train/{task} --json"), 0).json();
        let together = tasks.iter().find(|found| found["name"] == task).unwrap();
        assert_eq!(together["results"]["metrics"], alone["metrics"], "{task}");
    }
    let table = sandbox.run("eval --suite runs/train", 0).stdout;
    assert!(
        table.contains("2 tasks on 1 backbone") && table.contains("auroc"),
        "{table}"
    );
    sandbox.run("eval --suite runs/train --fail-under 1.01", 3);
    sandbox.run("eval --suite runs/train --report suite.html", 0);
    let page = String::from_utf8(sandbox.read("suite.html")).unwrap();
    assert!(page.contains("2 tasks") && page.contains("scans"));
}

#[test]
fn a_file_names_tasks_data_and_split() {
    let sandbox = two_tasks();
    fs::copy(
        sandbox.path("runs/train/pets/best.safetensors"),
        sandbox.path("pets.safetensors"),
    )
    .unwrap();
    fs::create_dir(sandbox.path("suites")).unwrap();
    let file = sandbox.path("suites/clinic.toml");
    fs::write(
        &file,
        "[[task]]\nfile = \"../pets.safetensors\"\nname = \"animals\"\nsplit = \"all\"\n\
         [[task]]\nfile = \"../runs/train/scans\"\ndata_dir = \"../scans/val\"\nsplit = \"all\"\n",
    )
    .unwrap();
    let suite = sandbox.run("eval --suite suites/clinic.toml --json", 0).json();
    assert_eq!(suite["name"], "clinic");
    assert_eq!(suite["tasks"][0]["name"], "animals");
    assert_eq!(suite["tasks"][0]["results"]["images"], 39);
    assert_eq!(suite["tasks"][1]["results"]["images"], 6);
}

#[test]
fn what_is_wrong_with_a_suite_is_said() {
    let sandbox = two_tasks();
    let failed = |text: &str| {
        fs::write(sandbox.path("suite.toml"), text).unwrap();
        sandbox.run("eval --suite suite.toml", 1).stderr
    };
    let unknown = failed("[[task]]\nfiel = \"a\"\n");
    assert!(
        unknown.contains("suite.toml") && unknown.contains("fiel") && unknown.contains("hint:"),
        "{unknown}"
    );
    let missing = failed("[[task]]\nfile = \"nowhere.safetensors\"\n");
    assert!(
        missing.contains("nowhere.safetensors") && missing.contains("hint:"),
        "{missing}"
    );
    let none = failed("name = \"empty\"\n");
    assert!(none.contains("no task") && none.contains("hint:"), "{none}");
    assert!(sandbox.run("eval --suite pets", 1).stderr.contains("no task"));
    sandbox.run("eval runs/train/pets --suite runs/train", 2);
    sandbox.run("eval", 2);
}
