//! Pictures and masks.

use crate::place::{Place, names};
use image::{ImageBuffer, Luma};
use std::fs;
use vpt_data::{DataSummary, Format, Mask, ProblemKind, Split, TaskKind, read_mask};

/// Masks of 4 x 2: 1 where x > 1, on four pictures.
fn place(images: &str, masks: &str, value: impl Fn(u32, u32) -> u8 + Copy) -> Place {
    let place = Place::new();
    for name in ["1", "2", "3", "4"] {
        place.picture(&format!("{images}/{name}.png"), 4, 2).mask(
            &format!("{masks}/{name}.png"),
            4,
            2,
            value,
        );
    }
    place
}

#[test]
fn black_and_white_are_background_and_foreground() {
    for (images, masks) in [("images", "masks"), ("images", "annotations"), ("imgs", "labels")] {
        for white in [1, 255] {
            let place = place(images, masks, |x, _| if x > 1 { white } else { 0 });
            let dataset = place.open().unwrap();
            assert_eq!(
                (dataset.format, dataset.kind),
                (Format::MaskFolder, TaskKind::Segmentation)
            );
            assert_eq!(dataset.classes, ["background", "foreground"]);
            assert_eq!(
                [&dataset.train, &dataset.val, &dataset.test].map(Vec::len),
                [2, 1, 1]
            );
            let mask = read_mask(&dataset.train[0]).unwrap();
            assert_eq!(
                (mask.width, mask.height, mask.classes),
                (4, 2, vec![0, 0, 1, 1, 0, 0, 1, 1])
            );
            assert_eq!(dataset.class_counts(Split::Train), [2, 2]);
        }
    }
}

#[test]
fn splits_are_folders() {
    for layout in [
        |split: &str, what: &str| format!("{split}/{what}"),
        |split: &str, what: &str| format!("{what}/{split}"),
    ] {
        let place = Place::new();
        for (split, name) in [("train", "a"), ("train", "b"), ("valid", "c"), ("test", "d")] {
            place.picture(&format!("{}/{name}.png", layout(split, "images")), 4, 2);
            place.mask(&format!("{}/{name}.png", layout(split, "masks")), 4, 2, |x, _| {
                x as u8 * 50
            });
            place.mask(
                &format!("{}/{name}.png", layout(split, "masks_other")),
                4,
                2,
                |_, _| 9,
            );
        }
        let dataset = place.open().unwrap();
        assert_eq!(
            (names(&dataset.val), names(&dataset.test)),
            (vec!["c.png".into()], vec!["d.png".into()])
        );
        assert_eq!(dataset.classes, ["0", "50", "100", "150"]);
        let note = "ignored `masks_other` beside the pictures and masks";
        assert!(
            dataset.notes.iter().any(|found| found == note),
            "{:?}",
            dataset.notes
        );
        let pixels = DataSummary::of(&dataset).unwrap().pixels.unwrap();
        assert_eq!((&pixels[0].shares, pixels[0].ignored), (&vec![0.25; 4], 0.0));
    }
}

#[test]
fn names_and_ignored_numbers_are_read() {
    let place = place("images", "masks", |x, y| {
        [0, 1, 200, 255][x as usize] + u8::from(x == 0 && y == 1) * 2
    });
    place.text("classes.txt", "sky\nroad\ncar\nignore = 200\n");
    let dataset = place.open().unwrap();
    assert_eq!(dataset.classes, ["sky", "road", "car"]);
    assert_eq!(
        read_mask(&dataset.train[0]).unwrap().classes,
        [0, 1, 255, 255, 2, 1, 255, 255]
    );
    let unknown = place.problems(&dataset, ProblemKind::UnknownClass);
    assert!(unknown.len() == 4 && unknown[0].ends_with("2 pixels have the number 255, which is no class"));
    let pixels = DataSummary::of(&dataset).unwrap().pixels.unwrap();
    assert_eq!(
        (&pixels[0].shares, pixels[0].ignored),
        (&vec![0.25, 0.5, 0.25], 0.5)
    );
    let turned = dataset
        .clone()
        .with_class_order(&["car", "road", "sky"].map(str::to_owned))
        .unwrap();
    assert_eq!(
        read_mask(&turned.train[0]).unwrap().classes,
        [2, 1, 255, 255, 0, 1, 255, 255]
    );
    assert_ne!(turned.fingerprint().unwrap(), dataset.fingerprint().unwrap());
    let before = dataset.fingerprint().unwrap();
    let path = dataset.train[0].label.mask().unwrap().path().unwrap();
    fs::copy(dataset.test[0].label.mask().unwrap().path().unwrap(), path).unwrap();
    assert_eq!(dataset.fingerprint().unwrap(), before, "the same content");
    image::GrayImage::new(4, 2).save(path).unwrap();
    assert_ne!(dataset.fingerprint().unwrap(), before);
}

