//! YOLO as Ultralytics has it: a description in YAML, and a text file of objects for each picture.
//!
//! ```text
//! data.yaml:   path: .    train: images/train    val: images/val    names: [cat, dog]
//! images/train/1.jpg      labels/train/1.txt:   0 0.5 0.5 0.2 0.1                 class, centre, width and height
//!                                               1 0.1 0.1 0.3 0.1 0.2 0.4         class and points of an outline
//! ```
//!
//! Coordinates are parts of the picture's width and height. A split is a folder, a `.txt` list of pictures, or several of them.
//! Labels lie where the last folder `images` of a picture's path is called `labels`, or beside the picture. A picture without
//! a file of labels has no objects.

use super::boxes::{Frame, Picture, Placed, files_ending, pictures, stem, text, wrong};
use super::found_objects::FoundObjects;
use super::image_folder::images_below;
use super::yolo_description::{Described, description};
use super::{EXTENSIONS, Found, is_image};
use crate::error::counted;
use crate::{DataError, Object, Outline, PixelBox, ProblemKind, Problems};
use rayon::prelude::*;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::{Component, Path, PathBuf};

pub(super) const REMEDY: &str = "expected `train:`, `val:` and `names:` as in Ultralytics' data.yaml, images/…/NAME.jpg and labels/…/NAME.txt";

/// Boxes, or masks drawn from the outlines.
pub(super) fn read(path: &Path, masks: bool) -> Result<Found, DataError> {
    let Some(file) = description(path) else {
        return Err(wrong(path, None, "no description of the data set", REMEDY));
    };
    let described = Described::read(&file)?;
    let mut found = FoundObjects::new(described.classes.clone(), masks);
    let mut pairs = vec![];
    for (&split, places) in &described.splits {
        found.name(Some(split));
        let mut paths = vec![];
        for (line, place) in places {
            paths.extend(images_of(&described.file, *line, place, &mut found.problems)?);
        }
        let mut seen = HashSet::new();
        paths.retain(|path| seen.insert(path.clone()));
        let sizes = pictures(&paths);
        let labels: Vec<PathBuf> = paths.iter().map(|path| labels_of(path)).collect();
        let read: Vec<Result<Labelled, DataError>> = labels
            .par_iter()
            .zip(&paths)
            .zip(&sizes)
            .map(|((labels, path), size)| described.labelled(labels, path, size, masks))
            .collect();
        let mut silent = 0;
        for ((path, size), labelled) in paths.iter().zip(sizes).zip(read) {
            let labelled = labelled?;
            silent += usize::from(!labelled.has_file);
            found.problems.append(labelled.problems);
            let size = size.ok().map(|picture| picture.size);
            found.add(Some(split), path.clone(), size, labelled.objects);
        }
        if silent > 0 {
            found.notes.push(format!(
                "{} of `{split}` without a file of labels: taken as without objects",
                counted(silent, "picture")
            ));
        }
        pairs.extend(paths.into_iter().zip(labels));
    }
    orphans(&pairs, &mut found.problems);
    found
        .notes
        .insert(0, format!("read as YOLO: `{}`", described.file.display()));
    found.finish(path, REMEDY)
}

impl Described {
    /// The objects of a picture.
    fn labelled(
        &self,
        labels: &Path,
        path: &Path,
        picture: &Result<Picture, String>,
        masks: bool,
    ) -> Result<Labelled, DataError> {
        let mut labelled = Labelled {
            has_file: labels.is_file(),
            ..Labelled::default()
        };
        let picture = match picture {
            Ok(picture) => picture,
            Err(reason) => {
                labelled
                    .problems
                    .at_line(ProblemKind::Unreadable, path, None, reason.clone(), false);
                return Ok(labelled);
            }
        };
        if !labelled.has_file {
            return Ok(labelled);
        }
        let frame = Frame::of_parts(picture);
        let mut seen: HashSet<String> = HashSet::new();
        for (line, said) in (1_u64..).zip(text(labels)?.lines()) {
            let said = said.split_whitespace().collect::<Vec<_>>();
            if said.is_empty() {
                continue;
            }
            let problems = &mut labelled.problems;
            if !seen.insert(said.join(" ")) {
                problems.at_line(
                    ProblemKind::DuplicateObject,
                    labels,
                    line,
                    "the same as a line above".into(),
                    false,
                );
                continue;
            }
            match self.object(&said, &frame, masks) {
                Err((kind, what)) => problems.at_line(kind, labels, line, what, false),
                Ok((object, cut)) => {
                    if let Some(what) = cut {
                        problems.at_line(ProblemKind::OutsidePicture, labels, line, what, true);
                    }
                    labelled.objects.push(object);
                }
            }
        }
        Ok(labelled)
    }

