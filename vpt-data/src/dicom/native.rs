//! Pixels that are not compressed (PS3.5, chapter 8).

use super::image_pixel::{ImagePixel, Photometric};
use super::tag;
use super::transfer_syntax::Encoding;

/// The bytes a frame takes.
pub(super) fn frame_bytes(pixel: &ImagePixel) -> usize {
    match pixel.photometric {
        // Pairs of pixels: two luminances, two colour differences.
        Photometric::YbrFull422 => pixel.pixels().div_ceil(2) * 4 * pixel.sample_bytes(),
        _ => pixel.samples() * pixel.sample_bytes(),
    }
}

/// The samples of a frame, pixel by pixel.
///
/// `swapped` tells that 8-bit samples were written as 16-bit words, most significant byte first.
pub(super) fn decode(
    pixels: &[u8],
    frame: usize,
    pixel: &ImagePixel,
    encoding: Encoding,
    swapped: bool,
) -> Result<Vec<i32>, String> {
    let length = frame_bytes(pixel);
    let there = pixels.len();
    let bytes = frame
        .checked_mul(length)
        .and_then(|start| pixels.get(start..start.checked_add(length)?))
        .ok_or_else(|| {
            let (tag, number) = (tag::PIXEL_DATA, frame + 1);
            format!("{tag} has {there} bytes, too few for frame {number} of {length} bytes a frame")
        })?;
    let value = |index: usize| {
        let raw = match pixel.sample_bytes() {
            1 if swapped => {
                // The partner of the last byte of an odd frame may lie behind it.
                let at = (frame * length + index) ^ 1;
                u16::from(pixels.get(at).copied().unwrap_or_default())
            }
            1 => u16::from(bytes[index]),
            _ => encoding.u16([bytes[2 * index], bytes[2 * index + 1]]),
        };
        pixel.value(raw)
    };
    let count = pixel.pixels();
    Ok(match pixel.photometric {
        Photometric::YbrFull422 => {
            let pair = |at: usize| at / 2 * 4;
            (0..count)
                .flat_map(|at| [pair(at) + at % 2, pair(at) + 2, pair(at) + 3])
                .map(value)
                .collect()
        }
        _ if pixel.planar => (0..count)
            .flat_map(|at| [at, at + count, at + 2 * count])
            .map(value)
            .collect(),
        _ => (0..pixel.samples()).map(value).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::super::image_pixel::tests::gray;
    use super::*;

    fn rgb(planar: bool) -> ImagePixel {
        ImagePixel {
            photometric: Photometric::Rgb,
            planar,
            bits_allocated: 8,
            bits_stored: 8,
            ..gray(1, 2)
        }
    }

    #[test]
    fn planes_are_woven_together() {
        let planes = decode(&[1, 2, 3, 4, 5, 6], 0, &rgb(true), Encoding::EXPLICIT, false);
        assert_eq!(planes.unwrap(), [1, 3, 5, 2, 4, 6]);
        let woven = decode(&[1, 2, 3, 4, 5, 6], 0, &rgb(false), Encoding::EXPLICIT, false);
        assert_eq!(woven.unwrap(), [1, 2, 3, 4, 5, 6]);
    }

    #[test]
    fn pairs_share_their_colour() {
        let pairs = ImagePixel {
            photometric: Photometric::YbrFull422,
            ..rgb(false)
        };
        let samples = decode(&[10, 20, 7, 8], 0, &pairs, Encoding::EXPLICIT, false);
        assert_eq!(samples.unwrap(), [10, 7, 8, 20, 7, 8]);
    }

    #[test]
    fn bytes_in_words_change_places() {
        let bytes = ImagePixel {
            bits_allocated: 8,
            bits_stored: 8,
            ..gray(1, 3)
        };
        let samples = decode(&[2, 1, 4, 3], 0, &bytes, Encoding::EXPLICIT, true);
        assert_eq!(samples.unwrap(), [1, 2, 3]);
    }

    #[test]
    fn frames_lie_behind_each_other() {
        let pixels = [1, 0, 2, 0, 3, 0, 4, 0];
        let second = decode(&pixels, 1, &gray(1, 2), Encoding::EXPLICIT, false);
        assert_eq!(second.unwrap(), [3, 4]);
        let error = decode(&pixels, 2, &gray(1, 2), Encoding::EXPLICIT, false).unwrap_err();
        assert_eq!(
            error,
            "Pixel Data (7FE0,0010) has 8 bytes, too few for frame 3 of 4 bytes a frame"
        );
        assert!(decode(&pixels, usize::MAX, &gray(1, 2), Encoding::EXPLICIT, false).is_err());
    }
}
