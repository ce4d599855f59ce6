//! [`ModelConfig`]: what a timm style `config.json` says about the weights beside it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use vpt_data::{CropMode, Interpolation, Preprocess};

use super::infer::{infer_architecture, infer_gated_mlp, infer_img_size};
use super::json_object::{Object, key_error};
use super::transformers_config;
use crate::presets::{Preset, TimmArgs, TimmClass, closest_preset, pair, pool_name};
use crate::{Activation, CoreError, VitConfig};

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
    /// Reads the file `path`, and a `preprocessor_config.json` beside it.
    ///
    /// # Errors
    /// [`CoreError::Io`] and those of [`ModelConfig::parse`].
    pub fn read(path: &Path, found: &BTreeMap<String, Vec<usize>>) -> Result<Self, CoreError> {
        let text = |path: &Path| fs::read_to_string(path).map_err(|error| CoreError::io("read", path, error));
        let preprocessor = path.with_file_name("preprocessor_config.json");
        let preprocessor = preprocessor.is_file().then(|| text(&preprocessor)).transpose()?;
        Self::parse(path, &text(path)?, preprocessor.as_deref(), found)
    }

    /// Reads the text of `path`, and that of the `preprocessor_config.json` beside it. What they leave open is inferred
    /// from the `found` tensors (shapes by timm's names) where they tell.
    ///
    /// The keys are timm's: `architecture` (implies the hyper-parameters), `model_args` (overrides them; our
    /// own addition is `norm_eps`), `global_pool`, `num_classes` and `pretrained_cfg` (`input_size`, `mean`,
    /// `std`, `interpolation`, `crop_pct`, `crop_mode`). A document without `architecture` and with `model_type` is one of
    /// Hugging Face transformers.
    ///
    /// # Errors
    /// [`CoreError::Key`]; [`CoreError::InFile`] with [`CoreError::UnknownArchitecture`] or [`CoreError::ImageSize`].
    pub fn parse(
        path: &Path,
        text: &str,
        preprocessor: Option<&str>,
        found: &BTreeMap<String, Vec<usize>>,
    ) -> Result<Self, CoreError> {
        let document = json(path, text)?;
        let top = Object::top(path, &document)?;
        if !top.map.contains_key("architecture") && top.map.contains_key("model_type") {
            let path = path.with_file_name("preprocessor_config.json");
            let preprocessor = preprocessor.map(|text| json(&path, text)).transpose()?;
            let preprocessor = preprocessor.as_ref().map(|document| Object::top(&path, document));
            return transformers_config::parse(&top, preprocessor.transpose()?.as_ref(), found);
        }
        let pretrained = top.object("pretrained_cfg")?;
        let model_args = top.object("model_args")?;

        let (architecture, mut args) = match top.string("architecture")? {
            Some(name) => (name.to_owned(), named_preset(path, name)?.timm_args()),
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
        if infer_gated_mlp(found) && !args.gated_mlp {
            args.gated_mlp = true;
            args.act = Activation::Silu;
        }
        if !model_args.map.contains_key("img_size") {
            infer_img_size(&mut args, found);
        }
        let num_classes = match (top.count("num_classes")?, pretrained.count("num_classes")?) {
            (Some(n), _) | (None, Some(n)) => n,
            (None, None) => head_classes(found),
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

    /// The architecture of timm that is closest, and the arguments with which it is this model; None for a combination of norms
    /// that timm's class cannot make.
    fn timm_preset(&self) -> Option<(&'static Preset, TimmArgs)> {
        let args = TimmArgs::of(&self.config)?;
        let preset = match Preset::find(&self.architecture) {
            Ok(preset) if preset.timm_args().is_same_class(&args) => preset,
            _ => closest_preset(&args),
        };
        Some((preset, args))
    }

    /// Whether timm can be told all that its [`to_json`](ModelConfig::to_json) says: it takes no epsilon of the norms.
    pub(super) fn norms_fit_timm(&self) -> bool {
        let fits = |(preset, args): (&Preset, TimmArgs)| preset.timm_args().norm_eps == args.norm_eps;
        self.timm_preset().is_some_and(fits)
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
        let (preset, args) = self.timm_preset().ok_or_else(impossible)?;
        let mut model_args = preset.timm_args().model_args_of(&args);
        if args.class == TimmClass::Eva {
            // Whatever the architecture has: the layers that the tensors beside this file are of.
            model_args.insert("qkv_fused".to_owned(), json!(true));
            if args.gated_mlp && !args.mlp_norm {
                model_args.insert("swiglu_align_to".to_owned(), json!(0));
            }
        }
        let pre = &self.preprocess;
        let document = json!({
            "architecture": preset.name,
            "num_classes": self.num_classes,
            "num_features": self.config.num_features(),
            "global_pool": pool_name(self.config.global_pool),
            "model_args": model_args,
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
                "classifier": if self.config.swin.is_some() { "head.fc" } else { "head" },
            },
        });
        Ok(format!("{document:#}\n"))
    }
}

/// The architecture that the file `path` names.
fn named_preset(path: &Path, name: &str) -> Result<&'static Preset, CoreError> {
    Preset::find(name).map_err(|error| error.in_file(path))
}

