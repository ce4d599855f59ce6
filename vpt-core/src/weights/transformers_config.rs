//! `config.json` and `preprocessor_config.json` of Hugging Face transformers, in timm's terms.
//!
//! Defaults are those of `ViTConfig`, `BeitConfig`, `Dinov2Config`, `DINOv3ViTConfig`, `SwinConfig`, `CLIPVisionConfig` and `SiglipVisionConfig`; they
//! differ from timm's.

use serde_json::{Value, json};
use vpt_data::{CropMode, IMAGENET_MEAN, IMAGENET_STD, Interpolation, Preprocess};

use super::config_json::{Shapes, check, checked, head_classes};
use super::json_object::Object;
use super::{CLIP_MEAN, CLIP_STD, ModelConfig};
use crate::presets::{RopeType, TimmArgs, TimmClass, closest_preset, pair};
use crate::vit::Swin;
use crate::{Activation, CoreError, GlobalPool, VitConfig};

/// What a `model_type` stands for.
struct Kind {
    model_types: &'static [&'static str],
    /// Where the image model's settings lie, empty for the top.
    section: &'static str,
    /// The model as its configuration class makes it without any setting.
    args: fn() -> TimmArgs,
    /// What its images are prepared like where `preprocessor_config.json` is absent.
    preprocess: fn([usize; 2]) -> Preprocess,
}

const KINDS: [Kind; 10] = [
    Kind {
        model_types: &["vit", "vit_mae", "deit"],
        section: "",
        args: vit,
        preprocess: half_squashed,
    },
    Kind {
        model_types: &["dinov2"],
        section: "",
        args: dinov2,
        preprocess: imagenet,
    },
    Kind {
        model_types: &["dinov2_with_registers"],
        section: "",
        args: dinov2_with_registers,
        preprocess: imagenet,
    },
    Kind {
        model_types: &["beit"],
        section: "",
        args: beit,
        preprocess: half_squashed_bicubic,
    },
    Kind {
        model_types: &["swin"],
        section: "",
        args: swin,
        preprocess: squashed_imagenet_bicubic,
    },
    Kind {
        model_types: &["dinov3_vit"],
        section: "",
        args: dinov3,
        preprocess: squashed_imagenet,
    },
    Kind {
        model_types: &["siglip_vision_model"],
        section: "",
        args: siglip,
        preprocess: half_squashed_bicubic,
    },
    Kind {
        model_types: &["siglip"],
        section: "vision_config",
        args: siglip,
        preprocess: half_squashed_bicubic,
    },
    Kind {
        model_types: &["clip_vision_model"],
        section: "",
        args: clip,
        preprocess: clip_images,
    },
    Kind {
        model_types: &["clip"],
        section: "vision_config",
        args: clip,
        preprocess: clip_images,
    },
];

/// Settings of the same meaning, there and in timm.
const SAME: [(&str, &str); 12] = [
    ("mlp_ratio", "mlp_ratio"),
    ("image_size", "img_size"),
    ("patch_size", "patch_size"),
    ("num_channels", "in_chans"),
    ("qkv_bias", "qkv_bias"),
    ("layer_norm_eps", "norm_eps"),
    ("layerscale_value", "init_values"),
    ("layer_scale_init_value", "init_values"),
    ("use_absolute_position_embeddings", "use_abs_pos_emb"),
    ("use_relative_position_bias", "use_rel_pos_bias"),
    ("num_register_tokens", "reg_tokens"),
    ("rope_theta", "rope_temperature"),
];

/// The size of models of one width.
const SIZE: [(&str, &str); 3] = [
    ("hidden_size", "embed_dim"),
    ("num_hidden_layers", "depth"),
    ("num_attention_heads", "num_heads"),
];

/// The size of Swin, whose `hidden_size` is the width behind the last stage.
const SIZE_OF_SWIN: [(&str, &str); 4] = [
    ("embed_dim", "embed_dim"),
    ("depths", "depths"),
    ("num_heads", "num_heads"),
    ("window_size", "window_size"),
];

