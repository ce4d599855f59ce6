//! The shape of a Vision Transformer.

use serde::{Deserialize, Serialize};

use super::Swin;

/// Activation of the MLP, `timm.layers.activations`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Activation {
    /// Exact GELU, `x · Φ(x)` with the error function.
    #[default]
    Gelu,
    /// `x · sigmoid(1.702 x)`, used by OpenAI's CLIP.
    QuickGelu,
    /// GELU with the tanh approximation.
    GeluTanh,
    /// `x · sigmoid(x)`; with a gated MLP, SwiGLU.
    Silu,
}

/// What the head reads, timm's `global_pool`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GlobalPool {
    /// The class token.
    #[default]
    Token,
    /// The mean over all tokens but the prefix (class, distillation and register tokens).
    Avg,
    /// Attention pooling: a learned query over all tokens (SigLIP; timm's `AttentionPoolLatent`).
    Map,
}

/// Rotary position embedding: queries and keys of the patches are turned by angles that grow with the patch's place
/// (RoFormer, Su et al. 2021; in two dimensions as timm's `RotaryEmbeddingCat` and `RotaryEmbeddingDinoV3`).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Rope {
    /// EVA-02: whole steps from patch to patch, stretched to `ref_grid` (rows, columns) at other image sizes;
    /// neighbouring channels are turned together.
    Axial {
        /// The grid of the pretraining, none for steps of one whatever the image size.
        ref_grid: Option<[usize; 2]>,
        /// Ratio of the slowest to the fastest turn.
        temperature: f64,
    },
    /// DINOv3: the image spans -1 to 1 whatever its size; channels half a head apart are turned together.
    Dinov3 {
        /// Ratio of the slowest to the fastest turn.
        temperature: f64,
    },
}

/// Hyper-parameters of a Vision Transformer in timm's vocabulary (`timm.models.vision_transformer`).
///
/// The default is `vit_tiny_patch16_224`. Every field has a serde default, so stored configurations
/// stay readable when a field is added.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct VitConfig {
    /// Image size `[height, width]` in pixels that `pos_embed` was trained for.
    pub img_size: [usize; 2],
    /// Patch size `[height, width]` in pixels.
    pub patch_size: [usize; 2],
    /// Channels of the input image.
    pub in_chans: usize,
    /// Width `D` of a token.
    pub embed_dim: usize,
    /// Number of blocks `L`.
    pub depth: usize,
    /// Attention heads; divides `embed_dim`.
    pub num_heads: usize,
    /// Outputs of the MLP's first layer as a multiple of `embed_dim`; a gated MLP halves them.
    pub mlp_ratio: f64,
    /// Whether the MLP is gated: its first layer makes gates and values side by side, `act(gate) · value` goes on
    /// (Shazeer 2020; DINOv2 giant, EVA-02).
    pub gated_mlp: bool,
    /// Whether a LayerNorm stands before the MLP's second layer (EVA-02).
    pub mlp_norm: bool,
    /// Whether a LayerNorm stands before the attention's projection (EVA-02's CLIP towers).
    pub attn_norm: bool,
    /// Whether the fused query/key/value projection has a bias.
    pub qkv_bias: bool,
    /// Whether the sequence begins with a class token.
    pub class_token: bool,
    /// Number of register tokens (DINOv2 with registers).
    pub reg_tokens: usize,
    /// Whether there are learned position embeddings (DINOv3 has none).
    pub pos_embed: bool,
    /// Rotary position embedding; `None` leaves it out.
    pub rope: Option<Rope>,
    /// Whether every block adds a learned bias to its scores, by the distance between the patches (BEiT, Swin).
    pub rel_pos_bias: bool,
    /// Stages and windows of a Swin Transformer, of whose first stage `embed_dim` and `num_heads` are; `None` for blocks of
    /// one width that attend to the whole image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub swin: Option<Swin>,
    /// Whether `pos_embed` covers the patches only (DeiT-3, DINOv2 with registers).
    pub no_embed_class: bool,
    /// Whether a LayerNorm stands before the first block (CLIP).
    pub pre_norm: bool,
    /// Whether the patch projection has a bias (CLIP has none).
    pub patch_bias: bool,
    /// Initial value of LayerScale; `None` leaves LayerScale out.
    pub init_values: Option<f64>,
    /// Activation of the MLP.
    pub act: Activation,
    /// Epsilon of every LayerNorm.
    pub norm_eps: f64,
    /// What the head reads.
    pub global_pool: GlobalPool,
    /// Whether a LayerNorm follows the pooling (timm sets it with average pooling).
    pub fc_norm: bool,
    /// Whether a LayerNorm follows the last block.
    pub final_norm: bool,
    /// Stochastic depth: probability of dropping the last block's branches, growing linearly from 0.
    pub drop_path: f64,
    /// Whether a distillation token follows the class token (DeiT).
    pub distilled: bool,
}

