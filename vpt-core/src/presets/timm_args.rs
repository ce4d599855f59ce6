//! [`TimmArgs`]: the arguments of timm's `VisionTransformer`, `Eva`, `Beit` and `SwinTransformer`, as presets imply and
//! config.json overrides them.

mod model;

use serde_json::{Map, Value, json};

use super::values::{
    GATED, activation, activation_name, at_most_1024, count, edge, flag, fraction, gated, optional, pair,
    pool, pool_name, positive, rope_name, rope_type, stages, up_to,
};
use crate::vit::Swin;
use crate::{Activation, GlobalPool};

/// Arguments of `timm.models.vision_transformer.VisionTransformer` (and of DeiT's distilled variant), and of
/// `timm.models.eva.Eva`, `timm.models.beit.Beit` and `timm.models.swin_transformer.SwinTransformer`, which call some of
/// them otherwise.
///
/// They differ from [`VitConfig`](crate::VitConfig) in that some properties follow from others there: the final norm moves
/// behind the pooling with average pooling, and a norm before the blocks takes the bias from the patches.
#[derive(Debug, Clone, PartialEq)]
pub struct TimmArgs {
    /// Image height and width in pixels.
    pub img_size: [usize; 2],
    /// Patch height and width in pixels.
    pub patch_size: [usize; 2],
    /// Channels of the image.
    pub in_chans: usize,
    /// Width of a token.
    pub embed_dim: usize,
    /// Number of blocks.
    pub depth: usize,
    /// Attention heads.
    pub num_heads: usize,
    /// Outputs of the MLP's first layer over `embed_dim`; in `Eva` and `Beit`, of each half of a gated one.
    pub mlp_ratio: f64,
    /// Gated MLP: `mlp_layer` is `SwiGLUPacked`, or `swiglu_mlp`.
    pub gated_mlp: bool,
    /// LayerNorm before the MLP's second layer.
    pub mlp_norm: bool,
    /// LayerNorm before the attention's projection.
    pub attn_norm: bool,
    /// Bias of the query/key/value projection.
    pub qkv_bias: bool,
    /// Class token.
    pub class_token: bool,
    /// Register tokens.
    pub reg_tokens: usize,
    /// Learned position embeddings.
    pub abs_pos_embed: bool,
    /// Rotary position embeddings, of `rope_type`.
    pub rot_pos_embed: bool,
    /// Which rotary embeddings.
    pub rope_type: RopeType,
    /// Ratio of the slowest to the fastest turn.
    pub rope_temperature: f64,
    /// The grid that axial rotary embeddings are stretched to.
    pub ref_feat_shape: Option<[usize; 2]>,
    /// Position embeddings for the patches only.
    pub no_embed_class: bool,
    /// LayerNorm before the blocks.
    pub pre_norm: bool,
    /// LayerScale's initial value.
    pub init_values: Option<f64>,
    /// Activation of the MLP.
    pub act: Activation,
    /// Epsilon of every LayerNorm.
    pub norm_eps: f64,
    /// What the head reads.
    pub global_pool: GlobalPool,
    /// Whether the norm follows the pooling; by default it does with average pooling.
    pub fc_norm: Option<bool>,
    /// Whether there is a norm after the blocks (or after the pooling) at all.
    pub final_norm: bool,
    /// Stochastic depth.
    pub drop_path: f64,
    /// Distillation token; part of the architecture's name, no argument.
    pub distilled: bool,
    /// Relative position biases in every block.
    pub rel_pos_bias: bool,
    /// Stages and windows; those of the class `SwinTransformer`, none for the others.
    pub swin: Option<Swin>,
    /// The class; part of the architecture's name, no argument.
    pub class: TimmClass,
}

/// A class of timm that is built here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimmClass {
    /// `timm.models.vision_transformer.VisionTransformer`.
    VisionTransformer,
    /// `timm.models.eva.Eva`.
    Eva,
    /// `timm.models.beit.Beit`.
    Beit,
    /// `timm.models.swin_transformer.SwinTransformer`.
    Swin,
}

/// timm's `rope_type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RopeType {
    /// `cat`: [`Rope::Axial`](crate::Rope::Axial).
    Cat,
    /// `dinov3`: [`Rope::Dinov3`](crate::Rope::Dinov3).
    Dinov3,
}

