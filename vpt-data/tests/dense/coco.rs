//! COCO.

use crate::place::{Place, boxes, names};
use std::fs;
use vpt_data::{Format, ObjectSize, Outline, ProblemKind, Split, TaskKind};

const CATEGORIES: &str =
    r#""categories":[{"id":7,"name":"cell"},{"id":3,"name":"never"},{"id":90,"name":"10"}]"#;

fn json(images: &str, annotations: &str) -> String {
    format!("{{\"images\":[{images}],\n{CATEGORIES},\n\"annotations\":[{annotations}]}}")
}

fn image(id: usize, name: &str) -> String {
    format!(r#"{{"id":{id},"file_name":"{name}","width":40,"height":30}}"#)
}

const OBJECTS: &str = r#"
{"id":1,"image_id":1,"category_id":7,"bbox":[1,2,10,10.5],"area":77.5,"iscrowd":0,
 "segmentation":[[1,2,11,2,11,12.5]]},
{"id":2,"image_id":1,"category_id":90,"bbox":[0,0,40,30],"iscrowd":1,
 "segmentation":{"size":[30,40],"counts":[30,60,1110]}},
{"id":3,"image_id":1,"category_id":7,"bbox":[5,5,4,4],"segmentation":{"size":[30,40],"counts":"<nonsense"}}"#;

#[test]
fn boxes_crowds_outlines_and_categories() {
    for (file, pictures) in [
        ("annotations/instances_train2017.json", "train2017"),
        ("annotations_coco/instances_train.json", "images/train"),
        ("annotations/train.json", "train/images"),
        ("train/_annotations.coco.json", "train"),
    ] {
        let place = Place::new();
        place.text(
            file,
            &json(&[image(1, "b.png"), image(2, "a.png")].join(","), OBJECTS),
        );
        place
            .picture(&format!("{pictures}/a.png"), 40, 30)
            .picture(&format!("{pictures}/b.png"), 40, 30);
        place.picture("val/v.png", 40, 30);
        let val = match file.contains("2017") {
            true => "annotations/instances_val2017.json".to_owned(),
            false => file.replace("train", "val"),
        };
        place.text(&val, &json(&image(1, "v.png"), ""));
        place
            .text(&val.replace("instances", "captions"), "{}")
            .text(&val, &json(&image(1, "v.png"), ""));
        let dataset = place.open().unwrap();
        assert_eq!(
            (dataset.format, dataset.kind),
            (Format::Coco, TaskKind::Detection)
        );
        assert_eq!(
            dataset.classes,
            ["never", "cell", "10"],
            "by identifier, also unused ones"
        );
        assert_eq!(
            (names(&dataset.train), names(&dataset.val)),
            (vec!["b.png".into(), "a.png".into()], vec!["v.png".into()])
        );
        let objects = dataset.train[0].label.objects().unwrap();
        assert_eq!(
            boxes(&dataset.train[0]),
            [
                (1, [1.0, 2.0, 11.0, 12.5]),
                (2, [0.0, 0.0, 40.0, 30.0]),
                (1, [5.0, 5.0, 9.0, 9.0])
            ]
        );
        assert_eq!(
            (objects[0].area, objects[1].area, objects[1].crowd),
            (77.5, 1200.0, true)
        );
        assert_eq!(
            (objects[0].size(), objects[1].size()),
            (ObjectSize::Small, ObjectSize::Medium)
        );
        assert!(matches!(&objects[0].outline, Some(Outline::Polygons(all)) if all[0][2] == [11.0, 12.5]));
        assert!(matches!(&objects[1].outline, Some(Outline::Rle(rle)) if rle.area() == 60));
        assert!(objects[2].outline.is_none());
        assert_eq!(dataset.problems.count(ProblemKind::BadOutline), 1);
        assert_eq!(
            dataset.class_counts(Split::Train),
            [0, 2, 0],
            "crowds are no objects"
        );
        assert!(
            dataset
                .notes
                .contains(&"no training image has `never`".to_owned()),
            "{:?}",
            dataset.notes
        );
        assert!(
            boxes(&dataset.train[1]).is_empty() && dataset.problems.len() == 1,
            "{:?}",
            dataset.problems
        );
    }
}

#[test]
fn one_file_is_divided() {
    let place = Place::new();
    let images: Vec<String> = (1..=8).map(|id| image(id, &format!("{id}.png"))).collect();
    let objects: Vec<String> = (1..=8)
        .map(|id| format!(r#"{{"id":{id},"image_id":{id},"category_id":7,"bbox":[1,1,5,5]}}"#))
        .collect();
    place.text(
        "annotations/instances_default.json",
        &json(&images.join(","), &objects.join(",")),
    );
    for id in 1..=8 {
        place.picture(&format!("images/default/{id}.png"), 40, 30);
    }
    let dataset = place.open().unwrap();
    assert_eq!(
        [&dataset.train, &dataset.val, &dataset.test].map(Vec::len),
        [6, 1, 1]
    );
    assert!(
        dataset
            .notes
            .iter()
            .any(|note| note.contains("by the rarest of its classes"))
    );
}

#[test]
fn what_is_wrong_is_mended_or_left_out_and_said() {
    let place = Place::new();
    let images = [
        image(1, "a.png"),
        image(1, "b.png"),
        image(3, "a.png"),
        image(4, "gone.png"),
        r#"{"id":[],"file_name":"x"}"#.to_owned(),
        image(5, "../deep/c.png"),
    ];
    let objects = r#"
    {"id":1,"image_id":1,"category_id":7,"bbox":[1,1,5,5]},
    {"id":1,"image_id":1,"category_id":7,"bbox":[1,1,5,5]},
    {"id":1,"image_id":1,"category_id":90,"bbox":[1,1,5,5]},
    {"id":5,"image_id":77,"category_id":7,"bbox":[1,1,5,5]},
    {"id":6,"image_id":1,"category_id":8,"bbox":[1,1,5,5]},
    {"id":7,"image_id":1,"category_id":7,"bbox":[1,1,0,5]},
    {"id":8,"image_id":1,"category_id":7,"bbox":[1,null,3,5]},
    {"id":9,"image_id":1,"category_id":7},
    {"id":10,"image_id":"1","category_id":"7","bbox":[30,20,20,20],"segmentation":[[1,2,3]]},
    {"id":11,"image_id":5,"category_id":7,"segmentation":[[1,1,5,1,5,9]]},
    7"#;
    place.text(
        "annotations/instances_train.json",
        &json(&images.join(","), objects),
    );
    for name in ["a", "b", "c"] {
        place.picture(&format!("train/{name}.png"), 40, 30);
    }
    let dataset = place.open().unwrap();
    let all: Vec<_> = dataset.train.iter().chain(&dataset.val).collect();
    let of = |name: &str| boxes(all.iter().find(|sample| sample.path.ends_with(name)).unwrap());
    assert_eq!(all.len(), 2);
    assert_eq!(
        of("a.png"),
        [
            (1, [1.0, 1.0, 6.0, 6.0]),
            (2, [1.0, 1.0, 6.0, 6.0]),
            (1, [30.0, 20.0, 40.0, 30.0])
        ]
    );
    assert_eq!(of("c.png"), [(1, [1.0, 1.0, 5.0, 9.0])], "of the outline");
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
            (ProblemKind::UnknownClass, 1),
            (ProblemKind::NotANumber, 3),
            (ProblemKind::BadOutline, 1),
            (ProblemKind::MissingPicture, 2),
            (ProblemKind::TwoAnnotations, 1),
            (ProblemKind::DuplicateId, 3),
            (ProblemKind::NoSuchImage, 1),
        ]
    );
    assert_eq!(
        place.problems(&dataset, ProblemKind::NoSuchImage),
        ["ROOT/annotations/instances_train.json: annotations[3]: the image 77 is not listed"]
    );
    let twice = place.problems(&dataset, ProblemKind::DuplicateId);
    assert!(
        twice[1].ends_with("annotations[1]: another object has the identifier 1"),
        "{twice:?}"
    );
}

#[test]
fn another_class_list_in_val_is_added() {
    let place = Place::new();
    place.text(
        "annotations/instances_train.json",
        &json(&image(1, "a.png"), &OBJECTS.replace("90", "7")),
    );
    place.text(
        "annotations/instances_val.json",
        r#"{"images":[{"id":1,"file_name":"b.png"}],"categories":[{"id":1,"name":"cell"},{"id":2,"name":"new"}],
            "annotations":[{"image_id":1,"category_id":2,"bbox":[0,0,3,3]},{"image_id":1,"category_id":1,"bbox":[0,0,3,3]}]}"#,
    );
    place.picture("train/a.png", 40, 30).picture("val/b.png", 40, 30);
    let dataset = place.open().unwrap();
    assert_eq!(dataset.classes, ["never", "cell", "10", "new"]);
    assert_eq!(
        boxes(&dataset.val[0])
            .iter()
            .map(|(class, _)| *class)
            .collect::<Vec<_>>(),
        [3, 1]
    );
    assert!(
        dataset
            .notes
            .contains(&"no training image has `never`, `10`, `new`".to_owned()),
        "{:?}",
        dataset.notes
    );
}

