//! The names of Swin Transformers, which count blocks stage by stage.
//!
//! Here blocks are counted through all stages, and the merging of patches belongs to the block behind it.

use std::collections::BTreeMap;

use super::convention::{Convention, Origin, as_it_is, no_heads};
use crate::vit::Swin;
use crate::{HostTensor, VitConfig};

/// timm and the authors (github.com/microsoft/Swin-Transformer), who merge at the end of a stage.
pub(super) const SWIN: Convention = Convention {
    origin: Origin::Timm,
    anchor: "layers.0.blocks.0.attn.relative_position_bias_table",
    rules: &[
        ("patch_embed.proj", "patch_embed.proj"),
        ("patch_embed.norm", "norm_pre"),
        ("layers.*.downsample.norm", "layers.*.downsample.norm"),
        ("layers.*.downsample.reduction", "layers.*.downsample.reduction"),
        ("layers.*.blocks.*.norm1", "layers.*.blocks.*.norm1"),
        ("layers.*.blocks.*.attn.qkv", "layers.*.blocks.*.attn.qkv"),
        (
            "layers.*.blocks.*.attn.relative_position_bias_table",
            "layers.*.blocks.*.attn.relative_position_bias_table",
        ),
        ("layers.*.blocks.*.attn.proj", "layers.*.blocks.*.attn.proj"),
        ("layers.*.blocks.*.norm2", "layers.*.blocks.*.norm2"),
        ("layers.*.blocks.*.mlp.fc1", "layers.*.blocks.*.mlp.fc1"),
        ("layers.*.blocks.*.mlp.fc2", "layers.*.blocks.*.mlp.fc2"),
        ("norm", "norm"),
        ("head.fc", "head"),
        ("head", "head"),
    ],
    heads: &[],
    left_out: BUFFERS,
    convert: as_it_is,
    num_heads: no_heads,
    finish: count_through,
};

/// `SwinModel` and `SwinForImageClassification` of Hugging Face transformers.
pub(super) const TRANSFORMERS_SWIN: Convention = Convention {
    origin: Origin::Transformers,
    anchor: "encoder.layers.0.blocks.0.layernorm_before.weight",
    rules: &[
        ("embeddings.patch_embeddings.projection", "patch_embed.proj"),
        ("embeddings.norm", "norm_pre"),
        ("encoder.layers.*.downsample.norm", "layers.*.downsample.norm"),
        (
            "encoder.layers.*.downsample.reduction",
            "layers.*.downsample.reduction",
        ),
        (
            "encoder.layers.*.blocks.*.layernorm_before",
            "layers.*.blocks.*.norm1",
        ),
        (
            "encoder.layers.*.blocks.*.attention.self.query",
            "layers.*.blocks.*.attn.q",
        ),
        (
            "encoder.layers.*.blocks.*.attention.self.key",
            "layers.*.blocks.*.attn.k",
        ),
        (
            "encoder.layers.*.blocks.*.attention.self.value",
            "layers.*.blocks.*.attn.v",
        ),
        (
            "encoder.layers.*.blocks.*.attention.self.relative_position_bias_table",
            "layers.*.blocks.*.attn.relative_position_bias_table",
        ),
        (
            "encoder.layers.*.blocks.*.attention.output.dense",
            "layers.*.blocks.*.attn.proj",
        ),
        (
            "encoder.layers.*.blocks.*.layernorm_after",
            "layers.*.blocks.*.norm2",
        ),
        (
            "encoder.layers.*.blocks.*.intermediate.dense",
            "layers.*.blocks.*.mlp.fc1",
        ),
        (
            "encoder.layers.*.blocks.*.output.dense",
            "layers.*.blocks.*.mlp.fc2",
        ),
        ("layernorm", "norm"),
    ],
    heads: &[("classifier", "head")],
    left_out: &[
        "embeddings.mask_token",
        "encoder.layers.*.blocks.*.attention.self.relative_position_index",
        "decoder",
    ],
    convert: as_it_is,
    num_heads: no_heads,
    finish: count_through,
};

/// What follows from the image size.
const BUFFERS: &[&str] = &[
    "layers.*.blocks.*.attn.relative_position_index",
    "layers.*.blocks.*.attn_mask",
    "mask_token",
    "decoder",
];

/// What timm's `SwinTransformer` calls the tensor that is `name` here: the reverse of [`SWIN`].
pub(in crate::weights) fn timm_swin_name(config: &VitConfig, swin: &Swin, name: &str) -> String {
    if let Some(leaf) = name.strip_prefix("norm_pre.") {
        return format!("patch_embed.norm.{leaf}");
    }
    if let Some(leaf) = name.strip_prefix("head.") {
        return format!("head.fc.{leaf}");
    }
    let block = name.strip_prefix("blocks.").and_then(|rest| rest.split_once('.'));
    let Some((Ok(block), part)) = block.map(|(block, part)| (block.parse::<usize>(), part)) else {
        return name.to_owned();
    };
    let (stage, place) = swin.stage_of(block);
    match part.starts_with("downsample.") && config.merges_before(block) {
        true => format!("layers.{stage}.{part}"),
        false => format!("layers.{stage}.blocks.{place}.{part}"),
    }
}

