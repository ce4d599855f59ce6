//! Pascal VOC: an XML file of objects for each picture, and lists of the pictures of each split.
//!
//! ```text
//! root/Annotations/1.xml      root/JPEGImages/1.jpg      root/ImageSets/Main/{train,val,trainval,test}.txt
//! ```
//!
//! The root may lie in a folder `VOC2007`, perhaps in `VOCdevkit`. Without lists nothing says which split a picture belongs to. A
//! list `trainval` counts where there is no `train`. Coordinates are edges in pixels: although the format was once said to count
//! from 1, tools draw from 0. Masks are read by [`voc_masks`](super::voc_masks).

use super::boxes::{Frame, Placed, files_ending, folder_named, pictures, stem, text, wrong};
use super::found_objects::FoundObjects;
use super::image_folder::natural;
use super::{EXTENSIONS, Found};
use crate::{DataError, Object, ProblemKind, Problems, Split};
use rayon::prelude::*;
use roxmltree::{Document, Node};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

const REMEDY: &str =
    "expected Annotations/NAME.xml, JPEGImages/NAME.jpg and perhaps ImageSets/Main/train.txt";

/// Whether the folder holds such a data set.
pub(super) fn is_root(path: &Path) -> bool {
    !roots(path, ANNOTATIONS).is_empty()
}

/// A folder in the root, and the ending of the files in it.
pub(super) type Holder = (&'static str, &'static str);

const ANNOTATIONS: Holder = ("Annotations", "xml");

/// The folders that have such a folder with such files: this one, or the years in it.
pub(super) fn roots(path: &Path, (folder, ending): Holder) -> Vec<PathBuf> {
    let holds = |dir: &Path| {
        let entries = folder_named(dir, &[folder]).and_then(|folder| fs::read_dir(folder).ok());
        let ends = |path: PathBuf| {
            path.extension()
                .is_some_and(|extension| extension.eq_ignore_ascii_case(ending))
        };
        entries.is_some_and(|entries| entries.flatten().any(|entry| ends(entry.path())))
    };
    if holds(path) {
        return vec![path.into()];
    }
    let mut years: Vec<PathBuf> = vec![];
    for dir in [Some(path.to_owned()), folder_named(path, &["VOCdevkit"])]
        .into_iter()
        .flatten()
    {
        for entry in fs::read_dir(&dir).into_iter().flatten().flatten() {
            let is_year = entry
                .file_name()
                .to_string_lossy()
                .to_ascii_uppercase()
                .starts_with("VOC2");
            if is_year && holds(&entry.path()) {
                years.push(entry.path());
            }
        }
    }
    years.sort();
    years
}

/// The one folder of [`roots`].
pub(super) fn root(path: &Path, holder: Holder) -> Result<PathBuf, DataError> {
    let mut roots = roots(path, holder);
    if roots.len() == 1 {
        return Ok(roots.remove(0));
    }
    let names: Vec<String> = roots.iter().map(|root| format!("`{}`", root.display())).collect();
    let message = format!("several data sets, {}", names.join(", "));
    Err(wrong(path, None, message, "give one of them"))
}

/// The folder of the pictures, if there is one.
pub(super) fn images(root: &Path) -> Option<PathBuf> {
    folder_named(root, &["JPEGImages", "images", "img"])
}

/// The files in a folder by their names without the ending; of several of one name the first.
pub(super) fn by_name(folder: &Path, endings: &[&str]) -> Result<HashMap<String, PathBuf>, DataError> {
    let files = files_ending(folder, endings)?.into_iter().rev();
    Ok(files.map(|path| (stem(&path), path)).collect())
}

/// The files that are wanted for each split, in the order of the lists `ImageSets/{list}`; all, in natural order, for `None` where
/// there are no lists.
pub(super) fn wanted(
    root: &Path,
    list: &str,
    files: &HashMap<String, PathBuf>,
    problems: &mut Problems,
) -> Result<Vec<(Option<Split>, String)>, DataError> {
    let lists = match folder_named(root, &["ImageSets"]).and_then(|sets| folder_named(&sets, &[list])) {
        Some(folder) => lists(&folder, files, problems)?,
        None => BTreeMap::new(),
    };
    if lists.is_empty() {
        let mut names: Vec<&String> = files.keys().collect();
        names.sort_by(|a, b| natural(a, b));
        return Ok(names.into_iter().map(|name| (None, name.clone())).collect());
    }
    let of_split =
        |(split, names): (Split, Vec<String>)| names.into_iter().map(move |name| (Some(split), name));
    Ok(lists.into_iter().flat_map(of_split).collect())
}

/// The names of the classes in the XML files of a data set, in natural order.
pub(super) fn class_names(root: &Path) -> Result<Vec<String>, DataError> {
    let Some(annotations) = folder_named(root, &[ANNOTATIONS.0]) else {
        return Ok(vec![]);
    };
    let files = files_ending(&annotations, &[ANNOTATIONS.1])?;
    let records: Vec<Result<Record, DataError>> = files.par_iter().map(|file| Record::read(file)).collect();
    let records: Vec<Record> = records.into_iter().collect::<Result<_, _>>()?;
    Ok(names(&records))
}

