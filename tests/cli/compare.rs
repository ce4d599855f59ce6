//! `vpt compare`: runs that are kept, resumed, reused, and told apart.

use crate::sandbox::Sandbox;

fn words(sandbox: &Sandbox) -> String {
    format!(
        "compare --data-dir pets --methods vpt-deep,linear --seeds 2 --epochs 1 --num-tokens 2 --model {}",
        sandbox.model()
    )
}

/// When the task files below the comparison were written.
fn written(sandbox: &Sandbox) -> Vec<std::time::SystemTime> {
    let files = sandbox.listing("runs/compare/pets");
    let task_files = files.iter().filter(|file| file.ends_with("best.safetensors"));
    let modified = |file: &String| {
        std::fs::metadata(sandbox.path(&format!("runs/compare/pets/{file}")))
            .unwrap()
            .modified()
            .unwrap()
    };
    task_files.map(modified).collect()
}

#[test]
fn the_second_time_nothing_is_trained() {
    let sandbox = Sandbox::new();
    sandbox.draw("pets", &["ant", "bee"], [4, 2, 4]);
    let first = sandbox.run(&words(&sandbox), 0);
    let before = written(&sandbox);
    assert_eq!(before.len(), 4);
    let page = sandbox.read("runs/compare/pets/comparison.html");
    let second = sandbox.run(&words(&sandbox), 0);
    assert_eq!(first.stdout, second.stdout);
    assert_eq!(
        second.stderr.matches("finished already").count(),
        4,
        "{}",
        second.stderr
    );
    assert_eq!(written(&sandbox), before);
    assert_eq!(sandbox.read("runs/compare/pets/comparison.html"), page);
    let comparison = sandbox.run(&format!("{} --json", words(&sandbox)), 0).json();
    assert_eq!(comparison, sandbox.json("runs/compare/pets/comparison.json"));
    assert_eq!(comparison["baseline"], "linear");
    assert_eq!(comparison["rows"][0]["seeds"], serde_json::json!([0, 1]));

    // Another setting for one method trains that method alone, beside what is there.
    let third = sandbox.run(&format!("{} --set vpt-deep.lr=0.5", words(&sandbox)), 0);
    assert_eq!(
        third.stderr.matches("finished already").count(),
        2,
        "{}",
        third.stderr
    );
    assert!(
        sandbox
            .path("runs/compare/pets/vpt-deep-seed0-2/args.toml")
            .is_file()
    );
    assert_eq!(written(&sandbox).len(), 6);

    // Other images are another comparison, even in the same place.
    sandbox.image("pets/train/ant/new.png", 0, 99);
    let fourth = sandbox.run(&words(&sandbox), 0);
    assert_eq!(
        fourth.stderr.matches("finished already").count(),
        0,
        "{}",
        fourth.stderr
    );
}

#[test]
fn a_failed_run_is_recorded_and_the_rest_goes_on() {
    let sandbox = Sandbox::new();
    sandbox.draw("pets", &["ant", "bee"], [4, 2, 4]);
    let run = sandbox.run(
        &format!(
            "{} --set vpt-deep.lr=1e38 --set vpt-deep.clip_grad=none",
            words(&sandbox)
        ),
        1,
    );
    assert!(
        run.stderr.contains("vpt-deep seed 0: the loss is"),
        "{}",
        run.stderr
    );
    assert!(run.stdout.contains("linear"), "{}", run.stdout);
    let notes = sandbox.json("runs/compare/pets/comparison.json")["notes"].to_string();
    assert!(notes.contains("No result of vpt-deep with seed 1"), "{notes}");
}

#[test]
fn a_finished_training_is_reused() {
    let sandbox = Sandbox::new();
    sandbox.draw("pets", &["ant", "bee"], [4, 2, 4]);
    let model = sandbox.model();
    sandbox.run(
        &format!("train --data-dir pets --method linear --seed 5 --epochs 1 --model {model}"),
        0,
    );
    let run = sandbox.run(
        &format!("compare --data-dir pets --methods linear,full --seeds 5, --epochs 1 --model {model}"),
        0,
    );
    assert_eq!(
        run.stderr.matches("finished already in runs/train/pets").count(),
        1,
        "{}",
        run.stderr
    );
    let comparison = sandbox.json("runs/compare/pets/comparison.json");
    assert_eq!(
        comparison["rows"][0]["run_dirs"],
        serde_json::json!(["../../train/pets"])
    );
    assert_eq!(
        comparison["rows"][1]["run_dirs"],
        serde_json::json!(["full-seed5"])
    );
}
