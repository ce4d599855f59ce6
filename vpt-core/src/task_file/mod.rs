//! [`TaskFile`]: what a task learned, complete and small enough to send around.
//!
//! A safetensors file with the learned tensors (`prompts` `[L, P, d]`, `prompt_proj.*`, `head.weight`
//! `[C, D]`, `head.bias`; other methods add their own under timm's names) and one metadata entry `vpt`, a JSON
//! document with all that is needed to use them: classes, preprocessing, method, and the backbone's hash.

mod calibration;
mod merge;
mod metadata;
mod prune;
mod random;

pub use calibration::{Calibration, Decision, argmax, sigmoid};
pub use metadata::{BackboneInfo, TaskInfo, TaskMetadata, TrainingInfo};

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;

use burn::tensor::Device;

use crate::heads::{HeadConfig, SegmentationDecoder};
use crate::weights::{FileBytes, SafetensorsFile, StoredFloat, encode, write_tensors};
use crate::{Backbone, Classifier, CoreError, HostTensor};

/// The format that this build writes and reads.
pub const FORMAT: &str = "vpt-task/1";

/// What a run folder calls the task file of its best epoch.
pub const BEST_FILE: &str = "best.safetensors";

/// Key of the document in the file's metadata.
const KEY: &str = "vpt";

fn stored(half: bool) -> StoredFloat {
    match half {
        true => StoredFloat::F16,
        false => StoredFloat::F32,
    }
}

/// A task: learned tensors and the document that says what they are.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskFile {
    /// The document.
    pub metadata: TaskMetadata,
    /// The learned tensors, as [`Classifier::tuned_tensors`] gives them.
    pub tensors: BTreeMap<String, HostTensor>,
}

impl TaskFile {
    /// Writes the file, whole or not at all; `half` stores float16. Equal tasks make equal bytes.
    ///
    /// # Errors
    /// [`CoreError::Io`]; [`CoreError::Setting`] when a value is not finite in the stored type.
    pub fn save(&self, path: &Path, half: bool) -> Result<(), CoreError> {
        let metadata = self.document()?;
        let stored = stored(half);
        vpt_data::atomic::write(path, |file| write_tensors(file, &self.tensors, &metadata, stored))
            .map_err(|error| CoreError::writing_tensors("task", path, error))
    }

    /// The bytes that [`TaskFile::save`] writes.
    ///
    /// # Errors
    /// [`CoreError::Setting`] when a value is not finite in the stored type.
    pub fn to_bytes(&self, half: bool) -> Result<Vec<u8>, CoreError> {
        encode(&self.tensors, &self.document()?, stored(half))
            .map_err(|error| CoreError::setting("task", error, "finite values"))
    }

    /// The document as the file's header has it.
    fn document(&self) -> Result<BTreeMap<String, String>, CoreError> {
        Ok(BTreeMap::from([(KEY.to_owned(), self.metadata.to_json()?)]))
    }

    /// Reads a file.
    ///
    /// # Errors
    /// [`CoreError::Io`], [`CoreError::Safetensors`], [`CoreError::NotTaskFile`] for another safetensors
    /// file, [`CoreError::TaskFormat`], and [`CoreError::Key`] for a document that is not as it must be.
    pub fn load(path: &Path) -> Result<Self, CoreError> {
        let file = FileBytes::open(path)?;
        Self::from_parts(path, &file, || SafetensorsFile::parse_file(path, &file))
    }

    /// Reads the bytes of a file; `path` only names it in errors.
    ///
    /// # Errors
    /// See [`TaskFile::load`].
    pub fn parse(path: &Path, bytes: &[u8]) -> Result<Self, CoreError> {
        Self::from_parts(path, bytes, || SafetensorsFile::parse(path, bytes))
    }

    /// The document in `bytes`, then the tensors that `read` finds in them.
    fn from_parts(
        path: &Path,
        bytes: &[u8],
        read: impl FnOnce() -> Result<SafetensorsFile, CoreError>,
    ) -> Result<Self, CoreError> {
        let foreign = |reason: &str| CoreError::NotTaskFile {
            path: path.to_owned(),
            reason: reason.to_owned(),
        };
        // The document first: another program's file may hold tensors that we could not read anyway.
        let metadata = SafetensorsFile::parse_metadata(path, bytes)?;
        let document = metadata
            .get(KEY)
            .ok_or_else(|| foreign("its header has no entry `vpt`"))?;
        let metadata = TaskMetadata::parse(path, document)?;
        let tensors = read()?.tensors;
        let task = Self { metadata, tensors };
        task.check(path)?;
        Ok(task)
    }

