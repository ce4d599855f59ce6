//! Looking into models and tasks: what they are, what they make of images, where they look.

use safetensors::SafeTensors;

use crate::end_to_end::{CLASSES, trained};
use crate::sandbox::Sandbox;

#[test]
fn features_of_a_backbone() {
    let sandbox = Sandbox::new();
    sandbox.draw("pets", &CLASSES, [2, 1, 1]);
    let model = sandbox.model();
    let run = sandbox.run(
        &format!("features pets/train --model {model} --output f.safetensors --tokens --json -b 4"),
        0,
    );
    assert_eq!(run.json()["features"], serde_json::json!([6, 48]));
    let bytes = sandbox.read("f.safetensors");
    let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
    let paths: Vec<String> = serde_json::from_str(&header.metadata().as_ref().unwrap()["paths"]).unwrap();
    assert_eq!(paths.len(), 6);
    assert_eq!(paths[0], "pets/train/ant/000.png");
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let floats = |name: &str| -> Vec<f32> {
        let data = file
            .tensor(name)
            .unwrap()
            .data()
            .chunks_exact(4)
            .map(|b| f32::from_le_bytes(b.try_into().unwrap()))
            .collect();
        data
    };
    assert_eq!(file.tensor("tokens").unwrap().shape(), [6, 5, 48]);
    let (features, tokens) = (floats("features"), floats("tokens"));
    for image in 0..6 {
        let class_token = &tokens[image * 5 * 48..][..48];
        assert_eq!(
            &features[image * 48..][..48],
            class_token,
            "a head reads the class token"
        );
    }
    sandbox.write("pets/train/ant/broken.png", "no image");
    let before = bytes;
    let run = sandbox.run(
        &format!("features pets/train --model {model} --output f.safetensors"),
        1,
    );
    assert!(run.stderr.contains("broken.png"), "{}", run.stderr);
    assert_eq!(sandbox.read("f.safetensors"), before, "the earlier file stays");
    sandbox.run(
        &format!("features pets/train --model {model} --output f.safetensors --skip-bad-images"),
        0,
    );
    sandbox.run(
        &format!("features pets/val --model {model} --features patch-mean --output f.npy"),
        0,
    );
    assert!(sandbox.read("f.npy").starts_with(b"\x93NUMPY"));
    assert_eq!(
        sandbox.read("f.paths.txt"),
        b"pets/val/ant/000.png\npets/val/bee/000.png\npets/val/cat/000.png\n"
    );
    let run = sandbox.run(&format!("features pets/val --model {model} --output f.csv"), 1);
    assert!(
        run.stderr.contains("`f.csv`") && run.stderr.contains("NAME.npy"),
        "{}",
        run.stderr
    );
}

#[test]
fn where_a_task_looks() {
    let sandbox = Sandbox::new();
    trained(&sandbox, "--num-tokens 5");
    // Images of one name from two folders.
    let words = "predict runs/train/pets pets/test/ant pets/test/bee --attention looks --json";
    let run = sandbox.run(words, 0);
    let lines: Vec<serde_json::Value> = run
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), sandbox.listing("looks").len());
    for line in &lines {
        let picture = sandbox.path(line["attention"].as_str().unwrap());
        let (width, height) = image::image_dimensions(picture).unwrap();
        // 32 pixels seven times as large, three panels and two gaps.
        assert_eq!((width, height), (3 * 224 + 16, 224));
        let share = line["prompt_share"].as_f64().unwrap();
        assert!(share > 0.0 && share < 1.0, "{line}");
    }
    let task = sandbox
        .run("inspect task runs/train/pets --attention pets/val --json", 0)
        .json();
    assert_eq!(task["format"], "vpt-task/1");
    let tokens = task["prompt_attention"]["tokens"].as_array().unwrap();
    assert_eq!((tokens.len(), tokens[0].as_array().unwrap().len()), (4, 3));
    let text = sandbox
        .run("inspect task runs/train/pets --attention pets/val", 0)
        .stdout;
    assert!(text.contains("block 4") && text.contains("head 3"), "{text}");

    sandbox.run(
        &format!(
            "train --data-dir pets --method linear --epochs 1 --experiment probe --model {}",
            sandbox.model()
        ),
        0,
    );
    let run = sandbox.run("inspect task runs/train/probe --attention pets/val", 1);
    assert!(
        run.stderr.contains("has no prompts") && run.stderr.contains("hint: "),
        "{}",
        run.stderr
    );
}

#[test]
fn looking_inside() {
    let sandbox = Sandbox::new();
    trained(&sandbox, "--method bitfit");
    let model = sandbox
        .run(&format!("inspect model {} --json", sandbox.model()), 0)
        .json();
    assert_eq!(model["config"]["embed_dim"], 48);
    // Embedding 4 · 768 · 48; four blocks of five tokens: projections 4 · 48², attention 2 · 5 · 48, MLP 2 · 48 · 192.
    assert_eq!(model["macs_per_image"], 147_456 + 4 * 5 * (9_216 + 480 + 18_432));
    assert_eq!(model["described_by"], "config.json");
    assert_eq!(model["memory"].as_array().unwrap().len(), 6 * 3);
    let large = sandbox
        .run(
            "inspect model vit_large_patch16_224 --no-pretrained -b 64 --json",
            0,
        )
        .json();
    assert_eq!(large["params"], 303_301_632);
    let bytes = |row: &serde_json::Value, key: &str| row[key].as_u64().unwrap();
    for row in large["memory"].as_array().unwrap() {
        assert_eq!(row["batch_size"], 64);
        assert!(bytes(row, "train") >= bytes(row, "infer"), "{row}");
        assert!(bytes(row, "infer") > 4 * 303_301_632, "{row}");
    }
    let task = sandbox.run("inspect task runs/train/pets --json", 0).json();
    assert_eq!(task["format"], "vpt-task/1");
    assert_eq!(task["task"]["classes"], serde_json::json!(CLASSES));
    assert_eq!(task["backbone"]["sha256"], model["sha256"]);
    let data = sandbox.run("inspect data pets --json", 0).json();
    assert_eq!(data["classes"].as_array().unwrap().len(), 3);
    let device = sandbox.run("inspect device --check --json", 0).json();
    assert_eq!(device["check"]["passed"], true);
    for words in [
        "inspect task runs/train/pets",
        "inspect data pets",
        "inspect device",
        "inspect model",
    ] {
        assert!(!sandbox.run(words, 0).stdout.is_empty(), "{words}");
    }
}
