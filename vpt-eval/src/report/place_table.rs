//! The classes of boxes or masks one by one, wherever that is shown.

use super::format::count;
use crate::{Estimate, PlaceRow, Results};

const BOXES: [&str; 8] = [
    "class",
    "images",
    "objects",
    "AP %",
    "AP50 %",
    "precision %",
    "recall %",
    "F1 %",
];

const MASKS: [&str; 7] = [
    "class",
    "images",
    "pixels",
    "IoU %",
    "precision %",
    "recall %",
    "Dice %",
];

/// Titles, and a row for each class; `share` prints a share in percent.
pub fn place_table(
    results: &Results,
    share: impl Fn(&Estimate) -> String,
) -> (&'static [&'static str], Vec<Vec<String>>) {
    let row = |row: &PlaceRow| {
        let main = [row.ap, row.ap50, row.iou].into_iter().flatten();
        let mut cells = vec![row.class.clone(), count(row.images), count(row.support as usize)];
        cells.extend(main.map(|estimate| share(&estimate)));
        cells.extend([&row.precision, &row.recall, &row.f1].map(&share));
        cells
    };
    let boxes = results.per_class_places.iter().any(|row| row.ap.is_some());
    let titles: &[&str] = if boxes { &BOXES } else { &MASKS };
    (titles, results.per_class_places.iter().map(row).collect())
}