fn names(records: &[Record]) -> Vec<String> {
    let objects = records.iter().flat_map(|record| &record.objects);
    let names: BTreeSet<String> = objects.filter_map(|object| object.name.clone()).collect();
    let mut names: Vec<String> = names.into_iter().collect();
    names.sort_by(|a, b| natural(a, b));
    names
}

pub(super) fn read(path: &Path) -> Result<Found, DataError> {
    let root = root(path, ANNOTATIONS)?;
    let annotations = folder_named(&root, &[ANNOTATIONS.0]).unwrap_or_else(|| root.join(ANNOTATIONS.0));
    let images = images(&root).unwrap_or_else(|| annotations.clone());
    let files = by_name(&annotations, &[ANNOTATIONS.1])?;
    let mut problems = Problems::default();
    // Each annotation with what it is for.
    let wanted = wanted(&root, "Main", &files, &mut problems)?;
    let split = wanted.first().is_none_or(|(split, _)| split.is_some());
    let records: Vec<Result<Record, DataError>> = wanted
        .par_iter()
        .map(|(_, name)| Record::read(&files[name]))
        .collect();
    let records: Vec<Record> = records.into_iter().collect::<Result<_, _>>()?;
    let mut found = FoundObjects::new(names(&records), false);
    found.problems = problems;
    for (part, _) in &wanted {
        found.name(*part);
    }

    let shown = by_name(&images, &EXTENSIONS)?;
    let mut taken: HashSet<(Option<Split>, PathBuf)> = HashSet::new();
    let mut annotated: HashSet<PathBuf> = HashSet::new();
    let mut kept: Vec<(Option<Split>, PathBuf, Record)> = vec![];
    for ((part, name), record) in wanted.into_iter().zip(records) {
        let named = record
            .filename
            .as_ref()
            .map(|(line, name)| (*line, images.join(name)));
        let picture = shown
            .get(&name)
            .cloned()
            .or_else(|| Some(named.clone()?.1).filter(|path| path.is_file()));
        let Some(picture) = picture else {
            let (line, what) = match named {
                Some((line, path)) => (
                    Some(line),
                    format!("neither `{name}` nor `{}` is among the pictures", path.display()),
                ),
                None => (None, format!("no picture `{name}` in `{}`", images.display())),
            };
            found
                .problems
                .at_line(ProblemKind::MissingPicture, &record.file, line, what, false);
            continue;
        };
        annotated.insert(picture.clone());
        if !taken.insert((part, picture.clone())) {
            let what = format!("`{}` has an annotation already", picture.display());
            found
                .problems
                .at_line(ProblemKind::TwoAnnotations, &record.file, None, what, false);
            continue;
        }
        kept.push((part, picture, record));
    }
    if !split {
        let mut silent: Vec<&PathBuf> = shown.values().filter(|path| !annotated.contains(*path)).collect();
        silent.sort();
        for path in silent {
            found.problems.at_line(
                ProblemKind::MissingAnnotation,
                path,
                None,
                "no annotation of this picture".into(),
                false,
            );
        }
    }
    let paths: Vec<PathBuf> = kept.iter().map(|(_, path, _)| path.clone()).collect();
    for ((part, path, record), picture) in kept.into_iter().zip(pictures(&paths)) {
        let size = picture.as_ref().ok().map(|picture| picture.size);
        let objects = match picture {
            Ok(picture) => {
                let (frame, report) = Frame::of_pixels(&picture, record.size.map(|(_, size)| size));
                if let (Some((what, repaired)), Some((line, _))) = (report, record.size) {
                    found
                        .problems
                        .at_line(ProblemKind::OtherSize, &record.file, line, what, repaired);
                }
                record.objects(&frame, &found.classes, &mut found.problems)
            }
            Err(reason) => {
                found
                    .problems
                    .at_line(ProblemKind::Unreadable, &path, None, reason, false);
                vec![]
            }
        };
        found.add(part, path, size, objects);
    }
    found.notes.push(format!(
        "read as Pascal VOC: `{}`{}",
        annotations.display(),
        if split { ", split by `ImageSets/Main`" } else { "" }
    ));
    found.finish(path, REMEDY)
}

