//! The names of OpenAI's CLIP and of OpenCLIP.

use super::convention::{Convention, Origin, as_it_is, done, no_heads};

/// The image tower (`visual.`) of a CLIP model with a Vision Transformer.
pub(super) const OPEN_CLIP: Convention = Convention {
    origin: Origin::OpenClip,
    anchor: "visual.class_embedding",
    rules: &[
        ("visual.class_embedding", "cls_token"),
        ("visual.positional_embedding", "pos_embed"),
        ("visual.conv1", "patch_embed.proj"),
        ("visual.ln_pre", "norm_pre"),
        ("visual.transformer.resblocks.*.ln_1", "blocks.*.norm1"),
        (
            "visual.transformer.resblocks.*.attn.in_proj_weight",
            "blocks.*.attn.qkv.weight",
        ),
        (
            "visual.transformer.resblocks.*.attn.in_proj_bias",
            "blocks.*.attn.qkv.bias",
        ),
        (
            "visual.transformer.resblocks.*.attn.out_proj",
            "blocks.*.attn.proj",
        ),
        ("visual.transformer.resblocks.*.ls_1.gamma", "blocks.*.ls1.gamma"),
        ("visual.transformer.resblocks.*.ln_2", "blocks.*.norm2"),
        ("visual.transformer.resblocks.*.mlp.c_fc", "blocks.*.mlp.fc1"),
        ("visual.transformer.resblocks.*.mlp.c_proj", "blocks.*.mlp.fc2"),
        ("visual.transformer.resblocks.*.ls_2.gamma", "blocks.*.ls2.gamma"),
        ("visual.ln_post", "norm"),
    ],
    heads: &[],
    // The projection to the common space of images and texts, and the text tower.
    left_out: &[
        "visual.proj",
        "transformer.",
        "token_embedding.",
        "positional_embedding",
        "ln_final.",
        "text_projection",
        "logit_scale",
        "logit_bias",
    ],
    convert: as_it_is,
    num_heads: no_heads,
    finish: done,
};
