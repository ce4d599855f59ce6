//! Pascal VOC's masks.

use crate::place::{Place, masks, names};
use image::{Rgb, RgbImage};
use std::fs;
use std::path::Path;
use vpt_data::{Format, Mask, ProblemKind, TaskKind};

/// Five pictures of 4 x 2 with masks of 0, 1, 2 and 255 across.
fn place(below: &str) -> Place {
    let place = Place::new();
    for number in 1..=5 {
        place
            .picture(&format!("{below}JPEGImages/{number}.jpg"), 4, 2)
            .mask(&format!("{below}SegmentationClass/{number}.png"), 4, 2, |x, _| {
                [0, 1, 2, 255][x as usize]
            });
    }
    place
}

/// Boxes of these classes.
fn annotate(place: &Place, number: usize, classes: &[&str]) {
    let objects: Vec<String> = classes
        .iter()
        .map(|name| {
            format!(
                "<object><name>{name}</name><part><name>head</name></part><bndbox><xmin>0</xmin><ymin>0</ymin><xmax>2</xmax>\
                 <ymax>2</ymax></bndbox></object>"
            )
        })
        .collect();
    place.text(
        &format!("Annotations/{number}.xml"),
        &format!("<annotation>{}</annotation>", objects.concat()),
    );
}

const ROW: [u8; 8] = [0, 1, 2, Mask::IGNORED, 0, 1, 2, Mask::IGNORED];

#[test]
fn lists_say_the_splits() {
    for below in ["", "VOC2012/", "VOCdevkit/VOC2007/"] {
        let place = place(below);
        let list = |name: &str| format!("{below}ImageSets/Segmentation/{name}.txt");
        place
            .text(&list("train"), "3\n1\n9\n")
            .text(&list("val"), "2\n")
            .text(&list("test"), "4\n4\n")
            .text(&list("trainval"), "1\n2\n3\n");
        // Lists of boxes have no say.
        place.text(&format!("{below}ImageSets/Main/train.txt"), "5\n");
        assert_eq!(Format::kind_of(place.path()), Some(TaskKind::Segmentation));
        let dataset = place.open_masks().unwrap();
        assert_eq!(
            (dataset.format, dataset.kind),
            (Format::Voc, TaskKind::Segmentation)
        );
        assert_eq!(
            [&dataset.train, &dataset.val, &dataset.test].map(|part| names(part)),
            [
                vec!["3.jpg".to_owned(), "1.jpg".into()],
                vec!["2.jpg".into()],
                vec!["4.jpg".into()]
            ]
        );
        assert_eq!(dataset.classes, ["0", "1", "2"], "nothing names them");
        assert!(masks(&dataset).iter().all(|mask| mask.classes == ROW));
        assert_eq!(
            place.problems(&dataset, ProblemKind::MissingAnnotation),
            [format!(
                "ROOT/{below}ImageSets/Segmentation/train.txt:3: no annotation of `9`"
            )]
        );
        assert_eq!(dataset.problems.count(ProblemKind::DuplicateId), 1);
        assert!(
            dataset.notes[0].ends_with("split by `ImageSets/Segmentation`"),
            "{:?}",
            dataset.notes
        );
        assert_eq!(place.open().unwrap(), dataset, "there is nothing but masks");
    }
}

#[test]
fn without_lists_the_seed_splits() {
    let place = place("");
    place
        .picture("JPEGImages/6.jpg", 4, 2)
        .mask("SegmentationClass/7.png", 4, 2, |_, _| 0)
        .picture("JPEGImages/8.jpg", 4, 2)
        .mask("SegmentationClass/8.png", 2, 4, |_, _| 1)
        .picture("JPEGImages/9.jpg", 4, 2)
        .text("SegmentationClass/9.png", "text");
    let dataset = place.open_masks().unwrap();
    assert_eq!(
        [&dataset.train, &dataset.val, &dataset.test].map(Vec::len),
        [3, 1, 1]
    );
    assert!(
        dataset
            .notes
            .iter()
            .any(|note| note.starts_with("no lists in `ImageSets/Segmentation`: "))
    );
    let counts: Vec<_> = dataset.problems.counts().clone().into_iter().collect();
    assert_eq!(
        counts,
        [
            (ProblemKind::MissingPicture, 1),
            (ProblemKind::MissingAnnotation, 1),
            (ProblemKind::OtherSize, 1),
            (ProblemKind::Unreadable, 1),
        ]
    );
    assert_eq!(
        place.problems(&dataset, ProblemKind::MissingPicture),
        ["ROOT/SegmentationClass/7.png: no picture of this name in `ROOT/JPEGImages`"]
    );
}

#[test]
fn names_are_those_of_a_file_or_of_the_boxes_if_they_are_as_many() {
    let place = place("");
    let classes = || place.open_masks().unwrap().classes;
    annotate(&place, 1, &["zebra", "ant"]);
    annotate(&place, 2, &["ant"]);
    assert_eq!(classes(), ["background", "ant", "zebra"]);
    assert_eq!(
        place.open().unwrap().kind,
        TaskKind::Detection,
        "nobody asked for masks"
    );
    assert_eq!(Format::kind_of(place.path()), Some(TaskKind::Detection));
    annotate(&place, 3, &["bee"]);
    assert_eq!(classes(), ["0", "1", "2"], "three names for two numbers");
    place.text(
        "labelmap.txt",
        "# label:color_rgb:parts:actions\nsky:0,0,0::\n\ncar:128,0,0:wheel:\nroad:::\n",
    );
    assert_eq!(
        place.error_of_masks().0,
        "ROOT/labelmap.txt:1: 2 colours of 3 classes"
    );
    place.text(
        "labelmap.txt",
        "# label:color_rgb:parts:actions\nsky:::\n\ncar::wheel:\nroad:::\n",
    );
    assert_eq!(classes(), ["sky", "car", "road"]);
    place.text("classes.txt", "a\nb\n");
    let dataset = place.open_masks().unwrap();
    assert_eq!(dataset.classes, ["a", "b"]);
    assert_eq!(
        place.problems(&dataset, ProblemKind::UnknownClass)[0],
        "ROOT/SegmentationClass/1.png: 2 pixels have the number 2, which is no class"
    );
    fs::remove_file(place.path().join("classes.txt")).unwrap();
    fs::remove_file(place.path().join("labelmap.txt")).unwrap();
    place.text("Annotations/2.xml", "<annotation>\n<object>\n</annotation>");
    assert!(
        place
            .error_of_masks()
            .0
            .starts_with("ROOT/Annotations/2.xml:3: not XML: ")
    );
}

