//! The road of a user: train, evaluate, predict, go on.

use std::fs;
use std::path::Path;

use safetensors::SafeTensors;

use crate::sandbox::Sandbox;

pub const CLASSES: [&str; 3] = ["ant", "bee", "cat"];

/// Draws images of [`CLASSES`] and trains on them.
pub fn trained(sandbox: &Sandbox, flags: &str) {
    sandbox.draw("pets", &CLASSES, [6, 3, 4]);
    let model = sandbox.model();
    let run = sandbox.run(
        &format!("train --data-dir pets --epochs 2 --batch 8 --model {model} {flags}"),
        0,
    );
    assert!(run.stdout.contains("vpt eval runs/train/"), "{}", run.stdout);
}

#[test]
fn train_eval_predict() {
    let sandbox = Sandbox::new();
    trained(&sandbox, "--num-tokens 2");
    let files = sandbox.listing("runs/train/pets");
    for file in [
        "args.toml",
        "results.csv",
        "results.json",
        "results.svg",
        "best.safetensors",
        "last.safetensors",
        "predictions.csv",
        "confusion_matrix.svg",
        "report.html",
        "labels.txt",
        "train_batch0.jpg",
        "log.txt",
    ] {
        assert!(files.iter().any(|found| found == file), "no {file} in {files:?}");
    }
    assert!(files.iter().all(|file| !file.ends_with(".tmp")), "{files:?}");

    let eval = sandbox.run("eval runs/train/pets --json", 0);
    let (again, trained) = (eval.json(), sandbox.json("runs/train/pets/results.json"));
    assert_eq!(
        again["metrics"]["top1"], trained["metrics"]["top1"],
        "eval repeats what training reported"
    );
    assert_eq!(again["images"], 12);
    assert_eq!(again["schema"], "vpt-results/1");
    assert!(eval.stderr.is_empty(), "{}", eval.stderr);

    let table = sandbox
        .run(
            "eval runs/train/pets/best.safetensors --split val --save-predictions val.csv",
            0,
        )
        .stdout;
    assert!(
        table.contains("balanced_accuracy") && table.contains("bee"),
        "{table}"
    );
    assert_eq!(
        String::from_utf8(sandbox.read("val.csv"))
            .unwrap()
            .lines()
            .count(),
        1 + 9
    );
    assert_eq!(
        sandbox.run("eval runs/train/pets --split all --json", 0).json()["images"],
        39
    );

    sandbox.run("eval runs/train/pets --report page.html", 0);
    let page = String::from_utf8(sandbox.read("page.html")).unwrap();
    assert!(page.contains("vpt eval runs/train/pets --report page.html") && page.contains("data:image/jpeg"));

    let fail = sandbox.run("eval runs/train/pets --fail-under 1.01", 3);
    assert!(
        fail.stderr.contains("error: top1 is ") && fail.stderr.contains("below 1.01"),
        "{}",
        fail.stderr
    );
    sandbox.run("eval runs/train/pets --fail-under 0 --fail-under log_loss=100", 0);
    sandbox.run("eval runs/train/pets --fail-under log_loss=0.0001", 3);
}

