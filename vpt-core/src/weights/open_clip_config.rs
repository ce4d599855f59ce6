//! `open_clip_config.json`, which OpenCLIP keeps beside its weights.

use std::fs;
use std::path::Path;

use serde_json::Value;
use vpt_data::{CropMode, Interpolation, Preprocess};

use super::ModelConfig;
use super::config_json::{checked, json};
use super::json_object::Object;
use crate::{Activation, CoreError};

/// Corrects a model that was inferred from its tensors by what the file `path` says: the activation and the preparation of
/// images. What else it says the tensors say too.
///
/// # Errors
/// [`CoreError::Io`], and [`CoreError::Key`] for a value that is not what it must be.
pub(super) fn correct(model: &mut ModelConfig, path: &Path) -> Result<(), CoreError> {
    let text = fs::read_to_string(path).map_err(|error| CoreError::io("read", path, error))?;
    let document = json(path, &text)?;
    let top = Object::top(path, &document)?;
    if top.object("model_cfg")?.flag("quick_gelu")?.unwrap_or(false) {
        model.config.act = Activation::QuickGelu;
    }
    let images = top.object("preprocess_cfg")?;
    let mut preprocess = Preprocess {
        crop_pct: 1.0,
        ..model.preprocess.clone()
    };
    for (key, colours) in [("mean", &mut preprocess.mean), ("std", &mut preprocess.std)] {
        if images.map.get(key).is_some_and(|value| !value.is_null()) {
            *colours = images.colours(key)?;
        }
    }
    if let Some(name) = images.string("interpolation")? {
        let wrong = |_| images.wrong("interpolation", "`bilinear` or `bicubic`", &Value::from(name));
        preprocess.interpolation = name.parse::<Interpolation>().map_err(wrong)?;
    }
    preprocess.crop_mode = match images.string("resize_mode")? {
        None | Some("shortest") => CropMode::Center,
        Some("squash") => CropMode::Squash,
        Some(other) => {
            return Err(images.wrong("resize_mode", "`shortest` or `squash`", &Value::from(other)));
        }
    };
    model.preprocess = checked(preprocess, path, "preprocess_cfg")?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn corrected(document: &Value) -> Result<ModelConfig, CoreError> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("open_clip_config.json");
        fs::write(&path, document.to_string()).expect("a file");
        let mut model = ModelConfig::builtin()?;
        correct(&mut model, &path)?;
        Ok(model)
    }

    #[test]
    fn activation_and_images_are_what_it_says() {
        let biomed_clip = json!({
            "model_cfg": {"embed_dim": 512, "vision_cfg": {"timm_model_name": "vit_base_patch16_224"}},
            "preprocess_cfg": {"mean": [0.481, 0.458, 0.408], "std": [0.269, 0.261, 0.276]},
        });
        let model = corrected(&biomed_clip).unwrap();
        assert_eq!(model.preprocess.mean, [0.481, 0.458, 0.408]);
        assert_eq!(model.config.act, Activation::Gelu);
        let quick = json!({"model_cfg": {"quick_gelu": true}, "preprocess_cfg": {"resize_mode": "squash"}});
        let model = corrected(&quick).unwrap();
        assert_eq!(
            (model.config.act, model.preprocess.crop_mode),
            (Activation::QuickGelu, CropMode::Squash)
        );
        let error = corrected(&json!({"preprocess_cfg": {"mean": "half"}})).unwrap_err();
        assert!(
            error
                .to_string()
                .contains("`preprocess_cfg.mean`: expected three numbers"),
            "{error}"
        );
    }
}
