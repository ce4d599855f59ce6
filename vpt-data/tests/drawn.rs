//! The drawn data sets open as data sets, are the same each time and are described.

#![allow(clippy::unwrap_used)]

use image::RgbImage;
use std::fs;
use std::path::Path;
use vpt_data::{DataError, Dataset, Label, OpenOptions, Split, TaskKind, decode, fundus, scenes};

/// JPEG keeps the picture.
fn assert_jpeg_of(saved: &RgbImage, drawn: &RgbImage) {
    let apart: u64 = saved
        .iter()
        .zip(drawn.iter())
        .map(|(a, b)| u64::from(a.abs_diff(*b)))
        .sum();
    assert!(apart / (drawn.len() as u64) < 5, "{apart}");
}

#[test]
fn fundus_photographs_open_with_their_classes() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("fundus");
    let dataset = fundus::draw_dataset(&dir, 7, [3, 2, 1], 64).unwrap();
    assert_eq!(dataset.classes, fundus::CLASSES);
    for (split, count) in Split::ALL.into_iter().zip([3, 2, 1]) {
        assert_eq!(dataset.class_counts(split), [count; 4]);
    }
    let readme = fs::read_to_string(dir.join("README.md")).unwrap();
    assert!(readme.contains("CC0") && readme.contains("Seed 7; 3 / 2 / 1") && readme.contains("64 x 64"));
    let picture = decode(&dataset.val[0].path).unwrap();
    assert_eq!(picture.dimensions(), (64, 64));
    let drawn = fundus::draw(7, Split::Val, 0, 0, 64);
    assert_jpeg_of(&picture, &drawn);
}

#[test]
fn the_same_set_twice_has_one_fingerprint_wherever_it_lies() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let draw = |name: &str, seed| {
        fundus::draw_dataset(&at(name), seed, [2, 1, 1], 48)
            .unwrap()
            .fingerprint()
            .unwrap()
    };
    let first = draw("a", 1);
    assert_eq!(first, draw("deeper/b", 1));
    assert_ne!(first, draw("c", 2));
    assert_eq!(first, draw("a", 1), "found, not drawn again");
    let error = fundus::draw_dataset(&at("a"), 2, [2, 1, 1], 48).unwrap_err();
    assert!(matches!(error, DataError::FolderInUse { .. }), "{error}");
}

#[test]
fn scenes_open_with_their_classes() {
    let folder = tempfile::tempdir().unwrap();
    let dataset = scenes::draw_dataset(&folder.path().join("scenes"), 1, 2, 1, 32).unwrap();
    assert_eq!(dataset.classes, scenes::classes());
    assert_eq!(dataset.train.len(), 2 * dataset.classes.len());
    assert_eq!(dataset.val.len(), dataset.classes.len());
    assert!(dataset.test.is_empty());
}

#[test]
fn annotated_photographs_are_three_tasks_on_the_same_pictures() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("annotated");
    fundus::draw_annotated(&dir, 7, [3, 2, 1], 96).unwrap();
    let open = |path: &Path, kind| {
        let options = OpenOptions {
            kind,
            ..OpenOptions::default()
        };
        Dataset::open(path, &options).unwrap()
    };
    let boxes = open(&dir, None);
    assert_eq!(boxes.classes, fundus::FINDINGS);
    let masks = open(&dir, Some(TaskKind::Segmentation));
    assert_eq!(masks.classes[1..], fundus::FINDINGS.map(str::to_owned));
    let grades = open(&dir.join("grades.csv"), None);
    assert_eq!(grades.classes, fundus::CLASSES);
    for dataset in [&boxes, &masks, &grades] {
        assert!(dataset.problems.is_empty(), "{:?}", dataset.problems);
        for (split, count) in Split::ALL.into_iter().zip([12, 8, 4]) {
            assert_eq!(dataset.split(split).len(), count);
        }
    }
    // Every eye has one optic disc, and a healthy one has nothing else.
    for (sample, grade) in boxes.train.iter().zip(fundus::CLASSES.iter().cycle()) {
        let Label::Objects(objects) = &sample.label else {
            panic!("boxes are expected")
        };
        let objects = objects.as_slice();
        let discs = objects.iter().filter(|object| object.class == 0).count();
        assert_eq!(discs, 1, "{}", sample.path.display());
        assert_eq!(
            objects.len() == 1,
            *grade == fundus::CLASSES[0],
            "{}",
            sample.path.display()
        );
    }
    let drawn = fundus::draw(7, Split::Train, 2, 1, 96);
    let saved = decode(&dir.join("images/train/00006.jpg")).unwrap();
    assert_jpeg_of(&saved, &drawn);
}
