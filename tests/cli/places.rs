//! Boxes and masks: the same commands, and one backbone for tasks of three kinds.

use image::{GrayImage, Luma, Rgb, RgbImage};
use serde_json::Value;

use crate::sandbox::Sandbox;

/// A bright rectangle on noise: its edges in pixels.
fn rectangle(seed: usize) -> [u32; 4] {
    let at = |factor: usize, room: usize| (seed * factor % room) as u32;
    let (x, y) = (at(7, 30), at(11, 24));
    [x, y, x + 14 + at(5, 12), y + 12 + at(3, 10)]
}

fn picture(seed: usize) -> RgbImage {
    let [x0, y0, x1, y1] = rectangle(seed);
    let noise = |x: u32, y: u32| ((x * 37 + y * 101 + seed as u32 * 53) % 97) as u8;
    RgbImage::from_fn(60, 48, |x, y| {
        let inside = (x0..x1).contains(&x) && (y0..y1).contains(&y);
        let channel = |shift: u32| noise(x + shift, y).saturating_add(if inside { 150 } else { 0 });
        Rgb([channel(0), channel(5), noise(y, x)])
    })
}

/// A data set of YOLO: one rectangle in each picture, of one of two classes by its place.
fn draw_boxes(sandbox: &Sandbox) {
    draw_yolo(sandbox, "boxes", |[x0, y0, x1, y1]| {
        format!(
            "{} {} {} {}",
            f64::midpoint(x0, x1),
            f64::midpoint(y0, y1),
            x1 - x0,
            y1 - y0
        )
    });
}

/// The same with the four corners of each rectangle.
fn draw_outlines(sandbox: &Sandbox) {
    draw_yolo(sandbox, "outlines", |[x0, y0, x1, y1]| {
        format!("{x0} {y0} {x1} {y0} {x1} {y1} {x0} {y1}")
    });
}

/// `place` says where a rectangle lies, given by its edges in parts of the picture.
fn draw_yolo(sandbox: &Sandbox, folder: &str, place: impl Fn([f64; 4]) -> String) {
    let mut description = String::from("names: [left, right]\n");
    for (split, count) in [("train", 8), ("val", 4), ("test", 5)] {
        description += &format!("{split}: images/{split}\n");
        for index in 0..count {
            let seed = index + 100 * split.len();
            let name = format!("{folder}/images/{split}/{index}.png");
            sandbox.write(&name, "");
            picture(seed).save(sandbox.path(&name)).unwrap();
            let [x0, y0, x1, y1] = rectangle(seed).map(f64::from);
            let edges = [x0 / 60.0, y0 / 48.0, x1 / 60.0, y1 / 48.0];
            let class = u8::from(edges[0] + edges[2] > 1.0);
            let line = format!("{class} {}\n", place(edges));
            sandbox.write(&format!("{folder}/labels/{split}/{index}.txt"), line);
        }
    }
    sandbox.write(&format!("{folder}/data.yaml"), description);
}

/// The same pictures with masks.
fn draw_masks(sandbox: &Sandbox) {
    for (split, count) in [("train", 6), ("val", 3), ("test", 4)] {
        for index in 0..count {
            let seed = index + 100 * split.len();
            let [x0, y0, x1, y1] = rectangle(seed);
            let mask = GrayImage::from_fn(60, 48, |x, y| {
                Luma([255 * u8::from((x0..x1).contains(&x) && (y0..y1).contains(&y))])
            });
            for (kind, bytes) in [("images", None), ("masks", Some(mask))] {
                let name = format!("shapes/{split}/{kind}/{index}.png");
                sandbox.write(&name, "");
                let path = sandbox.path(&name);
                match bytes {
                    None => picture(seed).save(path).unwrap(),
                    Some(mask) => mask.save(path).unwrap(),
                }
            }
        }
    }
}

fn train(sandbox: &Sandbox, data: &str, flags: &str) {
    let model = sandbox.model();
    sandbox.run(
        &format!("train --data-dir {data} --batch 4 --img-size 64 --model {model} {flags}"),
        0,
    );
}

