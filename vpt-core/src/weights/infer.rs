//! Hyper-parameters that a config.json leaves open, or all of them where there is none, inferred from the shapes of the
//! tensors.

use std::path::Path;

use serde_json::Value;
use vpt_data::Preprocess;

use super::config_json::{Shapes, check, head_classes};
use super::json_object::Object;
use super::naming::Origin;
use super::{CLIP_MEAN, CLIP_STD, ModelConfig};
use crate::presets::{MOST, TimmArgs, closest_preset, pool_name};
use crate::{CoreError, GlobalPool};

/// The image size that the position embedding was trained for, if it is square and not the one assumed.
pub(super) fn infer_img_size(args: &mut TimmArgs, found: &Shapes) {
    let Some([_, rows, _]) = found.get("pos_embed").map(Vec::as_slice) else {
        return;
    };
    let config = args.resolve();
    if *rows == config.num_pos_embed_tokens() {
        return;
    }
    let patches = rows.saturating_sub(config.num_embedded_prefix_tokens());
    let edge = patches.isqrt();
    if (1..=MOST).contains(&edge) && edge * edge == patches {
        args.img_size = [edge * args.patch_size[0], edge * args.patch_size[1]];
    }
}

/// Hyper-parameters from the tensors alone, for a config.json without an architecture's name.
pub(super) fn infer_architecture(top: &Object<'_>, found: &Shapes) -> Result<(String, TimmArgs), CoreError> {
    let timm_name = "the name of a timm architecture";
    let args = infer_args(found, None).ok_or_else(|| top.wrong("architecture", timm_name, &Value::Null))?;
    Ok((closest_preset(&args).name.to_owned(), args))
}

/// The model from the tensors alone, for weights without a config.json, and a sentence on what was assumed.
///
/// # Errors
/// [`CoreError::ModelNotFound`] when the tensors are not those of a Vision Transformer, or of one that cannot be.
pub(super) fn infer_model(
    path: &Path,
    found: &Shapes,
    origin: Origin,
    num_heads: Option<usize>,
) -> Result<(ModelConfig, String), CoreError> {
    let unknown = || CoreError::ModelNotFound {
        spec: path.display().to_string(),
        reason: "there is no config.json beside it, and its tensors are not those of a Vision Transformer"
            .into(),
    };
    let mut args = infer_args(found, num_heads).ok_or_else(unknown)?;
    infer_img_size(&mut args, found);
    let config = args.resolve();
    check(path, &config)?;
    let preprocess = match origin {
        Origin::Google => Preprocess {
            mean: [0.5; 3],
            std: [0.5; 3],
            crop_pct: 0.9,
            ..Preprocess::imagenet(config.img_size[0], config.img_size[1])
        },
        Origin::OpenClip => Preprocess {
            mean: CLIP_MEAN,
            std: CLIP_STD,
            crop_pct: 1.0,
            ..Preprocess::imagenet(config.img_size[0], config.img_size[1])
        },
        Origin::Timm | Origin::Transformers => Preprocess::imagenet(config.img_size[0], config.img_size[1]),
    };
    let architecture = closest_preset(&args).name;
    let assumed = format!(
        "no config.json: took from the shapes that it is like `{architecture}` (width {}, {} blocks, {} heads, \
         {} x {} pixels, {}); assumed the activation {:?}, and images prepared as {} does: mean {:?}, deviation {:?}",
        config.embed_dim,
        config.depth,
        config.num_heads,
        config.img_size[0],
        config.img_size[1],
        pool_name(config.global_pool),
        config.act,
        origin.name(),
        preprocess.mean,
        preprocess.std
    );
    let model = ModelConfig {
        architecture: architecture.to_owned(),
        config,
        preprocess,
        num_classes: head_classes(found),
    };
    Ok((model, assumed))
}