impl Default for VitConfig {
    fn default() -> Self {
        Self {
            img_size: [224, 224],
            patch_size: [16, 16],
            in_chans: 3,
            embed_dim: 192,
            depth: 12,
            num_heads: 3,
            mlp_ratio: 4.0,
            gated_mlp: false,
            mlp_norm: false,
            attn_norm: false,
            qkv_bias: true,
            class_token: true,
            reg_tokens: 0,
            pos_embed: true,
            rope: None,
            rel_pos_bias: false,
            swin: None,
            no_embed_class: false,
            pre_norm: false,
            patch_bias: true,
            init_values: None,
            act: Activation::Gelu,
            norm_eps: 1e-6,
            global_pool: GlobalPool::Token,
            fc_norm: false,
            final_norm: true,
            drop_path: 0.0,
            distilled: false,
        }
    }
}

impl VitConfig {
    /// Patches `[rows, columns]` of the image size the weights were trained for.
    pub fn grid_size(&self) -> [usize; 2] {
        self.grid_for(self.img_size)
    }

    /// Patches `[rows, columns]` of an image of `[height, width]` pixels.
    pub fn grid_for(&self, image_size: [usize; 2]) -> [usize; 2] {
        [
            image_size[0] / self.patch_size[0],
            image_size[1] / self.patch_size[1],
        ]
    }

    /// Number of patches of the image size the weights were trained for.
    pub fn num_patches(&self) -> usize {
        self.grid_size().iter().product()
    }

    /// Tokens before the patches: class token, distillation token, registers.
    pub fn num_prefix_tokens(&self) -> usize {
        usize::from(self.class_token) + usize::from(self.distilled) + self.reg_tokens
    }

    /// Prefix tokens that own a row of `pos_embed`.
    pub fn num_embedded_prefix_tokens(&self) -> usize {
        if self.no_embed_class || !self.pos_embed {
            0
        } else {
            self.num_prefix_tokens()
        }
    }

    /// Rows of `pos_embed`; 0 for a model without.
    pub fn num_pos_embed_tokens(&self) -> usize {
        if self.pos_embed {
            self.num_embedded_prefix_tokens() + self.num_patches()
        } else {
            0
        }
    }

    /// Width of one attention head.
    pub fn head_dim(&self) -> usize {
        self.embed_dim / self.num_heads
    }

    /// Outputs of the MLP's first layer.
    pub fn mlp_fc1(&self) -> usize {
        (self.embed_dim as f64 * self.mlp_ratio) as usize
    }

    /// Inputs of the MLP's second layer.
    pub fn mlp_hidden(&self) -> usize {
        if self.gated_mlp {
            self.mlp_fc1() / 2
        } else {
            self.mlp_fc1()
        }
    }

    /// The `mlp_ratio` with which `embed_dim` gives `fc1` outputs, whichever way the division rounds.
    pub fn mlp_ratio_of(fc1: usize, embed_dim: usize) -> f64 {
        let ratio = fc1 as f64 / embed_dim as f64;
        if (embed_dim as f64 * ratio) as usize == fc1 {
            ratio
        } else {
            (fc1 as f64 + 0.5) / embed_dim as f64
        }
    }

    /// Values in one flattened patch, `channels · patch height · patch width`.
    pub fn patch_values(&self) -> usize {
        self.in_chans * self.patch_size[0] * self.patch_size[1]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_follow_from_the_fields() {
        let config = VitConfig {
            reg_tokens: 4,
            img_size: [32, 64],
            ..VitConfig::default()
        };
        assert_eq!(config.grid_size(), [2, 4]);
        assert_eq!(config.num_prefix_tokens(), 5);
        assert_eq!(config.num_pos_embed_tokens(), 13);
        let config = VitConfig {
            no_embed_class: true,
            ..config
        };
        assert_eq!(config.num_pos_embed_tokens(), 8);
        assert_eq!(config.mlp_hidden(), 768);
    }

    #[test]
    fn missing_fields_take_the_default() {
        let config: VitConfig = serde_json::from_str(r#"{"embed_dim": 384, "num_heads": 6}"#).unwrap();
        assert_eq!(config.embed_dim, 384);
        assert_eq!(config.depth, 12);
    }
}
