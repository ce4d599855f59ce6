//! Small valid files of each kind, from which the damaged ones are made.

use std::collections::BTreeMap;
use std::io::{Cursor, Write};

use serde_json::{Value, json};
use vpt_core::presets::Preset;
use vpt_core::task_file::{BackboneInfo, Calibration, FORMAT, TaskInfo, TrainingInfo};
use vpt_core::weights::{StoredFloat, encode};
use vpt_core::{
    Backbone, Classifier, HostTensor, MethodConfig, PromptConfig, PromptDepth, TaskFile, TaskMetadata,
    VitConfig,
};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use crate::other_libraries::in_transformers;

/// The smallest model that has everything.
pub fn backbone() -> Backbone {
    let config = VitConfig {
        img_size: [16, 16],
        patch_size: [8, 8],
        embed_dim: 8,
        depth: 2,
        num_heads: 2,
        ..VitConfig::default()
    };
    Backbone::random(config, 3, 1)
}

/// A safetensors file of `tensors`.
pub fn safetensors(tensors: &BTreeMap<String, HostTensor>) -> Vec<u8> {
    encode(tensors, &BTreeMap::new(), StoredFloat::F32).unwrap()
}

/// The smallest model of a family.
pub fn backbone_of(family: &str) -> Backbone {
    let mut args = Preset::find(family).unwrap().timm_args();
    let [height, width] = args.patch_size;
    args.img_size = [2 * height, 2 * width];
    (args.embed_dim, args.depth, args.num_heads) = (24, 2, 2);
    if let Some(swin) = &mut args.swin {
        (swin.depths, swin.num_heads) = (vec![1, 1], vec![2, 3]);
    }
    Backbone::random(args.resolve(), 3, 1)
}

/// timm's config.json of a model.
pub fn timm_config(backbone: &Backbone) -> Vec<u8> {
    backbone.model_config().to_json().unwrap().into_bytes()
}

/// The tensors in two shards, and the index that lists them.
pub fn shards() -> [Vec<u8>; 3] {
    let mut first = backbone().tensors;
    let second = first.split_off("blocks.1");
    let places = |tensors: &BTreeMap<String, HostTensor>, file: &str| -> Vec<(String, Value)> {
        tensors.keys().map(|name| (name.clone(), json!(file))).collect()
    };
    let all = [places(&first, "a.safetensors"), places(&second, "b.safetensors")].concat();
    let index = json!({ "metadata": { "total_size": 1 }, "weight_map": Value::from_iter(all) });
    [
        index.to_string().into_bytes(),
        safetensors(&first),
        safetensors(&second),
    ]
}

/// A NumPy archive.
pub fn npz() -> Vec<u8> {
    let entries = backbone().tensors.into_iter().map(|(name, tensor)| {
        let axes: String = tensor.shape.iter().map(|axis| format!("{axis}, ")).collect();
        let header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({axes}), }}\n");
        let length = (header.len() as u16).to_le_bytes();
        let array = [
            b"\x93NUMPY\x01\x00",
            &length[..],
            header.as_bytes(),
            &tensor.f32_bytes(),
        ]
        .concat();
        (format!("{name}.npy"), array)
    });
    zipped(entries)
}

/// A zip archive of `entries`.
pub fn zipped(entries: impl IntoIterator<Item = (String, Vec<u8>)>) -> Vec<u8> {
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    let stored = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    for (name, bytes) in entries {
        archive.start_file(name, stored).unwrap();
        archive.write_all(&bytes).unwrap();
    }
    archive.finish().unwrap().into_inner()
}

/// What `torch.save` writes since 1.6.
pub fn pytorch() -> Vec<u8> {
    let tensors = backbone().tensors;
    let mut entries = vec![
        ("archive/data.pkl".to_owned(), state_dict(&tensors, false)),
        ("archive/byteorder".to_owned(), b"little".to_vec()),
    ];
    for (key, tensor) in tensors.values().enumerate() {
        entries.push((format!("archive/data/{key}"), tensor.f32_bytes()));
    }
    entries.push(("archive/version".to_owned(), b"3\n".to_vec()));
    zipped(entries)
}

/// What `torch.save` wrote before.
pub fn old_pytorch() -> Vec<u8> {
    let tensors = backbone().tensors;
    let mut bytes = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.".to_vec();
    bytes.extend(b"\x80\x02M\xe9\x03.");
    bytes.extend(b"\x80\x02}(");
    text(&mut bytes, "protocol_version");
    bytes.extend(b"M\xe9\x03");
    text(&mut bytes, "little_endian");
    bytes.extend(b"\x88u.");
    bytes.extend(state_dict(&tensors, true));
    bytes.extend(b"\x80\x02](");
    for key in 0..tensors.len() {
        text(&mut bytes, &key.to_string());
    }
    bytes.extend(b"e.");
    for tensor in tensors.values() {
        bytes.extend((tensor.numel() as u64).to_le_bytes());
        bytes.extend(tensor.f32_bytes());
    }
    bytes
}

