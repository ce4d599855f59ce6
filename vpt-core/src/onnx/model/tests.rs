//! What can be said of a graph without computing it. That it computes what the model does is checked with onnxruntime,
//! `scripts/check_onnx.py`.

use std::collections::{BTreeMap, BTreeSet};

use vpt_data::TaskKind;

use super::super::proto::{DataType, Values};
use super::*;
use crate::task_file::{BackboneInfo, Calibration, FORMAT, TaskInfo, TrainingInfo};
use crate::{
    Classifier, HeadConfig, HostTensor, MethodConfig, MethodOptions, TaskMetadata, VitConfig, init, preset,
};

const CLASSES: usize = 4;

fn backbone(name: &str) -> Backbone {
    let config = preset(name).unwrap();
    let patch = config.patch_size;
    let config = VitConfig {
        img_size: [2 * patch[0], 3 * patch[1]],
        embed_dim: 24,
        depth: 2,
        num_heads: 2,
        init_values: config.init_values.map(|_| 0.5),
        ..config
    };
    Backbone::random(config, 0, 1)
}

/// A task of whole images.
fn task(backbone: &Backbone, method: &str) -> TaskFile {
    task_with(backbone, method, HeadConfig::Linear, TaskKind::Classification)
}

/// A task whose tensors are moved off their start.
fn task_with(backbone: &Backbone, method: &str, head: HeadConfig, kind: TaskKind) -> TaskFile {
    let method = MethodConfig::parse(method, &MethodOptions::default()).unwrap();
    let (size, device) = (backbone.config.img_size, Device::flex());
    let model = Classifier::with_head(backbone, &method, head, CLASSES, size, 5, &device).unwrap();
    let mut tensors: BTreeMap<String, HostTensor> = model.tuned_tensors();
    for (name, tensor) in &mut tensors {
        let noise = init::normal(tensor.shape.clone(), 0.1, &mut init::rng_of(6, name));
        tensor
            .data
            .iter_mut()
            .zip(noise.data)
            .for_each(|(x, noise)| *x += noise);
    }
    let metadata = TaskMetadata {
        format: FORMAT.to_owned(),
        vpt_version: "0".to_owned(),
        task: TaskInfo {
            name: "pets".to_owned(),
            kind,
            classes: (0..CLASSES).map(|class| format!("\"class\" {class}")).collect(),
        },
        head,
        method,
        backbone: BackboneInfo::of(backbone),
        preprocess: backbone.preprocess.clone(),
        calibration: Calibration {
            temperature: 1.5,
            ..Calibration::default()
        },
        metrics: BTreeMap::new(),
        training: TrainingInfo {
            args: serde_json::json!({"data_dir": "/home/somebody/pets"}),
            seed: 5,
            data_fingerprint: String::new(),
            date: String::new(),
            epoch: 1,
        },
    };
    TaskFile { metadata, tensors }
}

fn exported(backbone: &Backbone, method: &str, half: bool) -> OnnxModel {
    OnnxModel::new(&task(backbone, method), backbone, half).unwrap()
}

/// Every node reads what stands before it, no name is given twice, nothing is there that nobody reads, and constants have as
/// many values as their shapes say.
#[test]
fn graphs_are_whole() {
    let methods = [
        "linear",
        "mlp-2",
        "lora",
        "ssf",
        "adapter",
        "adaptformer",
        "vpt-shallow",
        "vpt-deep",
    ];
    let families = [
        "vit_tiny_patch16_224",
        "eva02_small_patch14_224",
        "vit_small_patch16_dinov3",
        "beitv2_base_patch16_224",
        "vit_base_patch16_siglip_224",
        "vit_base_patch16_clip_quickgelu_224",
    ];
    for family in families {
        let backbone = backbone(family);
        let whole = methods.map(|method| (method, HeadConfig::Linear, TaskKind::Classification));
        let [boxes, masks, linear] = [
            HeadConfig::detection(Some(8)),
            HeadConfig::segmentation(Some(8), 16),
            HeadConfig::segmentation(Some(0), 16),
        ];
        let places = [
            ("vpt-deep", boxes, TaskKind::Detection),
            ("vpt-shallow", masks, TaskKind::Segmentation),
            ("ssf", linear, TaskKind::Segmentation),
        ];
        for (method, head, kind) in whole.into_iter().chain(places) {
            let task = task_with(&backbone, method, head, kind);
            let graph = OnnxModel::new(&task, &backbone, false).unwrap().model.graph;
            let mut known: BTreeSet<&str> = graph.input.iter().map(|input| &*input.name).collect();
            for constant in &graph.initializer {
                assert!(
                    known.insert(&constant.name),
                    "{family} {method}: two of {}",
                    constant.name
                );
                let size = if constant.data_type == DataType::Int64 {
                    8
                } else {
                    4
                };
                let Values::Raw(bytes) = &constant.values else {
                    panic!("{} lies elsewhere", constant.name);
                };
                let values = constant.dims.iter().product::<i64>() as usize;
                assert_eq!(bytes.len(), size * values, "{family} {method}: {}", constant.name);
            }
            let mut read: BTreeSet<&str> = graph.output.iter().map(|output| &*output.name).collect();
            for node in &graph.node {
                for input in &node.input {
                    assert!(
                        known.contains(&**input),
                        "{family} {method}: {} reads {input}",
                        node.name
                    );
                    read.insert(input);
                }
                for output in &node.output {
                    assert!(known.insert(output), "{family} {method}: two of {output}");
                }
            }
            let idle: Vec<_> = known.difference(&read).collect();
            assert!(idle.is_empty(), "{family} {method}: nobody reads {idle:?}");
        }
    }
}

