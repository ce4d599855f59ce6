//! Says what the splits of a data set share, and how long looking for it takes.
//!
//! `cargo run --release -p vpt-data --example leaks -- DATA_DIR`

#![allow(clippy::print_stdout)]

use std::error::Error;
use std::path::Path;
use std::time::Instant;
use vpt_data::{Dataset, LeakOptions, OpenOptions, Split};

fn main() -> Result<(), Box<dyn Error>> {
    let dir = std::env::args().nth(1).ok_or("expected a data set")?;
    let options = OpenOptions {
        check_images: false,
        ..OpenOptions::default()
    };
    let dataset = Dataset::open(Path::new(&dir), &options)?;
    let images: usize = Split::ALL
        .into_iter()
        .map(|split| dataset.split(split).len())
        .sum();
    let start = Instant::now();
    let leaks = dataset.leaks(LeakOptions::default());
    let seconds = start.elapsed().as_secs_f64();
    for line in leaks.summary() {
        println!("{line}");
    }
    println!(
        "{images} images in {seconds:.2} s, {:.0} images/s",
        images as f64 / seconds
    );
    Ok(())
}
