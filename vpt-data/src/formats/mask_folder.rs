//! A folder of pictures and a folder of masks, which say the class of each pixel.
//!
//! ```text
//! root/train/images/1.jpg   root/train/masks/1.png      or      root/images/train/1.jpg   root/masks/train/1.png
//! root/images/1.jpg         root/masks/1.png            (no splits)
//! ```
//!
//! `masks` may be called `mask`, `labels` or `annotations`. A mask has the name of its picture, but for the ending, and its
//! size as shown. It stores numbers: gray values of 1 to 16 bits, or places in a palette. `classes.txt` (or `labels.txt`) in
//! the root names the classes from 0 on, one a line; a line `ignore = 255` says which number is of no class (255 where it says
//! nothing). Without it, two numbers, 0 and another, are `background` and `foreground`, and other numbers name themselves.

use super::boxes::{files_ending, folder_named, pictures, sort_naturally, wrong};
use super::image_folder::images_below;
use super::mask_numbers::{Numbers, Stored};
use super::{EXTENSIONS, Found, Images};
use crate::partition::relative;
use crate::{DataError, Label, Mask, ProblemKind, Problems, Sample, Split, TaskKind};
use rayon::prelude::*;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

const IMAGES: [&str; 3] = ["images", "image", "imgs"];
const MASKS: [&str; 4] = ["masks", "mask", "labels", "annotations"];
const REMEDY: &str = "expected images/NAME.jpg and masks/NAME.png, perhaps below train/, val/ and test/, and perhaps classes.txt";

/// A folder of pictures and the folder of their masks.
struct Part {
    split: Option<Split>,
    /// What holds the two.
    above: PathBuf,
    images: PathBuf,
    masks: PathBuf,
}

/// Whether the folder holds such a data set.
pub(super) fn is_root(path: &Path) -> bool {
    parts(path).is_ok_and(|parts| parts.iter().any(Part::has_pair))
}

impl Part {
    fn of(split: Option<Split>, dir: &Path) -> Option<Self> {
        Some(Self {
            split,
            above: dir.into(),
            images: folder_named(dir, &IMAGES)?,
            masks: MASKS
                .iter()
                .find_map(|name| folder_named(dir, &[name]).filter(|folder| has_image(folder)))?,
        })
    }

    /// Whether a mask is there for a picture, so that these are not two classes.
    fn has_pair(&self) -> bool {
        let names = |folder: &Path| -> BTreeSet<String> {
            let files = files_ending(folder, &EXTENSIONS).unwrap_or_default();
            files.iter().map(|path| super::boxes::stem(path)).collect()
        };
        !names(&self.images).is_disjoint(&names(&self.masks))
    }
}

/// Whether an image lies in the folder, or in a folder in it.
fn has_image(folder: &Path) -> bool {
    let holds = |folder: &Path| files_ending(folder, &EXTENSIONS).is_ok_and(|files| !files.is_empty());
    let mut below = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path());
    holds(folder) || below.any(|path| path.is_dir() && holds(&path))
}

/// The folders in a folder, in natural order.
fn folders(dir: &Path) -> Vec<(String, PathBuf)> {
    let mut paths: Vec<PathBuf> = fs::read_dir(dir)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .collect();
    sort_naturally(&mut paths);
    let named = |path: PathBuf| Some((path.file_name()?.to_str()?.to_owned(), path));
    paths
        .into_iter()
        .filter(|path| path.is_dir())
        .filter_map(named)
        .collect()
}

fn parts(root: &Path) -> Result<Vec<Part>, DataError> {
    let mut parts: Vec<Part> = vec![];
    let mut add = |part: Option<Part>| match part {
        None => Ok(()),
        Some(part) => {
            if let Some(first) = parts.iter().find(|first| first.split == part.split) {
                let [one, other] = [first, &part].map(|part| part.images.display().to_string());
                return Err(wrong(
                    root,
                    None,
                    format!("`{one}` and `{other}` are both for one split"),
                    "keep one of them",
                ));
            }
            parts.push(part);
            Ok(())
        }
    };
    for (name, path) in folders(root) {
        if let Some(split) = Split::of_folder(&name) {
            add(Part::of(Some(split), &path))?;
        }
    }
    if let Some(whole) = Part::of(None, root) {
        let mut split = false;
        for (name, images) in folders(&whole.images) {
            let masks = whole.masks.join(&name);
            if let Some(of) = Split::of_folder(&name).filter(|_| masks.is_dir()) {
                split = true;
                let above = root.into();
                add(Some(Part {
                    split: Some(of),
                    above,
                    images,
                    masks,
                }))?;
            }
        }
        if !split && parts.is_empty() {
            parts.push(whole);
        }
    }
    parts.sort_by_key(|part| part.split);
    Ok(parts)
}

