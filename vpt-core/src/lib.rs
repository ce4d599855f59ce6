//! Vision Transformers with visual prompts, other tuning methods, heads, weights, task files and
//! devices, on Burn.

pub mod classifier;
pub mod device;
pub mod error;
pub mod flops;
mod freed_memory;
pub mod heads;
pub mod host_tensor;
pub mod hub;
pub mod init;
pub mod memory;
pub mod methods;
pub mod named_tensors;
pub mod onnx;
pub mod ops;
pub mod parity;
mod precision;
pub mod presets;
mod pretrained_head;
pub mod prompts;
pub mod task_file;
pub mod vit;
pub mod weights;

pub use classifier::{Classifier, Entering, Features, SharedBackbone, SharedTask, mixed_features};
pub use device::{DeviceChoice, SelectedDevice};
pub use error::CoreError;
pub use heads::{Head, HeadConfig};
pub use host_tensor::HostTensor;
pub use methods::{MethodConfig, MethodKind, MethodOptions, Tuner};
pub use onnx::OnnxModel;
pub use precision::Precision;
pub use presets::preset;
pub use prompts::{PromptConfig, PromptDepth, PromptInit, PromptPool};
pub use task_file::{Calibration, Decision, TaskFile, TaskMetadata};
pub use vit::{Activation, GlobalPool, Rope, Swin, VitConfig};
pub use weights::{Backbone, TensorMismatch};
