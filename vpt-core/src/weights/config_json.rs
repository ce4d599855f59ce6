//! [`ModelConfig`]: what a timm style `config.json` says about the weights beside it.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Map, Value, json};
use vpt_data::{CropMode, Interpolation, Preprocess};

use crate::presets::{Preset, TimmArgs, closest_preset, pair, pool_name};
use crate::{CoreError, VitConfig};

/// Architecture, preprocessing and number of classes of some weights.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelConfig {
    /// timm's name of the architecture.
    pub architecture: String,
    /// The model.
    pub config: VitConfig,
    /// What the weights were trained to see.
    pub preprocess: Preprocess,
    /// Classes of the weights' own head, 0 without one.
    pub num_classes: usize,
}

/// Names and shapes of the tensors that lie beside a config.json.
pub(crate) type Shapes = BTreeMap<String, Vec<usize>>;

impl ModelConfig {
    /// Reads the text of `path`. What it leaves open is inferred from the `found` tensors where they tell.
    ///
    /// The keys are timm's: `architecture` (implies the hyper-parameters), `model_args` (overrides them; our own
    /// addition is `norm_eps`), `global_pool`, `num_classes` and `pretrained_cfg` (`input_size`, `mean`, `std`,
    /// `interpolation`, `crop_pct`, `crop_mode`).
    ///
    /// # Errors
    /// [`CoreError::Key`], [`CoreError::UnknownArchitecture`] or [`CoreError::ImageSize`].
    pub fn parse(path: &Path, text: &str, found: &Shapes) -> Result<Self, CoreError> {
        let document = serde_json::from_str(text)
            .map_err(|error| key_error(path, "", "a JSON document", &error.to_string()))?;
        let top = Object {
            path,
            prefix: "",
            map: as_object(path, "", &document)?,
        };
        let pretrained = top.object("pretrained_cfg")?;
        let model_args = top.object("model_args")?;

        let (architecture, mut args) = match top.string("architecture")? {
            Some(name) => (name.to_owned(), Preset::find(name)?.timm_args()),
            None => infer_architecture(&top, found)?,
        };
        if let Some(size) = input_size(&pretrained)? {
            args.img_size = size;
        }
        if let Some(pool) = top.map.get("global_pool") {
            args.set("global_pool", pool)
                .map_err(|expected| top.wrong("global_pool", &expected, pool))?;
        }
        for (key, value) in model_args.map {
            args.set(key, value)
                .map_err(|expected| model_args.wrong(key, &expected, value))?;
        }
        if !model_args.map.contains_key("img_size") {
            infer_img_size(&mut args, found);
        }
        let num_classes = match (top.count("num_classes")?, pretrained.count("num_classes")?) {
            (Some(n), _) | (None, Some(n)) => n,
            (None, None) => found
                .get("head.weight")
                .map_or(0, |shape| shape.first().copied().unwrap_or(0)),
        };
        let config = args.resolve();
        check(path, &config)?;
        let preprocess = preprocess(&pretrained, config.img_size)?;
        Ok(Self {
            architecture,
            config,
            preprocess,
            num_classes,
        })
    }

