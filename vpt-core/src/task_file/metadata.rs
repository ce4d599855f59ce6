//! [`TaskMetadata`]: the JSON document of a task file.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use vpt_data::{CropMode, Preprocess, TaskKind};

use super::{Calibration, FORMAT};
use crate::weights::shortest;
use crate::{Backbone, CoreError, HeadConfig, MethodConfig, VitConfig};

/// Documents longer than this are not ours.
const LONGEST: usize = 16 << 20;

/// Everything a task file says beside its tensors.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TaskMetadata {
    /// [`FORMAT`].
    pub format: String,
    /// Version of the program that wrote the file.
    pub vpt_version: String,
    /// What is predicted.
    pub task: TaskInfo,
    /// What makes the answer of the backbone's tokens; a linear layer if nothing is said.
    #[serde(default, skip_serializing_if = "HeadConfig::is_linear")]
    pub head: HeadConfig,
    /// How it was tuned.
    pub method: MethodConfig,
    /// On which weights.
    pub backbone: BackboneInfo,
    /// How images are prepared.
    pub preprocess: Preprocess,
    /// How logits become decisions.
    pub calibration: Calibration,
    /// What was measured on the validation split, by metric; values that are not finite are left out of
    /// files.
    pub metrics: BTreeMap<String, f64>,
    /// Where it comes from.
    pub training: TrainingInfo,
}

/// What is predicted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskInfo {
    /// Name of the task.
    pub name: String,
    /// What is asked of the model.
    pub kind: TaskKind,
    /// Names of the classes, in the order of the logits.
    pub classes: Vec<String>,
}

/// The weights that the task was trained on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BackboneInfo {
    /// timm's name of the architecture.
    pub architecture: String,
    /// Hyper-parameters.
    pub config: VitConfig,
    /// Canonical hash, see [`crate::weights::canonical_sha256`].
    pub sha256: String,
    /// Where they were found.
    pub source: String,
}

impl BackboneInfo {
    /// What a task file says about `backbone`.
    pub fn of(backbone: &Backbone) -> Self {
        Self {
            architecture: backbone.architecture.clone(),
            config: backbone.config.clone(),
            sha256: backbone.sha256.clone(),
            source: backbone.source.clone(),
        }
    }
}

/// How the task was trained.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrainingInfo {
    /// Every resolved argument of the run.
    pub args: Value,
    /// Seed of the run.
    pub seed: u64,
    /// Hash of the training data.
    pub data_fingerprint: String,
    /// When the run began, RFC 3339.
    pub date: String,
    /// Epoch whose parameters these are, counted from 1.
    pub epoch: usize,
}

impl TaskMetadata {
    /// The document, its keys sorted: equal metadata makes equal text.
    ///
    /// # Errors
    /// [`CoreError::Setting`] when a number is not finite.
    pub fn to_json(&self) -> Result<String, CoreError> {
        let finite = self.metrics.iter().filter(|(_, value)| value.is_finite());
        let metadata = Self {
            metrics: finite.map(|(name, value)| (name.clone(), *value)).collect(),
            ..self.clone()
        };
        let mut document = serde_json::to_value(metadata)
            .map_err(|error| CoreError::setting("task metadata", error, "a JSON document"))?;
        document["preprocess"]["mean"] = json!(self.preprocess.mean.map(shortest));
        document["preprocess"]["std"] = json!(self.preprocess.std.map(shortest));
        Ok(sorted(document).to_string())
    }

