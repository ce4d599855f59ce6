//! The Vision Transformer, in timm's layout and names.

mod config;

pub use config::{Activation, GlobalPool, VitConfig};