    /// The text of a config.json from which both timm and [`ModelConfig::parse`] build this model.
    ///
    /// # Errors
    /// [`CoreError::Setting`] for a combination of norms that timm's class cannot make.
    pub fn to_json(&self) -> Result<String, CoreError> {
        let impossible = || {
            let norms = format!("{:?}", self.config);
            CoreError::setting(
                "model",
                norms,
                "a combination of norms that timm's `VisionTransformer` has",
            )
        };
        let args = TimmArgs::of(&self.config).ok_or_else(impossible)?;
        let preset = match Preset::find(&self.architecture) {
            Ok(preset) if preset.timm_args().distilled == args.distilled => preset,
            _ => closest_preset(&args),
        };
        let pre = &self.preprocess;
        let document = json!({
            "architecture": preset.name,
            "num_classes": self.num_classes,
            "num_features": self.config.embed_dim,
            "global_pool": pool_name(self.config.global_pool),
            "model_args": preset.timm_args().model_args_of(&args),
            "pretrained_cfg": {
                "input_size": [self.config.in_chans, pre.input_size[0], pre.input_size[1]],
                "fixed_input_size": true,
                "interpolation": pre.interpolation,
                "crop_pct": pre.crop_pct,
                "crop_mode": pre.crop_mode,
                "mean": pre.mean.map(shortest),
                "std": pre.std.map(shortest),
                "num_classes": self.num_classes,
                "first_conv": "patch_embed.proj",
                "classifier": "head",
            },
        });
        Ok(format!("{document:#}\n"))
    }
}

/// A JSON object of the document, with where it lies for errors.
struct Object<'a> {
    path: &'a Path,
    prefix: &'a str,
    map: &'a Map<String, Value>,
}

/// Stands in for an object that is absent.
static EMPTY: std::sync::LazyLock<Map<String, Value>> = std::sync::LazyLock::new(Map::new);

impl<'a> Object<'a> {
    fn object(&self, key: &'a str) -> Result<Object<'a>, CoreError> {
        let map = match self.map.get(key) {
            None | Some(Value::Null) => &*EMPTY,
            Some(value) => as_object(self.path, key, value)?,
        };
        Ok(Object {
            path: self.path,
            prefix: key,
            map,
        })
    }

    fn string(&self, key: &str) -> Result<Option<&'a str>, CoreError> {
        self.read(key, "a string", Value::as_str)
    }

    fn count(&self, key: &str) -> Result<Option<usize>, CoreError> {
        self.read(key, "an integer from 0 to 1000000", |value| {
            match value.as_u64() {
                Some(n @ 0..=1_000_000) => Some(n as usize),
                _ => None,
            }
        })
    }

    fn number(&self, key: &str) -> Result<Option<f64>, CoreError> {
        self.read(key, "a number", Value::as_f64)
    }

    /// Three numbers, one per colour.
    fn colours(&self, key: &str) -> Result<[f32; 3], CoreError> {
        let three = |value: &Value| {
            let numbers: Option<Vec<f32>> = value
                .as_array()?
                .iter()
                .map(|x| Some(x.as_f64()? as f32))
                .collect();
            <[f32; 3]>::try_from(numbers?).ok()
        };
        let missing = || self.wrong(key, "three numbers", &Value::Null);
        self.read(key, "three numbers", three)?.ok_or_else(missing)
    }

    /// The value of `key` if it is there and not null; an error unless `read` understands it.
    fn read<T>(
        &self,
        key: &str,
        expected: &str,
        read: impl Fn(&'a Value) -> Option<T>,
    ) -> Result<Option<T>, CoreError> {
        match self.map.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => read(value)
                .map(Some)
                .ok_or_else(|| self.wrong(key, expected, value)),
        }
    }

    fn wrong(&self, key: &str, expected: &str, found: &Value) -> CoreError {
        let key = match self.prefix {
            "" => key.to_owned(),
            prefix => format!("{prefix}.{key}"),
        };
        let found = match found {
            Value::Null => "nothing".to_owned(),
            other => other.to_string().chars().take(80).collect(),
        };
        key_error(self.path, &key, expected, &found)
    }
}

fn key_error(path: &Path, key: &str, expected: &str, found: &str) -> CoreError {
    let key = if key.is_empty() { "the document" } else { key };
    CoreError::Key {
        path: path.into(),
        key: key.into(),
        expected: expected.into(),
        found: found.into(),
    }
}

fn as_object<'a>(path: &Path, key: &str, value: &'a Value) -> Result<&'a Map<String, Value>, CoreError> {
    let found: String = value.to_string().chars().take(80).collect();
    value
        .as_object()
        .ok_or_else(|| key_error(path, key, "an object", &found))
}

