//! Decoding, resizing and preprocessing held against Pillow, torchvision and timm.
//!
//! `fixtures/make_fixtures.py` says how the expectations were made.

#![allow(clippy::unwrap_used)] // a test fails by panicking

use image::RgbImage;
use safetensors::{Dtype, SafeTensors};
use std::path::{Path, PathBuf};
use vpt_data::resize::{Region, resize, resize_region};
use vpt_data::{CropMode, Interpolation, Preprocess, decode, decode_bytes};

fn fixture(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(path)
}

fn bytes(path: &str) -> Vec<u8> {
    std::fs::read(fixture(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// An [H, W, 3] tensor as a picture.
fn picture(tensors: &SafeTensors, name: &str) -> RgbImage {
    let view = tensors.tensor(name).unwrap();
    assert_eq!((view.dtype(), view.shape()[2]), (Dtype::U8, 3), "{name}");
    RgbImage::from_raw(
        view.shape()[1] as u32,
        view.shape()[0] as u32,
        view.data().to_vec(),
    )
    .unwrap()
}

/// Largest and mean difference in levels, and the part of values that are equal.
struct Difference {
    max: u8,
    mean: f64,
    equal: f64,
}

fn difference(found: &RgbImage, expected: &RgbImage, name: &str) -> Difference {
    assert_eq!(found.dimensions(), expected.dimensions(), "{name}");
    let each: Vec<u8> = found
        .iter()
        .zip(expected.iter())
        .map(|(a, b)| a.abs_diff(*b))
        .collect();
    Difference {
        max: each.iter().copied().max().unwrap(),
        mean: each.iter().map(|&d| f64::from(d)).sum::<f64>() / each.len() as f64,
        equal: 1.0 - each.iter().filter(|&&levels| levels > 0).count() as f64 / each.len() as f64,
    }
}

fn assert_equal(found: &RgbImage, expected: &RgbImage, name: &str) {
    let Difference { max, equal, .. } = difference(found, expected, name);
    assert!(max == 0, "{name}: {max} levels apart, {equal:.4} equal");
}

/// JPEG decoders may differ in the inverse transform and in how colour is enlarged.
fn assert_like_jpeg(found: &RgbImage, expected: &RgbImage, name: &str) {
    let Difference { max, mean, .. } = difference(found, expected, name);
    assert!(mean <= 1.0 && max <= 12, "{name}: mean {mean:.3}, max {max}");
}

fn is(name: &str, extension: &str) -> bool {
    Path::new(name)
        .extension()
        .is_some_and(|found| found == extension)
}

const GOLDEN: [&str; 14] = [
    "astronaut.png",
    "camera_gray.jpg",
    "camera_gray.png",
    "chelsea_q95_444.jpg",
    "chelsea_rgba.png",
    "china_exif6.jpg",
    "coffee_palette.png",
    "coffee_q90_420.jpg",
    "flower_cmyk.jpg",
    "logo_rgba.png",
    "moon_gray16.png",
    "retina_fundus.jpg",
    "rocket_progressive.jpg",
    "tiny_40x30.png",
];

/// What Pillow decoded: EXIF applied, transparency over white, 16 bits scaled.
fn golden_decoded(name: &str) -> RgbImage {
    let expected = format!("golden/decoded/{}.png", name.replace('.', "-"));
    image::load_from_memory(&bytes(&expected)).unwrap().into_rgb8()
}

#[test]
fn photographs_decode_as_in_pillow() {
    for name in GOLDEN {
        let found = decode(&fixture(&format!("golden/images/{name}"))).unwrap();
        let compare = if is(name, "png") {
            assert_equal
        } else {
            assert_like_jpeg
        };
        compare(&found, &golden_decoded(name), name);
    }
}

#[test]
fn all_kinds_of_files_decode_as_in_pillow() {
    let expected = bytes("formats/expected.safetensors");
    let expected = SafeTensors::deserialize(&expected).unwrap();
    let names = expected.names();
    assert!(names.len() >= 38);
    for name in names {
        let found = decode(&fixture(&format!("formats/{name}"))).unwrap_or_else(|error| panic!("{error}"));
        let expected = picture(&expected, name);
        match name {
            // The name lies: it is a PNG.
            "png_named.jpg" => assert_equal(&found, &expected, name),
            // Lossy WebP has one inverse transform; what differs is how colour is enlarged.
            _ if is(name, "jpg") || name == "lossy.webp" => assert_like_jpeg(&found, &expected, name),
            _ => assert_equal(&found, &expected, name),
        }
    }
}

#[test]
fn floating_point_pixels_are_refused() {
    let error = decode(&fixture("formats/float.tiff")).unwrap_err().to_string();
    assert!(error.contains("float.tiff"), "{error}");
}

#[test]
fn evaluation_crops_are_those_of_timm_and_torchvision() {
    let expected = bytes("golden/crops.safetensors");
    let expected = SafeTensors::deserialize(&expected).unwrap();
    let mut checked = 0;
    for name in GOLDEN {
        let image = golden_decoded(name);
        for tensor in expected.names() {
            let Some(transform) = tensor.strip_prefix(&format!("{name}/")) else {
                continue;
            };
            let pre = preprocess(transform);
            if tensor.ends_with("/float") {
                let view = expected.tensor(tensor).unwrap();
                let floats = view
                    .data()
                    .chunks_exact(4)
                    .map(|four| f32::from_le_bytes(four.try_into().unwrap()));
                let found = pre.apply(&image);
                assert_eq!(view.shape(), [3, 64, 64]);
                let furthest = found
                    .iter()
                    .zip(floats)
                    .map(|(a, b)| (a - b).abs())
                    .fold(0.0, f32::max);
                assert!(furthest < 1e-6, "{tensor}: {furthest}");
            } else {
                assert_equal(&pre.crop(&image), &picture(&expected, tensor), tensor);
            }
            checked += 1;
        }
    }
    assert_eq!(checked, 14 * 4 + 2 + 2);
}

/// The transform that golden/preprocess calls by this name.
fn preprocess(transform: &str) -> Preprocess {
    let of = |size, interpolation, crop_pct| Preprocess {
        interpolation,
        crop_pct,
        ..Preprocess::imagenet(size, size)
    };
    match transform.trim_end_matches("/float") {
        "timm64_bicubic_875_imagenet" => of(64, Interpolation::Bicubic, 0.875),
        "timm64_bicubic_90_half" => Preprocess {
            mean: [0.5; 3],
            std: [0.5; 3],
            ..of(64, Interpolation::Bicubic, 0.9)
        },
        "timm64_bicubic_100_clip" => of(64, Interpolation::Bicubic, 1.0),
        "vptofficial64_resize73_bilinear_imagenet" => of(64, Interpolation::Bilinear, 64.0 / 73.0),
        "timm224_bicubic_875_imagenet" => of(224, Interpolation::Bicubic, 0.875),
        "vptofficial224_resize256_bilinear_imagenet" => of(224, Interpolation::Bilinear, 224.0 / 256.0),
        other => panic!("{other}"),
    }
}

#[test]
fn jpegs_end_up_as_in_torchvision_from_the_file_on() {
    let expected = bytes("golden/crops.safetensors");
    let expected = SafeTensors::deserialize(&expected).unwrap();
    for name in GOLDEN {
        let transform = "timm64_bicubic_875_imagenet";
        let found = preprocess(transform).crop(&decode(&fixture(&format!("golden/images/{name}"))).unwrap());
        let Difference { max, mean, .. } =
            difference(&found, &picture(&expected, &format!("{name}/{transform}")), name);
        assert!(mean <= 0.5 && max <= 6, "{name}: mean {mean:.3}, max {max}");
    }
}

#[test]
fn resizing_is_pillows_bit_for_bit() {
    let expected = bytes("resize.safetensors");
    let expected = SafeTensors::deserialize(&expected).unwrap();
    let photo = golden_decoded("astronaut.png");
    let part = |[x, y, w, h]: [u32; 4]| image::imageops::crop_imm(&photo, x, y, w, h).to_image();
    let small = part([100, 40, 40, 30]);
    let source = |shape: &str| {
        let view = expected.tensor(&format!("source/{shape}")).unwrap();
        let numbers = view
            .data()
            .chunks_exact(8)
            .map(|eight| i64::from_le_bytes(eight.try_into().unwrap()) as u32);
        part(numbers.collect::<Vec<_>>().try_into().unwrap())
    };
    let size = |text: &str| {
        let (first, second) = text.split_once('x').unwrap();
        [first.parse::<u32>().unwrap(), second.parse::<u32>().unwrap()]
    };
    let mut checked = 0;
    for name in expected.names() {
        let found = match name.split('/').collect::<Vec<_>>().as_slice() {
            ["resize", filter, to] => {
                let [width, height] = size(to);
                resize(&photo, width, height, filter.parse().unwrap())
            }
            ["enlarge", filter, to] => {
                let [width, height] = size(to);
                resize(&small, width, height, filter.parse().unwrap())
            }
            ["region", filter] => {
                let region = Region {
                    left: 31,
                    top: 17,
                    width: 100,
                    height: 60,
                };
                resize_region(&photo, region, 48, 40, filter.parse().unwrap())
            }
            ["eval", shape, to, crop_pct, mode] => {
                let input_size = size(to).map(|edge| edge as usize);
                let (crop_pct, crop_mode): (f64, CropMode) =
                    (crop_pct.parse().unwrap(), mode.parse().unwrap());
                Preprocess {
                    input_size,
                    crop_pct,
                    crop_mode,
                    ..Preprocess::imagenet(1, 1)
                }
                .crop(&source(shape))
            }
            ["source", _] => continue,
            other => panic!("{other:?}"),
        };
        assert_equal(&found, &picture(&expected, name), name);
        checked += 1;
    }
    assert_eq!(checked, 4 * (7 + 3 + 1) + 3 * 3 * 2 * 2);
}

#[test]
fn cut_off_files_are_noticed() {
    let whole = [
        "golden/images/retina_fundus.jpg",
        "golden/images/rocket_progressive.jpg",
    ]
    .into_iter()
    .chain([
        "golden/images/astronaut.png",
        "golden/images/coffee_palette.png",
        "formats/transparent.gif",
    ])
    .chain([
        "formats/rgb.bmp",
        "formats/lzw.tiff",
        "formats/lossless.webp",
        "formats/lossy.webp",
    ]);
    for name in whole {
        let bytes = bytes(name);
        for keep in [0, 1, 10, bytes.len() / 3, bytes.len() / 2] {
            let error = decode_bytes(name, &bytes[..keep])
                .map(drop)
                .expect_err(name)
                .to_string();
            assert!(error.starts_with(&format!("cannot decode `{name}`: ")), "{error}");
        }
    }
    let jpeg = bytes("golden/images/retina_fundus.jpg");
    let error = decode_bytes("a.jpg", &jpeg[..jpeg.len() - 100])
        .unwrap_err()
        .to_string();
    assert_eq!(
        error,
        "cannot decode `a.jpg`: truncated: the end of the JPEG is missing"
    );
}

/// Whatever bytes come, an error is the worst that happens.
#[test]
fn damaged_files_never_panic() {
    use rand::RngExt;
    for name in [
        "golden/images/tiny_40x30.png",
        "formats/odd420.jpg",
        "formats/animated.gif",
    ]
    .into_iter()
    .chain([
        "formats/rgb.bmp",
        "formats/lzw.tiff",
        "formats/alpha.webp",
        "formats/ycck.jpg",
    ]) {
        let whole = bytes(name);
        for round in 0..60 {
            let mut rng = vpt_data::rng::rng(round, &[]);
            let mut damaged = whole.clone();
            for _ in 0..=round % 8 {
                let at = rng.random_range(0..damaged.len());
                damaged[at] = rng.random();
            }
            if let Err(error) = decode_bytes(name, &damaged) {
                assert!(!error.to_string().contains("the decoder failed"), "{error}");
            }
        }
    }
}