#[test]
fn predictions_for_people_and_programs() {
    let sandbox = Sandbox::new();
    trained(&sandbox, "--method linear");
    let run = sandbox.run("predict runs/train/pets pets/test --json", 0);
    let lines: Vec<serde_json::Value> = run
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 12);
    for text in run.stdout.lines() {
        let at =
            ["{\"path\":", ",\"label\":", ",\"logits\":[", ",\"probs\":["].map(|key| text.find(key).unwrap());
        assert!(at[0] == 0 && at.is_sorted(), "{text}");
    }
    for line in &lines {
        let probs: Vec<f64> = line["probs"]
            .as_array()
            .unwrap()
            .iter()
            .map(|p| p.as_f64().unwrap())
            .collect();
        assert!((probs.iter().sum::<f64>() - 1.0).abs() < 1e-9);
        let best = (0..3).max_by(|&a, &b| probs[a].total_cmp(&probs[b])).unwrap();
        assert_eq!(
            line["label"], CLASSES[best],
            "classes stand in the order of the task file"
        );
    }
    // Batches change nothing, and neither does the way in which paths are given.
    let small = sandbox.run("predict runs/train/pets pets/test --json -b 5", 0);
    let paths: String = lines
        .iter()
        .map(|line| format!("{}\n", line["path"].as_str().unwrap()))
        .collect();
    let piped = sandbox
        .command("predict runs/train/pets - --json")
        .write_stdin(paths)
        .output()
        .unwrap();
    let labels = |text: &str| -> Vec<String> {
        text.lines()
            .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["label"].to_string())
            .collect()
    };
    assert_eq!(labels(&small.stdout), labels(&run.stdout));
    assert_eq!(
        labels(&String::from_utf8(piped.stdout).unwrap()),
        labels(&run.stdout)
    );

    let table = sandbox.run(
        "predict runs/train/pets pets/test/ant/000.png --top-k 2 --output out.csv",
        0,
    );
    assert_eq!(table.stdout.lines().count(), 1);
    assert_eq!(table.stdout.matches('%').count(), 2, "{}", table.stdout);
    let csv = String::from_utf8(sandbox.read("out.csv")).unwrap();
    assert!(
        csv.starts_with("path,label,prob_ant,prob_bee,prob_cat\npets/test/ant/000.png,"),
        "{csv}"
    );

    sandbox.write("pets/test/ant/broken.png", "no image");
    let run = sandbox.run("predict runs/train/pets pets/test/ant", 1);
    assert_eq!(run.stdout.lines().count(), 4, "the others are classified");
    assert!(
        run.stderr.contains("broken.png") && run.stderr.contains("1 of 5 images"),
        "{}",
        run.stderr
    );
    assert!(run.stderr.contains("\nhint: "), "{}", run.stderr);
}

#[test]
fn settings_come_in_layers() {
    let sandbox = Sandbox::new();
    sandbox.draw("pets", &CLASSES, [2, 1, 1]);
    let model = sandbox.model();
    sandbox.write(
        "mine.toml",
        "epochs = 7\nlr = 0.5\n[method]\nname = \"vpt-shallow\"\nnum_tokens = 3\n",
    );
    let words = format!("train --data-dir pets --model {model} -c mine.toml --lr 0.25 --dry-run --json");
    let plan = sandbox.run(&words, 0).json();
    assert_eq!(plan["settings"]["epochs"], 7, "the file wins over the default");
    assert_eq!(plan["settings"]["lr"], 0.25, "the flag wins over the file");
    assert_eq!(plan["settings"]["method"]["name"], "vpt-shallow");
    assert_eq!(plan["tuned_params"], 3 * 48 + 48 * 3 + 3);
    assert_eq!(
        plan["images"],
        serde_json::json!({"train": 6, "val": 3, "test": 3})
    );
    assert!(!sandbox.path("runs").exists(), "a dry run writes nothing");
    let memory = plan["memory_bytes"].as_u64().unwrap();
    assert!(
        (60_000_000..100_000_000).contains(&memory),
        "the program and a small model: {memory}"
    );
    let other = sandbox
        .run(
            &format!("{words} --imgsz 48 --batch 2 --method linear --no-aug"),
            0,
        )
        .json();
    assert_eq!(other["settings"]["image_size"], serde_json::json!([48, 48]));
    assert_eq!(other["settings"]["batch_size"], 2);
    assert_eq!(other["tuned_params"], 48 * 3 + 3);

    // The printed settings are a file that repeats the run.
    let text = sandbox.run(&words.replace(" --json", ""), 0).stdout;
    let (toml, _) = text.split_once("\ndevice ").unwrap();
    sandbox.write("again.toml", toml);
    let again = sandbox.run("train -c again.toml --dry-run --json", 0).json();
    assert_eq!(again["settings"], plan["settings"]);
}

