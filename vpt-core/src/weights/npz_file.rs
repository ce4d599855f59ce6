//! NumPy archives (`.npz`), in which JAX models are published: a zip archive of one `.npy` file an array.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use half::f16;
use vpt_data::NpyArray;
use zip::ZipArchive;

use super::permute::permute;
use crate::freed_memory::FreedMemory;
use crate::{CoreError, HostTensor};

/// No weights shrink by more than this when they are compressed.
const MOST_COMPRESSION: u64 = 16;

/// Whether the zip archive `path` holds NumPy arrays and nothing else.
///
/// # Errors
/// [`CoreError::WeightFile`] for a damaged archive.
pub(super) fn is_npz(path: &Path) -> Result<bool, CoreError> {
    let archive = open(path)?;
    let mut names = archive.file_names_raw();
    Ok(!archive.is_empty() && names.all(|name| name.ends_with(b".npy")))
}

/// The float arrays of an archive by their names without `.npy`; integers (step counters) are left out.
///
/// # Errors
/// [`CoreError::WeightFile`] for a damaged archive, arrays of other types, and values that are not finite.
pub(super) fn read_npz(path: &Path) -> Result<BTreeMap<String, HostTensor>, CoreError> {
    let bad = |reason: String| error(path, "NumPy archive", reason);
    let file_size = std::fs::metadata(path)
        .map_err(|error| CoreError::io("read", path, error))?
        .len();
    let mut archive = open(path)?;
    let mut tensors = BTreeMap::new();
    let mut total = 0u64;
    let mut freed = FreedMemory::default();
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index).map_err(|error| bad(error.to_string()))?;
        let name = entry.name().map_err(|error| bad(error.to_string()))?.into_owned();
        let name = name.strip_suffix(".npy").unwrap_or(&name).to_owned();
        let size = entry.size();
        total = total.saturating_add(size);
        if total > file_size.saturating_mul(MOST_COMPRESSION) {
            return Err(bad(format!(
                "its arrays claim {total} bytes or more, the file has {file_size}"
            )));
        }
        // As much as the array claims, if the file has that much: a vector that grows is held twice while it moves.
        let mut bytes = Vec::with_capacity(size.min(file_size) as usize);
        entry
            .by_ref()
            .take(size)
            .read_to_end(&mut bytes)
            .map_err(|error| bad(format!("array `{name}`: {error}")))?;
        let tensor = parse_npy(&bytes).map_err(|reason| bad(format!("array `{name}` {reason}")))?;
        drop(bytes);
        freed.add_floats(size as usize / 4);
        if let Some(tensor) = tensor
            && tensors.insert(name.clone(), tensor).is_some()
        {
            return Err(bad(format!("array `{name}` occurs twice")));
        }
    }
    Ok(tensors)
}

fn open(path: &Path) -> Result<ZipArchive<BufReader<File>>, CoreError> {
    let file = File::open(path).map_err(|error| CoreError::io("read", path, error))?;
    ZipArchive::new(BufReader::new(file)).map_err(|problem| error(path, "zip archive", problem.to_string()))
}

fn error(path: &Path, kind: &'static str, reason: String) -> CoreError {
    CoreError::WeightFile {
        path: path.to_owned(),
        kind,
        reason,
    }
}

/// The array of a `.npy` file, None for integers. The error continues a sentence that begins with the array's name.
fn parse_npy(bytes: &[u8]) -> Result<Option<HostTensor>, String> {
    let array = NpyArray::parse(bytes)?;
    let kind = array.kind;
    let width = match kind {
        "<f2" => 2,
        "<f4" => 4,
        "<f8" => 8,
        _ if matches!(kind.as_bytes(), [b'<' | b'|' | b'=', b'i' | b'u' | b'b', ..]) => return Ok(None),
        other => return Err(format!("has type `{other}`, expected little-endian floats")),
    };
    array.check_size(width)?;
    let NpyArray {
        fortran,
        mut shape,
        values,
        ..
    } = array;
    let data: Vec<f32> = match width {
        2 => words(values)
            .map(|word| f16::from_le_bytes(word).to_f32())
            .collect(),
        4 => words(values).map(f32::from_le_bytes).collect(),
        _ => words(values)
            .map(|word| f64::from_le_bytes(word) as f32)
            .collect(),
    };
    if data.iter().any(|x| !x.is_finite()) {
        return Err("holds values that are not finite".into());
    }
    if !fortran {
        return Ok(Some(HostTensor::new(shape, data)));
    }
    // Column-major is row-major with the axes in reverse.
    shape.reverse();
    let reversed: Vec<usize> = (0..shape.len()).rev().collect();
    Ok(Some(permute(&HostTensor::new(shape, data), &reversed)))
}

