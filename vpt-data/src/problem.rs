//! [`Problem`]: what is wrong with an annotation, and what was done about it.

use crate::error::counted;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

/// How many problems of one kind are kept in words; all are counted.
const KEPT: usize = 1000;

/// What is wrong with an annotation. Each kind has one rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProblemKind {
    /// A box reaches out of the picture by more than 0.01 pixels: cut to the picture.
    OutsidePicture,
    /// A box has no area, at all or within the picture: left out.
    ZeroArea,
    /// A class that the data set does not name: the object is left out, the pixels of a mask are ignored.
    UnknownClass,
    /// A number is missing, is none, or not finite: the object is left out.
    NotANumber,
    /// An outline that cannot be drawn: the object keeps its box.
    BadOutline,
    /// An object whose outline is missing or cannot be drawn, where masks are to be made of outlines: the object is left out.
    NoOutline,
    /// The picture is not there: the annotation is left out.
    MissingPicture,
    /// A picture without a word about it in a data set that needs one: left out.
    MissingAnnotation,
    /// A second annotation of a picture: the first counts.
    TwoAnnotations,
    /// An identifier that occurs twice: of images the first counts; of objects both do, unless they are the same.
    DuplicateId,
    /// An object, line by line the same as another of its picture: left out.
    DuplicateObject,
    /// An object of an image that is not in the list: left out.
    NoSuchImage,
    /// The picture has another size than its annotation says. Boxes are scaled where it has the same shape, turned where the
    /// Exif orientation explains it, and else taken as they are; a mask of another size is left out with its picture.
    OtherSize,
    /// A picture or a mask that cannot be read: a mask is left out with its picture, a picture is dealt with as any unreadable one.
    Unreadable,
    /// Two classes of one name: they are one class.
    DuplicateClass,
}

impl ProblemKind {
    /// What it is of one, and of several.
    fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::OutsidePicture => (
                "box that reaches out of its picture, cut",
                "boxes that reach out of their pictures, cut",
            ),
            Self::ZeroArea => ("box without area, left out", "boxes without area, left out"),
            Self::UnknownClass => ("unknown class, ignored", "unknown classes, ignored"),
            Self::NotANumber => (
                "object with impossible numbers, left out",
                "objects with impossible numbers, left out",
            ),
            Self::BadOutline => (
                "outline that cannot be drawn, replaced by its box",
                "outlines that cannot be drawn, replaced by their boxes",
            ),
            Self::NoOutline => (
                "object without an outline, left out",
                "objects without outlines, left out",
            ),
            Self::MissingPicture => (
                "picture that is not there, left out",
                "pictures that are not there, left out",
            ),
            Self::MissingAnnotation => (
                "picture without annotation, left out",
                "pictures without annotation, left out",
            ),
            Self::TwoAnnotations => (
                "picture annotated twice, of which the first counts",
                "pictures annotated twice, of which the first counts",
            ),
            Self::DuplicateId => ("identifier that occurs twice", "identifiers that occur twice"),
            Self::DuplicateObject => (
                "object that is there twice, left out once",
                "objects that are there twice, left out once",
            ),
            Self::NoSuchImage => (
                "object of an image that is not listed, left out",
                "objects of images that are not listed, left out",
            ),
            Self::OtherSize => (
                "picture of another size than its annotation says",
                "pictures of another size than their annotations say",
            ),
            Self::Unreadable => ("file that cannot be read", "files that cannot be read"),
            Self::DuplicateClass => (
                "class named twice, taken as one",
                "classes named twice, taken as one",
            ),
        }
    }
}

/// Something wrong with an annotation.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Problem {
    /// What kind of thing, and so by which rule it was dealt with.
    pub kind: ProblemKind,
    /// The file that says so.
    pub file: PathBuf,
    /// The line, from 1, where the file has lines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    /// The place in a file that has none: `annotations[17]`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// What was found, and what was made of it.
    pub what: String,
    /// Whether what the annotation says is still used, mended.
    pub repaired: bool,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        match &self.key {
            Some(key) => write!(f, ": {key}: {}", self.what),
            None => write!(f, ": {}", self.what),
        }
    }
}