#[test]
fn boxes_are_trained_evaluated_predicted_and_compared() {
    let sandbox = Sandbox::new();
    draw_boxes(&sandbox);
    train(&sandbox, "boxes", "--num-tokens 2 --head-width 16 --epochs 2");
    let files = sandbox.listing("runs/train/boxes");
    for file in [
        "args.toml",
        "results.json",
        "predictions.json",
        "best.safetensors",
        "report.html",
        "PR_curve.svg",
        "F1_curve.svg",
        "FROC_curve.svg",
    ] {
        assert!(files.iter().any(|found| found == file), "no {file} in {files:?}");
    }
    let page = String::from_utf8(sandbox.read("runs/train/boxes/report.html")).unwrap();
    assert!(page.contains("what was found") && page.contains("<svg"));
    let trained = sandbox.json("runs/train/boxes/results.json");
    assert_eq!(trained["kind"], "detection");
    assert_eq!(trained["per_class_places"][0]["class"], "left");
    let again = sandbox.run("eval runs/train/boxes --json", 0).json();
    assert_eq!(
        again["metrics"], trained["metrics"],
        "eval repeats what training reported"
    );
    assert!(again["metrics"]["ap"]["value"].is_number());
    let table = sandbox.run("eval runs/train/boxes", 0).stdout;
    assert!(table.contains("AP50 %") && table.contains("froc"), "{table}");

    let lines = sandbox
        .run("predict runs/train/boxes boxes/images/test --json --threshold 0 --draw drawn --output found.json", 0)
        .stdout;
    let first: Value = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
    assert_eq!(first["size"], serde_json::json!([60, 48]));
    let object = &first["objects"][0];
    assert!(
        object["score"].is_number() && object["bbox"].as_array().unwrap().len() == 4,
        "{first}"
    );
    let document = sandbox.json("found.json");
    assert_eq!(document["images"].as_array().unwrap().len(), 5);
    assert!(document["annotations"].as_array().unwrap().len() >= 5);
    assert_eq!(sandbox.listing("drawn").len(), 5);
    sandbox.run(
        "predict runs/train/boxes boxes/images/test --threshold 0 --output labels",
        0,
    );
    let text = String::from_utf8(sandbox.read("labels/0.txt")).unwrap();
    assert_eq!(text.lines().next().unwrap().split(' ').count(), 6, "{text}");

    let model = sandbox.model();
    let compare = format!(
        "compare --data-dir boxes --methods vpt-deep,linear --baseline linear --seeds 2 --epochs 1 --batch 4 --img-size 64 --num-tokens 2 --model {model}"
    );
    let first = sandbox.run(&compare, 0);
    let comparison = sandbox.json("runs/compare/boxes/comparison.json");
    assert_eq!(comparison["rows"][0]["method"], "vpt-deep");
    assert_eq!(
        sandbox.run(&compare, 0).stdout,
        first.stdout,
        "nothing is trained twice"
    );
}

