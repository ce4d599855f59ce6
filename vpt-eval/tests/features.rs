//! `FeatureExtractor` on a small random backbone and drawn images.

#![allow(clippy::unwrap_used)]

use std::path::PathBuf;

use burn::tensor::Device;
use safetensors::SafeTensors;
use vpt_core::{Backbone, VitConfig};
use vpt_eval::{EvalError, FeatureExtractor, PredictOptions};

fn extractor() -> FeatureExtractor {
    let config = VitConfig {
        img_size: [32, 32],
        embed_dim: 16,
        depth: 1,
        num_heads: 2,
        ..vpt_core::preset("vit_tiny_patch16_224").unwrap()
    };
    let mut backbone = Backbone::random(config, 0, 3);
    backbone.preprocess.input_size = [32, 32];
    FeatureExtractor::new(&backbone, None, &Device::flex()).unwrap()
}

fn values(file: &SafeTensors, name: &str) -> (Vec<usize>, Vec<f32>) {
    let tensor = file.tensor(name).unwrap();
    let values = tensor
        .data()
        .chunks_exact(4)
        .map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap()));
    (tensor.shape().to_vec(), values.collect())
}

#[test]
fn the_file_holds_features_tokens_and_paths_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let dataset = vpt_data::fundus::draw_dataset(&dir.path().join("data"), 1, [1, 1, 1], 32).unwrap();
    let images: Vec<PathBuf> = dataset.test.iter().map(|sample| sample.path.clone()).collect();
    let extractor = extractor();
    let write = |name: &str, batch_size| {
        let path = dir.path().join(name);
        let mut done = 0;
        let options = PredictOptions {
            batch_size,
            workers: 1,
        };
        let shapes = extractor
            .write(&path, &images, true, &options, &mut |n| done = n)
            .unwrap();
        assert_eq!(done, images.len());
        (shapes, std::fs::read(path).unwrap())
    };
    let (shapes, bytes) = write("a.safetensors", 2);
    assert_eq!(
        (shapes.features, shapes.tokens),
        ([images.len(), 16], Some([images.len(), 5, 16]))
    );

    let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
    let paths: Vec<PathBuf> = serde_json::from_str(&header.metadata().as_ref().unwrap()["paths"]).unwrap();
    assert_eq!(paths, images);

    let file = SafeTensors::deserialize(&bytes).unwrap();
    let ((shape, features), (_, tokens)) = (values(&file, "features"), values(&file, "tokens"));
    assert_eq!(shape, [images.len(), 16]);
    // The head of this model reads the class token, which is the first.
    for (image, feature) in features.chunks_exact(16).enumerate() {
        assert_eq!(feature, &tokens[image * 5 * 16..][..16]);
    }

    let (_, one_batch) = write("b.safetensors", images.len());
    let (_, others) = values(&SafeTensors::deserialize(&one_batch).unwrap(), "features");
    assert!(features.iter().zip(&others).all(|(a, b)| (a - b).abs() < 1e-4));
}

#[test]
fn a_bad_image_is_named_and_leaves_no_file() {
    let dir = tempfile::tempdir().unwrap();
    let (image, output) = (
        dir.path().join("broken.png"),
        dir.path().join("features.safetensors"),
    );
    std::fs::write(&image, b"no picture").unwrap();
    let options = PredictOptions::default();
    let error = extractor()
        .write(&output, &[image], false, &options, &mut |_| {})
        .unwrap_err();
    assert!(
        matches!(error, EvalError::Data(_)) && error.to_string().contains("broken.png"),
        "{error}"
    );
    assert!(!output.exists());
    assert!(matches!(
        extractor().write(&output, &[], false, &options, &mut |_| {}),
        Err(EvalError::NoImages)
    ));
}
