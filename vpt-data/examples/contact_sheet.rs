//! Shows what the drawn data sets look like: a strip of pictures for each class, in one PNG.
//!
//! `cargo run --release -p vpt-data --example contact_sheet -- fundus|scenes OUT.png [SIZE] [ZOOM] [COLUMNS] [SEED]`

use image::imageops::{FilterType, replace, resize};
use image::{Rgb, RgbImage};
use std::error::Error;
use vpt_data::{Split, fundus, scenes};

/// Many classes are laid out in so many blocks side by side.
const BLOCKS: usize = 4;

type Draw = fn(u64, Split, usize, usize, u32) -> RgbImage;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (classes, draw): (usize, Draw) = match arguments.first().map(String::as_str) {
        Some("fundus") => (fundus::CLASSES.len(), fundus::draw),
        Some("scenes") => (scenes::classes().len(), scenes::draw),
        _ => return Err("expected `fundus` or `scenes`, then the name of the picture to write".into()),
    };
    let out = arguments
        .get(1)
        .ok_or("expected the name of the picture to write")?;
    let number =
        |position: usize, default: u32| arguments.get(position).map_or(Ok(default), |text| text.parse());
    let (size, zoom, columns) = (number(2, 64)?, number(3, 1)?, number(4, 8)?);
    let seed = u64::from(number(5, 1)?);

    let blocks = if classes > 8 { BLOCKS } else { 1 };
    let rows = classes.div_ceil(blocks);
    let (cell, gap) = (size * zoom + 2, 12);
    let block_width = columns * cell + gap;
    let mut sheet = RgbImage::from_pixel(
        blocks as u32 * block_width - gap,
        rows as u32 * cell,
        Rgb([60; 3]),
    );
    for class in 0..classes {
        let (left, top) = ((class / rows) as u32 * block_width, (class % rows) as u32 * cell);
        for column in 0..columns {
            let picture = draw(seed, Split::Train, class, column as usize, size);
            let shown = resize(&picture, size * zoom, size * zoom, FilterType::Nearest);
            replace(
                &mut sheet,
                &shown,
                i64::from(left + column * cell),
                i64::from(top),
            );
        }
    }
    sheet.save(out)?;
    Ok(())
}
