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
fn each_method_is_named_once() {
    let sandbox = Sandbox::new();
    sandbox.draw("pets", &["ant", "bee"], [4, 2, 4]);
    let run = sandbox.run("compare --data-dir pets --methods linear,full,linear --jobs 2", 2);
    assert!(run.stderr.contains("`linear` is named twice"), "{}", run.stderr);
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

fn text(sandbox: &Sandbox, relative: &str) -> String {
    String::from_utf8(sandbox.read(relative)).unwrap()
}

/// Words of a comparison small enough to be searched in a test.
fn searched(sandbox: &Sandbox, more: &str) -> String {
    format!(
        "compare --data-dir pets --methods vpt-deep,linear --seeds 1 --epochs 3 --num-tokens 2 --model {} {more}",
        sandbox.model()
    )
}

#[test]
fn settings_are_searched_on_validation_within_one_budget() {
    let sandbox = Sandbox::new();
    sandbox.draw("pets", &["ant", "bee"], [4, 2, 4]);
    let words = searched(&sandbox, "--budget 4 --jobs 2");
    let first = sandbox.run(&words, 0);
    let comparison = sandbox.json("runs/compare/pets/comparison.json");
    for search in comparison["search"].as_array().unwrap() {
        let trials = search["trials"].as_array().unwrap();
        assert_eq!(
            trials.len(),
            4 + 2,
            "four settings, then the best two for longer: {search}"
        );
        assert_eq!(trials[0]["settings"]["defaults"], "yes");
        assert!(
            trials
                .iter()
                .all(|trial| trial["settings"].get("method.num_tokens").is_none()),
            "what is given is not searched: {search}"
        );
        let ended = |end: &str| trials.iter().filter(|trial| trial["ended"] == end).count();
        assert_eq!((ended("promoted"), ended("best"), ended("stopped")), (2, 1, 3));
    }
    let costs = &comparison["rows"][0]["costs"];
    assert_eq!(costs["search_trials"], 6);
    assert!(costs["latency_ms"].as_f64().unwrap() > 0.0);

    // No trial has read the test images: each of its predictions is of a validation image.
    let files = sandbox.listing("runs/compare/pets/trials");
    let predictions: Vec<_> = files
        .iter()
        .filter(|file| file.ends_with("predictions.csv"))
        .collect();
    assert_eq!(predictions.len(), 12);
    for file in predictions {
        let table = text(&sandbox, &format!("runs/compare/pets/trials/{file}"));
        assert!(
            table.contains("val") && !table.contains("test"),
            "{file}: {table}"
        );
    }
    // The winner's settings are those of the run that read them.
    let best = comparison["search"][0]["trials"]
        .as_array()
        .unwrap()
        .iter()
        .find(|trial| trial["ended"] == "best")
        .unwrap()["settings"]
        .clone();
    if let Some(lr) = best["lr"].as_str() {
        let args: toml::Table = text(&sandbox, "runs/compare/pets/vpt-deep-seed0/args.toml")
            .parse()
            .unwrap();
        assert_eq!(args["lr"].as_float().unwrap(), lr.parse::<f64>().unwrap());
    }

    let second = sandbox.run(&words, 0);
    assert_eq!(
        first.stdout, second.stdout,
        "the same command says the same again"
    );
    assert_eq!(
        second.stderr.matches("finished already").count(),
        12 + 2,
        "{}",
        second.stderr
    );
    assert_eq!(comparison, sandbox.json("runs/compare/pets/comparison.json"));

    // A larger budget keeps the points that were tried.
    let third = sandbox.run(&searched(&sandbox, "--budget 6"), 0);
    assert!(
        third.stderr.matches("finished already").count() >= 8,
        "{}",
        third.stderr
    );
}

#[test]
fn time_is_a_budget_too() {
    let sandbox = Sandbox::new();
    sandbox.draw("pets", &["ant", "bee"], [4, 2, 4]);
    sandbox.run(&searched(&sandbox, "--budget 1s"), 0);
    let comparison = sandbox.json("runs/compare/pets/comparison.json");
    assert_eq!(comparison["search"][0]["budget"], "1 s");
    assert!(!comparison["search"][0]["trials"].as_array().unwrap().is_empty());
    sandbox.run(&searched(&sandbox, "--budget soon"), 2);
}

#[test]
fn few_images_make_a_curve() {
    let sandbox = Sandbox::new();
    sandbox.draw("pets", &["ant", "bee"], [4, 2, 4]);
    let words = searched(&sandbox, "--shots 1,2,all --seeds 2").replace("--seeds 1 ", "");
    sandbox.run(&words, 0);
    let comparison = sandbox.json("runs/compare/pets/comparison.json");
    let curves = comparison["few_shot"].as_array().unwrap();
    assert_eq!(curves.len(), 2);
    let points = curves[0]["points"].as_array().unwrap();
    let images: Vec<_> = points
        .iter()
        .map(|point| point["images"].as_u64().unwrap())
        .collect();
    assert_eq!(images, [2, 4, 8]);
    assert!(
        points
            .iter()
            .all(|point| point["scores"].as_array().unwrap().len() == 2)
    );
    let args = |seed: u64| -> toml::Table {
        let path = format!("runs/compare/pets/few_shot/linear-shots1-seed{seed}/args.toml");
        text(&sandbox, &path).parse().unwrap()
    };
    assert_eq!(args(0)["split_seed"], args(1)["split_seed"]);
    assert_ne!(
        args(0)["shots_seed"],
        args(1)["shots_seed"],
        "other images for another seed"
    );
}

#[test]
fn finished_runs_are_compared_without_training() {
    let sandbox = Sandbox::new();
    sandbox.draw("pets", &["ant", "bee"], [4, 2, 4]);
    let model = sandbox.model();
    for (name, flags) in [
        ("few", "--num-tokens 1 --seed 1"),
        ("few-too", "--num-tokens 1 --seed 2"),
        ("many", "--num-tokens 3 --seed 1"),
        ("probe", "--method linear --seed 1"),
    ] {
        let words = format!("train --data-dir pets --epochs 1 --model {model} --experiment {name} {flags}");
        sandbox.run(&words, 0);
    }
    sandbox.run(
        "compare --runs runs/train/few runs/train/few-too runs/train/many runs/train/probe --baseline linear",
        0,
    );
    let comparison = sandbox.json("runs/compare/pets-runs/comparison.json");
    let rows: Vec<_> = comparison["rows"].as_array().unwrap().iter().collect();
    let methods: Vec<_> = rows.iter().map(|row| row["method"].as_str().unwrap()).collect();
    assert_eq!(methods, ["vpt-deep (few)", "vpt-deep (many)", "linear"]);
    assert_eq!(rows[0]["seeds"], serde_json::json!([1, 2]));
    let missing = sandbox.run("compare --runs runs/train/few runs/train/nothing", 1);
    assert!(
        missing.stderr.contains("is not a finished run"),
        "{}",
        missing.stderr
    );
}

#[test]
fn full_fine_tuning_changes_the_backbone_and_prompts_do_not() {
    let sandbox = Sandbox::new();
    sandbox.draw("pets", &["ant", "bee"], [4, 2, 4]);
    sandbox.draw("old", &["cat", "dog"], [4, 2, 4]);
    let model = sandbox.model();
    let source = format!("train --data-dir old --method linear --epochs 1 --model {model} --experiment old");
    sandbox.run(&source, 0);
    let words = format!(
        "compare --data-dir pets --methods vpt-deep,full --seeds 1 --epochs 1 --model {model} --source-task runs/train/old"
    );
    let first = sandbox.run(&words, 0);
    let comparison = sandbox.json("runs/compare/pets/comparison.json");
    let forgetting = |row: usize| &comparison["rows"][row]["forgetting"];
    assert_eq!(forgetting(0)["backbone_unchanged"], true);
    assert_eq!(forgetting(1)["backbone_unchanged"], false);
    assert_ne!(forgetting(0)["backbone_sha256"], forgetting(1)["backbone_sha256"]);
    assert_eq!(forgetting(1)["source"]["images"], 8);
    let cka = forgetting(1)["cka"].as_f64().unwrap();
    assert!((0.0..1.0).contains(&cka), "{cka}");
    assert_eq!(first.stdout, sandbox.run(&words, 0).stdout);
    let wrong = sandbox.run(
        &format!("{words} --experiment other").replace("runs/train/old", "scenes"),
        2,
    );
    assert!(
        wrong.stderr.contains("is the task of the built-in backbone"),
        "{}",
        wrong.stderr
    );
}

#[test]
fn the_protocol_of_the_paper_is_a_grid() {
    let sandbox = Sandbox::new();
    sandbox.draw("pets", &["ant", "bee"], [4, 2, 4]);
    let words = format!(
        "compare --data-dir pets --methods linear --protocol vtab1k --weight-decay 0 --epochs 1 --warmup-epochs 0 --model {}",
        sandbox.model()
    );
    sandbox.run(&words, 0);
    let comparison = sandbox.json("runs/compare/pets/comparison.json");
    assert_eq!(
        comparison["rows"][0]["seeds"],
        serde_json::json!([42, 44, 82, 100, 800])
    );
    assert_eq!(
        comparison["search"][0]["trials"].as_array().unwrap().len(),
        10,
        "ten rates"
    );
    let args: toml::Table = text(&sandbox, "runs/compare/pets/linear-seed42/args.toml")
        .parse()
        .unwrap();
    assert_eq!(
        (args["train_on_val"].as_bool(), args["opt"].as_str()),
        (Some(true), Some("sgd"))
    );
}
