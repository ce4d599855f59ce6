//! Files of real scanners, against what another reader finds in them.

use rand::{Rng, RngExt, SeedableRng};
use rand_pcg::Pcg64;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use vpt_data::{DicomImage, decode, decode_bytes};

/// Where the files are, if they are here. They are not part of the repository.
fn folder() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/dicom_samples");
    let is_there = folder.join("expected.json").is_file();
    if !is_there {
        // A test that is left out says so.
        #[allow(clippy::print_stderr)]
        {
            eprintln!("skipped: shared/data/dicom_samples is not there");
        }
    }
    is_there.then_some(folder)
}

fn expected(folder: &Path) -> Vec<Value> {
    let text = fs::read_to_string(folder.join("expected.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

#[test]
fn stored_values_are_those_another_reader_finds() {
    let Some(folder) = folder() else { return };
    for entry in expected(&folder) {
        let name = entry["file"].as_str().unwrap();
        let bytes = fs::read(folder.join(name)).unwrap();
        let image = DicomImage::open(name, &bytes).unwrap();
        let mut values = vec![];
        let mut shape = vec![];
        for frame in 0..image.frames() {
            let stored = image.stored_values(frame).unwrap();
            shape = vec![stored.rows, stored.columns];
            if stored.samples > 1 {
                shape.push(stored.samples);
            }
            values.extend(stored.values);
        }
        if image.frames() > 1 {
            shape.insert(0, image.frames());
        }
        let decoded = &entry["decoded"];
        assert_eq!(serde_json::json!(shape), decoded["shape"], "{name}");
        assert_eq!(values.len(), shape.iter().product::<usize>(), "{name}");
        let found = [
            f64::from(*values.iter().min().unwrap()),
            f64::from(*values.iter().max().unwrap()),
            values.iter().map(|&value| f64::from(value)).sum::<f64>() / values.len() as f64,
        ];
        let wanted = ["min", "max", "mean"].map(|key| decoded[key].as_f64().unwrap());
        // Decoders of lossy kinds may round differently; of all others, only the mean was rounded.
        let is_lossy = ["4.50", "4.51", "4.91"]
            .iter()
            .any(|kind| entry["transfer_syntax"].as_str().unwrap().ends_with(kind));
        let tolerance = if is_lossy {
            [1.0, 1.0, 0.05]
        } else {
            [0.0, 0.0, 5.1e-5]
        };
        for index in 0..3 {
            let difference = (found[index] - wanted[index]).abs();
            assert!(
                difference <= tolerance[index],
                "{name}: {found:?}, expected {wanted:?}"
            );
        }
    }
}

#[test]
fn one_picture_in_five_transfer_syntaxes() {
    let Some(folder) = folder() else { return };
    let first = decode(&folder.join("MR_small.dcm")).unwrap();
    for kind in ["implicit", "bigendian", "RLE", "jp2klossless"] {
        let other = decode(&folder.join(format!("MR_small_{kind}.dcm"))).unwrap();
        assert!(first == other, "{kind}");
    }
}

#[test]
fn every_file_becomes_a_picture() {
    let Some(folder) = folder() else { return };
    for entry in expected(&folder) {
        let name = entry["file"].as_str().unwrap();
        let picture = decode(&folder.join(name)).unwrap();
        let size = [&entry["Columns"], &entry["Rows"]].map(|size| size.as_u64().unwrap() as u32);
        assert_eq!(<[u32; 2]>::from(picture.dimensions()), size, "{name}");
        let (least, most) = (picture.iter().min().unwrap(), picture.iter().max().unwrap());
        assert!(most - least > 100, "{name}: {least} to {most}");
    }
}

#[test]
fn mutations_of_real_files_never_panic() {
    let Some(folder) = folder() else { return };
    let mut random = Pcg64::seed_from_u64(11);
    for entry in expected(&folder) {
        let name = entry["file"].as_str().unwrap();
        let whole = fs::read(folder.join(name)).unwrap();
        // Large files take long.
        for _ in 0..if whole.len() > 100_000 { 10 } else { 150 } {
            let mut bytes = whole.clone();
            for _ in 0..random.random_range(1..8) {
                let at = random.random_range(128..bytes.len());
                bytes[at] = random.next_u32() as u8;
            }
            if let Err(error) = decode_bytes(name, &bytes) {
                assert!(!error.to_string().contains("the decoder failed"), "{name}");
            }
        }
    }
}