/// The model that the document `top` describes; `preprocessor` is the document beside it, `found` are its tensors under
/// timm's names.
pub(super) fn parse(
    top: &Object<'_>,
    preprocessor: Option<&Object<'_>>,
    found: &Shapes,
) -> Result<ModelConfig, CoreError> {
    let model_type = top.string("model_type")?.unwrap_or_default();
    let kind = KINDS.iter().find(|kind| kind.model_types.contains(&model_type));
    let Some(kind) = kind else {
        let known: Vec<_> = KINDS.iter().flat_map(|kind| kind.model_types).collect();
        let known: Vec<_> = known.into_iter().map(|name| format!("`{name}`")).collect();
        let found = top.map.get("model_type").unwrap_or(&Value::Null);
        return Err(top.wrong("model_type", &format!("one of {}", known.join(", ")), found));
    };
    let settings = match kind.section {
        "" => Object { ..*top },
        section => top.object(section)?,
    };
    let mut args = (kind.args)();
    let size = if args.swin.is_some() {
        &SIZE_OF_SWIN[..]
    } else {
        &SIZE[..]
    };
    for &(key, timm) in size.iter().chain(&SAME) {
        if let Some(value) = settings.map.get(key).filter(|value| !value.is_null()) {
            args.set(timm, value)
                .map_err(|expected| settings.wrong(key, &expected, value))?;
        }
    }
    if let Some(hidden) = settings.count("intermediate_size")? {
        args.mlp_ratio = VitConfig::mlp_ratio_of(hidden, args.embed_dim);
    }
    if let Some(name) = settings.string("hidden_act")? {
        let name = if matches!(name, "gelu_new" | "gelu_pytorch_tanh") {
            "gelu_tanh"
        } else {
            name
        };
        args.set("act_layer", &json!(name))
            .map_err(|expected| settings.wrong("hidden_act", &expected, &json!(name)))?;
    }
    read_gated_mlp(&settings, &mut args)?;
    read_biases(&settings, &mut args)?;
    if settings.flag("use_mean_pooling")? == Some(false) {
        args.global_pool = GlobalPool::Token;
    }
    for key in ["use_shared_relative_position_bias", "use_absolute_embeddings"] {
        if let Some(value @ Value::Bool(true)) = settings.map.get(key) {
            return Err(settings.wrong(key, "false", value));
        }
    }
    args.distilled = found.contains_key("dist_token");
    let config = args.resolve();
    check(top.path, &config)?;
    let preprocess = match preprocessor {
        Some(document) => read_preprocess(document, config.img_size)?,
        None => (kind.preprocess)(config.img_size),
    };
    Ok(ModelConfig {
        architecture: closest_preset(&args).name.to_owned(),
        config,
        preprocess,
        num_classes: head_classes(found),
    })
}

/// Gated MLPs: DINOv2 says so with `use_swiglu_ffn` and takes the width from `mlp_ratio`, DINOv3 with `use_gated_mlp`.
fn read_gated_mlp(settings: &Object<'_>, args: &mut TimmArgs) -> Result<(), CoreError> {
    if settings.flag("use_swiglu_ffn")?.unwrap_or(false) {
        let plain = args.embed_dim as f64 * args.mlp_ratio;
        let hidden = (plain as usize * 2 / 3).div_ceil(8) * 8;
        args.mlp_ratio = VitConfig::mlp_ratio_of(2 * hidden, args.embed_dim);
        args.gated_mlp = true;
        args.act = Activation::Silu;
    }
    if let Some(gated) = settings.flag("use_gated_mlp")? {
        args.gated_mlp = gated;
    }
    Ok(())
}

/// DINOv3 says of each projection whether it has a bias; the fused one has a bias if any has.
fn read_biases(settings: &Object<'_>, args: &mut TimmArgs) -> Result<(), CoreError> {
    let of = |key: &str| settings.flag(key);
    let biases = [of("query_bias")?, of("key_bias")?, of("value_bias")?];
    if biases.iter().any(Option::is_some) {
        args.qkv_bias = biases.contains(&Some(true));
    }
    for key in ["proj_bias", "mlp_bias"] {
        if settings.flag(key)? == Some(false) {
            return Err(settings.wrong(key, "true", &Value::Bool(false)));
        }
    }
    Ok(())
}

/// `preprocessor_config.json`: resize to `size`, then, if it says so, crop `crop_size` from the centre.
fn read_preprocess(document: &Object<'_>, img_size: [usize; 2]) -> Result<Preprocess, CoreError> {
    let edges = "pixels, {\"height\", \"width\"} or {\"shortest_edge\"}";
    let size = document.read("size", edges, Edges::of)?;
    let crop = match document.map.get("do_center_crop") {
        Some(Value::Bool(true)) => document.read("crop_size", edges, Edges::of)?,
        _ => None,
    };
    let (input_size, crop_pct, crop_mode) = match (size, crop) {
        (Some(Edges::Shortest(edge)), Some(crop)) => {
            let crop = crop.size();
            (crop, crop[0].min(crop[1]) as f64 / edge as f64, CropMode::Center)
        }
        (Some(Edges::Both(_)), Some(crop)) => (crop.size(), 1.0, CropMode::Squash),
        (Some(Edges::Both(size)), None) => (size, 1.0, CropMode::Squash),
        (Some(Edges::Shortest(edge)), None) => ([edge; 2], 1.0, CropMode::Center),
        (None, _) => (img_size, 1.0, CropMode::Center),
    };
    // PIL's numbers of its filters.
    let interpolation = match document.count("resample")? {
        Some(0) => Interpolation::Nearest,
        Some(1) => Interpolation::Lanczos,
        Some(2) => Interpolation::Bilinear,
        Some(3) | None => Interpolation::Bicubic,
        Some(other) => return Err(document.wrong("resample", "0, 1, 2 or 3", &json!(other))),
    };
    let preprocess = Preprocess {
        input_size,
        mean: document.colours("image_mean")?,
        std: document.colours("image_std")?,
        interpolation,
        crop_pct,
        crop_mode,
        windows: 1,
    };
    checked(preprocess, document.path, "size")
}