impl Default for TimmArgs {
    /// The defaults of timm's class, at the size of `vit_base_patch16_224`.
    fn default() -> Self {
        Self {
            img_size: [224; 2],
            patch_size: [16; 2],
            in_chans: 3,
            embed_dim: 768,
            depth: 12,
            num_heads: 12,
            mlp_ratio: 4.0,
            gated_mlp: false,
            mlp_norm: false,
            attn_norm: false,
            qkv_bias: true,
            class_token: true,
            reg_tokens: 0,
            abs_pos_embed: true,
            rot_pos_embed: false,
            rope_type: RopeType::Cat,
            rope_temperature: 10_000.0,
            ref_feat_shape: None,
            no_embed_class: false,
            pre_norm: false,
            init_values: None,
            act: Activation::Gelu,
            norm_eps: 1e-6,
            global_pool: GlobalPool::Token,
            fc_norm: None,
            final_norm: true,
            drop_path: 0.0,
            distilled: false,
            rel_pos_bias: false,
            swin: None,
            class: TimmClass::VisionTransformer,
        }
    }
}

/// Arguments that change nothing once a model is trained, or that our implementation always honours.
const IGNORED: &[&str] = &[
    "attn_drop_rate",
    "drop_rate",
    "dynamic_img_pad",
    "dynamic_img_size",
    "fix_init",
    "num_classes",
    "patch_drop_rate",
    "pos_drop_rate",
    "proj_drop_rate",
    "qkv_fused",
    "rope_jitter_coords",
    "rope_rescale_coords",
    "rope_shift_coords",
    "strict_img_size",
    "swiglu_align_to",
    "weight_init",
];

impl TimmArgs {
    /// What all Swin Transformers share, with these stages and windows; at timm's default size otherwise.
    pub fn of_swin(swin: Swin) -> Self {
        Self {
            class: TimmClass::Swin,
            depth: swin.depths.iter().sum(),
            num_heads: swin.num_heads.first().copied().unwrap_or(1),
            class_token: false,
            abs_pos_embed: false,
            rel_pos_bias: true,
            pre_norm: true,
            norm_eps: 1e-5,
            global_pool: GlobalPool::Avg,
            fc_norm: Some(false),
            swin: Some(swin),
            ..Self::default()
        }
    }

    /// Sets the argument `key` from JSON.
    ///
    /// # Errors
    /// What was expected, when the key or the value is not one that timm's classes have.
    pub fn set(&mut self, key: &str, value: &Value) -> Result<(), String> {
        if let Some(swin) = &mut self.swin {
            match key {
                "depths" => {
                    swin.depths = stages(value)?;
                    self.depth = swin.depths.iter().sum();
                    return Ok(());
                }
                "num_heads" => {
                    swin.num_heads = stages(value)?;
                    self.num_heads = swin.num_heads[0];
                    return Ok(());
                }
                "window_size" => {
                    swin.window_size = pair(value)?;
                    return Ok(());
                }
                _ => {}
            }
        }
        match key {
            "img_size" => self.img_size = pair(value)?,
            "patch_size" => self.patch_size = pair(value)?,
            "in_chans" => self.in_chans = count(value)?,
            "embed_dim" => self.embed_dim = count(value)?,
            "depth" => self.depth = up_to(value, 1, 1024)?,
            "num_heads" => self.num_heads = count(value)?,
            "mlp_ratio" => self.mlp_ratio = positive(value).and_then(at_most_1024)?,
            "mlp_layer" => self.gated_mlp = gated(value)?,
            "swiglu_mlp" => self.gated_mlp = flag(value)?,
            "scale_mlp" | "scale_mlp_norm" => self.mlp_norm = flag(value)?,
            "scale_attn_inner" | "scale_attn_norm" => self.attn_norm = flag(value)?,
            "qkv_bias" => self.qkv_bias = flag(value)?,
            "class_token" => self.class_token = flag(value)?,
            "use_abs_pos_emb" => self.abs_pos_embed = flag(value)?,
            "use_rel_pos_bias" => self.rel_pos_bias = flag(value)?,
            "use_rot_pos_emb" => self.rot_pos_embed = flag(value)?,
            "rope_type" => self.rope_type = rope_type(value)?,
            "rope_temperature" => self.rope_temperature = positive(value)?,
            "ref_feat_shape" => self.ref_feat_shape = optional(value, pair)?,
            "reg_tokens" | "num_reg_tokens" => self.reg_tokens = up_to(value, 0, 1024)?,
            "no_embed_class" => self.no_embed_class = flag(value)?,
            "pre_norm" | "use_pre_transformer_norm" => self.pre_norm = flag(value)?,
            "init_values" => self.init_values = optional(value, positive)?,
            "act_layer" => self.act = activation(value)?,
            "norm_eps" => self.norm_eps = positive(value)?,
            "global_pool" => self.global_pool = pool(value)?,
            "fc_norm" | "use_fc_norm" => self.fc_norm = optional(value, flag)?,
            "final_norm" => self.final_norm = flag(value)?,
            "drop_path_rate" => self.drop_path = fraction(value)?,
            _ if IGNORED.contains(&key) => {}
            _ => return Err("an argument of timm's class that is built here".into()),
        }
        Ok(())
    }