#[test]
fn damaged_files_are_errors_with_their_line() {
    let place = Place::new();
    let file = "annotations/instances_train.json";
    place
        .picture("train/a.png", 40, 30)
        .text(file, "{\"images\":[\n{\"id\":NaN}]}");
    let (message, hint) = place.error();
    assert!(
        message.starts_with("ROOT/annotations/instances_train.json:2: not JSON: "),
        "{message}"
    );
    assert!(hint.starts_with("expected annotations/instances_train.json"));
    place.text(file, "{\"images\":[]}");
    assert!(place.error().0.ends_with("the key `annotations` is missing"));
    place.text(file, "[1]");
    assert!(place.error().0.contains("not a file of COCO"));
    place.text(file, &json(&image(1, "gone.png"), OBJECTS));
    let (message, _) = place.error();
    assert!(
        message.starts_with("ROOT: there is none of the training images; 1 problem, the first: "),
        "{message}"
    );
    place.text(file, &json(&image(1, "a.png"), OBJECTS));
    place.text("annotations/instances_train2017.json", "{}");
    assert!(place.error().0.ends_with("are both for one split"));
    fs::remove_file(place.path().join("annotations/instances_train2017.json")).unwrap();
    assert!(place.open().is_ok());
}

#[test]
fn other_json_beside_class_folders_is_no_coco() {
    let place = Place::new();
    for number in 0..4 {
        place
            .picture(&format!("a/{number}.png"), 4, 2)
            .picture(&format!("b/b{number}.png"), 4, 2);
    }
    place.text("annotations.json", r#"{"author":"nobody","images":[]}"#);
    assert_eq!(place.open().unwrap().format, Format::ImageFolder);
    place.text("annotations.json", &json(&image(1, "a/1.png"), OBJECTS));
    let dataset = place.open().unwrap();
    assert_eq!((dataset.format, dataset.train.len()), (Format::Coco, 1));
}
