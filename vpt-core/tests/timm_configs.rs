//! What timm resolves a config.json to, and what we do. `fixtures/timm_resolved.json` has the `config.json`
//! and the `resolved` hyper-parameters of every golden model, written by timm 1.0.20.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use vpt_core::weights::ModelConfig;
use vpt_core::{Activation, Backbone, GlobalPool, VitConfig};

const RESOLVED: &str = include_str!("fixtures/timm_resolved.json");

/// A configuration in the words of the golden `resolved` entry.
fn in_words_of_timm(config: &VitConfig, num_params: usize) -> Value {
    json!({
        "embed_dim": config.embed_dim,
        "depth": config.depth,
        "num_heads": config.num_heads,
        "head_dim": config.head_dim(),
        "mlp_hidden": config.mlp_hidden(),
        "patch_size": config.patch_size,
        "img_size": config.img_size,
        "grid_size": config.grid_size(),
        "patch_bias": config.patch_bias,
        "qkv_bias": config.qkv_bias,
        "num_prefix_tokens": config.num_prefix_tokens(),
        "num_reg_tokens": config.reg_tokens,
        "no_embed_class": config.no_embed_class,
        "pos_embed_tokens": config.num_pos_embed_tokens(),
        "pre_norm": config.pre_norm,
        "final_norm": config.final_norm,
        "fc_norm": config.fc_norm,
        "norm_eps": config.norm_eps,
        "act": match config.act {
            Activation::Gelu => "GELU",
            Activation::QuickGelu => "QuickGELU",
            Activation::GeluTanh => "GELUTanh",
            Activation::Silu => "SiLU",
        },
        "global_pool": match config.global_pool {
            GlobalPool::Token => "token",
            GlobalPool::Avg => "avg",
            GlobalPool::Map => "map",
        },
        "layer_scale": config.init_values.is_some(),
        "distilled": config.distilled,
        "num_params": num_params,
    })
}

#[test]
fn every_golden_config_resolves_as_in_timm() {
    let models: BTreeMap<String, Value> = serde_json::from_str(RESOLVED).unwrap();
    assert_eq!(models.len(), 9);
    for (name, model) in models {
        let path = PathBuf::from(format!("{name}/config.json"));
        let parsed = ModelConfig::parse(&path, &model["config"].to_string(), None, &BTreeMap::new()).unwrap();
        let tensors = Backbone::random(parsed.config.clone(), parsed.num_classes, 0).tensors;
        let num_params = tensors.values().map(vpt_core::HostTensor::numel).sum();
        assert_eq!(
            in_words_of_timm(&parsed.config, num_params),
            model["resolved"],
            "{name}"
        );
        assert_eq!(
            json!(parsed.preprocess.crop_pct),
            model["config"]["pretrained_cfg"]["crop_pct"],
            "{name}"
        );
    }
}

/// All golden models, with all of their tensors, where the golden folder lies beside the repository.
#[test]
fn every_golden_model_loads() {
    let Some(golden) = shared("models") else { return };
    for entry in golden.read_dir().unwrap() {
        let folder = entry.unwrap().path();
        let backbone = Backbone::load(folder.to_str().unwrap()).unwrap();
        assert!(backbone.num_classes > 0, "{}", folder.display());
        let again = Backbone::load(folder.join("model.safetensors").to_str().unwrap()).unwrap();
        assert_eq!(again.sha256, backbone.sha256);
    }
}

/// float16 and bfloat16 files hold the rounded weights.
#[test]
fn narrow_floats_are_the_rounded_weights() {
    let Some(containers) = shared("containers/vit_p16_32") else {
        return;
    };
    let Some(model) = shared("models/vit_p16_32") else {
        return;
    };
    let full = Backbone::load(model.to_str().unwrap()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(model.join("config.json"), folder.path().join("config.json")).unwrap();
    for (file, tolerance) in [
        ("model_float16.safetensors", 0.0),
        ("model_bfloat16.safetensors", 1.0 / 256.0),
    ] {
        let copy = folder.path().join(file);
        std::fs::copy(containers.join(file), &copy).unwrap();
        let narrow = Backbone::load(copy.to_str().unwrap()).unwrap();
        for (name, tensor) in &full.tensors {
            let expected = if tolerance == 0.0 {
                tensor.rounded_to_half()
            } else {
                tensor.clone()
            };
            for (a, b) in expected.data.iter().zip(&narrow.tensors[name].data) {
                assert!((a - b).abs() <= tolerance * a.abs(), "{file} {name}: {a} {b}");
            }
        }
    }
}

/// A folder of golden files beside the repository.
fn shared(path: &str) -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../shared/golden")
        .join(path);
    let found = folder.is_dir().then_some(folder);
    if found.is_none() {
        println!("skipped: `../shared/golden/{path}` is not beside the repository");
    }
    found
}
