//! Files with changed and missing bytes: an error or a usable result, never a panic.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use burn::tensor::Device;
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::json;
use vpt_core::task_file::{BackboneInfo, Calibration, FORMAT, TaskInfo, TrainingInfo};
use vpt_core::{
    Backbone, Classifier, MethodConfig, PromptConfig, PromptDepth, TaskFile, TaskMetadata, VitConfig,
};

fn backbone() -> Backbone {
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

fn task() -> Vec<u8> {
    let backbone = backbone();
    let method = MethodConfig::vpt(PromptConfig::new(PromptDepth::Deep, 2));
    let model = Classifier::new(&backbone, &method, 2, [16, 16], 1, &Device::flex()).expect("a model");
    let metadata = TaskMetadata {
        format: FORMAT.into(),
        vpt_version: "0.1.0".into(),
        task: TaskInfo {
            name: "task".into(),
            kind: "classification".into(),
            classes: vec!["a".into(), "b".into()],
        },
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
    TaskFile { metadata, tensors }
        .to_bytes(false)
        .expect("finite values")
}

/// The bytes with some replaced, and cut where `cut` says. Every second change lands in the first `header`
/// bytes, which decide how the rest is read.
fn damaged(mut bytes: Vec<u8>, changes: &[(Index, u8)], cut: Option<Index>, header: usize) -> Vec<u8> {
    for (i, (at, value)) in changes.iter().enumerate() {
        let reach = if i % 2 == 0 {
            header.min(bytes.len())
        } else {
            bytes.len()
        };
        bytes[at.index(reach)] = *value;
    }
    if let Some(cut) = cut {
        bytes.truncate(cut.index(bytes.len()));
    }
    bytes
}

fn changes() -> impl Strategy<Value = Vec<(Index, u8)>> {
    // Digits, brackets and quotes make files that are still JSON more often than any byte would.
    let byte = prop_oneof![
        any::<u8>(),
        prop::sample::select(b"0123456789[]{},:\" -.".to_vec())
    ];
    prop::collection::vec((any::<Index>(), byte), 1..8)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn task_files(changes in changes(), cut in prop::option::weighted(0.2, any::<Index>())) {
        let bytes = damaged(task(), &changes, cut, 2500);
        if let Ok(task) = TaskFile::parse(Path::new("x.safetensors"), &bytes) {
            let _ = task.apply(&backbone(), &Device::flex());
        }
    }

    #[test]
    fn model_folders(
        in_weights in changes(),
        in_config in changes(),
        which in 0..3,
        cut in prop::option::weighted(0.2, any::<Index>()),
    ) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        backbone().save(folder.path(), false).expect("a saved model");
        let file = |name: &str| folder.path().join(name);
        if which != 0 {
            let bytes = fs::read(file("model.safetensors")).expect("the weights");
            fs::write(file("model.safetensors"), damaged(bytes, &in_weights, cut, 3000)).expect("a write");
        }
        if which != 1 {
            let bytes = fs::read(file("config.json")).expect("the config");
            fs::write(file("config.json"), damaged(bytes, &in_config, cut, usize::MAX)).expect("a write");
        }
        match Backbone::load(folder.path().to_str().expect("a readable path")) {
            Ok(backbone) => prop_assert_eq!(backbone.sha256.len(), 64),
            Err(error) => prop_assert!(!error.to_string().is_empty()),
        }
    }
}