pub(super) fn read(root: &Path) -> Result<Found, DataError> {
    let parts = parts(root)?;
    let (mut problems, mut notes) = (Problems::default(), vec![]);
    let mut pairs: Vec<Pair> = vec![];
    let mut ignored: BTreeSet<String> = BTreeSet::new();
    for part in &parts {
        part.pair(&mut pairs, &mut problems)?;
        for (name, path) in folders(&part.above) {
            let used = [&part.images, &part.masks]
                .into_iter()
                .any(|used| used.starts_with(&path));
            if !used && Split::of_folder(&name).is_none() && !name.starts_with('.') {
                ignored.insert(name);
            }
        }
    }
    let found: Vec<String> = parts
        .iter()
        .map(|part| format!("`{}`", relative(&part.masks, root)))
        .collect();
    notes.push(format!("read as pictures and masks: {}", found.join(", ")));
    if !ignored.is_empty() {
        let names: Vec<String> = ignored.iter().map(|name| format!("`{name}`")).collect();
        notes.push(format!(
            "ignored {} beside the pictures and masks",
            names.join(", ")
        ));
    }
    let masks: Vec<Result<Stored, String>> = pairs.par_iter().map(|pair| Stored::read(&pair.mask)).collect();
    let paths: Vec<PathBuf> = pairs.iter().map(|pair| pair.image.clone()).collect();
    let mut kept: Vec<(Pair, Stored)> = vec![];
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
    let mut all: BTreeMap<u16, u64> = BTreeMap::new();
    for (value, count) in kept.iter().flat_map(|(_, stored)| &stored.counts) {
        *all.entry(*value).or_default() += count;
    }
    let Numbers {
        classes,
        values,
        ignored,
    } = match Numbers::file(root) {
        Some(file) => Numbers::of_file(&file, &all)?,
        None => Numbers::of_values(root, &all, &mut notes)?,
    };
    let mut samples: BTreeMap<Option<Split>, Vec<Sample>> =
        parts.iter().map(|part| (part.split, vec![])).collect();
    for (pair, stored) in kept {
        let class = |value: &u16| {
            values
                .iter()
                .find(|(known, _)| known == value)
                .map(|(_, class)| usize::from(*class))
        };
        for (value, count) in &stored.counts {
            if class(value).is_none() && !ignored.contains(value) {
                let what = format!("{count} pixels have the number {value}, which is no class");
                problems.at_line(ProblemKind::UnknownClass, &pair.mask, None, what, true);
            }
        }
        let present = stored.counts.keys().filter_map(class).collect();
        samples.entry(pair.split).or_default().push(Sample {
            path: pair.image,
            label: Label::Mask(Mask::new(pair.mask, values.clone(), present)),
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
    let (Images::Unsplit(to_learn_from)
    | Images::Split {
        train: to_learn_from, ..
    }) = &images;
    if to_learn_from.is_empty() {
        let first = problems
            .lines(1)
            .first()
            .map_or_else(String::new, |first| format!("; the first problem: {first}"));
        return Err(wrong(
            root,
            None,
            format!("no training image with a mask{first}"),
            REMEDY,
        ));
    }
    Ok(Found {
        kind: TaskKind::Segmentation,
        classes,
        columns: vec![],
        images,
        notes,
        problems,
    })
}

/// A picture and its mask.
struct Pair {
    split: Option<Split>,
    image: PathBuf,
    mask: PathBuf,
}

impl Part {
    /// Pictures and masks of the same name below the two folders.
    fn pair(&self, pairs: &mut Vec<Pair>, problems: &mut Problems) -> Result<(), DataError> {
        let name = |path: &Path, folder: &Path| relative(&path.with_extension(""), folder);
        let mut masks: HashMap<String, PathBuf> = HashMap::new();
        for mask in images_below(&self.masks)? {
            let key = name(&mask, &self.masks);
            if let Some(first) = masks.get(&key) {
                let what = format!("`{}` is of the same name", first.display());
                problems.at_line(ProblemKind::TwoAnnotations, &mask, None, what, false);
            } else {
                masks.insert(key, mask);
            }
        }
        for image in images_below(&self.images)? {
            match masks.remove(&name(&image, &self.images)) {
                Some(mask) => pairs.push(Pair {
                    split: self.split,
                    image,
                    mask,
                }),
                None => {
                    let what = format!("no mask of this name in `{}`", self.masks.display());
                    problems.at_line(ProblemKind::MissingAnnotation, &image, None, what, false);
                }
            }
        }
        let mut left: Vec<PathBuf> = masks.into_values().collect();
        left.sort();
        for mask in left {
            let what = format!("no picture of this name in `{}`", self.images.display());
            problems.at_line(ProblemKind::MissingPicture, &mask, None, what, false);
        }
        Ok(())
    }
}
