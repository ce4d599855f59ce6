//! The golden suite: what timm, torch and the official prompt code compute, against this crate on one device.
//!
//! Fixtures are read from `tests/fixtures/golden`; larger ones from `../shared/golden`, where that exists.

#![allow(
    dead_code,
    unused_imports,
    reason = "each test binary uses its part of the suite"
)]
#![allow(
    clippy::print_stdout,
    reason = "tests say what they skip and how close they came"
)]

mod fixture;
mod methods;
mod models;
mod prompts;

pub use fixture::{Comparison, Fixture, find, skip};
pub use methods::{METHOD_CASES, method_case};
pub use models::{finetune_gradients, image_sizes, model_outputs, transformers_outputs};
pub use prompts::{PromptCase, prompt_case, prompt_cases};

/// The models, each with the image sizes beside its own.
pub const MODELS: [(&str, &[&str]); 18] = [
    ("vit_p16_32", &["48x80"]),
    ("vit_p8_64", &["56x80"]),
    ("deit_p16_48", &[]),
    ("deit_distilled_p16_48", &[]),
    ("deit3_p16_48", &["64x96"]),
    ("dinov2_p14_56", &["98x98"]),
    ("dinov2_reg4_p14_56", &["98x98", "84x140"]),
    ("clip_quickgelu_p16_48", &["64x64"]),
    ("mae_avg_p16_48", &[]),
    ("dinov2_swiglu_reg4_p14_42", &[]),
    ("eva02_p14_42", &["28x56"]),
    ("eva02_norm_p14_42", &[]),
    ("eva02_clip_p16_48", &[]),
    ("dinov3_p16_48", &["64x32"]),
    ("dinov3_plus_p16_48", &[]),
    ("beitv2_p16_48", &["64x80"]),
    ("siglip_p16_48", &[]),
    ("swin_p4_w4_64", &["48x80"]),
];

/// Models of Hugging Face transformers, as that library saves them.
pub const TRANSFORMERS: [&str; 6] = [
    "hf_beit_p16_48",
    "hf_dinov2_swiglu_p14_42",
    "hf_dinov3_p16_48",
    "hf_dinov3_gated_p16_48",
    "hf_siglip_p16_48",
    "hf_swin_p4_w4_64",
];
