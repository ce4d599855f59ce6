//! [`SafetensorsFile`]: named float tensors and string metadata in the safetensors format.
//!
//! Files come from anywhere, so nothing in them is trusted: the header is bounded by the file, shapes are
//! checked against the bytes that are really there, and what is allocated is at most the file's own size
//! (twice that for 16-bit floats, which are widened).

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::io::{self, Write};
use std::path::Path;

use half::{bf16, f16};
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, Metadata, TensorInfo, TensorView};
use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, Visitor};

use super::mapped_file::FileBytes;
use crate::{CoreError, HostTensor};

/// Floating-point type in which tensors are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoredFloat {
    /// 32 bits: exact.
    F32,
    /// 16 bits (IEEE half): half the bytes, rounded to 11 significant bits.
    F16,
}

/// What a safetensors file holds, with every tensor widened to float32.
#[derive(Debug, Clone, PartialEq)]
pub struct SafetensorsFile {
    /// Tensors by name.
    pub tensors: BTreeMap<String, HostTensor>,
    /// The `__metadata__` strings.
    pub metadata: BTreeMap<String, String>,
}

impl SafetensorsFile {
    /// Reads a file.
    ///
    /// # Errors
    /// [`CoreError::Io`] when it cannot be read, [`CoreError::Safetensors`] when it is not a well-formed
    /// safetensors file or holds a tensor of another type than float32, float16 or bfloat16, or a value that
    /// is not finite.
    pub fn read(path: &Path) -> Result<Self, CoreError> {
        Self::parse_file(path, &FileBytes::open(path)?)
    }

    /// Reads a file that is open. Memory of the file is given back tensor by tensor, so that no more than one tensor is
    /// held twice.
    pub(crate) fn parse_file(path: &Path, file: &FileBytes) -> Result<Self, CoreError> {
        Self::parse_with(path, file, |read| file.release(read))
    }

    /// Reads the bytes of a file; `path` only names it in errors.
    ///
    /// # Errors
    /// See [`SafetensorsFile::read`].
    pub fn parse(path: &Path, bytes: &[u8]) -> Result<Self, CoreError> {
        Self::parse_with(path, bytes, |_| ())
    }

    /// `done` hears of the bytes of each tensor when they have been widened.
    fn parse_with(path: &Path, bytes: &[u8], done: impl Fn(&[u8])) -> Result<Self, CoreError> {
        let bad = |reason: String| CoreError::Safetensors {
            path: path.to_owned(),
            reason,
        };
        let (header_len, header) =
            SafeTensors::read_metadata(bytes).map_err(|error| bad(error.to_string()))?;
        serde_json::from_slice::<UniqueKeys>(&bytes[8..8 + header_len])
            .map_err(|error| bad(error.to_string()))?;
        let file = SafeTensors::deserialize(bytes).map_err(|error| bad(error.to_string()))?;
        let mut views: Vec<_> = file.iter().collect();
        views.sort_by_key(|(_, view)| view.data().as_ptr().addr());
        let mut tensors = BTreeMap::new();
        for (name, view) in views {
            // Positions and counters, which libraries store beside parameters.
            if is_whole(view.dtype()) {
                continue;
            }
            let tensor = widen(&view).map_err(|reason| bad(format!("tensor `{name}` {reason}")))?;
            done(view.data());
            tensors.insert(name.to_owned(), tensor);
        }
        Ok(Self {
            tensors,
            metadata: strings_of(&header),
        })
    }

    /// Reads the `__metadata__` strings alone.
    ///
    /// # Errors
    /// [`CoreError::Safetensors`] when the bytes are not a well-formed safetensors file.
    pub fn parse_metadata(path: &Path, bytes: &[u8]) -> Result<BTreeMap<String, String>, CoreError> {
        match SafeTensors::read_metadata(bytes) {
            Ok((_, header)) => Ok(strings_of(&header)),
            Err(error) => Err(CoreError::Safetensors {
                path: path.to_owned(),
                reason: error.to_string(),
            }),
        }
    }

    /// Writes the file, see [`write_tensors`].
    ///
    /// # Errors
    /// See [`write_tensors`].
    pub fn write(&self, out: &mut dyn Write, stored: StoredFloat) -> io::Result<()> {
        write_tensors(out, &self.tensors, &self.metadata, stored)
    }
}