/// Height and width of `pretrained_cfg.input_size`, `[channels, height, width]`.
fn input_size(pretrained: &Object<'_>) -> Result<Option<[usize; 2]>, CoreError> {
    pretrained.read("input_size", "[3, height, width]", |value| {
        match value.as_array()?.as_slice() {
            [channels, height, width] if *channels == json!(3) => pair(&json!([height, width])).ok(),
            _ => None,
        }
    })
}

/// Preprocessing from `pretrained_cfg`; only mean and std have no default, for a wrong guess there goes unnoticed.
fn preprocess(pretrained: &Object<'_>, img_size: [usize; 2]) -> Result<Preprocess, CoreError> {
    let interpolation = match pretrained.string("interpolation")? {
        Some(name) => name.parse::<Interpolation>().map_err(|_| {
            pretrained.wrong(
                "interpolation",
                "`bilinear`, `bicubic`, `lanczos` or `nearest`",
                &json!(name),
            )
        })?,
        None => Interpolation::Bicubic,
    };
    let crop_mode = match pretrained.string("crop_mode")? {
        Some(name) => name
            .parse::<CropMode>()
            .map_err(|_| pretrained.wrong("crop_mode", "`center` or `squash`", &json!(name)))?,
        None => CropMode::Center,
    };
    let preprocess = Preprocess {
        input_size: input_size(pretrained)?.unwrap_or(img_size),
        mean: pretrained.colours("mean")?,
        std: pretrained.colours("std")?,
        interpolation,
        crop_pct: pretrained.number("crop_pct")?.unwrap_or(0.875),
        crop_mode,
    };
    match preprocess.validate() {
        Ok(()) => Ok(preprocess),
        Err(error) => Err(key_error(
            pretrained.path,
            "pretrained_cfg",
            "a preprocessing that can be done",
            &error.to_string(),
        )),
    }
}

/// The float64 that prints like the float32: `0.485`, not `0.48500001430511475`.
pub(crate) fn shortest(x: f32) -> f64 {
    x.to_string().parse().unwrap_or(f64::from(x))
}

/// Relations between hyper-parameters without which there is no such model.
fn check(path: &Path, config: &VitConfig) -> Result<(), CoreError> {
    let wrong = |key: &str, expected: String, found: usize| {
        Err(key_error(
            path,
            &format!("model_args.{key}"),
            &expected,
            &found.to_string(),
        ))
    };
    if config.embed_dim % config.num_heads != 0 {
        return wrong(
            "num_heads",
            format!("a divisor of embed_dim {}", config.embed_dim),
            config.num_heads,
        );
    }
    if config.in_chans != 3 {
        return wrong("in_chans", "3 (red, green, blue)".into(), config.in_chans);
    }
    if !config.class_token && config.global_pool == crate::GlobalPool::Token {
        return Err(key_error(
            path,
            "global_pool",
            "`avg` for a model without class token",
            "\"token\"",
        ));
    }
    match (0..2).all(|i| config.img_size[i] % config.patch_size[i] == 0) {
        true => Ok(()),
        false => Err(CoreError::ImageSize {
            size: config.img_size,
            patch: config.patch_size,
        }),
    }
}

/// The image size that the position embedding was trained for, if it is square and not the one assumed.
fn infer_img_size(args: &mut TimmArgs, found: &Shapes) {
    let Some([_, rows, _]) = found.get("pos_embed").map(Vec::as_slice) else {
        return;
    };
    let config = args.resolve();
    if *rows == config.num_pos_embed_tokens() {
        return;
    }
    let patches = rows.saturating_sub(config.num_embedded_prefix_tokens());
    let edge = patches.isqrt();
    if edge > 0 && edge * edge == patches {
        args.img_size = [edge * args.patch_size[0], edge * args.patch_size[1]];
    }
}