#[test]
fn the_file_says_what_it_is() {
    let backbone = backbone("vit_tiny_patch16_224");
    let model = exported(&backbone, "vpt-deep", false);
    let section =
        |key: &str| -> serde_json::Value { serde_json::from_str(model.metadata(key).unwrap()).unwrap() };
    assert_eq!(model.metadata("format"), Some(OnnxModel::FORMAT));
    assert_eq!(section("task")["classes"][3], "\"class\" 3");
    assert_eq!(section("task")["kind"], "classification");
    assert_eq!(section("preprocess")["mean"], serde_json::json!([0.5, 0.5, 0.5]));
    assert_eq!(section("preprocess")["input_size"], serde_json::json!([32, 48]));
    assert_eq!(section("calibration")["temperature"], 1.5);
    assert_eq!(section("method")["num_tokens"], 10);
    assert_eq!(section("backbone")["sha256"], backbone.sha256);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pets.onnx");
    let files = model.clone().save(&path).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    assert_eq!((files.model_bytes, files.data_bytes), (bytes.len() as u64, None));
    let said = String::from_utf8_lossy(&bytes);
    assert!(
        said.contains("pixels") && !said.contains("somebody"),
        "nothing about the machine"
    );
}

/// Deep prompts are keys and values of their own: twice `P · D` values for each block, and no node more for the queries.
#[test]
fn deep_prompts_are_constants() {
    let graph = exported(&backbone("vit_tiny_patch16_224"), "vpt-deep", false)
        .model
        .graph;
    for i in 0..2 {
        for part in ["k", "v"] {
            let name = format!("blocks.{i}.attn.prompts.{part}");
            let constant = graph
                .initializer
                .iter()
                .find(|constant| constant.name == name)
                .unwrap();
            assert_eq!(constant.dims, [1, 2, 10, 12], "{name}");
        }
    }
}

#[test]
fn half_widens_what_it_stores() {
    let graph = exported(&backbone("vit_tiny_patch16_224"), "vpt-deep", true)
        .model
        .graph;
    let halves: Vec<_> = graph
        .initializer
        .iter()
        .filter(|tensor| tensor.data_type == DataType::Float16)
        .collect();
    assert!(
        halves
            .iter()
            .any(|tensor| tensor.name == "blocks.1.mlp.fc2.weight.float16")
    );
    let casts = graph.node.iter().filter(|node| node.op_type == "Cast").count();
    assert_eq!(casts, halves.len());
}

#[test]
fn large_weights_lie_beside_the_model() {
    let folder = tempfile::tempdir().unwrap();
    let model = exported(&backbone("vit_tiny_patch16_224"), "linear", false);
    let whole = model.clone().save(&folder.path().join("whole.onnx")).unwrap();
    let path = folder.path().join("parts.onnx");
    let parts = model.clone().save_within(&path, whole.model_bytes - 1).unwrap();
    let data = std::fs::read(folder.path().join("parts.onnx.data")).unwrap();
    assert_eq!(parts.data_bytes, Some(data.len() as u64));
    assert!(parts.model_bytes < whole.model_bytes / 2);
    let mut moved = model.model.clone();
    move_out(&mut moved, &path).unwrap();
    let pairs = model.model.graph.initializer.iter().zip(&moved.graph.initializer);
    let mut checked = 0;
    for (before, after) in pairs {
        let (Values::Raw(bytes), Values::External(entries)) = (&before.values, &after.values) else {
            continue;
        };
        let number = |place: usize| entries[place].value.parse::<usize>().unwrap();
        assert_eq!(entries[0].value, "parts.onnx.data");
        assert_eq!(&data[number(1)..number(1) + number(2)], bytes, "{}", before.name);
        assert_eq!(number(1) % 4096, 0);
        checked += 1;
    }
    assert!(checked >= 9, "{checked} tensors");
}

#[test]
fn what_a_graph_cannot_be_is_refused() {
    let backbone = backbone("vit_tiny_patch16_224");
    let mut large = task(&backbone, "full");
    large.tensors.get_mut("blocks.0.attn.proj.weight").unwrap().data[3] = 1e6;
    let said = OnnxModel::new(&large, &backbone, true).unwrap_err().to_string();
    assert!(
        said.contains("blocks.0.attn.proj.weight") && said.contains("--half"),
        "{said}"
    );
    assert!(OnnxModel::new(&large, &backbone, false).is_ok());
    let other = Backbone::random(backbone.config.clone(), 0, 2);
    assert!(matches!(
        OnnxModel::new(&task(&backbone, "linear"), &other, false),
        Err(CoreError::OtherBackbone { .. })
    ));
}

/// Updates of low rank, scales and shifts in the weights answer what they answer beside them.
#[test]
fn folded_weights_answer_the_same() {
    let device = Device::flex();
    for family in [
        "vit_tiny_patch16_224",
        "vit_base_patch16_clip_quickgelu_224",
        "vit_small_patch16_dinov3",
        "eva02_base_patch14_224",
        "vit_giant_patch14_reg4_dinov2",
        "beitv2_base_patch16_224",
    ] {
        let backbone = backbone(family);
        let [height, width] = backbone.config.img_size;
        let pixels = init::normal([2, 3, height, width], 1.0, &mut init::rng_of(0, "pixels"));
        for method in ["lora", "ssf"] {
            let model = task(&backbone, method).apply(&backbone, &device).unwrap();
            let logits = |model: &Classifier| {
                HostTensor::from_tensor(&model.forward(pixels.to_tensor(&device)))
                    .unwrap()
                    .data
            };
            let beside = logits(&model);
            let within = logits(&model.folded());
            for (a, b) in beside.iter().zip(&within) {
                assert!((a - b).abs() < 1e-5, "{family} {method}: {a} and {b}");
            }
        }
    }
}
