//! Splitting, folds, shots, copies and fingerprints of data sets with objects.

use crate::place::{Place, boxes};
use std::collections::BTreeSet;
use std::fmt::Write;
use vpt_data::{DataSummary, Dataset, OpenOptions, Split};

/// `count` pictures in VOC form, each with a cell; every fourth with a rare thing too; every fifth with nothing.
fn place(count: usize) -> Place {
    let place = Place::new();
    for number in 0..count {
        let mut text = String::from("<annotation>");
        let names: &[&str] = match (number % 4, number % 5) {
            (_, 0) => &[],
            (0, _) => &["cell", "rare", "cell"],
            _ => &["cell"],
        };
        for name in names {
            write!(
                text,
                "<object><name>{name}</name><bndbox><xmin>{number}</xmin><ymin>1</ymin><xmax>39</xmax><ymax>9</ymax></bndbox></object>"
            )
            .unwrap();
        }
        text.push_str("</annotation>");
        place
            .picture(&format!("JPEGImages/{number}.png"), 40, 30)
            .text(&format!("Annotations/{number}.xml"), &text);
    }
    place
}

fn open(place: &Place, change: impl FnOnce(&mut OpenOptions)) -> Dataset {
    let mut options = OpenOptions::default();
    change(&mut options);
    Dataset::open(place.path(), &options).unwrap()
}

#[test]
fn every_kind_of_picture_is_in_every_split() {
    let place = place(30);
    let dataset = open(&place, |_| {});
    for split in Split::ALL {
        let samples = dataset.split(split);
        assert!(
            samples.iter().any(|sample| sample.label.classes().is_empty()),
            "{split}"
        );
        assert!(samples.iter().any(|sample| sample.label.has(1)), "{split}");
    }
    let counts: usize = Split::ALL
        .iter()
        .map(|&split| dataset.class_counts(split)[0])
        .sum();
    assert_eq!(counts, 24 + 6, "objects, not images");
    assert_eq!(
        Split::ALL
            .iter()
            .map(|&split| dataset.image_counts(split)[0])
            .sum::<usize>(),
        24
    );
    let again = open(&place, |_| {});
    assert_eq!(dataset.fingerprint().unwrap(), again.fingerprint().unwrap());
    assert_ne!(open(&place, |options| options.seed = 7).train, dataset.train);
}

#[test]
fn small_sets_of_rare_things_are_divided_all_the_same() {
    let dataset = open(&place(5), |_| {});
    assert!(!dataset.val.is_empty() && !dataset.test.is_empty());
}

#[test]
fn folds_test_every_picture_once() {
    let dataset = open(&place(30), |_| {});
    let folds = dataset.folds(5, 0.2, 1).unwrap();
    let tested: BTreeSet<_> = folds
        .iter()
        .flat_map(|fold| &fold.test)
        .map(|sample| &sample.path)
        .collect();
    assert_eq!((folds.len(), tested.len()), (5, 30));
    assert!(
        folds
            .iter()
            .all(|fold| fold.test.iter().any(|sample| sample.label.has(1)))
    );
    assert!(
        dataset
            .folds(31, 0.2, 1)
            .unwrap_err()
            .to_string()
            .contains("no more than there are images")
    );
}

#[test]
fn shots_count_images_of_the_rarest_class() {
    let dataset = open(&place(30), |options| options.shots = Some(2));
    let empty = dataset
        .train
        .iter()
        .filter(|sample| sample.label.classes().is_empty())
        .count();
    let rare = dataset.train.iter().filter(|sample| sample.label.has(1)).count();
    assert_eq!((dataset.train.len(), empty, rare), (6, 2, 2));
}

#[test]
fn a_changed_box_is_another_fingerprint_and_a_copy_a_leak() {
    let place = place(30);
    let before = open(&place, |_| {}).fingerprint().unwrap();
    let file = place.path().join("Annotations/1.xml");
    let text = std::fs::read_to_string(&file)
        .unwrap()
        .replace("<ymax>9", "<ymax>9.5");
    std::fs::write(&file, text).unwrap();
    let dataset = open(&place, |_| {});
    assert_ne!(dataset.fingerprint().unwrap(), before);
    let (train, test) = (&dataset.train[0], &dataset.test[0]);
    std::fs::copy(&train.path, &test.path).unwrap();
    let summary = DataSummary::of(&dataset).unwrap();
    assert_eq!(summary.duplicates_across_splits.len(), 1);
    let moved = dataset
        .clone()
        .with_class_order(&["rare", "cell"].map(str::to_owned))
        .unwrap();
    let first = |dataset: &Dataset| {
        dataset
            .train
            .iter()
            .find_map(|sample| boxes(sample).first().copied())
            .unwrap()
    };
    assert_eq!(first(&moved).0, 1 - first(&dataset).0);
}
