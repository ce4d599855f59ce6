//! [`FoundObjects`]: pictures with their objects while a format is read, from which [`Found`] is made.

use super::boxes::wrong;
use super::{Found, Images};
use crate::error::counted;
use crate::{DataError, Label, Object, Objects, Problems, Sample, Split, TaskKind};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Pictures with their objects.
pub(super) struct FoundObjects {
    pub classes: Vec<String>,
    /// Splits that the data set names, even those without pictures; `None` stands for all, where it names none.
    parts: BTreeMap<Option<Split>, Vec<Sample>>,
    pub notes: Vec<String>,
    pub problems: Problems,
}

impl FoundObjects {
    pub fn new(classes: Vec<String>) -> Self {
        Self {
            classes,
            parts: BTreeMap::new(),
            notes: vec![],
            problems: Problems::default(),
        }
    }

    /// Says that the data set has this split.
    pub fn name(&mut self, split: Option<Split>) {
        self.parts.entry(split).or_default();
    }

    pub fn add(&mut self, split: Option<Split>, path: PathBuf, objects: Vec<Object>) {
        self.parts.entry(split).or_default().push(Sample {
            path,
            label: Label::Objects(Objects::new(objects)),
            ..Sample::default()
        });
    }

    /// # Errors
    /// There is no picture to learn from, or nothing on those that there are.
    pub fn finish(mut self, root: &Path, remedy: &str) -> Result<Found, DataError> {
        let all = self.parts.remove(&None);
        let train = self.parts.remove(&Some(Split::Train));
        let to_learn_from = all.as_ref().or(train.as_ref());
        let samples = to_learn_from.map_or(&[][..], Vec::as_slice);
        let missing = match self.problems.lines(1).first() {
            Some(first) => format!(
                "; {}, the first: {first}",
                counted(self.problems.len(), "problem")
            ),
            None => String::new(),
        };
        let failed = |message: String| Err(wrong(root, None, format!("{message}{missing}"), remedy));
        if to_learn_from.is_none() {
            return failed("no training images are named".into());
        }
        if samples.is_empty() {
            return failed("there is none of the training images".into());
        }
        if samples.iter().all(|sample| sample.label.classes().is_empty()) {
            let images = counted(samples.len(), "training image");
            return failed(format!("no object on any of {images}"));
        }
        let mut held_out = |split| self.parts.remove(&Some(split));
        let (val, test) = (held_out(Split::Val), held_out(Split::Test));
        let images = match (all, train) {
            (None, Some(train)) => Images::Split { train, val, test },
            (all, _) => Images::Unsplit(all.unwrap_or_default()),
        };
        Ok(Found {
            kind: TaskKind::Detection,
            classes: self.classes,
            columns: vec![],
            images,
            notes: self.notes,
            problems: self.problems,
        })
    }
}
