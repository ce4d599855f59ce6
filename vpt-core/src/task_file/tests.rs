use serde_json::{Value, json};

use super::*;
use crate::{MethodConfig, PromptConfig, PromptDepth, VitConfig, init, preset};

pub(super) fn method(num_tokens: usize) -> MethodConfig {
    MethodConfig::vpt(PromptConfig::new(PromptDepth::Deep, num_tokens))
}

pub(super) fn metadata(backbone: &Backbone, method: MethodConfig, classes: usize) -> TaskMetadata {
    TaskMetadata {
        format: FORMAT.to_owned(),
        vpt_version: "0.1.0".to_owned(),
        task: TaskInfo {
            name: "retina".into(),
            kind: vpt_data::TaskKind::Classification,
            classes: (0..classes).map(|i| format!("grade {i}")).collect(),
        },
        head: HeadConfig::Linear,
        method,
        backbone: BackboneInfo::of(backbone),
        preprocess: backbone.preprocess.clone(),
        calibration: Calibration::default(),
        metrics: BTreeMap::from([("top1".to_owned(), 0.1 + 0.2), ("auroc".to_owned(), 1.0 / 3.0)]),
        training: TrainingInfo {
            args: json!({"lr": 0.05, "epochs": 30, "data_dir": "images/retina", "batch_size": 32}),
            seed: 42,
            data_fingerprint: "f".repeat(64),
            date: "2026-01-02T03:04:05Z".into(),
            epoch: 17,
        },
    }
}

pub(super) fn backbone() -> Backbone {
    let config = VitConfig {
        img_size: [32, 32],
        embed_dim: 24,
        depth: 2,
        num_heads: 2,
        ..VitConfig::default()
    };
    Backbone::random(config, 0, 1)
}

fn task() -> TaskFile {
    let backbone = backbone();
    let model = Classifier::new(&backbone, &method(3), 4, [32, 32], 5, &Device::flex()).unwrap();
    TaskFile {
        metadata: metadata(&backbone, method(3), 4),
        tensors: model.tuned_tensors(),
    }
}

/// The file's bytes with its document replaced by `change` of it.
fn with_document(change: impl FnOnce(&mut Value)) -> Vec<u8> {
    let mut document = serde_json::from_str(&task().metadata.to_json().unwrap()).unwrap();
    change(&mut document);
    let metadata = BTreeMap::from([(KEY.to_owned(), document.to_string())]);
    encoded(&metadata)
}

fn encoded(metadata: &BTreeMap<String, String>) -> Vec<u8> {
    encode(&task().tensors, metadata, StoredFloat::F32).unwrap()
}

fn error_of(bytes: &[u8]) -> CoreError {
    TaskFile::parse(Path::new("a.safetensors"), bytes).unwrap_err()
}

#[test]
fn round_trip_is_bit_exact_and_gives_the_same_logits() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("task.safetensors");
    let (task, backbone, device) = (task(), backbone(), Device::flex());
    task.save(&path, false).unwrap();
    let back = TaskFile::load(&path).unwrap();
    assert_eq!(back, task);
    assert_eq!(back.to_bytes(false).unwrap(), std::fs::read(&path).unwrap());

    let pixels = init::normal([2, 3, 32, 32], 1.0, &mut init::rng_of(0, "pixels")).to_tensor::<4>(&device);
    let logits = |task: &TaskFile| {
        let model = task.apply(&backbone, &device).unwrap();
        HostTensor::from_tensor(&model.forward(pixels.clone()))
            .unwrap()
            .f32_bytes()
    };
    assert_eq!(logits(&task), logits(&back));

    task.save(&path, true).unwrap();
    assert_eq!(TaskFile::load(&path).unwrap(), task.rounded_to_half());
    assert_ne!(logits(&task), logits(&task.rounded_to_half()));
}

#[test]
fn the_document_is_sorted_and_has_the_named_keys() {
    let text = task().metadata.to_json().unwrap();
    let keys = [
        "backbone",
        "calibration",
        "format",
        "method",
        "metrics",
        "preprocess",
        "task",
        "training",
    ];
    let places: Vec<_> = keys
        .iter()
        .map(|key| text.find(&format!("\"{key}\":")).expect(key))
        .collect();
    assert!(places.is_sorted(), "{text}");
    let document: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(document["format"], "vpt-task/1");
    assert_eq!(document["method"]["name"], "vpt-deep");
    assert_eq!(document["method"]["num_tokens"], 3);
    assert_eq!(document["preprocess"]["mean"], json!([0.5, 0.5, 0.5]));
    assert_eq!(document["calibration"]["temperature"], 1.0);
}