/// All that is wrong with the annotations of a data set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problems {
    /// How many there are of each kind.
    counts: BTreeMap<ProblemKind, usize>,
    /// The first thousand of each kind, in the order in which they were found.
    listed: Vec<Problem>,
}

impl Problems {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.counts.values().sum()
    }

    /// Whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }

    /// How many there are of a kind.
    pub fn count(&self, kind: ProblemKind) -> usize {
        self.counts.get(&kind).copied().unwrap_or_default()
    }

    /// How many there are of each kind that there is.
    pub fn counts(&self) -> &BTreeMap<ProblemKind, usize> {
        &self.counts
    }

    /// The problems in the order in which they were found, of each kind no more than the first thousand.
    pub fn listed(&self) -> &[Problem] {
        &self.listed
    }

    /// One line that counts them by kind; none if there are none.
    pub fn summary(&self) -> Option<String> {
        let of_kind = |(kind, count): (&ProblemKind, &usize)| match (count, kind.words()) {
            (1, (one, _)) => format!("1 {one}"),
            (count, (_, several)) => format!("{count} {several}"),
        };
        let kinds: Vec<String> = self.counts.iter().map(of_kind).collect();
        (!kinds.is_empty()).then(|| {
            let all = counted(self.len(), "problem");
            format!("{all} in the annotations: {}", kinds.join("; "))
        })
    }

    /// The first `most` in words, one a line, and how many there are beyond them.
    pub fn lines(&self, most: usize) -> Vec<String> {
        let mut lines: Vec<String> = self.listed.iter().take(most).map(Problem::to_string).collect();
        match self.len() - lines.len() {
            0 => {}
            more => lines.push(format!("and {more} more")),
        }
        lines
    }

    pub(crate) fn push(&mut self, problem: Problem) {
        let count = self.counts.entry(problem.kind).or_default();
        *count += 1;
        if *count <= KEPT {
            self.listed.push(problem);
        }
    }

    /// Adds those of another part of the data set.
    pub(crate) fn append(&mut self, other: Self) {
        let mut kept = self.counts.clone();
        self.listed.extend(other.listed.into_iter().filter(|problem| {
            let kept = kept.entry(problem.kind).or_default();
            *kept += 1;
            *kept <= KEPT
        }));
        for (kind, count) in other.counts {
            *self.counts.entry(kind).or_default() += count;
        }
    }

    /// Adds one of a line of a file.
    pub(crate) fn at_line(
        &mut self,
        kind: ProblemKind,
        file: &Path,
        line: impl Into<Option<u64>>,
        what: String,
        repaired: bool,
    ) {
        self.push(Problem {
            kind,
            file: file.into(),
            line: line.into(),
            key: None,
            what,
            repaired,
        });
    }

    /// Adds one of a place in a file.
    pub(crate) fn at_key(
        &mut self,
        kind: ProblemKind,
        file: &Path,
        key: String,
        what: String,
        repaired: bool,
    ) {
        self.push(Problem {
            kind,
            file: file.into(),
            line: None,
            key: Some(key),
            what,
            repaired,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_are_counted_and_a_thousand_kept() {
        let of = |count: u64| {
            let mut problems = Problems::default();
            for line in 1..=count {
                problems.at_line(
                    ProblemKind::ZeroArea,
                    Path::new("a.txt"),
                    line,
                    "empty".into(),
                    false,
                );
            }
            problems
        };
        let mut problems = of(900);
        problems.append(of(300));
        problems.at_key(
            ProblemKind::NoSuchImage,
            Path::new("b.json"),
            "annotations[3]".into(),
            "image 9".into(),
            false,
        );
        assert_eq!((problems.len(), problems.listed().len()), (1201, 1001));
        assert_eq!(problems.count(ProblemKind::ZeroArea), 1200);
        assert_eq!(
            problems.listed()[1000].to_string(),
            "b.json: annotations[3]: image 9"
        );
        assert_eq!(
            problems.summary().unwrap(),
            "1201 problems in the annotations: 1200 boxes without area, left out; \
             1 object of an image that is not listed, left out"
        );
        assert_eq!(
            problems.lines(2),
            ["a.txt:1: empty", "a.txt:2: empty", "and 1199 more"]
        );
        assert_eq!((Problems::default().summary(), of(1).lines(5).len()), (None, 1));
    }
}
