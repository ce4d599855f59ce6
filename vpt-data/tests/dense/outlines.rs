//! Masks drawn from the outlines of COCO and YOLO.

use crate::place::{Place, masks};
use crate::shapes::{
    FILE, SIZE, annotation, coco, expected, in_coco_form, in_mask_form, in_yolo_form, polygon, runs,
};
use vpt_data::{
    ClassMask, DataSummary, Dataset, Format, Mask, OpenOptions, Outline, ProblemKind, Split, TaskKind,
    TaskSpec,
};

#[test]
fn the_same_outlines_are_the_same_masks_in_every_form() {
    let files = in_mask_form();
    let stored = files.open().unwrap();
    let [width, height] = SIZE;
    let pixels = (0..width * height).map(|at| expected(at % width, at / width));
    let one = ClassMask {
        width,
        height,
        classes: pixels.collect(),
    };
    assert_eq!(one.counts(3).0, [678, 506, 16], "all three are seen");
    for (place, format) in [(in_coco_form(), Format::Coco), (in_yolo_form(), Format::Yolo)] {
        let dataset = place.open_masks().unwrap();
        assert_eq!((dataset.format, dataset.kind), (format, TaskKind::Segmentation));
        assert_eq!(dataset.classes, stored.classes);
        assert!(dataset.problems.is_empty(), "{:?}", dataset.problems);
        assert_eq!(masks(&dataset), vec![one.clone(); 4], "{format}");
        assert!(
            dataset
                .train
                .iter()
                .all(|sample| sample.label.classes() == [0, 1, 2])
        );
        let note = "masks are drawn from 12 outlines: ";
        assert!(
            dataset.notes.iter().any(|found| found.starts_with(note)),
            "{:?}",
            dataset.notes
        );
        let summary = DataSummary::of(&dataset).unwrap();
        assert!(summary.objects.is_none() && summary.unreadable.is_empty());
        let shares = &summary.pixels.unwrap()[0].shares;
        assert_eq!(*shares, [678.0 / 1200.0, 506.0 / 1200.0, 16.0 / 1200.0]);
        let boxes = place.open().unwrap();
        assert_eq!(
            (boxes.kind, &boxes.classes[..]),
            (TaskKind::Detection, &dataset.classes[1..])
        );
        assert_eq!(
            boxes.class_counts(Split::Train).iter().sum::<usize>(),
            3 * dataset.train.len()
        );
    }
    assert_eq!(masks(&stored), vec![one; 4]);
}

#[test]
fn slanted_outlines_are_those_of_the_rasteriser() {
    let place = Place::new();
    let points = [[3.5, 2.25], [33.1, 7.0], [20.0, 28.9]];
    let outline = format!("[{:?}]", points.as_flattened());
    coco(
        &place,
        FILE,
        4,
        &[1, 2, 3, 4].map(|image| annotation(image, 2, &outline)),
    );
    let inside = Outline::Polygons(vec![points.to_vec()]).rasterise(SIZE);
    let inside: Vec<u8> = inside.into_iter().map(|inside| u8::from(inside) * 2).collect();
    for mask in masks(&place.open_masks().unwrap()) {
        assert!(mask.classes == inside && inside.contains(&2) && inside.contains(&0));
    }
}

#[test]
fn crowds_are_ignored_where_no_object_is() {
    let place = Place::new();
    let crowd = |edges| format!("{},\"iscrowd\":1", annotation(1, 1, &runs(edges, false)));
    // The crowd is smaller than what lies on it.
    coco(
        &place,
        FILE,
        1,
        &[annotation(1, 2, &polygon([0, 0, 20, 10])), crowd([10, 5, 30, 8])],
    );
    let text = std::fs::read_to_string(place.path().join(FILE)).unwrap();
    std::fs::remove_file(place.path().join(FILE)).unwrap();
    place
        .text("annotations/instances_train.json", &text)
        .text("annotations/instances_val.json", &text);
    let dataset = place.open_masks().unwrap();
    let [mask, _] = &masks(&dataset)[..] else {
        panic!("two pictures")
    };
    for (at, &class) in (0..).zip(&mask.classes) {
        let (x, y) = (at % 40, at / 40);
        let expected = match (x < 20 && y < 10, (10..30).contains(&x) && (5..8).contains(&y)) {
            (true, _) => 2,
            (false, true) => Mask::IGNORED,
            (false, false) => 0,
        };
        assert_eq!(class, expected, "{x} {y}");
    }
    assert_eq!(
        dataset.train[0].label.classes(),
        [0, 2],
        "of a crowd nothing is learnt"
    );
    let pixels = DataSummary::of(&dataset).unwrap().pixels.unwrap();
    assert_eq!(pixels[0].ignored, 30.0 / 1200.0);
}