/// Hyper-parameters from the tensors alone, for a config.json without an architecture's name.
fn infer_architecture(top: &Object<'_>, found: &Shapes) -> Result<(String, TimmArgs), CoreError> {
    let timm_name = "the name of a timm architecture";
    if let Some(kind) = top.map.get("model_type").or_else(|| top.map.get("architectures")) {
        let found = format!("a config of Hugging Face transformers ({kind})");
        return Err(key_error(top.path, "architecture", timm_name, &found));
    }
    let args = infer_args(found).ok_or_else(|| top.wrong("architecture", timm_name, &Value::Null))?;
    Ok((closest_preset(&args).name.to_owned(), args))
}

/// Hyper-parameters that the shapes tell; heads of 64 values and CLIP's epsilon behind a norm before the blocks
/// are the conventions of all families.
fn infer_args(found: &Shapes) -> Option<TimmArgs> {
    let &[embed_dim, in_chans, patch_height, patch_width] = found.get("patch_embed.proj.weight")?.as_slice()
    else {
        return None;
    };
    let hidden = *found.get("blocks.0.mlp.fc1.weight")?.first()?;
    let has = |name: &str| found.contains_key(name);
    let depth = (0..)
        .take_while(|i| has(&format!("blocks.{i}.norm1.weight")))
        .count();
    let reg_tokens = found
        .get("reg_token")
        .and_then(|shape| shape.get(1))
        .copied()
        .unwrap_or(0);
    let pre_norm = has("norm_pre.weight");
    let fc_norm = has("fc_norm.weight");
    let mut args = TimmArgs {
        patch_size: [patch_height.max(1), patch_width.max(1)],
        in_chans,
        embed_dim,
        depth,
        num_heads: (embed_dim / 64).max(1),
        mlp_ratio: hidden as f64 / embed_dim.max(1) as f64,
        qkv_bias: has("blocks.0.attn.qkv.bias"),
        class_token: has("cls_token"),
        reg_tokens,
        pre_norm,
        init_values: has("blocks.0.ls1.gamma").then_some(1e-5),
        norm_eps: if pre_norm { 1e-5 } else { 1e-6 },
        global_pool: if fc_norm || !has("cls_token") {
            crate::GlobalPool::Avg
        } else {
            crate::GlobalPool::Token
        },
        fc_norm: (!fc_norm && !has("cls_token")).then_some(false),
        final_norm: fc_norm || has("norm.weight"),
        distilled: has("dist_token"),
        ..TimmArgs::default()
    };
    // A square number of rows beyond some prefix tells whether the prefix has rows of its own.
    let rows = *found.get("pos_embed")?.get(1)?;
    args.no_embed_class = rows.isqrt().pow(2) == rows && args.resolve().num_prefix_tokens() > 0;
    Some(args)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::GlobalPool;
    use crate::presets::PRESETS;
    use crate::weights::layout::shapes;

    fn parse(document: &Value, found: &Shapes) -> Result<ModelConfig, CoreError> {
        ModelConfig::parse(Path::new("m/config.json"), &document.to_string(), found)
    }

    fn document(architecture: &str) -> Value {
        json!({
            "architecture": architecture,
            "num_classes": 3,
            "pretrained_cfg": {"mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25], "input_size": [3, 224, 224]},
        })
    }

    fn error_of(change: impl FnOnce(&mut Value)) -> String {
        let mut document = document("vit_tiny_patch16_224");
        change(&mut document);
        parse(&document, &Shapes::new()).unwrap_err().to_string()
    }

    #[test]
    fn written_configs_read_back_as_the_same_model() {
        for preset in PRESETS {
            let mut args = preset.timm_args();
            args.depth = 3;
            args.img_size = [args.patch_size[0] * 2, args.patch_size[1] * 5];
            let model = ModelConfig {
                architecture: preset.name.into(),
                config: args.resolve(),
                preprocess: Preprocess::imagenet(args.img_size[0], args.img_size[1]),
                num_classes: 4,
            };
            let text = model.to_json().unwrap();
            let back = ModelConfig::parse(Path::new("config.json"), &text, &Shapes::new()).unwrap();
            assert_eq!(back, model, "{text}");
        }
    }

    #[test]
    fn what_the_config_leaves_open_is_inferred_from_the_tensors() {
        let mut args = Preset::find("vit_small_patch14_reg4_dinov2").unwrap().timm_args();
        args.img_size = [70, 70];
        let found = shapes(&args.resolve(), 5);
        let mut document = document("vit_small_patch14_reg4_dinov2");
        document["num_classes"] = Value::Null;
        document["pretrained_cfg"]["input_size"] = Value::Null;
        let model = parse(&document, &found).unwrap();
        assert_eq!((model.config.img_size, model.num_classes), ([70, 70], 5));
        assert_eq!(model.preprocess.input_size, [70, 70]);

        document.as_object_mut().unwrap().remove("architecture");
        assert_eq!(
            parse(&document, &found).unwrap(),
            ModelConfig {
                architecture: model.architecture.clone(),
                ..model
            }
        );
    }

    #[test]
    fn every_family_is_recognised_by_its_tensors() {
        for preset in PRESETS {
            let args = preset.timm_args();
            let config = args.resolve();
            // Where shapes cannot tell: the activation, the initial LayerScale, heads of other than 64 values.
            let expected = VitConfig {
                act: crate::Activation::Gelu,
                init_values: config.init_values.map(|_| 1e-5),
                num_heads: config.embed_dim / 64,
                ..config.clone()
            };
            let mut inferred = infer_args(&shapes(&config, 2)).unwrap();
            infer_img_size(&mut inferred, &shapes(&config, 2));
            assert_eq!(inferred.resolve(), expected, "{}", preset.name);
        }
    }

    #[test]
    fn average_pooling_moves_the_norm() {
        let mut document = document("vit_tiny_patch16_224");
        document["global_pool"] = json!("avg");
        let config = parse(&document, &Shapes::new()).unwrap().config;
        assert_eq!(
            (config.global_pool, config.fc_norm, config.final_norm),
            (GlobalPool::Avg, true, false)
        );
    }

    #[test]
    fn errors_name_file_key_expected_and_found() {
        let text = |change: fn(&mut Value)| error_of(change);
        assert_eq!(
            text(|d| d["pretrained_cfg"]["mean"] = json!([0.5])),
            "`m/config.json`: `pretrained_cfg.mean`: expected three numbers, found [0.5]"
        );
        assert_eq!(
            text(|d| d["pretrained_cfg"] = Value::Null),
            "`m/config.json`: `pretrained_cfg.mean`: expected three numbers, found nothing"
        );
        assert_eq!(
            text(|d| d["model_args"] = json!({"num_heads": 5})),
            "`m/config.json`: `model_args.num_heads`: expected a divisor of embed_dim 192, found 5"
        );
        assert_eq!(
            text(|d| d["model_args"] = json!({"qk_norm": true})),
            "`m/config.json`: `model_args.qk_norm`: expected an argument of timm's plain `VisionTransformer`, found true"
        );
        assert!(text(|d| d["model_args"] = json!({"img_size": 33})).contains("33x33"));
        assert!(text(|d| d["architecture"] = json!("resnet50")).contains("`resnet50` is not known"));
        assert_eq!(
            text(|d| {
                d.as_object_mut().unwrap().remove("architecture");
                d["model_type"] = json!("vit");
            }),
            "`m/config.json`: `architecture`: expected the name of a timm architecture, \
             found a config of Hugging Face transformers (\"vit\")"
        );
        let error = ModelConfig::parse(Path::new("c.json"), "{", &Shapes::new())
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with("`c.json`: `the document`: expected a JSON document, found EOF"),
            "{error}"
        );
    }
}