/// A pickle of protocol 2: a dictionary of tensors, their values in storages by number.
fn state_dict(tensors: &BTreeMap<String, HostTensor>, old: bool) -> Vec<u8> {
    let mut bytes = b"\x80\x02}(".to_vec();
    for (key, (name, tensor)) in tensors.iter().enumerate() {
        text(&mut bytes, name);
        bytes.extend(b"ctorch._utils\n_rebuild_tensor_v2\n((");
        text(&mut bytes, "storage");
        bytes.extend(b"ctorch\nFloatStorage\n");
        text(&mut bytes, &key.to_string());
        text(&mut bytes, "cpu");
        number(&mut bytes, tensor.numel());
        bytes.extend(if old { &b"NtQK\x00("[..] } else { b"tQK\x00(" });
        let mut strides = vec![1; tensor.shape.len()];
        for axis in (1..strides.len()).rev() {
            strides[axis - 1] = strides[axis] * tensor.shape[axis];
        }
        tensor.shape.iter().for_each(|&axis| number(&mut bytes, axis));
        bytes.extend(b"t(");
        strides.iter().for_each(|&stride| number(&mut bytes, stride));
        bytes.extend(b"t\x89ccollections\nOrderedDict\n)RtR");
    }
    bytes.extend(b"u.");
    bytes
}

fn text(bytes: &mut Vec<u8>, text: &str) {
    bytes.push(b'X');
    bytes.extend((text.len() as u32).to_le_bytes());
    bytes.extend(text.as_bytes());
}

fn number(bytes: &mut Vec<u8>, number: usize) {
    bytes.push(b'J');
    bytes.extend((number as u32).to_le_bytes());
}

/// A task file of deep prompts on [`backbone`].
pub fn task() -> Vec<u8> {
    let backbone = backbone();
    let method = MethodConfig::vpt(PromptConfig::new(PromptDepth::Deep, 2));
    let device = burn::tensor::Device::flex();
    let model = Classifier::new(&backbone, &method, 2, [16, 16], 1, &device).unwrap();
    let metadata = TaskMetadata {
        format: FORMAT.into(),
        vpt_version: "0.1.0".into(),
        task: TaskInfo {
            name: "task".into(),
            kind: vpt_data::TaskKind::Classification,
            classes: vec!["a".into(), "b".into()],
        },
        head: model.head_config(),
        method,
        backbone: BackboneInfo::of(&backbone),
        preprocess: backbone.preprocess.clone(),
        calibration: Calibration::default(),
        metrics: BTreeMap::new(),
        training: TrainingInfo {
            args: json!({}),
            seed: 1,
            data_fingerprint: String::new(),
            date: "2026-01-02T03:04:05Z".into(),
            epoch: 1,
        },
    };
    let tensors = model.tuned_tensors();
    TaskFile { metadata, tensors }.to_bytes(false).unwrap()
}

/// config.json and preprocessor_config.json of a ViT in transformers, of the shape of [`backbone`].
pub fn transformers_configs() -> [Vec<u8>; 2] {
    let config = json!({
        "architectures": ["ViTForImageClassification"], "model_type": "vit", "hidden_act": "gelu", "hidden_size": 8,
        "image_size": 16, "intermediate_size": 32, "layer_norm_eps": 1e-12, "num_attention_heads": 2,
        "num_channels": 3, "num_hidden_layers": 2, "patch_size": 8, "qkv_bias": true,
        "id2label": {"0": "a", "1": "b", "2": "c"}, "initializer_range": 0.02,
    });
    let preprocessor = json!({
        "do_normalize": true, "do_resize": true, "do_rescale": true, "rescale_factor": 0.00392156862745098,
        "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5],
        "image_processor_type": "ViTImageProcessor", "resample": 2, "size": {"height": 16, "width": 16},
    });
    [config, preprocessor].map(|document| document.to_string().into_bytes())
}

/// The tensors of [`backbone`] as transformers names them.
pub fn transformers_weights() -> Vec<u8> {
    let renamed = in_transformers(&backbone().tensors).into_iter();
    let prefixed = renamed.map(|(name, tensor)| match name.strip_prefix("head.") {
        Some(leaf) => (format!("classifier.{leaf}"), tensor),
        None => (format!("vit.{name}"), tensor),
    });
    safetensors(&prefixed.collect())
}

/// OpenCLIP's description beside weights.
pub fn open_clip_config() -> Vec<u8> {
    let config = json!({
        "model_cfg": {
            "embed_dim": 8, "quick_gelu": true,
            "vision_cfg": {"image_size": 16, "layers": 2, "width": 8, "patch_size": 8, "head_width": 4},
            "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 8, "heads": 2, "layers": 2},
        },
        "preprocess_cfg": {
            "mean": [0.48145466, 0.4578275, 0.40821073], "std": [0.26862954, 0.26130258, 0.27577711],
            "interpolation": "bicubic", "resize_mode": "shortest",
        },
    });
    config.to_string().into_bytes()
}
