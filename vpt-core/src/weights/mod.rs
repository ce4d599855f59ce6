//! Pretrained weights: where they come from, what they must hold, and the files they are kept in.

mod tensor_mismatch;

pub use tensor_mismatch::TensorMismatch;