/// Hyper-parameters that the shapes tell; heads of 64 values (unless `num_heads` is known) and CLIP's epsilon behind a
/// norm before the blocks are the conventions of all families.
fn infer_args(found: &Shapes, num_heads: Option<usize>) -> Option<TimmArgs> {
    let &[embed_dim, in_chans, patch_height, patch_width] = found.get("patch_embed.proj.weight")?.as_slice()
    else {
        return None;
    };
    let hidden = *found.get("blocks.0.mlp.fc1.weight")?.first()?;
    // Axes that no data backs up (beside an axis of length 0) can have any length.
    if ![embed_dim, in_chans, patch_height, patch_width, hidden]
        .iter()
        .all(|axis| (1..=MOST).contains(axis))
    {
        return None;
    }
    let has = |name: &str| found.contains_key(name);
    let depth = (0..found.len())
        .take_while(|i| has(&format!("blocks.{i}.norm1.weight")))
        .count();
    let reg_tokens = found
        .get("reg_token")
        .and_then(|shape| shape.get(1))
        .map_or(0, |&n| n.min(MOST));
    let pre_norm = has("norm_pre.weight");
    let fc_norm = has("fc_norm.weight");
    let mut args = TimmArgs {
        patch_size: [patch_height, patch_width],
        in_chans,
        embed_dim,
        depth,
        num_heads: num_heads.unwrap_or(embed_dim / 64).max(1),
        mlp_ratio: mlp_ratio(hidden, embed_dim),
        qkv_bias: has("blocks.0.attn.qkv.bias"),
        class_token: has("cls_token"),
        reg_tokens,
        pre_norm,
        init_values: has("blocks.0.ls1.gamma").then_some(1e-5),
        norm_eps: if pre_norm { 1e-5 } else { 1e-6 },
        global_pool: if fc_norm || !has("cls_token") {
            GlobalPool::Avg
        } else {
            GlobalPool::Token
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

/// The `mlp_ratio` with which `embed_dim` gives `hidden` again, whichever way the division rounds.
pub(super) fn mlp_ratio(hidden: usize, embed_dim: usize) -> f64 {
    let ratio = hidden as f64 / embed_dim as f64;
    if (embed_dim as f64 * ratio) as usize == hidden {
        ratio
    } else {
        (hidden as f64 + 0.5) / embed_dim as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::presets::PRESETS;
    use crate::weights::layout::shapes;
    use crate::{Activation, VitConfig};

    #[test]
    fn every_family_is_recognised_by_its_tensors() {
        for preset in PRESETS {
            let args = preset.timm_args();
            let config = args.resolve();
            // Where shapes cannot tell: the activation, the initial LayerScale, heads of other than 64
            // values.
            let expected = VitConfig {
                act: Activation::Gelu,
                init_values: config.init_values.map(|_| 1e-5),
                num_heads: config.embed_dim / 64,
                ..config.clone()
            };
            let mut inferred = infer_args(&shapes(&config, 2), None).unwrap();
            infer_img_size(&mut inferred, &shapes(&config, 2));
            assert_eq!(inferred.resolve(), expected, "{}", preset.name);
        }
    }

    #[test]
    fn every_hidden_width_comes_back() {
        for (embed_dim, hidden) in (1..1500)
            .map(|i| (i, i * 7 / 2 + 1))
            .chain([(1152, 4304), (1408, 6144)])
        {
            let config = VitConfig {
                embed_dim,
                mlp_ratio: mlp_ratio(hidden, embed_dim),
                ..VitConfig::default()
            };
            assert_eq!(config.mlp_hidden(), hidden, "{embed_dim}");
        }
    }

    #[test]
    fn endless_axes_without_data_are_not_believed() {
        let mut found = shapes(&VitConfig::default(), 0);
        for shape in [vec![usize::MAX, 0, 16, 16], vec![192, 3, 0, 16], vec![192, 3, 16]] {
            found.insert("patch_embed.proj.weight".into(), shape);
            assert_eq!(infer_args(&found, None), None);
        }
        let mut found = shapes(&VitConfig::default(), 0);
        found.insert("pos_embed".into(), vec![1, usize::MAX, 0]);
        let mut args = infer_args(&found, None).unwrap();
        infer_img_size(&mut args, &found);
        assert_eq!(args.img_size, [224, 224]);
    }
}
