//! The tensors of a Vision Transformer in timm's layout: which names, which shapes, what they start from.

use std::collections::BTreeMap;

use crate::vit::RelativePosition;
use crate::{GlobalPool, VitConfig};

/// How timm initialises a tensor.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Init {
    /// Everywhere the same value.
    Constant(f32),
    /// Normal with this deviation (timm truncates it at ±2, a hundred deviations away).
    Normal(f64),
    /// Uniform within ± this bound.
    Uniform(f64),
}

/// A tensor of the layout.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Slot {
    pub shape: Vec<usize>,
    pub init: Init,
}

/// Every tensor of the model that `config` describes with a classifier for `num_classes` (none for 0), by
/// name.
///
/// Initial values are those of timm's `init_weights_vit_timm` (and PyTorch's for the patch convolution).
pub(crate) fn layout(config: &VitConfig, num_classes: usize) -> BTreeMap<String, Slot> {
    let dim = config.embed_dim;
    let mut slots = Slots::default();
    if config.class_token {
        slots.add("cls_token", [1, 1, dim], Init::Normal(1e-6));
    }
    if config.distilled {
        slots.add("dist_token", [1, 1, dim], Init::Normal(0.02));
    }
    if config.reg_tokens > 0 {
        slots.add("reg_token", [1, config.reg_tokens, dim], Init::Normal(1e-6));
    }
    if config.pos_embed {
        slots.add(
            "pos_embed",
            [1, config.num_pos_embed_tokens(), dim],
            Init::Normal(0.02),
        );
    }

    let patch_bound = Init::Uniform((config.patch_values() as f64).sqrt().recip());
    let [patch_height, patch_width] = config.patch_size;
    slots.add(
        "patch_embed.proj.weight",
        [dim, config.in_chans, patch_height, patch_width],
        patch_bound,
    );
    if config.patch_bias {
        slots.add("patch_embed.proj.bias", [dim], patch_bound);
    }
    if config.pre_norm {
        slots.norm("norm_pre", dim);
    }
    for i in 0..config.depth {
        slots.block(config, i);
    }
    let dim = config.num_features();
    if config.final_norm {
        slots.norm("norm", dim);
    }
    if config.global_pool == GlobalPool::Map {
        let latent = Init::Normal((dim as f64).sqrt().recip());
        slots.add("attn_pool.latent", [1, 1, dim], latent);
        slots.linear("attn_pool.q", dim, dim, true);
        slots.linear("attn_pool.kv", dim, 2 * dim, true);
        slots.linear("attn_pool.proj", dim, dim, true);
        slots.norm("attn_pool.norm", dim);
        slots.linear("attn_pool.mlp.fc1", dim, config.mlp_fc1(), true);
        slots.linear("attn_pool.mlp.fc2", config.mlp_fc1(), dim, true);
    }
    if config.fc_norm {
        slots.norm("fc_norm", dim);
    }
    if num_classes > 0 {
        slots.linear("head", dim, num_classes, true);
        if config.distilled {
            slots.linear("head_dist", dim, num_classes, true);
        }
    }
    slots.0
}

/// The layout's names and shapes alone.
pub(crate) fn shapes(config: &VitConfig, num_classes: usize) -> BTreeMap<String, Vec<usize>> {
    layout(config, num_classes)
        .into_iter()
        .map(|(name, slot)| (name, slot.shape))
        .collect()
}

/// Parameters of the model that `config` describes, without a classifier.
pub fn num_params(config: &VitConfig) -> usize {
    shapes(config, 0)
        .values()
        .map(|shape| shape.iter().product::<usize>())
        .sum()
}

/// The layout while it grows.
#[derive(Default)]
struct Slots(BTreeMap<String, Slot>);

impl Slots {
    fn add(&mut self, name: &str, shape: impl Into<Vec<usize>>, init: Init) {
        self.0.insert(
            name.to_owned(),
            Slot {
                shape: shape.into(),
                init,
            },
        );
    }

