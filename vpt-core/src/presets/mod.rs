//! Named architectures: timm's names and what each of them implies.
//!
//! To add a backbone of a known family, add one entry to [`PRESETS`].

mod published;
mod timm_args;
mod values;

pub use published::{PUBLISHED, Published};
pub use timm_args::{RopeType, TimmArgs, TimmClass};
pub(crate) use values::{MOST, pair, pool_name};

use crate::vit::Swin;
use crate::weights::{BUILTIN, ModelConfig, nearest};
use crate::{Activation, CoreError, GlobalPool, VitConfig};

/// A named architecture.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Preset {
    /// timm's name, without the tag of the weights.
    pub name: &'static str,
    /// timm's tag of the weights that it takes by default, empty where it has none.
    tag: &'static str,
    family: Family,
    size: Size,
    patch: usize,
    image: usize,
}

/// What the members of a family share beyond their size.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Family {
    /// The original Vision Transformer; also AugReg, DINO, MAE, DeiT.
    Vit,
    /// DeiT with a distillation token and two heads.
    DeitDistilled,
    /// DeiT III: LayerScale, class token without position embedding.
    Deit3,
    /// DINOv2: LayerScale.
    Dinov2,
    /// DINOv2 with four register tokens; position embeddings for the patches only.
    Dinov2Reg4,
    /// CLIP's image tower: LayerNorm before the blocks, patches without bias.
    Clip,
    /// OpenAI's and early OpenCLIP towers: CLIP with quick GELU.
    ClipQuickGelu,
    /// DINOv2's giant: LayerScale, gated MLP, with so many registers.
    Dinov2Gated(usize),
    /// DINOv3: rotary embeddings alone, four registers, LayerNorm before average pooling; some with a gated MLP.
    Dinov3 {
        /// Gated MLP.
        gated: bool,
        /// Biases of queries and values, all zero in the published weights.
        qkv_bias: bool,
    },
    /// EVA: average pooling, then LayerNorm.
    Eva,
    /// EVA-02: gated MLP, learned and rotary embeddings.
    Eva02,
    /// EVA-02's larger models: a LayerNorm inside the MLP.
    Eva02Norm,
    /// EVA-02's CLIP towers: another inside the attention.
    Eva02Clip,
    /// FlexiViT: class token without position embedding.
    Flexi,
    /// BEiT and BEiT-2: relative position biases, LayerScale, LayerNorm behind average pooling.
    Beit(f64),
    /// SigLIP: no class token, attention pooling.
    Siglip,
    /// SigLIP read by averaging: no class token, LayerNorm before pooling.
    SiglipGap,
    /// timm's own models with so many registers, no class token, average pooling.
    RegGap(usize),
    /// Swin Transformer: stages, attention in windows of this edge.
    Swin {
        /// Blocks of each stage.
        depths: [usize; 4],
        /// Edge of a window in patches.
        window: usize,
    },
}

/// Width, depth, heads and MLP ratio.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Size(usize, usize, usize, f64);

const TINY: Size = Size(192, 12, 3, 4.0);
const SMALL: Size = Size(384, 12, 6, 4.0);
const MEDIUM: Size = Size(512, 12, 8, 4.0);
const BASE: Size = Size(768, 12, 12, 4.0);
const LARGE: Size = Size(1024, 24, 16, 4.0);
const HUGE: Size = Size(1280, 32, 16, 4.0);
const GIANT: Size = Size(1408, 40, 16, 48.0 / 11.0);
const GIANT_GATED: Size = Size(1536, 40, 24, 2.666_67 * 2.0);
const SO400M: Size = Size(1152, 27, 16, 3.7362);
const GIGANTIC: Size = Size(1664, 48, 16, 64.0 / 13.0);

const EVA02_RATIO: f64 = 4.0 * 2.0 / 3.0;
const EVA02_BASE: Size = Size(768, 12, 12, EVA02_RATIO);
const EVA02_LARGE: Size = Size(1024, 24, 16, EVA02_RATIO);

