//! Boxes and masks: what is found in each image, in the forms that other programs read.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use image::{GrayImage, ImageFormat, RgbImage};
use rayon::prelude::*;
use serde::Serialize;
use serde_json::{Value, json};
use vpt_core::heads::Suppression;
use vpt_data::{Rle, atomic, decode};
use vpt_eval::metrics::THRESHOLD;
use vpt_eval::metrics::detection::Detection;
use vpt_eval::overlay::draw;
use vpt_eval::{Finder, FoundIn, csv};

use super::{PredictArgs, Predictor};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::Output;
use crate::{inputs, progress};

/// Pixels of this class are nothing else, and are not drawn.
const BACKGROUND: usize = 0;

/// One line of `--json`.
#[derive(Serialize)]
struct Line<'a> {
    path: &'a Path,
    size: [u32; 2],
    /// Boxes.
    #[serde(skip_serializing_if = "Option::is_none")]
    objects: Option<Vec<Object<'a>>>,
    /// Share of the pixels of each class.
    #[serde(skip_serializing_if = "Option::is_none")]
    shares: Option<BTreeMap<&'a str, f64>>,
}

/// A box of `--json`: left, upper, right and lower edge in pixels of the image.
#[derive(Serialize)]
struct Object<'a> {
    label: &'a str,
    score: f64,
    bbox: [f64; 4],
}

/// An image and what was found in it.
struct Image {
    path: PathBuf,
    picture: RgbImage,
    found: FoundIn,
}

/// Finds boxes or masks in the images, a batch at a time.
pub fn run(args: &PredictArgs, predictor: &Predictor, output: Output) -> Result<Exit> {
    let metadata = &predictor.target.task.metadata;
    if args.attention.is_some() {
        return Err(
            Failure::usage("`--attention` shows what the class of a whole image is read from")
                .hint("leave it out; `--draw DIR` shows what is found, and where")
                .into(),
        );
    }
    let classes = &metadata.task.classes;
    let threshold = predictor.calibration.threshold.unwrap_or(THRESHOLD);
    let finder =
        Finder::new(&predictor.model, Suppression::default()).context("the task has no head for places")?;
    let mut files = args
        .output
        .as_deref()
        .map(|path| Files::new(path, classes))
        .transpose()?;
    if let Some(folder) = &args.draw {
        fs::create_dir_all(folder).with_context(|| format!("cannot make `{}`", folder.display()))?;
    }
    let mut names = Names::default();
    let mut paths = inputs::images(&args.inputs).peekable();
    let (mut done, mut bad) = (0, 0);
    let bar = progress::bar(output, 0, "{spinner} {pos} images, {per_sec}");
    while paths.peek().is_some() {
        let batch = paths
            .by_ref()
            .take(args.batch_size.min(16))
            .collect::<Result<Vec<_>>>()?;
        let decoded: Vec<_> = batch.into_par_iter().map(|path| (decode(&path), path)).collect();
        let (mut pictures, mut good) = (Vec::new(), Vec::new());
        for (picture, path) in decoded {
            match picture {
                Ok(picture) => {
                    pictures.push(picture);
                    good.push(path);
                }
                Err(error) => {
                    bad += 1;
                    bar.suspend(|| match args.skip_bad_images {
                        true => output.warn(format!("skipped: {error}")),
                        false => output.error(error),
                    });
                }
            }
        }
        let device = &predictor.device.device;
        let found = finder.find_in(&predictor.model, &pictures, &metadata.preprocess, device)?;
        for ((path, picture), found) in good.into_iter().zip(pictures).zip(found) {
            let found = match found {
                FoundIn::Objects(objects) => FoundIn::Objects(
                    objects
                        .into_iter()
                        .filter(|object| object.score >= threshold)
                        .collect(),
                ),
                mask @ FoundIn::Mask(..) => mask,
            };
            let image = Image { path, picture, found };
            let name = names.of(&image.path);
            bar.suspend(|| image.print(classes, output))?;
            if let Some(files) = &mut files {
                files.add(&image, &name)?;
            }
            if let Some(folder) = &args.draw {
                let mut drawn = image.picture.clone();
                draw(&mut drawn, &image.found, threshold, Some(BACKGROUND));
                let path = folder.join(format!("{name}.jpg"));
                save(&path, |bytes| drawn.write_to(bytes, ImageFormat::Jpeg))?;
            }
            done += 1;
        }
        bar.set_position(done as u64);
    }
    bar.finish_and_clear();
    if let Some(files) = files {
        files.finish()?;
    }
    super::ended(done, bad, args.skip_bad_images, output)
}

