//! [`ForwardMacs`]: multiply-adds of a forward pass, the floor that measured speed is held against.

use crate::methods::{MethodConfig, MethodKind};
use crate::{GlobalPool, VitConfig};

/// Multiply-adds of one image's forward pass, counted from the architecture.
///
/// Counted are the products of matrices (patch embedding, projections, attention, MLP); element-wise work,
/// the norms and the head are well below one percent. One multiply-add is two floating-point operations.
/// 128 bits hold the count of every configuration that a file can ask for, however absurd.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct ForwardMacs {
    /// The bare backbone.
    pub backbone: u128,
    /// Of those, the products of attention, which no parameter has a part in.
    pub attention: u128,
    /// What prompts add in the plain form, in which they pass through every block like other tokens.
    pub prompts_plain: u128,
    /// What deep prompts add in the K/V form, in which the other tokens only attend to their keys and values.
    pub prompts_kv: u128,
    /// Keys and values of deep prompts: once for a batch in training, not for each image, and once and for all in
    /// inference.
    pub prompts_kv_per_batch: u128,
    /// What adapters, updates of low rank and hidden layers of a head add; what scales and shifts add is element-wise.
    pub tuner: u128,
    /// What is saved in the last block when the head reads the class token alone: the other tokens end there
    /// as keys and values.
    pub last_block_saving: u128,
}

impl ForwardMacs {
    /// Counts for images of `[height, width]` pixels with what `method` adds; its prompts are counted in every block.
    pub fn of(config: &VitConfig, image_size: [usize; 2], method: &MethodConfig) -> Self {
        let prompts = method.prompts.as_ref().map_or(0, |prompts| prompts.num_tokens) as u128;
        let patches = |stage| config.grid_in(stage, image_size).iter().product::<usize>() as u128;
        let prefix = config.num_prefix_tokens() as u128;
        let embedding = patches(0) * (config.patch_values() * config.embed_dim) as u128;
        let width = config.num_features() as u128;
        let pooling = match config.global_pool {
            GlobalPool::Map => 2 * (patches(config.num_stages() - 1) + prefix) * width * width,
            GlobalPool::Token | GlobalPool::Avg => 0,
        };
        let mut macs = Self {
            backbone: embedding + pooling,
            attention: 0,
            prompts_plain: 0,
            prompts_kv: 0,
            prompts_kv_per_batch: 0,
            tuner: match method.kind {
                MethodKind::Mlp => method.mlp_layers.saturating_sub(1) as u128 * width * width,
                _ => 0,
            },
            last_block_saving: 0,
        };
        for i in 0..config.depth {
            let at = config.at_block(i);
            let dim = at.embed_dim as u128;
            let mlp = (at.mlp_fc1() + at.mlp_hidden()) as u128;
            let tokens = patches(config.stage_of(i)) + prefix;
            // Tokens attend within windows: those of all windows, and how many of them see each other.
            let (windows, seen) = match config.windows_of(i, image_size) {
                None => (1, tokens),
                Some(windows) => {
                    let counts = [0, 1].map(|axis| windows.grid[axis].div_ceil(windows.window[axis]));
                    let places: usize = windows.window.iter().product();
                    ((counts[0] * counts[1]) as u128, places as u128)
                }
            };
            // Keys and values of a token; then all else of it that does not depend on what it sees.
            let as_key = 2 * dim * dim;
            let else_of = 2 * dim * dim + dim * mlp;
            let attention = |queries: u128, keys: u128| 2 * windows * queries * keys * dim;
            if config.merges_before(i) {
                // Four patches of half the width.
                macs.backbone += tokens * 2 * dim * dim;
            }
            macs.tuner += tokens * tuner_macs(method, &at);
            macs.attention += attention(seen, seen);
            macs.backbone += tokens * (as_key + else_of) + attention(seen, seen);
            macs.prompts_plain += prompts * (as_key + else_of) + attention(seen + prompts, seen + prompts)
                - attention(seen, seen);
            macs.prompts_kv += attention(seen, prompts);
            macs.prompts_kv_per_batch += prompts * as_key;
            if i + 1 == config.depth {
                macs.last_block_saving = (tokens - 1) * (else_of + 2 * (seen + prompts) * dim);
            }
        }
        macs
    }
}

