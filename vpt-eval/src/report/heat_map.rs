//! Heat maps over pictures.

use std::io::Cursor;

use image::{ImageFormat, ImageResult, Pixel, Rgb, RgbImage, imageops};
use ndarray::Array2;
use vpt_data::Interpolation;
use vpt_data::resize::resize;

/// The least height of a panel, in pixels.
const LEAST_HEIGHT: u32 = 224;

/// Between panels, in pixels.
const GAP: u32 = 8;

/// Dark blue over green to yellow, evenly spaced: readable in grey and by the colour-blind (matplotlib's viridis).
const COLOURS: [[f32; 3]; 5] = [
    [68.0, 1.0, 84.0],
    [59.0, 82.0, 139.0],
    [33.0, 145.0, 140.0],
    [94.0, 201.0, 98.0],
    [253.0, 231.0, 37.0],
];

/// How much of the picture stays visible.
const PICTURE: f32 = 0.45;

/// A PNG file with the picture, and beside it each map (`[rows, columns]`) laid over it in grey. All maps share one scale,
/// from the smallest to the largest value of any, so that they can be compared.
///
/// # Errors
/// What the encoder says; it writes to memory.
pub fn heat_maps_png(picture: &RgbImage, maps: &[&Array2<f32>]) -> ImageResult<Vec<u8>> {
    let mut png = Cursor::new(Vec::new());
    heat_maps(picture, maps).write_to(&mut png, ImageFormat::Png)?;
    Ok(png.into_inner())
}

/// The picture in grey under one map (`[rows, columns]`) on its own scale, from its smallest to its largest value.
pub(super) fn heat_map(picture: &RgbImage, map: &Array2<f32>) -> RgbImage {
    let smallest = map.iter().copied().fold(f32::INFINITY, f32::min);
    let largest = map.iter().copied().fold(smallest, f32::max);
    let range = (largest - smallest).max(f32::MIN_POSITIVE);
    overlaid(picture, &map.mapv(|value| (value - smallest) / range))
}

fn heat_maps(picture: &RgbImage, maps: &[&Array2<f32>]) -> RgbImage {
    let scale = LEAST_HEIGHT.div_ceil(picture.height().max(1)).max(1);
    let (width, height) = (picture.width() * scale, picture.height() * scale);
    let picture = resize(picture, width, height, Interpolation::Bilinear);
    let values = || maps.iter().flat_map(|map| map.iter().copied());
    let smallest = values().fold(f32::INFINITY, f32::min);
    let range = (values().fold(smallest, f32::max) - smallest).max(f32::MIN_POSITIVE);
    let panels = maps.len() as u32 + 1;
    let mut page = RgbImage::from_pixel(panels * width + (panels - 1) * GAP, height, Rgb([255; 3]));
    imageops::replace(&mut page, &picture, 0, 0);
    for (i, map) in maps.iter().enumerate() {
        let left = i64::from((i as u32 + 1) * (width + GAP));
        imageops::replace(
            &mut page,
            &overlaid(&picture, &map.mapv(|value| (value - smallest) / range)),
            left,
            0,
        );
    }
    page
}

/// The picture in grey under a map of values from 0 to 1, which are interpolated between the centres of its cells.
fn overlaid(picture: &RgbImage, map: &Array2<f32>) -> RgbImage {
    let (rows, columns) = map.dim();
    let place = |pixel: u32, pixels: u32, cells: usize| {
        let at = (pixel as f32 + 0.5) / pixels as f32 * cells as f32 - 0.5;
        let at = at.clamp(0.0, (cells - 1) as f32);
        (at as usize, (at as usize + 1).min(cells - 1), at.fract())
    };
    let (width, height) = picture.dimensions();
    RgbImage::from_fn(width, height, |x, y| {
        let (top, bottom, down) = place(y, height, rows);
        let (left, right, across) = place(x, width, columns);
        let along = |row: usize| map[[row, left]] * (1.0 - across) + map[[row, right]] * across;
        let value = along(top) * (1.0 - down) + along(bottom) * down;
        let grey = f32::from(picture.get_pixel(x, y).to_luma()[0]);
        Rgb(colour(value).map(|channel| (grey * PICTURE + channel * (1.0 - PICTURE)).round() as u8))
    })
}

/// The colour of a value from 0 to 1.
fn colour(value: f32) -> [f32; 3] {
    let at = value.clamp(0.0, 1.0) * (COLOURS.len() - 1) as f32;
    let (low, part) = (at as usize, at.fract());
    let high = (low + 1).min(COLOURS.len() - 1);
    std::array::from_fn(|channel| COLOURS[low][channel] * (1.0 - part) + COLOURS[high][channel] * part)
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn the_ends_of_the_scale_have_the_ends_of_the_colours() {
        assert_eq!(colour(0.0), COLOURS[0]);
        assert_eq!(colour(1.0), COLOURS[4]);
        assert_eq!(colour(7.0), COLOURS[4]);
        assert_eq!(colour(0.5), COLOURS[2]);
    }

    #[test]
    fn maps_stand_beside_the_picture_on_one_scale() {
        let picture = RgbImage::from_pixel(64, 32, Rgb([0; 3]));
        let (weak, strong) = (array![[0.5, 0.5]], array![[0.0, 1.0]]);
        let page = heat_maps(&picture, &[&weak, &strong]);
        // 32 pixels are enlarged sevenfold.
        assert_eq!(page.dimensions(), (3 * 448 + 2 * GAP, 224));
        let shown = |value: f32| Rgb(colour(value).map(|channel| (channel * (1.0 - PICTURE)).round() as u8));
        assert_eq!(*page.get_pixel(10, 10), Rgb([0; 3]));
        assert_eq!(*page.get_pixel(448 + GAP + 5, 100), shown(0.5));
        let third = 2 * (448 + GAP);
        assert_eq!(*page.get_pixel(third + 5, 100), shown(0.0));
        assert_eq!(*page.get_pixel(third + 440, 100), shown(1.0));
        assert_eq!(*page.get_pixel(448 + 3, 100), Rgb([255; 3]), "the gap");
    }
}