#[test]
fn a_folder_called_demo_does_not_hide_the_built_in_backbone() {
    let sandbox = Sandbox::new();
    sandbox.draw("pets", &CLASSES, [2, 1, 1]);
    sandbox.write("demo/notes.txt", "no weights");
    let plan = sandbox.run("train --data-dir pets --dry-run --json", 0).json();
    assert_eq!(plan["settings"]["model"], "demo");
}

#[test]
fn a_batch_of_auto_becomes_a_number() {
    let sandbox = Sandbox::new();
    sandbox.draw("pets", &CLASSES, [2, 1, 1]);
    let model = sandbox.model();
    let train =
        format!("train --data-dir pets --model {model} -b auto --grad-checkpointing --precision bf16");
    let plan = sandbox.run(&format!("{train} --dry-run --json"), 0).json();
    assert_eq!(plan["settings"]["batch_size"], 32, "the usual, for there is room");
    assert_eq!(plan["settings"]["grad_accum_steps"], 1);
    let run = sandbox.run(&format!("{train} --epochs 1 --name auto"), 0);
    assert!(run.stderr.contains("batches of 32 images"), "{}", run.stderr);
    let args = sandbox.read("runs/train/auto/args.toml");
    let args = String::from_utf8_lossy(&args);
    for line in [
        "batch_size = 32",
        "grad_checkpointing = true",
        "precision = \"bf16\"",
    ] {
        assert!(args.contains(line), "{line} in {args}");
    }
    sandbox.run("train --resume runs/train/auto -b auto", 2);
    let compare = format!("compare --data-dir pets --model {model} -b auto");
    let refused = sandbox.run(&compare, 2);
    assert!(refused.stderr.contains("as a number"), "{}", refused.stderr);
}

#[test]
fn one_seed_gives_one_result() {
    let sandbox = Sandbox::new();
    trained(&sandbox, "--experiment a --seed 7");
    let run = |name: &str, seed: u64| {
        let model = sandbox.model();
        sandbox.run(
            &format!(
                "train --data-dir pets --epochs 2 --batch 8 --model {model} --name {name} --seed {seed} -j 1"
            ),
            0,
        );
    };
    run("b", 7);
    run("c", 8);
    let best = |name: &str| sandbox.read(&format!("runs/train/{name}/last.safetensors"));
    let tensors = |bytes: &[u8]| {
        let file = SafeTensors::deserialize(bytes).unwrap();
        let mut tensors: Vec<_> = file
            .iter()
            .map(|(name, view)| (name.to_owned(), view.data().to_vec()))
            .collect();
        tensors.sort();
        tensors
    };
    assert_eq!(tensors(&best("a")), tensors(&best("b")));
    assert_ne!(tensors(&best("a")), tensors(&best("c")));
}

#[test]
fn resume_of_a_finished_run_reports_it_again() {
    let sandbox = Sandbox::new();
    trained(&sandbox, "--method linear");
    let before = fs::metadata(sandbox.path("runs/train/pets/best.safetensors"))
        .unwrap()
        .modified()
        .unwrap();
    let run = sandbox.run("train --resume runs/train/pets --json", 0);
    assert_eq!(run.json(), sandbox.json("runs/train/pets/results.json"));
    assert_eq!(
        fs::metadata(sandbox.path("runs/train/pets/best.safetensors"))
            .unwrap()
            .modified()
            .unwrap(),
        before
    );
    let run = sandbox.run("train --resume runs/train/pets --epochs 9", 2);
    assert!(run.stderr.contains("hint: "), "{}", run.stderr);
}