    /// Reads the document of the file `path`.
    ///
    /// # Errors
    /// [`CoreError::NotTaskFile`], [`CoreError::TaskFormat`] or [`CoreError::Key`].
    pub fn parse(path: &Path, text: &str) -> Result<Self, CoreError> {
        let foreign = |reason: String| CoreError::NotTaskFile {
            path: path.to_owned(),
            reason,
        };
        if text.len() > LONGEST {
            return Err(foreign(format!(
                "its document has {} bytes, more than {LONGEST}",
                text.len()
            )));
        }
        let document: Map<String, Value> = serde_json::from_str(text)
            .map_err(|error| foreign(format!("its document is not JSON: {error}")))?;
        let format = document.get("format").and_then(Value::as_str).unwrap_or_default();
        match format {
            FORMAT => {}
            "" => return Err(foreign("its document has no `format`".to_owned())),
            other => {
                let found = other.chars().take(40).collect();
                return Err(CoreError::TaskFormat {
                    path: path.to_owned(),
                    found,
                    reads: FORMAT,
                });
            }
        }
        let metadata = Self {
            format: format.to_owned(),
            vpt_version: section(path, &document, "vpt_version")?,
            task: section(path, &document, "task")?,
            head: match document.contains_key("head") {
                true => section(path, &document, "head")?,
                false => HeadConfig::default(),
            },
            method: section(path, &document, "method")?,
            backbone: section(path, &document, "backbone")?,
            preprocess: section(path, &document, "preprocess")?,
            calibration: section(path, &document, "calibration")?,
            metrics: section(path, &document, "metrics")?,
            training: section(path, &document, "training")?,
        };
        metadata.check(path)?;
        Ok(metadata)
    }

    /// What the types alone do not ensure.
    fn check(&self, path: &Path) -> Result<(), CoreError> {
        let wrong = |key: &str, expected: &str, found: String| Err(key_error(path, key, expected, found));
        let classes = &self.task.classes;
        if classes.is_empty() || classes.iter().collect::<BTreeSet<_>>().len() != classes.len() {
            return wrong(
                "task.classes",
                "class names, each of them once",
                format!("{classes:?}"),
            );
        }
        let kind = self.task.kind;
        let fits = match self.head {
            HeadConfig::Linear => !kind.is_dense(),
            HeadConfig::Detection { .. } => kind == TaskKind::Detection,
            HeadConfig::Segmentation { .. } => kind == TaskKind::Segmentation,
        };
        if !fits {
            return wrong("task.kind", "the kind that the head answers", kind.to_string());
        }
        if kind.is_dense() && self.preprocess.crop_mode != CropMode::Letterbox {
            let found = self.preprocess.crop_mode.to_string();
            return wrong("preprocess.crop_mode", "letterbox, for boxes and masks", found);
        }
        if self.preprocess.windows > 1 && kind != TaskKind::Segmentation {
            let found = self.preprocess.windows.to_string();
            return wrong("preprocess.windows", "1, but for masks", found);
        }
        if let Err((key, expected, found)) = self.head.check() {
            return wrong(key, expected, found.to_string());
        }
        if self.backbone.sha256.len() != 64
            || !self.backbone.sha256.bytes().all(|byte| byte.is_ascii_hexdigit())
        {
            return wrong(
                "backbone.sha256",
                "64 hexadecimal digits",
                format!("`{}`", self.backbone.sha256),
            );
        }
        if let Err(error) = self.preprocess.validate() {
            return wrong(
                "preprocess",
                "a preprocessing that can be done",
                error.to_string(),
            );
        }
        match self.calibration.check(&self.task) {
            Err((key, expected, found)) => wrong(key, &expected, found),
            Ok(()) => Ok(()),
        }
    }
}

/// The entry `key` of the document.
fn section<T: DeserializeOwned>(
    path: &Path,
    document: &Map<String, Value>,
    key: &str,
) -> Result<T, CoreError> {
    match document.get(key) {
        None => Err(key_error(path, key, "an entry", "nothing".to_owned())),
        Some(value) => serde_json::from_value(value.clone())
            .map_err(|error| key_error(path, key, "an entry as this build writes it", error.to_string())),
    }
}

fn key_error(path: &Path, key: &str, expected: &str, found: String) -> CoreError {
    let found = if found.chars().count() > 200 {
        found.chars().take(200).chain(['…']).collect()
    } else {
        found
    };
    CoreError::Key {
        path: path.to_owned(),
        key: key.to_owned(),
        expected: expected.to_owned(),
        found,
    }
}

/// The value with the keys of all objects in order, whatever order the JSON library keeps.
fn sorted(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let entries: BTreeMap<String, Value> =
                map.into_iter().map(|(key, value)| (key, sorted(value))).collect();
            entries.into_iter().collect()
        }
        Value::Array(values) => values.into_iter().map(sorted).collect(),
        other => other,
    }
}
