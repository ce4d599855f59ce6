//! A folder of images per class, perhaps below split folders.
//!
//! ```text
//! root/train/cat/1.jpg      or      root/cat/1.jpg
//! root/val/cat/2.jpg                root/cat/deeper/2.jpg
//! root/test/dog/3.jpg               root/dog/3.jpg
//! ```
//!
//! A [`Metadata`] table in the root, or in the split folders, may say more of the images.

use super::metadata::{Metadata, describe_splits};
use super::{Found, Images, is_image};
use crate::error::counted;
use crate::{ColumnNames, DataError, Problems, Sample, Split, TaskKind};
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Folders that systems and tools leave behind; names that begin with a dot are ignored anyway.
const IGNORED: [&str; 5] = [
    "__MACOSX",
    "@eaDir",
    "lost+found",
    "$RECYCLE.BIN",
    "System Volume Information",
];

pub(super) fn read(root: &Path, names: &ColumnNames) -> Result<Found, DataError> {
    let listing = Listing::of(root)?;
    if is_split(&listing)? {
        read_split(root, listing, names)
    } else {
        read_unsplit(root, listing, names)
    }
}

fn read_unsplit(root: &Path, listing: Listing, names: &ColumnNames) -> Result<Found, DataError> {
    let mut notes = vec![];
    let folders = class_folders(root, listing, &mut notes)?;
    let classes: Vec<String> = folders.iter().map(|folder| folder.name.clone()).collect();
    let samples = folders
        .into_iter()
        .enumerate()
        .flat_map(|(label, folder)| folder.samples(label))
        .collect();
    let (columns, images) = match Metadata::find(root, names, true)? {
        None => (vec![], Images::Unsplit(samples)),
        Some(metadata) => {
            let images = metadata.split(samples, &classes, &mut notes)?;
            (metadata.columns(), images)
        }
    };
    Ok(Found {
        kind: TaskKind::Classification,
        classes,
        columns,
        images,
        notes,
        problems: Problems::default(),
    })
}

fn read_split(root: &Path, listing: Listing, names: &ColumnNames) -> Result<Found, DataError> {
    let mut notes = vec![];
    if !listing.images.is_empty() {
        let images = counted(listing.images.len(), "image");
        notes.push(format!("ignored {images} beside the split folders"));
    }
    let mut folders = BTreeMap::new();
    for folder in listing.folders {
        let Some(split) = Split::of_folder(&folder.name) else {
            notes.push(format!(
                "ignored the folder `{}` beside the split folders",
                folder.name
            ));
            continue;
        };
        if let Some(first) = folders.insert(split, folder.clone()) {
            let (first, second) = (first.name, folder.name);
            return Err(DataError::DuplicateSplit {
                dir: root.into(),
                split,
                first,
                second,
            });
        }
    }
    let Some(train) = folders.remove(&Split::Train) else {
        let found = folders
            .into_values()
            .next()
            .map(|folder| folder.name)
            .unwrap_or_default();
        return Err(DataError::NoTrain {
            dir: root.into(),
            found,
        });
    };
    let train_folders = class_folders(&train.path, Listing::of(&train.path)?, &mut notes)?;
    let classes: Vec<String> = train_folders.iter().map(|folder| folder.name.clone()).collect();
    let train_samples = train_folders
        .into_iter()
        .enumerate()
        .flat_map(|(label, folder)| folder.samples(label))
        .collect();
    let mut splits = vec![(train, train_samples)];
    let mut held_out = BTreeMap::new();
    for (split, folder) in folders {
        if let Some(samples) = read_held_out(split, &folder, &classes, &mut notes)? {
            held_out.insert(split, splits.len());
            splits.push((folder, samples));
        }
    }
    let columns = describe_splits(root, &mut splits, names, &mut notes)?;
    let mut take = |place: usize| std::mem::take(&mut splits[place].1);
    let images = Images::Split {
        train: take(0),
        val: held_out.get(&Split::Val).map(|&place| take(place)),
        test: held_out.get(&Split::Test).map(|&place| take(place)),
    };
    Ok(Found {
        kind: TaskKind::Classification,
        classes,
        columns,
        images,
        notes,
        problems: Problems::default(),
    })
}