impl Image {
    fn print(&self, classes: &[String], output: Output) -> Result<()> {
        let size = [self.picture.width(), self.picture.height()];
        let (objects, shares, said) = match &self.found {
            FoundIn::Objects(objects) => {
                let mut counts = vec![0; classes.len()];
                for object in objects {
                    counts[object.class] += 1;
                }
                let found = classes.iter().zip(counts).filter(|(_, count)| *count > 0);
                let said: Vec<String> = found.map(|(class, count)| format!("{count} {class}")).collect();
                let objects = objects.iter().map(|object| Object {
                    label: &classes[object.class],
                    score: object.score,
                    bbox: object.bbox,
                });
                (Some(objects.collect()), None, said)
            }
            FoundIn::Mask(mask, _) => {
                let shares = shares(mask, classes.len());
                let named = classes.iter().map(String::as_str).zip(shares.iter().copied());
                let said = classes.iter().zip(&shares).filter(|(_, share)| **share > 0.0);
                let said = said
                    .map(|(class, share)| format!("{class} {:.1} %", 100.0 * share))
                    .collect();
                (None, Some(named.collect()), said)
            }
        };
        output.json_line(&Line {
            path: &self.path,
            size,
            objects,
            shares,
        })?;
        let said = if said.is_empty() {
            "nothing".to_owned()
        } else {
            said.join(", ")
        };
        output.result(format!("{}  {said}", self.path.display()))
    }
}

/// The part of the pixels that each class has.
fn shares(mask: &[u8], classes: usize) -> Vec<f64> {
    let mut counts = vec![0_u64; classes];
    for &class in mask {
        if let Some(count) = counts.get_mut(usize::from(class)) {
            *count += 1;
        }
    }
    let all = mask.len().max(1) as f64;
    counts.into_iter().map(|count| count as f64 / all).collect()
}

/// A file name for each image, no two alike.
#[derive(Default)]
struct Names(BTreeSet<String>);

impl Names {
    fn of(&mut self, path: &Path) -> String {
        let stem = path
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let numbered = (2..).map(|number| format!("{stem}-{number}"));
        let mut names = [stem.clone()].into_iter().chain(numbered);
        let free = names.find(|name| !self.0.contains(name)).unwrap_or(stem);
        self.0.insert(free.clone());
        free
    }
}

/// `--output`: a table, a document of COCO, or a folder.
enum Files<'a> {
    /// One line a box, or a class of pixels.
    Csv(PathBuf, String, &'a [String]),
    /// COCO's annotations, with scores.
    Coco {
        path: PathBuf,
        classes: &'a [String],
        images: Vec<Value>,
        annotations: Vec<Value>,
    },
    /// A text file of YOLO for each image, with scores; or a PNG file of class indices.
    Folder(PathBuf),
}

impl<'a> Files<'a> {
    fn new(path: &Path, classes: &'a [String]) -> Result<Self> {
        let ending = path
            .extension()
            .map(|ending| ending.to_string_lossy().to_ascii_lowercase());
        Ok(match ending.as_deref() {
            Some("csv") => Self::Csv(path.to_owned(), String::new(), classes),
            Some("json") => Self::Coco {
                path: path.to_owned(),
                classes,
                images: Vec::new(),
                annotations: Vec::new(),
            },
            Some(other) => {
                return Err(Failure::usage(format!("`--output` ends in .{other}"))
                    .hint("give FILE.csv, FILE.json (COCO), or a folder (YOLO's text files; of masks PNG files)")
                    .into());
            }
            None => {
                fs::create_dir_all(path).with_context(|| format!("cannot make `{}`", path.display()))?;
                Self::Folder(path.to_owned())
            }
        })
    }

    fn add(&mut self, image: &Image, name: &str) -> Result<()> {
        let [width, height] = [image.picture.width(), image.picture.height()];
        match self {
            Self::Csv(_, text, classes) => text.push_str(&csv_lines(image, classes)),
            Self::Coco {
                images, annotations, ..
            } => {
                let id = images.len() + 1;
                let file = image.path.to_string_lossy();
                images.push(json!({"id": id, "file_name": file, "width": width, "height": height}));
                for mut annotation in coco_annotations(image) {
                    annotation["id"] = json!(annotations.len() + 1);
                    annotation["image_id"] = json!(id);
                    annotations.push(annotation);
                }
            }
            Self::Folder(folder) => match &image.found {
                FoundIn::Objects(objects) => {
                    let lines: String = objects
                        .iter()
                        .map(|object| yolo_line(object, [width, height]))
                        .collect();
                    let path = folder.join(format!("{name}.txt"));
                    atomic::write_bytes(&path, lines.as_bytes())
                        .with_context(|| format!("cannot write `{}`", path.display()))?;
                }
                FoundIn::Mask(mask, [width, height]) => {
                    let mask = GrayImage::from_raw(*width, *height, mask.clone())
                        .context("a mask has a pixel for each of its image")?;
                    save(&folder.join(format!("{name}.png")), |bytes| {
                        mask.write_to(bytes, ImageFormat::Png)
                    })?;
                }
            },
        }
        Ok(())
    }

