//! Pascal VOC's classes of pixels: a PNG file for each picture, and lists of the pictures of each split.
//!
//! ```text
//! root/SegmentationClass/1.png   root/JPEGImages/1.jpg   root/ImageSets/Segmentation/{train,val,trainval,test}.txt
//! ```
//!
//! The root lies where it does for [`voc`], and lists count as they do there. Masks store numbers, as places in a palette
//! or gray: 0 is the background, 255 of no class. Where a file in the root names the classes ([`Names`]) it names them from 0 on; where
//! it has colours (CVAT's `labelmap.txt`), masks may store those. Without it the names in `Annotations/*.xml`, in natural order, are
//! the classes from 1 on, if there are as many as the largest number; else numbers name themselves.

use super::boxes::{folder_named, wrong};
use super::found_masks::{FoundMasks, Pair};
use super::mask_numbers::{Names, Numbers};
use super::voc::{self, Holder};
use super::{EXTENSIONS, Found};
use crate::{DataError, Mask, ProblemKind};
use std::collections::{BTreeMap, HashSet};
use std::path::Path;

const MASKS: Holder = ("SegmentationClass", "png");
const REMEDY: &str =
    "expected SegmentationClass/NAME.png, JPEGImages/NAME.jpg and perhaps ImageSets/Segmentation/train.txt";

/// Whether the folder holds such a data set.
pub(super) fn is_root(path: &Path) -> bool {
    !voc::roots(path, MASKS).is_empty()
}

pub(super) fn read(path: &Path) -> Result<Found, DataError> {
    if !is_root(path) {
        let message = "no masks in `SegmentationClass`, only boxes";
        return Err(wrong(
            path,
            None,
            message,
            format!("{REMEDY}; without `--kind segmentation` boxes are read"),
        ));
    }
    let root = voc::root(path, MASKS)?;
    let masks = folder_named(&root, &[MASKS.0]).unwrap_or_else(|| root.join(MASKS.0));
    let images = voc::images(&root).unwrap_or_else(|| root.join("JPEGImages"));
    let (files, shown) = (
        voc::by_name(&masks, &[MASKS.1])?,
        voc::by_name(&images, &EXTENSIONS)?,
    );
    let mut found = FoundMasks::default();
    let wanted = voc::wanted(&root, "Segmentation", &files, &mut found.problems)?;
    let split = wanted.first().is_none_or(|(split, _)| split.is_some());
    for (split, name) in &wanted {
        found.name(*split);
        match shown.get(name) {
            Some(image) => found.pairs.push(Pair {
                split: *split,
                image: image.clone(),
                mask: files[name].clone(),
            }),
            None => {
                let what = format!("no picture of this name in `{}`", images.display());
                found
                    .problems
                    .at_line(ProblemKind::MissingPicture, &files[name], None, what, false);
            }
        }
    }
    if !split {
        let masked: HashSet<&String> = files.keys().collect();
        let mut silent: Vec<_> = shown.iter().filter(|(name, _)| !masked.contains(name)).collect();
        silent.sort();
        for (_, image) in silent {
            let what = format!("no mask of this name in `{}`", masks.display());
            found
                .problems
                .at_line(ProblemKind::MissingAnnotation, image, None, what, false);
        }
    }
    found.notes.push(format!(
        "read as Pascal VOC: `{}`{}",
        masks.display(),
        if split {
            ", split by `ImageSets/Segmentation`"
        } else {
            ""
        }
    ));
    found.finish(&root, Names::read(&root)?, numbers, REMEDY)
}

/// The classes where no file names them: those of the XML files, or the numbers.
fn numbers(root: &Path, all: &BTreeMap<u16, u64>, notes: &mut Vec<String>) -> Result<Numbers, DataError> {
    let names = voc::class_names(root)?;
    let ignored = u16::from(Mask::IGNORED);
    let largest = all.keys().rfind(|number| **number != ignored);
    if names.is_empty() || largest.is_none_or(|&largest| usize::from(largest) != names.len()) {
        return Numbers::of_values(root, all, notes);
    }
    notes.push("classes are named by `Annotations`: 1 is the first name".into());
    let background = "background".to_owned();
    Ok(Numbers::of_classes(
        [background].into_iter().chain(names).collect(),
    ))
}