    /// The object of a line; also what to report if it was cut.
    fn object(
        &self,
        said: &[&str],
        frame: &Frame,
        masks: bool,
    ) -> Result<(Object, Option<String>), (ProblemKind, String)> {
        let numbers: Vec<f64> = said
            .iter()
            .map_while(|value| value.parse().ok().filter(|v: &f64| v.is_finite()))
            .collect();
        let bad = |what: String| (ProblemKind::NotANumber, what);
        if numbers.len() < said.len() {
            return Err(bad(format!("`{}`, expected a number", said[numbers.len()])));
        }
        let is_box = numbers.len() == 5 || (self.points && numbers.len() > 5);
        if !is_box && (numbers.len() < 7 || numbers.len().is_multiple_of(2)) {
            let found = counted(numbers.len(), "number");
            return Err(bad(format!(
                "{found}, expected `class cx cy width height` or a class and three points or more"
            )));
        }
        let class = Some(numbers[0]).filter(|class| class.fract() == 0.0 && (0.0..1e15).contains(class));
        let Some(&class) = class.and_then(|class| self.numbers.get(&(class as u64))) else {
            let what = format!(
                "the class {}, expected one of {}",
                said[0],
                counted(self.classes.len(), "class number")
            );
            return Err((ProblemKind::UnknownClass, what));
        };
        let (edges, outline) = if is_box {
            if masks {
                return Err(FoundObjects::lacks_outline(None));
            }
            let (x, y, width, height) = (numbers[1], numbers[2], numbers[3], numbers[4]);
            let (across, down) = (width / 2.0, height / 2.0);
            ([x - across, y - down, x + across, y + down], None)
        } else {
            let points = numbers[1..].as_chunks::<2>().0;
            let around = PixelBox::around(points.iter().copied()).ok_or_else(|| bad("no points".into()))?;
            let placed = points.iter().map(|&point| frame.point(point)).collect();
            (around.edges(), Some(Outline::Polygons(vec![placed])))
        };
        match frame.place(edges) {
            Placed::Dropped(kind, what) => Err((kind, what)),
            Placed::Kept(bbox, cut) => {
                let object = Object {
                    outline,
                    ..Object::new(class, bbox)
                };
                Ok((object, cut))
            }
        }
    }
}

/// What the labels of a picture say.
#[derive(Default)]
struct Labelled {
    objects: Vec<Object>,
    problems: Problems,
    has_file: bool,
}

/// The pictures that a split's entry names: all below a folder, or those of a list.
fn images_of(
    file: &Path,
    line: u64,
    place: &Path,
    problems: &mut Problems,
) -> Result<Vec<PathBuf>, DataError> {
    if place.is_dir() {
        return images_below(place);
    }
    if !place
        .extension()
        .is_some_and(|extension| extension.eq_ignore_ascii_case("txt"))
    {
        let message = format!(
            "`{}` is neither a folder nor a .txt list of pictures",
            place.display()
        );
        return Err(wrong(file, line, message, REMEDY));
    }
    let beside = place.parent().unwrap_or(Path::new(""));
    let base = file.parent().unwrap_or(Path::new(""));
    let mut paths = vec![];
    for (line, entry) in (1_u64..).zip(text(place)?.lines()) {
        let entry = entry.trim();
        if entry.is_empty() {
            continue;
        }
        let candidates = [beside.join(entry.trim_start_matches("./")), base.join(entry)];
        match candidates
            .into_iter()
            .find(|path| is_image(path) && path.is_file())
        {
            Some(path) => paths.push(path),
            None => problems.at_line(
                ProblemKind::MissingPicture,
                place,
                line,
                format!("no picture `{entry}`"),
                false,
            ),
        }
    }
    Ok(paths)
}

/// Where the labels of a picture are.
fn labels_of(image: &Path) -> PathBuf {
    let parts: Vec<Component> = image.components().collect();
    let folders = parts.len().saturating_sub(1);
    let last = parts[..folders]
        .iter()
        .rposition(|part| part.as_os_str() == "images");
    let swapped: PathBuf = match last {
        None => image.into(),
        Some(last) => {
            let swap = |(at, part): (usize, &Component<'_>)| match at == last {
                true => "labels".into(),
                false => part.as_os_str().to_owned(),
            };
            parts.iter().enumerate().map(swap).collect()
        }
    };
    let labels = swapped.with_extension("txt");
    let beside = image.with_extension("txt");
    if !labels.is_file() && beside.is_file() {
        beside
    } else {
        labels
    }
}

/// Reports labels without a picture: of pictures and their labels, other labels in folders of labels whose name no picture has.
fn orphans(pairs: &[(PathBuf, PathBuf)], problems: &mut Problems) {
    let mut folders: BTreeMap<&Path, BTreeSet<&Path>> = BTreeMap::new();
    for (image, labels) in pairs {
        if let (Some(images), Some(labels)) = (image.parent(), labels.parent()) {
            folders.entry(labels).or_default().insert(images);
        }
    }
    for (labels, images) in folders {
        if images.contains(labels) {
            // Any text may lie beside pictures.
            continue;
        }
        let pictures = images
            .iter()
            .flat_map(|folder| files_ending(folder, &EXTENSIONS).unwrap_or_default());
        let pictures: HashSet<String> = pictures.map(|path| stem(&path)).collect();
        for file in files_ending(labels, &["txt"]).unwrap_or_default() {
            if !pictures.contains(&stem(&file)) && stem(&file) != "classes" {
                problems.at_line(
                    ProblemKind::MissingPicture,
                    &file,
                    None,
                    "no picture of this name".into(),
                    false,
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_lie_where_images_are_called_labels() {
        for (image, labels) in [
            ("images/train/1.jpg", "labels/train/1.txt"),
            ("images/a/images/1.x.png", "images/a/labels/1.x.txt"),
            ("pictures/1.jpg", "pictures/1.txt"),
            ("images", "images.txt"),
        ] {
            assert_eq!(labels_of(Path::new(image)), Path::new(labels));
        }
    }
}
