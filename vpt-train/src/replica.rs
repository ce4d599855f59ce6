//! [`Replica`]: the model on one more device, which computes a share of each batch.

use std::collections::BTreeMap;

use burn::module::Module;
use burn::tensor::Device;
use vpt_core::{Classifier, CoreError, HostTensor};

/// The model on one more device.
#[derive(Debug)]
pub struct Replica {
    /// With a tape of its own.
    pub model: Classifier,
    /// Where it is.
    pub device: Device,
}

impl Replica {
    /// A copy of `model` on `device`.
    pub fn new(model: &Classifier, device: &Device) -> Self {
        Self {
            model: model.clone().fork(device),
            device: device.clone(),
        }
    }

    /// Takes over what the model has learned.
    ///
    /// # Errors
    /// [`CoreError::Tensors`] for tensors of another model.
    pub fn follow(&mut self, tuned: &BTreeMap<String, HostTensor>) -> Result<(), CoreError> {
        self.model = self.model.clone().load_tuned(tuned)?;
        Ok(())
    }
}
