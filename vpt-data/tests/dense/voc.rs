//! Pascal VOC.

use crate::place::{Place, boxes, names};
use std::fs;
use vpt_data::{DataSummary, Format, ProblemKind, TaskKind};

fn object(name: &str, edges: [&str; 4]) -> String {
    let [x0, y0, x1, y1] = edges;
    format!(
        "<object>\n<name>{name}</name><difficult>0</difficult>\n<bndbox><xmin>{x0}</xmin><ymin>{y0}</ymin>\
         <xmax>{x1}</xmax><ymax>{y1}</ymax></bndbox>\n</object>\n"
    )
}

fn xml(file: &str, size: [u32; 2], objects: &[String]) -> String {
    let [w, h] = size;
    format!(
        "<annotation>\n<filename>{file}</filename>\n<size><width>{w}</width><height>{h}</height></size>\n{}</annotation>\n",
        objects.concat()
    )
}

/// Pictures 1 to 4 of 40 x 30, with a box of a dog; 4 is empty.
fn place(below: &str) -> Place {
    let place = Place::new();
    for number in 1..=4 {
        let name = format!("{number}.jpg");
        let objects = match number {
            4 => vec![],
            _ => vec![
                object("dog", ["1", "2", "11", "12.5"]),
                object("cat", ["20", "5", "30", "25"]),
            ],
        };
        place.picture(&format!("{below}JPEGImages/{name}"), 40, 30);
        place.text(
            &format!("{below}Annotations/{number}.xml"),
            &xml(&name, [40, 30], &objects),
        );
    }
    place
}

#[test]
fn lists_say_the_splits() {
    for below in ["", "VOC2007/", "VOCdevkit/VOC2012/"] {
        let place = place(below);
        place.text(&format!("{below}ImageSets/Main/train.txt"), "1\n4\n\n");
        place.text(&format!("{below}ImageSets/Main/val.txt"), "2 1\n9\n");
        place.text(&format!("{below}ImageSets/Main/test.txt"), "3\n3\n");
        place.text(&format!("{below}ImageSets/Main/trainval.txt"), "1\n2\n4\n");
        let dataset = place.open().unwrap();
        assert_eq!((dataset.format, dataset.kind), (Format::Voc, TaskKind::Detection));
        assert_eq!(dataset.classes, ["cat", "dog"]);
        assert_eq!(
            [&dataset.train, &dataset.val, &dataset.test].map(|part| names(part)),
            [
                vec!["1.jpg".to_owned(), "4.jpg".into()],
                vec!["2.jpg".into()],
                vec!["3.jpg".into()]
            ]
        );
        assert_eq!(
            boxes(&dataset.train[0]),
            [(1, [1.0, 2.0, 11.0, 12.5]), (0, [20.0, 5.0, 30.0, 25.0])]
        );
        assert!(boxes(&dataset.train[1]).is_empty());
        assert_eq!(
            place.problems(&dataset, ProblemKind::MissingAnnotation),
            [format!(
                "ROOT/{below}ImageSets/Main/val.txt:2: no annotation of `9`"
            )]
        );
        assert_eq!(dataset.problems.count(ProblemKind::DuplicateId), 1);
        assert!(
            dataset.notes[0].starts_with("read as Pascal VOC: "),
            "{:?}",
            dataset.notes
        );
        assert!(
            dataset
                .notes
                .iter()
                .any(|note| note.starts_with("2 problems in the annotations: "))
        );
        let objects = DataSummary::of(&dataset).unwrap().objects.unwrap();
        assert_eq!(
            (objects.objects, objects.small, objects.without),
            (6, 6, vec![1, 0, 0])
        );
        assert_eq!(
            (
                objects.per_picture.min,
                objects.per_picture.median,
                objects.per_picture.max
            ),
            (0, 2.0, 2)
        );
    }
}

#[test]
fn trainval_is_divided_where_there_is_no_train() {
    let place = place("");
    place.text("ImageSets/Main/trainval.txt", "1\n2\n3\n4\n");
    let dataset = place.open().unwrap();
    assert_eq!(
        (dataset.train.len() + dataset.val.len(), dataset.val.len()),
        (4, 1)
    );
    let place = self::place("");
    let dataset = place.open().unwrap();
    assert_eq!(
        [&dataset.train, &dataset.val, &dataset.test].map(Vec::len),
        [2, 1, 1]
    );
    assert!(
        dataset.test_is_drawn
            && dataset
                .notes
                .iter()
                .any(|note| note.contains("no lists in `ImageSets/Main`"))
    );
}

