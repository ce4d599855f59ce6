//! The numbers that an image file stores, instead of the colours it shows: what masks are made of.

use crate::{DataError, decode};
use image::{DynamicImage, ExtendedColorType};
use std::borrow::Cow;
use std::path::Path;

/// What a PNG file begins with.
const SIGNATURE: &[u8] = b"\x89PNG\r\n\x1a\n";

/// Stands for a colour that is not among those asked for.
pub(crate) const OTHER_COLOUR: u16 = u16::MAX;

/// One number for each pixel.
pub(crate) struct StoredValues {
    pub width: u32,
    pub height: u32,
    /// `[height, width]`.
    pub values: Vec<u16>,
}

/// Reads the numbers that a file stores: gray values as they are (0 and 1 of one bit, 0 to 3 of two …), places in a
/// palette, or colours that are all gray. Where `colours` are given a colour is its place among them, or [`OTHER_COLOUR`]. The Exif
/// orientation is applied.
pub(crate) fn read(path: &Path, colours: &[[u8; 3]]) -> Result<StoredValues, DataError> {
    of_bytes(&path.to_string_lossy(), &decode::read(path)?, colours)
}

/// [`read`] of a file held in memory.
fn of_bytes(name: &str, bytes: &[u8], colours: &[[u8; 3]]) -> Result<StoredValues, DataError> {
    let bad = |reason: String| DataError::BadImage {
        path: name.into(),
        reason,
    };
    let bytes = with_places_for_colours(bytes);
    decode::guarded(name, || {
        let decode::Opened { decoder, orientation } = decode::open(name, &bytes)?;
        let stored = decoder.original_color_type();
        let mut picture =
            DynamicImage::from_decoder(decoder).map_err(|error| bad(decode::explain(&error)))?;
        picture.apply_orientation(orientation);
        let (width, height) = (picture.width(), picture.height());
        // Decoders stretch few bits over all of 0 to 255.
        let step = match (gray_bits(&bytes), stored) {
            (Some(1), _) | (None, ExtendedColorType::L1) => 255,
            (Some(2), _) | (None, ExtendedColorType::L2) => 85,
            (Some(4), _) | (None, ExtendedColorType::L4) => 17,
            _ => 1,
        };
        let values = match picture {
            DynamicImage::ImageLuma8(picture) if picture.iter().all(|value| value % step == 0) => {
                picture.iter().map(|&value| u16::from(value / step)).collect()
            }
            DynamicImage::ImageLuma8(picture) => picture.iter().map(|&value| value.into()).collect(),
            DynamicImage::ImageLuma16(picture) => picture.into_raw(),
            DynamicImage::ImageLumaA8(picture) => picture.pixels().map(|pixel| pixel[0].into()).collect(),
            DynamicImage::ImageLumaA16(picture) => picture.pixels().map(|pixel| pixel[0]).collect(),
            DynamicImage::ImageRgb8(picture) => {
                numbers(picture.pixels().map(|pixel| pixel.0), colours).map_err(bad)?
            }
            DynamicImage::ImageRgba8(picture) => {
                let pixels = picture.pixels().map(|pixel| [pixel[0], pixel[1], pixel[2]]);
                numbers(pixels, colours).map_err(bad)?
            }
            other => return Err(bad(format!("{:?} pixels, expected class numbers", other.color()))),
        };
        Ok(StoredValues {
            width,
            height,
            values,
        })
    })
}

/// The places of colours among those that are `known`; without any, the values of colours that are gray.
fn numbers(colours: impl Iterator<Item = [u8; 3]>, known: &[[u8; 3]]) -> Result<Vec<u16>, String> {
    if known.is_empty() {
        return gray(colours);
    }
    let place = |colour: [u8; 3]| {
        let place = known.iter().position(|known| *known == colour);
        place.map_or(OTHER_COLOUR, |place| place as u16)
    };
    // Neighbours mostly have one colour.
    let mut last = ([0; 3], place([0; 3]));
    let mut number = |colour| {
        if colour != last.0 {
            last = (colour, place(colour));
        }
        last.1
    };
    Ok(colours.map(&mut number).collect())
}

