//! Damaged annotations: whatever they hold, no panic, and objects that are left lie in their pictures.

use crate::place::Place;
use rand::{Rng, RngExt, SeedableRng};
use rand_pcg::Pcg64;
use std::fs;
use vpt_data::{OpenOptions, PixelBox, TaskKind, read_mask};

const ROUNDS: usize = 250;

/// Damages one file of a data set again and again; what is read of it is boxes or a mask, as it is asked for or lies there.
fn fuzz(place: &Place, file: &str, tokens: &[&str]) {
    fuzz_as(None, place, file, tokens);
}

fn fuzz_as(kind: Option<TaskKind>, place: &Place, file: &str, tokens: &[&str]) {
    let path = place.path().join(file);
    let whole = fs::read(&path).unwrap();
    let options = OpenOptions {
        check_images: false,
        kind,
        ..OpenOptions::default()
    };
    assert!(
        vpt_data::Dataset::open(place.path(), &options).is_ok(),
        "{:?}",
        place.open().err()
    );
    let mut random = Pcg64::seed_from_u64(11);
    let mut opened = 0;
    for _ in 0..ROUNDS {
        let mut bytes = whole.clone();
        for _ in 0..random.random_range(1..5) {
            let at = random.random_range(0..bytes.len());
            match random.random_range(0..4) {
                0 => bytes[at] = random.next_u32() as u8,
                1 => bytes[at] = b"0123456789-.eE"[random.random_range(0..14)],
                2 => bytes.truncate(at.max(1)),
                _ => {
                    let token = tokens[random.random_range(0..tokens.len())].bytes();
                    bytes.splice(at..(at + 3).min(bytes.len()), token);
                }
            }
        }
        fs::write(&path, &bytes).unwrap();
        match vpt_data::Dataset::open(place.path(), &options) {
            Err(error) => assert!(!error.to_string().contains("the decoder failed"), "{error}"),
            Ok(dataset) => {
                opened += 1;
                for sample in dataset.train.iter().chain(&dataset.val).chain(&dataset.test) {
                    if let Ok(mask) = read_mask(sample) {
                        assert_eq!([mask.width, mask.height], [40, 30]);
                        assert_eq!(mask.classes.len(), 1200);
                        let (counts, ignored) = mask.counts(dataset.classes.len());
                        assert_eq!(counts.iter().sum::<u64>() + ignored, 1200);
                    }
                    for object in sample.label.objects().unwrap_or_default() {
                        assert!(object.class < dataset.classes.len() && object.bbox.area() > 0.0);
                        assert_eq!(object.bbox.clip([40, 30]), Some(object.bbox));
                        if let Some(outline) = &object.outline {
                            assert_eq!(outline.rasterise([40, 30]).len(), 1200);
                        }
                    }
                }
            }
        }
    }
    fs::write(&path, whole).unwrap();
    assert!(opened > 0, "nothing is left of {file}");
    assert!(PixelBox::new(0.0, 0.0, 1.0, 1.0).is_some());
}

#[test]
fn damaged_voc() {
    let place = Place::new();
    for name in ["1", "2", "3"] {
        let text = format!(
            "<annotation><filename>{name}.png</filename><size><width>40</width><height>30</height></size>\
             <object><name>a</name><difficult>1</difficult><bndbox><xmin>1</xmin><ymin>2</ymin><xmax>30</xmax><ymax>20</ymax>\
             </bndbox></object></annotation>"
        );
        place
            .picture(&format!("JPEGImages/{name}.png"), 40, 30)
            .text(&format!("Annotations/{name}.xml"), &text);
    }
    place.text("ImageSets/Main/train.txt", "1\n2\n3\n");
    fuzz(
        &place,
        "Annotations/2.xml",
        &[
            "1e308",
            "NaN",
            "-1",
            "<object>",
            "&amp;",
            "</object>",
            "inf",
            "<!DOCTYPE a [<!ENTITY b 'c'>]>",
        ],
    );
    fuzz(&place, "ImageSets/Main/train.txt", &["../", "\n", "\0"]);
    // Very deep.
    place.text("Annotations/2.xml", &"<a>".repeat(100_000));
    assert!(place.open().is_err());
}

