//! The drawn data sets open as data sets, are the same each time and are described.

#![allow(clippy::unwrap_used)]

use std::fs;
use vpt_data::{DataError, Split, decode, fundus, scenes};

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
    let apart: u64 = picture
        .iter()
        .zip(drawn.iter())
        .map(|(a, b)| u64::from(a.abs_diff(*b)))
        .sum();
    assert!(apart / (64 * 64 * 3) < 5, "JPEG keeps the picture: {apart}");
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
