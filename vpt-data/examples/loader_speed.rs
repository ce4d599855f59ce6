//! Measures how many pictures a second the loader prepares.
//!
//! `cargo run --release -p vpt-data --example loader_speed -- DATA_DIR [INPUT_SIZE] [WORKERS]`

#![allow(clippy::print_stdout)]

use std::error::Error;
use std::path::Path;
use std::time::Instant;
use vpt_data::{AugmentConfig, Dataset, Loader, LoaderConfig, OpenOptions, Preprocess};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let dir = arguments.first().ok_or("expected a data set")?;
    let number =
        |position: usize, default: usize| arguments.get(position).map_or(Ok(default), |text| text.parse());
    let (edge, workers) = (number(1, 224)?, number(2, 0)?);
    let dataset = Dataset::open(
        Path::new(dir),
        &OpenOptions {
            check_images: false,
            ..OpenOptions::default()
        },
    )?;
    let recipes = [
        ("evaluation", None),
        ("default augmentation", Some(AugmentConfig::default())),
        ("rand_augment 2, erasing, mixup", Some(strong())),
    ];
    println!(
        "{} training pictures, input {edge} x {edge}, {workers} workers (0 = all)",
        dataset.train.len()
    );
    for (name, augment) in recipes {
        for (kept, cache_bytes) in [("decoded each time", 0), ("decoded once", usize::MAX)] {
            let config = LoaderConfig {
                augment: augment.clone(),
                workers,
                cache_bytes,
                shuffle: true,
                ..LoaderConfig::default()
            };
            let preprocess = Preprocess::imagenet(edge, edge);
            let loader = Loader::new(dataset.train.clone(), dataset.classes.len(), preprocess, config);
            // The first epoch fills the cache (ours and that of the operating system).
            let mut speed = 0.0;
            for epoch in 0..2 {
                let start = Instant::now();
                let mut pictures = 0;
                for batch in loader.epoch(epoch, 0) {
                    pictures += batch?.len();
                }
                speed = pictures as f64 / start.elapsed().as_secs_f64();
            }
            println!("{name}, {kept}: {speed:.0} pictures/s");
        }
    }
    Ok(())
}

/// A recipe with everything that costs time.
fn strong() -> AugmentConfig {
    AugmentConfig {
        rand_augment: Some((2, 9.0)),
        random_erasing: 0.25,
        mixup: 0.2,
        cutmix: 1.0,
        ..AugmentConfig::default()
    }
}