/// Images of `val` or `test`, labelled by the classes of `train`; none if the folder holds no labelled image.
fn read_held_out(
    split: Split,
    folder: &Folder,
    classes: &[String],
    notes: &mut Vec<String>,
) -> Result<Option<Vec<Sample>>, DataError> {
    let listing = Listing::of(&folder.path)?;
    if listing.folders.is_empty() {
        notes.push(match listing.images.len() {
            0 => format!("ignored `{}`, which is empty", folder.name),
            n => format!(
                "ignored `{}`: {} without class folders, so without labels",
                folder.name,
                counted(n, "image")
            ),
        });
        return Ok(None);
    }
    let mut samples = vec![];
    let mut missing: Vec<&str> = classes.iter().map(String::as_str).collect();
    for class in with_images(&folder.path, listing, notes)? {
        let Some(label) = classes.iter().position(|name| *name == class.name) else {
            return Err(
                match classes.iter().find(|name| differ_in_case_only(name, &class.name)) {
                    Some(name) => DataError::ClassCase {
                        dir: folder.path.clone(),
                        first: name.clone(),
                        second: class.name,
                    },
                    None => DataError::UnknownClass {
                        split,
                        class: class.name,
                        dir: class.path,
                    },
                },
            );
        };
        missing.retain(|name| *name != class.name);
        samples.extend(class.samples(label));
    }
    samples.sort_by_key(|sample: &Sample| sample.label.class()); // stable: file order stays
    if !missing.is_empty() {
        notes.push(format!("`{}` has no images of {}", folder.name, quoted(&missing)));
    }
    Ok(Some(samples))
}