#[test]
fn one_backbone_serves_tasks_of_three_kinds_in_turn() {
    let sandbox = Sandbox::new();
    draw_boxes(&sandbox);
    draw_masks(&sandbox);
    train(&sandbox, "boxes", "--method linear --epochs 2");
    train(
        &sandbox,
        "shapes",
        "--num-tokens 2 --epochs 2 --windows 2 --mosaic 0.5",
    );
    crate::end_to_end::trained(&sandbox, "--num-tokens 3");
    let suite = sandbox.run("eval --suite runs/train --save-predictions together --json", 0);
    let suite = suite.json();
    assert_eq!(suite["backbones"], 1);
    let kinds: Vec<&str> = suite["tasks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|task| task["results"]["kind"].as_str().unwrap())
        .collect();
    assert_eq!(kinds, ["detection", "classification", "segmentation"]);
    for task in ["boxes", "pets", "shapes"] {
        let alone = sandbox.run(&format!("eval runs/train/{task} --json"), 0).json();
        let tasks = suite["tasks"].as_array().unwrap();
        let together = tasks.iter().find(|found| found["name"] == task).unwrap();
        assert_eq!(together["results"]["metrics"], alone["metrics"], "{task}");
        // What one process finds for all three is, to the last digit, what a process of its own finds for each.
        let file = if task == "pets" {
            "predictions.csv"
        } else {
            "predictions.json"
        };
        sandbox.run(&format!("eval runs/train/{task} --save-predictions {file}"), 0);
        let found = sandbox.read(&format!("together/{task}/{file}"));
        assert_eq!(found, sandbox.read(file), "{task}");
        assert_eq!(
            found,
            sandbox.read(&format!("runs/train/{task}/{file}")),
            "{task}"
        );
    }
    let entry = "[[task]]\nfile = \"runs/train/pets\"\n";
    sandbox.write("twice.toml", entry.repeat(2));
    let said = sandbox
        .run("eval --suite twice.toml --save-predictions twice", 2)
        .stderr;
    assert!(
        said.contains("`pets`") && !sandbox.path("twice").exists(),
        "{said}"
    );
    let shapes = sandbox.json("runs/train/shapes/results.json");
    assert!(shapes["metrics"]["miou"]["value"].as_f64().unwrap() > 0.0);
    sandbox.run("predict runs/train/shapes shapes/test/images --output masks", 0);
    let mask = image::open(sandbox.path("masks/0.png")).unwrap().to_luma8();
    assert_eq!(mask.dimensions(), (60, 48));
    assert!(mask.pixels().all(|pixel| pixel.0[0] < 2));
}

#[test]
fn outlines_are_boxes_or_masks_as_asked() {
    let sandbox = Sandbox::new();
    draw_outlines(&sandbox);
    let has = |flags: &str, what: &str| {
        let words = format!("inspect data outlines {flags} --json");
        !sandbox.run(&words, 0).json()[what].is_null()
    };
    assert!(has("", "objects") && !has("", "pixels"));
    assert!(has("--kind segmentation", "pixels") && !has("--kind segmentation", "objects"));
    train(
        &sandbox,
        "outlines",
        "--kind segmentation --method linear --head-width 0 --epochs 1",
    );
    let results = sandbox.json("runs/train/outlines/results.json");
    assert_eq!(results["kind"], "segmentation");
    let classes: Vec<_> = (0..3)
        .map(|class| results["per_class_places"][class]["class"].clone())
        .collect();
    assert_eq!(classes, ["background", "left", "right"]);
    for flags in ["", "--data-dir outlines"] {
        let again = sandbox
            .run(&format!("eval runs/train/outlines {flags} --json"), 0)
            .json();
        assert_eq!(again["metrics"], results["metrics"], "{flags}");
    }
    draw_boxes(&sandbox);
    let said = sandbox.run("inspect data boxes --kind segmentation", 1).stderr;
    assert!(said.contains("outline"), "{said}");
}

#[test]
fn folds_are_pooled() {
    let sandbox = Sandbox::new();
    draw_boxes(&sandbox);
    train(
        &sandbox,
        "boxes",
        "--method linear --head-width 8 --folds 2 --epochs 1",
    );
    let results = sandbox.json("runs/folds/boxes/results.json");
    assert_eq!(
        (&results["split"], &results["images"]),
        (&"folds".into(), &12.into())
    );
    assert!(results["metrics"]["ap"]["value"].is_number());
    let found = sandbox.json("runs/folds/boxes/predictions.json");
    assert_eq!(found["images"].as_array().unwrap().len(), 12);
}

#[test]
fn what_boxes_cannot_have_is_said() {
    let sandbox = Sandbox::new();
    draw_boxes(&sandbox);
    let model = sandbox.model();
    let refused = |flags: &str| {
        let words = format!("train --data-dir boxes --epochs 1 --img-size 64 --model {model} {flags}");
        let run = crate::sandbox::Run::from(sandbox.command(&words).output().unwrap());
        assert!(matches!(run.code, Some(1 | 2)), "{flags}: {}", run.stderr);
        run.stderr
    };
    assert!(refused("--mixup 0.2").contains("mixup"));
    assert!(refused("--class-weights balanced").contains("--class-weights"));
    assert!(refused("--windows 2").contains("--windows"));
    assert!(refused("--kind classification").contains("--kind"));
    assert!(refused("--method mlp-2").contains("mlp-2"));
    assert!(
        sandbox
            .run("knn --data-dir boxes", 2)
            .stderr
            .contains("boxes or masks")
    );
    sandbox.draw("pets", &["ant", "bee"], [3, 2, 2]);
    let pets = |flags: &str| {
        let words = format!("train --data-dir pets --epochs 1 --model {model} {flags}");
        sandbox.run(&words, 1).stderr
    };
    assert!(pets("--head-width 8").contains("--head-width"));
    assert!(pets("--mosaic 0.5").contains("mosaic"));
}

#[test]
fn damaged_predictions_are_named() {
    let sandbox = Sandbox::new();
    draw_boxes(&sandbox);
    train(
        &sandbox,
        "boxes",
        "--method linear --head-width 8 --epochs 1 --experiment a",
    );
    let good = String::from_utf8(sandbox.read("runs/train/a/predictions.json")).unwrap();
    let mut document: Value = serde_json::from_str(&good).unwrap();
    document["images"][0]["found"] = serde_json::json!([{"class": 0, "score": 0.5, "bbox": [10, 0, 0, 10]}]);
    sandbox.write("runs/train/a/predictions.json", document.to_string());
    let said = sandbox.run("compare --runs runs/train/a runs/train/a", 1).stderr;
    assert!(said.contains("detection 1"), "{said}");
    document["images"][0]["found"] = serde_json::json!([{"class": 9, "score": 0.5, "bbox": [0, 0, 9, 9]}]);
    sandbox.write("runs/train/a/predictions.json", document.to_string());
    let said = sandbox.run("compare --runs runs/train/a runs/train/a", 1).stderr;
    assert!(said.contains("class 9"), "{said}");
    sandbox.run("export runs/train/a --output merged", 1);
    let exported = sandbox.run("export runs/train/a --format onnx --output a.onnx", 0);
    assert!(
        exported.stderr.contains("`boxes` [batch, points, 4]"),
        "{}",
        exported.stderr
    );
    let bytes = sandbox.read("a.onnx");
    assert!(String::from_utf8_lossy(&bytes).contains("scores"));
}