#[test]
fn sixteen_bits_and_what_is_no_mask() {
    let place = place("images", "masks", |x, _| u8::from(x > 1));
    let deep: ImageBuffer<Luma<u16>, Vec<u16>> =
        ImageBuffer::from_fn(4, 2, |x, _| Luma([u16::from(x > 2) * 700]));
    deep.save(place.path().join("masks/1.png")).unwrap();
    place.picture("images/5.png", 4, 2).picture("masks/5.png", 5, 2);
    place.picture("images/6.png", 4, 2).text("masks/6.png", "text");
    place
        .picture("images/7.png", 4, 2)
        .mask("masks/7.png", 4, 3, |_, _| 0);
    place
        .picture("images/8.png", 4, 2)
        .mask("masks/9.png", 4, 2, |_, _| 0);
    place.mask("masks/1.bmp", 4, 2, |_, _| 3);
    let dataset = place.open().unwrap();
    assert_eq!(dataset.classes, ["0", "1", "3"]);
    assert_eq!(dataset.train.len() + dataset.val.len() + dataset.test.len(), 4);
    let counts: Vec<_> = dataset
        .problems
        .counts()
        .iter()
        .map(|(kind, count)| (*kind, *count))
        .collect();
    assert_eq!(
        counts,
        [
            (ProblemKind::MissingPicture, 1),
            (ProblemKind::MissingAnnotation, 1),
            (ProblemKind::TwoAnnotations, 1),
            (ProblemKind::OtherSize, 1),
            (ProblemKind::Unreadable, 2),
        ]
    );
    fs::remove_file(place.path().join("masks/1.bmp")).unwrap();
    let dataset = place.open().unwrap();
    assert_eq!(dataset.classes, ["0", "1", "700"]);
    let all = dataset.train.iter().chain(&dataset.val).chain(&dataset.test);
    let first = all
        .into_iter()
        .find(|sample| sample.path.ends_with("1.png"))
        .unwrap();
    assert_eq!(read_mask(first).unwrap().classes, [0, 0, 0, 2, 0, 0, 0, 2]);
    assert_eq!(Mask::IGNORED, 255);
}

#[test]
fn mistakes_are_errors_with_their_line() {
    let place = place("images", "masks", |x, _| u8::from(x > 1));
    place.text("classes.txt", "a\nb\na\n");
    assert_eq!(place.error().0, "ROOT/classes.txt:3: `a` is there twice");
    place.text("classes.txt", "a\nb\nignore = many\n");
    assert_eq!(
        place.error().0,
        "ROOT/classes.txt:3: `ignore = many`, expected a number from 0 to 65535"
    );
    place.text("classes.txt", "a\n");
    assert_eq!(place.error().0, "ROOT/classes.txt:1: 1 name, expected 2 to 255");
    let many = self::place("images", "masks", |_, _| 4);
    let (message, hint) = many.error();
    assert_eq!(message, "ROOT: the masks hold 1 number, expected 2 to 254");
    assert!(hint.contains("not for single objects"));
}

#[test]
fn two_class_folders_are_no_masks() {
    let place = Place::new();
    for number in 0..4 {
        place
            .picture(&format!("images/a{number}.png"), 4, 2)
            .picture(&format!("masks/b{number}.png"), 4, 2);
    }
    let dataset = place.open().unwrap();
    assert_eq!(
        (dataset.format, dataset.classes),
        (Format::ImageFolder, vec!["images".into(), "masks".into()])
    );
}
