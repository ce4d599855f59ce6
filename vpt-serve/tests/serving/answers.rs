//! What is answered is what the task says.

use burn::tensor::Device;
use serde_json::Value;
use vpt_core::{HostTensor, TaskFile};
use vpt_data::{TaskKind, decode_bytes};
use vpt_serve::ServeOptions;

use crate::served::{Served, backbone, picture, post, task};

/// Logits of a task for an image, without a server.
pub fn logits(task: &TaskFile, image: &[u8]) -> Vec<f32> {
    let device = Device::flex();
    let model = task.apply(&backbone(1), &device).unwrap();
    let preprocess = &task.metadata.preprocess;
    let [height, width] = preprocess.input_size;
    let pixels = HostTensor {
        shape: vec![1, 3, height, width],
        data: preprocess.apply(&decode_bytes("image", image).unwrap()),
    };
    HostTensor::from_tensor(&model.forward(pixels.to_tensor(&device)))
        .unwrap()
        .data
}

/// The logits of the first prediction of an answer.
pub fn answered(answer: &Value) -> Vec<f32> {
    let logits = answer["predictions"][0]["logits"].as_array().unwrap();
    logits
        .iter()
        .map(|logit| logit.as_f64().unwrap() as f32)
        .collect()
}

/// The largest difference between two lists.
pub fn apart(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

fn five_tasks() -> [(&'static str, TaskFile); 5] {
    [
        ("deep", task("vpt-deep", TaskKind::Classification, 4, 1)),
        ("linear", task("linear", TaskKind::MultiLabel, 3, 2)),
        ("shallow", task("vpt-shallow", TaskKind::Ordinal, 5, 3)),
        ("boxes", task("vpt-deep", TaskKind::Detection, 2, 4)),
        ("masks", task("vpt-deep", TaskKind::Segmentation, 3, 5)),
    ]
}

#[test]
fn an_image_alone_is_judged_bit_for_bit_as_without_a_server() {
    let tasks = five_tasks();
    let served = Served::start(&tasks, ServeOptions::default());
    for (name, task) in &tasks[..3] {
        for seed in 0..3 {
            let image = picture(seed);
            let answer = served.predict(&format!("/v1/tasks/{name}/predict"), &image);
            assert_eq!(answered(&answer), logits(task, &image), "{name}");
            let prediction = &answer["predictions"][0];
            assert_eq!(prediction["size"], serde_json::json!([60 + seed % 7, 40]));
            let probs: f64 = prediction["probs"]
                .as_array()
                .unwrap()
                .iter()
                .map(|p| p.as_f64().unwrap())
                .sum();
            match *name {
                "linear" => assert!(prediction["labels"].is_array()),
                _ => assert!((probs - 1.0).abs() < 1e-12 && prediction.get("labels").is_none()),
            }
        }
    }
}

#[test]
fn all_kinds_answer_one_request_on_the_same_image() {
    let tasks = five_tasks();
    let served = Served::start(&tasks, ServeOptions::default());
    let image = picture(4);
    let all = served.predict("/v1/predict?attention=true", &image);
    let results = all["results"].as_array().unwrap();
    let names: Vec<&str> = results
        .iter()
        .map(|result| result["task"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["boxes", "deep", "linear", "masks", "shallow"]);
    for (name, task) in &tasks[..3] {
        let result = results.iter().find(|result| result["task"] == *name).unwrap();
        let apart = apart(&answered(result), &logits(task, &image));
        assert!(apart < 5e-6, "{name}: {apart}");
        let map = &result["predictions"][0]["attention"];
        let values = map["values"].as_array().unwrap();
        assert_eq!(map["grid"], serde_json::json!([2, 3]));
        let sum: f64 = values.iter().map(|value| value.as_f64().unwrap()).sum();
        assert!(values.len() == 6 && sum > 0.0 && sum <= 1.0 + 1e-6);
    }
    let boxes = results[0]["predictions"][0]["objects"].as_array().unwrap();
    assert!(!boxes.is_empty());
    let inside = |object: &Value| {
        let edge = |i: usize| object["bbox"][i].as_f64().unwrap();
        edge(0) >= 0.0 && edge(1) >= 0.0 && edge(2) <= 64.0 && edge(3) <= 40.0 && edge(0) < edge(2)
    };
    assert!(boxes.iter().all(inside), "{boxes:?}");
    let masks = results[3]["predictions"][0]["masks"].as_array().unwrap();
    let shares: f64 = masks.iter().map(|mask| mask["share"].as_f64().unwrap()).sum();
    assert!((shares - 1.0).abs() < 1e-9);
    for mask in masks {
        let counts = mask["segmentation"]["counts"].as_str().unwrap();
        let rle = vpt_data::Rle::from_text([64, 40], counts).unwrap();
        let share = rle.area() as f64 / (64.0 * 40.0);
        assert!((share - mask["share"].as_f64().unwrap()).abs() < 1e-12);
    }
}

#[test]
fn boxes_and_masks_are_those_of_predict() {
    use vpt_core::heads::Suppression;
    use vpt_eval::{Finder, FoundIn};
    let tasks = five_tasks();
    let served = Served::start(&tasks, ServeOptions::default());
    let (image, device) = (picture(5), Device::flex());
    let picture = decode_bytes("image", &image).unwrap();
    for (name, task) in &tasks[3..] {
        let answer = served.predict(&format!("/v1/tasks/{name}/predict"), &image);
        let prediction = &answer["predictions"][0];
        let model = task.apply(&backbone(1), &device).unwrap();
        let finder = Finder::new(&model, Suppression::default()).unwrap();
        let pictures = std::slice::from_ref(&picture);
        let found = finder
            .find_in(&model, pictures, &task.metadata.preprocess, &device)
            .unwrap();
        match &found[0] {
            FoundIn::Objects(objects) => {
                let shown: Vec<_> = objects.iter().filter(|object| object.score >= 0.001).collect();
                let answered = prediction["objects"].as_array().unwrap();
                assert_eq!(shown.len(), answered.len());
                for (shown, answered) in shown.iter().zip(answered) {
                    assert_eq!(answered["score"], shown.score);
                    assert_eq!(answered["bbox"], serde_json::json!(shown.bbox));
                }
            }
            FoundIn::Mask(mask, size) => {
                for class in prediction["masks"].as_array().unwrap() {
                    let counts = class["segmentation"]["counts"].as_str().unwrap();
                    let pixels = vpt_data::Rle::from_text(*size, counts).unwrap().area();
                    let label = class["label"].as_str().unwrap();
                    let number: u8 = label.strip_prefix("class ").unwrap().parse().unwrap();
                    assert_eq!(
                        pixels,
                        mask.iter().filter(|&&other| other == number).count() as u64
                    );
                }
            }
        }
    }
}

#[test]
fn decisions_are_those_of_the_task_file() {
    let mut careful = task("vpt-deep", TaskKind::Classification, 2, 1);
    careful.metadata.calibration.temperature = 2.0;
    careful.metadata.calibration.threshold = Some(1.0);
    careful.metadata.calibration.abstain_below = Some(0.999);
    let served = Served::start(&[("careful", careful.clone())], ServeOptions::default());
    let answer = served.predict("/v1/tasks/careful/predict", &picture(1));
    let prediction = &answer["predictions"][0];
    let calibration = &careful.metadata.calibration;
    let probs = calibration.probs(&answered(&answer));
    assert_eq!(prediction["probs"], serde_json::json!(probs));
    assert_eq!(prediction["label"], "class 0", "nothing reaches a threshold of 1");
    let decision = calibration.decide(&answered(&answer));
    assert_eq!(prediction["abstained"], decision.abstained);
}

#[test]
fn many_clients_share_batches_and_each_gets_its_own_answer() {
    let tasks = five_tasks();
    let options = ServeOptions {
        max_wait: std::time::Duration::from_millis(100),
        max_batch: 64,
        ..ServeOptions::default()
    };
    let served = Served::start(&tasks, options);
    std::thread::scope(|scope| {
        for seed in 0..24_u32 {
            let (name, task) = &tasks[seed as usize % 3];
            let url = &served.url;
            scope.spawn(move || {
                let image = picture(seed);
                let answer = post(url, &format!("/v1/tasks/{name}/predict"), "image/png", &image);
                let apart = apart(&answered(&answer.json()), &logits(task, &image));
                assert!(apart < 5e-6, "{name}: {apart}");
            });
        }
    });
    let metrics = served.get("/metrics").text;
    let value = |name: &str| -> f64 {
        let line = metrics.lines().find(|line| line.starts_with(name)).unwrap();
        line.rsplit(' ').next().unwrap().parse().unwrap()
    };
    assert_eq!(value("vpt_batch_inputs_sum"), 24.0);
    assert!(value("vpt_batch_inputs_count") < 24.0, "some shared a batch");
    assert_eq!(value("vpt_queue_inputs"), 0.0);
    assert_eq!(value("vpt_predictions_total{task=\"deep\"}"), 8.0);
}
