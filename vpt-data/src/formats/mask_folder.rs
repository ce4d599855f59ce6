//! A folder of pictures and a folder of masks, which say the class of each pixel.
//!
//! ```text
//! root/train/images/1.jpg   root/train/masks/1.png      or      root/images/train/1.jpg   root/masks/train/1.png
//! root/images/1.jpg         root/masks/1.png            (no splits)
//! ```
//!
//! `masks` may be called `mask`, `labels` or `annotations`. A mask has the name of its picture, but for the ending, and its
//! size as shown. It stores numbers: gray values of 1 to 16 bits, or places in a palette. A file in the root may name the classes
//! ([`Names`]). Without it, two numbers, 0 and another, are `background` and `foreground`, and other numbers name themselves.

use super::boxes::{files_ending, folder_named, sort_naturally, wrong};
use super::found_masks::{FoundMasks, Pair};
use super::image_folder::images_below;
use super::mask_numbers::{Names, Numbers};
use super::{EXTENSIONS, Found};
use crate::partition::relative;
use crate::{DataError, ProblemKind, Split};
use std::collections::{BTreeSet, HashMap};
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
    let mut found = FoundMasks::default();
    let mut ignored: BTreeSet<String> = BTreeSet::new();
    for part in &parts {
        found.name(part.split);
        part.pair(&mut found)?;
        for (name, path) in folders(&part.above) {
            let used = [&part.images, &part.masks]
                .into_iter()
                .any(|used| used.starts_with(&path));
            if !used && Split::of_folder(&name).is_none() && !name.starts_with('.') {
                ignored.insert(name);
            }
        }
    }
    let folders: Vec<String> = parts
        .iter()
        .map(|part| format!("`{}`", relative(&part.masks, root)))
        .collect();
    found
        .notes
        .push(format!("read as pictures and masks: {}", folders.join(", ")));
    if !ignored.is_empty() {
        let names: Vec<String> = ignored.iter().map(|name| format!("`{name}`")).collect();
        found.notes.push(format!(
            "ignored {} beside the pictures and masks",
            names.join(", ")
        ));
    }
    let names = Names::read(root)?;
    found.finish(root, names, Numbers::of_values, REMEDY)
}

impl Part {
    /// Pictures and masks of the same name below the two folders.
    fn pair(&self, found: &mut FoundMasks) -> Result<(), DataError> {
        let FoundMasks { pairs, problems, .. } = found;
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
