//! [`OnnxModel`]: a whole model file.

use std::borrow::Cow;
use std::path::Path;

use burn::tensor::Device;

use super::external_data::move_out;
use super::graph::Graph;
use super::metadata::entries;
use super::proto::{ModelProto, OperatorSetIdProto, ValueInfoProto};
use super::wire::Message;
use crate::{Backbone, CoreError, TaskFile};

/// Version of the standard operators: the first with layer normalisation.
const OPSET: i64 = 17;

/// The version of the file format that came with it.
const IR_VERSION: i64 = 8;

/// What readers of protobuf take at most is 2 GiB; larger models keep their values in a second file.
const LARGEST: u64 = (1 << 31) - 1;

/// A task on its backbone as an ONNX model: input `pixels` `[batch, channels, height, width]`, normalised as the metadata's
/// `preprocess` says. The batch is of any size. Outputs:
///
/// - of whole images `logits` and `probs` `[batch, classes]`, the latter with the task's temperature;
/// - of boxes `boxes` `[batch, points, 4]`, left, upper, right and lower edge in pixels of the input, and `scores` `[batch, points,
///   classes]`, of which overlapping and unlikely ones are still to be left out ([`Suppression`](crate::heads::Suppression));
/// - of masks `logits` and `probs` `[batch, classes, height, width]`.
///
/// The metadata has an entry for each section that a user needs, JSON each: `task` (name, kind, classes), `preprocess`,
/// `calibration`, `method`, `backbone` (architecture and hash); and `format`, [`OnnxModel::FORMAT`].
#[derive(Debug, Clone, PartialEq)]
pub struct OnnxModel {
    model: ModelProto,
}

/// What [`OnnxModel::save`] wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OnnxFiles {
    /// Bytes of the model file.
    pub model_bytes: u64,
    /// Bytes of the values beside it, in the file of the same name with `.data` behind it; none where all are in the model file.
    pub data_bytes: Option<u64>,
}

impl OnnxModel {
    /// What the metadata calls its own layout.
    pub const FORMAT: &str = "vpt-onnx/1";

    /// The graph of a task on its backbone; `half` stores weights as float16, which are widened when the model is loaded. A
    /// backbone given by value moves into the model, see [`Classifier::new`](crate::Classifier::new).
    ///
    /// # Errors
    /// Those of [`TaskFile::apply`]; [`CoreError::Setting`] for weights that are not finite in the stored type.
    pub fn new<'a>(
        task: &TaskFile,
        backbone: impl Into<Cow<'a, Backbone>>,
        half: bool,
    ) -> Result<Self, CoreError> {
        let metadata = &task.metadata;
        let model = task.apply(backbone, &Device::flex())?.folded();
        let [height, width] = model.image_size();
        let mut graph = Graph::new(half);
        let pixels = graph.input("pixels");
        let (kind, temperature) = (metadata.task.kind, metadata.calibration.temperature);
        let answers = graph.answers(&pixels, &model, kind, temperature)?;
        for answer in &answers {
            graph.output(answer.name, &answer.value);
        }
        let input = vec![ValueInfoProto::batched(
            "pixels",
            &[model.config().in_chans, height, width],
        )];
        let output = answers
            .iter()
            .map(|answer| ValueInfoProto::batched(answer.name, &answer.shape));
        let model = ModelProto {
            ir_version: IR_VERSION,
            producer_name: "vpt".to_owned(),
            producer_version: env!("CARGO_PKG_VERSION").to_owned(),
            doc_string: format!("{} on {}", metadata.method, metadata.backbone.architecture),
            graph: graph.finish(&metadata.task.name, input, output.collect()),
            opset_import: vec![OperatorSetIdProto {
                domain: String::new(),
                version: OPSET,
            }],
            metadata_props: entries(metadata)?,
        };
        Ok(Self { model })
    }

    /// Writes the file, whole or not at all. Weights that do not fit into one file of protobuf are written first, beside it.
    ///
    /// # Errors
    /// [`CoreError::Io`].
    pub fn save(self, path: &Path) -> Result<OnnxFiles, CoreError> {
        self.save_within(path, LARGEST)
    }

    /// [`OnnxModel::save`] with another limit for the model file.
    fn save_within(mut self, path: &Path, largest: u64) -> Result<OnnxFiles, CoreError> {
        let data_bytes = match self.model.len() > largest {
            true => Some(move_out(&mut self.model, path)?),
            false => None,
        };
        vpt_data::atomic::write(path, |file| self.model.write_to(file))
            .map_err(|error| CoreError::io("write", path, error))?;
        Ok(OnnxFiles {
            model_bytes: self.model.len(),
            data_bytes,
        })
    }

    /// The metadata's entry `key`.
    pub fn metadata(&self, key: &str) -> Option<&str> {
        let mut entries = self.model.metadata_props.iter();
        entries.find(|entry| entry.key == key).map(|entry| &*entry.value)
    }
}

#[cfg(test)]
mod tests;
