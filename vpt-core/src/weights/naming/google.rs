//! The names and shapes of Google's JAX releases (`.npz`): the original ViT and AugReg (`vision_transformer`), and
//! `big_vision`, which numbers the parts of a block anew.
//!
//! Flax keeps the weight of a linear layer as `[inputs, outputs]`, that of attention per head, and patches as
//! `[height, width, channels, D]` (timm `_load_weights`).

use super::convention::{Convention, Origin, as_it_is, done};
use crate::HostTensor;
use crate::weights::permute::permute;

pub(super) const GOOGLE: Convention = Convention {
    origin: Origin::Google,
    anchor: "embedding.kernel",
    rules: &[
        ("cls", "cls_token"),
        ("Transformer.posembed_input.pos_embedding", "pos_embed"),
        ("pos_embedding", "pos_embed"),
        ("embedding", "patch_embed.proj"),
        ("Transformer.encoderblock_*.LayerNorm_0", "blocks.*.norm1"),
        (
            "Transformer.encoderblock_*.MultiHeadDotProductAttention_1.query",
            "blocks.*.attn.q",
        ),
        (
            "Transformer.encoderblock_*.MultiHeadDotProductAttention_1.key",
            "blocks.*.attn.k",
        ),
        (
            "Transformer.encoderblock_*.MultiHeadDotProductAttention_1.value",
            "blocks.*.attn.v",
        ),
        (
            "Transformer.encoderblock_*.MultiHeadDotProductAttention_1.out",
            "blocks.*.attn.proj",
        ),
        (
            "Transformer.encoderblock_*.MultiHeadDotProductAttention_0.query",
            "blocks.*.attn.q",
        ),
        (
            "Transformer.encoderblock_*.MultiHeadDotProductAttention_0.key",
            "blocks.*.attn.k",
        ),
        (
            "Transformer.encoderblock_*.MultiHeadDotProductAttention_0.value",
            "blocks.*.attn.v",
        ),
        (
            "Transformer.encoderblock_*.MultiHeadDotProductAttention_0.out",
            "blocks.*.attn.proj",
        ),
        ("Transformer.encoderblock_*.LayerNorm_2", "blocks.*.norm2"),
        ("Transformer.encoderblock_*.LayerNorm_1", "blocks.*.norm2"),
        (
            "Transformer.encoderblock_*.MlpBlock_3.Dense_0",
            "blocks.*.mlp.fc1",
        ),
        (
            "Transformer.encoderblock_*.MlpBlock_3.Dense_1",
            "blocks.*.mlp.fc2",
        ),
        (
            "Transformer.encoderblock_*.MlpBlock_0.Dense_0",
            "blocks.*.mlp.fc1",
        ),
        (
            "Transformer.encoderblock_*.MlpBlock_0.Dense_1",
            "blocks.*.mlp.fc2",
        ),
        ("Transformer.encoder_norm", "norm"),
        // SigLIP's attention pooling.
        ("MAPHead_0.probe", "attn_pool.latent"),
        ("MAPHead_0.MultiHeadDotProductAttention_0.query", "attn_pool.q"),
        ("MAPHead_0.MultiHeadDotProductAttention_0.key", "attn_pool.k"),
        ("MAPHead_0.MultiHeadDotProductAttention_0.value", "attn_pool.v"),
        ("MAPHead_0.MultiHeadDotProductAttention_0.out", "attn_pool.proj"),
        ("MAPHead_0.LayerNorm_0", "attn_pool.norm"),
        ("MAPHead_0.MlpBlock_0.Dense_0", "attn_pool.mlp.fc1"),
        ("MAPHead_0.MlpBlock_0.Dense_1", "attn_pool.mlp.fc2"),
        ("head", "head"),
    ],
    heads: &[],
    // A hidden layer before the head, which ImageNet-21k models were trained with and timm drops too.
    left_out: &["pre_logits."],
    convert,
    num_heads,
    finish: done,
};

fn convert(timm: &str, own: &str, tensor: HostTensor) -> HostTensor {
    let shape = tensor.shape.clone();
    match (timm, shape.as_slice()) {
        ("patch_embed.proj.weight", [_, _, _, _]) => permute(&tensor, &[3, 2, 0, 1]),
        // Query, key and value: [inputs, heads, head width].
        (_, &[inputs, heads, width]) if own.ends_with("kernel") && !own.ends_with("out.kernel") => {
            permute(&reshaped(tensor, [inputs, heads * width]), &[1, 0])
        }
        // Output: [heads, head width, outputs].
        (_, &[heads, width, outputs]) if own.ends_with("kernel") => {
            permute(&reshaped(tensor, [heads * width, outputs]), &[1, 0])
        }
        (_, [_, _]) if own.ends_with("kernel") => permute(&tensor, &[1, 0]),
        (_, &[heads, width]) if own.ends_with("bias") => reshaped(tensor, [heads * width]),
        _ => as_it_is(timm, own, tensor),
    }
}

