//! [`WeightFile`]: the tensors of a file of weights, whatever it is stored as.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::npz_file::{is_npz, read_npz};
use super::pytorch_file::read_pytorch;
use super::safetensors_file::SafetensorsFile;
use crate::{CoreError, HostTensor};

/// Named tensors as a file has them: names and shapes are the file's own.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct WeightFile {
    /// Tensors by name, widened to float32.
    pub tensors: BTreeMap<String, HostTensor>,
    /// The `__metadata__` strings of a safetensors file, empty for other files.
    pub metadata: BTreeMap<String, String>,
}

impl WeightFile {
    /// Reads a safetensors file, a PyTorch checkpoint (`.pth`, `.pt`, `.bin`; no code in it is run) or a NumPy archive
    /// (`.npz`), told apart by their first bytes.
    ///
    /// # Errors
    /// [`CoreError::Io`]; [`CoreError::Safetensors`] and [`CoreError::WeightFile`] for a damaged file, a file of another
    /// kind, and tensors that are no finite floats.
    pub fn read(path: &Path) -> Result<Self, CoreError> {
        let first = first_bytes(path)?;
        if let Some(reason) = not_weights(&first) {
            return Err(CoreError::WeightFile {
                path: path.to_owned(),
                kind: "file of weights",
                reason: reason.into(),
            });
        }
        let only_tensors = |tensors| Self {
            tensors,
            metadata: BTreeMap::new(),
        };
        match first.as_slice() {
            // A length that looks like one of the others, then the header.
            [_, _, _, _, 0, 0, 0, 0, b'{', ..] => read_safetensors(path),
            [b'P', b'K', 3 | 5, ..] if is_npz(path)? => read_npz(path).map(only_tensors),
            // Another zip archive, a pickle of protocol 2 to 5, a tar archive.
            [b'P', b'K', 3 | 5, ..] | [0x80, 2..=5, ..] => read_pytorch(path).map(only_tensors),
            first if first.get(257..262) == Some(b"ustar") => read_pytorch(path).map(only_tensors),
            _ => read_safetensors(path),
        }
    }
}

fn read_safetensors(path: &Path) -> Result<WeightFile, CoreError> {
    let SafetensorsFile { tensors, metadata } = SafetensorsFile::read(path)?;
    Ok(WeightFile { tensors, metadata })
}

fn first_bytes(path: &Path) -> Result<Vec<u8>, CoreError> {
    let failed = |error| CoreError::io("read", path, error);
    let mut first = Vec::new();
    File::open(path)
        .and_then(|file| file.take(512).read_to_end(&mut first))
        .map_err(failed)?;
    Ok(first)
}

/// What was downloaded instead of weights, for the two mistakes that everybody makes once.
fn not_weights(first: &[u8]) -> Option<&'static str> {
    if first.starts_with(b"version https://git-lfs") {
        return Some("it is a pointer of Git LFS; `git lfs pull` fetches what it stands for");
    }
    let text = first.trim_ascii_start();
    (text.starts_with(b"<!") || text.starts_with(b"<html")).then_some("it is a web page, not a download")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 0x0280 is the beginning of a pickle, and a length that a header can have.
    #[test]
    fn a_safetensors_header_of_any_length_is_one() {
        let header = r#"{"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}"#;
        let bytes = [
            &0x0280u64.to_le_bytes()[..],
            format!("{header:640}").as_bytes(),
            &1f32.to_le_bytes(),
        ]
        .concat();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("weights.safetensors");
        std::fs::write(&path, bytes).unwrap();
        assert_eq!(WeightFile::read(&path).unwrap().tensors["a"].data, [1.0]);
    }

    #[test]
    fn what_is_no_weights_is_said() {
        let folder = tempfile::tempdir().unwrap();
        for (bytes, part) in [
            (
                &b"version https://git-lfs.github.com/spec/v1\n"[..],
                "git lfs pull",
            ),
            (b"\n<!DOCTYPE html>", "a web page"),
            (b"PK\x03\x04 and then nothing", "not a readable zip archive"),
            (b"\x80\x02 no pickle", "not a readable PyTorch checkpoint"),
            (b"", "not a readable safetensors file"),
            (b"hello", "not a readable safetensors file"),
        ] {
            let path = folder.path().join("weights.bin");
            std::fs::write(&path, bytes).unwrap();
            let error = WeightFile::read(&path).unwrap_err();
            assert!(error.to_string().contains(part), "{error}");
            assert!(error.to_string().contains("weights.bin"), "{error}");
            assert!(error.hint().is_some(), "{error}");
        }
        let missing = WeightFile::read(&folder.path().join("none.pth")).unwrap_err();
        assert!(matches!(missing, CoreError::Io { .. }), "{missing}");
    }
}
