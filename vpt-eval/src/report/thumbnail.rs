//! Small JPEG pictures for a page.

use std::path::Path;

use burn::tensor::Device;
use image::codecs::jpeg::JpegEncoder;
use image::{ImageResult, RgbImage};
use vpt_core::Classifier;
use vpt_data::resize::resize;
use vpt_data::{DataError, Interpolation, Preprocess};

use super::heat_map::heat_map;
use crate::{EvalError, rollout};

/// Longest edge, in pixels.
const EDGE: u32 = 160;

/// A compromise: at 160 pixels about 6 kB.
const QUALITY: u8 = 82;

/// The image at `path` as a JPEG file of at most 160 pixels along its longer edge; smaller images keep their size. Whatever
/// [`vpt_data::decode`] reads: DICOM, and images in an archive, too.
///
/// # Errors
/// The image cannot be read.
pub fn thumbnail(path: &Path) -> Result<Vec<u8>, DataError> {
    jpeg(&vpt_data::decode(path)?).map_err(|error| DataError::BadImage {
        path: path.into(),
        reason: error.to_string(),
    })
}

/// Where `model` looks on `image` (a decoded picture of any size): attention rollout over the crop that the model sees, as a
/// JPEG file of at most 160 pixels along its longer edge.
///
/// # Errors
/// As [`rollout`]: a backbone that attends within windows has none.
pub fn attention_thumbnail(
    model: &Classifier,
    image: &RgbImage,
    preprocess: &Preprocess,
    device: &Device,
) -> Result<Vec<u8>, EvalError> {
    let crop = preprocess.crop(image);
    let found = rollout(model, &crop, preprocess, device)?;
    jpeg(&heat_map(&crop, &found.patches)).map_err(|error| EvalError::Mismatch {
        reason: error.to_string(),
    })
}

/// Longest edge of pictures in which places are marked, in pixels.
const LARGE_EDGE: u32 = 360;

/// A JPEG file of at most 360 pixels along its longer edge, for pictures in which places are marked.
pub(super) fn large_jpeg(picture: &RgbImage) -> ImageResult<Vec<u8>> {
    shrunk(picture, LARGE_EDGE)
}

fn jpeg(picture: &RgbImage) -> ImageResult<Vec<u8>> {
    shrunk(picture, EDGE)
}

fn shrunk(picture: &RgbImage, edge: u32) -> ImageResult<Vec<u8>> {
    let (width, height) = picture.dimensions();
    let scale = f64::from(edge) / f64::from(width.max(height).max(1));
    let small = |edge: u32| ((f64::from(edge) * scale).round() as u32).max(1);
    let mut file = Vec::new();
    let encoder = JpegEncoder::new_with_quality(&mut file, QUALITY);
    if scale < 1.0 {
        resize(picture, small(width), small(height), Interpolation::Bicubic).write_with_encoder(encoder)?;
    } else {
        picture.write_with_encoder(encoder)?;
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longer_edge_has_160_pixels() {
        for ((width, height), expected) in [
            ((640, 320), (160, 80)),
            ((3, 5000), (1, 160)),
            ((28, 28), (28, 28)),
        ] {
            let file = jpeg(&RgbImage::new(width, height)).unwrap();
            let read = vpt_data::decode_bytes("x.jpg", &file).unwrap();
            assert_eq!(read.dimensions(), expected);
        }
    }

    #[test]
    fn what_cannot_be_read_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("broken.png");
        assert!(thumbnail(&path).is_err());
        std::fs::write(&path, b"no picture").unwrap();
        assert!(thumbnail(&path).is_err());
    }
}
