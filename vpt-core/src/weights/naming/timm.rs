//! timm's own names, and the tensors that repositories with the same names add for pretraining.

use super::convention::{Convention, Origin, as_it_is, fold_class_position, no_heads};

pub(super) const TIMM: Convention = Convention {
    origin: Origin::Timm,
    anchor: "patch_embed.proj.weight",
    rules: &[
        ("cls_token", "cls_token"),
        ("dist_token", "dist_token"),
        ("reg_token", "reg_token"),
        // DINOv2.
        ("register_tokens", "reg_token"),
        ("pos_embed", "pos_embed"),
        ("patch_embed.proj", "patch_embed.proj"),
        ("norm_pre", "norm_pre"),
        ("blocks.*.norm1", "blocks.*.norm1"),
        ("blocks.*.attn.qkv", "blocks.*.attn.qkv"),
        ("blocks.*.attn.proj", "blocks.*.attn.proj"),
        ("blocks.*.ls1.gamma", "blocks.*.ls1.gamma"),
        // DeiT III.
        ("blocks.*.gamma_1", "blocks.*.ls1.gamma"),
        ("blocks.*.norm2", "blocks.*.norm2"),
        ("blocks.*.mlp.fc1", "blocks.*.mlp.fc1"),
        ("blocks.*.mlp.fc2", "blocks.*.mlp.fc2"),
        ("blocks.*.ls2.gamma", "blocks.*.ls2.gamma"),
        ("blocks.*.gamma_2", "blocks.*.ls2.gamma"),
        ("norm", "norm"),
        ("fc_norm", "fc_norm"),
        ("head", "head"),
        ("head_dist", "head_dist"),
    ],
    heads: &[],
    left_out: &[
        "mask_token",
        "decoder",
        "head.",
        "predictor.",
        "ibot_head.",
        "dino_head.",
    ],
    convert: as_it_is,
    num_heads: no_heads,
    finish: fold_class_position,
};