/// Classes of the head that lies among the tensors, 0 without one.
pub(super) fn head_classes(found: &Shapes) -> usize {
    let shape = found.get("head.weight");
    shape.and_then(|shape| shape.first().copied()).unwrap_or(0)
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

/// Preprocessing from `pretrained_cfg`; only mean and std have no default, for a wrong guess there goes
/// unnoticed.
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
        windows: 1,
    };
    checked(preprocess, pretrained.path, "pretrained_cfg")
}

/// `preprocess`, unless no image could be prepared so; `key` is where it was found.
pub(super) fn checked(preprocess: Preprocess, path: &Path, key: &str) -> Result<Preprocess, CoreError> {
    match preprocess.validate() {
        Ok(()) => Ok(preprocess),
        Err(error) => {
            let expected = "a preprocessing that can be done";
            Err(key_error(path, key, expected, &error.to_string()))
        }
    }
}

pub(super) fn json(path: &Path, text: &str) -> Result<Value, CoreError> {
    serde_json::from_str(text).map_err(|error| key_error(path, "", "a JSON document", &error.to_string()))
}

/// The float64 that prints like the float32: `0.485`, not `0.48500001430511475`.
pub(crate) fn shortest(x: f32) -> f64 {
    x.to_string().parse().unwrap_or(f64::from(x))
}

/// Relations between hyper-parameters without which there is no such model.
pub(super) fn check(path: &Path, config: &VitConfig) -> Result<(), CoreError> {
    let wrong = |key: &str, expected: String, found: usize| {
        Err(key_error(
            path,
            &format!("model_args.{key}"),
            &expected,
            &found.to_string(),
        ))
    };
    if !config.embed_dim.is_multiple_of(config.num_heads) {
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
    if let Err((key, found, expected)) = config.check_stages() {
        return Err(key_error(path, &format!("model_args.{key}"), &expected, &found));
    }
    let (size, patch) = (config.img_size, config.patch_size);
    if (0..2).any(|i| !size[i].is_multiple_of(patch[i])) {
        return Err(CoreError::ImageSize { size, patch }.in_file(path));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::GlobalPool;
    use crate::presets::PRESETS;
    use crate::weights::layout::shapes;

    fn parse(document: &Value, found: &Shapes) -> Result<ModelConfig, CoreError> {
        ModelConfig::parse(Path::new("m/config.json"), &document.to_string(), None, found)
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
            match &mut args.swin {
                Some(swin) => (swin.depths, args.depth) = (vec![1, 1, 1, 2], 5),
                None => args.depth = 3,
            }
            args.img_size = [args.patch_size[0] * 2, args.patch_size[1] * 5];
            let model = ModelConfig {
                architecture: preset.name.into(),
                config: args.resolve(),
                preprocess: Preprocess::imagenet(args.img_size[0], args.img_size[1]),
                num_classes: 4,
            };
            let text = model.to_json().unwrap();
            let back = ModelConfig::parse(Path::new("config.json"), &text, None, &Shapes::new()).unwrap();
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
            "`m/config.json`: `model_args.qk_norm`: expected an argument of timm's class that is \
             built here, found true"
        );
        assert!(text(|d| d["model_args"] = json!({"img_size": 33})).contains("33x33"));
        assert_eq!(
            text(|d| d["architecture"] = json!("resnet50")).split(',').next(),
            Some("`m/config.json`: architecture `resnet50` is not known")
        );
        assert!(
            text(|d| {
                d.as_object_mut().unwrap().remove("architecture");
                d["model_type"] = json!("swinv2");
            })
            .starts_with("`m/config.json`: `model_type`: expected one of `vit`")
        );
        let error = ModelConfig::parse(Path::new("c.json"), "{", None, &Shapes::new())
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with("`c.json`: `the document`: expected a JSON document, found EOF"),
            "{error}"
        );
    }
}
