//! [`WeightFiles`]: the files that a model's name stands for.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::json_object::key_error;
use super::weight_file::WeightFile;
use crate::CoreError;
use crate::presets::PRESETS;

/// Weights in one file, or in shards that an index lists.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct WeightFiles {
    /// The file, or the index of the shards.
    pub path: PathBuf,
    shards: Vec<PathBuf>,
}

/// What the weights in a folder are called, the best first.
pub(super) const NAMES: [&str; 6] = [
    "model.safetensors",
    "model.safetensors.index.json",
    "open_clip_model.safetensors",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
    "open_clip_pytorch_model.bin",
];

/// Endings of weight files.
pub(super) const ENDINGS: [&str; 8] = ["safetensors", "pth", "pt", "bin", "ckpt", "tar", "npz", "th"];

impl WeightFiles {
    /// The weights in the folder or file `spec`.
    ///
    /// # Errors
    /// [`CoreError::ModelNotFound`]; [`CoreError::Io`] and [`CoreError::Key`] for an index that cannot be used.
    pub fn find(spec: &str) -> Result<Self, CoreError> {
        let missing = |reason: String| {
            Err(CoreError::ModelNotFound {
                spec: spec.to_owned(),
                reason,
            })
        };
        let path = Path::new(spec);
        if path.is_dir() {
            return match in_folder(path)?.as_slice() {
                [only] => Self::at(only),
                [] => missing("the folder has no model.safetensors and no other weights".into()),
                several => {
                    let names: Vec<_> = several
                        .iter()
                        .filter_map(|path| path.file_name()?.to_str())
                        .collect();
                    missing(format!(
                        "the folder has several weight files: {}",
                        names.join(", ")
                    ))
                }
            };
        }
        if path.exists() {
            return Self::at(path);
        }
        if PRESETS.iter().any(|preset| preset.name == spec) {
            return missing("that is the name of an architecture, which comes without weights".into());
        }
        missing("neither a built-in model nor a folder nor a file has this name".into())
    }

    /// A file in the folder of the weights, if it is there.
    pub fn beside(&self, name: &str) -> Option<PathBuf> {
        Some(self.path.with_file_name(name)).filter(|path| path.is_file())
    }

    /// All tensors.
    ///
    /// # Errors
    /// Those of [`WeightFile::read`]; [`CoreError::WeightFile`] for a tensor that two shards have.
    pub fn read(&self) -> Result<WeightFile, CoreError> {
        let mut all = WeightFile::default();
        for shard in &self.shards {
            let WeightFile { tensors, metadata } = WeightFile::read(shard)?;
            all.metadata.extend(metadata);
            for (name, tensor) in tensors {
                if all.tensors.contains_key(&name) {
                    return Err(CoreError::WeightFile {
                        path: shard.clone(),
                        kind: "shard",
                        reason: format!("tensor `{name}` is in another shard too"),
                    });
                }
                all.tensors.insert(name, tensor);
            }
        }
        Ok(all)
    }

    fn at(path: &Path) -> Result<Self, CoreError> {
        let is_index = path.to_string_lossy().ends_with(".index.json");
        Ok(Self {
            path: path.to_owned(),
            shards: if is_index {
                shards(path)?
            } else {
                vec![path.to_owned()]
            },
        })
    }
}

/// The weights in a folder: those of the best known name, else all that look like weights.
fn in_folder(folder: &Path) -> Result<Vec<PathBuf>, CoreError> {
    let known = NAMES
        .iter()
        .map(|name| folder.join(name))
        .find(|path| path.is_file());
    if let Some(path) = known {
        return Ok(vec![path]);
    }
    let failed = |error| CoreError::io("read", folder, error);
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let ending = path.extension().and_then(|ending| ending.to_str());
        if path.is_file()
            && ending.is_some_and(|ending| ENDINGS.contains(&ending.to_ascii_lowercase().as_str()))
        {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// The shards that the index names, which lie beside it.
fn shards(index: &Path) -> Result<Vec<PathBuf>, CoreError> {
    let text = fs::read_to_string(index).map_err(|error| CoreError::io("read", index, error))?;
    let document: Value = serde_json::from_str(&text)
        .map_err(|error| key_error(index, "", "a JSON document", &error.to_string()))?;
    let wrong = |found: &str| key_error(index, "weight_map", "file names by tensor", found);
    let map: BTreeMap<String, String> =
        serde_json::from_value(document["weight_map"].clone()).map_err(|error| wrong(&error.to_string()))?;
    let names: BTreeSet<String> = map.into_values().collect();
    if names.is_empty() {
        return Err(wrong("nothing"));
    }
    names
        .into_iter()
        .map(|name| match Path::new(&name).components().count() {
            1 if !name.contains("..") => Ok(index.with_file_name(name)),
            _ => Err(wrong(&format!("`{name}`, which is not beside the index"))),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_name_in_a_folder_wins() {
        let folder = tempfile::tempdir().unwrap();
        let find = || WeightFiles::find(folder.path().to_str().unwrap());
        let write = |name: &str| fs::write(folder.path().join(name), b"x").unwrap();
        assert!(find().unwrap_err().to_string().contains("no other weights"));
        write("mae.pth");
        assert!(find().unwrap().path.ends_with("mae.pth"));
        write("dino.pth");
        let error = find().unwrap_err().to_string();
        assert!(
            error.contains("several weight files: dino.pth, mae.pth"),
            "{error}"
        );
        write("pytorch_model.bin");
        assert!(find().unwrap().path.ends_with("pytorch_model.bin"));
        write("model.safetensors");
        assert!(find().unwrap().path.ends_with("model.safetensors"));
    }

    #[test]
    fn an_index_names_its_shards() {
        let folder = tempfile::tempdir().unwrap();
        let index = folder.path().join("model.safetensors.index.json");
        let find = |text: &str| {
            fs::write(&index, text).unwrap();
            WeightFiles::find(folder.path().to_str().unwrap())
        };
        let files = find(
            r#"{"weight_map": {"a": "one.safetensors", "b": "two.safetensors", "c": "one.safetensors"}}"#,
        );
        let names: Vec<_> = files.unwrap().shards;
        assert_eq!(
            names,
            ["one.safetensors", "two.safetensors"].map(|name| folder.path().join(name))
        );
        for text in [
            "{}",
            r#"{"weight_map": {"a": "../x"}}"#,
            r#"{"weight_map": {"a": "/x"}}"#,
            "{",
        ] {
            let error = find(text).unwrap_err();
            assert!(matches!(error, CoreError::Key { .. }), "{error}");
        }
    }
}