#[test]
fn lists_and_bench() {
    let sandbox = Sandbox::new();
    for (what, name) in [
        ("methods", "vpt-deep"),
        ("metrics", "balanced_accuracy"),
        ("models", "demo"),
        ("formats", "image-folder"),
    ] {
        assert!(
            sandbox.run(&format!("list {what}"), 0).stdout.contains(name),
            "{what}"
        );
        let list = sandbox.run(&format!("list {what} --json"), 0).json();
        assert!(
            list.as_array().unwrap().iter().any(|entry| entry["name"] == name),
            "{what}"
        );
    }
    sandbox.run("list tasks", 0);
    let filtered = sandbox.run("list models base*dinov2 --json", 0).json();
    let names: Vec<_> = filtered
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| &entry["name"])
        .collect();
    assert_eq!(names, ["vit_base_patch14_dinov2", "vit_base_patch14_reg4_dinov2"]);
    let none = sandbox.run("list models resnet --json", 0).json();
    assert_eq!(none, serde_json::json!([]));
    let bench = sandbox
        .run(
            &format!(
                "bench --model {} -b 4 --steps 2 --num-tokens 3 --json",
                sandbox.model()
            ),
            0,
        )
        .json();
    for mode in ["train", "infer"] {
        assert!(
            bench[mode]["images_per_second"].as_f64().unwrap() > 0.0,
            "{bench}"
        );
    }
    assert!(bench["matmul_gflop_per_second"].as_f64().unwrap() > 0.0);
    let infer = sandbox
        .run(
            &format!("bench --model {} -b 4 --steps 1 --mode infer", sandbox.model()),
            0,
        )
        .stdout;
    assert!(infer.contains("infer") && !infer.contains("train "), "{infer}");
    let words = "--steps 1 --grad-checkpointing --precision int8 --beside linear";
    let beside = sandbox
        .run(
            &format!("bench --model {} -b 4 {words} --json", sandbox.model()),
            0,
        )
        .json();
    assert!(beside["train"]["images_per_second"].as_f64().unwrap() > 0.0);
    assert!(beside["beside"]["overhead"].as_f64().unwrap() > -1.0, "{beside}");
    assert_eq!(beside["beside"]["method"], "linear");
}

#[test]
fn quiet_means_results_only() {
    let sandbox = Sandbox::new();
    sandbox.draw("pets", &CLASSES, [2, 1, 1]);
    let words = format!(
        "train --data-dir pets --epochs 1 --method linear --model {} -q --json",
        sandbox.model()
    );
    let run = sandbox.run(&words, 0);
    assert!(run.stderr.is_empty(), "{}", run.stderr);
    assert_eq!(run.json()["schema"], "vpt-results/1");
}

#[test]
fn a_small_input_is_said_where_pictures_are_larger() {
    let sandbox = Sandbox::new();
    for split in ["train", "val"] {
        for (label, class) in CLASSES.into_iter().enumerate() {
            for seed in 0..2 {
                let file = format!("large/{split}/{class}/{seed}.png");
                sandbox.image_of(&file, label, seed, [70, 50]);
            }
        }
    }
    let words = format!(
        "train --data-dir large --epochs 1 --method linear --model {}",
        sandbox.model()
    );
    let said = sandbox.run(&words, 0).stderr;
    assert!(
        said.contains("50 pixels") && said.contains("`--img-size 64`"),
        "{said}"
    );
    for flags in ["-q", "--img-size 32", "--img-size 64"] {
        let said = sandbox.run(&format!("{words} {flags}"), 0).stderr;
        assert!(!said.contains("hint:"), "{flags}: {said}");
    }
    sandbox.draw("fitting", &CLASSES, [2, 2, 0]);
    let said = sandbox.run(&words.replace("large", "fitting"), 0).stderr;
    assert!(!said.contains("hint:"), "{said}");
}

#[test]
fn demo_shows_the_whole_road() {
    let sandbox = Sandbox::new();
    let demo = sandbox.run("demo --quick --json", 0).json();
    assert_eq!(demo["compared"]["rows"].as_array().unwrap().len(), 3);
    let again = sandbox.run("demo --quick", 0);
    assert!(again.stderr.contains("finished already"), "{}", again.stderr);
    assert!(again.stdout.contains("vpt predict"), "{}", again.stdout);
    let (_, line) = again.stdout.rsplit_once("vpt predict ").unwrap();
    sandbox.run(&format!("predict {}", line.lines().next().unwrap()), 0);
}

