//! PyTorch checkpoints: what `torch.save` wrote, read without running any of the code that a pickle can hold.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use half::{bf16, f16};
use pytorch_reader::{DType, PytorchReader, Tensor};

use crate::freed_memory::FreedMemory;
use crate::{CoreError, HostTensor};

/// The tensors of floats in a checkpoint. Those in nested dictionaries have dotted names, `model.blocks.0.norm1.weight`;
/// integers (counters, position ids) are left out, they are never weights.
///
/// # Errors
/// [`CoreError::WeightFile`] for a file that is damaged or holds tensors larger than itself or not finite.
pub(super) fn read_pytorch(path: &Path) -> Result<BTreeMap<String, HostTensor>, CoreError> {
    let bad = |reason: String| CoreError::WeightFile {
        path: path.to_owned(),
        kind: "PyTorch checkpoint",
        reason,
    };
    let size = fs::metadata(path)
        .map_err(|error| CoreError::io("read", path, error))?
        .len();
    let reader = PytorchReader::new(path).map_err(|error| bad(error.to_string()))?;
    let floats: Vec<_> = reader.into_tensors().into_values().filter(is_float).collect();
    // A view can repeat what is stored once. Tied weights do, but no checkpoint is mostly repetition.
    let total: u64 = floats.iter().map(|tensor| tensor.byte_len() as u64).sum();
    if total > size.saturating_mul(4) {
        return Err(bad(format!(
            "its tensors have {total} bytes, the file has {size}"
        )));
    }
    // One after the other: what a thread reads is in memory twice while it is widened.
    let mut freed = FreedMemory::default();
    floats
        .into_iter()
        .map(|tensor| {
            let widened = widen(&tensor).map_err(bad)?;
            freed.add_floats(widened.numel());
            Ok((tensor.name, widened))
        })
        .collect()
}

fn is_float(tensor: &Tensor) -> bool {
    matches!(tensor.dtype(), DType::F64 | DType::F32 | DType::F16 | DType::BF16)
}

/// The values as float32; the error is a sentence.
fn widen(tensor: &Tensor) -> Result<HostTensor, String> {
    let bytes = tensor.read().map_err(|error| error.to_string())?;
    let data: Vec<f32> = match tensor.dtype() {
        DType::F32 => words(&bytes).map(f32::from_ne_bytes).collect(),
        DType::F64 => words(&bytes)
            .map(|word| f64::from_ne_bytes(word) as f32)
            .collect(),
        DType::F16 => words(&bytes)
            .map(|word| f16::from_ne_bytes(word).to_f32())
            .collect(),
        _ => words(&bytes)
            .map(|word| bf16::from_ne_bytes(word).to_f32())
            .collect(),
    };
    if data.iter().any(|x| !x.is_finite()) {
        return Err(format!(
            "tensor `{}` holds values that are not finite",
            tensor.name
        ));
    }
    Ok(HostTensor::new(tensor.shape(), data))
}

fn words<const N: usize>(bytes: &[u8]) -> impl Iterator<Item = [u8; N]> + '_ {
    bytes.as_chunks::<N>().0.iter().copied()
}
