//! The same shapes as COCO, YOLO and files of masks write them.

use crate::place::Place;
use std::fmt::Write;
use vpt_data::Rle;

pub const SIZE: [u32; 2] = [40, 30];

/// Rectangles of whole pixels, from left, top to right, bottom: a large one of class 1, a small one of class 2 in it, one of class 1
/// that sticks out of it.
pub const SHAPES: [(usize, [u32; 4]); 3] = [(2, [8, 6, 12, 10]), (1, [4, 3, 24, 27]), (1, [20, 0, 30, 5])];

/// The same without a rasteriser: the larger ones first.
pub fn expected(x: u32, y: u32) -> u8 {
    let inside = |[x0, y0, x1, y1]: [u32; 4]| (x0..x1).contains(&x) && (y0..y1).contains(&y);
    let of_size = |[x0, y0, x1, y1]: [u32; 4]| (x1 - x0) * (y1 - y0);
    let covering = SHAPES.iter().filter(|(_, edges)| inside(*edges));
    covering
        .min_by_key(|(_, edges)| of_size(*edges))
        .map_or(0, |(class, _)| *class as u8)
}

fn corners([x0, y0, x1, y1]: [u32; 4]) -> [[f64; 2]; 4] {
    [[x0, y0], [x1, y0], [x1, y1], [x0, y1]].map(|point| point.map(f64::from))
}

pub fn polygon(edges: [u32; 4]) -> String {
    format!("[{:?}]", corners(edges).as_flattened())
}

/// Run lengths of a rectangle, as plain numbers or as text.
pub fn runs([x0, y0, x1, y1]: [u32; 4], as_text: bool) -> String {
    let [width, height] = SIZE;
    let inside = |at: u32| (x0..x1).contains(&(at % width)) && (y0..y1).contains(&(at / width));
    let mask: Vec<bool> = (0..width * height).map(inside).collect();
    let rle = Rle::of_mask(SIZE, &mask);
    let counts = match as_text {
        true => serde_json::to_string(&rle.to_text()).unwrap(),
        false => format!("{:?}", rle.counts()),
    };
    format!(r#"{{"size":[{height},{width}],"counts":{counts}}}"#)
}

/// A COCO file of pictures 1.png, 2.png … of 40 x 30; of annotations all but the identifier.
pub fn coco(place: &Place, file: &str, pictures: usize, annotations: &[String]) {
    let images: Vec<String> = (1..=pictures)
        .map(|id| format!(r#"{{"id":{id},"file_name":"{id}.png","width":40,"height":30}}"#))
        .collect();
    for id in 1..=pictures {
        place.picture(&format!("images/{id}.png"), SIZE[0], SIZE[1]);
    }
    let annotations: Vec<String> = (1..)
        .zip(annotations)
        .map(|(id, said)| format!("\n{{\"id\":{id},{said}}}"))
        .collect();
    place.text(
        file,
        &format!(
            r#"{{"images":[{}],"categories":[{{"id":3,"name":"cell"}},{{"id":8,"name":"spot"}}],"annotations":[{}]}}"#,
            images.join(","),
            annotations.join(",")
        ),
    );
}

pub fn annotation(image: usize, class: usize, outline: &str) -> String {
    let category = [0, 3, 8][class];
    format!(r#""image_id":{image},"category_id":{category},"segmentation":{outline}"#)
}

pub const FILE: &str = "annotations/instances_default.json";

/// Four pictures, each with the shapes in another order and form; with no boxes, which masks do not need.
pub fn in_coco_form() -> Place {
    let place = Place::new();
    let mut annotations = vec![];
    for image in 1..=4 {
        for at in 0..3 {
            let (class, edges) = SHAPES[(at + image) % 3];
            let outline = match image {
                1 | 2 => polygon(edges),
                image => runs(edges, image == 3),
            };
            annotations.push(annotation(image, class, &outline));
        }
    }
    coco(&place, FILE, 4, &annotations);
    place
}

pub fn in_yolo_form() -> Place {
    let place = Place::new();
    place.text(
        "data.yaml",
        "train: images/train\nval: images/val\nnames: [cell, spot]\n",
    );
    for image in 1..=4 {
        let split = ["train", "val"][image % 2];
        let mut text = String::new();
        for at in 0..3 {
            let (class, edges) = SHAPES[(at + image) % 3];
            write!(text, "{}", class - 1).unwrap();
            for [x, y] in corners(edges) {
                write!(text, " {} {}", x / f64::from(SIZE[0]), y / f64::from(SIZE[1])).unwrap();
            }
            text.push('\n');
        }
        place
            .picture(&format!("images/{split}/{image}.png"), SIZE[0], SIZE[1])
            .text(&format!("labels/{split}/{image}.txt"), &text);
    }
    place
}

pub fn in_mask_form() -> Place {
    let place = Place::new();
    place.text("classes.txt", "background\ncell\nspot\n");
    for image in 1..=4 {
        place
            .picture(&format!("images/{image}.png"), SIZE[0], SIZE[1])
            .mask(&format!("masks/{image}.png"), SIZE[0], SIZE[1], expected);
    }
    place
}
