//! The same weights under the names and in the files of other libraries.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use burn::tensor::Device;
use vpt_core::weights::{StoredFloat, encode};
use vpt_core::{Backbone, Classifier, CoreError, HostTensor, VitConfig};

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
        VitConfig {
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

/// A container file in a folder of its own, with timm's config.json beside it where the container has none.
fn alone(file: &str, with_config: bool) -> Option<tempfile::TempDir> {
    let (file, config) = (
        golden(&format!("containers/vit_p16_32/{file}"))?,
        golden("models/vit_p16_32/config.json")?,
    );
    let folder = tempfile::tempdir().unwrap();
    fs::copy(&file, folder.path().join(file.file_name().unwrap())).unwrap();
    if with_config {
        fs::copy(config, folder.path().join("config.json")).unwrap();
    }
    Some(folder)
}

#[test]
fn pytorch_checkpoints_and_numpy_archives_are_the_same_weights() {
    let expected = timm();
    for file in [
        "state_dict.pth",
        "nested_model.pth",
        "nested_state_dict_module.pth",
        "vit_google.npz",
        "vit_big_vision.npz",
    ] {
        let Some(folder) = alone(file, true) else { continue };
        let found = load(folder.path());
        same(&found, &expected);
        assert_eq!(found.preprocess, expected.preprocess, "{file}");
    }
}

#[test]
fn an_archive_without_config_tells_its_architecture() {
    let folder = alone("vit_google.npz", false).expect("it is in the repository");
    let found = load(folder.path());
    same(&found, &timm());
    assert_eq!(found.preprocess.mean, [0.5; 3]);
    let [note] = found.notes.as_slice() else {
        panic!("{:?}", found.notes)
    };
    assert!(note.contains("4 blocks, 3 heads, 32 x 32 pixels"), "{note}");
}

#[test]
fn a_checkpoint_without_config_says_what_it_assumed() {
    let folder = alone("nested_state_dict_module.pth", false).expect("it is in the repository");
    let found = load(folder.path());
    assert_eq!(found.sha256, timm().sha256);
    assert_eq!(found.preprocess.mean, vpt_data::IMAGENET_MEAN);
    assert!(found.notes[0].contains("no config.json"), "{:?}", found.notes);
}

#[test]
fn logits_are_those_of_the_original() {
    let io = golden("containers/vit_p16_32/io.safetensors").expect("it is in the repository");
    let io = vpt_core::weights::SafetensorsFile::read(&io).unwrap().tensors;
    let device = Device::flex();
    for file in ["nested_state_dict_module.pth", "vit_google.npz"] {
        let folder = alone(file, true).expect("it is in the repository");
        let backbone = load(folder.path());
        let model = Classifier::with_pretrained_head(&backbone, backbone.config.img_size, &device).unwrap();
        let logits = HostTensor::from_tensor(&model.forward(io["pixels"].to_tensor(&device))).unwrap();
        for (found, expected) in logits.data.iter().zip(&io["logits"].data) {
            assert!(
                (found - expected).abs() <= 5e-5 + 1e-4 * expected.abs(),
                "{file}: {found} {expected}"
            );
        }
    }
}

/// A checkpoint of any length, and one with any byte changed, loads or fails with an error that names it.
#[test]
fn damaged_files_are_refused() {
    for file in ["nested_state_dict_module.pth", "vit_google.npz"] {
        let folder = alone(file, true).expect("it is in the repository");
        let path = folder.path().join(file);
        let whole = fs::read(&path).unwrap();
        let steps = 60;
        for i in 0..steps {
            fs::write(&path, &whole[..whole.len() * i / steps]).unwrap();
            let error = Backbone::load(path.to_str().unwrap()).unwrap_err();
            assert!(error.to_string().contains(file), "{error}");
            assert!(error.hint().is_some());

            let mut flipped = whole.clone();
            let at = if i % 2 == 0 {
                i * 7
            } else {
                whole.len() - 1 - i * 53
            };
            flipped[at] ^= 1 << (i % 8);
            fs::write(&path, &flipped).unwrap();
            match Backbone::load(path.to_str().unwrap()) {
                Ok(backbone) => assert_eq!(backbone.sha256.len(), 64),
                Err(error) => assert!(error.to_string().contains(file), "{error}"),
            }
        }
    }
}

#[test]
fn a_pickle_that_calls_functions_is_not_run() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("evil.pth");
    let trace = folder.path().join("trace");
    // cos.system("touch TRACE"), as protocol 2.
    let mut pickle = b"\x80\x02cposix\nsystem\nX".to_vec();
    let command = format!("touch {}", trace.display());
    pickle.extend((command.len() as u32).to_le_bytes());
    pickle.extend(command.as_bytes());
    pickle.extend(b"\x85R.");
    fs::write(&path, pickle).unwrap();
    let error = Backbone::load(path.to_str().unwrap()).unwrap_err();
    assert!(matches!(error, CoreError::WeightFile { .. }), "{error}");
    assert!(!trace.exists());
}

/// BiomedCLIP: timm's image tower inside OpenCLIP's file, described by open_clip_config.json alone.
#[test]
fn an_image_tower_of_timm_inside_open_clip() {
    let config = VitConfig {
        img_size: [32, 32],
        embed_dim: 64,
        depth: 2,
        num_heads: 1,
        ..VitConfig::default()
    };
    let backbone = Backbone::random(config, 0, 3);
    let mut tensors: BTreeMap<String, HostTensor> = backbone
        .tensors
        .iter()
        .map(|(name, tensor)| (format!("visual.trunk.{name}"), tensor.clone()))
        .collect();
    for name in [
        "visual.head.proj.weight",
        "text.transformer.embeddings.word.weight",
        "logit_scale",
    ] {
        tensors.insert(name.to_owned(), HostTensor::full([4, 4], 0.5));
    }
    let folder = tempfile::tempdir().unwrap();
    let bytes = encode(&tensors, &BTreeMap::new(), StoredFloat::F32).unwrap();
    fs::write(folder.path().join("open_clip_model.safetensors"), bytes).unwrap();
    fs::write(
        folder.path().join("open_clip_config.json"),
        r#"{"model_cfg": {"embed_dim": 512, "vision_cfg": {"timm_model_name": "vit_base_patch16_224"}},
            "preprocess_cfg": {"mean": [0.48145466, 0.4578275, 0.40821073], "std": [0.26862954, 0.26130258, 0.27577711]}}"#,
    )
    .unwrap();
    let found = Backbone::load(folder.path().to_str().unwrap()).unwrap();
    assert_eq!(found.sha256, backbone.sha256);
    assert_eq!(found.preprocess.mean[0], 0.481_454_66);
    assert_eq!(found.preprocess.crop_pct, 1.0);
    assert_eq!(
        found.described_by,
        "the shapes of its tensors and open_clip_config.json"
    );
    assert!(
        found
            .notes
            .iter()
            .any(|note| note.contains("as open_clip_config.json says")),
        "{:?}",
        found.notes
    );
}
