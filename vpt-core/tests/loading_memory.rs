//! Weights are in memory once: loading them and building a model holds little more than the file.

#[allow(dead_code, reason = "other tests need the rest")]
mod counting;
mod other_libraries;

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::Path;

use burn::tensor::Device;
use counting::{Counting, peak_of};
use vpt_core::weights::{StoredFloat, encode};
use vpt_core::{Backbone, Classifier, MethodConfig, VitConfig};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// A model of some 40 MB, so that one tensor is a small part of it and the file is mapped.
fn backbone() -> Backbone {
    let config = VitConfig {
        img_size: [64, 64],
        embed_dim: 256,
        depth: 12,
        num_heads: 4,
        ..VitConfig::default()
    };
    Backbone::random(config, 0, 1)
}

/// The tensors in a NumPy archive, linear weights column by column.
fn write_npz(backbone: &Backbone, path: &Path) {
    let mut archive = zip::ZipWriter::new(fs::File::create(path).unwrap());
    let stored = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    for (name, tensor) in &backbone.tensors {
        archive.start_file(format!("{name}.npy"), stored).unwrap();
        let axes: String = tensor.shape.iter().map(|axis| format!("{axis}, ")).collect();
        let header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({axes}), }}\n");
        archive.write_all(b"\x93NUMPY\x01\x00").unwrap();
        archive.write_all(&(header.len() as u16).to_le_bytes()).unwrap();
        archive.write_all(header.as_bytes()).unwrap();
        archive.write_all(&tensor.f32_bytes()).unwrap();
    }
    archive.finish().unwrap();
}

/// One test: the counts are those of the whole program.
#[test]
fn a_model_takes_the_memory_of_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let expected = backbone();
    let weights = |name: &str| folder.path().join(name);
    let names = ["timm.safetensors", "transformers.safetensors", "timm.npz"];
    let encoded = |tensors| encode(tensors, &BTreeMap::new(), StoredFloat::F32).unwrap();
    fs::write(weights(names[0]), encoded(&expected.tensors)).unwrap();
    fs::write(
        weights(names[1]),
        encoded(&other_libraries::in_transformers(&expected.tensors)),
    )
    .unwrap();
    write_npz(&expected, &weights(names[2]));
    let hash = expected.sha256.clone();
    drop(expected);
    for name in names {
        let path = weights(name);
        let spec = path.to_str().unwrap();
        let size = fs::metadata(&path).unwrap().len() as f64;
        let (peak, model) = peak_of(|| {
            let backbone = Backbone::load(spec).unwrap();
            assert_eq!(backbone.sha256, hash, "{name}");
            Classifier::new(backbone, &MethodConfig::linear(), 2, [64, 64], 0, &Device::flex()).unwrap()
        });
        let times = peak as f64 / size;
        println!("{name}: {times:.3} times the file");
        assert!(times <= 1.2, "{name}: {times:.3} times the file");
        assert_eq!(model.backbone_sha256(), hash, "{name}");
    }
}