#[test]
fn what_has_no_outline_is_left_out_and_said() {
    let place = Place::new();
    let [cell, other] = [
        polygon([1, 1, 9, 9]),
        runs([0, 0, 5, 5], false).replace("[30,40]", "[40,30]"),
    ];
    let nothing = runs([0, 0, 0, 0], false);
    let annotations = [
        annotation(1, 1, &cell),
        annotation(1, 1, "[]") + r#","bbox":[1,1,5,5]"#,
        annotation(2, 1, "[[1,2,3]]") + r#","bbox":[1,1,5,5]"#,
        annotation(2, 1, &other),
        annotation(2, 1, &nothing),
        annotation(2, 2, &polygon([30, 20, 60, 25])),
        annotation(3, 2, "null") + r#","bbox":[1,1,5,5],"iscrowd":1"#,
        annotation(3, 1, &cell).replace(":3,\"seg", ":4,\"seg"),
        // Of boxes that nobody needs nothing is said.
        annotation(3, 2, &cell) + r#","bbox":[1,1,-5,null]"#,
    ];
    coco(&place, FILE, 3, &annotations);
    let dataset = place.open_masks().unwrap();
    let key = |number: usize, what: &str| format!("ROOT/{FILE}: annotations[{number}]: {what}");
    assert_eq!(
        place.problems(&dataset, ProblemKind::NoOutline),
        [
            key(1, "a box without an outline"),
            key(
                2,
                "an outline that cannot be drawn: a polygon of 3 numbers, expected pairs, at least three"
            ),
            key(
                3,
                "an outline that cannot be drawn: run lengths for 30 x 40 pixels, the picture has 40 x 30"
            ),
            key(6, "a box without an outline"),
        ]
    );
    assert_eq!(
        place.problems(&dataset, ProblemKind::ZeroArea),
        [key(4, "an outline of no pixel")]
    );
    assert_eq!(dataset.problems.count(ProblemKind::OutsidePicture), 1);
    assert_eq!(dataset.problems.count(ProblemKind::UnknownClass), 1);
    assert_eq!(dataset.problems.len(), 7, "{:?}", dataset.problems);
    let summary = dataset.problems.summary().unwrap();
    assert!(
        summary.contains("4 objects without outlines, left out"),
        "{summary}"
    );
    let counts: Vec<_> = masks(&dataset).iter().map(|mask| mask.counts(3).0).collect();
    assert_eq!(
        counts,
        [[1136, 64, 0], [1150, 0, 50], [1136, 0, 64]],
        "cut at the edge"
    );
}

#[test]
fn lines_of_boxes_are_no_outlines() {
    let place = in_yolo_form();
    place.text(
        "labels/train/2.txt",
        "0 0.5 0.5 0.25 0.2\n1 0 0 0.5 0 0.5 0.5 0 0.5\n\n1 0.5 0.5 0.1 0.1\n",
    );
    let dataset = place.open_masks().unwrap();
    assert_eq!(
        place.problems(&dataset, ProblemKind::NoOutline),
        [1, 4].map(|line| format!("ROOT/labels/train/2.txt:{line}: a box without an outline"))
    );
    assert_eq!(dataset.problems.len(), 2);
    assert_eq!(masks(&dataset)[1].counts(3).0, [900, 0, 300]);
    assert_eq!(place.open().unwrap().problems.len(), 0);
}

#[test]
fn boxes_alone_are_an_error_with_a_hint() {
    let place = in_yolo_form();
    for image in [2, 4] {
        place.text(&format!("labels/train/{image}.txt"), "0 0.5 0.5 0.25 0.2\n");
    }
    let (message, hint) = place.error_of_masks();
    assert_eq!(
        message,
        "ROOT: no object with an outline on any of 2 training images; 2 problems, the first: \
         ROOT/labels/train/2.txt:1: a box without an outline"
    );
    assert!(
        hint.contains("polygons or run lengths")
            && hint.contains("without `--kind segmentation` boxes are read")
    );
    assert!(place.open().is_ok());
    let place = Place::new();
    let crowd = annotation(1, 1, &polygon([1, 1, 9, 9])) + r#","iscrowd":1"#;
    coco(&place, FILE, 1, &[crowd]);
    let (message, _) = place.error_of_masks();
    assert_eq!(
        message,
        "ROOT: no object with an outline on any of 1 training image"
    );
}

