//! Any image file to 8-bit RGB.
//!
//! What a picture is follows from its content, never from its name (DICOM files that lack their magic are the one
//! exception). Where a choice exists it is Pillow's
//! (`Image.convert("RGB")`), except where that one loses the picture: the camera's rotation is applied,
//! transparency shows white, and 16-bit values are scaled instead of cut off.

use crate::DataError;
use crate::dicom::{self, DicomImage};
use crate::formats::medmnist;
use image::metadata::Orientation;
use image::{ColorType, DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits, RgbImage};
use std::any::Any;
use std::fs::{self, File};
use std::io::{Cursor, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

/// The most pixels an image may have. Larger claims are mistakes or decompression bombs, and are refused unread.
const MAX_PIXELS: u64 = 250_000_000;

/// The most pixels along one edge, JPEG's own limit.
const MAX_EDGE: u32 = 65_535;

/// The most bytes an image file may have.
pub(crate) const MAX_FILE_BYTES: u64 = 1 << 30;

/// The most bytes a decoder may ask for: enough for [`MAX_PIXELS`] of the widest kind, four times 16 bits.
pub(crate) const MAX_DECODER_BYTES: u64 = 2 << 30;

/// Reads and decodes an image file. See [`decode_bytes`].
pub fn decode(path: &Path) -> Result<RgbImage, DataError> {
    decode_bytes(&path.to_string_lossy(), &read(path)?)
}

/// Decodes an image held in memory; `name` is for messages.
///
/// JPEG (grayscale, YCbCr, CMYK, YCCK), PNG of any depth, GIF (first frame), BMP, TIFF and WebP become 8-bit RGB:
/// the Exif orientation is applied, transparency is composited over white, a 16-bit value v becomes round(v / 257).
/// So does the first frame of a DICOM file, as [`DicomImage::frame`] tells.
pub fn decode_bytes(name: &str, bytes: &[u8]) -> Result<RgbImage, DataError> {
    if dicom::is_dicom(name, bytes) {
        return DicomImage::open(name, bytes)?.frame(0);
    }
    guarded(name, || {
        let Opened { decoder, orientation } = open(name, bytes)?;
        let bad = |reason: String| DataError::BadImage {
            path: name.into(),
            reason,
        };
        let picture = DynamicImage::from_decoder(decoder).map_err(|error| bad(explain(&error)))?;
        let mut picture = DynamicImage::ImageRgb8(to_rgb8(picture).map_err(bad)?);
        picture.apply_orientation(orientation);
        Ok(picture.into_rgb8())
    })
}

/// Width and height of an image held in memory, of which only the header is read; `name` is for messages.
///
/// # Errors
/// As [`decode_bytes`], as far as the header tells.
pub fn image_size(name: &str, bytes: &[u8]) -> Result<[u32; 2], DataError> {
    header(name, bytes).map(|header| [header.width, header.height])
}

/// What an image's header says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// Pixels across, after the orientation is applied.
    pub width: u32,
    /// Pixels down.
    pub height: u32,
    /// How the file stores colours, such as `rgb8`, `gray16` or `cmyk8`.
    pub mode: String,
    /// What turns the stored picture into the shown one.
    pub orientation: Orientation,
}

/// Reads an image's header only.
pub(crate) fn header(name: &str, bytes: &[u8]) -> Result<Header, DataError> {
    if dicom::is_dicom(name, bytes) {
        let image = DicomImage::open(name, bytes)?;
        return Ok(Header {
            width: image.width(),
            height: image.height(),
            mode: image.mode(),
            orientation: Orientation::NoTransforms,
        });
    }
    guarded(name, || {
        let Opened { decoder, orientation } = open(name, bytes)?;
        let (width, height) = decoder.dimensions();
        let (width, height) = if is_quarter_turn(orientation) {
            (height, width)
        } else {
            (width, height)
        };
        let mode = match (decoder.original_color_type(), decoder.color_type()) {
            (image::ExtendedColorType::Unknown(_), shown) => color_mode(&format!("{shown:?}")),
            (stored, _) => color_mode(&format!("{stored:?}")),
        };
        Ok(Header {
            width,
            height,
            mode,
            orientation,
        })
    })
}

/// The bytes of an image file; of an image in an archive, those of the file that it would be.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, DataError> {
    if let Some(file) = medmnist::image_file(path) {
        return file;
    }
    let failed = |source| DataError::io(path, source);
    let bad = |reason| DataError::BadImage {
        path: path.into(),
        reason,
    };
    let metadata = fs::metadata(path).map_err(failed)?;
    if !metadata.is_file() {
        return Err(bad("not a file".into()));
    }
    if metadata.len() > MAX_FILE_BYTES {
        return Err(bad(format!(
            "{} bytes, the limit is {MAX_FILE_BYTES}",
            metadata.len()
        )));
    }
    let mut bytes = Vec::with_capacity(metadata.len() as usize + 1);
    File::open(path)
        .and_then(|file| file.take(MAX_FILE_BYTES).read_to_end(&mut bytes))
        .map_err(failed)?;
    Ok(bytes)
}

