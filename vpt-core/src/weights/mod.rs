//! Pretrained weights: where they come from, what they must hold, and the files they are kept in.

mod backbone;
mod canonical_hash;
mod config_json;
mod infer;
mod json_object;
mod layout;
mod mapped_file;
mod safetensors_file;
mod tensor_mismatch;

pub use backbone::{BUILTIN, Backbone};
pub use canonical_hash::{canonical_sha256, is_classifier};
pub use config_json::ModelConfig;
pub(crate) use config_json::shortest;
pub(crate) use mapped_file::FileBytes;
pub use safetensors_file::{SafetensorsFile, StoredFloat, encode};
pub use tensor_mismatch::TensorMismatch;
pub(crate) use tensor_mismatch::nearest;
