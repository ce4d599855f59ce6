//! Vision Transformers with visual prompts, other tuning methods, heads, weights, task files and
//! devices, on Burn.

pub mod vit;

pub use vit::{Activation, GlobalPool, VitConfig};