#[test]
fn what_is_wrong_is_mended_or_left_out_and_said() {
    let place = Place::new();
    for name in ["a", "b", "c", "d"] {
        place.picture(&format!("JPEGImages/{name}.png"), 40, 30);
    }
    place.picture("JPEGImages/silent.png", 40, 30);
    let objects = [
        object("cell", ["-5", "0", "10", "10"]),
        object("cell", ["7", "7", "7", "9"]),
        object("cell", ["NaN", "7", "9", "9"]),
        object("cell", ["x", "7", "9", "9"]),
        object("", ["1", "1", "9", "9"]),
        object("cell", ["50", "1", "60", "9"]),
    ];
    place.text("Annotations/a.xml", &xml("a.png", [40, 30], &objects));
    place.text(
        "Annotations/b.xml",
        &xml("b.png", [80, 60], &[object("cell", ["20", "20", "40", "60"])]),
    );
    place.text(
        "Annotations/c.xml",
        &xml("c.png", [40, 31], &[object("cell", ["20", "20", "40", "30"])]),
    );
    place.text(
        "Annotations/copy.xml",
        &xml("b.png", [40, 30], &[object("cell", ["1", "1", "9", "9"])]),
    );
    place.text(
        "Annotations/d.xml",
        &xml("d.png", [99, 30], &[object("cell", ["1", "1", "9", "9"])]),
    );
    place.text("Annotations/gone.xml", &xml("gone.png", [40, 30], &[]));
    let dataset = place.open().unwrap();
    let all: Vec<_> = dataset
        .train
        .iter()
        .chain(&dataset.val)
        .chain(&dataset.test)
        .collect();
    let of = |name: &str| boxes(all.iter().find(|sample| sample.path.ends_with(name)).unwrap());
    assert_eq!(all.len(), 4);
    assert_eq!(of("a.png"), [(0, [0.0, 0.0, 10.0, 10.0])]);
    assert_eq!(of("b.png"), [(0, [10.0, 10.0, 20.0, 30.0])], "scaled");
    let problems = |kind| place.problems(&dataset, kind);
    assert_eq!(
        problems(ProblemKind::OutsidePicture),
        ["ROOT/Annotations/a.xml:4: the box -5 0 10 10 reaches 5.0 pixels out of 40 x 30"]
    );
    assert_eq!(problems(ProblemKind::ZeroArea).len(), 2);
    assert_eq!(problems(ProblemKind::NotANumber).len(), 2);
    assert_eq!(problems(ProblemKind::UnknownClass).len(), 1);
    assert_eq!(
        problems(ProblemKind::MissingPicture),
        ["ROOT/Annotations/gone.xml:2: neither `gone` nor `ROOT/JPEGImages/gone.png` is among the pictures"]
    );
    assert_eq!(
        problems(ProblemKind::TwoAnnotations),
        ["ROOT/Annotations/copy.xml: `ROOT/JPEGImages/b.png` has an annotation already"]
    );
    assert_eq!(problems(ProblemKind::MissingAnnotation).len(), 1);
    let sizes = problems(ProblemKind::OtherSize);
    assert_eq!(sizes.len(), 3, "{sizes:?}");
    assert!(sizes[0].ends_with("b.xml:3: 80 x 60 pixels, the picture has 40 x 30: boxes scaled with it"));
    assert!(sizes[2].ends_with("d.xml:3: 99 x 30 pixels, the picture has 40 x 30: boxes taken as they are"));
    let repaired = dataset
        .problems
        .listed()
        .iter()
        .filter(|problem| problem.repaired)
        .count();
    assert_eq!((dataset.problems.len(), repaired), (12, 3));
    let json = serde_json::to_string(&DataSummary::of(&dataset).unwrap()).unwrap();
    assert_eq!(
        serde_json::from_str::<DataSummary>(&json).unwrap().problems,
        dataset.problems
    );
}

#[test]
fn damaged_files_are_errors_with_their_line() {
    let place = place("");
    place.text("Annotations/2.xml", "<annotation>\n<object>\n</annotation>");
    let (message, hint) = place.error();
    assert!(
        message.starts_with("ROOT/Annotations/2.xml:3: not XML: "),
        "{message}"
    );
    assert_eq!(hint, "replace or remove the file");
    place.text("Annotations/2.xml", "<html/>");
    assert!(
        place
            .error()
            .0
            .ends_with("2.xml:1: the root is `html`, expected `annotation`")
    );
    fs::write(place.path().join("Annotations/2.xml"), b"<a>\n\xff</a>").unwrap();
    assert!(place.error().0.ends_with("2.xml:2: not UTF-8 text"));
}

#[test]
fn nothing_to_learn_is_an_error() {
    let place = Place::new();
    place
        .picture("JPEGImages/1.png", 9, 9)
        .text("Annotations/1.xml", "<annotation/>");
    assert!(
        place
            .error()
            .0
            .starts_with("ROOT: no object on any of 1 training image"),
        "{}",
        place.error().0
    );
    let place = self::place("VOC2007/");
    place
        .picture("VOC2012/JPEGImages/1.png", 9, 9)
        .text("VOC2012/Annotations/1.xml", "<annotation/>");
    let (message, hint) = place.error();
    assert!(message.contains("`ROOT/VOC2007`, `ROOT/VOC2012`"), "{message}");
    assert_eq!(hint, "give one of them");
}