/// Refuses an image of more pixels than any picture has.
pub(crate) fn check_size(name: &str, width: u32, height: u32) -> Result<(), DataError> {
    if u64::from(width) * u64::from(height) <= MAX_PIXELS && width.max(height) <= MAX_EDGE {
        return Ok(());
    }
    Err(DataError::ImageTooLarge {
        path: name.into(),
        width,
        height,
        limit: MAX_PIXELS,
        edge: MAX_EDGE,
    })
}

/// An image whose header was read and found acceptable.
pub(crate) struct Opened<'a> {
    pub decoder: Box<dyn ImageDecoder + 'a>,
    pub orientation: Orientation,
}

pub(crate) fn open<'a>(name: &str, bytes: &'a [u8]) -> Result<Opened<'a>, DataError> {
    let bad = |reason: String| DataError::BadImage {
        path: name.into(),
        reason,
    };
    if bytes.is_empty() {
        return Err(bad("the file is empty".into()));
    }
    let mut reader = ImageReader::new(Cursor::new(bytes))
        .with_guessed_format()
        .map_err(|error| bad(error.to_string()))?;
    let Some(format) = reader.format() else {
        return Err(bad(what_it_is(bytes)));
    };
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(MAX_DECODER_BYTES);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(|error| bad(explain(&error)))?;
    let (width, height) = decoder.dimensions();
    check_size(name, width, height)?;
    if width == 0 || height == 0 {
        return Err(bad(format!("it has {width} x {height} pixels")));
    }
    if format == ImageFormat::Jpeg && !jpeg_ends(bytes) {
        return Err(bad("truncated: the end of the JPEG is missing".into()));
    }
    // A damaged Exif block is no reason to refuse a picture.
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    Ok(Opened {
        decoder: Box::new(decoder),
        orientation,
    })
}

pub(crate) fn explain(error: &ImageError) -> String {
    match error {
        ImageError::Limits(_) => format!("it asks for more than {} GiB of memory", MAX_DECODER_BYTES >> 30),
        error => error.to_string(),
    }
}

/// Says what a file that is no image we know might be instead.
fn what_it_is(bytes: &[u8]) -> String {
    let is_text = bytes
        .iter()
        .take(512)
        .all(|byte| byte.is_ascii_graphic() || byte.is_ascii_whitespace());
    let guess = match bytes {
        _ if bytes.iter().all(|&byte| byte == 0) => "only zero bytes",
        [_, _, _, _, b'f', b't', b'y', b'p', brand @ ..] if brand.starts_with(b"avif") => "an AVIF image",
        [_, _, _, _, b'f', b't', b'y', b'p', b'h', b'e', ..] => "an HEIC image",
        _ if bytes.starts_with(b"\xff\x0a") || bytes.starts_with(b"\0\0\0\x0cJXL ") => "a JPEG XL image",
        _ if bytes.starts_with(b"%PDF") => "a PDF",
        _ if is_text => "text",
        _ => return "not an image of a known format".into(),
    };
    format!("it holds {guess}, expected JPEG, PNG, GIF, BMP, TIFF, WebP or DICOM")
}

/// Whether a JPEG's end marker is reached.
///
/// The decoder paints gray what is missing, so that a half-copied photograph would pass. Inside image data the byte
/// 0xff is followed by 0 or a restart marker, and everything outside has a length, so the true end is found for sure
/// (and not the one of an embedded thumbnail).
pub(crate) fn jpeg_ends(bytes: &[u8]) -> bool {
    const END: u8 = 0xd9;
    const START_OF_SCAN: u8 = 0xda;
    let mut at = 2;
    let mut in_scan = false;
    loop {
        let Some(&[first, code]) = bytes.get(at..).and_then(|rest| rest.first_chunk()) else {
            return false;
        };
        match (first, code) {
            (0xff, END) => return true,
            (0xff, 0xff) => at += 1,
            (0xff, 0x00 | 0x01 | 0xd0..=0xd8) => at += 2,
            (0xff, _) => {
                let Some(&length) = bytes.get(at + 2..).and_then(|rest| rest.first_chunk()) else {
                    return false;
                };
                at += 2 + usize::from(u16::from_be_bytes(length));
                in_scan = code == START_OF_SCAN;
            }
            // Image data; or stray bytes between segments, which decoders skip too.
            _ if in_scan => match bytes[at..].iter().position(|&byte| byte == 0xff) {
                Some(skip) => at += skip,
                None => return false,
            },
            _ => at += 1,
        }
    }
}

/// Runs a decoder; should it panic on a malformed file, that file is bad and the program lives on.
pub(crate) fn guarded<T>(name: &str, decode: impl FnOnce() -> Result<T, DataError>) -> Result<T, DataError> {
    catch_unwind(AssertUnwindSafe(decode)).unwrap_or_else(|panic: Box<dyn Any + Send>| {
        let message = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref::<&str>().copied())
            .unwrap_or("unknown");
        Err(DataError::BadImage {
            path: name.into(),
            reason: format!("the decoder failed: {message}"),
        })
    })
}

