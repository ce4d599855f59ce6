//! JPEG in DICOM: baseline, extended and lossless, with the samples as they were stored.

use super::image_pixel::{ImagePixel, Photometric};
use super::jpeg_extended;
use crate::decode::{MAX_DECODER_BYTES, jpeg_ends};
use jpeg_decoder::{ColorTransform, Decoder};

/// What a JPEG's header says.
#[derive(Debug, Default, PartialEq, Eq)]
struct Header {
    /// The marker that starts the frame: baseline is 0xc0.
    process: u8,
    precision: u8,
    rows: u16,
    columns: u16,
    components: Vec<u8>,
    /// Whether colours are differences, where the JPEG itself tells.
    is_ybr: Option<bool>,
}

/// The samples of a frame, pixel by pixel, and what its colours are if the JPEG says so itself.
pub(super) fn decode(bytes: &[u8], pixel: &ImagePixel) -> Result<(Vec<i32>, Option<Photometric>), String> {
    let header = header(bytes).ok_or("its JPEG has no valid header")?;
    if (header.rows, header.columns) != (pixel.rows, pixel.columns) {
        let Header { rows, columns, .. } = header;
        return Err(format!(
            "its JPEG has {columns} x {rows} pixels, expected {} x {}",
            pixel.columns, pixel.rows
        ));
    }
    let (found, expected) = (header.components.len(), pixel.photometric.samples());
    if found != usize::from(expected) {
        return Err(format!(
            "its JPEG has {found} samples per pixel, expected {expected}"
        ));
    }
    if !jpeg_ends(bytes) {
        return Err("truncated: the end of its JPEG is missing".into());
    }
    // A block of 8 x 8 pixels takes one bit at the least, whatever the process.
    if bytes.len().saturating_mul(8 * 64) < pixel.pixels() {
        return Err("truncated: too few bytes for a JPEG of its size".into());
    }
    let raw: Vec<u16> = match (header.process, header.precision) {
        (0xc0..=0xc3, 8) => decoded(bytes)?.into_iter().map(u16::from).collect(),
        // 16-bit samples in the machine's own order.
        (0xc3, 2..=16) => {
            let bytes = decoded(bytes)?;
            bytes
                .as_chunks()
                .0
                .iter()
                .map(|&word| u16::from_ne_bytes(word))
                .collect()
        }
        (0xc1, 12) => jpeg_extended::decode(bytes, usize::from(header.rows), usize::from(header.columns))?,
        (process, precision) => {
            return Err(format!(
                "a JPEG of process SOF{} with {precision} bits is not supported",
                process.wrapping_sub(0xc0)
            ));
        }
    };
    if raw.len() != pixel.samples() {
        return Err("its JPEG ends too early".into());
    }
    let samples = raw.into_iter().map(|raw| {
        // Compression may overshoot the largest value.
        if pixel.signed {
            pixel.value(raw)
        } else {
            i32::from(raw).min(pixel.max())
        }
    });
    let colours = header.is_ybr.map(|is_ybr| {
        if is_ybr {
            Photometric::YbrFull
        } else {
            Photometric::Rgb
        }
    });
    Ok((samples.collect(), colours))
}

fn decoded(bytes: &[u8]) -> Result<Vec<u8>, String> {
    let mut decoder = Decoder::new(bytes);
    decoder.set_max_decoding_buffer_size(MAX_DECODER_BYTES as usize);
    // To take samples for red, green and blue leaves them as they are (`None` would not weave their planes). Which
    // colours they really are the data set decides, where the JPEG does not.
    decoder.set_color_transform(ColorTransform::RGB);
    decoder.decode().map_err(|error| format!("its JPEG: {error}"))
}