const DINOV3: Family = dinov3(false, false);
const DINOV3_QKVB: Family = dinov3(false, true);
const DINOV3_GATED: Family = dinov3(true, false);
const DINOV3_GATED_QKVB: Family = dinov3(true, true);

const fn dinov3(gated: bool, qkv_bias: bool) -> Family {
    Family::Dinov3 { gated, qkv_bias }
}

/// Width, depth and heads of the first stage.
const SWIN_TINY: Size = Size(96, 12, 3, 4.0);
const SWIN_SMALL: Size = Size(96, 24, 3, 4.0);
const SWIN_BASE: Size = Size(128, 24, 4, 4.0);
const SWIN_LARGE: Size = Size(192, 24, 6, 4.0);

const fn swin(blocks_of_third: usize, window: usize) -> Family {
    Family::Swin {
        depths: [2, 2, blocks_of_third, 2],
        window,
    }
}

const fn entry(
    name: &'static str,
    tag: &'static str,
    family: Family,
    size: Size,
    patch: usize,
    image: usize,
) -> Preset {
    Preset {
        name,
        tag,
        family,
        size,
        patch,
        image,
    }
}

/// All named architectures (`timm/models/vision_transformer.py`, `deit.py`, `eva.py`, `beit.py` and
/// `swin_transformer.py`).
#[rustfmt::skip]
pub static PRESETS: &[Preset] = &[
    entry("vit_tiny_patch16_224", "augreg_in21k_ft_in1k", Family::Vit, TINY, 16, 224),
    entry("vit_tiny_patch16_384", "augreg_in21k_ft_in1k", Family::Vit, TINY, 16, 384),
    entry("vit_small_patch32_224", "augreg_in21k_ft_in1k", Family::Vit, SMALL, 32, 224),
    entry("vit_small_patch32_384", "augreg_in21k_ft_in1k", Family::Vit, SMALL, 32, 384),
    entry("vit_small_patch16_224", "augreg_in21k_ft_in1k", Family::Vit, SMALL, 16, 224),
    entry("vit_small_patch16_384", "augreg_in21k_ft_in1k", Family::Vit, SMALL, 16, 384),
    entry("vit_small_patch8_224", "dino", Family::Vit, SMALL, 8, 224),
    entry("vit_base_patch32_224", "augreg_in21k_ft_in1k", Family::Vit, BASE, 32, 224),
    entry("vit_base_patch32_384", "augreg_in21k_ft_in1k", Family::Vit, BASE, 32, 384),
    entry("vit_base_patch16_224", "augreg2_in21k_ft_in1k", Family::Vit, BASE, 16, 224),
    entry("vit_base_patch16_384", "augreg_in21k_ft_in1k", Family::Vit, BASE, 16, 384),
    entry("vit_base_patch8_224", "augreg2_in21k_ft_in1k", Family::Vit, BASE, 8, 224),
    entry("vit_large_patch32_224", "orig_in21k", Family::Vit, LARGE, 32, 224),
    entry("vit_large_patch32_384", "orig_in21k_ft_in1k", Family::Vit, LARGE, 32, 384),
    entry("vit_large_patch16_224", "augreg_in21k_ft_in1k", Family::Vit, LARGE, 16, 224),
    entry("vit_large_patch16_384", "augreg_in21k_ft_in1k", Family::Vit, LARGE, 16, 384),
    entry("vit_large_patch14_224", "", Family::Vit, LARGE, 14, 224),
    entry("vit_huge_patch14_224", "orig_in21k", Family::Vit, HUGE, 14, 224),
    entry("vit_giant_patch14_224", "", Family::Vit, GIANT, 14, 224),
    entry("vit_gigantic_patch14_224", "", Family::Vit, GIGANTIC, 14, 224),
    entry("deit_tiny_patch16_224", "fb_in1k", Family::Vit, TINY, 16, 224),
    entry("deit_small_patch16_224", "fb_in1k", Family::Vit, SMALL, 16, 224),
    entry("deit_base_patch16_224", "fb_in1k", Family::Vit, BASE, 16, 224),
    entry("deit_base_patch16_384", "fb_in1k", Family::Vit, BASE, 16, 384),
    entry("deit_tiny_distilled_patch16_224", "fb_in1k", Family::DeitDistilled, TINY, 16, 224),
    entry("deit_small_distilled_patch16_224", "fb_in1k", Family::DeitDistilled, SMALL, 16, 224),
    entry("deit_base_distilled_patch16_224", "fb_in1k", Family::DeitDistilled, BASE, 16, 224),
    entry("deit_base_distilled_patch16_384", "fb_in1k", Family::DeitDistilled, BASE, 16, 384),
    entry("deit3_small_patch16_224", "fb_in1k", Family::Deit3, SMALL, 16, 224),
    entry("deit3_small_patch16_384", "fb_in1k", Family::Deit3, SMALL, 16, 384),
    entry("deit3_medium_patch16_224", "fb_in1k", Family::Deit3, MEDIUM, 16, 224),
    entry("deit3_base_patch16_224", "fb_in1k", Family::Deit3, BASE, 16, 224),
    entry("deit3_base_patch16_384", "fb_in1k", Family::Deit3, BASE, 16, 384),
    entry("deit3_large_patch16_224", "fb_in1k", Family::Deit3, LARGE, 16, 224),
    entry("deit3_large_patch16_384", "fb_in1k", Family::Deit3, LARGE, 16, 384),
    entry("deit3_huge_patch14_224", "fb_in1k", Family::Deit3, HUGE, 14, 224),
    entry("vit_small_patch14_dinov2", "lvd142m", Family::Dinov2, SMALL, 14, 518),
    entry("vit_base_patch14_dinov2", "lvd142m", Family::Dinov2, BASE, 14, 518),
    entry("vit_large_patch14_dinov2", "lvd142m", Family::Dinov2, LARGE, 14, 518),
    entry("vit_small_patch14_reg4_dinov2", "lvd142m", Family::Dinov2Reg4, SMALL, 14, 518),
    entry("vit_base_patch14_reg4_dinov2", "lvd142m", Family::Dinov2Reg4, BASE, 14, 518),
    entry("vit_large_patch14_reg4_dinov2", "lvd142m", Family::Dinov2Reg4, LARGE, 14, 518),
    entry("vit_giant_patch14_dinov2", "lvd142m", Family::Dinov2Gated(0), GIANT_GATED, 14, 518),
    entry("vit_giant_patch14_reg4_dinov2", "lvd142m", Family::Dinov2Gated(4), GIANT_GATED, 14, 518),
    entry("vit_small_patch16_dinov3", "lvd1689m", DINOV3, SMALL, 16, 224),
    entry("vit_small_patch16_dinov3_qkvb", "lvd1689m", DINOV3_QKVB, SMALL, 16, 224),
    entry("vit_small_plus_patch16_dinov3", "lvd1689m", DINOV3_GATED, SMALL, 16, 224),
    entry("vit_small_plus_patch16_dinov3_qkvb", "lvd1689m", DINOV3_GATED_QKVB, SMALL, 16, 224),
    entry("vit_base_patch16_dinov3", "lvd1689m", DINOV3, BASE, 16, 224),
    entry("vit_base_patch16_dinov3_qkvb", "lvd1689m", DINOV3_QKVB, BASE, 16, 224),
    entry("vit_large_patch16_dinov3", "lvd1689m", DINOV3, LARGE, 16, 224),
    entry("vit_large_patch16_dinov3_qkvb", "lvd1689m", DINOV3_QKVB, LARGE, 16, 224),
    entry("vit_huge_plus_patch16_dinov3", "lvd1689m", DINOV3_GATED, Size(1280, 32, 20, 4.0), 16, 224),
    entry("vit_huge_plus_patch16_dinov3_qkvb", "lvd1689m", DINOV3_GATED_QKVB, Size(1280, 32, 20, 4.0), 16, 224),
    entry("vit_7b_patch16_dinov3", "lvd1689m", DINOV3_GATED, Size(4096, 40, 32, 2.0), 16, 224),
    entry("vit_base_patch32_clip_224", "laion2b_ft_in12k_in1k", Family::Clip, BASE, 32, 224),
    entry("vit_base_patch32_clip_256", "datacompxl", Family::Clip, BASE, 32, 256),
    entry("vit_base_patch32_clip_384", "laion2b_ft_in12k_in1k", Family::Clip, BASE, 32, 384),
    entry("vit_base_patch16_clip_224", "laion2b_ft_in12k_in1k", Family::Clip, BASE, 16, 224),
    entry("vit_base_patch16_clip_384", "laion2b_ft_in12k_in1k", Family::Clip, BASE, 16, 384),
    entry("vit_large_patch14_clip_224", "laion2b_ft_in12k_in1k", Family::Clip, LARGE, 14, 224),
    entry("vit_large_patch14_clip_336", "laion2b_ft_in12k_in1k", Family::Clip, LARGE, 14, 336),
    entry("vit_huge_patch14_clip_224", "laion2b_ft_in12k_in1k", Family::Clip, HUGE, 14, 224),
    entry("vit_huge_patch14_clip_336", "laion2b_ft_in12k_in1k", Family::Clip, HUGE, 14, 336),
    entry("vit_giant_patch14_clip_224", "laion2b", Family::Clip, GIANT, 14, 224),
    entry("vit_gigantic_patch14_clip_224", "laion2b", Family::Clip, GIGANTIC, 14, 224),
    entry("vit_base_patch32_clip_quickgelu_224", "laion400m_e32", Family::ClipQuickGelu, BASE, 32, 224),
    entry("vit_base_patch16_clip_quickgelu_224", "metaclip_2pt5b", Family::ClipQuickGelu, BASE, 16, 224),
    entry("vit_large_patch14_clip_quickgelu_224", "dfn2b", Family::ClipQuickGelu, LARGE, 14, 224),
    entry("vit_large_patch14_clip_quickgelu_336", "openai", Family::ClipQuickGelu, LARGE, 14, 336),
    entry("vit_huge_patch14_clip_quickgelu_224", "dfn5b", Family::ClipQuickGelu, HUGE, 14, 224),
    entry("eva_large_patch14_196", "in22k_ft_in22k_in1k", Family::Eva, LARGE, 14, 196),
    entry("eva_large_patch14_336", "in22k_ft_in22k_in1k", Family::Eva, LARGE, 14, 336),
    entry("eva_giant_patch14_224", "clip_ft_in1k", Family::Eva, GIANT, 14, 224),
    entry("eva_giant_patch14_336", "clip_ft_in1k", Family::Eva, GIANT, 14, 336),
    entry("eva_giant_patch14_560", "m30m_ft_in22k_in1k", Family::Eva, GIANT, 14, 560),
    entry("eva02_tiny_patch14_224", "mim_in22k", Family::Eva02, Size(192, 12, 3, EVA02_RATIO), 14, 224),
    entry("eva02_tiny_patch14_336", "mim_in22k_ft_in1k", Family::Eva02, Size(192, 12, 3, EVA02_RATIO), 14, 336),
    entry("eva02_small_patch14_224", "mim_in22k", Family::Eva02, Size(384, 12, 6, EVA02_RATIO), 14, 224),
    entry("eva02_small_patch14_336", "mim_in22k_ft_in1k", Family::Eva02, Size(384, 12, 6, EVA02_RATIO), 14, 336),
    entry("eva02_base_patch14_224", "mim_in22k", Family::Eva02Norm, EVA02_BASE, 14, 224),
    entry("eva02_base_patch14_448", "mim_in22k_ft_in22k_in1k", Family::Eva02Norm, EVA02_BASE, 14, 448),
    entry("eva02_large_patch14_224", "mim_in22k", Family::Eva02Norm, EVA02_LARGE, 14, 224),
    entry("eva02_large_patch14_448", "mim_in22k_ft_in22k_in1k", Family::Eva02Norm, EVA02_LARGE, 14, 448),
    entry("eva02_base_patch16_clip_224", "merged2b", Family::Eva02Clip, EVA02_BASE, 16, 224),
    entry("eva02_large_patch14_clip_224", "merged2b", Family::Eva02Clip, EVA02_LARGE, 14, 224),
    entry("eva02_large_patch14_clip_336", "merged2b", Family::Eva02Clip, EVA02_LARGE, 14, 336),
    entry("beit_base_patch16_224", "in22k_ft_in22k_in1k", Family::Beit(0.1), BASE, 16, 224),
    entry("beit_base_patch16_384", "in22k_ft_in22k_in1k", Family::Beit(0.1), BASE, 16, 384),
    entry("beit_large_patch16_224", "in22k_ft_in22k_in1k", Family::Beit(1e-5), LARGE, 16, 224),
    entry("beit_large_patch16_384", "in22k_ft_in22k_in1k", Family::Beit(1e-5), LARGE, 16, 384),
    entry("beit_large_patch16_512", "in22k_ft_in22k_in1k", Family::Beit(1e-5), LARGE, 16, 512),
    entry("beitv2_base_patch16_224", "in1k_ft_in22k_in1k", Family::Beit(1e-5), BASE, 16, 224),
    entry("beitv2_large_patch16_224", "in1k_ft_in22k_in1k", Family::Beit(1e-5), LARGE, 16, 224),
    entry("flexivit_small", "1200ep_in1k", Family::Flexi, SMALL, 16, 240),
    entry("flexivit_base", "1200ep_in1k", Family::Flexi, BASE, 16, 240),
    entry("flexivit_large", "1200ep_in1k", Family::Flexi, LARGE, 16, 240),
    entry("vit_base_patch32_siglip_256", "v2_webli", Family::Siglip, BASE, 32, 256),
    entry("vit_base_patch16_siglip_224", "v2_webli", Family::Siglip, BASE, 16, 224),
    entry("vit_base_patch16_siglip_256", "v2_webli", Family::Siglip, BASE, 16, 256),
    entry("vit_base_patch16_siglip_384", "v2_webli", Family::Siglip, BASE, 16, 384),
    entry("vit_base_patch16_siglip_512", "v2_webli", Family::Siglip, BASE, 16, 512),
    entry("vit_large_patch16_siglip_256", "v2_webli", Family::Siglip, LARGE, 16, 256),
    entry("vit_large_patch16_siglip_384", "v2_webli", Family::Siglip, LARGE, 16, 384),
    entry("vit_large_patch16_siglip_512", "v2_webli", Family::Siglip, LARGE, 16, 512),
    entry("vit_so400m_patch14_siglip_224", "v2_webli", Family::Siglip, SO400M, 14, 224),
    entry("vit_so400m_patch14_siglip_378", "v2_webli", Family::Siglip, SO400M, 14, 378),
    entry("vit_base_patch16_siglip_gap_224", "v2_webli", Family::SiglipGap, BASE, 16, 224),
    entry("vit_base_patch16_siglip_gap_256", "v2_webli", Family::SiglipGap, BASE, 16, 256),
    entry("vit_base_patch16_siglip_gap_384", "v2_webli", Family::SiglipGap, BASE, 16, 384),
    entry("vit_large_patch16_siglip_gap_256", "v2_webli", Family::SiglipGap, LARGE, 16, 256),
    entry("vit_large_patch16_siglip_gap_384", "v2_webli", Family::SiglipGap, LARGE, 16, 384),
    entry("vit_medium_patch16_reg1_gap_256", "sbb_in1k", Family::RegGap(1), MEDIUM, 16, 256),
    entry("vit_medium_patch16_reg4_gap_256", "sbb_in12k_ft_in1k", Family::RegGap(4), MEDIUM, 16, 256),
    entry("swin_tiny_patch4_window7_224", "ms_in1k", swin(6, 7), SWIN_TINY, 4, 224),
    entry("swin_small_patch4_window7_224", "ms_in22k_ft_in1k", swin(18, 7), SWIN_SMALL, 4, 224),
    entry("swin_base_patch4_window7_224", "ms_in22k_ft_in1k", swin(18, 7), SWIN_BASE, 4, 224),
    entry("swin_base_patch4_window12_384", "ms_in22k_ft_in1k", swin(18, 12), SWIN_BASE, 4, 384),
    entry("swin_large_patch4_window7_224", "ms_in22k_ft_in1k", swin(18, 7), SWIN_LARGE, 4, 224),
    entry("swin_large_patch4_window12_384", "ms_in22k_ft_in1k", swin(18, 12), SWIN_LARGE, 4, 384),
];

