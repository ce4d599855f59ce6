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
mod models;
mod prompts;

pub use fixture::{Comparison, Fixture, find, skip};
pub use models::{finetune_gradients, image_sizes, model_outputs};
pub use prompts::{PromptCase, prompt_case, prompt_cases};

/// The models, each with the image sizes beside its own.
pub const MODELS: [(&str, &[&str]); 9] = [
    ("vit_p16_32", &["48x80"]),
    ("vit_p8_64", &["56x80"]),
    ("deit_p16_48", &[]),
    ("deit_distilled_p16_48", &[]),
    ("deit3_p16_48", &["64x96"]),
    ("dinov2_p14_56", &["98x98"]),
    ("dinov2_reg4_p14_56", &["98x98", "84x140"]),
    ("clip_quickgelu_p16_48", &["64x64"]),
    ("mae_avg_p16_48", &[]),
];
