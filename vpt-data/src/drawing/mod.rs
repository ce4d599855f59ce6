//! What the drawn data sets share: a float canvas with anti-aliased masks, smooth random fields,
//! and the folder that the pictures go into.

mod canvas;
mod field;
mod folder;

pub(crate) use canvas::{Canvas, Colour, Mask, Point, distance, edge, mix};
pub(crate) use field::Field;
pub(crate) use folder::{DrawnSet, cannot_write, draw_folder, fill_folder, save_jpeg};
