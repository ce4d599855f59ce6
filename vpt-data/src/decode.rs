//! Any image file to 8-bit RGB.

use crate::DataError;
use image::{DynamicImage, ImageDecoder, ImageReader, RgbImage};
use std::fs;
use std::io::Cursor;
use std::path::Path;

/// Reads and decodes an image file.
pub fn decode(path: &Path) -> Result<RgbImage, DataError> {
    let bytes = fs::read(path).map_err(|source| DataError::io(path, source))?;
    decode_bytes(&path.to_string_lossy(), &bytes)
}

/// Decodes an image held in memory; `name` is for messages.
pub fn decode_bytes(name: &str, bytes: &[u8]) -> Result<RgbImage, DataError> {
    let bad = |reason: String| DataError::BadImage { path: name.into(), reason };
    let reader = ImageReader::new(Cursor::new(bytes))
        .with_guessed_format()
        .map_err(|error| bad(error.to_string()))?;
    let mut decoder = reader.into_decoder().map_err(|error| bad(error.to_string()))?;
    let orientation = decoder.orientation().map_err(|error| bad(error.to_string()))?;
    let mut image = DynamicImage::from_decoder(decoder).map_err(|error| bad(error.to_string()))?;
    image.apply_orientation(orientation);
    Ok(image.to_rgb8())
}
