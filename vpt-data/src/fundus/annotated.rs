//! The same photographs with what can be seen in them: three tasks on one set of pictures.

use super::grade::LesionKind;
use super::photograph::{Finding, FindingKind, Photograph};
use super::{CLASSES, draw_photograph};
use crate::drawing::{cannot_write, fill_folder, save_jpeg};
use crate::{DataError, Rle, Split, atomic};
use rayon::prelude::*;
use serde_json::{Value, json};
use std::fmt::Write;
use std::fs;
use std::path::Path;

/// What is annotated, in the order of the categories.
pub const FINDINGS: [&str; 4] = ["optic_disc", "microaneurysm", "haemorrhage", "exudates"];

/// Draws `per_class` = [train, val, test] photographs of each grade, those of [`draw`](super::draw), into `dir`:
///
/// - `images/<split>/<number>.jpg`;
/// - `annotations/instances_<split>.json`: COCO boxes and run lengths of [`FINDINGS`], for detection and segmentation;
/// - `grades.csv`: grade and split of each photograph, for classification.
///
/// `dir` appears only when everything is drawn. If it already holds this very set, nothing is drawn again.
///
/// # Errors
/// If `dir` holds anything else, or cannot be written.
pub fn draw_annotated(dir: &Path, seed: u64, per_class: [usize; 3], size: u32) -> Result<(), DataError> {
    let [train, val, test] = per_class;
    let readme = README
        .replace("{seed}", &seed.to_string())
        .replace("{counts}", &format!("{train} / {val} / {test}"))
        .replace("{size}", &size.to_string());
    fill_folder(dir, &readme, |root| {
        let mut table = String::from("path,label,split\n");
        for (split, count) in Split::ALL
            .into_iter()
            .zip(per_class)
            .filter(|(_, count)| *count > 0)
        {
            let name = split.name();
            let folder = root.join("images").join(name);
            fs::create_dir_all(&folder).map_err(cannot_write(&folder))?;
            let photographs = (0..count * CLASSES.len())
                .into_par_iter()
                .map(|number| {
                    let (class, index) = (number % CLASSES.len(), number / CLASSES.len());
                    let Photograph { image, findings } = draw_photograph(seed, split, class, index, size);
                    save_jpeg(&folder.join(file_name(number)), &image)?;
                    Ok(findings
                        .iter()
                        .filter_map(|finding| instance(finding, size))
                        .collect())
                })
                .collect::<Result<Vec<Vec<Value>>, DataError>>()?;
            for number in 0..photographs.len() {
                let (file, grade) = (file_name(number), CLASSES[number % CLASSES.len()]);
                writeln!(table, "images/{name}/{file},{grade},{name}").expect("a string takes all");
            }
            let file = root.join("annotations").join(format!("instances_{name}.json"));
            fs::create_dir_all(root.join("annotations")).map_err(cannot_write(&file))?;
            let text = coco(photographs, size).to_string();
            atomic::write_bytes(&file, text.as_bytes()).map_err(cannot_write(&file))?;
        }
        let file = root.join("grades.csv");
        atomic::write_bytes(&file, table.as_bytes()).map_err(cannot_write(&file))
    })
}

fn file_name(number: usize) -> String {
    format!("{number:05}.jpg")
}

/// The document of a split, whose photographs have these instances.
fn coco(photographs: Vec<Vec<Value>>, size: u32) -> Value {
    let images: Vec<Value> = (0..photographs.len())
        .map(|number| json!({"id": number, "file_name": file_name(number), "width": size, "height": size}))
        .collect();
    let instances = photographs
        .into_iter()
        .enumerate()
        .flat_map(|(number, instances)| {
            instances.into_iter().map(move |mut instance| {
                instance["image_id"] = json!(number);
                instance
            })
        });
    let annotations: Vec<Value> = instances
        .enumerate()
        .map(|(number, mut instance)| {
            instance["id"] = json!(number + 1);
            instance
        })
        .collect();
    let categories: Vec<Value> = FINDINGS
        .iter()
        .enumerate()
        .map(|(number, name)| json!({"id": number + 1, "name": name}))
        .collect();
    json!({"images": images, "categories": categories, "annotations": annotations})
}

/// A finding as COCO has it, but for its numbers; `None` where no pixel is mostly covered by it.
fn instance(finding: &Finding, size: u32) -> Option<Value> {
    let mask = Rle::of_mask([size; 2], &finding.place.covered());
    let bounds = mask.bounds()?;
    Some(json!({
        "category_id": category(finding.kind) + 1,
        "bbox": [bounds.x0(), bounds.y0(), bounds.width(), bounds.height()],
        "area": mask.area(),
        "iscrowd": 0,
        "segmentation": {"size": [size, size], "counts": mask.to_text()},
    }))
}

/// Position in [`FINDINGS`].
fn category(kind: FindingKind) -> usize {
    match kind {
        FindingKind::OpticDisc => 0,
        FindingKind::Lesion(LesionKind::Microaneurysm) => 1,
        FindingKind::Lesion(LesionKind::Haemorrhage) => 2,
        FindingKind::Lesion(LesionKind::Exudate) => 3,
    }
}

const README: &str = include_str!("ANNOTATED.txt");
