use super::*;
use crate::presets::{PRESETS, closest_preset};

#[test]
fn every_preset_survives_the_way_to_a_config_and_back() {
    for preset in PRESETS {
        let config = preset.timm_args().resolve();
        let args = TimmArgs::of(&config).expect(preset.name);
        assert_eq!(args.resolve(), config, "{}", preset.name);
        assert_eq!(
            closest_preset(&args).timm_args(),
            preset.timm_args(),
            "{}",
            preset.name
        );
    }
}

#[test]
fn only_differences_are_written_and_they_suffice() {
    let base = TimmArgs::default();
    let mut other = TimmArgs {
        img_size: [32, 64],
        depth: 3,
        init_values: Some(0.1),
        ..base.clone()
    };
    other.global_pool = GlobalPool::Avg;
    let written = base.model_args_of(&other);
    assert_eq!(
        Value::Object(written.clone()),
        json!({"img_size": [32, 64], "depth": 3, "init_values": 0.1, "global_pool": "avg"})
    );
    let mut read = base;
    for (key, value) in &written {
        read.set(key, value).unwrap();
    }
    assert_eq!(read, other);
}

#[test]
fn values_of_the_wrong_kind_are_refused() {
    let mut args = TimmArgs::default();
    for (key, value, expected) in [
        ("depth", json!(0), "an integer from 1 to 1024"),
        ("embed_dim", json!(1u64 << 40), "an integer from 1 to 65536"),
        ("mlp_ratio", json!(1e9), "a number up to 1024"),
        ("patch_size", json!([1, 2, 3]), "one integer or [height, width]"),
        ("mlp_ratio", json!("4"), "a positive number"),
        (
            "act_layer",
            json!("relu"),
            "`gelu`, `quick_gelu`, `gelu_tanh` or `silu`",
        ),
        ("global_pool", json!("max"), "`token`, `avg` or `map`"),
        ("rope_type", json!("mixed"), "`cat` or `dinov3`"),
        ("mlp_layer", json!("GluMlp"), "`Mlp` or `SwiGLUPacked`"),
        (
            "qk_norm",
            json!(true),
            "an argument of timm's class that is built here",
        ),
    ] {
        assert_eq!(args.set(key, &value).unwrap_err(), expected, "{key}");
    }
    args.set("drop_rate", &json!(0.1)).unwrap();
    assert_eq!(args, TimmArgs::default());
}
