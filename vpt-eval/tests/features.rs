//! `FeatureExtractor` on a small random backbone and drawn images.

#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use burn::tensor::Device;
use safetensors::SafeTensors;
use vpt_core::{Backbone, VitConfig};
use vpt_eval::{EvalError, FeatureExtractor, FeatureKind, FeatureRequest, PredictOptions};

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

fn request(path: &Path, tokens: bool) -> FeatureRequest<'_> {
    FeatureRequest {
        path,
        kind: FeatureKind::Pooled,
        tokens,
    }
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
            .write(&request(&path, true), &images, &options, &mut |n| done = n)
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
        .write(&request(&output, false), &[image], &options, &mut |_| {})
        .unwrap_err();
    assert!(
        matches!(error, EvalError::Data(_)) && error.to_string().contains("broken.png"),
        "{error}"
    );
    assert_eq!(
        std::fs::read_dir(dir.path()).unwrap().count(),
        1,
        "the image alone"
    );
    assert!(matches!(
        extractor().write(&request(&output, false), &[], &options, &mut |_| {}),
        Err(EvalError::NoImages)
    ));
}

/// Stopped in the middle by an image that vanished, then resumed.
#[test]
fn a_stopped_run_goes_on_and_ends_in_the_same_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let dataset = vpt_data::fundus::draw_dataset(&dir.path().join("data"), 3, [2, 1, 1], 32).unwrap();
    let images: Vec<PathBuf> = dataset.train.iter().map(|sample| sample.path.clone()).collect();
    let options = PredictOptions {
        batch_size: 2,
        workers: 1,
    };
    let extractor = extractor();
    for name in ["f.safetensors", "f.npy", "f.parquet"] {
        let whole = dir.path().join(format!("whole-{name}"));
        let output = dir.path().join(name);
        extractor
            .write(&request(&whole, true), &images, &options, &mut |_| {})
            .unwrap();

        let last = images.last().unwrap();
        let (bytes, time) = (
            std::fs::read(last).unwrap(),
            std::fs::metadata(last).unwrap().modified().unwrap(),
        );
        let damaged = vec![0; bytes.len()];
        let put = |bytes: &[u8]| {
            std::fs::write(last, bytes).unwrap();
            let file = std::fs::File::options().write(true).open(last).unwrap();
            file.set_modified(time).unwrap();
        };
        put(&damaged);
        extractor
            .write(&request(&output, true), &images, &options, &mut |_| {})
            .unwrap_err();
        assert!(!output.exists());
        put(&bytes);
        let mut seen = Vec::new();
        extractor
            .write(&request(&output, true), &images, &options, &mut |done| {
                seen.push(done);
            })
            .unwrap();
        assert!(seen[0] > 0 && seen.last() == Some(&images.len()), "{seen:?}");
        assert_eq!(std::fs::read(&output).unwrap(), std::fs::read(&whole).unwrap());
        assert!(!dir.path().join(format!("{name}.part")).exists());
    }
    let read = |name: &str| std::fs::read(dir.path().join(name)).unwrap();
    let rows = images.len();
    assert_eq!(read("f.npy").len(), 128 + 4 * rows * 16);
    assert_eq!(read("f.tokens.npy").len(), 128 + 4 * rows * 5 * 16);
    assert_eq!(
        String::from_utf8(read("f.paths.txt")).unwrap().lines().count(),
        rows
    );
}

#[test]
fn kinds_of_features_are_rows_and_means_of_the_tokens() {
    let dir = tempfile::tempdir().unwrap();
    let dataset = vpt_data::fundus::draw_dataset(&dir.path().join("data"), 1, [1, 1, 1], 32).unwrap();
    let images: Vec<PathBuf> = dataset.test.iter().map(|sample| sample.path.clone()).collect();
    let take = |kind| {
        let path = dir.path().join("f.safetensors");
        let request = FeatureRequest {
            kind,
            ..request(&path, true)
        };
        extractor()
            .write(&request, &images, &PredictOptions::default(), &mut |_| {})
            .unwrap();
        let bytes = std::fs::read(&path).unwrap();
        let file = SafeTensors::deserialize(&bytes).unwrap();
        (values(&file, "features").1, values(&file, "tokens").1)
    };
    let (cls, tokens) = take(FeatureKind::Cls);
    assert_eq!(cls[..16], tokens[..16]);
    let (mean, _) = take(FeatureKind::PatchMean);
    let expected = (1..5).map(|patch| tokens[patch * 16]).sum::<f32>() / 4.0;
    assert!((mean[0] - expected).abs() < 1e-5);
}