/// `layers.1.blocks.0.norm1` becomes `blocks.2.norm1` behind a stage of two blocks. A merging, which timm counts to the
/// stage that it begins and the others to the one that it ends, goes to the first block behind it.
fn count_through(tensors: &mut BTreeMap<String, HostTensor>, _notes: &mut Vec<String>) {
    let ends_stage = tensors.contains_key("layers.0.downsample.reduction.weight");
    let mut depths: Vec<usize> = Vec::new();
    for (stage, block) in tensors.keys().filter_map(|name| stage_and_block(name)) {
        // Numbers that no tensor in between backs up can be any: such names stay.
        if stage < tensors.len() && block < tensors.len() {
            depths.resize(depths.len().max(stage + 1), 0);
            depths[stage] = depths[stage].max(block + 1);
        }
    }
    let first = |stage: usize| depths[..stage].iter().sum::<usize>();
    let renamed = |name: &str| {
        let (stage, rest) = name.strip_prefix("layers.")?.split_once('.')?;
        let stage: usize = stage.parse().ok()?;
        if rest.starts_with("downsample.") {
            let stage = stage.checked_add(ends_stage.into())?;
            return (stage < depths.len()).then(|| format!("blocks.{}.{rest}", first(stage)));
        }
        let (stage, block) = stage_and_block(name)
            .filter(|&(stage, block)| depths.get(stage).is_some_and(|&depth| block < depth))?;
        let (_, part) = rest.strip_prefix("blocks.")?.split_once('.')?;
        Some(format!("blocks.{}.{part}", first(stage) + block))
    };
    let all = std::mem::take(tensors);
    tensors.extend(all.into_iter().map(|(name, tensor)| {
        let name = renamed(&name).unwrap_or(name);
        (name, tensor)
    }));
}

/// The numbers in `layers.1.blocks.0.norm1`.
fn stage_and_block(name: &str) -> Option<(usize, usize)> {
    let (stage, rest) = name.strip_prefix("layers.")?.split_once('.')?;
    let (block, _) = rest.strip_prefix("blocks.")?.split_once('.')?;
    Some((stage.parse().ok()?, block.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::super::convention::Match;
    use super::*;
    use crate::preset;
    use crate::weights::layout_shapes;

    fn renamed(names: &[&str]) -> Vec<String> {
        let tensor = || HostTensor::full([1], 0.0);
        let mut tensors = names.iter().map(|name| ((*name).to_owned(), tensor())).collect();
        count_through(&mut tensors, &mut Vec::new());
        tensors.into_keys().collect()
    }

    #[test]
    fn blocks_are_counted_through_the_stages() {
        let blocks = [
            "layers.0.blocks.0.norm1",
            "layers.0.blocks.1.norm1",
            "layers.1.blocks.0.norm1",
        ];
        let expected = [
            "blocks.0.norm1",
            "blocks.1.norm1",
            "blocks.2.downsample.reduction.weight",
            "blocks.2.norm1",
        ];
        let at_the_end = [&blocks[..], &["layers.0.downsample.reduction.weight"]].concat();
        let at_the_start = [&blocks[..], &["layers.1.downsample.reduction.weight"]].concat();
        assert_eq!(renamed(&at_the_end), expected);
        assert_eq!(renamed(&at_the_start), expected);
    }

    #[test]
    fn names_go_there_and_back() {
        let config = preset("swin_tiny_patch4_window7_224").unwrap();
        let swin = config.swin.clone().unwrap();
        let own: Vec<String> = layout_shapes(&config, 2).into_keys().collect();
        let timm: Vec<String> = own
            .iter()
            .map(|name| timm_swin_name(&config, &swin, name))
            .collect();
        for expected in [
            "layers.1.downsample.norm.bias",
            "layers.3.blocks.1.mlp.fc1.weight",
            "head.fc.weight",
        ] {
            assert!(timm.iter().any(|name| name == expected), "{expected}");
        }
        let back = |name: &String| match SWIN.rename(name) {
            Match::Renamed(name) => (name, HostTensor::full([1], 0.0)),
            other => panic!("{name}: {other:?}"),
        };
        let mut tensors = timm.iter().map(back).collect();
        count_through(&mut tensors, &mut Vec::new());
        assert!(tensors.keys().eq(&own));
    }

    #[test]
    fn absurd_numbers_stay() {
        let names = [
            "layers.18446744073709551615.blocks.0.norm1",
            "layers.18446744073709551615.downsample.reduction.weight",
            "layers.99999999999999999999999.blocks.0.norm1",
        ];
        assert_eq!(renamed(&names), names.map(str::to_owned));
    }
}