/// Whether the data set is split by folders: it has a `train` folder of folders, or nothing but split folders.
///
/// A class may be called `train` as well: then the folder holds images, and other classes stand beside it.
fn is_split(listing: &Listing) -> Result<bool, DataError> {
    let split_of = |folder: &Folder| Split::of_folder(&folder.name);
    if !listing.folders.is_empty() && listing.folders.iter().all(|folder| split_of(folder).is_some()) {
        return Ok(true);
    }
    for folder in listing
        .folders
        .iter()
        .filter(|folder| split_of(folder) == Some(Split::Train))
    {
        if !Listing::of(&folder.path)?.folders.is_empty() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The class folders in `dir`, checked: at least two, none empty, no two that differ in case only.
fn class_folders(
    dir: &Path,
    listing: Listing,
    notes: &mut Vec<String>,
) -> Result<Vec<ClassFolder>, DataError> {
    if listing.folders.is_empty() {
        return Err(match listing.images.len() {
            0 => DataError::NoImages { dir: dir.into() },
            images => DataError::NoClassFolders {
                dir: dir.into(),
                images,
            },
        });
    }
    for (at, one) in listing.folders.iter().enumerate() {
        if let Some(other) = listing.folders[at + 1..]
            .iter()
            .find(|o| differ_in_case_only(&o.name, &one.name))
        {
            let (first, second) = (one.name.clone(), other.name.clone());
            return Err(DataError::ClassCase {
                dir: dir.into(),
                first,
                second,
            });
        }
    }
    let folders = with_images(dir, listing, notes)?;
    if let [only] = folders.as_slice() {
        let nested = !Listing::of(&only.path)?.folders.is_empty();
        return Err(DataError::OneClass {
            dir: dir.into(),
            class: only.name.clone(),
            nested,
        });
    }
    Ok(folders)
}

/// Finds the images of each folder; an empty one is an error.
fn with_images(dir: &Path, listing: Listing, notes: &mut Vec<String>) -> Result<Vec<ClassFolder>, DataError> {
    if !listing.images.is_empty() {
        let images = counted(listing.images.len(), "image");
        notes.push(format!(
            "ignored {images} beside the class folders in `{}`",
            dir.display()
        ));
    }
    let mut folders = vec![];
    for Folder { name, path } in listing.folders {
        let images = images_below(&path)?;
        folders.push(ClassFolder { name, path, images });
    }
    if folders.iter().all(|folder| folder.images.is_empty()) {
        return Err(DataError::NoImages { dir: dir.into() });
    }
    match folders.iter().find(|folder| folder.images.is_empty()) {
        Some(empty) => Err(DataError::EmptyClass {
            dir: empty.path.clone(),
        }),
        None => Ok(folders),
    }
}

/// A class and its images.
struct ClassFolder {
    name: String,
    path: PathBuf,
    images: Vec<PathBuf>,
}

impl ClassFolder {
    fn samples(self, label: usize) -> impl Iterator<Item = Sample> {
        self.images.into_iter().map(move |path| Sample {
            path,
            label: label.into(),
            ..Sample::default()
        })
    }
}

/// All images below a folder, however deep, in natural order.
pub(super) fn images_below(folder: &Path) -> Result<Vec<PathBuf>, DataError> {
    let canonical = folder
        .canonicalize()
        .map_err(|source| DataError::io(folder, source))?;
    let mut images = vec![];
    descend(folder, &mut vec![canonical], &mut images)?;
    images.sort_by(|a, b| natural(&a.to_string_lossy(), &b.to_string_lossy()).then_with(|| a.cmp(b)));
    Ok(images)
}

/// `above` is where we are and how we got there, without links, so that a link back is noticed.
fn descend(folder: &Path, above: &mut Vec<PathBuf>, images: &mut Vec<PathBuf>) -> Result<(), DataError> {
    let listing = Listing::of(folder)?;
    images.extend(listing.images);
    for Folder { path, .. } in listing.folders {
        let canonical = path
            .canonicalize()
            .map_err(|source| DataError::io(&path, source))?;
        if above.iter().any(|place| place.starts_with(&canonical)) {
            return Err(DataError::LinkLoop { path });
        }
        above.push(canonical);
        descend(&path, above, images)?;
        above.pop();
    }
    Ok(())
}

/// What lies directly in a folder, in natural order, without what is hidden or no image.
struct Listing {
    folders: Vec<Folder>,
    images: Vec<PathBuf>,
}

/// A folder in a folder.
#[derive(Clone)]
pub(super) struct Folder {
    pub name: String,
    pub path: PathBuf,
}

impl Listing {
    fn of(dir: &Path) -> Result<Self, DataError> {
        let (mut folders, mut images) = (vec![], vec![]);
        for entry in fs::read_dir(dir).map_err(|source| DataError::io(dir, source))? {
            let entry = entry.map_err(|source| DataError::io(dir, source))?;
            let (name, path) = (entry.file_name(), entry.path());
            let shown = name.to_string_lossy();
            if shown.starts_with('.') || IGNORED.contains(&shown.as_ref()) {
                continue;
            }
            match fs::metadata(&path) {
                Ok(metadata) if metadata.is_dir() => match name.into_string() {
                    Ok(name) => folders.push(Folder { name, path }),
                    Err(_) => return Err(DataError::NotUtf8 { path }),
                },
                // Also a link to nowhere: an unreadable image, to be listed with the others.
                _ if is_image(&path) => images.push(path),
                Err(source) if path.extension().is_none() => return Err(DataError::io(path, source)),
                _ => {}
            }
        }
        folders.sort_by(|a, b| natural(&a.name, &b.name));
        images.sort();
        Ok(Self { folders, images })
    }
}

/// `2` before `10`, and otherwise alphabetic.
pub(super) fn natural(a: &str, b: &str) -> Ordering {
    natord::compare(a, b).then_with(|| a.cmp(b))
}

fn differ_in_case_only(a: &str, b: &str) -> bool {
    a != b && a.to_lowercase() == b.to_lowercase()
}

pub(super) fn quoted(names: &[&str]) -> String {
    names
        .iter()
        .map(|name| format!("`{name}`"))
        .collect::<Vec<_>>()
        .join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_sort_by_value() {
        let mut names = ["10", "9", "b2", "b10", "a", "B1", "007", "img 2", "img 10"];
        names.sort_by(|a, b| natural(a, b));
        assert_eq!(
            names,
            ["007", "9", "10", "B1", "a", "b2", "b10", "img 2", "img 10"]
        );
    }

    proptest! {
        /// Sorting may panic on an order that is none, and file names are a user's.
        #[test]
        fn natural_order_is_total(names in proptest::collection::vec("[0-2a B/ é-]{0,6}", 3)) {
            let [a, b, c] = [&names[0], &names[1], &names[2]];
            prop_assert_eq!(natural(a, b), natural(b, a).reverse());
            prop_assert_eq!(natural(a, b) == Ordering::Equal, a == b);
            if natural(a, b).is_le() && natural(b, c).is_le() {
                prop_assert!(natural(a, c).is_le(), "{a:?} <= {b:?} <= {c:?}");
            }
        }
    }
}
