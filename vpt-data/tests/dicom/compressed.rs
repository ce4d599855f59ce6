//! Compressed pixels written here, and the transfer syntaxes that carry them.

use crate::broken::{DEFLATED, JPEG, JPEG_2000, JPEG_EXTENDED, RLE};
use crate::written::Written;
use image::codecs::jpeg::JpegEncoder;
use image::{Rgb, RgbImage};
use vpt_data::{DicomImage, decode_bytes};

/// A JPEG of 8 x 8 pixels, of 8 or 12 bits, whose only block is flat.
pub fn jpeg(precision: u8) -> Vec<u8> {
    let mut jpeg = b"\xff\xd8\xff\xdb\0\x43\0".to_vec();
    jpeg.extend([4; 64]);
    jpeg.extend([0xff, 0xc1, 0, 11, precision, 0, 8, 0, 8, 1, 1, 0x11, 0]);
    jpeg.extend(*b"\xff\xc4\0\x14\0\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x04");
    jpeg.extend(*b"\xff\xc4\0\x14\x10\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0");
    jpeg.extend(*b"\xff\xda\0\x08\x01\x01\0\0\x3f\0");
    jpeg.extend([0b0100_0011, 0xff, 0xd9]);
    jpeg
}

/// A JPEG 2000 codestream of 8 x 8 pixels without any detail, so that all are 128.
pub fn jpeg_2000() -> Vec<u8> {
    let mut stream = b"\xff\x4f\xff\x51\0\x29\0\0\0\0\0\x08\0\0\0\x08\0\0\0\0\0\0\0\0".to_vec();
    stream.extend(*b"\0\0\0\x08\0\0\0\x08\0\0\0\0\0\0\0\0\0\x01\x07\x01\x01");
    stream.extend(*b"\xff\x52\0\x0c\0\0\0\x01\0\0\x04\x04\0\x01\xff\x5c\0\x04\x40\x40");
    stream.extend(*b"\xff\x90\0\x0a\0\0\0\0\0\x0f\0\x01\xff\x93\0\xff\xd9");
    stream
}

/// Run lengths of 8 x 8 pixels of 16 bits.
pub fn rle() -> Vec<u8> {
    let mut header = [0_u32; 16];
    header[..3].copy_from_slice(&[2, 64, 66]);
    let mut bytes: Vec<u8> = header.iter().flat_map(|word| word.to_le_bytes()).collect();
    bytes.extend([0xc1, 1, 31]);
    bytes.extend(0..32);
    bytes.extend([0xe1, 9]);
    bytes
}

fn values(bytes: &[u8]) -> Vec<i32> {
    let image = DicomImage::open("scan.dcm", bytes).unwrap();
    image.stored_values(0).unwrap().values
}

#[test]
fn every_codec_reads_what_is_written_here() {
    let flat = values(&Written::gray(8, 8, 8, &jpeg(8)).syntax(JPEG_EXTENDED).bytes());
    assert_eq!(flat, [132; 64]);
    let flat = values(&Written::gray(8, 8, 12, &jpeg(12)).syntax(JPEG_EXTENDED).bytes());
    assert_eq!(flat, [2052; 64]);
    let flat = values(&Written::gray(8, 8, 8, &jpeg_2000()).syntax(JPEG_2000).bytes());
    assert_eq!(flat, [128; 64]);
    let runs = values(&Written::gray(8, 8, 16, &rle()).syntax(RLE).bytes());
    assert_eq!((runs[0], runs[31], runs[32], runs[63]), (256, 287, 265, 265));
}

#[test]
fn a_jpeg_that_tells_its_colours_is_believed() {
    let picture = RgbImage::from_pixel(9, 7, Rgb([200, 30, 60]));
    let mut jpeg = vec![];
    picture
        .write_with_encoder(JpegEncoder::new_with_quality(&mut jpeg, 100))
        .unwrap();
    for photometric in ["YBR_FULL", "YBR_FULL_422", "RGB"] {
        let file = Written::colour(7, 9, photometric, &jpeg).syntax(JPEG);
        let found = decode_bytes("scan.dcm", &file.bytes()).unwrap();
        assert_eq!(found.dimensions(), (9, 7));
        let differs = |(a, b): (&u8, &u8)| a.abs_diff(*b) > 3;
        assert!(!found.iter().zip(picture.iter()).any(differs), "{photometric}");
    }
}

#[test]
fn bytes_in_every_order() {
    let bits = [(8, vec![1, 2, 3, 4]), (16, vec![1, 1, 2, 2, 3, 3, 4, 4])];
    for (bits, pixels) in bits {
        let file = Written::gray(2, 2, bits, &pixels);
        let expected = if bits == 8 {
            [1, 2, 3, 4]
        } else {
            [0x101, 0x202, 0x303, 0x404]
        };
        assert_eq!(values(&file.bytes()), expected);
        let head = |uid: &str| file.clone().syntax(uid).head();
        let big = [head("1.2.840.10008.1.2.2"), file.big_endian_data_set()].concat();
        assert_eq!(values(&big), expected);
        let implicit = [head("1.2.840.10008.1.2"), file.implicit_data_set()].concat();
        assert_eq!(values(&implicit), expected);
        let deflated = miniz_oxide::deflate::compress_to_vec(&file.data_set(), 6);
        let whole = [head(DEFLATED), deflated.clone()].concat();
        assert_eq!(values(&whole), expected);
        let cut = [head(DEFLATED), deflated[..deflated.len() / 2].to_vec()].concat();
        assert!(DicomImage::open("scan.dcm", &cut).is_err());
    }
}