    /// Whether document and tensors say the same, as far as memory will be reserved for it.
    fn check(&self, path: &Path) -> Result<(), CoreError> {
        let axis = |name: &str, axis: usize| {
            self.tensors
                .get(name)
                .and_then(|tensor| tensor.shape.get(axis))
                .copied()
        };
        let wrong = |key: &str, expected: String, found: usize| CoreError::Key {
            path: path.to_owned(),
            key: key.to_owned(),
            expected,
            found: found.to_string(),
        };
        let classes = self.metadata.task.classes.len();
        let last = self.metadata.head.last_weight();
        match axis(last, 0) {
            None => {
                let reason = format!("it has no tensor `{last}`");
                return Err(CoreError::NotTaskFile {
                    path: path.to_owned(),
                    reason,
                });
            }
            Some(rows) if rows != classes => {
                let expected = format!("{rows} names, one for each row of `{last}`");
                return Err(wrong("task.classes", expected, classes));
            }
            Some(_) => {}
        }
        let (width, steps) = match self.metadata.head {
            HeadConfig::Linear
            | HeadConfig::Segmentation {
                decoder: SegmentationDecoder::Linear,
            } => (None, 0),
            HeadConfig::Detection { width } => (Some((width, "head.pyramid.reduce.weight")), 0),
            HeadConfig::Segmentation {
                decoder: SegmentationDecoder::Progressive { width, steps },
            } => (Some((width, "head.reduce.weight")), steps),
        };
        if let Some((width, name)) = width {
            let rows = axis(name, 0).unwrap_or(0);
            if rows != width {
                return Err(wrong(
                    "head.width",
                    format!("{rows}, as the tensor `{name}` has"),
                    width,
                ));
            }
        }
        let stored = (0..self.tensors.len())
            .take_while(|step| axis(&format!("head.steps.{step}.up.weight"), 0).is_some())
            .count();
        if stored != steps {
            return Err(wrong(
                "head.steps",
                format!("{stored}, as there are tensors"),
                steps,
            ));
        }
        let Some(prompts) = &self.metadata.method.prompts else {
            return Ok(());
        };
        let (tokens, width) = (axis("prompts", 1).unwrap_or(0), axis("prompts", 2).unwrap_or(0));
        match prompts.project_dim {
            _ if prompts.num_tokens != tokens => {
                let expected = format!("{tokens}, as the tensor `prompts` has");
                Err(wrong("method.num_tokens", expected, prompts.num_tokens))
            }
            Some(project_dim) if project_dim != width => {
                let expected = format!("{width}, as the tensor `prompts` has");
                Err(wrong("method.project_dim", expected, project_dim))
            }
            _ => Ok(()),
        }
    }

    /// The task as it will be after a round trip through float16, for measuring what `half` costs.
    pub fn rounded_to_half(&self) -> Self {
        let tensors = self
            .tensors
            .iter()
            .map(|(name, tensor)| (name.clone(), tensor.rounded_to_half()));
        Self {
            metadata: self.metadata.clone(),
            tensors: tensors.collect(),
        }
    }

    /// Puts the task onto the backbone that it was trained on. A backbone given by value moves into the model, see
    /// [`Classifier::new`].
    ///
    /// # Errors
    /// [`CoreError::OtherBackbone`] for another backbone; [`CoreError::Tensors`] and [`CoreError::Setting`]
    /// when the tensors are not those of the method.
    pub fn apply<'a>(
        &self,
        backbone: impl Into<Cow<'a, Backbone>>,
        device: &Device,
    ) -> Result<Classifier, CoreError> {
        let backbone = backbone.into();
        self.check_backbone(&backbone)?;
        let TaskMetadata {
            task,
            head,
            method,
            preprocess,
            training,
            ..
        } = &self.metadata;
        let size = preprocess.input_size;
        let classes = task.classes.len();
        let model = Classifier::with_head(backbone, method, *head, classes, size, training.seed, device)?;
        model.load_tuned(&self.tensors)
    }

    /// Whether `backbone` is the one that the task was trained on.
    pub fn check_backbone(&self, backbone: &Backbone) -> Result<(), CoreError> {
        self.check_trained_on(&backbone.sha256, &backbone.source)
    }

    /// The same of a backbone's hash and where it is from.
    pub(crate) fn check_trained_on(&self, sha256: &str, source: &str) -> Result<(), CoreError> {
        let trained_on = &self.metadata.backbone;
        if sha256 == trained_on.sha256 {
            return Ok(());
        }
        Err(CoreError::OtherBackbone {
            expected: trained_on.sha256.clone(),
            expected_source: trained_on.source.clone(),
            found: sha256.to_owned(),
            found_source: source.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests;