impl Preset {
    /// The preset of an architecture; a tag (`vit_base_patch16_224.mae`) is ignored.
    ///
    /// # Errors
    /// [`CoreError::UnknownArchitecture`] with the most similar names.
    pub fn find(name: &str) -> Result<&'static Self, CoreError> {
        let bare = name.split('.').next().unwrap_or(name);
        PRESETS
            .iter()
            .find(|preset| preset.name == bare)
            .ok_or_else(|| CoreError::UnknownArchitecture {
                name: name.to_owned(),
                nearest: nearest(bare, PRESETS.iter().map(|preset| preset.name))
                    .into_iter()
                    .collect(),
            })
    }

    /// The repository on the Hugging Face hub with the weights that timm takes by default.
    pub fn default_repo(&self) -> Option<String> {
        (!self.tag.is_empty()).then(|| format!("timm/{}.{}", self.repo_name(), self.tag))
    }

    /// What timm calls its repositories of this architecture, without the tag: one for both activations of CLIP.
    pub fn repo_name(&self) -> String {
        self.name.replace("_quickgelu", "")
    }

    /// The arguments that timm gives its `VisionTransformer` for this name.
    pub fn timm_args(&self) -> TimmArgs {
        let Size(embed_dim, depth, num_heads, mlp_ratio) = self.size;
        let plain = TimmArgs {
            img_size: [self.image; 2],
            patch_size: [self.patch; 2],
            embed_dim,
            depth,
            num_heads,
            mlp_ratio,
            ..TimmArgs::default()
        };
        match self.family {
            Family::Vit => plain,
            Family::DeitDistilled => TimmArgs {
                distilled: true,
                ..plain
            },
            Family::Deit3 => TimmArgs {
                no_embed_class: true,
                init_values: Some(1e-6),
                ..plain
            },
            Family::Dinov2 => TimmArgs {
                init_values: Some(1e-5),
                ..plain
            },
            Family::Dinov2Reg4 => TimmArgs {
                init_values: Some(1e-5),
                reg_tokens: 4,
                no_embed_class: true,
                ..plain
            },
            Family::Clip => TimmArgs {
                pre_norm: true,
                norm_eps: 1e-5,
                ..plain
            },
            Family::ClipQuickGelu => TimmArgs {
                pre_norm: true,
                norm_eps: 1e-5,
                act: Activation::QuickGelu,
                ..plain
            },
            Family::Dinov2Gated(reg_tokens) => TimmArgs {
                init_values: Some(1e-5),
                gated_mlp: true,
                act: Activation::Silu,
                reg_tokens,
                no_embed_class: reg_tokens > 0,
                ..plain
            },
            Family::Dinov3 { gated, qkv_bias } => TimmArgs {
                class: TimmClass::Eva,
                qkv_bias,
                init_values: Some(1e-5),
                gated_mlp: gated,
                reg_tokens: 4,
                abs_pos_embed: false,
                rot_pos_embed: true,
                rope_type: RopeType::Dinov3,
                rope_temperature: 100.0,
                norm_eps: 1e-5,
                global_pool: GlobalPool::Avg,
                fc_norm: Some(false),
                ..plain
            },
            Family::Eva => TimmArgs {
                global_pool: GlobalPool::Avg,
                ..plain
            },
            Family::Eva02 | Family::Eva02Norm | Family::Eva02Clip => TimmArgs {
                class: TimmClass::Eva,
                gated_mlp: true,
                mlp_norm: self.family != Family::Eva02,
                attn_norm: self.family == Family::Eva02Clip,
                rot_pos_embed: true,
                ref_feat_shape: Some([16; 2]),
                global_pool: if self.family == Family::Eva02Clip {
                    GlobalPool::Token
                } else {
                    GlobalPool::Avg
                },
                ..plain
            },
            Family::Flexi => TimmArgs {
                no_embed_class: true,
                ..plain
            },
            Family::Beit(init_values) => TimmArgs {
                class: TimmClass::Beit,
                abs_pos_embed: false,
                rel_pos_bias: true,
                init_values: Some(init_values),
                global_pool: GlobalPool::Avg,
                ..plain
            },
            Family::Siglip => TimmArgs {
                class_token: false,
                global_pool: GlobalPool::Map,
                ..plain
            },
            Family::SiglipGap => TimmArgs {
                class_token: false,
                global_pool: GlobalPool::Avg,
                fc_norm: Some(false),
                ..plain
            },
            Family::Swin { depths, window } => TimmArgs {
                img_size: plain.img_size,
                patch_size: plain.patch_size,
                embed_dim,
                mlp_ratio,
                ..TimmArgs::of_swin(Swin {
                    depths: depths.to_vec(),
                    num_heads: (0..depths.len()).map(|stage| num_heads << stage).collect(),
                    window_size: [window; 2],
                })
            },
            Family::RegGap(reg_tokens) => TimmArgs {
                class_token: false,
                no_embed_class: true,
                reg_tokens,
                init_values: Some(1e-5),
                global_pool: GlobalPool::Avg,
                ..plain
            },
        }
    }
}