fn num_heads(own: &str, shape: &[usize]) -> Option<usize> {
    match *shape {
        [_, heads, _] if own.ends_with("query.kernel") => Some(heads),
        _ => None,
    }
}

fn reshaped(tensor: HostTensor, shape: impl Into<Vec<usize>>) -> HostTensor {
    HostTensor::new(shape, tensor.data)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::to_timm;
    use super::*;
    use crate::weights::Backbone;
    use crate::{VitConfig, presets::preset};

    /// timm's tensors as Flax would hold them.
    fn in_flax(backbone: &Backbone) -> BTreeMap<String, HostTensor> {
        let (dim, heads) = (backbone.config.embed_dim, backbone.config.num_heads);
        let kernel = |name: &str| permute(&backbone.tensors[&format!("{name}.weight")], &[1, 0]);
        let mut flax = BTreeMap::new();
        let mut add = |name: String, tensor: HostTensor| flax.insert(name, tensor);
        add("cls".into(), backbone.tensors["cls_token"].clone());
        add(
            "Transformer/posembed_input/pos_embedding".into(),
            backbone.tensors["pos_embed"].clone(),
        );
        add(
            "embedding/kernel".into(),
            permute(&backbone.tensors["patch_embed.proj.weight"], &[2, 3, 1, 0]),
        );
        add(
            "embedding/bias".into(),
            backbone.tensors["patch_embed.proj.bias"].clone(),
        );
        let norms = |block: usize| {
            let block = format!("Transformer/encoderblock_{block}");
            [
                (format!("{block}/LayerNorm_0"), "norm1"),
                (format!("{block}/LayerNorm_2"), "norm2"),
            ]
        };
        for block in 0..backbone.config.depth {
            let timm = format!("blocks.{block}");
            let own = format!("Transformer/encoderblock_{block}");
            for (name, norm) in norms(block) {
                add(
                    format!("{name}/scale"),
                    backbone.tensors[&format!("{timm}.{norm}.weight")].clone(),
                );
                add(
                    format!("{name}/bias"),
                    backbone.tensors[&format!("{timm}.{norm}.bias")].clone(),
                );
            }
            let attention = format!("{own}/MultiHeadDotProductAttention_1");
            let (weight, bias) = (
                &backbone.tensors[&format!("{timm}.attn.qkv.weight")],
                &backbone.tensors[&format!("{timm}.attn.qkv.bias")],
            );
            for (i, part) in ["query", "key", "value"].iter().enumerate() {
                let rows = HostTensor::new([dim, dim], weight.data[i * dim * dim..][..dim * dim].to_vec());
                let per_head = reshaped(permute(&rows, &[1, 0]), [dim, heads, dim / heads]);
                add(format!("{attention}/{part}/kernel"), per_head);
                let bias = HostTensor::new([heads, dim / heads], bias.data[i * dim..][..dim].to_vec());
                add(format!("{attention}/{part}/bias"), bias);
            }
            let out = reshaped(kernel(&format!("{timm}.attn.proj")), [heads, dim / heads, dim]);
            add(format!("{attention}/out/kernel"), out);
            add(
                format!("{attention}/out/bias"),
                backbone.tensors[&format!("{timm}.attn.proj.bias")].clone(),
            );
            for (i, layer) in ["fc1", "fc2"].iter().enumerate() {
                let dense = format!("{own}/MlpBlock_3/Dense_{i}");
                add(format!("{dense}/kernel"), kernel(&format!("{timm}.mlp.{layer}")));
                add(
                    format!("{dense}/bias"),
                    backbone.tensors[&format!("{timm}.mlp.{layer}.bias")].clone(),
                );
            }
        }
        add(
            "Transformer/encoder_norm/scale".into(),
            backbone.tensors["norm.weight"].clone(),
        );
        add(
            "Transformer/encoder_norm/bias".into(),
            backbone.tensors["norm.bias"].clone(),
        );
        add("head/kernel".into(), kernel("head"));
        add("head/bias".into(), backbone.tensors["head.bias"].clone());
        flax
    }

    #[test]
    fn flax_tensors_become_timms() {
        let config = VitConfig {
            img_size: [32, 32],
            embed_dim: 24,
            depth: 2,
            num_heads: 3,
            ..preset("vit_tiny_patch16_224").unwrap()
        };
        let backbone = Backbone::random(config, 5, 1);
        let renamed = to_timm(in_flax(&backbone)).unwrap();
        assert_eq!(renamed.num_heads, Some(3));
        assert_eq!(renamed.notes, Vec::<String>::new());
        assert_eq!(renamed.tensors, backbone.tensors);
    }
}
