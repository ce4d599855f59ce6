//! Shows what the drawn data sets look like: one row of pictures a class, in one PNG.
//!
//! `cargo run --release -p vpt-data --example contact_sheet -- OUT.png [SIZE] [ZOOM] [COLUMNS] [SEED]`

use image::imageops::{FilterType, replace, resize};
use image::{Rgb, RgbImage};
use std::error::Error;
use vpt_data::{Split, fundus};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let out = arguments.first().ok_or("expected the name of the picture to write")?;
    let number = |position: usize, default: u32| arguments.get(position).map_or(Ok(default), |text| text.parse());
    let (size, zoom, columns) = (number(1, 128)?, number(2, 1)?, number(3, 10)?);
    let seed = u64::from(number(4, 1)?);
    let cell = size * zoom + 2;
    let rows = fundus::CLASSES.len() as u32;
    let mut sheet = RgbImage::from_pixel(columns * cell, rows * cell, Rgb([60, 60, 60]));
    for row in 0..rows {
        for column in 0..columns {
            let picture = fundus::draw(seed, Split::Train, row as usize, column as usize, size);
            let shown = resize(&picture, size * zoom, size * zoom, FilterType::Nearest);
            replace(&mut sheet, &shown, i64::from(column * cell), i64::from(row * cell));
        }
    }
    sheet.save(out)?;
    Ok(())
}
