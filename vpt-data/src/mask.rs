//! [`Mask`]: what says the class of each pixel, a file or outlines, and [`ClassMask`]: what it says.

use crate::drawn_mask::DrawnMask;
use crate::{DataError, Objects, Sample, stored_values};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// What says the class of each pixel of a picture: a file, or the outlines of objects, from which it is drawn when it is read.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Mask(Source);

#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(untagged)]
enum Source {
    Stored(StoredMask),
    Drawn(DrawnMask),
}

/// The file that says the class of each pixel of a picture.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredMask {
    /// The file.
    #[serde(rename = "mask")]
    file: PathBuf,
    /// The class of each value that the file may store, in ascending order; pixels of any other value are ignored.
    values: Vec<(u16, u8)>,
    /// Each class that occurs, once, in ascending order.
    classes: Vec<usize>,
    /// Colours that stand for the values 0, 1, …, if the file may store colours.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    colours: Vec<[u8; 3]>,
}

impl Mask {
    /// What stands for a pixel that is of no class: neither learnt from nor judged.
    pub const IGNORED: u8 = 255;

    /// The most classes: a byte for each pixel, and one number for those that are ignored.
    pub(crate) const MAX_CLASSES: usize = Self::IGNORED as usize;

    /// A mask whose file stores these values for these classes, and in which these `classes` occur.
    pub fn new(path: PathBuf, values: Vec<(u16, u8)>, classes: Vec<usize>) -> Self {
        Self(Source::Stored(StoredMask::new(path, values, classes)))
    }

    /// The same where these colours stand for the values 0, 1, …, if the file stores colours.
    pub(crate) fn with_colours(mut self, colours: &[[u8; 3]]) -> Self {
        if let Source::Stored(mask) = &mut self.0 {
            mask.colours = colours.to_vec();
        }
        self
    }

    /// The outlines of objects in a picture that can be decoded, `[width, height]`, on a background of that class
    /// ([`DrawnMask::new`]).
    pub(crate) fn of_outlines(size: [u32; 2], background: usize, objects: Objects) -> Self {
        Self(Source::Drawn(DrawnMask::new(size, background, objects)))
    }

    /// The file; none of what is drawn from outlines.
    pub fn path(&self) -> Option<&Path> {
        match &self.0 {
            Source::Stored(mask) => Some(&mask.file),
            Source::Drawn(_) => None,
        }
    }

    /// Each class that occurs, once, in ascending order; of outlines also the background and what others hide.
    pub fn classes(&self) -> &[usize] {
        match &self.0 {
            Source::Stored(mask) => &mask.classes,
            Source::Drawn(mask) => mask.classes(),
        }
    }

    /// Reads the file, or draws the outlines.
    ///
    /// # Errors
    /// The file cannot be read, or stores colours instead of numbers.
    pub fn read(&self) -> Result<ClassMask, DataError> {
        match &self.0 {
            Source::Stored(mask) => mask.read(),
            Source::Drawn(mask) => Ok(mask.draw()),
        }
    }

    /// The same where class `i` is called `places[i]`.
    pub(crate) fn moved(&self, places: &[usize]) -> Self {
        Self(match &self.0 {
            Source::Stored(mask) => Source::Stored(mask.moved(places)),
            Source::Drawn(mask) => Source::Drawn(mask.moved(places)),
        })
    }

    /// What stands for it in a fingerprint, beside the content of the file.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        match &self.0 {
            Source::Stored(mask) => mask.bytes(),
            Source::Drawn(mask) => mask.bytes(),
        }
    }
}

impl StoredMask {
    fn new(path: PathBuf, mut values: Vec<(u16, u8)>, mut classes: Vec<usize>) -> Self {
        values.sort_unstable();
        values.dedup_by_key(|(value, _)| *value);
        classes.sort_unstable();
        classes.dedup();
        Self {
            file: path,
            values,
            classes,
            colours: vec![],
        }
    }

