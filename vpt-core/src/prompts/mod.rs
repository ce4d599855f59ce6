//! Visual prompts: learned tokens beside the tokens of the image.

mod config;
mod from_patches;
mod tokens;

pub use config::{PromptConfig, PromptDepth, PromptInit, PromptPool, PromptSets};
pub use from_patches::PatchSampler;
pub use tokens::{Noise, Pass, PromptForm, Prompts};