/// Design 4.2: ten deep prompts and two classes on a ViT-B/16.
#[test]
fn a_task_on_vit_base_is_small() {
    let config = preset("vit_base_patch16_224").unwrap();
    let mut rng = init::rng_of(0, "size");
    let mut draw = |shape: &[usize]| init::normal(shape.to_vec(), 0.02, &mut rng);
    let tensors = BTreeMap::from([
        ("prompts".to_owned(), draw(&[12, 10, 768])),
        ("head.weight".to_owned(), draw(&[2, 768])),
        ("head.bias".to_owned(), draw(&[2])),
    ]);
    let metadata = TaskMetadata {
        backbone: BackboneInfo {
            config,
            ..BackboneInfo::of(&backbone())
        },
        ..metadata(&backbone(), method(10), 2)
    };
    let task = TaskFile { metadata, tensors };
    let (full, half) = (
        task.to_bytes(false).unwrap().len(),
        task.to_bytes(true).unwrap().len(),
    );
    println!("{full} bytes, {half} with --half");
    assert!(full <= 400_000 && half <= 200_000, "{full} and {half} bytes");
    assert!(
        half < 190_000,
        "the document may take no more than a few kilobytes: {half} bytes"
    );
}

#[test]
fn another_backbone_is_refused_with_both_hashes() {
    let (task, backbone) = (task(), backbone());
    let other = Backbone {
        source: "other.safetensors".into(),
        ..Backbone::random(backbone.config.clone(), 0, 2)
    };
    let error = task.apply(&other, &Device::flex()).unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains(&backbone.sha256) && text.contains(&other.sha256),
        "{text}"
    );
    assert!(error.hint().unwrap().contains("--model"));
}

#[test]
fn foreign_files_and_formats_are_named() {
    let foreign = encoded(&BTreeMap::new());
    assert_eq!(
        error_of(&foreign).to_string(),
        "`a.safetensors` is not a vpt task file: its header has no entry `vpt`"
    );
    assert_eq!(
        error_of(&with_document(|d| d["format"] = json!("vpt-task/9"))).to_string(),
        "`a.safetensors` has the format `vpt-task/9`; this build reads `vpt-task/1`"
    );
    assert!(matches!(
        error_of(&with_document(|d| *d = json!([1]))),
        CoreError::NotTaskFile { .. }
    ));
    assert!(matches!(
        error_of(b"PK\x03\x04 not safetensors at all"),
        CoreError::Safetensors { .. }
    ));
}

#[test]
fn a_document_that_is_not_as_it_must_be_is_refused_by_key() {
    let key_of = |change: fn(&mut Value)| match error_of(&with_document(change)) {
        CoreError::Key { key, .. } => key,
        other => panic!("{other}"),
    };
    assert_eq!(key_of(|d| d["task"]["classes"] = json!(["a"])), "task.classes");
    assert_eq!(
        key_of(|d| d["task"]["classes"] = json!(["a", "b", "a", "c"])),
        "task.classes"
    );
    assert_eq!(key_of(|d| d["task"] = Value::Null), "task");
    assert_eq!(key_of(|d| d["method"]["name"] = json!("magic")), "method");
    assert_eq!(
        key_of(|d| d["backbone"]["sha256"] = json!("abc")),
        "backbone.sha256"
    );
    assert_eq!(
        key_of(|d| d["preprocess"]["std"] = json!([0, 1, 1])),
        "preprocess"
    );
    assert_eq!(
        key_of(|d| d["calibration"]["temperature"] = json!(0)),
        "calibration.temperature"
    );
    assert_eq!(
        key_of(|d| d["method"]["num_tokens"] = json!(1u64 << 50)),
        "method.num_tokens"
    );
    assert_eq!(
        key_of(|d| d["method"]["project_dim"] = json!(1u64 << 50)),
        "method.project_dim"
    );
}

#[test]
fn tensors_of_another_method_are_listed() {
    let mut task = task();
    task.metadata.method = method(4);
    let error = task.apply(&backbone(), &Device::flex()).unwrap_err().to_string();
    assert!(
        error.contains("`prompts`: expected [2, 4, 24], found [2, 3, 24]"),
        "{error}"
    );
}
