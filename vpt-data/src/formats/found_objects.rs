//! [`FoundObjects`]: pictures with their objects while a format is read, from which [`Found`] is made: their boxes, or masks drawn
//! from their outlines.

use super::boxes::wrong;
use super::{Found, Images};
use crate::error::counted;
use crate::{DataError, Label, Mask, Object, Objects, ProblemKind, Problems, Sample, Split, TaskKind};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The class of what no outline covers, the first one of masks.
const BACKGROUND: &str = "background";

/// Pictures with their objects.
pub(super) struct FoundObjects {
    pub classes: Vec<String>,
    /// Whether masks are made of the outlines; all objects have one then ([`FoundObjects::lacks_outline`]).
    pub masks: bool,
    /// Splits that the data set names, even those without pictures; `None` stands for all, where it names none.
    parts: BTreeMap<Option<Split>, Vec<Annotated>>,
    pub notes: Vec<String>,
    pub problems: Problems,
}

/// A picture with its objects.
struct Annotated {
    path: PathBuf,
    /// Width and height, if it can be read.
    size: Option<[u32; 2]>,
    objects: Objects,
}

impl FoundObjects {
    pub fn new(classes: Vec<String>, masks: bool) -> Self {
        Self {
            classes,
            masks,
            parts: BTreeMap::new(),
            notes: vec![],
            problems: Problems::default(),
        }
    }

    /// What to report of an object without an outline where masks are made; it is to be left out. `why` there is none, if not because
    /// nobody drew one.
    pub fn lacks_outline(why: Option<String>) -> (ProblemKind, String) {
        let what = match why {
            Some(why) => format!("an outline that cannot be drawn: {why}"),
            None => "a box without an outline".into(),
        };
        (ProblemKind::NoOutline, what)
    }

    /// Says that the data set has this split.
    pub fn name(&mut self, split: Option<Split>) {
        self.parts.entry(split).or_default();
    }

    /// Adds a picture of that width and height, if it can be read.
    pub fn add(&mut self, split: Option<Split>, path: PathBuf, size: Option<[u32; 2]>, objects: Vec<Object>) {
        self.parts.entry(split).or_default().push(Annotated {
            path,
            size,
            objects: Objects::new(objects),
        });
    }

    /// # Errors
    /// There is no picture to learn from, or nothing on those that there are.
    pub fn finish(mut self, root: &Path, remedy: &str) -> Result<Found, DataError> {
        let all = self.parts.get(&None);
        let to_learn_from = all.or_else(|| self.parts.get(&Some(Split::Train)));
        let pictures = to_learn_from.map_or(&[][..], Vec::as_slice);
        let missing = match self.problems.lines(1).first() {
            Some(first) => format!(
                "; {}, the first: {first}",
                counted(self.problems.len(), "problem")
            ),
            None => String::new(),
        };
        let failed =
            |message: String, remedy: &str| Err(wrong(root, None, format!("{message}{missing}"), remedy));
        if to_learn_from.is_none() {
            return failed("no training images are named".into(), remedy);
        }
        if pictures.is_empty() {
            return failed("there is none of the training images".into(), remedy);
        }
        let images = counted(pictures.len(), "training image");
        let mut objects = pictures.iter().flat_map(|picture| picture.objects.as_slice());
        if self.masks && objects.all(|object| object.crowd) {
            return failed(
                format!("no object with an outline on any of {images}"),
                "masks are drawn from outlines (polygons or run lengths), not from boxes: without `--kind segmentation` boxes are read",
            );
        }
        if pictures
            .iter()
            .all(|picture| picture.objects.classes().is_empty())
        {
            return failed(format!("no object on any of {images}"), remedy);
        }
        if self.masks {
            return self.drawn(root);
        }
        let label = |picture: &mut Annotated| Label::Objects(std::mem::take(&mut picture.objects));
        Ok(Found {
            kind: TaskKind::Detection,
            images: self.images(label),
            classes: self.classes,
            columns: vec![],
            notes: self.notes,
            problems: self.problems,
        })
    }

    /// Masks instead of objects: the background is the first class; a class of that name is no other.
    fn drawn(mut self, root: &Path) -> Result<Found, DataError> {
        let mut classes = vec![BACKGROUND.to_owned()];
        classes.extend(self.classes.iter().filter(|class| *class != BACKGROUND).cloned());
        if classes.len() > Mask::MAX_CLASSES {
            let most = Mask::MAX_CLASSES - 1;
            let message = format!(
                "{}, a mask has at most {most} and `{BACKGROUND}`",
                counted(classes.len() - 1, "class name")
            );
            return Err(wrong(
                root,
                None,
                message,
                "leave out classes, or have boxes read without `--kind segmentation`",
            ));
        }
        let place = |name: &String| classes.iter().position(|class| class == name).unwrap_or_default();
        let places: Vec<usize> = self.classes.iter().map(place).collect();
        let pictures = self.parts.values().flatten();
        let outlines = pictures.map(|picture| picture.objects.as_slice().len()).sum();
        self.notes.push(format!(
            "masks are drawn from {}: what none covers is `{BACKGROUND}`, of two that overlap the smaller is seen, crowds are ignored",
            counted(outlines, "outline")
        ));
        let label = |picture: &mut Annotated| {
            // What cannot be read has no pixels.
            let size = picture.size.unwrap_or_default();
            Label::Mask(Mask::of_outlines(size, 0, picture.objects.moved(&places)))
        };
        Ok(Found {
            kind: TaskKind::Segmentation,
            images: self.images(label),
            classes,
            columns: vec![],
            notes: self.notes,
            problems: self.problems,
        })
    }

    /// The pictures of each split.
    fn images(&mut self, label: impl Fn(&mut Annotated) -> Label) -> Images {
        let mut take = |split: Option<Split>| {
            let pictures = self.parts.remove(&split)?;
            let sample = |mut picture: Annotated| Sample {
                label: label(&mut picture),
                path: picture.path,
                ..Sample::default()
            };
            Some(pictures.into_iter().map(sample).collect::<Vec<_>>())
        };
        let all = take(None);
        let [train, val, test] = Split::ALL.map(|split| take(Some(split)));
        match (all, train) {
            (None, Some(train)) => Images::Split { train, val, test },
            (all, _) => Images::Unsplit(all.unwrap_or_default()),
        }
    }
}