#[test]
fn a_class_called_background_is_no_other() {
    let place = in_yolo_form();
    place.text(
        "data.yaml",
        "train: images/train\nval: images/val\nnames: [cell, background]\n",
    );
    let dataset = place.open_masks().unwrap();
    assert_eq!(dataset.classes, ["background", "cell"]);
    assert_eq!(
        masks(&dataset)[0].counts(2).0,
        [1200 - 506, 506],
        "the small one is a hole"
    );
    assert_eq!(dataset.train[0].label.classes(), [0, 1]);
    let names: Vec<String> = (0..255).map(|number| format!("c{number}")).collect();
    let yaml = |names: &[String]| {
        format!(
            "train: images/train\nval: images/val\nnames: [{}]\n",
            names.join(", ")
        )
    };
    place.text("data.yaml", &yaml(&names));
    let (message, hint) = place.error_of_masks();
    assert_eq!(
        message,
        "ROOT: 255 class names, a mask has at most 254 and `background`"
    );
    assert!(hint.starts_with("leave out classes"));
    place.text("data.yaml", &yaml(&names[1..]));
    assert_eq!(place.open_masks().unwrap().classes.len(), 255);
}

#[test]
fn classes_in_another_order_and_fingerprints() {
    let place = in_coco_form();
    let dataset = place.open_masks().unwrap();
    let before = dataset.fingerprint().unwrap();
    assert_ne!(before, place.open().unwrap().fingerprint().unwrap());
    assert_eq!(before, place.open_masks().unwrap().fingerprint().unwrap());
    let order = ["spot", "background", "cell"].map(str::to_owned);
    let turned = dataset.clone().with_class_order(&order).unwrap();
    assert_ne!(turned.fingerprint().unwrap(), before);
    assert_eq!(masks(&turned)[0].counts(3).0, [16, 678, 506]);
    let text = std::fs::read_to_string(place.path().join(FILE)).unwrap();
    place.text(FILE, &text.replacen("27", "26", 1));
    assert_ne!(
        place.open_masks().unwrap().fingerprint().unwrap(),
        before,
        "an outline has changed"
    );
    let folds = dataset.folds(2, 0.25, 1).unwrap();
    assert!(
        folds
            .iter()
            .all(|fold| fold.kind == TaskKind::Segmentation && masks(fold) == masks(&dataset))
    );
}

#[test]
fn tasks_ask_for_masks() {
    let place = in_coco_form();
    place.text("task.toml", "data_dir = \".\"\nkind = \"segmentation\"\n");
    let task = TaskSpec::load(&place.path().join("task.toml")).unwrap();
    let dataset = task.open(&OpenOptions::default()).unwrap();
    assert_eq!(dataset.kind, TaskKind::Segmentation);
    place.text(
        "task.toml",
        "data_dir = \".\"\nkind = \"segmentation\"\nclasses = [\"background\", \"spot\", \"cell\"]\n",
    );
    let task = TaskSpec::load(&place.path().join("task.toml")).unwrap();
    assert_eq!(
        masks(&task.open(&OpenOptions::default()).unwrap())[0].counts(3).0,
        [678, 16, 506]
    );
}

#[test]
fn pictures_that_cannot_be_read_have_no_mask() {
    let place = in_coco_form();
    place.text("images/3.png", "no picture");
    let options = |skip_bad_images| OpenOptions {
        kind: Some(TaskKind::Segmentation),
        check_images: false,
        skip_bad_images,
        ..OpenOptions::default()
    };
    let dataset = Dataset::open(place.path(), &options(false)).unwrap();
    assert_eq!(dataset.problems.count(ProblemKind::Unreadable), 1);
    let sizes: Vec<usize> = masks(&dataset).iter().map(|mask| mask.classes.len()).collect();
    assert_eq!(sizes, [1200, 1200, 0, 1200]);
    assert_eq!(DataSummary::of(&dataset).unwrap().unreadable.len(), 1);
    let dataset = Dataset::open(place.path(), &options(true)).unwrap();
    assert_eq!((masks(&dataset).len(), dataset.skipped.len()), (3, 1));
}
