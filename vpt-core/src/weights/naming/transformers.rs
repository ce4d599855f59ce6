//! The names of Hugging Face transformers.

use std::collections::BTreeMap;

use super::convention::{Convention, Origin, as_it_is, fold_class_position, no_heads};
use crate::HostTensor;

/// `ViTModel`, `ViTForImageClassification`, `ViTMAEModel`, `DeiTModel`, `BeitModel`, `Dinov2Model`,
/// `Dinov2WithRegistersModel`.
pub(super) const VIT: Convention = Convention {
    origin: Origin::Transformers,
    anchor: "embeddings.patch_embeddings.projection.weight",
    rules: &[
        ("embeddings.cls_token", "cls_token"),
        ("embeddings.distillation_token", "dist_token"),
        ("embeddings.register_tokens", "reg_token"),
        ("embeddings.position_embeddings", "pos_embed"),
        ("embeddings.patch_embeddings.projection", "patch_embed.proj"),
        ("encoder.layer.*.layernorm_before", "blocks.*.norm1"),
        ("encoder.layer.*.norm1", "blocks.*.norm1"),
        ("encoder.layer.*.attention.attention.query", "blocks.*.attn.q"),
        ("encoder.layer.*.attention.attention.key", "blocks.*.attn.k"),
        ("encoder.layer.*.attention.attention.value", "blocks.*.attn.v"),
        ("encoder.layer.*.attention.output.dense", "blocks.*.attn.proj"),
        // BEiT.
        (
            "encoder.layer.*.attention.attention.relative_position_bias.relative_position_bias_table",
            "blocks.*.attn.relative_position_bias_table",
        ),
        ("encoder.layer.*.lambda_1", "blocks.*.ls1.gamma"),
        ("encoder.layer.*.lambda_2", "blocks.*.ls2.gamma"),
        ("pooler.layernorm", "fc_norm"),
        // As transformers 5 calls them in memory.
        ("encoder.layer.*.attention.q_proj", "blocks.*.attn.q"),
        ("encoder.layer.*.attention.k_proj", "blocks.*.attn.k"),
        ("encoder.layer.*.attention.v_proj", "blocks.*.attn.v"),
        ("encoder.layer.*.attention.o_proj", "blocks.*.attn.proj"),
        ("encoder.layer.*.layer_scale1.lambda1", "blocks.*.ls1.gamma"),
        ("encoder.layer.*.layernorm_after", "blocks.*.norm2"),
        ("encoder.layer.*.norm2", "blocks.*.norm2"),
        ("encoder.layer.*.intermediate.dense", "blocks.*.mlp.fc1"),
        ("encoder.layer.*.output.dense", "blocks.*.mlp.fc2"),
        ("encoder.layer.*.mlp.fc1", "blocks.*.mlp.fc1"),
        ("encoder.layer.*.mlp.fc2", "blocks.*.mlp.fc2"),
        // DINOv2's giant: a gated MLP.
        ("encoder.layer.*.mlp.weights_in", "blocks.*.mlp.fc1"),
        ("encoder.layer.*.mlp.weights_out", "blocks.*.mlp.fc2"),
        ("encoder.layer.*.mlp.gate_proj", "blocks.*.mlp.gate"),
        ("encoder.layer.*.mlp.up_proj", "blocks.*.mlp.value"),
        ("encoder.layer.*.mlp.down_proj", "blocks.*.mlp.fc2"),
        ("encoder.layer.*.layer_scale2.lambda1", "blocks.*.ls2.gamma"),
        ("layernorm", "norm"),
    ],
    heads: &[
        ("classifier", "head"),
        ("cls_classifier", "head"),
        ("distillation_classifier", "head_dist"),
    ],
    left_out: &["embeddings.mask_token", "pooler.", "decoder"],
    convert: as_it_is,
    num_heads: no_heads,
    finish: fold_class_position,
};

