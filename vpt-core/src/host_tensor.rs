//! [`HostTensor`]: a float32 tensor in main memory, the form in which weights are read, hashed and stored.

use burn::tensor::{Device, Tensor, TensorData};
use half::f16;

use crate::CoreError;

/// A float32 tensor in row-major order in main memory.
#[derive(Clone, PartialEq)]
pub struct HostTensor {
    /// Lengths of the axes; empty for a scalar.
    pub shape: Vec<usize>,
    /// The values, row-major; as many as the product of `shape`.
    pub data: Vec<f32>,
}

impl HostTensor {
    /// A tensor of `shape` with the values `data`, row-major.
    ///
    /// # Panics
    /// When the number of values is not the product of `shape` (a programming error: readers check files
    /// first).
    pub fn new(shape: impl Into<Vec<usize>>, data: Vec<f32>) -> Self {
        let shape = shape.into();
        assert_eq!(
            shape.iter().product::<usize>(),
            data.len(),
            "shape {shape:?} and number of values"
        );
        Self { shape, data }
    }

    /// A tensor that holds `value` everywhere.
    pub fn full(shape: impl Into<Vec<usize>>, value: f32) -> Self {
        let shape = shape.into();
        let data = vec![value; shape.iter().product()];
        Self { shape, data }
    }

    /// Number of values.
    pub fn numel(&self) -> usize {
        self.data.len()
    }

    /// Copies a Burn tensor into main memory.
    ///
    /// # Errors
    /// [`CoreError::Device`] when the device cannot deliver it, [`CoreError::DeviceMemory`] where it had no room for what was computed.
    pub fn from_tensor<const D: usize>(tensor: &Tensor<D>) -> Result<Self, CoreError> {
        let shape = tensor.dims().to_vec();
        let data = tensor.clone().try_into_vec_as::<f32>();
        let data = data.map_err(CoreError::of_device)?;
        Ok(Self { shape, data })
    }

    /// Copies this tensor to `device`.
    ///
    /// # Panics
    /// When `D` is not the number of axes (a programming error: shapes are checked when weights are read).
    pub fn to_tensor<const D: usize>(&self, device: &Device) -> Tensor<D> {
        self.clone().into_tensor(device)
    }

    /// Moves this tensor to `device`; on the CPU the values stay where they are in memory.
    ///
    /// # Panics
    /// When `D` is not the number of axes (a programming error: shapes are checked when weights are read).
    pub fn into_tensor<const D: usize>(self, device: &Device) -> Tensor<D> {
        assert_eq!(self.shape.len(), D, "axes of a tensor of shape {:?}", self.shape);
        Tensor::from_data(TensorData::new(self.data, self.shape), device)
    }

    /// Each value rounded to the nearest float16 (ties to even) and widened again.
    pub fn rounded_to_half(&self) -> Self {
        let data = self.data.iter().map(|&x| f16::from_f32(x).to_f32()).collect();
        Self {
            shape: self.shape.clone(),
            data,
        }
    }

    /// Little-endian float32 bytes, as files and hashes hold them.
    pub fn f32_bytes(&self) -> Vec<u8> {
        f32_bytes(&self.data)
    }

    /// Little-endian float16 bytes, rounded to nearest even.
    pub fn f16_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.data.len() * 2];
        for (two, &x) in bytes.chunks_exact_mut(2).zip(&self.data) {
            two.copy_from_slice(&f16::from_f32(x).to_le_bytes());
        }
        bytes
    }
}

/// Little-endian bytes of floats. A loop over slices becomes a plain copy, which an iterator chain does not.
pub(crate) fn f32_bytes(values: &[f32]) -> Vec<u8> {
    let mut bytes = vec![0; values.len() * 4];
    for (four, x) in bytes.chunks_exact_mut(4).zip(values) {
        four.copy_from_slice(&x.to_le_bytes());
    }
    bytes
}

impl std::fmt::Debug for HostTensor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "HostTensor{:?}", self.shape)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn device_round_trip_is_bit_exact() {
        let values = vec![0.1, -0.0, f32::MIN_POSITIVE, 1e30, -7.5, 1.0 / 3.0];
        let tensor = HostTensor::new([2, 3], values);
        let back = HostTensor::from_tensor(&tensor.to_tensor::<2>(&Device::flex())).expect("flex delivers");
        assert_eq!(back.shape, [2, 3]);
        assert_eq!(back.f32_bytes(), tensor.f32_bytes());
    }

    #[test]
    fn half_rounding_is_idempotent_and_equals_the_stored_bytes() {
        let tensor = HostTensor::new([3], vec![0.1, 65504.0, 1.0 + f32::EPSILON]);
        let half = tensor.rounded_to_half();
        assert_eq!(half, half.rounded_to_half());
        assert_eq!(half.f16_bytes(), tensor.f16_bytes());
        assert_ne!(half.data[0], 0.1);
        assert_eq!(half.data[2], 1.0);
    }
}
