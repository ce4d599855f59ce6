//! Draws one of the data sets that need no download.
//!
//! `cargo run --release -p vpt-data --example draw_dataset -- fundus DIR [TRAIN VAL TEST SIZE SEED]`
//! `cargo run --release -p vpt-data --example draw_dataset -- fundus_annotated DIR [TRAIN VAL TEST SIZE SEED]`
//! `cargo run --release -p vpt-data --example draw_dataset -- scenes DIR [TRAIN VAL SIZE SEED]`
//!
//! The numbers are pictures per class, pixels, and the seed.

use std::error::Error;
use std::path::Path;
use vpt_data::{fundus, scenes};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let dir = Path::new(
        arguments
            .get(1)
            .ok_or("expected `fundus`, `fundus_annotated` or `scenes`, then a folder")?,
    );
    let number =
        |position: usize, default: usize| arguments.get(position).map_or(Ok(default), |text| text.parse());
    match arguments[0].as_str() {
        "fundus" => {
            let per_class = [number(2, 150)?, number(3, 50)?, number(4, 100)?];
            fundus::draw_dataset(dir, number(6, 42)? as u64, per_class, number(5, 96)? as u32)?;
        }
        "fundus_annotated" => {
            let per_class = [number(2, 40)?, number(3, 10)?, number(4, 25)?];
            fundus::draw_annotated(dir, number(6, 42)? as u64, per_class, number(5, 160)? as u32)?;
        }
        "scenes" => {
            scenes::draw_dataset(
                dir,
                number(5, 42)? as u64,
                number(2, 500)?,
                number(3, 50)?,
                number(4, 48)? as u32,
            )?;
        }
        other => {
            return Err(format!(
                "unknown data set `{other}`, expected `fundus`, `fundus_annotated` or `scenes`"
            )
            .into());
        }
    }
    Ok(())
}