    /// The class that a stored value stands for.
    fn class_of(&self, value: u16) -> u8 {
        match self.values.binary_search_by_key(&value, |&(value, _)| value) {
            Ok(at) => self.values[at].1,
            Err(_) => Mask::IGNORED,
        }
    }

    fn read(&self) -> Result<ClassMask, DataError> {
        let stored = stored_values::read(&self.file, &self.colours)?;
        let classes = match stored.values.iter().max() {
            // A table is quicker than a search for each pixel.
            Some(&most) => {
                let table: Vec<u8> = (0..=most).map(|value| self.class_of(value)).collect();
                stored
                    .values
                    .iter()
                    .map(|&value| table[usize::from(value)])
                    .collect()
            }
            None => vec![],
        };
        Ok(ClassMask {
            width: stored.width,
            height: stored.height,
            classes,
        })
    }

    fn moved(&self, places: &[usize]) -> Self {
        let place = |class: u8| {
            places
                .get(usize::from(class))
                .map_or(Mask::IGNORED, |&place| place as u8)
        };
        let values = self.values.iter().map(|&(value, class)| (value, place(class)));
        let classes = self.classes.iter().map(|&class| places[class]);
        Self {
            colours: self.colours.clone(),
            ..Self::new(self.file.clone(), values.collect(), classes.collect())
        }
    }

    fn bytes(&self) -> Vec<u8> {
        let count = (self.values.len() as u64).to_le_bytes();
        let values = self.values.iter().flat_map(|&(value, class)| {
            let [low, high] = value.to_le_bytes();
            [low, high, class]
        });
        let colours = self.colours.as_flattened().iter().copied();
        count.into_iter().chain(values).chain(colours).collect()
    }
}

/// The class of each pixel of a picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClassMask {
    /// Pixels across.
    pub width: u32,
    /// Pixels down.
    pub height: u32,
    /// `[height, width]`: indices into [`Dataset::classes`](crate::Dataset::classes), or [`Mask::IGNORED`].
    pub classes: Vec<u8>,
}

impl ClassMask {
    /// How many pixels each of `classes` classes has, and how many are ignored.
    pub fn counts(&self, classes: usize) -> (Vec<u64>, u64) {
        let mut all = [0_u64; 256];
        for &class in &self.classes {
            all[usize::from(class)] += 1;
        }
        let counts: Vec<u64> = all.iter().copied().take(classes).collect();
        let ignored = self.classes.len() as u64 - counts.iter().sum::<u64>();
        (counts, ignored)
    }
}

/// The class of each pixel of a sample of a segmentation data set, in the size of the picture.
///
/// # Errors
/// The mask cannot be read, or the sample has none.
pub fn read_mask(sample: &Sample) -> Result<ClassMask, DataError> {
    match sample.label.mask() {
        Some(mask) => mask.read(),
        None => Err(DataError::Annotations {
            path: sample.path.clone(),
            line: None,
            message: "the image has no mask".into(),
            remedy: "give a folder of images and masks, or outlines".into(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_classes_or_ignored() {
        let mask = StoredMask::new("m.png".into(), vec![(255, 1), (0, 0)], vec![1, 0, 1]);
        assert_eq!(
            (mask.class_of(255), mask.class_of(0), mask.class_of(7)),
            (1, 0, Mask::IGNORED)
        );
        assert_eq!(mask.classes, [0, 1]);
        let turned = mask.moved(&[1, 0]);
        assert_eq!((turned.class_of(255), turned.class_of(0)), (0, 1));
        assert_ne!(mask.bytes(), turned.bytes());
        let read = ClassMask {
            width: 3,
            height: 1,
            classes: vec![1, 255, 1],
        };
        assert_eq!(read.counts(2), (vec![0, 2], 1));
    }

    #[test]
    fn a_sample_without_a_mask_has_none_to_read() {
        let error = read_mask(&Sample::default()).unwrap_err();
        assert!(error.to_string().contains("no mask") && error.hint().is_some());
    }
}
