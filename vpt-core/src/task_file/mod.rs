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
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::{MethodConfig, PromptConfig, PromptDepth, VitConfig, init, preset};

    pub(super) fn method(num_tokens: usize) -> MethodConfig {
        MethodConfig::vpt(PromptConfig::new(PromptDepth::Deep, num_tokens))
    }

    pub(super) fn metadata(backbone: &Backbone, method: MethodConfig, classes: usize) -> TaskMetadata {
        TaskMetadata {
            format: FORMAT.to_owned(),
            vpt_version: "0.1.0".to_owned(),
            task: TaskInfo {
                name: "retina".into(),
                kind: vpt_data::TaskKind::Classification,
                classes: (0..classes).map(|i| format!("grade {i}")).collect(),
            },
            head: HeadConfig::Linear,
            method,
            backbone: BackboneInfo::of(backbone),
            preprocess: backbone.preprocess.clone(),
            calibration: Calibration::default(),
            metrics: BTreeMap::from([("top1".to_owned(), 0.1 + 0.2), ("auroc".to_owned(), 1.0 / 3.0)]),
            training: TrainingInfo {
                args: json!({"lr": 0.05, "epochs": 30, "data_dir": "images/retina", "batch_size": 32}),
                seed: 42,
                data_fingerprint: "f".repeat(64),
                date: "2026-01-02T03:04:05Z".into(),
                epoch: 17,
            },
        }
    }

    pub(super) fn backbone() -> Backbone {
        let config = VitConfig {
            img_size: [32, 32],
            embed_dim: 24,
            depth: 2,
            num_heads: 2,
            ..VitConfig::default()
        };
        Backbone::random(config, 0, 1)
    }

    fn task() -> TaskFile {
        let backbone = backbone();
        let model = Classifier::new(&backbone, &method(3), 4, [32, 32], 5, &Device::flex()).unwrap();
        TaskFile {
            metadata: metadata(&backbone, method(3), 4),
            tensors: model.tuned_tensors(),
        }
    }

    /// The file's bytes with its document replaced by `change` of it.
    fn with_document(change: impl FnOnce(&mut Value)) -> Vec<u8> {
        let mut document = serde_json::from_str(&task().metadata.to_json().unwrap()).unwrap();
        change(&mut document);
        let metadata = BTreeMap::from([(KEY.to_owned(), document.to_string())]);
        encoded(&metadata)
    }

    fn encoded(metadata: &BTreeMap<String, String>) -> Vec<u8> {
        encode(&task().tensors, metadata, StoredFloat::F32).unwrap()
    }

    fn error_of(bytes: &[u8]) -> CoreError {
        TaskFile::parse(Path::new("a.safetensors"), bytes).unwrap_err()
    }

    #[test]
    fn round_trip_is_bit_exact_and_gives_the_same_logits() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("task.safetensors");
        let (task, backbone, device) = (task(), backbone(), Device::flex());
        task.save(&path, false).unwrap();
        let back = TaskFile::load(&path).unwrap();
        assert_eq!(back, task);
        assert_eq!(back.to_bytes(false).unwrap(), std::fs::read(&path).unwrap());

        let pixels =
            init::normal([2, 3, 32, 32], 1.0, &mut init::rng_of(0, "pixels")).to_tensor::<4>(&device);
        let logits = |task: &TaskFile| {
            let model = task.apply(&backbone, &device).unwrap();
            HostTensor::from_tensor(&model.forward(pixels.clone()))
                .unwrap()
                .f32_bytes()
        };
        assert_eq!(logits(&task), logits(&back));

        task.save(&path, true).unwrap();
        assert_eq!(TaskFile::load(&path).unwrap(), task.rounded_to_half());
        assert_ne!(logits(&task), logits(&task.rounded_to_half()));
    }

    #[test]
    fn the_document_is_sorted_and_has_the_named_keys() {
        let text = task().metadata.to_json().unwrap();
        let keys = [
            "backbone",
            "calibration",
            "format",
            "method",
            "metrics",
            "preprocess",
            "task",
            "training",
        ];
        let places: Vec<_> = keys
            .iter()
            .map(|key| text.find(&format!("\"{key}\":")).expect(key))
            .collect();
        assert!(places.is_sorted(), "{text}");
        let document: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(document["format"], "vpt-task/1");
        assert_eq!(document["method"]["name"], "vpt-deep");
        assert_eq!(document["method"]["num_tokens"], 3);
        assert_eq!(document["preprocess"]["mean"], json!([0.5, 0.5, 0.5]));
        assert_eq!(document["calibration"]["temperature"], 1.0);
    }

    /// Design 4.2: ten deep prompts and two classes on a ViT-B/16.
    #[test]
    fn a_task_on_vit_base_is_small() {
        let config = preset("vit_base_patch16_224").unwrap();
        let mut rng = init::rng_of(0, "size");
        let mut draw = |shape: &[usize]| init::normal(shape.to_vec(), 0.02, &mut rng);
        let tensors = BTreeMap::from([
            ("prompts".to_owned(), draw(&[12, 10, 768])),
            ("head.weight".to_owned(), draw(&[2, 768])),
            ("head.bias".to_owned(), draw(&[2])),
        ]);
        let metadata = TaskMetadata {
            backbone: BackboneInfo {
                config,
                ..BackboneInfo::of(&backbone())
            },
            ..metadata(&backbone(), method(10), 2)
        };
        let task = TaskFile { metadata, tensors };
        let (full, half) = (
            task.to_bytes(false).unwrap().len(),
            task.to_bytes(true).unwrap().len(),
        );
        println!("{full} bytes, {half} with --half");
        assert!(full <= 400_000 && half <= 200_000, "{full} and {half} bytes");
        assert!(
            half < 190_000,
            "the document may take no more than a few kilobytes: {half} bytes"
        );
    }

    #[test]
    fn another_backbone_is_refused_with_both_hashes() {
        let (task, backbone) = (task(), backbone());
        let other = Backbone {
            source: "other.safetensors".into(),
            ..Backbone::random(backbone.config.clone(), 0, 2)
        };
        let error = task.apply(&other, &Device::flex()).unwrap_err();
        let text = error.to_string();
        assert!(
            text.contains(&backbone.sha256) && text.contains(&other.sha256),
            "{text}"
        );
        assert!(error.hint().unwrap().contains("--model"));
    }

    #[test]
    fn foreign_files_and_formats_are_named() {
        let foreign = encoded(&BTreeMap::new());
        assert_eq!(
            error_of(&foreign).to_string(),
            "`a.safetensors` is not a vpt task file: its header has no entry `vpt`"
        );
        assert_eq!(
            error_of(&with_document(|d| d["format"] = json!("vpt-task/9"))).to_string(),
            "`a.safetensors` has the format `vpt-task/9`; this build reads `vpt-task/1`"
        );
        assert!(matches!(
            error_of(&with_document(|d| *d = json!([1]))),
            CoreError::NotTaskFile { .. }
        ));
        assert!(matches!(
            error_of(b"PK\x03\x04 not safetensors at all"),
            CoreError::Safetensors { .. }
        ));
    }

    #[test]
    fn a_document_that_is_not_as_it_must_be_is_refused_by_key() {
        let key_of = |change: fn(&mut Value)| match error_of(&with_document(change)) {
            CoreError::Key { key, .. } => key,
            other => panic!("{other}"),
        };
        assert_eq!(key_of(|d| d["task"]["classes"] = json!(["a"])), "task.classes");
        assert_eq!(
            key_of(|d| d["task"]["classes"] = json!(["a", "b", "a", "c"])),
            "task.classes"
        );
        assert_eq!(key_of(|d| d["task"] = Value::Null), "task");
        assert_eq!(key_of(|d| d["method"]["name"] = json!("magic")), "method");
        assert_eq!(
            key_of(|d| d["backbone"]["sha256"] = json!("abc")),
            "backbone.sha256"
        );
        assert_eq!(
            key_of(|d| d["preprocess"]["std"] = json!([0, 1, 1])),
            "preprocess"
        );
        assert_eq!(
            key_of(|d| d["calibration"]["temperature"] = json!(0)),
            "calibration.temperature"
        );
        assert_eq!(
            key_of(|d| d["method"]["num_tokens"] = json!(1u64 << 50)),
            "method.num_tokens"
        );
        assert_eq!(
            key_of(|d| d["method"]["project_dim"] = json!(1u64 << 50)),
            "method.project_dim"
        );
    }

    #[test]
    fn tensors_of_another_method_are_listed() {
        let mut task = task();
        task.metadata.method = method(4);
        let error = task.apply(&backbone(), &Device::flex()).unwrap_err().to_string();
        assert!(
            error.contains("`prompts`: expected [2, 4, 24], found [2, 3, 24]"),
            "{error}"
        );
    }
}
