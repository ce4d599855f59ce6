//! COCO: one JSON file of images, categories and objects for each split.
//!
//! ```text
//! root/annotations/instances_train2017.json      root/train2017/1.jpg, root/images/train2017/1.jpg or root/images/train/1.jpg
//! root/train/_annotations.coco.json              root/train/1.jpg          (as Roboflow writes it)
//! ```
//!
//! The folder of the JSON files may have any name that begins with `annotations`. Categories become classes in the order of
//! their identifiers, also those of which there is no object.

use super::boxes::{Frame, Placed, pictures, wrong};
use super::coco_json::{Category, Counts, Entry, Id, Image, Instance, Instances, Segmentation};
use super::found_objects::FoundObjects;
use super::{Found, coco_files};
use crate::{DataError, Object, Outline, ProblemKind, Problems, Rle, Split};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};

const REMEDY: &str = "expected annotations/instances_train.json with `images`, `categories` and `annotations`, and the pictures in \
                      images/train/ or train/";

/// Boxes, or masks drawn from the outlines.
pub(super) fn read(path: &Path, masks: bool) -> Result<Found, DataError> {
    let root = coco_files::root(path);
    let mut sources = coco_files::sources(path);
    sources.sort_by_key(|source| source.split);
    if let Some(pair) = sources
        .array_windows()
        .find(|[one, other]| one.split == other.split)
    {
        let [one, other] = pair.each_ref().map(|source| source.file.display().to_string());
        let message = format!("`{one}` and `{other}` are both for one split");
        return Err(wrong(path, None, message, "keep one of them"));
    }
    let mut found = FoundObjects::new(vec![], masks);
    for source in &sources {
        let instances = Instances::read(&source.file, REMEDY)?;
        let Some(annotations) = instances.annotations else {
            if source.split == Some(Split::Train) || source.split.is_none() {
                return Err(wrong(
                    &source.file,
                    None,
                    "the key `annotations` is missing",
                    REMEDY,
                ));
            }
            found.notes.push(format!(
                "ignored `{}`, which has no `annotations`",
                source.file.display()
            ));
            continue;
        };
        found.name(source.split);
        let classes = categories(&source.file, instances.categories, &mut found)?;
        let folders = source.folders(&root);
        let (images, left_out) = images(&source.file, instances.images, &folders, &mut found.problems);
        let instances = of_images(&source.file, annotations, &images, &left_out, &mut found.problems);
        let paths: Vec<PathBuf> = images.iter().map(|image| image.path.clone()).collect();
        for ((image, instances), picture) in images.into_iter().zip(instances).zip(pictures(&paths)) {
            let size = picture.as_ref().ok().map(|picture| picture.size);
            let objects = match picture {
                Ok(picture) => {
                    let (frame, report) = Frame::of_pixels(&picture, image.size);
                    if let Some((what, repaired)) = report {
                        let key = format!("images[{}]", image.number);
                        found
                            .problems
                            .at_key(ProblemKind::OtherSize, &source.file, key, what, repaired);
                    }
                    let place = |(number, instance)| {
                        object(
                            &source.file,
                            number,
                            &instance,
                            &classes,
                            &frame,
                            picture.size,
                            &mut found,
                        )
                    };
                    instances.into_iter().filter_map(place).collect()
                }
                Err(reason) => {
                    found
                        .problems
                        .at_line(ProblemKind::Unreadable, &image.path, None, reason, false);
                    vec![]
                }
            };
            found.add(source.split, image.path, size, objects);
        }
    }
    let names: Vec<String> = sources
        .iter()
        .map(|source| format!("`{}`", source.file.display()))
        .collect();
    found
        .notes
        .insert(0, format!("read as COCO: {}", names.join(", ")));
    if let Some(yaml) = super::yolo_description::description(&root) {
        found.notes.push(format!(
            "the YOLO labels beside it were not read: give `{}` for those",
            yaml.display()
        ));
    }
    found.finish(path, REMEDY)
}

