//! [`FoundMasks`]: pictures with the files of their masks while a format is read, from which [`Found`] is made.

use super::boxes::{pictures, wrong};
use super::mask_numbers::{Names, Numbers, Stored};
use super::{Found, Images};
use crate::{DataError, Label, Mask, ProblemKind, Problems, Sample, Split, TaskKind, stored_values};
use rayon::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// A picture and its mask.
pub(super) struct Pair {
    pub split: Option<Split>,
    pub image: PathBuf,
    pub mask: PathBuf,
}

/// Pictures and their masks.
#[derive(Default)]
pub(super) struct FoundMasks {
    /// Splits that the data set names, even those without pictures; `None` stands for all, where it names none.
    splits: BTreeSet<Option<Split>>,
    pub pairs: Vec<Pair>,
    pub notes: Vec<String>,
    pub problems: Problems,
}

impl FoundMasks {
    /// Says that the data set has this split.
    pub fn name(&mut self, split: Option<Split>) {
        self.splits.insert(split);
    }

    /// Reads all masks, whose numbers are classes as `names` say, or else as `guess` says of how many pixels have each.
    ///
    /// # Errors
    /// There is no picture with a mask to learn from, or its numbers are no classes.
    pub fn finish(
        mut self,
        root: &Path,
        names: Option<Names>,
        guess: impl FnOnce(&Path, &BTreeMap<u16, u64>, &mut Vec<String>) -> Result<Numbers, DataError>,
        remedy: &str,
    ) -> Result<Found, DataError> {
        let colours = names
            .as_ref()
            .map(|names| names.colours.clone())
            .unwrap_or_default();
        let kept = self.readable(&colours);
        let is_learnt_from = |(pair, _): &(Pair, Stored)| matches!(pair.split, None | Some(Split::Train));
        if !kept.iter().any(is_learnt_from) {
            let first = self.problems.lines(1);
            let first = first
                .first()
                .map_or_else(String::new, |first| format!("; the first problem: {first}"));
            return Err(wrong(
                root,
                None,
                format!("no training image with a mask{first}"),
                remedy,
            ));
        }
        let mut all: BTreeMap<u16, u64> = BTreeMap::new();
        for (value, count) in kept.iter().flat_map(|(_, stored)| &stored.counts) {
            *all.entry(*value).or_default() += count;
        }
        let Numbers {
            classes,
            values,
            ignored,
        } = match names {
            Some(names) => Numbers::of_names(names, &all),
            None => guess(root, &all, &mut self.notes)?,
        };
        let mut samples: BTreeMap<Option<Split>, Vec<Sample>> =
            self.splits.iter().map(|split| (*split, vec![])).collect();
        for (pair, stored) in kept {
            let class = |value: &u16| {
                values
                    .iter()
                    .find(|(known, _)| known == value)
                    .map(|(_, class)| usize::from(*class))
            };
            for (value, count) in &stored.counts {
                if class(value).is_some() || ignored.contains(value) {
                    continue;
                }
                let what = match *value {
                    stored_values::OTHER_COLOUR if !colours.is_empty() => {
                        format!("{count} pixels have a colour that is of no class")
                    }
                    value => format!("{count} pixels have the number {value}, which is no class"),
                };
                self.problems
                    .at_line(ProblemKind::UnknownClass, &pair.mask, None, what, true);
            }
            let present = stored.counts.keys().filter_map(class).collect();
            let mask = Mask::new(pair.mask, values.clone(), present).with_colours(&colours);
            samples.entry(pair.split).or_default().push(Sample {
                path: pair.image,
                label: Label::Mask(mask),
                ..Sample::default()
            });
        }
        let mut take = |split: Option<Split>| samples.remove(&split);
        let images = match take(None) {
            Some(samples) => Images::Unsplit(samples),
            None => Images::Split {
                train: take(Some(Split::Train)).unwrap_or_default(),
                val: take(Some(Split::Val)),
                test: take(Some(Split::Test)),
            },
        };
        Ok(Found {
            kind: TaskKind::Segmentation,
            classes,
            columns: vec![],
            images,
            notes: self.notes,
            problems: self.problems,
        })
    }

    /// The pairs whose masks can be read and are of their pictures' sizes; the others are reported.
    fn readable(&mut self, colours: &[[u8; 3]]) -> Vec<(Pair, Stored)> {
        let pairs = std::mem::take(&mut self.pairs);
        let masks: Vec<Result<Stored, String>> = pairs
            .par_iter()
            .map(|pair| Stored::read(&pair.mask, colours))
            .collect();
        let paths: Vec<PathBuf> = pairs.iter().map(|pair| pair.image.clone()).collect();
        let mut kept: Vec<(Pair, Stored)> = vec![];
        let problems = &mut self.problems;
        for ((pair, stored), picture) in pairs.into_iter().zip(masks).zip(pictures(&paths)) {
            let stored = match stored {
                Ok(stored) => stored,
                Err(reason) => {
                    problems.at_line(ProblemKind::Unreadable, &pair.mask, None, reason, false);
                    continue;
                }
            };
            match picture {
                Ok(picture) if picture.size != stored.size => {
                    let ([w, h], [width, height]) = (stored.size, picture.size);
                    let what = format!("{w} x {h} pixels, the picture has {width} x {height}");
                    problems.at_line(ProblemKind::OtherSize, &pair.mask, None, what, false);
                }
                Ok(_) => kept.push((pair, stored)),
                Err(reason) => {
                    problems.at_line(ProblemKind::Unreadable, &pair.image, None, reason, false);
                    kept.push((pair, stored));
                }
            }
        }
        kept
    }
}