fn words<const N: usize>(bytes: &[u8]) -> impl Iterator<Item = [u8; N]> + '_ {
    bytes.as_chunks::<N>().0.iter().copied()
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use proptest::prelude::*;
    use zip::ZipWriter;
    use zip::write::SimpleFileOptions;

    use super::*;

    fn npy(descr: &str, fortran: &str, shape: &str, values: &[u8]) -> Vec<u8> {
        let header = format!("{{'descr': '{descr}', 'fortran_order': {fortran}, 'shape': ({shape}), }}\n");
        let length = (header.len() as u16).to_le_bytes();
        [b"\x93NUMPY\x01\x00", &length[..], header.as_bytes(), values].concat()
    }

    fn floats(values: &[f32]) -> Vec<u8> {
        values.iter().flat_map(|x| x.to_le_bytes()).collect()
    }

    #[test]
    fn arrays_of_both_orders_are_read() {
        let values = floats(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        let rows = parse_npy(&npy("<f4", "False", "2, 3", &values)).unwrap().unwrap();
        assert_eq!(
            (rows.shape, rows.data),
            (vec![2, 3], vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
        );
        let columns = parse_npy(&npy("<f4", "True", "2, 3", &values)).unwrap().unwrap();
        assert_eq!(
            (columns.shape, columns.data),
            (vec![2, 3], vec![1.0, 3.0, 5.0, 2.0, 4.0, 6.0])
        );
        let scalar = parse_npy(&npy("<f8", "False", "", &2.5f64.to_le_bytes()))
            .unwrap()
            .unwrap();
        assert_eq!((scalar.shape, scalar.data), (vec![], vec![2.5]));
        let half = parse_npy(&npy("<f2", "False", "1,", &f16::from_f32(0.5).to_le_bytes()))
            .unwrap()
            .unwrap();
        assert_eq!((half.shape, half.data), (vec![1], vec![0.5]));
        assert_eq!(parse_npy(&npy("<i8", "False", "", &[0; 8])).unwrap(), None);
    }

    #[test]
    fn headers_that_lie_are_refused() {
        for (bytes, part) in [
            (
                npy("<f4", "False", "2, 3", &[0; 20]),
                "has shape [2, 3] and 20 bytes",
            ),
            (
                npy("<f4", "False", "4294967296, 4294967296, 2", &[0; 8]),
                "and 8 bytes",
            ),
            (npy("<f4", "False", "-1", &[0; 4]), "without `shape`"),
            (npy("<f4", "maybe", "1,", &[0; 4]), "without `fortran_order`"),
            (npy(">f4", "False", "1,", &[0; 4]), "has type `>f4`"),
            (npy("|O", "False", "1,", &[0; 4]), "has type `|O`"),
            (npy("<f4", "False", "1,", &f32::NAN.to_le_bytes()), "not finite"),
            (b"\x93NUMPY\x02\x00\xff\xff\xff\xff{".to_vec(), "is no .npy file"),
            (b"hello".to_vec(), "is no .npy file"),
        ] {
            let reason = parse_npy(&bytes).unwrap_err();
            assert!(reason.contains(part), "{reason}");
        }
    }

    #[test]
    fn archives_are_read_and_bombs_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("weights.npz");
        let write = |entries: &[(&str, Vec<u8>)]| {
            let mut archive = ZipWriter::new(File::create(&path).unwrap());
            for (name, bytes) in entries {
                archive.start_file(*name, SimpleFileOptions::default()).unwrap();
                archive.write_all(bytes).unwrap();
            }
            archive.finish().unwrap();
        };
        write(&[
            ("a/b.npy", npy("<f4", "False", "1,", &floats(&[7.0]))),
            ("step.npy", npy("<i4", "False", "", &[0; 4])),
        ]);
        assert!(is_npz(&path).unwrap());
        let tensors = read_npz(&path).unwrap();
        assert_eq!(tensors.keys().collect::<Vec<_>>(), ["a/b"]);
        write(&[("data.pkl", vec![]), ("a.npy", vec![])]);
        assert!(!is_npz(&path).unwrap());
        let zeros = npy("<f4", "False", "262144,", &vec![0; 1 << 20]);
        write(&[("a.npy", zeros)]);
        let error = read_npz(&path).unwrap_err().to_string();
        assert!(error.contains("claim"), "{error}");
    }

    proptest! {
        #[test]
        fn damaged_arrays_never_panic(mut bytes in Just(npy("<f4", "False", "2, 2", &[0; 16])), at in 0usize..80, to: u8, cut in 0usize..90) {
            if let Some(byte) = bytes.get_mut(at) {
                *byte = to;
            }
            bytes.truncate(cut);
            if let Ok(Some(tensor)) = parse_npy(&bytes) {
                prop_assert!(tensor.numel() <= 4);
            }
        }
    }
}