pub(crate) fn is_quarter_turn(orientation: Orientation) -> bool {
    matches!(
        orientation,
        Orientation::Rotate90
            | Orientation::Rotate270
            | Orientation::Rotate90FlipH
            | Orientation::Rotate270FlipH
    )
}

/// `L8` is `gray8`, `La16` is `gray-alpha16`, the rest in lower case.
fn color_mode(name: &str) -> String {
    let lower = name.to_ascii_lowercase();
    match (lower.strip_prefix("la"), lower.strip_prefix('l')) {
        (Some(depth), _) => format!("gray-alpha{depth}"),
        (None, Some(depth)) => format!("gray{depth}"),
        _ => lower,
    }
}

/// 8-bit RGB of any pixel type.
fn to_rgb8(picture: DynamicImage) -> Result<RgbImage, String> {
    let (width, height) = (picture.width(), picture.height());
    let gray = |value: u8| [value; 3];
    let pixels: Vec<u8> = match picture {
        DynamicImage::ImageRgb8(picture) => return Ok(picture),
        DynamicImage::ImageLuma8(picture) => picture.iter().flat_map(|&v| gray(v)).collect(),
        DynamicImage::ImageLuma16(picture) => picture.iter().flat_map(|&v| gray(high_byte(v))).collect(),
        DynamicImage::ImageRgb16(picture) => picture.iter().map(|&v| high_byte(v)).collect(),
        DynamicImage::ImageLumaA8(picture) => picture
            .pixels()
            .flat_map(|p| gray(over_white(p[0], p[1])))
            .collect(),
        DynamicImage::ImageLumaA16(picture) => picture
            .pixels()
            .flat_map(|p| gray(over_white(high_byte(p[0]), high_byte(p[1]))))
            .collect(),
        DynamicImage::ImageRgba8(picture) => picture
            .pixels()
            .flat_map(|p| [0, 1, 2].map(|c| over_white(p[c], p[3])))
            .collect(),
        DynamicImage::ImageRgba16(picture) => picture
            .pixels()
            .flat_map(|p| [0, 1, 2].map(|c| over_white(high_byte(p[c]), high_byte(p[3]))))
            .collect(),
        other => {
            return Err(match other.color() {
                ColorType::Rgb32F | ColorType::Rgba32F => {
                    "floating-point pixels, whose range is unknown; expected 8 or 16 bits".into()
                }
                color => format!("unsupported pixels {color:?}"),
            });
        }
    };
    RgbImage::from_raw(width, height, pixels).ok_or_else(|| "the decoder returned too few pixels".into())
}

/// round(v / 257), so that 65535 becomes 255.
fn high_byte(value: u16) -> u8 {
    ((u32::from(value) + 128) / 257) as u8
}

/// `value` at opacity `alpha` over white, as Pillow's `alpha_composite` rounds it.
fn over_white(value: u8, alpha: u8) -> u8 {
    let (value, alpha) = (u32::from(value), u32::from(alpha));
    let sum = (value * alpha + 255 * (255 - alpha) + 128) << 7;
    ((((sum >> 8) + sum) >> 8) >> 7) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sixteen_bits_are_scaled_and_rounded() {
        for value in [0, 128, 129, 256, 257, 385, 386, 32767, 65406, 65407, 65535_u16] {
            assert_eq!(
                high_byte(value),
                (f64::from(value) / 257.0).round() as u8,
                "{value}"
            );
        }
    }

    #[test]
    fn transparency_shows_white() {
        assert_eq!(
            [over_white(10, 0), over_white(10, 255), over_white(0, 128)],
            [255, 10, 127]
        );
    }

    #[test]
    fn the_end_of_a_jpeg_is_not_that_of_its_thumbnail() {
        let thumbnail = [0xff, 0xd8, 0xff, 0xd9];
        let mut jpeg = vec![0xff, 0xd8, 0xff, 0xe1, 0, 6];
        jpeg.extend(thumbnail);
        jpeg.extend([0xff, 0xda, 0, 3, 1, 5, 0xff, 0, 7, 0xff, 0xd3, 9]);
        assert!(!jpeg_ends(&jpeg));
        jpeg.extend([0xff, 0xd9]);
        assert!(jpeg_ends(&jpeg));
        jpeg.extend(*b"trailing bytes");
        assert!(jpeg_ends(&jpeg));
        assert!(!jpeg_ends(&[0xff, 0xd8, 0xff, 0xe1, 0xff]));
    }

    #[test]
    fn modes_have_plain_names() {
        let names = ["L8", "La16", "Rgb8", "Cmyk8", "L1"].map(color_mode);
        assert_eq!(names, ["gray8", "gray-alpha16", "rgb8", "cmyk8", "gray1"]);
    }

    #[test]
    fn a_panicking_decoder_is_a_bad_image() {
        let error = guarded::<()>("a.png", || panic!("index out of bounds")).unwrap_err();
        assert_eq!(
            error.to_string(),
            "cannot decode `a.png`: the decoder failed: index out of bounds"
        );
    }
}
