//! Documents with a `schema`, as JSON.

use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::EvalError;

/// Writes a document as indented JSON.
pub(crate) fn save_json(document: &impl Serialize, path: &Path) -> Result<(), EvalError> {
    let write = |file: &mut dyn std::io::Write| {
        serde_json::to_writer_pretty(&mut *file, document)?;
        file.write_all(b"\n")
    };
    vpt_data::atomic::write(path, write).map_err(|source| EvalError::Io {
        action: "write",
        path: path.to_owned(),
        source,
    })
}

/// Reads a document whose `schema` must be the expected one.
pub(crate) fn load_json<T: DeserializeOwned>(path: &Path, schema: &'static str) -> Result<T, EvalError> {
    let text = std::fs::read_to_string(path).map_err(|source| EvalError::Io {
        action: "read",
        path: path.to_owned(),
        source,
    })?;
    let json = |source| EvalError::Json {
        path: path.to_owned(),
        expected: schema,
        source,
    };
    let document: serde_json::Value = serde_json::from_str(&text).map_err(json)?;
    match document.get("schema").and_then(serde_json::Value::as_str) {
        Some(found) if found == schema => serde_json::from_value(document).map_err(json),
        found => Err(EvalError::Schema {
            path: path.to_owned(),
            expected: schema,
            found: found.unwrap_or("none").to_owned(),
        }),
    }
}