/// The class of each category; names that are new become new classes.
fn categories(
    file: &Path,
    categories: Vec<Entry<Category>>,
    found: &mut FoundObjects,
) -> Result<HashMap<Id, usize>, DataError> {
    let mut named: BTreeMap<Id, String> = BTreeMap::new();
    for (number, category) in categories.into_iter().enumerate() {
        let category = category.0.map_err(|what| {
            wrong(
                file,
                None,
                format!("categories[{number}]: {what}"),
                "a category needs an `id` and a `name`",
            )
        })?;
        if let Some(first) = named.get(&category.id).filter(|first| **first != category.name) {
            let message = format!(
                "categories[{number}]: `{}` has the identifier of `{first}`, {}",
                category.name, category.id
            );
            return Err(wrong(
                file,
                None,
                message,
                "give each category an identifier of its own",
            ));
        }
        named.insert(category.id, category.name);
    }
    let mut classes = HashMap::new();
    let mut here: HashSet<&String> = HashSet::new();
    for (id, name) in &named {
        if !here.insert(name) {
            let what = format!("`{name}` is the name of several");
            found.problems.at_key(
                ProblemKind::DuplicateClass,
                file,
                format!("category {id}"),
                what,
                true,
            );
        }
        let class = found
            .classes
            .iter()
            .position(|class| class == name)
            .unwrap_or_else(|| {
                found.classes.push(name.clone());
                found.classes.len() - 1
            });
        classes.insert(id.clone(), class);
    }
    Ok(classes)
}

/// An image that is there.
struct Shown {
    /// Its place in the file.
    number: usize,
    id: Id,
    path: PathBuf,
    size: Option<[f64; 2]>,
}

/// The images that are there, and the identifiers of those that were left out.
fn images(
    file: &Path,
    images: Vec<Entry<Image>>,
    folders: &[PathBuf],
    problems: &mut Problems,
) -> (Vec<Shown>, HashSet<Id>) {
    let (mut shown, mut left_out) = (vec![], HashSet::new());
    let (mut ids, mut paths) = (HashSet::new(), HashMap::new());
    for (number, image) in images.into_iter().enumerate() {
        let key = format!("images[{number}]");
        let image = match image.0 {
            Ok(image) => image,
            Err(what) => {
                problems.at_key(ProblemKind::MissingPicture, file, key, what, false);
                continue;
            }
        };
        if !ids.insert(image.id.clone()) {
            let what = format!("another image has the identifier {}", image.id);
            problems.at_key(ProblemKind::DuplicateId, file, key, what, false);
            continue;
        }
        let name = Path::new(&image.file_name);
        let bare = name.file_name().map(Path::new).filter(|bare| *bare != name);
        let places = [Some(name), bare].into_iter().flatten();
        let mut places = places.flat_map(|name| folders.iter().map(move |folder| folder.join(name)));
        let Some(path) = places.find(|path| path.is_file()) else {
            let what = format!("no picture `{}`", image.file_name);
            problems.at_key(ProblemKind::MissingPicture, file, key, what, false);
            left_out.insert(image.id);
            continue;
        };
        if let Some(first) = paths.insert(path.clone(), number) {
            let what = format!("`{}` is images[{first}] too", image.file_name);
            problems.at_key(ProblemKind::TwoAnnotations, file, key, what, false);
            left_out.insert(image.id);
            continue;
        }
        shown.push(Shown {
            number,
            id: image.id,
            path,
            size: Option::zip(image.width, image.height).map(|(width, height)| [width, height]),
        });
    }
    (shown, left_out)
}

/// The objects of each image, each with its place in the file.
fn of_images(
    file: &Path,
    annotations: Vec<Entry<Instance>>,
    images: &[Shown],
    left_out: &HashSet<Id>,
    problems: &mut Problems,
) -> Vec<Vec<(usize, Instance)>> {
    let places: HashMap<&Id, usize> = images
        .iter()
        .enumerate()
        .map(|(at, image)| (&image.id, at))
        .collect();
    let mut per_image: Vec<Vec<(usize, Instance)>> = images.iter().map(|_| vec![]).collect();
    let mut ids: HashMap<Id, (usize, usize)> = HashMap::new();
    for (number, instance) in annotations.into_iter().enumerate() {
        let key = || format!("annotations[{number}]");
        let instance = match instance.0 {
            Ok(instance) => instance,
            Err(what) => {
                problems.at_key(ProblemKind::NotANumber, file, key(), what, false);
                continue;
            }
        };
        let Some(&place) = places.get(&instance.image_id) else {
            if left_out.contains(&instance.image_id) {
                // The image was reported.
                continue;
            }
            let what = format!("the image {} is not listed", instance.image_id);
            problems.at_key(ProblemKind::NoSuchImage, file, key(), what, false);
            continue;
        };
        if let Some(id) = &instance.id {
            if let Some(&(image, at)) = ids.get(id) {
                let same = image == place
                    && per_image[image]
                        .get(at)
                        .is_some_and(|(_, first)| first.is_like(&instance));
                let what = format!("another object has the identifier {id}");
                problems.at_key(ProblemKind::DuplicateId, file, key(), what, !same);
                if same {
                    continue;
                }
            } else {
                ids.insert(id.clone(), (place, per_image[place].len()));
            }
        }
        per_image[place].push((number, instance));
    }
    per_image
}