    /// Whether both are for the same class of timm, whose name a config.json gives.
    pub fn is_same_class(&self, other: &Self) -> bool {
        (self.distilled, self.class) == (other.distilled, other.class)
    }

    /// The arguments in which `other` differs from `self`, as `model_args` of a config.json.
    pub fn model_args_of(&self, other: &Self) -> Map<String, Value> {
        let (own, others) = (self.to_json(), other.to_json());
        others
            .into_iter()
            .filter(|(key, value)| own.get(key) != Some(value))
            .collect()
    }

    /// Every argument that config.json can carry.
    fn to_json(&self) -> Map<String, Value> {
        let fields = [
            ("img_size", edge(self.img_size)),
            ("patch_size", edge(self.patch_size)),
            ("in_chans", json!(self.in_chans)),
            ("embed_dim", json!(self.embed_dim)),
            ("depth", json!(self.depth)),
            ("num_heads", json!(self.num_heads)),
            ("mlp_ratio", json!(self.mlp_ratio)),
            ("qkv_bias", json!(self.qkv_bias)),
            ("class_token", json!(self.class_token)),
            ("no_embed_class", json!(self.no_embed_class)),
            ("init_values", json!(self.init_values)),
            ("act_layer", json!(activation_name(self.act))),
            ("norm_eps", json!(self.norm_eps)),
            ("global_pool", json!(pool_name(self.global_pool))),
            ("drop_path_rate", json!(self.drop_path)),
        ];
        let of_class = if let Some(swin) = &self.swin {
            vec![
                ("depths", json!(swin.depths)),
                ("num_heads", json!(swin.num_heads)),
                ("window_size", edge(swin.window_size)),
            ]
        } else if self.class == TimmClass::Beit {
            vec![
                ("swiglu_mlp", json!(self.gated_mlp)),
                ("scale_mlp", json!(self.mlp_norm)),
                ("use_abs_pos_emb", json!(self.abs_pos_embed)),
                ("use_rel_pos_bias", json!(self.rel_pos_bias)),
                ("use_fc_norm", json!(self.fc_norm)),
            ]
        } else if self.class == TimmClass::Eva {
            vec![
                ("swiglu_mlp", json!(self.gated_mlp)),
                ("scale_mlp", json!(self.mlp_norm)),
                ("scale_attn_inner", json!(self.attn_norm)),
                ("use_abs_pos_emb", json!(self.abs_pos_embed)),
                ("use_rot_pos_emb", json!(self.rot_pos_embed)),
                ("rope_type", json!(rope_name(self.rope_type))),
                ("rope_temperature", json!(self.rope_temperature)),
                ("ref_feat_shape", json!(self.ref_feat_shape)),
                ("num_reg_tokens", json!(self.reg_tokens)),
                ("use_pre_transformer_norm", json!(self.pre_norm)),
                ("use_fc_norm", json!(self.fc_norm)),
            ]
        } else {
            vec![
                ("mlp_layer", json!(if self.gated_mlp { GATED } else { "Mlp" })),
                ("scale_mlp_norm", json!(self.mlp_norm)),
                ("scale_attn_norm", json!(self.attn_norm)),
                ("reg_tokens", json!(self.reg_tokens)),
                ("pre_norm", json!(self.pre_norm)),
                ("fc_norm", json!(self.fc_norm)),
                ("final_norm", json!(self.final_norm)),
            ]
        };
        // timm's Swin says it with `depths` alone.
        let replaced = |key: &str| key == "depth" && self.swin.is_some();
        fields
            .into_iter()
            .filter(|(key, _)| !replaced(key))
            .chain(of_class)
            .map(|(key, value)| (key.to_owned(), value))
            .collect()
    }
}

#[cfg(test)]
mod tests;