/// Writes a safetensors file: tensors in order of their names, equal content always giving equal bytes. Of what is written no more
/// than one tensor is in memory. `metadata` may have one key (the format keeps no order of several).
///
/// # Errors
/// Those of `out`; [`io::ErrorKind::InvalidData`] with a sentence, before anything is written, when a value is not finite in the stored
/// type (a float16 ends at 65504).
pub fn write_tensors(
    out: &mut dyn Write,
    tensors: &BTreeMap<String, HostTensor>,
    metadata: &BTreeMap<String, String>,
    stored: StoredFloat,
) -> io::Result<()> {
    let (mut infos, mut end) = (Vec::with_capacity(tensors.len()), 0);
    for (name, tensor) in tensors {
        let finite = match stored {
            StoredFloat::F32 => tensor.data.iter().all(|x| x.is_finite()),
            StoredFloat::F16 => tensor.data.iter().all(|&x| f16::from_f32(x).is_finite()),
        };
        if !finite {
            let reason = format!("tensor `{name}` holds values that are not finite as {stored:?}");
            return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
        }
        let (start, bytes) = (end, tensor.numel() * stored.bytes());
        end = start + bytes;
        let info = TensorInfo {
            dtype: stored.dtype(),
            shape: tensor.shape.clone(),
            data_offsets: (start, end),
        };
        infos.push((name.clone(), info));
    }
    debug_assert!(
        metadata.len() <= 1,
        "the order of several metadata keys is not deterministic"
    );
    let metadata: HashMap<String, String> = metadata.clone().into_iter().collect();
    let header = Metadata::new(Some(metadata), infos).map_err(io::Error::other)?;
    let mut header = serde_json::to_vec(&header).map_err(io::Error::other)?;
    // So that values lie at addresses of whole numbers of eight bytes, as the safetensors crate has it.
    header.resize(header.len().next_multiple_of(8), b' ');
    out.write_all(&(header.len() as u64).to_le_bytes())?;
    out.write_all(&header)?;
    for tensor in tensors.values() {
        out.write_all(&match stored {
            StoredFloat::F32 => tensor.f32_bytes(),
            StoredFloat::F16 => tensor.f16_bytes(),
        })?;
    }
    Ok(())
}

fn strings_of(header: &Metadata) -> BTreeMap<String, String> {
    header
        .metadata()
        .iter()
        .flatten()
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

/// The bytes that [`write_tensors`] writes.
///
/// # Errors
/// As [`write_tensors`].
pub fn encode(
    tensors: &BTreeMap<String, HostTensor>,
    metadata: &BTreeMap<String, String>,
    stored: StoredFloat,
) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    write_tensors(&mut bytes, tensors, metadata, stored)?;
    Ok(bytes)
}

impl StoredFloat {
    fn dtype(self) -> Dtype {
        match self {
            Self::F32 => Dtype::F32,
            Self::F16 => Dtype::F16,
        }
    }

    /// Of one value.
    fn bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 => 2,
        }
    }
}

/// Whether a type holds whole numbers or flags.
fn is_whole(dtype: Dtype) -> bool {
    matches!(
        dtype,
        Dtype::BOOL
            | Dtype::U8
            | Dtype::I8
            | Dtype::U16
            | Dtype::I16
            | Dtype::U32
            | Dtype::I32
            | Dtype::U64
            | Dtype::I64
    )
}

/// Widens a tensor to float32; the error continues a sentence that begins with the tensor's name.
fn widen(view: &TensorView<'_>) -> Result<HostTensor, String> {
    let bytes = view.data();
    let data: Vec<f32> = match view.dtype() {
        Dtype::F32 => bytes
            .chunks_exact(4)
            .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
            .collect(),
        Dtype::F16 => bytes
            .chunks_exact(2)
            .map(|b| f16::from_le_bytes([b[0], b[1]]).to_f32())
            .collect(),
        Dtype::BF16 => bytes
            .chunks_exact(2)
            .map(|b| bf16::from_le_bytes([b[0], b[1]]).to_f32())
            .collect(),
        other => return Err(format!("has type {other:?}, expected F32, F16 or BF16")),
    };
    if data.iter().any(|x| !x.is_finite()) {
        return Err("holds values that are not finite".into());
    }
    Ok(HostTensor::new(view.shape(), data))
}

/// A JSON object whose keys are all different; JSON itself lets the last of two equal keys win silently.
struct UniqueKeys;

impl<'de> Deserialize<'de> for UniqueKeys {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(UniqueKeys)
    }
}

impl<'de> Visitor<'de> for UniqueKeys {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an object of tensors")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self, A::Error> {
        let mut seen = BTreeSet::new();
        while let Some((key, IgnoredAny)) = map.next_entry::<String, IgnoredAny>()? {
            if !seen.insert(key.clone()) {
                return Err(A::Error::custom(format_args!("tensor `{key}` occurs twice")));
            }
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests;