/// An object within its picture, or nothing, reported.
fn object(
    file: &Path,
    number: usize,
    instance: &Instance,
    classes: &HashMap<Id, usize>,
    frame: &Frame,
    size: [u32; 2],
    found: &mut FoundObjects,
) -> Option<Object> {
    let masks = found.masks;
    let mut report = |kind, what, repaired| {
        let key = format!("annotations[{number}]");
        found.problems.at_key(kind, file, key, what, repaired);
    };
    let Some(&class) = classes.get(&instance.category_id) else {
        let what = format!("the category {} is not listed", instance.category_id);
        report(ProblemKind::UnknownClass, what, false);
        return None;
    };
    let (outline, why) = match outline(instance, frame, size) {
        Ok(outline) => (outline, None),
        Err(why) => (None, Some(why)),
    };
    if masks && outline.is_none() {
        let (kind, what) = FoundObjects::lacks_outline(why);
        report(kind, what, false);
        return None;
    }
    let said = match &instance.bbox {
        Some(bbox) if !masks => match bbox.as_slice() {
            &[Some(x), Some(y), Some(width), Some(height)] => Some((*frame, [x, y, x + width, y + height])),
            _ => None,
        },
        // Outlines are in pixels of the picture already.
        _ => outline
            .as_ref()
            .and_then(Outline::bounds)
            .map(|around| (frame.plain(), around.edges())),
    };
    let Some((frame_of_box, edges)) = said else {
        let (kind, what) = match masks {
            true => (ProblemKind::ZeroArea, "an outline of no pixel"),
            false => (
                ProblemKind::NotANumber,
                "no box [x, y, width, height] of four numbers",
            ),
        };
        report(kind, what.into(), false);
        return None;
    };
    match frame_of_box.place(edges) {
        Placed::Dropped(kind, what) => {
            report(kind, what, false);
            None
        }
        Placed::Kept(bbox, cut) => {
            if let Some(what) = cut {
                report(ProblemKind::OutsidePicture, what, true);
            }
            if let Some(why) = why {
                report(ProblemKind::BadOutline, why, true);
            }
            let area = instance.area.filter(|area| area.is_finite() && *area >= 0.0);
            Some(Object {
                crowd: instance.is_crowd(),
                area: area.map_or_else(|| bbox.area(), |area| area * frame.area()),
                outline,
                ..Object::new(class, bbox)
            })
        }
    }
}

/// The outline in pixels of the picture, if there is one.
fn outline(instance: &Instance, frame: &Frame, size: [u32; 2]) -> Result<Option<Outline>, String> {
    match &instance.segmentation {
        None => Ok(None),
        Some(Segmentation::Polygons(polygons)) if polygons.is_empty() => Ok(None),
        Some(Segmentation::Polygons(polygons)) => {
            let mut placed = vec![];
            for polygon in polygons {
                let (points, rest) = polygon.as_chunks::<2>();
                if points.len() < 3 || !rest.is_empty() || !polygon.iter().all(|value| value.is_finite()) {
                    return Err(format!(
                        "a polygon of {} numbers, expected pairs, at least three",
                        polygon.len()
                    ));
                }
                placed.push(points.iter().map(|&point| frame.point(point)).collect());
            }
            Ok(Some(Outline::Polygons(placed)))
        }
        Some(Segmentation::Rle {
            size: [height, width],
            counts,
        }) => {
            if [*width, *height] != size || !frame.is_plain() {
                let [w, h] = size;
                return Err(format!(
                    "run lengths for {width} x {height} pixels, the picture has {w} x {h}"
                ));
            }
            let rle = match counts {
                Counts::Plain(counts) => Rle::new(size, counts.clone()),
                Counts::Text(text) => Rle::from_text(size, text),
            };
            rle.map(|rle| Some(Outline::Rle(rle)))
        }
        Some(Segmentation::Other(what)) => Err(what.clone()),
    }
}
