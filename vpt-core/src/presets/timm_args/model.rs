//! From [`TimmArgs`] to the model that timm builds of them, and back.

use super::{RopeType, TimmArgs, TimmClass};
use crate::{Activation, GlobalPool, Rope, VitConfig};

impl TimmArgs {
    /// The model that timm builds from these arguments.
    pub fn resolve(&self) -> VitConfig {
        let fc_norm = self.fc_norm.unwrap_or(self.global_pool == GlobalPool::Avg);
        let fc1 = (self.embed_dim as f64 * self.mlp_ratio) as usize;
        let halved = self.class != TimmClass::VisionTransformer && self.gated_mlp;
        VitConfig {
            img_size: self.img_size,
            patch_size: self.patch_size,
            in_chans: self.in_chans,
            embed_dim: self.embed_dim,
            depth: self.depth,
            num_heads: self.num_heads,
            mlp_ratio: if halved {
                VitConfig::mlp_ratio_of(2 * fc1, self.embed_dim)
            } else {
                self.mlp_ratio
            },
            gated_mlp: self.gated_mlp,
            mlp_norm: self.mlp_norm,
            attn_norm: self.attn_norm,
            qkv_bias: self.qkv_bias,
            class_token: self.class_token,
            reg_tokens: self.reg_tokens,
            pos_embed: self.abs_pos_embed,
            rel_pos_bias: self.rel_pos_bias,
            rope: self.rot_pos_embed.then_some(match self.rope_type {
                RopeType::Cat => Rope::Axial {
                    ref_grid: self.ref_feat_shape,
                    temperature: self.rope_temperature,
                },
                RopeType::Dinov3 => Rope::Dinov3 {
                    temperature: self.rope_temperature,
                },
            }),
            no_embed_class: self.no_embed_class,
            pre_norm: self.pre_norm,
            swin: self.swin.clone(),
            patch_bias: !self.pre_norm || self.swin.is_some(),
            init_values: self.init_values,
            act: if halved { Activation::Silu } else { self.act },
            norm_eps: self.norm_eps,
            global_pool: self.global_pool,
            fc_norm: self.final_norm && fc_norm,
            final_norm: self.final_norm && !fc_norm,
            drop_path: self.drop_path,
            distilled: self.distilled,
        }
    }

    /// The arguments from which timm builds `config`; None for a combination that timm's class cannot make.
    pub fn of(config: &VitConfig) -> Option<Self> {
        let implied = config.global_pool == GlobalPool::Avg;
        let class = if config.swin.is_some() {
            TimmClass::Swin
        } else if config.rel_pos_bias {
            TimmClass::Beit
        } else if config.rope.is_some() || !config.pos_embed {
            TimmClass::Eva
        } else {
            TimmClass::VisionTransformer
        };
        let halved = class != TimmClass::VisionTransformer && config.gated_mlp;
        let rope = RopeArgs::of(config.rope);
        let args = Self {
            img_size: config.img_size,
            patch_size: config.patch_size,
            in_chans: config.in_chans,
            embed_dim: config.embed_dim,
            depth: config.depth,
            num_heads: config.num_heads,
            mlp_ratio: if halved {
                VitConfig::mlp_ratio_of(config.mlp_hidden(), config.embed_dim)
            } else {
                config.mlp_ratio
            },
            gated_mlp: config.gated_mlp,
            mlp_norm: config.mlp_norm,
            attn_norm: config.attn_norm,
            qkv_bias: config.qkv_bias,
            class_token: config.class_token,
            reg_tokens: config.reg_tokens,
            abs_pos_embed: config.pos_embed,
            rot_pos_embed: config.rope.is_some(),
            rope_type: rope.kind,
            rope_temperature: rope.temperature,
            ref_feat_shape: rope.ref_feat_shape,
            no_embed_class: config.no_embed_class,
            pre_norm: config.pre_norm,
            init_values: config.init_values,
            // A gated MLP of `Eva` has SiLU whatever the argument says.
            act: if halved { Activation::Gelu } else { config.act },
            norm_eps: config.norm_eps,
            global_pool: config.global_pool,
            fc_norm: (config.fc_norm != implied && (config.fc_norm || config.final_norm))
                .then_some(config.fc_norm),
            final_norm: config.final_norm || config.fc_norm,
            drop_path: config.drop_path,
            distilled: config.distilled,
            rel_pos_bias: config.rel_pos_bias,
            swin: config.swin.clone(),
            class,
        };
        (args.resolve() == *config).then_some(args)
    }
}

/// timm's arguments of a rotary embedding.
struct RopeArgs {
    kind: RopeType,
    temperature: f64,
    ref_feat_shape: Option<[usize; 2]>,
}

impl RopeArgs {
    /// Those of `rope`, the defaults for none.
    fn of(rope: Option<Rope>) -> Self {
        let TimmArgs {
            rope_type: kind,
            rope_temperature: temperature,
            ref_feat_shape,
            ..
        } = TimmArgs::default();
        match rope {
            None => Self {
                kind,
                temperature,
                ref_feat_shape,
            },
            Some(Rope::Axial {
                ref_grid,
                temperature,
            }) => Self {
                kind: RopeType::Cat,
                temperature,
                ref_feat_shape: ref_grid,
            },
            Some(Rope::Dinov3 { temperature }) => Self {
                kind: RopeType::Dinov3,
                temperature,
                ref_feat_shape: None,
            },
        }
    }
}
