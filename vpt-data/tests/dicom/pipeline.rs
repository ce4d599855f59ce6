//! From stored values to 8-bit RGB.

use crate::written::Written;
use vpt_data::{DicomImage, decode_bytes};

/// The first of the three samples of each pixel.
fn shown(file: &Written) -> Vec<u8> {
    let image = decode_bytes("a.dcm", &file.bytes()).unwrap();
    image.pixels().map(|pixel| pixel[0]).collect()
}

fn words(values: &[i16]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

#[test]
fn gray_without_a_window_spans_its_range() {
    let file = Written::gray(2, 2, 12, &words(&[100, 150, 200, 300]));
    let image = decode_bytes("a.dcm", &file.bytes()).unwrap();
    assert_eq!(image.dimensions(), (2, 2));
    assert_eq!(
        image.into_raw(),
        [0, 0, 0, 64, 64, 64, 128, 128, 128, 255, 255, 255]
    );
}

#[test]
fn signed_values_are_rescaled_and_seen_through_the_first_window() {
    let file = Written::gray(1, 4, 16, &words(&[-1000, 0, 1064, 3000]))
        .word(0x0028, 0x0103, 1)
        .text(0x0028, 0x1052, *b"DS", "-1024")
        .text(0x0028, 0x1053, *b"DS", "1")
        .text(0x0028, 0x1050, *b"DS", "40.5\\1000")
        .text(0x0028, 0x1051, *b"DS", "401\\2000");
    // 1064 - 1024 = 40 is the middle.
    assert_eq!(shown(&file), [0, 0, 128, 255]);
    let inverted = file.text(0x0028, 0x0004, *b"CS", "MONOCHROME1");
    assert_eq!(shown(&inverted), [255, 255, 128, 0]);
}

#[test]
fn curves_and_tables_of_interest() {
    let ramp = Written::gray(1, 3, 16, &words(&[0, 5, 10]));
    let exact = ramp
        .clone()
        .text(0x0028, 0x1050, *b"DS", "5")
        .text(0x0028, 0x1051, *b"DS", "20")
        .text(0x0028, 0x1056, *b"CS", "LINEAR_EXACT");
    assert_eq!(shown(&exact), [64, 128, 191]);
    let sigmoid = exact.text(0x0028, 0x1056, *b"CS", "SIGMOID");
    assert_eq!(shown(&sigmoid), [69, 128, 186]);
    let table = Written::empty()
        .value(0x0028, 0x3002, *b"US", &words(&[3, 4, 16]))
        .value(0x0028, 0x3006, *b"OW", &words(&[0, -1, 0x7fff]));
    assert_eq!(shown(&ramp.clone().item(0x0028, 0x3010, &table)), [0, 255, 127]);
    let measured = ramp.item(0x0028, 0x3000, &table);
    assert_eq!(shown(&measured), [0, 255, 127]);
}

#[test]
fn windows_of_functional_groups() {
    let window = Written::empty()
        .text(0x0028, 0x1050, *b"DS", "10")
        .text(0x0028, 0x1051, *b"DS", "1");
    let group = Written::empty().item(0x0028, 0x9132, &window);
    let file = Written::gray(1, 3, 16, &words(&[9, 10, 1000])).item(0x5200, 0x9229, &group);
    assert_eq!(shown(&file), [0, 255, 255]);
}

#[test]
fn palettes() {
    let mut file = Written::gray(1, 3, 8, &[0, 1, 200]).text(0x0028, 0x0004, *b"CS", "PALETTE COLOR");
    for (channel, entries) in [[0, -256], [0x1000, 0x2000], [0x7f00, 0]].into_iter().enumerate() {
        let channel = channel as u16;
        file = file
            .value(0x0028, 0x1101 + channel, *b"US", &words(&[2, 0, 16]))
            .value(0x0028, 0x1201 + channel, *b"OW", &words(&entries));
    }
    let image = decode_bytes("a.dcm", &file.bytes()).unwrap();
    assert_eq!(image.into_raw(), [0, 0x10, 0x7f, 255, 0x20, 0, 255, 0x20, 0]);
}

#[test]
fn colours() {
    let raw = |file: &Written| decode_bytes("a", &file.bytes()).unwrap().into_raw();
    let rgb = Written::colour(1, 2, "RGB", &[1, 2, 3, 4, 5, 6]);
    assert_eq!(raw(&rgb), [1, 2, 3, 4, 5, 6]);
    assert_eq!(raw(&rgb.word(0x0028, 0x0006, 1)), [1, 3, 5, 2, 4, 6]);
    let red = [254, 0, 0, 254, 0, 0];
    let full = Written::colour(1, 2, "YBR_FULL", &[76, 85, 255, 76, 85, 255]);
    assert_eq!(raw(&full), red);
    let half = Written::colour(1, 2, "YBR_FULL_422", &[76, 76, 85, 255]);
    assert_eq!(raw(&half), red);
}

#[test]
fn frames() {
    let file = Written::gray(1, 2, 8, &[1, 2, 30, 40, 5, 6]).text(0x0028, 0x0008, *b"IS", "3");
    let bytes = file.bytes();
    let image = DicomImage::open("a.dcm", &bytes).unwrap();
    assert_eq!((image.frames(), image.width(), image.height()), (3, 2, 1));
    assert_eq!(image.mode(), "gray8");
    let second = image.stored_values(1).unwrap();
    assert_eq!((second.values, second.samples), (vec![30, 40], 1));
    assert_eq!(image.frame(2).unwrap().into_raw(), [0, 0, 0, 255, 255, 255]);
    let error = image.frame(3).unwrap_err().to_string();
    assert_eq!(
        error,
        "cannot decode `a.dcm`: it has no frame 3, counted from 0; it has 3 of them"
    );
}

#[test]
fn files_without_preamble_are_known_by_their_name() {
    let file = Written::gray(1, 2, 8, &[1, 2]);
    for bytes in [
        file.data_set(),
        file.implicit_data_set(),
        file.bytes()[132..].to_vec(),
    ] {
        assert_eq!(
            decode_bytes("a.DICOM", &bytes).unwrap().as_raw()[..4],
            [0, 0, 0, 255]
        );
        assert!(decode_bytes("a.jpg", &bytes).is_err());
    }
    // The magic needs no name; and what is another image is read as such.
    assert!(decode_bytes("IM0001", &file.bytes()).is_ok());
    let png = include_bytes!("../fixtures/golden/images/astronaut.png");
    assert_eq!(
        decode_bytes("a.dcm", png).unwrap(),
        decode_bytes("a.png", png).unwrap()
    );
}
