//! JPEG 2000 in DICOM, with the samples as they were stored.

use super::image_pixel::{ImagePixel, Photometric};
use hayro_jpeg2000::{DecodeSettings, DecoderContext, Image};

/// The two markers that a codestream starts with.
const START: &[u8] = b"\xff\x4f\xff\x51";

/// What a codestream's header says.
#[derive(Debug, PartialEq, Eq)]
struct Header {
    width: u32,
    height: u32,
    components: u16,
    precision: u8,
    signed: bool,
    /// Whether the decoder itself makes red, green and blue of colour differences.
    is_transformed: bool,
}

/// The samples of a frame, pixel by pixel, and what its colours are if the codestream says so itself.
pub(super) fn decode(bytes: &[u8], pixel: &ImagePixel) -> Result<(Vec<i32>, Option<Photometric>), String> {
    // Some writers leave the boxes of a JP2 file around the codestream, which must not be there.
    let start = bytes.windows(START.len()).position(|window| window == START);
    let codestream = &bytes[start.ok_or("its JPEG 2000 codestream is missing")?..];
    let header = header(codestream).ok_or("its JPEG 2000 codestream has no valid header")?;
    let Header { width, height, .. } = header;
    if (width, height) != (u32::from(pixel.columns), u32::from(pixel.rows)) {
        return Err(format!(
            "its JPEG 2000 codestream has {width} x {height} pixels, expected {} x {}",
            pixel.columns, pixel.rows
        ));
    }
    let (found, expected) = (header.components, pixel.photometric.samples());
    if found != expected {
        return Err(format!(
            "its JPEG 2000 codestream has {found} samples per pixel, expected {expected}"
        ));
    }
    let failed = |error| format!("its JPEG 2000 codestream: {error}");
    let image = Image::new(codestream, &DecodeSettings::default()).map_err(failed)?;
    let mut context = DecoderContext::default();
    let image = image.decode(&mut context).map_err(failed)?;
    let planes = image.components();
    let is_complete = |plane: &[f32]| plane.len() == pixel.pixels();
    if planes.len() != usize::from(expected) || !planes.iter().all(|plane| is_complete(plane.samples())) {
        return Err("its JPEG 2000 codestream has subsampled colours, which is not supported".into());
    }
    let samples = (0..pixel.pixels()).flat_map(|at| planes.iter().map(move |plane| plane.samples()[at]));
    let samples = samples.map(|sample| header.stored(sample, pixel)).collect();
    Ok((samples, header.is_transformed.then_some(Photometric::Rgb)))
}

impl Header {
    /// The stored value of a decoded sample, which is 0 or more. Compression may overshoot the range.
    fn stored(&self, sample: f32, pixel: &ImagePixel) -> i32 {
        let most = (1_i32 << self.precision) - 1;
        let sample = (sample.round() as i32).clamp(0, most);
        let value = if self.signed {
            sample - (1 << (self.precision - 1))
        } else {
            sample
        };
        match (self.signed, pixel.signed) {
            (false, false) => value.min(pixel.max()),
            (true, true) => value.clamp(
                -(1 << (pixel.bits_stored - 1)),
                (1 << (pixel.bits_stored - 1)) - 1,
            ),
            // Where codestream and data set disagree, the data set is right about the bits' meaning.
            _ => pixel.value(value as u16),
        }
    }
}

/// Reads the sizes, which come first, and whether the decoder transforms colours.
fn header(codestream: &[u8]) -> Option<Header> {
    let u16_at = |at: usize| Some(u16::from_be_bytes(*codestream.get(at..)?.first_chunk()?));
    let u32_at = |at: usize| Some(u32::from_be_bytes(*codestream.get(at..)?.first_chunk()?));
    let components = u16_at(40)?;
    let sizes: Vec<u8> = codestream
        .get(42..42 + 3 * usize::from(components))?
        .chunks_exact(3)
        .map(|component| component[0])
        .collect();
    let &size = sizes.first()?;
    let precision = (size & 0x7f) + 1;
    if precision > 16 || sizes.iter().any(|&other| other != size) {
        return None;
    }
    let mut at = 4 + usize::from(u16_at(4)?);
    // Up to the first tile.
    let is_transformed = loop {
        match u16_at(at)? {
            0xff52 => break *codestream.get(at + 8)? == 1,
            0xff90 => return None,
            _ => at += 2 + usize::from(u16_at(at + 2)?),
        }
    };
    Some(Header {
        width: u32_at(8)?.checked_sub(u32_at(16)?)?,
        height: u32_at(12)?.checked_sub(u32_at(20)?)?,
        components,
        precision,
        signed: size & 0x80 != 0,
        is_transformed,
    })
}

#[cfg(test)]
mod tests {
    use super::super::image_pixel::tests::gray;
    use super::*;

    fn codestream() -> Vec<u8> {
        let mut bytes = START.to_vec();
        bytes.extend(*b"\0\x2f\0\0\0\0\0\x03\0\0\0\x02\0\0\0\0\0\0\0\0\0\0\0\x03\0\0\0\x02\0\0\0\0\0\0\0\0");
        bytes.extend(
            *b"\0\x03\x8b\x01\x01\x8b\x01\x01\x8b\x01\x01\xff\x52\0\x0c\0\0\0\x01\x01\x05\x04\x04\0\0",
        );
        bytes
    }

    #[test]
    fn headers() {
        let expected = Header {
            width: 3,
            height: 2,
            components: 3,
            precision: 12,
            signed: true,
            is_transformed: true,
        };
        assert_eq!(header(&codestream()), Some(expected));
        for end in 0..codestream().len() - 5 {
            assert_eq!(header(&codestream()[..end]), None, "{end}");
        }
    }

    #[test]
    fn a_codestream_of_another_size_is_refused() {
        let error = decode(&codestream(), &gray(2, 4)).unwrap_err();
        assert_eq!(error, "its JPEG 2000 codestream has 3 x 2 pixels, expected 4 x 2");
        let error = decode(&codestream(), &gray(2, 3)).unwrap_err();
        assert!(error.contains("3 samples per pixel, expected 1"), "{error}");
        assert!(
            decode(b"garbage", &gray(2, 3))
                .unwrap_err()
                .contains("is missing")
        );
    }

    #[test]
    fn samples_keep_their_sign() {
        let signed = header(&codestream()).unwrap();
        let pixel = ImagePixel {
            signed: true,
            ..gray(1, 1)
        };
        assert_eq!(
            [2047.0, 0.0, 5000.0].map(|v| signed.stored(v, &pixel)),
            [-1, -2048, 2047]
        );
        assert_eq!(signed.stored(2047.0, &gray(1, 1)), 65535);
    }
}