    fn block(&mut self, config: &VitConfig, i: usize) {
        let at = config.at_block(i);
        let (dim, name) = (at.embed_dim, |part: &str| format!("blocks.{i}.{part}"));
        if config.merges_before(i) {
            // Four patches of half this width.
            self.norm(&name("downsample.norm"), 2 * dim);
            self.linear(&name("downsample.reduction"), 2 * dim, dim, false);
        }
        self.norm(&name("norm1"), dim);
        self.linear(&name("attn.qkv"), dim, 3 * dim, at.qkv_bias);
        if at.rel_pos_bias {
            let grid = config.bias_grid(i, config.img_size);
            let rows = RelativePosition::table_rows(grid, config.class_token);
            self.add(
                &name("attn.relative_position_bias_table"),
                [rows, at.num_heads],
                Init::Normal(0.02),
            );
        }
        if at.attn_norm {
            self.norm(&name("attn.norm"), dim);
        }
        self.linear(&name("attn.proj"), dim, dim, true);
        self.norm(&name("norm2"), dim);
        self.linear(&name("mlp.fc1"), dim, at.mlp_fc1(), true);
        if at.mlp_norm {
            self.norm(&name("mlp.norm"), at.mlp_hidden());
        }
        self.linear(&name("mlp.fc2"), at.mlp_hidden(), dim, true);
        if let Some(scale) = at.init_values {
            self.add(&name("ls1.gamma"), [dim], Init::Constant(scale as f32));
            self.add(&name("ls2.gamma"), [dim], Init::Constant(scale as f32));
        }
    }

    fn norm(&mut self, name: &str, dim: usize) {
        self.add(&format!("{name}.weight"), [dim], Init::Constant(1.0));
        self.add(&format!("{name}.bias"), [dim], Init::Constant(0.0));
    }

    fn linear(&mut self, name: &str, inputs: usize, outputs: usize, bias: bool) {
        self.add(&format!("{name}.weight"), [outputs, inputs], Init::Normal(0.02));
        if bias {
            self.add(&format!("{name}.bias"), [outputs], Init::Constant(0.0));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::presets::{Published, preset};

    fn params(name: &str, num_classes: usize) -> usize {
        let shapes = shapes(&preset(name).unwrap(), num_classes);
        shapes.values().map(|shape| shape.iter().product::<usize>()).sum()
    }

    /// Counts from timm's `results/model_metadata-in1k.csv` and model cards (parameters in millions, two
    /// digits).
    #[test]
    fn parameter_counts_are_those_of_timm() {
        assert_eq!(params("vit_base_patch16_224", 1000), 86_567_656);
        assert_eq!(params("vit_tiny_patch16_224", 1000), 5_717_416);
        assert_eq!(params("vit_large_patch16_224", 1000), 304_326_632);
        assert_eq!(params("deit_base_distilled_patch16_224", 1000), 87_338_192);
        let millions = |name, classes| (params(name, classes) as f64 / 1e4).round() / 100.0;
        assert_eq!(millions("vit_small_patch14_dinov2", 0), 22.06);
        assert_eq!(millions("vit_base_patch14_reg4_dinov2", 0), 86.58);
        assert_eq!(millions("deit3_small_patch16_224", 1000), 22.06);
        assert_eq!(millions("eva_large_patch14_196", 1000), 304.14);
        assert_eq!(millions("vit_medium_patch16_reg4_gap_256", 1000), 38.88);
        assert_eq!(millions("vit_giant_patch14_dinov2", 0), 1136.48);
        assert_eq!(millions("vit_small_plus_patch16_dinov3", 0), 28.68);
        // timm has 87.12: no biases of the keys, which are zeros here.
        assert_eq!(millions("eva02_base_patch14_448", 1000), 87.13);
        assert_eq!(millions("vit_so400m_patch14_siglip_224", 0), 427.68);
    }

    /// Numbers of parameters that the authors of Swin publish, in millions.
    #[test]
    fn swin_has_the_published_sizes() {
        let millions = |name| (params(name, 1000) as f64 / 1e5).round() / 10.0;
        assert_eq!(params("swin_tiny_patch4_window7_224", 1000), 28_288_354);
        assert_eq!(millions("swin_base_patch4_window7_224"), 87.8);
        assert_eq!(millions("swin_large_patch4_window12_384"), 196.7);
    }

    #[test]
    fn medical_backbones_have_the_published_sizes() {
        for (name, expected) in [
            ("retfound_cfp", 303),
            ("uni", 303),
            ("uni2_h", 681),
            ("virchow2", 631),
        ] {
            let (args, _) = Published::find(name).unwrap().model().unwrap();
            let shapes = shapes(&args.resolve(), 0);
            let params: usize = shapes.values().map(|shape| shape.iter().product::<usize>()).sum();
            assert_eq!(params / 1_000_000, expected, "{name}: {params}");
        }
    }
}