/// The architecture called `name`, one of [`PRESETS`] or that of the built-in weights.
pub fn preset(name: &str) -> Option<VitConfig> {
    if name == BUILTIN {
        return ModelConfig::builtin().ok().map(|model| model.config);
    }
    Preset::find(name).ok().map(|preset| preset.timm_args().resolve())
}

/// A preset whose hidden properties (those that no argument in a config.json can change) are those of `args`,
/// and whose other properties come as near as any.
pub(crate) fn closest_preset(args: &TimmArgs) -> &'static Preset {
    let differences = |preset: &&Preset| {
        let of_preset = preset.timm_args();
        let hidden = !of_preset.is_same_class(args);
        let eps = of_preset.norm_eps != args.norm_eps;
        (hidden, eps, of_preset.model_args_of(args).len())
    };
    PRESETS.iter().min_by_key(differences).unwrap_or(&PRESETS[0])
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_unique_and_sizes_divide() {
        let names: BTreeSet<_> = PRESETS.iter().map(|preset| preset.name).collect();
        assert_eq!(names.len(), PRESETS.len());
        for preset in PRESETS {
            let config = preset.timm_args().resolve();
            assert_eq!(config.embed_dim % config.num_heads, 0, "{}", preset.name);
            assert_eq!(config.img_size[0] % config.patch_size[0], 0, "{}", preset.name);
            assert!(
                preset.name.starts_with("flexivit")
                    || preset.name.contains(&format!("patch{}", preset.patch))
            );
        }
    }

    #[test]
    fn tags_are_ignored_and_typing_errors_answered() {
        assert_eq!(
            Preset::find("vit_base_patch16_224.mae").unwrap().name,
            "vit_base_patch16_224"
        );
        let error = Preset::find("vit_bse_patch16_224").unwrap_err().to_string();
        assert_eq!(
            error,
            "architecture `vit_bse_patch16_224` is not known, did you mean `vit_base_patch16_224`"
        );
        assert!(preset("resnet50").is_none());
        assert!(preset(BUILTIN).is_some());
    }

    #[test]
    fn hidden_lengths_are_whole() {
        assert_eq!(preset("vit_giant_patch14_clip_224").unwrap().mlp_hidden(), 6144);
        assert_eq!(preset("vit_gigantic_patch14_224").unwrap().mlp_hidden(), 8192);
    }
}
