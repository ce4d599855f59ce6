//! Hyper-parameters that a config.json leaves open, or all of them where there is none, inferred from the shapes of the
//! tensors.

use std::path::Path;

use serde_json::Value;
use vpt_data::Preprocess;

use super::config_json::{Shapes, check, head_classes};
use super::json_object::Object;
use super::naming::Origin;
use super::{CLIP_MEAN, CLIP_STD, ModelConfig};
use crate::presets::{MOST, PRESETS, Preset, RopeType, TimmArgs, TimmClass, closest_preset, pool_name};
use crate::vit::Swin;
use crate::{Activation, CoreError, GlobalPool, VitConfig};

/// The image size that position embeddings or biases were trained for, if it is square and not the one assumed.
pub(super) fn infer_img_size(args: &mut TimmArgs, found: &Shapes) {
    if let Some(swin) = &args.swin {
        // The published models end in one window, which is the whole image.
        let last = format!("blocks.{}.attn.relative_position_bias_table", args.depth - 1);
        if let Some(edge) = window_edge(found, &last) {
            let merged = 1 << swin.depths.len().saturating_sub(1).min(8);
            args.img_size = args.patch_size.map(|patch| patch * merged * edge);
        }
        return;
    }
    let table = found.get("blocks.0.attn.relative_position_bias_table");
    if let Some([rows, _]) = table.map(Vec::as_slice) {
        // (2 edge - 1)² distances between patches, and three of the class token.
        let distances = rows.saturating_sub(3);
        let edge = distances.isqrt().div_ceil(2);
        if (1..=MOST).contains(&edge) && (2 * edge - 1).pow(2) == distances {
            args.img_size = [edge * args.patch_size[0], edge * args.patch_size[1]];
        }
        return;
    }
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

/// The model from the tensors alone, for weights without a config.json.
///
/// # Errors
/// [`CoreError::ModelNotFound`] when the tensors are not those of a Vision Transformer, or of one that cannot be.
pub(super) fn infer_model(
    path: &Path,
    found: &Shapes,
    origin: Origin,
    num_heads: Option<usize>,
) -> Result<ModelConfig, CoreError> {
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
    Ok(ModelConfig {
        architecture: closest_preset(&args).name.to_owned(),
        config,
        preprocess,
        num_classes: head_classes(found),
    })
}

/// A sentence on what was inferred and assumed; `prepared` says where the preparation of images comes from.
pub(super) fn assumed(model: &ModelConfig, prepared: &str) -> String {
    let (config, preprocess) = (&model.config, &model.preprocess);
    format!(
        "no config.json: took from the shapes that it is like `{}` (width {}, {} blocks, {} heads, {} x {} pixels, \
         {}); assumed the activation {:?}, and images prepared {prepared}: mean {:?}, deviation {:?}",
        model.architecture,
        config.embed_dim,
        config.depth,
        config.num_heads,
        config.img_size[0],
        config.img_size[1],
        pool_name(config.global_pool),
        config.act,
        preprocess.mean,
        preprocess.std
    )
}

/// Whether the first block's MLP is gated: its first layer makes twice what its second layer reads. timm's arguments for
/// that are Python objects, which a config.json cannot hold.
pub(super) fn infer_gated_mlp(found: &Shapes) -> bool {
    let axis = |name: &str, axis: usize| found.get(name).and_then(|shape| shape.get(axis).copied());
    let (made, read) = (
        axis("blocks.0.mlp.fc1.weight", 0),
        axis("blocks.0.mlp.fc2.weight", 1),
    );
    matches!((made, read), (Some(made), Some(read)) if made > 0 && made.checked_div(2) == Some(read))
}

/// Attention heads: those of the named architectures of this width and depth if they agree, else heads of 64 channels.
fn infer_num_heads(args: &TimmArgs) -> usize {
    let mut like = PRESETS
        .iter()
        .map(Preset::timm_args)
        .filter(|preset| {
            (preset.embed_dim, preset.depth, preset.class) == (args.embed_dim, args.depth, args.class)
        })
        .map(|preset| preset.num_heads);
    match like.next() {
        Some(heads) if like.all(|other| other == heads) => heads,
        _ => (args.embed_dim / 64).max(1),
    }
}

/// Patches on the edge of a square window, from the table of biases of a block: (2 edge - 1)² distances.
fn window_edge(found: &Shapes, table: &str) -> Option<usize> {
    let &[rows, _] = found.get(table)?.as_slice() else {
        return None;
    };
    let edge = rows.isqrt().div_ceil(2);
    ((1..=MOST).contains(&edge) && (2 * edge - 1).pow(2) == rows).then_some(edge)
}

/// Hyper-parameters of a Swin Transformer, whose tables of biases tell heads and windows: no table without windows stands
/// in a model without class token.
fn infer_swin(found: &Shapes) -> Option<TimmArgs> {
    let heads = |i: usize| {
        let table = found.get(&format!("blocks.{i}.attn.relative_position_bias_table"))?;
        table.get(1).copied().filter(|heads| (1..=MOST).contains(heads))
    };
    let depth = (0..found.len()).take_while(|&i| heads(i).is_some()).count();
    let begins =
        |i: &usize| *i == 0 || found.contains_key(&format!("blocks.{i}.downsample.reduction.weight"));
    let starts: Vec<_> = (0..depth).filter(begins).collect();
    let ends = starts.iter().skip(1).copied().chain([depth]);
    let patch = found.get("patch_embed.proj.weight")?;
    let fc1 = *found.get("blocks.0.mlp.fc1.weight")?.first()?;
    let &[embed_dim, in_chans, patch_height, patch_width] = patch.as_slice() else {
        return None;
    };
    if ![embed_dim, in_chans, patch_height, patch_width, fc1]
        .iter()
        .all(|axis| (1..=MOST).contains(axis))
    {
        return None;
    }
    let edge = window_edge(found, "blocks.0.attn.relative_position_bias_table")?;
    let num_heads: Vec<_> = starts.iter().filter_map(|&i| heads(i)).collect();
    if num_heads.is_empty() {
        return None;
    }
    Some(TimmArgs {
        patch_size: [patch_height, patch_width],
        in_chans,
        embed_dim,
        mlp_ratio: VitConfig::mlp_ratio_of(fc1, embed_dim),
        qkv_bias: found.contains_key("blocks.0.attn.qkv.bias"),
        pre_norm: found.contains_key("norm_pre.weight"),
        final_norm: found.contains_key("norm.weight"),
        ..TimmArgs::of_swin(Swin {
            depths: starts.iter().zip(ends).map(|(start, end)| end - start).collect(),
            num_heads,
            window_size: [edge; 2],
        })
    })
}

/// Hyper-parameters that the shapes tell. What they do not tell is taken from the named architectures: the number of heads
/// (unless it is known), CLIP's epsilon behind a norm before the blocks, the rotary embeddings of models that have no
/// learned ones (DINOv3) or a gated MLP without LayerScale (EVA-02).
fn infer_args(found: &Shapes, num_heads: Option<usize>) -> Option<TimmArgs> {
    let biased = found.contains_key("blocks.0.attn.relative_position_bias_table");
    if biased && !found.contains_key("cls_token") {
        return infer_swin(found);
    }
    let &[embed_dim, in_chans, patch_height, patch_width] = found.get("patch_embed.proj.weight")?.as_slice()
    else {
        return None;
    };
    let fc1 = *found.get("blocks.0.mlp.fc1.weight")?.first()?;
    // Axes that no data backs up (beside an axis of length 0) can have any length.
    if ![embed_dim, in_chans, patch_height, patch_width, fc1]
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
    let gated = infer_gated_mlp(found);
    let layer_scale = has("blocks.0.ls1.gamma");
    let beit = has("blocks.0.attn.relative_position_bias_table");
    let dinov3 = !has("pos_embed") && !beit;
    let eva02 = !dinov3 && gated && !layer_scale;
    let eva = dinov3 || eva02;
    let class = if beit {
        TimmClass::Beit
    } else if eva {
        TimmClass::Eva
    } else {
        TimmClass::VisionTransformer
    };
    let halved = class != TimmClass::VisionTransformer && gated;
    let hidden = if halved { fc1 / 2 } else { fc1 };
    let mut args = TimmArgs {
        patch_size: [patch_height, patch_width],
        in_chans,
        embed_dim,
        depth,
        mlp_ratio: VitConfig::mlp_ratio_of(hidden, embed_dim),
        gated_mlp: gated,
        act: if gated && !halved {
            Activation::Silu
        } else {
            Activation::Gelu
        },
        mlp_norm: has("blocks.0.mlp.norm.weight"),
        attn_norm: has("blocks.0.attn.norm.weight"),
        abs_pos_embed: has("pos_embed"),
        rel_pos_bias: beit,
        rot_pos_embed: eva,
        rope_type: if dinov3 { RopeType::Dinov3 } else { RopeType::Cat },
        rope_temperature: if dinov3 { 100.0 } else { 10_000.0 },
        ref_feat_shape: eva02.then_some([16; 2]),
        class,
        qkv_bias: has("blocks.0.attn.qkv.bias"),
        class_token: has("cls_token"),
        reg_tokens,
        pre_norm,
        init_values: layer_scale.then_some(1e-5),
        norm_eps: if pre_norm || dinov3 { 1e-5 } else { 1e-6 },
        global_pool: if has("attn_pool.latent") {
            GlobalPool::Map
        } else if fc_norm || !has("cls_token") {
            GlobalPool::Avg
        } else {
            GlobalPool::Token
        },
        fc_norm: (!fc_norm && !has("cls_token") && !has("attn_pool.latent")).then_some(false),
        final_norm: fc_norm || has("norm.weight"),
        distilled: has("dist_token"),
        ..TimmArgs::default()
    };
    args.num_heads = num_heads.unwrap_or_else(|| infer_num_heads(&args)).max(1);
    // A square number of rows tells that the prefix has none of its own.
    let rows = found.get("pos_embed").and_then(|shape| shape.get(1).copied());
    args.no_embed_class =
        args.resolve().num_prefix_tokens() > 0 && rows.is_some_and(|rows| rows.isqrt().pow(2) == rows);
    Some(args)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::presets::PRESETS;
    use crate::weights::layout::shapes;

    #[test]
    fn every_family_is_recognised_by_its_tensors() {
        for preset in PRESETS {
            let args = preset.timm_args();
            let config = args.resolve();
            // Where shapes cannot tell: the activation (but for a gated MLP), the initial LayerScale, what the head of
            // a DINOv3 reads, and the image size of a model without position embeddings.
            let dinov3 = !config.pos_embed && !config.rel_pos_bias;
            let expected = VitConfig {
                act: if config.gated_mlp {
                    Activation::Silu
                } else {
                    Activation::Gelu
                },
                init_values: config.init_values.map(|_| 1e-5),
                mlp_ratio: VitConfig::mlp_ratio_of(config.mlp_fc1(), config.embed_dim),
                global_pool: if dinov3 {
                    GlobalPool::Token
                } else {
                    config.global_pool
                },
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
                mlp_ratio: VitConfig::mlp_ratio_of(hidden, embed_dim),
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
