//! Vision Transformers with visual prompts, other tuning methods, heads, weights, task files and
//! devices, on Burn.

pub mod error;
pub mod host_tensor;
pub mod vit;
pub mod weights;

pub use error::CoreError;
pub use host_tensor::HostTensor;
pub use vit::{Activation, GlobalPool, VitConfig};
