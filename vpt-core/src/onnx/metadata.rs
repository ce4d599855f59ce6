//! What a model file says about itself beside the graph.

use serde_json::{Value, json};

use super::OnnxModel;
use super::proto::StringStringEntryProto;
use crate::{CoreError, TaskMetadata};

/// Sections of a task file's document that are taken over as they are.
const SECTIONS: [&str; 4] = ["task", "preprocess", "calibration", "method"];

/// The entries; those of the document of the task file that whoever uses the model needs, none about the machine that trained it.
pub(super) fn entries(metadata: &TaskMetadata) -> Result<Vec<StringStringEntryProto>, CoreError> {
    let document = metadata.to_json()?;
    let document: Value = serde_json::from_str(&document)
        .map_err(|error| CoreError::setting("task metadata", error, "a JSON document"))?;
    let backbone = &metadata.backbone;
    let backbone = json!({"architecture": backbone.architecture, "sha256": backbone.sha256});
    let mut entries = vec![
        StringStringEntryProto::new("format", OnnxModel::FORMAT),
        StringStringEntryProto::new("backbone", backbone.to_string()),
    ];
    entries.extend(SECTIONS.map(|key| StringStringEntryProto::new(key, document[key].to_string())));
    Ok(entries)
}
