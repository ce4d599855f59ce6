//! `train_batch0.jpg`: what the model sees of the first training images, augmentation included.

use image::codecs::jpeg::JpegEncoder;
use image::{ExtendedColorType, RgbImage, imageops};
use vpt_data::{Batch, Preprocess};

/// Rows and columns of the grid at most.
const GRID: usize = 4;

/// A JPEG of up to 16 images of `batch`, normalisation undone.
pub fn preview(batch: &Batch, preprocess: &Preprocess) -> image::ImageResult<Vec<u8>> {
    let [height, width] = batch.size.map(|edge| edge as u32);
    let count = batch.labels.len().min(GRID * GRID);
    let columns = count.clamp(1, GRID);
    let rows = count.div_ceil(columns).max(1);
    let mut grid = RgbImage::new(columns as u32 * width, rows as u32 * height);
    let area = (height * width) as usize;
    for (index, pixels) in batch.pixels.chunks_exact(3 * area).take(count).enumerate() {
        let image = RgbImage::from_fn(width, height, |x, y| {
            let at = (y * width + x) as usize;
            image::Rgb(std::array::from_fn(|channel| {
                let value = pixels[channel * area + at] * preprocess.std[channel] + preprocess.mean[channel];
                (value * 255.0).round().clamp(0.0, 255.0) as u8
            }))
        });
        let (column, row) = (index % columns, index / columns);
        imageops::replace(
            &mut grid,
            &image,
            (column as u32 * width).into(),
            (row as u32 * height).into(),
        );
    }
    let mut jpeg = Vec::new();
    let mut encoder = JpegEncoder::new_with_quality(&mut jpeg, 90);
    encoder.encode(&grid, grid.width(), grid.height(), ExtendedColorType::Rgb8)?;
    Ok(jpeg)
}

#[cfg(test)]
mod tests {
    use super::*;
    use vpt_data::{CropMode, Interpolation};

    #[test]
    fn undoes_normalisation_in_a_grid() {
        let preprocess = Preprocess {
            input_size: [16, 8],
            mean: [0.5, 0.25, 0.0],
            std: [0.5, 0.25, 1.0],
            interpolation: Interpolation::Bicubic,
            crop_pct: 1.0,
            crop_mode: CropMode::Center,
            windows: 1,
        };
        // Five images, all (1, -1, 0.5) after normalisation: red 1, green 0, blue 0.5.
        let image: Vec<f32> = [1.0, -1.0, 0.5]
            .iter()
            .flat_map(|&value| vec![value; 128])
            .collect();
        let batch = Batch {
            pixels: image.repeat(5),
            size: [16, 8],
            labels: vec![vpt_data::Label::One(0); 5],
            weights: vec![1.0; 5],
            soft_targets: None,
            framed: vec![],
            indices: (0..5).collect(),
        };
        let jpeg = preview(&batch, &preprocess).expect("encodes");
        let image = image::load_from_memory(&jpeg).expect("is a JPEG").to_rgb8();
        assert_eq!(image.dimensions(), (32, 32));
        let near =
            |pixel: &image::Rgb<u8>, expected: [u8; 3]| (0..3).all(|c| pixel.0[c].abs_diff(expected[c]) < 12);
        assert!(
            near(image.get_pixel(4, 4), [255, 0, 128]),
            "{:?}",
            image.get_pixel(4, 4)
        );
        assert!(near(image.get_pixel(20, 26), [0, 0, 0]), "no image there");
    }
}
