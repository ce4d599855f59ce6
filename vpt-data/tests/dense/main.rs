//! Boxes and masks from the user's files to batches: formats, what may be wrong in them, and what is left of it.

#![allow(clippy::unwrap_used)] // a test fails by panicking

mod coco;
mod fuzz;
mod loader;
mod masks;
mod outlines;
mod place;
mod samples;
mod shapes;
mod splits;
mod voc;
mod voc_masks;
mod yolo;
