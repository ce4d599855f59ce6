//! Writes a known architecture with random weights, to measure what loading real ones costs.
//!
//! `cargo run --release -p vpt-core --example random_weights -- vit_large_patch16_224 FOLDER`

use std::path::Path;

use vpt_core::{Backbone, preset};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [architecture, folder] = arguments.as_slice() else {
        return Err("give an architecture of `vpt list models` and a folder to write".into());
    };
    let config = preset(architecture).ok_or("there is no such architecture")?;
    Backbone::random(config, 0, 0).save(Path::new(folder), false)?;
    Ok(())
}