/// Reads up to the start of the frame.
fn header(bytes: &[u8]) -> Option<Header> {
    let mut header = Header::default();
    let mut rest = bytes.strip_prefix(b"\xff\xd8")?;
    let (mut adobe, mut jfif) = (None, false);
    loop {
        let (&[first, marker], after) = rest.split_first_chunk()?;
        match (first, marker) {
            (0xff, 0xff) => {
                rest = &rest[1..];
                continue;
            }
            (0xff, 0x01..=0xfe) => {}
            _ => return None,
        }
        let (&length, after) = after.split_first_chunk()?;
        let length = usize::from(u16::from_be_bytes(length)).checked_sub(2)?;
        let (segment, after) = after.split_at_checked(length)?;
        match marker {
            0xc0..=0xcf if ![0xc4, 0xc8, 0xcc].contains(&marker) => {
                let &[precision, r0, r1, c0, c1, count] = segment.first_chunk()?;
                header.process = marker;
                header.precision = precision;
                header.rows = u16::from_be_bytes([r0, r1]);
                header.columns = u16::from_be_bytes([c0, c1]);
                let components = segment.get(6..6 + 3 * usize::from(count))?;
                header.components = components.chunks_exact(3).map(|component| component[0]).collect();
                header.is_ybr = match adobe {
                    Some(transform) => Some(transform != 0),
                    None if jfif => Some(true),
                    None if header.components == *b"RGB" => Some(false),
                    None => None,
                };
                return Some(header);
            }
            0xe0 => jfif |= segment.starts_with(b"JFIF\0"),
            0xee if segment.starts_with(b"Adobe") => adobe = segment.get(11).copied(),
            _ => {}
        }
        rest = after;
    }
}

#[cfg(test)]
mod tests {
    use super::super::image_pixel::tests::gray;
    use super::*;

    #[test]
    fn headers() {
        let frame = b"\xff\xc0\0\x11\x08\0\x02\0\x03\x03\x01\x11\0\x02\x11\0\x03\x11\0";
        let plain = [&b"\xff\xd8"[..], frame].concat();
        let expected = Header {
            process: 0xc0,
            precision: 8,
            rows: 2,
            columns: 3,
            components: vec![1, 2, 3],
            is_ybr: None,
        };
        assert_eq!(header(&plain), Some(expected));
        let adobe = [&b"\xff\xd8\xff\xee\0\x0eAdobe\0\0\0\0\0\0\0"[..], frame].concat();
        assert_eq!(header(&adobe).unwrap().is_ybr, Some(false));
        let jfif = [&b"\xff\xd8\xff\xe0\0\x07JFIF\0"[..], frame].concat();
        assert_eq!(header(&jfif).unwrap().is_ybr, Some(true));
        for end in 0..plain.len() {
            assert_eq!(header(&plain[..end]), None);
        }
    }

    #[test]
    fn lossless_pixels_are_exact() {
        // Two rows of two 16-bit pixels, each the left one's sum with a difference (the first: with the middle).
        // One code per size of difference: 0 for none, 10 for one bit, 110 for two.
        let mut jpeg = b"\xff\xd8\xff\xc3\0\x0b\x10\0\x02\0\x02\x01\x01\x11\0".to_vec();
        jpeg.extend(*b"\xff\xc4\0\x16\0\x01\x01\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\x00\x01\x02");
        jpeg.extend(*b"\xff\xda\0\x08\x01\x01\0\x01\0\0");
        // +1, -3 / 0, +2: 10 1, 110 00, 0, 110 10.
        jpeg.extend([0b1011_1000, 0b0110_1011, 0xff, 0xd9]);
        let (samples, _) = decode(&jpeg, &gray(2, 2)).unwrap();
        assert_eq!(samples, [32769, 32766, 32769, 32771]);
        let error = decode(&jpeg, &gray(2, 3)).unwrap_err();
        assert_eq!(error, "its JPEG has 2 x 2 pixels, expected 3 x 2");
        assert!(
            decode(&jpeg[..jpeg.len() - 2], &gray(2, 2))
                .unwrap_err()
                .contains("truncated")
        );
    }
}