#[test]
fn damaged_coco() {
    let place = Place::new();
    let text = r#"{"images":[{"id":1,"file_name":"1.png","width":40,"height":30},{"id":2,"file_name":"2.png"}],
"categories":[{"id":1,"name":"a"},{"id":5,"name":"b"}],"annotations":[
{"id":1,"image_id":1,"category_id":5,"bbox":[1,2,30,20],"area":400,"segmentation":[[1,2,31,2,31,22,9,9]]},
{"id":2,"image_id":1,"category_id":1,"bbox":[1,2,30,20],"iscrowd":1,"segmentation":{"size":[30,40],"counts":"`0]1k2"}},
{"id":3,"image_id":2,"category_id":1,"bbox":[3,2,20,20],"segmentation":{"size":[30,40],"counts":[100,900,200]}}]}"#;
    place.text("annotations/instances_train.json", text);
    place
        .picture("train/1.png", 40, 30)
        .picture("train/2.png", 40, 30);
    let tokens = [
        "1e308",
        "null",
        "-1",
        "[",
        "}",
        "\"x\"",
        "4294967295",
        "[[[",
        "true",
        "18446744073709551616",
    ];
    fuzz(&place, "annotations/instances_train.json", &tokens);
    let masks = Some(TaskKind::Segmentation);
    fuzz_as(masks, &place, "annotations/instances_train.json", &tokens);
    place.text("annotations/instances_train.json", &"[".repeat(100_000));
    assert!(place.open().is_err());
}

#[test]
fn damaged_yolo() {
    let place = Place::new();
    place.text(
        "data.yaml",
        "path: .\ntrain: images/train\nval: images/train\nnames:\n  0: a\n  1: 'b c'\nnc: 2\n",
    );
    place
        .picture("images/train/1.png", 40, 30)
        .picture("images/train/2.png", 40, 30);
    place.text(
        "labels/train/1.txt",
        "0 0.5 0.5 0.2 0.3\n1 0.1 0.1 0.9 0.1 0.4 0.7\n0 0.1 0.1 0.1 0.1\n",
    );
    place.text("labels/train/2.txt", "1 0.5 0.5 0.2 0.3\n");
    let tokens = ["nan", "inf", "1e308", "-1e308", "\n", " ", "9999999999999999999"];
    for kind in [None, Some(TaskKind::Segmentation)] {
        fuzz_as(kind, &place, "labels/train/1.txt", &tokens);
    }
    fuzz(
        &place,
        "data.yaml",
        &[
            "[", "{", "- ", "&a ", "*a", "!!", ": ", "? ", "|\n", "\t", "'", "\"", "#",
        ],
    );
}

#[test]
fn damaged_masks() {
    let place = Place::new();
    for name in ["1", "2", "3"] {
        place.picture(&format!("images/{name}.png"), 40, 30).mask(
            &format!("masks/{name}.png"),
            40,
            30,
            |x, _| u8::from(x > 9),
        );
    }
    place.text("classes.txt", "a\nb\nignore = 9\n");
    fuzz(&place, "masks/2.png", &["PLTE", "IDAT", "\0\0\0\0", "tRNS"]);
    fuzz(&place, "classes.txt", &["ignore", "=", "70000", "\n", "-1"]);
}

#[test]
fn damaged_voc_masks() {
    let place = Place::new();
    for name in ["1", "2", "3"] {
        place.picture(&format!("JPEGImages/{name}.png"), 40, 30).mask(
            &format!("SegmentationClass/{name}.png"),
            40,
            30,
            |x, _| u8::from(x > 9),
        );
    }
    place.text(
        "labelmap.txt",
        "# label:colour:parts:actions\nbackground:0,0,0::\na:128,0,0::\n",
    );
    place.text("ImageSets/Segmentation/train.txt", "1\n2\n3\n");
    fuzz(
        &place,
        "SegmentationClass/2.png",
        &["PLTE", "IDAT", "\0\0\0\0", "tRNS"],
    );
    fuzz(&place, "labelmap.txt", &[":", "256", ",", "-1", "\n", "#"]);
    fuzz(&place, "ImageSets/Segmentation/train.txt", &["../", "\n", "\0"]);
}
