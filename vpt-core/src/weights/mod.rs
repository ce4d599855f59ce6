//! Pretrained weights: where they come from, what they must hold, and the files they are kept in.

mod backbone;
mod canonical_hash;
mod config_json;
mod description;
pub(crate) mod downloads;
mod fuse;
mod infer;
mod json_object;
mod layout;
mod mapped_file;
mod naming;
mod npz_file;
mod open_clip_config;
mod permute;
mod pytorch_file;
mod safetensors_file;
mod tensor_mismatch;
mod transformers_config;
mod weight_file;
mod weight_files;

pub use backbone::{BUILTIN, Backbone};
pub use canonical_hash::{canonical_sha256, is_classifier};
pub use config_json::ModelConfig;
pub(crate) use config_json::shortest;
pub use layout::num_params;
pub(crate) use layout::shapes as layout_shapes;
pub(crate) use mapped_file::FileBytes;
pub use safetensors_file::{SafetensorsFile, StoredFloat, encode, write_tensors};
pub use tensor_mismatch::TensorMismatch;
pub(crate) use tensor_mismatch::nearest;

/// Mean of the images that OpenAI's CLIP was trained on, and most CLIP models after it.
const CLIP_MEAN: [f32; 3] = [0.481_454_66, 0.457_827_5, 0.408_210_73];

/// Their standard deviation.
const CLIP_STD: [f32; 3] = [0.268_629_54, 0.261_302_6, 0.275_777_1];
