//! Pixels that are colours, or stand for one (PS3.3, C.7.6.3.1.2 and C.7.9).

use super::data_set::DataSet;
use super::image_pixel::ImagePixel;
use super::lookup_table::LookupTable;
use super::tag;

/// Makes red, green and blue of luminance and colour differences, in place.
pub(super) fn ybr_to_rgb(samples: &mut [i32], pixel: &ImagePixel) {
    let middle = 1 << (pixel.bits_stored - 1);
    let most = f64::from(pixel.max());
    for [y, cb, cr] in samples.as_chunks_mut().0 {
        let (luminance, blue, red) = (f64::from(*y), f64::from(*cb - middle), f64::from(*cr - middle));
        let colour = |value: f64| value.round().clamp(0.0, most) as i32;
        *y = colour(luminance + 1.402 * red);
        *cb = colour(luminance - 0.344_136 * blue - 0.714_136 * red);
        *cr = colour(luminance + 1.772 * blue);
    }
}

/// Samples of any depth in eight bits.
pub(super) fn to_bytes(samples: &[i32], pixel: &ImagePixel) -> Vec<u8> {
    let most = pixel.max();
    let scaled = |value: i32| ((2 * 255 * value + most) / (2 * most)).clamp(0, 255) as u8;
    samples.iter().map(|&value| scaled(value)).collect()
}

/// Looks up the colour of each index.
pub(super) fn palette(set: &DataSet<'_>, samples: &[i32]) -> Result<Vec<u8>, String> {
    if set.get(tag::RED_PALETTE_DATA).is_none() && set.get(tag::SEGMENTED_RED_PALETTE_DATA).is_some() {
        let tag = tag::SEGMENTED_RED_PALETTE_DATA;
        return Err(format!(
            "{tag} is there without the plain table, which is not supported"
        ));
    }
    let read = |descriptor, data| LookupTable::read(set, descriptor, data, false);
    let red = read(tag::RED_PALETTE_DESCRIPTOR, tag::RED_PALETTE_DATA)?;
    let green = read(tag::GREEN_PALETTE_DESCRIPTOR, tag::GREEN_PALETTE_DATA)?;
    let blue = read(tag::BLUE_PALETTE_DESCRIPTOR, tag::BLUE_PALETTE_DATA)?;
    let colour = |&index: &i32| [red.byte(index), green.byte(index), blue.byte(index)];
    Ok(samples.iter().flat_map(colour).collect())
}

#[cfg(test)]
mod tests {
    use super::super::image_pixel::tests::gray;
    use super::*;

    #[test]
    fn colours_of_luminance_and_differences() {
        let eight = ImagePixel {
            bits_stored: 8,
            ..gray(1, 3)
        };
        // JFIF's own numbers for red, white and blue.
        let mut samples = [76, 85, 255, 255, 128, 128, 29, 255, 107];
        ybr_to_rgb(&mut samples, &eight);
        assert_eq!(samples, [254, 0, 0, 255, 255, 255, 0, 0, 254]);
    }

    #[test]
    fn depths() {
        let twelve = ImagePixel {
            bits_stored: 12,
            ..gray(1, 3)
        };
        assert_eq!(to_bytes(&[0, 2048, 4095], &twelve), [0, 128, 255]);
        assert_eq!(to_bytes(&[0, 32768, 65535], &gray(1, 3)), [0, 128, 255]);
        let one = ImagePixel {
            bits_stored: 1,
            ..gray(1, 3)
        };
        assert_eq!(to_bytes(&[0, 1], &one), [0, 255]);
    }
}
