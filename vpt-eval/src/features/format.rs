//! [`FeatureFormat`]: files that arrays are written to.

use std::ffi::OsStr;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde_json::json;
use vpt_data::atomic;

use super::part_file::PartFile;
use super::{FeatureShapes, parquet};
use crate::EvalError;

/// The form in which arrays are written, told by the file's ending.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FeatureFormat {
    /// One `.safetensors` file: `features`, `tokens`, and in the metadata `paths`, a JSON list.
    Safetensors,
    /// NumPy's `.npy`: the features; beside it `NAME.tokens.npy` and `NAME.paths.txt`, one path a line.
    Npy,
    /// `.parquet`: a row for each image, with its `path` and lists of float32, `features` and `tokens`.
    Parquet,
}

impl FeatureFormat {
    /// The format of a file called `path`.
    pub fn of(path: &Path) -> Option<Self> {
        match path.extension().and_then(OsStr::to_str)? {
            "safetensors" => Some(Self::Safetensors),
            "npy" => Some(Self::Npy),
            "parquet" => Some(Self::Parquet),
            _ => None,
        }
    }

    /// Writes the rows of `part`, features before tokens. Each file appears whole or not at all.
    pub(super) fn write(
        self,
        path: &Path,
        images: &[PathBuf],
        shapes: &FeatureShapes,
        part: &mut PartFile,
    ) -> Result<(), EvalError> {
        let dim = shapes.features[1];
        let tokens = shapes.tokens.map(|[_, tokens, dim]| tokens * dim);
        let write = |path: &Path, content: &mut dyn FnMut(&mut dyn Write) -> io::Result<()>| {
            atomic::write(path, |file| content(file)).map_err(|source| EvalError::Io {
                action: "write",
                path: path.to_owned(),
                source,
            })
        };
        match self {
            Self::Safetensors => write(path, &mut |file| {
                file.write_all(&safetensors_header(images, shapes)?)?;
                if let Some(values) = tokens {
                    part.copy(0..images.len(), dim..dim + values, file)?;
                }
                part.copy(0..images.len(), 0..dim, file)
            }),
            Self::Parquet => write(path, &mut |file| parquet::write(file, images, shapes, part)),
            Self::Npy => {
                write(&path.with_extension("paths.txt"), &mut |file| {
                    images
                        .iter()
                        .try_for_each(|image| writeln!(file, "{}", image.display()))
                })?;
                if let (Some(values), Some(shape)) = (tokens, shapes.tokens) {
                    write(&path.with_extension("tokens.npy"), &mut |file| {
                        file.write_all(&npy_header(&shape))?;
                        part.copy(0..images.len(), dim..dim + values, file)
                    })?;
                }
                write(path, &mut |file| {
                    file.write_all(&npy_header(&shapes.features))?;
                    part.copy(0..images.len(), 0..dim, file)
                })
            }
        }
    }
}

/// The header of the safetensors file: its length, then where each tensor lies, padded to eight bytes.
fn safetensors_header(images: &[PathBuf], shapes: &FeatureShapes) -> io::Result<Vec<u8>> {
    let paths: Vec<_> = images.iter().map(|path| path.to_string_lossy()).collect();
    let mut document = json!({ "__metadata__": { "paths": serde_json::to_string(&paths)? } });
    let mut start = 0;
    let mut place = |name: &str, shape: &[usize]| {
        let end = start + 4 * shape.iter().product::<usize>();
        document[name] = json!({ "dtype": "F32", "shape": shape, "data_offsets": [start, end] });
        start = end;
    };
    if let Some(tokens) = &shapes.tokens {
        place("tokens", tokens);
    }
    place("features", &shapes.features);
    let mut text = serde_json::to_vec(&document)?;
    text.resize(text.len().next_multiple_of(8), b' ');
    Ok([(text.len() as u64).to_le_bytes().as_slice(), &text].concat())
}

/// The header of an `.npy` file, version 1.0: what NumPy's `numpy.lib.format` documents, padded to 64 bytes.
fn npy_header(shape: &[usize]) -> Vec<u8> {
    let axes: Vec<_> = shape.iter().map(usize::to_string).collect();
    let mut text = format!(
        "{{'descr': '<f4', 'fortran_order': False, 'shape': ({}), }}",
        axes.join(", ")
    );
    // Behind the magic, the version and the length itself; a line break ends it.
    let length = (10 + text.len() + 1).next_multiple_of(64) - 10;
    text.push_str(&" ".repeat(length - 1 - text.len()));
    text.push('\n');
    [
        b"\x93NUMPY\x01\x00".as_slice(),
        &(length as u16).to_le_bytes(),
        text.as_bytes(),
    ]
    .concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endings_tell_the_format() {
        let of = |name: &str| FeatureFormat::of(Path::new(name));
        assert_eq!(of("a/f.safetensors"), Some(FeatureFormat::Safetensors));
        assert_eq!(of("f.npy"), Some(FeatureFormat::Npy));
        assert_eq!(of("f.parquet"), Some(FeatureFormat::Parquet));
        assert_eq!((of("f.csv"), of("features")), (None, None));
    }

    /// `numpy.save(f, numpy.zeros((3, 192), "<f4"))` begins with these bytes.
    #[test]
    fn the_npy_header_is_numpys() {
        let header = npy_header(&[3, 192]);
        let expected = b"\x93NUMPY\x01\x00v\x00{'descr': '<f4', 'fortran_order': False, 'shape': (3, 192), }";
        assert!(header.starts_with(expected), "{header:?}");
        assert_eq!((header.len(), header.last()), (128, Some(&b'\n')));
    }
}
