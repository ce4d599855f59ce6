//! What a page says of boxes and masks: curves, classes, pictures.

use vpt_data::{Label, decode};

use super::base64::base64;
use super::figure::{Row, Table};
use super::format::{UNKNOWN, Unit};
use super::place_table::place_table;
use super::section::{Block, Picture, Section};
use super::thumbnail::large_jpeg;
use crate::metrics::detection::Detection;
use crate::metrics::truths;
use crate::overlay::draw;
use crate::{Estimate, FoundIn, Predictions, Results};

/// The class of pixels that are nothing else.
const BACKGROUND: usize = 0;

/// An image with what is there, and the same with what was found, as JPEG files.
#[derive(Debug, Clone, PartialEq)]
pub struct PlacePair {
    /// Name of the file.
    pub file: String,
    /// What is there.
    pub truth: Vec<u8>,
    /// What was found.
    pub found: Vec<u8>,
}

impl PlacePair {
    /// The image `index` of the predictions; `found` is what was found in it. `None` if it cannot be read.
    pub fn open(predictions: &Predictions, index: usize, found: &FoundIn, threshold: f64) -> Option<Self> {
        let path = predictions.paths.get(index)?;
        let label = predictions.labels.get(index)?;
        let picture = decode(path).ok()?;
        let truth = match label {
            Label::Mask(mask) => {
                let mask = mask.read().ok()?;
                FoundIn::Mask(mask.classes, [mask.width, mask.height])
            }
            label => FoundIn::Objects(
                truths(std::slice::from_ref(label))
                    .into_iter()
                    .map(|truth| Detection {
                        image: 0,
                        class: truth.class,
                        score: 1.0,
                        bbox: truth.bbox,
                    })
                    .collect(),
            ),
        };
        let drawn = |what: &FoundIn| {
            let mut picture = picture.clone();
            draw(&mut picture, what, threshold, Some(BACKGROUND));
            large_jpeg(&picture).ok()
        };
        Some(Self {
            file: path.file_name()?.to_string_lossy().into_owned(),
            truth: drawn(&truth)?,
            found: drawn(found)?,
        })
    }
}

/// One row a class.
pub(super) fn class_table(results: &Results) -> Table {
    let share = |estimate: &Estimate| match estimate.value {
        Some(_) => Unit::SHARE.estimate(estimate),
        None => UNKNOWN.to_owned(),
    };
    let (titles, rows) = place_table(results, share);
    let caption = |threshold: f64| {
        format!("Precision, recall and F1 are those of boxes with a score of at least {threshold:.3}.")
    };
    Table {
        caption: results.calibration.threshold.map_or(String::new(), caption),
        columns: titles.iter().map(|&title| title.to_owned()).collect(),
        rows: rows.into_iter().map(Row::from).collect(),
        ends_in_text: false,
    }
}

/// Pictures, truth beside prediction.
pub(super) fn pictures<'a>(pairs: &[PlacePair]) -> Section<'a> {
    let picture = |pair: &PlacePair| Picture {
        truth: base64(&pair.truth),
        found: base64(&pair.found),
        file: pair.file.clone(),
    };
    Section {
        id: "examples",
        title: "Examples",
        blocks: match pairs {
            [] => Vec::new(),
            pairs => vec![
                Block::Text(
                    "Chosen at random: on the left what is there, on the right what was found.".to_owned(),
                ),
                Block::Pictures(pairs.iter().map(picture).collect()),
            ],
        },
    }
}
