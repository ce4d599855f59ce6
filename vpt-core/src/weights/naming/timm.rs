//! timm's own names, and the tensors that repositories with the same names add for pretraining.

use std::collections::BTreeMap;

use super::convention::{Convention, Origin, as_it_is, fold_class_position, no_heads};
use crate::HostTensor;

pub(super) const TIMM: Convention = Convention {
    origin: Origin::Timm,
    anchor: "patch_embed.proj.weight",
    rules: &[
        ("cls_token", "cls_token"),
        ("dist_token", "dist_token"),
        ("reg_token", "reg_token"),
        // DINOv2.
        ("register_tokens", "reg_token"),
        // DINOv3.
        ("storage_tokens", "reg_token"),
        ("pos_embed", "pos_embed"),
        ("patch_embed.proj", "patch_embed.proj"),
        ("norm_pre", "norm_pre"),
        // Swin as it is saved here.
        ("blocks.*.downsample.norm", "blocks.*.downsample.norm"),
        ("blocks.*.downsample.reduction", "blocks.*.downsample.reduction"),
        ("blocks.*.norm1", "blocks.*.norm1"),
        ("blocks.*.attn.qkv", "blocks.*.attn.qkv"),
        // EVA and EVA-02: no bias of the keys, and in the larger models three projections.
        ("blocks.*.attn.q_bias", "blocks.*.attn.q.bias"),
        ("blocks.*.attn.v_bias", "blocks.*.attn.v.bias"),
        ("blocks.*.attn.q_proj", "blocks.*.attn.q"),
        ("blocks.*.attn.k_proj", "blocks.*.attn.k"),
        ("blocks.*.attn.v_proj", "blocks.*.attn.v"),
        ("blocks.*.attn.norm", "blocks.*.attn.norm"),
        ("blocks.*.attn.inner_attn_ln", "blocks.*.attn.norm"),
        (
            "blocks.*.attn.relative_position_bias_table",
            "blocks.*.attn.relative_position_bias_table",
        ),
        ("blocks.*.attn.proj", "blocks.*.attn.proj"),
        ("blocks.*.ls1.gamma", "blocks.*.ls1.gamma"),
        // DeiT III.
        ("blocks.*.gamma_1", "blocks.*.ls1.gamma"),
        ("blocks.*.norm2", "blocks.*.norm2"),
        ("blocks.*.mlp.fc1", "blocks.*.mlp.fc1"),
        ("blocks.*.mlp.norm", "blocks.*.mlp.norm"),
        ("blocks.*.mlp.fc2", "blocks.*.mlp.fc2"),
        // Gated MLPs: of timm's Eva, of the authors of EVA-02 and DINOv3, of DINOv2's giant.
        ("blocks.*.mlp.fc1_g", "blocks.*.mlp.gate"),
        ("blocks.*.mlp.fc1_x", "blocks.*.mlp.value"),
        ("blocks.*.mlp.w1", "blocks.*.mlp.gate"),
        ("blocks.*.mlp.w2", "blocks.*.mlp.value"),
        ("blocks.*.mlp.w3", "blocks.*.mlp.fc2"),
        ("blocks.*.mlp.w12", "blocks.*.mlp.fc1"),
        ("blocks.*.mlp.ffn_ln", "blocks.*.mlp.norm"),
        ("blocks.*.ls2.gamma", "blocks.*.ls2.gamma"),
        ("blocks.*.gamma_2", "blocks.*.ls2.gamma"),
        ("norm", "norm"),
        ("attn_pool.latent", "attn_pool.latent"),
        ("attn_pool.q", "attn_pool.q"),
        ("attn_pool.kv", "attn_pool.kv"),
        ("attn_pool.proj", "attn_pool.proj"),
        ("attn_pool.norm", "attn_pool.norm"),
        ("attn_pool.mlp.fc1", "attn_pool.mlp.fc1"),
        ("attn_pool.mlp.fc2", "attn_pool.mlp.fc2"),
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
        "lm_head.",
        "local_cls_norm.",
        // Angles, which follow from the image size.
        "rope.",
        "rope_embed.",
        "blocks.*.attn.rope.",
    ],
    convert: as_it_is,
    num_heads: no_heads,
    finish: settle,
};

fn settle(tensors: &mut BTreeMap<String, HostTensor>, notes: &mut Vec<String>) {
    apply_bias_masks(tensors);
    share_bias_table(tensors);
    fold_class_position(tensors, notes);
}

/// BEiT is pretrained with one table of biases for all blocks, which fine-tuning gives to each.
fn share_bias_table(tensors: &mut BTreeMap<String, HostTensor>) {
    let Some(table) = tensors.remove("rel_pos_bias.relative_position_bias_table") else {
        return;
    };
    let blocks: Vec<_> = tensors
        .keys()
        .filter_map(|name| Some(name.strip_suffix(".attn.qkv.weight")?.to_owned()))
        .collect();
    for block in blocks {
        tensors.insert(
            format!("{block}.attn.relative_position_bias_table"),
            table.clone(),
        );
    }
}

/// DINOv3 publishes a bias for the keys and a mask (0 there, 1 elsewhere) that takes it away.
fn apply_bias_masks(tensors: &mut BTreeMap<String, HostTensor>) {
    let biases: Vec<_> = tensors
        .keys()
        .filter_map(|name| Some(name.strip_suffix("_mask")?.to_owned()))
        .filter(|name| name.ends_with("attn.qkv.bias"))
        .collect();
    for name in biases {
        let masks = |mask: &HostTensor, bias: &HostTensor| mask.shape == bias.shape;
        let mask = tensors.remove(&format!("{name}_mask"));
        if let (Some(mask), Some(bias)) = (mask, tensors.get_mut(&name))
            && masks(&mask, bias)
        {
            for (value, mask) in bias.data.iter_mut().zip(&mask.data) {
                // What is masked may be anything, also not a number.
                *value = if *mask == 0.0 { 0.0 } else { *value * mask };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_masked_bias_is_zero_whatever_it_is() {
        let mut tensors = BTreeMap::from([
            (
                "blocks.0.attn.qkv.bias".to_owned(),
                HostTensor::new([3], vec![1.0, f32::NAN, 3.0]),
            ),
            (
                "blocks.0.attn.qkv.bias_mask".to_owned(),
                HostTensor::new([3], vec![1.0, 0.0, 1.0]),
            ),
        ]);
        apply_bias_masks(&mut tensors);
        assert_eq!(tensors["blocks.0.attn.qkv.bias"].data, [1.0, 0.0, 3.0]);
        assert_eq!(tensors.len(), 1);
    }
}