/// Multiply-adds of each token in what `method` adds to a block.
fn tuner_macs(method: &MethodConfig, at: &VitConfig) -> u128 {
    let macs = match (method.kind, &method.lora, method.adapter) {
        (MethodKind::Lora, Some(lora), _) => {
            let layers = lora.layers(at).into_iter();
            layers
                .map(|[inputs, outputs]| lora.rank * (inputs + outputs))
                .sum()
        }
        (MethodKind::Adapter, _, Some(adapter)) => 4 * at.embed_dim * adapter.dim,
        (MethodKind::Adaptformer, _, Some(adapter)) => 2 * at.embed_dim * adapter.dim,
        _ => 0,
    };
    macs as u128
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::presets::preset;
    use crate::{PromptConfig, PromptDepth};

    fn deep(num_tokens: usize) -> MethodConfig {
        MethodConfig::vpt(PromptConfig::new(PromptDepth::Deep, num_tokens))
    }

    /// Figures of design section 2 and of the published models: ViT-B/16 17.6, ViT-Ti/16 1.3 billion.
    #[test]
    fn known_counts() {
        let base = preset("vit_base_patch16_224").unwrap();
        let macs = ForwardMacs::of(&base, [224, 224], &deep(100));
        let percent = |part: u128| (1000.0 * part as f64 / macs.backbone as f64).round() / 10.0;
        assert_eq!((macs.backbone as f64 / 1e7).round() / 100.0, 17.56);
        assert_eq!(percent(macs.prompts_plain), 53.5);
        assert_eq!(percent(macs.prompts_kv), 2.1);
        assert_eq!(percent(macs.prompts_kv_per_batch), 8.1);
        let tiny = ForwardMacs::of(
            &preset("vit_tiny_patch16_224").unwrap(),
            [224, 224],
            &MethodConfig::linear(),
        );
        assert_eq!((tiny.backbone as f64 / 1e7).round() / 100.0, 1.25);
        assert_eq!(
            (tiny.prompts_plain, tiny.prompts_kv, tiny.prompts_kv_per_batch),
            (0, 0, 0)
        );
    }

    /// ViT-B/16: 197 tokens in 12 blocks.
    #[test]
    fn what_methods_add() {
        let base = preset("vit_base_patch16_224").unwrap();
        let added = |kind| ForwardMacs::of(&base, [224, 224], &MethodConfig::new(kind)).tuner;
        assert_eq!(added(MethodKind::Lora), 197 * 12 * 8 * (768 + 3 * 768));
        assert_eq!(added(MethodKind::Adapter), 197 * 12 * 2 * (2 * 768 * 64));
        assert_eq!(added(MethodKind::Adaptformer), 197 * 12 * 2 * 768 * 64);
        assert_eq!(added(MethodKind::Mlp), 768 * 768);
        assert_eq!(added(MethodKind::Ssf) + added(MethodKind::Full), 0);
    }

    /// The paper's table 1: Swin-T 4.5, Swin-B 15.4 billion.
    #[test]
    fn swin_counts_are_published() {
        for (name, expected) in [
            ("swin_tiny_patch4_window7_224", 4.5),
            ("swin_base_patch4_window7_224", 15.4),
        ] {
            let macs = ForwardMacs::of(&preset(name).unwrap(), [224, 224], &MethodConfig::linear());
            assert_eq!((macs.backbone as f64 / 1e8).round() / 10.0, expected, "{name}");
        }
    }

    /// The K/V form with the last block cut short, counted by hand for a tiny model.
    #[test]
    fn small_model_by_hand() {
        let config = VitConfig {
            img_size: [2, 2],
            patch_size: [1, 1],
            embed_dim: 2,
            depth: 1,
            num_heads: 1,
            mlp_ratio: 4.0,
            ..VitConfig::default()
        };
        let macs = ForwardMacs::of(&config, [2, 2], &deep(3));
        // Embedding 4·3·2; five tokens: qkv 5·2·6, attention 2·5·5·2, projection 5·2·2, MLP 2·5·2·8.
        assert_eq!(macs.backbone, 24 + 60 + 100 + 20 + 160);
        assert_eq!(macs.prompts_kv, 2 * 5 * 3 * 2);
        assert_eq!(macs.prompts_kv_per_batch, 3 * 2 * 4);
        // Four tokens without query, attention over eight keys, projection and MLP.
        assert_eq!(
            macs.last_block_saving,
            4 * (2 * 2 + 2 * 8 * 2 + 2 * 2 + 2 * 2 * 8)
        );
    }

    /// The largest image that preprocessing allows, cut into single pixels: 2^28 patches and a class token, each
    /// attending to all of them.
    #[test]
    fn absurd_sizes_do_not_overflow() {
        let config = VitConfig {
            patch_size: [1, 1],
            depth: 1024,
            ..VitConfig::default()
        };
        let tokens = (1_u128 << 28) + 1;
        let attention = 1024 * 2 * tokens * tokens * 192;
        assert!(ForwardMacs::of(&config, [16384, 16384], &MethodConfig::linear()).backbone > attention);
    }
}
