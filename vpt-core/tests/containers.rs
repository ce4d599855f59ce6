//! The same weights under the names and in the files of other libraries.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use vpt_core::Backbone;

/// A golden file or folder, in the repository or beside it.
fn golden(path: &str) -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let found = [
        root.join("tests/fixtures/golden"),
        root.join("../../shared/golden"),
    ]
    .into_iter()
    .map(|folder| folder.join(path))
    .find(|path| path.exists());
    if found.is_none() {
        println!("skipped: `golden/{path}` is neither in tests/fixtures nor in ../shared");
    }
    found
}

fn load(folder: &Path) -> Backbone {
    Backbone::load(folder.to_str().unwrap()).unwrap()
}

fn timm() -> Backbone {
    load(&golden("models/vit_p16_32").expect("the timm model is in the repository"))
}

/// Everything but where it was found and what was said about it.
fn same(found: &Backbone, expected: &Backbone) {
    assert_eq!(found.sha256, expected.sha256);
    assert_eq!(found.tensors, expected.tensors);
    assert_eq!(found.config, expected.config);
    assert_eq!(found.num_classes, expected.num_classes);
}

/// The golden model without its config.json.
#[test]
fn weights_without_config_say_what_was_assumed() {
    let model = golden("models/vit_p8_64").expect("it is in the repository");
    let expected = load(&model);
    let folder = tempfile::tempdir().unwrap();
    fs::copy(
        model.join("model.safetensors"),
        folder.path().join("weights.safetensors"),
    )
    .unwrap();
    let found = load(folder.path());
    assert_eq!(found.sha256, expected.sha256);
    let embed_dim = expected.config.embed_dim;
    assert_eq!(found.config.num_heads, (embed_dim / 64).max(1));
    let num_heads = expected.config.num_heads;
    assert_eq!(
        vpt_core::VitConfig {
            num_heads,
            ..found.config
        },
        expected.config
    );
    assert_eq!(found.preprocess.mean, vpt_data::IMAGENET_MEAN);
    let [note] = found.notes.as_slice() else {
        panic!("{:?}", found.notes)
    };
    assert!(
        note.starts_with("no config.json: ") && note.contains("64 x 64 pixels"),
        "{note}"
    );
}

#[test]
fn transformers_folders_are_the_same_weights() {
    let expected = timm();
    for (name, has_head) in [("hf_vit_for_image_classification", true), ("hf_vit_model", false)] {
        let Some(folder) = golden(&format!("containers/vit_p16_32/{name}")) else {
            continue;
        };
        let found = load(&folder);
        assert_eq!(found.sha256, expected.sha256, "{name}");
        assert_eq!(found.num_classes, if has_head { expected.num_classes } else { 0 });
        assert_eq!(found.config, expected.config, "{name}");
        assert_eq!(found.preprocess.mean, [0.5; 3], "ViTImageProcessor's default");
    }
}

#[test]
fn shards_are_one_model() {
    let expected = timm();
    let folder = tempfile::tempdir().unwrap();
    let config = golden("models/vit_p16_32/config.json").expect("it is in the repository");
    fs::copy(config, folder.path().join("config.json")).unwrap();
    let (mut shards, mut map) = ([BTreeMap::new(), BTreeMap::new()], BTreeMap::new());
    for (i, (name, tensor)) in expected.tensors.iter().enumerate() {
        shards[i % 2].insert(name.clone(), tensor.clone());
        map.insert(name.clone(), format!("model-{}.safetensors", i % 2));
    }
    for (i, tensors) in shards.iter().enumerate() {
        let bytes = vpt_core::weights::encode(tensors, &BTreeMap::new(), vpt_core::weights::StoredFloat::F32);
        fs::write(
            folder.path().join(format!("model-{i}.safetensors")),
            bytes.unwrap(),
        )
        .unwrap();
    }
    let index = serde_json::json!({ "weight_map": map }).to_string();
    fs::write(folder.path().join("model.safetensors.index.json"), index).unwrap();
    same(&load(folder.path()), &expected);

    fs::remove_file(folder.path().join("model-1.safetensors")).unwrap();
    let error = Backbone::load(folder.path().to_str().unwrap()).unwrap_err();
    assert!(error.to_string().contains("model-1.safetensors"), "{error}");
}