#[test]
fn a_fine_tuned_backbone_is_a_backbone() {
    let sandbox = Sandbox::new();
    trained(&sandbox, "--method full --imgsz 48");
    let written = sandbox
        .run("export runs/train/pets --output weights --json", 0)
        .json();
    assert_eq!(written["image_size"], serde_json::json!([48, 48]));
    assert_eq!(written["classes"], 3);
    let model = sandbox.run("inspect model weights --json", 0).json();
    assert_eq!(model["head_classes"], 3, "the head comes with it: {model}");
    sandbox.run(
        "train --data-dir pets --epochs 1 --method linear --model weights --name next",
        0,
    );
    let run = sandbox.run(
        "train --data-dir pets --epochs 1 --model weights --name prompts -q",
        0,
    );
    assert!(run.stderr.is_empty(), "{}", run.stderr);
    let refused = sandbox.run("export runs/train/prompts --output nowhere", 1);
    assert!(refused.stderr.contains("vpt-deep"), "{}", refused.stderr);
    assert!(!sandbox.path("nowhere").exists());
    let onnx = "export runs/train/prompts --format onnx --output";
    let written = sandbox.run(&format!("{onnx} prompts.onnx --json"), 0).json();
    assert_eq!(written["format"], "onnx");
    assert_eq!(written["bytes"], sandbox.read("prompts.onnx").len());
    let half = sandbox.run(&format!("{onnx} half.onnx --half --json"), 0).json();
    assert!(
        half["bytes"].as_u64().unwrap() * 3 < written["bytes"].as_u64().unwrap() * 2,
        "{half}"
    );
    let refused = sandbox.run(&format!("{onnx} weights"), 1);
    assert!(refused.stderr.contains("hint: give a file"), "{}", refused.stderr);
}

/// Every task of this repository reads, and the one whose images are here opens.
#[test]
fn shipped_tasks() {
    let sandbox = Sandbox::new();
    let datasets = Path::new(env!("CARGO_MANIFEST_DIR")).join("datasets");
    let mut command = sandbox.command("list tasks --json");
    let list = command.current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap();
    let list: serde_json::Value = serde_json::from_slice(&list.stdout).unwrap();
    let files = fs::read_dir(&datasets).unwrap().flatten();
    let files = files
        .filter(|file| file.path().extension().is_some_and(|e| e == "toml"))
        .count();
    assert_eq!(list.as_array().unwrap().len(), files, "{list}");
    let task = datasets.join("fundus-sample.toml");
    let plan = sandbox
        .run(&format!("train --task {} --dry-run --json", task.display()), 0)
        .json();
    assert_eq!(
        plan["images"],
        serde_json::json!({"train": 24, "val": 8, "test": 8})
    );
    assert_eq!(plan["settings"]["eval_metric"], "balanced_accuracy");
}

#[test]
fn frozen_weights_may_be_kept_in_fewer_bits() {
    let sandbox = Sandbox::new();
    trained(&sandbox, "--num-tokens 2");
    let logits = |precision: &str| -> Vec<f64> {
        let words = format!("predict runs/train/pets pets/test/ant/000.png --json --precision {precision}");
        let line = sandbox.run(&words, 0).json();
        let logits = line["logits"].as_array().unwrap().iter();
        logits.map(|logit| logit.as_f64().unwrap()).collect()
    };
    let whole = logits("f32");
    for precision in ["f16", "bf16"] {
        let apart = whole.iter().zip(logits(precision)).map(|(a, b)| (a - b).abs());
        let apart = apart.fold(0.0, f64::max);
        assert!(apart > 0.0 && apart < 0.1, "{precision}: {apart}");
        sandbox.run(&format!("eval runs/train/pets --precision {precision}"), 0);
    }
    let refused = sandbox.run("eval runs/train/pets --precision int4", 2).stderr;
    assert!(refused.contains("bf16"), "{refused}");
}