/// The names in the lists of each split, of which there are annotations.
fn lists(
    main: &Path,
    files: &HashMap<String, PathBuf>,
    problems: &mut Problems,
) -> Result<BTreeMap<Split, Vec<String>>, DataError> {
    let present = |name: &str| Some(main.join(name)).filter(|path| path.is_file());
    let candidates = [
        (
            Split::Train,
            present("train.txt").or_else(|| present("trainval.txt")),
        ),
        (
            Split::Val,
            present("val.txt").filter(|_| present("train.txt").is_some()),
        ),
        (Split::Test, present("test.txt")),
    ];
    let mut lists = BTreeMap::new();
    for (split, list) in candidates {
        let Some(list) = list else { continue };
        let mut names: Vec<String> = vec![];
        let mut seen: HashSet<String> = HashSet::new();
        for (line, entry) in (1_u64..).zip(text(&list)?.lines()) {
            let entry = entry.trim();
            if entry.is_empty() {
                continue;
            }
            // Lists of one class have 1 or -1 behind the name.
            let first = entry.split_whitespace().next().unwrap_or(entry);
            let Some(name) = [entry, first].into_iter().find(|name| files.contains_key(*name)) else {
                let what = format!("no annotation of `{entry}`");
                problems.at_line(ProblemKind::MissingAnnotation, &list, line, what, false);
                continue;
            };
            if seen.insert(name.into()) {
                names.push(name.into());
            } else {
                problems.at_line(
                    ProblemKind::DuplicateId,
                    &list,
                    line,
                    format!("`{name}` again"),
                    true,
                );
            }
        }
        lists.insert(split, names);
    }
    Ok(lists)
}

/// What an XML file says.
struct Record {
    file: PathBuf,
    /// The line and the name of the picture.
    filename: Option<(u64, String)>,
    /// The line, and the width and height of the picture.
    size: Option<(u64, [f64; 2])>,
    objects: Vec<Said>,
}

/// What it says of an object.
struct Said {
    line: u64,
    name: Option<String>,
    /// Left, top, right, bottom.
    edges: [Option<f64>; 4],
    difficult: bool,
}

impl Record {
    fn read(file: &Path) -> Result<Self, DataError> {
        let text = text(file)?;
        let document = Document::parse(&text).map_err(|error| {
            let message = format!("not XML: {error}");
            wrong(
                file,
                u64::from(error.pos().row),
                message,
                "replace or remove the file",
            )
        })?;
        let line = |node: Node| u64::from(document.text_pos_at(node.range().start).row);
        let root = document.root_element();
        if !root.has_tag_name("annotation") {
            let message = format!("the root is `{}`, expected `annotation`", root.tag_name().name());
            return Err(wrong(file, line(root), message, REMEDY));
        }
        let number = |node: Option<Node>, name: &str| value(node?, name)?.parse::<f64>().ok();
        let size = child(root, "size");
        let edges = [number(size, "width"), number(size, "height")];
        let objects = root
            .children()
            .filter(|node| node.has_tag_name("object"))
            .map(|object| {
                let bbox = child(object, "bndbox");
                let flag = value(object, "difficult");
                Said {
                    line: line(object),
                    name: value(object, "name").map(str::to_owned),
                    edges: ["xmin", "ymin", "xmax", "ymax"].map(|name| number(bbox, name)),
                    difficult: flag.is_some_and(|flag| flag == "1" || flag.eq_ignore_ascii_case("true")),
                }
            });
        Ok(Self {
            file: file.into(),
            filename: child(root, "filename")
                .and_then(|node| Some((line(node), value(root, "filename")?.to_owned()))),
            size: match (size, edges) {
                (Some(node), [Some(width), Some(height)]) => Some((line(node), [width, height])),
                _ => None,
            },
            objects: objects.collect(),
        })
    }

    fn objects(&self, frame: &Frame, classes: &[String], problems: &mut Problems) -> Vec<Object> {
        let mut objects = vec![];
        for said in &self.objects {
            let mut report =
                |kind, what, repaired| problems.at_line(kind, &self.file, said.line, what, repaired);
            let class = said
                .name
                .as_ref()
                .and_then(|name| classes.iter().position(|class| class == name));
            let Some(class) = class else {
                report(
                    ProblemKind::UnknownClass,
                    "an object without a name".into(),
                    false,
                );
                continue;
            };
            let [Some(x0), Some(y0), Some(x1), Some(y1)] = said.edges else {
                let what = format!("`{}` without a box of four numbers", classes[class]);
                report(ProblemKind::NotANumber, what, false);
                continue;
            };
            match frame.place([x0, y0, x1, y1]) {
                Placed::Dropped(kind, what) => report(kind, what, false),
                Placed::Kept(bbox, cut) => {
                    if let Some(what) = cut {
                        report(ProblemKind::OutsidePicture, what, true);
                    }
                    objects.push(Object {
                        difficult: said.difficult,
                        ..Object::new(class, bbox)
                    });
                }
            }
        }
        objects
    }
}

fn child<'a, 'i>(node: Node<'a, 'i>, name: &str) -> Option<Node<'a, 'i>> {
    node.children().find(|child| child.has_tag_name(name))
}

/// The text of a child, without spaces around it; none if it is empty.
fn value<'a>(node: Node<'a, '_>, name: &str) -> Option<&'a str> {
    let text = child(node, name)?.text()?.trim();
    (!text.is_empty()).then_some(text)
}