    fn finish(self) -> Result<()> {
        let (path, text) = match self {
            Self::Folder(_) => return Ok(()),
            Self::Csv(path, lines, _) => {
                let titles = ["path", "label", "score", "x0", "y0", "x1", "y1", "share"];
                (path, csv::line(titles.map(str::to_owned)) + &lines)
            }
            Self::Coco {
                path,
                classes,
                images,
                annotations,
            } => {
                let category = |(id, name): (usize, &String)| json!({"id": id + 1, "name": name});
                let categories: Vec<Value> = classes.iter().enumerate().map(category).collect();
                let document =
                    json!({"images": images, "categories": categories, "annotations": annotations});
                (path, document.to_string() + "\n")
            }
        };
        atomic::write_bytes(&path, text.as_bytes())
            .with_context(|| format!("cannot write `{}`", path.display()))
    }
}

fn csv_lines(image: &Image, classes: &[String]) -> String {
    let path = image.path.display().to_string();
    let lines: Vec<String> = match &image.found {
        FoundIn::Objects(objects) => objects
            .iter()
            .map(|object| {
                let edges = object.bbox.map(|edge| format!("{edge:.2}"));
                let first = [
                    path.clone(),
                    classes[object.class].clone(),
                    format!("{:.6}", object.score),
                ];
                csv::line(first.into_iter().chain(edges).chain([String::new()]))
            })
            .collect(),
        FoundIn::Mask(mask, _) => classes
            .iter()
            .zip(shares(mask, classes.len()))
            .map(|(class, share)| {
                let empty = [""; 5].map(str::to_owned);
                let first = [path.clone(), class.clone()].into_iter().chain(empty);
                csv::line(first.chain([format!("{share:.6}")]))
            })
            .collect(),
    };
    lines.concat()
}

/// Of an image, without numbers of their own; categories are counted from 1.
fn coco_annotations(image: &Image) -> Vec<Value> {
    match &image.found {
        FoundIn::Objects(objects) => objects
            .iter()
            .map(|object| {
                let [x0, y0, x1, y1] = object.bbox;
                let bbox = [x0, y0, x1 - x0, y1 - y0];
                json!({"category_id": object.class + 1, "bbox": bbox, "area": bbox[2] * bbox[3],
                       "iscrowd": 0, "score": object.score})
            })
            .collect(),
        FoundIn::Mask(mask, size) => {
            let mut classes: Vec<u8> = mask.clone();
            classes.sort_unstable();
            classes.dedup();
            let of_class = |class: u8| {
                let pixels: Vec<bool> = mask.iter().map(|&other| other == class).collect();
                let rle = Rle::of_mask(*size, &pixels);
                json!({"category_id": usize::from(class) + 1, "area": rle.area(), "iscrowd": 0,
                       "segmentation": {"size": [size[1], size[0]], "counts": rle.to_text()}})
            };
            classes.into_iter().map(of_class).collect()
        }
    }
}

/// Class, centre, width and height as parts of the image, and the score: what `yolo predict save_txt save_conf` writes.
fn yolo_line(object: &Detection, size: [u32; 2]) -> String {
    let [x0, y0, x1, y1] = object.bbox;
    let [width, height] = size.map(f64::from);
    format!(
        "{} {:.6} {:.6} {:.6} {:.6} {:.6}\n",
        object.class,
        f64::midpoint(x0, x1) / width,
        f64::midpoint(y0, y1) / height,
        (x1 - x0) / width,
        (y1 - y0) / height,
        object.score
    )
}

fn save(
    path: &Path,
    encode: impl FnOnce(&mut std::io::Cursor<Vec<u8>>) -> image::ImageResult<()>,
) -> Result<()> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    encode(&mut bytes).with_context(|| format!("cannot encode `{}`", path.display()))?;
    atomic::write_bytes(path, bytes.get_ref()).with_context(|| format!("cannot write `{}`", path.display()))
}