/// The values of colours that are gray.
fn gray(colours: impl Iterator<Item = [u8; 3]>) -> Result<Vec<u16>, String> {
    let value = |[r, g, b]: [u8; 3]| match r == g && g == b {
        true => Ok(u16::from(r)),
        false => Err(format!(
            "the colour ({r}, {g}, {b}), expected class numbers (a palette, or gray of 1 to 16 bits)"
        )),
    };
    colours.map(value).collect()
}

/// Bits of a gray value of a PNG file.
fn gray_bits(bytes: &[u8]) -> Option<u8> {
    match (bytes.get(24), bytes.get(25)) {
        (Some(&depth), Some(0)) if bytes.starts_with(SIGNATURE) => Some(depth),
        _ => None,
    }
}

/// A PNG file with a palette in which each place has its own number as its colour, so that decoders give the places; any other
/// file as it is.
fn with_places_for_colours(bytes: &[u8]) -> Cow<'_, [u8]> {
    const PALETTE: u8 = 3;
    let (Some(&depth), Some(&PALETTE)) = (bytes.get(24), bytes.get(25)) else {
        return bytes.into();
    };
    if !bytes.starts_with(SIGNATURE) || !matches!(depth, 1 | 2 | 4 | 8) {
        return bytes.into();
    }
    let mut changed = SIGNATURE.to_vec();
    let mut rest = &bytes[SIGNATURE.len()..];
    while let Some((&length, _)) = rest.split_first_chunk() {
        let end = (u32::from_be_bytes(length) as usize).saturating_add(12);
        let Some((chunk, after)) = rest.split_at_checked(end) else {
            break;
        };
        match &chunk[4..8] {
            b"PLTE" => {
                let mut palette = b"PLTE".to_vec();
                palette.extend((0..1_u32 << depth).flat_map(|place| [place as u8; 3]));
                changed.extend((palette.len() as u32 - 4).to_be_bytes());
                changed.extend(&palette);
                changed.extend(crc32(&palette).to_be_bytes());
            }
            b"tRNS" => {}
            _ => changed.extend(chunk),
        }
        rest = after;
    }
    changed.extend(rest);
    changed.into()
}

/// The checksum of a chunk of a PNG file.
fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, &byte: &u8| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| {
            (crc >> 1) ^ if crc & 1 == 1 { 0xedb8_8320 } else { 0 }
        })
    };
    !bytes.iter().fold(u32::MAX, step)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fixture(name: &str) -> StoredValues {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/formats");
        read(&folder.join(name), &[]).unwrap()
    }

    #[test]
    fn few_bits_are_counted_from_nought() {
        for (name, most) in [("bit1.png", 1), ("gray2.png", 3), ("gray4.png", 15)] {
            let stored = fixture(name);
            assert_eq!(stored.values.iter().max(), Some(&most), "{name}");
            assert_eq!(stored.values.len(), (stored.width * stored.height) as usize);
        }
        assert!(fixture("gray16.tiff").values.iter().any(|&value| value > 255));
    }

    #[test]
    fn palettes_give_places() {
        for (name, most) in [
            ("palette2.png", 3),
            ("palette4.png", 15),
            ("palette_alpha.png", 255),
        ] {
            let stored = fixture(name);
            assert!(stored.values.iter().all(|&value| value <= most), "{name}");
            assert!(stored.values.iter().max() > Some(&1), "{name}");
        }
        assert_eq!(crc32(b"IEND"), 0xae42_6082);
    }

    #[test]
    fn known_colours_are_their_places() {
        let colours = [[0, 0, 0], [7, 8, 9], [7, 8, 9], [1, 1, 1], [0, 0, 0]];
        let places = |known: &[[u8; 3]]| numbers(colours.into_iter(), known);
        assert_eq!(
            places(&[[7, 8, 9], [0, 0, 0]]).unwrap(),
            [1, 0, 0, OTHER_COLOUR, 1]
        );
        assert!(places(&[]).is_err());
    }

    #[test]
    fn colours_are_no_numbers() {
        let text = of_bytes(
            "c.png",
            include_bytes!("../tests/fixtures/formats/orientation1.png"),
            &[],
        )
        .err()
        .unwrap()
        .to_string();
        assert!(text.contains("expected class numbers"), "{text}");
        assert!(
            of_bytes(
                "c.png",
                b"\x89PNG\r\n\x1a\n\xff\xff\xff\xffIHDR00000000\x08\x03",
                &[]
            )
            .is_err()
        );
    }
}