/// `DINOv3ViTModel`.
pub(super) const DINOV3: Convention = Convention {
    origin: Origin::Transformers,
    anchor: "embeddings.patch_embeddings.weight",
    rules: &[
        ("embeddings.cls_token", "cls_token"),
        ("embeddings.register_tokens", "reg_token"),
        ("embeddings.patch_embeddings", "patch_embed.proj"),
        ("layer.*.norm1", "blocks.*.norm1"),
        ("layer.*.attention.q_proj", "blocks.*.attn.q"),
        ("layer.*.attention.k_proj", "blocks.*.attn.k"),
        ("layer.*.attention.v_proj", "blocks.*.attn.v"),
        ("layer.*.attention.o_proj", "blocks.*.attn.proj"),
        ("layer.*.layer_scale1.lambda1", "blocks.*.ls1.gamma"),
        ("layer.*.norm2", "blocks.*.norm2"),
        // Plain, `fc1` and `fc2`; gated, the gate beside them.
        ("layer.*.mlp.gate_proj", "blocks.*.mlp.gate"),
        ("layer.*.mlp.up_proj", "blocks.*.mlp.value"),
        ("layer.*.mlp.down_proj", "blocks.*.mlp.fc2"),
        ("layer.*.layer_scale2.lambda1", "blocks.*.ls2.gamma"),
        // As transformers 5 calls them in memory.
        ("model.layer.*.norm1", "blocks.*.norm1"),
        ("model.layer.*.attention.q_proj", "blocks.*.attn.q"),
        ("model.layer.*.attention.k_proj", "blocks.*.attn.k"),
        ("model.layer.*.attention.v_proj", "blocks.*.attn.v"),
        ("model.layer.*.attention.o_proj", "blocks.*.attn.proj"),
        ("model.layer.*.layer_scale1.lambda1", "blocks.*.ls1.gamma"),
        ("model.layer.*.norm2", "blocks.*.norm2"),
        ("model.layer.*.mlp.gate_proj", "blocks.*.mlp.gate"),
        ("model.layer.*.mlp.up_proj", "blocks.*.mlp.value"),
        ("model.layer.*.mlp.down_proj", "blocks.*.mlp.fc2"),
        ("model.layer.*.layer_scale2.lambda1", "blocks.*.ls2.gamma"),
        ("norm", "norm"),
    ],
    heads: &[],
    left_out: &["embeddings.mask_token"],
    convert: as_it_is,
    num_heads: no_heads,
    finish: ungated,
};

/// A plain MLP calls its first layer as a gated one calls that of the values.
fn ungated(tensors: &mut BTreeMap<String, HostTensor>, _notes: &mut Vec<String>) {
    let values: Vec<_> = tensors
        .keys()
        .filter(|name| name.contains(".mlp.value."))
        .filter(|name| !tensors.contains_key(&name.replace(".value.", ".gate.")))
        .cloned()
        .collect();
    for name in values {
        if let Some(tensor) = tensors.remove(&name) {
            tensors.insert(name.replace(".value.", ".fc1."), tensor);
        }
    }
}

/// `CLIPVisionModel` and `SiglipVisionModel`, and the image towers of `CLIPModel` and `SiglipModel`.
pub(super) const CLIP: Convention = Convention {
    origin: Origin::Transformers,
    anchor: "embeddings.patch_embedding.weight",
    rules: &[
        ("embeddings.class_embedding", "cls_token"),
        ("embeddings.position_embedding.weight", "pos_embed"),
        ("embeddings.patch_embedding", "patch_embed.proj"),
        ("pre_layrnorm", "norm_pre"),
        ("encoder.layers.*.layer_norm1", "blocks.*.norm1"),
        ("encoder.layers.*.self_attn.q_proj", "blocks.*.attn.q"),
        ("encoder.layers.*.self_attn.k_proj", "blocks.*.attn.k"),
        ("encoder.layers.*.self_attn.v_proj", "blocks.*.attn.v"),
        ("encoder.layers.*.self_attn.out_proj", "blocks.*.attn.proj"),
        ("encoder.layers.*.layer_norm2", "blocks.*.norm2"),
        ("encoder.layers.*.mlp.fc1", "blocks.*.mlp.fc1"),
        ("encoder.layers.*.mlp.fc2", "blocks.*.mlp.fc2"),
        ("post_layernorm", "norm"),
        ("head.probe", "attn_pool.latent"),
        ("head.attention.in_proj_weight", "attn_pool.in_proj.weight"),
        ("head.attention.in_proj_bias", "attn_pool.in_proj.bias"),
        ("head.attention.out_proj", "attn_pool.proj"),
        ("head.layernorm", "attn_pool.norm"),
        ("head.mlp.fc1", "attn_pool.mlp.fc1"),
        ("head.mlp.fc2", "attn_pool.mlp.fc2"),
    ],
    heads: &[],
    left_out: &["embeddings.position_ids"],
    convert: as_it_is,
    num_heads: no_heads,
    finish: part_pooling,
};

/// torch's `MultiheadAttention` keeps queries, keys and values in one tensor; timm's pooling has the queries apart.
fn part_pooling(tensors: &mut BTreeMap<String, HostTensor>, _notes: &mut Vec<String>) {
    for leaf in ["weight", "bias"] {
        let name = format!("attn_pool.in_proj.{leaf}");
        let fits = |shape: &[usize]| shape.first().is_some_and(|rows| rows.is_multiple_of(3));
        let Some(whole) = tensors.get(&name).filter(|whole| fits(&whole.shape)) else {
            continue;
        };
        let dim = whole.shape[0] / 3;
        let (queries, rest) = whole.data.split_at(whole.data.len() / 3);
        let part = |rows: usize, data: &[f32]| {
            let mut shape = whole.shape.clone();
            shape[0] = rows;
            HostTensor::new(shape, data.to_vec())
        };
        let parts = [("q", part(dim, queries)), ("kv", part(2 * dim, rest))];
        tensors.remove(&name);
        for (part, tensor) in parts {
            tensors.insert(format!("attn_pool.{part}.{leaf}"), tensor);
        }
    }
}
