//! [`Registry`]: the backbone in memory, and the tasks on it that are served.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

use burn::tensor::Device;
use sha2::{Digest, Sha256};
use vpt_core::device::SelectedDevice;
use vpt_core::{Backbone, Precision, SharedBackbone, TaskFile};
use vpt_data::hexadecimal;

use crate::ServeError;
use crate::task::ServedTask;

/// The longest name of a task.
const LONGEST_NAME: usize = 64;

/// The backbone in memory, and the tasks on it that are served. Tasks come and go while it is in use: whoever holds one keeps it.
#[derive(Debug)]
pub struct Registry {
    backbone: SharedBackbone,
    architecture: String,
    parameters: usize,
    device: SelectedDevice,
    tasks: RwLock<BTreeMap<String, Arc<ServedTask>>>,
}

impl Registry {
    /// Moves the backbone onto the device, where it is kept in that many bits.
    ///
    /// # Errors
    /// [`ServeError::Core`] for weights that do not fit their configuration, or a precision that the device does not take.
    pub fn new(
        backbone: Backbone,
        device: &SelectedDevice,
        precision: Precision,
    ) -> Result<Self, ServeError> {
        Ok(Self {
            architecture: backbone.architecture.clone(),
            parameters: backbone.tensors.values().map(vpt_core::HostTensor::numel).sum(),
            backbone: SharedBackbone::with_precision(backbone, &device.device, precision)?,
            device: device.clone(),
            tasks: RwLock::default(),
        })
    }

    /// Serves a task file, instead of one of that name if there is one, which is told. `origin` names it in errors.
    ///
    /// # Errors
    /// [`ServeError::TaskName`]; [`ServeError::Core`] for a file that is none, or a task of another backbone;
    /// [`ServeError::TaskFails`].
    pub fn put(&self, name: &str, origin: &Path, bytes: &[u8]) -> Result<bool, ServeError> {
        check_name(name)?;
        let file = TaskFile::parse(origin, bytes)?;
        let shared = self.backbone.attach(&file)?;
        let sha256 = hexadecimal(&Sha256::digest(bytes));
        let task = ServedTask::new(name, file, shared, (bytes.len(), sha256), self.device())?;
        let mut tasks = self.tasks.write().unwrap_or_else(PoisonError::into_inner);
        Ok(tasks.insert(name.to_owned(), Arc::new(task)).is_some())
    }

    /// Serves it no longer; whether there was one.
    pub fn remove(&self, name: &str) -> bool {
        let mut tasks = self.tasks.write().unwrap_or_else(PoisonError::into_inner);
        tasks.remove(name).is_some()
    }

    /// A task.
    pub fn get(&self, name: &str) -> Option<Arc<ServedTask>> {
        let tasks = self.tasks.read().unwrap_or_else(PoisonError::into_inner);
        tasks.get(name).cloned()
    }

    /// All tasks, by name.
    pub fn all(&self) -> Vec<Arc<ServedTask>> {
        let tasks = self.tasks.read().unwrap_or_else(PoisonError::into_inner);
        tasks.values().cloned().collect()
    }

    /// timm's name of the backbone's architecture.
    pub fn architecture(&self) -> &str {
        &self.architecture
    }

    /// Numbers in the backbone.
    pub fn parameters(&self) -> usize {
        self.parameters
    }

    /// Hash of the backbone, which task files name.
    pub fn sha256(&self) -> &str {
        self.backbone.sha256()
    }

    /// Where it is computed.
    pub fn device(&self) -> &Device {
        &self.device.device
    }
}

fn check_name(name: &str) -> Result<(), ServeError> {
    let good = |c: char| c.is_ascii_alphanumeric() || ".-_".contains(c);
    let begins = name.starts_with(|c: char| c.is_ascii_alphanumeric());
    match begins && name.len() <= LONGEST_NAME && name.chars().all(good) {
        true => Ok(()),
        false => Err(ServeError::TaskName {
            name: name.to_owned(),
        }),
    }
}