/// A size as transformers writes it.
enum Edges {
    Both([usize; 2]),
    Shortest(usize),
}

impl Edges {
    fn of(value: &Value) -> Option<Self> {
        let number = |key: &str| pair(value.get(key)?).ok().map(|[edge, _]| edge);
        if let Some(edge) = number("shortest_edge") {
            return Some(Self::Shortest(edge));
        }
        match (number("height"), number("width")) {
            (Some(height), Some(width)) => Some(Self::Both([height, width])),
            _ => value.is_u64().then(|| pair(value).ok())?.map(Self::Both),
        }
    }

    fn size(self) -> [usize; 2] {
        match self {
            Self::Both(size) => size,
            Self::Shortest(edge) => [edge; 2],
        }
    }
}

fn vit() -> TimmArgs {
    TimmArgs {
        norm_eps: 1e-12,
        ..TimmArgs::default()
    }
}

fn dinov2() -> TimmArgs {
    TimmArgs {
        init_values: Some(1.0),
        ..TimmArgs::default()
    }
}

fn dinov2_with_registers() -> TimmArgs {
    TimmArgs {
        reg_tokens: 4,
        no_embed_class: true,
        ..dinov2()
    }
}

fn beit() -> TimmArgs {
    TimmArgs {
        class: TimmClass::Beit,
        abs_pos_embed: false,
        init_values: Some(0.1),
        norm_eps: 1e-12,
        global_pool: GlobalPool::Avg,
        ..TimmArgs::default()
    }
}

fn swin() -> TimmArgs {
    TimmArgs {
        patch_size: [4; 2],
        embed_dim: 96,
        ..TimmArgs::of_swin(Swin {
            depths: vec![2, 2, 6, 2],
            num_heads: vec![3, 6, 12, 24],
            window_size: [7; 2],
        })
    }
}

fn dinov3() -> TimmArgs {
    TimmArgs {
        class: TimmClass::Eva,
        embed_dim: 384,
        num_heads: 6,
        init_values: Some(1.0),
        abs_pos_embed: false,
        rot_pos_embed: true,
        rope_type: RopeType::Dinov3,
        rope_temperature: 100.0,
        norm_eps: 1e-5,
        ..TimmArgs::default()
    }
}

fn siglip() -> TimmArgs {
    TimmArgs {
        class_token: false,
        global_pool: GlobalPool::Map,
        act: Activation::GeluTanh,
        ..TimmArgs::default()
    }
}

fn clip() -> TimmArgs {
    TimmArgs {
        patch_size: [32; 2],
        pre_norm: true,
        act: Activation::QuickGelu,
        norm_eps: 1e-5,
        ..TimmArgs::default()
    }
}

fn half_squashed(input_size: [usize; 2]) -> Preprocess {
    Preprocess {
        input_size,
        mean: [0.5; 3],
        std: [0.5; 3],
        interpolation: Interpolation::Bilinear,
        crop_pct: 1.0,
        crop_mode: CropMode::Squash,
        windows: 1,
    }
}

fn half_squashed_bicubic(input_size: [usize; 2]) -> Preprocess {
    Preprocess {
        interpolation: Interpolation::Bicubic,
        ..half_squashed(input_size)
    }
}

fn squashed_imagenet(input_size: [usize; 2]) -> Preprocess {
    Preprocess {
        mean: IMAGENET_MEAN,
        std: IMAGENET_STD,
        ..half_squashed(input_size)
    }
}

fn squashed_imagenet_bicubic(input_size: [usize; 2]) -> Preprocess {
    Preprocess {
        interpolation: Interpolation::Bicubic,
        ..squashed_imagenet(input_size)
    }
}

fn imagenet(input_size: [usize; 2]) -> Preprocess {
    Preprocess {
        input_size,
        mean: IMAGENET_MEAN,
        std: IMAGENET_STD,
        interpolation: Interpolation::Bicubic,
        crop_pct: 0.875,
        crop_mode: CropMode::Center,
        windows: 1,
    }
}

fn clip_images(input_size: [usize; 2]) -> Preprocess {
    Preprocess {
        mean: CLIP_MEAN,
        std: CLIP_STD,
        crop_pct: 1.0,
        ..imagenet(input_size)
    }
}

#[cfg(test)]
mod tests;