#[test]
fn colours_are_those_of_the_label_map() {
    let place = place("");
    let map = "background:0,0,0::\ncar:10,20,30::\nroad:255,255,255::\n";
    place.text("labelmap.txt", map);
    let colours = [[0, 0, 0], [10, 20, 30], [255, 255, 255], [1, 1, 1]].map(Rgb);
    for number in 1..=5 {
        RgbImage::from_fn(4, 2, |x, _| colours[x as usize])
            .save(place.path().join(format!("SegmentationClass/{number}.png")))
            .unwrap();
    }
    let dataset = place.open_masks().unwrap();
    assert_eq!(dataset.classes, ["background", "car", "road"]);
    assert!(masks(&dataset).iter().all(|mask| mask.classes == ROW));
    let unknown = place.problems(&dataset, ProblemKind::UnknownClass);
    assert_eq!(
        (unknown.len(), unknown[0].as_str()),
        (
            5,
            "ROOT/SegmentationClass/1.png: 2 pixels have a colour that is of no class"
        )
    );
    let order = ["road", "background", "car"].map(str::to_owned);
    let turned = dataset.clone().with_class_order(&order).unwrap();
    assert_eq!(masks(&turned)[0].classes[..4], [1, 2, 0, Mask::IGNORED]);
    let text = serde_json::to_string(&dataset.train[0]).unwrap();
    assert_eq!(
        serde_json::from_str::<vpt_data::Sample>(&text).unwrap(),
        dataset.train[0]
    );
    for (from, to, message) in [
        (
            "10,20,30",
            "10,20",
            "ROOT/labelmap.txt:2: the colour `10,20`, expected three numbers from 0 to 255",
        ),
        (
            "10,20,30",
            "10,20,300",
            "ROOT/labelmap.txt:2: the colour `10,20,300`, expected three numbers from 0 to 255",
        ),
        (
            "10,20,30",
            "0,0,0",
            "ROOT/labelmap.txt:2: a second class of the colour 0,0,0",
        ),
        ("road", "car", "ROOT/labelmap.txt:3: `car` is there twice"),
    ] {
        place.text("labelmap.txt", &map.replace(from, to));
        let (found, hint) = place.error_of_masks();
        assert_eq!(found, message);
        assert!(hint.contains("name:red,green,blue"), "{hint}");
    }
    fs::remove_file(place.path().join("labelmap.txt")).unwrap();
    let (message, hint) = place.error_of_masks();
    assert!(message.starts_with("ROOT: no training image with a mask; the first problem: ROOT/SegmentationClass/1.png: the colour (10, 20, 30)"), "{message}");
    assert!(hint.starts_with("expected SegmentationClass/NAME.png"));
}

#[test]
fn palettes_give_places() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/formats");
    let [width, height] = image::image_dimensions(fixtures.join("palette4.png"))
        .unwrap()
        .into();
    let place = Place::new();
    for folder in ["JPEGImages", "SegmentationClass", "images", "masks"] {
        fs::create_dir(place.path().join(folder)).unwrap();
        for number in 1..=4 {
            let name = format!("{folder}/{number}.png");
            match folder {
                "JPEGImages" | "images" => drop(place.picture(&name, width, height)),
                _ => drop(fs::copy(fixtures.join("palette4.png"), place.path().join(name)).unwrap()),
            }
        }
    }
    let dataset = place.open_masks().unwrap();
    assert_eq!(dataset.format, Format::Voc);
    let read = masks(&dataset);
    fs::remove_dir_all(place.path().join("SegmentationClass")).unwrap();
    let other = place.open().unwrap();
    assert_eq!(other.format, Format::MaskFolder);
    assert_eq!((&dataset.classes, read), (&other.classes, masks(&other)));
    assert!(dataset.classes.len() > 3);
}

#[test]
fn boxes_alone_are_an_error_with_a_hint() {
    let place = Place::new();
    place.picture("JPEGImages/1.jpg", 4, 2);
    annotate(&place, 1, &["ant"]);
    let (message, hint) = place.error_of_masks();
    assert_eq!(message, "ROOT: no masks in `SegmentationClass`, only boxes");
    assert!(
        hint.ends_with("without `--kind segmentation` boxes are read"),
        "{hint}"
    );
    let place = self::place("VOC2007/");
    place.mask("VOC2012/SegmentationClass/1.png", 4, 2, |_, _| 0);
    assert_eq!(place.error_of_masks().1, "give one of them");
    fs::remove_dir_all(place.path().join("VOC2012")).unwrap();
    fs::remove_dir_all(place.path().join("VOC2007/JPEGImages")).unwrap();
    assert!(
        place
            .error_of_masks()
            .0
            .ends_with("VOC2007/JPEGImages` does not exist")
    );
}
