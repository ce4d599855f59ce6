//! The names of Hugging Face transformers.

use super::convention::{Convention, Origin, as_it_is, done, fold_class_position, no_heads};

/// `ViTModel`, `ViTForImageClassification`, `ViTMAEModel`, `DeiTModel`, `Dinov2Model`, `Dinov2WithRegistersModel`.
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
        ("encoder.layer.*.layer_scale1.lambda1", "blocks.*.ls1.gamma"),
        ("encoder.layer.*.layernorm_after", "blocks.*.norm2"),
        ("encoder.layer.*.norm2", "blocks.*.norm2"),
        ("encoder.layer.*.intermediate.dense", "blocks.*.mlp.fc1"),
        ("encoder.layer.*.output.dense", "blocks.*.mlp.fc2"),
        ("encoder.layer.*.mlp.fc1", "blocks.*.mlp.fc1"),
        ("encoder.layer.*.mlp.fc2", "blocks.*.mlp.fc2"),
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

/// `CLIPVisionModel`, and the image tower of `CLIPModel`.
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
    ],
    heads: &[],
    left_out: &["embeddings.position_ids"],
    convert: as_it_is,
    num_heads: no_heads,
    finish: done,
};
