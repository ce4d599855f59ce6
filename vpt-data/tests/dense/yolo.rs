//! YOLO.

use crate::place::{Place, boxes, names};
use std::fs;
use vpt_data::{Dataset, Format, OpenOptions, Outline, ProblemKind};

/// Two pictures of 40 x 30 in train, one in val.
fn place(yaml: &str) -> Place {
    let place = Place::new();
    place.text("data.yaml", yaml);
    for name in ["train/1.png", "train/2.png", "val/3.png"] {
        place.picture(&format!("images/{name}"), 40, 30);
    }
    place.text(
        "labels/train/1.txt",
        "0 0.5 0.5 0.25 0.2\n1 0.1 0.1 0.5 0.1 0.5 0.5 0.1 0.5\n",
    );
    place
}

const YAML: &str = "path: .\ntrain: images/train\nval: images/val\ntest:\nnames: [cat, dog]\nnc: 2\n";

#[test]
fn boxes_and_outlines() {
    for yaml in [
        YAML,
        "train: ../images/train\nval: ./images/val\nnames:\n  3: dog\n  0: cat\n",
        "path: elsewhere\ntrain:\n- images/train\nval: images/val\nnames: ['cat', 'dog']\n",
    ] {
        let place = place(&yaml.replace("  3: dog", "  1: dog"));
        for path in [place.path().to_owned(), place.path().join("data.yaml")] {
            let dataset = Dataset::open(&path, &OpenOptions::default()).unwrap();
            assert_eq!(dataset.format, Format::Yolo);
            assert_eq!(dataset.name, place.path().file_name().unwrap().to_string_lossy());
            assert_eq!(dataset.classes, ["cat", "dog"]);
            assert_eq!(
                boxes(&dataset.train[0]),
                [(0, [15.0, 12.0, 25.0, 18.0]), (1, [4.0, 3.0, 20.0, 15.0])]
            );
            let outline = dataset.train[0].label.objects().unwrap()[1].outline.as_ref();
            assert!(matches!(outline, Some(Outline::Polygons(all)) if all[0].len() == 4));
            assert!(boxes(&dataset.train[1]).is_empty() && boxes(&dataset.val[0]).is_empty());
            let silent = "1 picture of `val` without a file of labels: taken as without objects";
            assert!(
                dataset.notes.iter().any(|note| note == silent),
                "{:?}",
                dataset.notes
            );
            assert!(dataset.problems.is_empty());
        }
    }
}

#[test]
fn lists_of_pictures_and_numbers_with_gaps() {
    let place = place("train: train.txt\nval: val.txt\nnames:\n  0: cat\n  1: dog\n  5: owl\n");
    place.text(
        "train.txt",
        "./images/train/2.png\nimages/train/1.png\nimages/train/9.png\n",
    );
    place
        .text("val.txt", "images/val/3.png\n")
        .text("labels/train/2.txt", "5 0.5 0.5 1 1\n");
    let dataset = place.open().unwrap();
    assert_eq!(names(&dataset.train), ["2.png", "1.png"]);
    assert_eq!(boxes(&dataset.train[0]), [(2, [0.0, 0.0, 40.0, 30.0])]);
    assert_eq!(
        place.problems(&dataset, ProblemKind::MissingPicture),
        ["ROOT/train.txt:3: no picture `images/train/9.png`"]
    );
}

#[test]
fn what_is_wrong_is_mended_or_left_out_and_said() {
    let place = place(YAML);
    place.text(
        "labels/train/1.txt",
        "0 0.5 0.5 0.25 0.2\n0 0.5 0.5 0.25 0.2\n2 0.5 0.5 0.1 0.1\n-1 0.5 0.5 0.1 0.1\n\n0 nan 0.5 0.1 0.1\n0 0.5 0.5 0.1\n\
         0 0.5 0.5 0.1 0.1 0.2 0.2\n0 0.5 0.5 0 0.1\n1 1.0 0.5 0.5 0.5\n0 0.5 0.5 0.1 0.1 7 7 7\n",
    );
    place.text("labels/train/orphan.txt", "");
    let dataset = place.open().unwrap();
    assert_eq!(
        boxes(&dataset.train[0]),
        [
            (0, [15.0, 12.0, 25.0, 18.0]),
            (0, [4.0, 3.0, 20.0, 15.0]),
            (1, [30.0, 7.5, 40.0, 22.5])
        ],
    );
    let counts: Vec<_> = dataset
        .problems
        .counts()
        .iter()
        .map(|(kind, count)| (*kind, *count))
        .collect();
    assert_eq!(
        counts,
        [
            (ProblemKind::OutsidePicture, 1),
            (ProblemKind::ZeroArea, 1),
            (ProblemKind::UnknownClass, 2),
            (ProblemKind::NotANumber, 3),
            (ProblemKind::MissingPicture, 1),
            (ProblemKind::DuplicateObject, 1),
        ]
    );
    assert_eq!(
        place.problems(&dataset, ProblemKind::UnknownClass)[0],
        "ROOT/labels/train/1.txt:3: the class 2, expected one of 2 class numbers"
    );
    assert!(
        place.problems(&dataset, ProblemKind::NotANumber)[0].contains("1.txt:6: `nan`, expected a number")
    );
}

#[test]
fn damaged_descriptions_are_errors_with_their_line() {
    let message = |yaml: &str| {
        let (message, hint) = place(yaml).error();
        assert!(hint.contains("data.yaml"), "{hint}");
        message
    };
    assert!(message("train: a\nnames: [a\nb: c").starts_with("ROOT/data.yaml:"));
    assert!(message("train: nowhere\nnames: [a, b]").contains("data.yaml:1: `ROOT/nowhere` does not exist"));
    assert_eq!(
        message("train: images/train\nnc: 3\nnames: [a, b]"),
        "ROOT/data.yaml:2: `nc` is 3, but there are 2 names"
    );
    assert!(message("train: images/train\nnames: [a, a]").contains("`a` is the name of two classes"));
    assert!(message("train: images/train\nnc: 99999999999").contains("`nc` is no number"));
    assert!(message("train:\nnames: [a, b]").contains("the key `train` is missing"));
    let place = place(YAML);
    fs::write(place.path().join("labels/train/1.txt"), b"0 1\n\xff").unwrap();
    assert!(place.error().0.ends_with("labels/train/1.txt:2: not UTF-8 text"));
    fs::rename(place.path().join("data.yaml"), place.path().join("data.txt")).unwrap();
    assert_eq!(place.error().0, "ROOT: no description of the data set");
    fs::rename(place.path().join("data.txt"), place.path().join("data.yaml")).unwrap();
    fs::remove_dir_all(place.path().join("labels")).unwrap();
    assert_eq!(place.error().0, "ROOT: no object on any of 2 training images");
}
