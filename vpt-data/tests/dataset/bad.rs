//! Folders and files that do not work, each with its message and its hint.

use crate::folder::{Folder, fixture, images};
use std::fs;
use std::path::Path;
use vpt_data::{DataError, Dataset, OpenOptions};

#[test]
fn no_such_folder() {
    let folder = Folder::with(["a/1.png"]);
    let error = Dataset::open(&folder.path().join("absent"), &OpenOptions::default()).unwrap_err();
    let (message, hint) = folder.explain(&error);
    assert_eq!(message, "`ROOT/absent` does not exist");
    assert!(hint.starts_with("check the spelling"));
}

#[test]
fn a_file_instead_of_a_folder() {
    let folder = Folder::with(["a/1.png"]);
    let error = Dataset::open(&folder.path().join("a/1.png"), &OpenOptions::default()).unwrap_err();
    let (message, hint) = folder.explain(&error);
    assert_eq!(message, "`ROOT/a/1.png` is a file, expected a folder of images");
    assert_eq!(
        hint,
        "give the folder that holds the class folders, perhaps `ROOT/a`"
    );
}

#[test]
fn no_images() {
    let extensions =
        "expected files ending in jpg, jpeg, jpe, jfif, png, gif, bmp, tif, tiff, webp, dcm, dicom";
    let message = ("no images below `ROOT`".to_owned(), extensions.to_owned());
    assert_eq!(Folder::with::<&str>([]).error(), message);
    assert_eq!(Folder::with(["README.md"]).error(), message);
    assert_eq!(Folder::with(["a/1.txt", "b/2.csv"]).error(), message);
    let split = Folder::with(["train/a/1.txt", "val/a/1.png"]);
    assert_eq!(split.error().0, "no images below `ROOT/train`");
}

#[test]
fn images_without_class_folders() {
    let (message, hint) = Folder::with(["1.png", "2.jpg"]).error();
    assert_eq!(message, "`ROOT` has 2 images but no class folders");
    assert!(hint.contains("into a folder named after the class"));
    assert_eq!(
        Folder::with(["train/1.png", "val/a/2.jpg"]).error().0,
        "`ROOT/train` has 1 image but no class folders"
    );
}

#[test]
fn one_class_only() {
    let (message, hint) = Folder::with(images("cats", 9)).error();
    assert_eq!(
        message,
        "only one class, `cats`, in `ROOT`; expected at least two class folders"
    );
    assert!(hint.contains("told apart"));
    let (message, hint) = Folder::with(["flowers/train/a/1.png", "flowers/train/b/1.png"]).error();
    assert!(message.starts_with("only one class, `flowers`"));
    assert_eq!(hint, "is `ROOT/flowers` the data set?");
}

#[test]
fn an_empty_class_folder() {
    let folder = Folder::with(["a/1.png", "b/2.png", "c/note.txt"]);
    let expected = (
        "class folder `ROOT/c` holds no images",
        "add images to it or remove the folder",
    );
    assert_eq!(folder.error(), (expected.0.into(), expected.1.into()));
    let folder = Folder::with(["train/a/1.png", "train/b/2.png", "val/a/1.png"]);
    fs::create_dir(folder.path().join("val/b")).unwrap();
    assert_eq!(folder.error().0, "class folder `ROOT/val/b` holds no images");
}

#[test]
fn a_class_that_train_lacks() {
    for (split, name) in [("val", "validation"), ("test", "test")] {
        let folder = Folder::with(["train/a/1.png", "train/b/1.png"]);
        folder.add(&format!("{name}/c/1.png"));
        let (message, hint) = folder.error();
        assert_eq!(
            message,
            format!("class `c` is in `{split}` but not in `train` (`ROOT/{name}/c`)")
        );
        assert_eq!(hint, "add images of `c` to `train`, or remove the folder");
    }
}

#[test]
fn two_classes_that_differ_in_case_only() {
    let folder = Folder::with(["train/Cat/1.png", "train/dog/1.png", "val/cat/1.png"]);
    let (message, hint) = folder.error();
    assert_eq!(
        message,
        "classes `Cat` and `cat` in `ROOT/val` differ in upper and lower case only"
    );
    assert!(hint.starts_with("merge or rename them"));
    // On a disk that folds case these two are one folder, and there is nothing to test.
    let folder = Folder::with(["Cat/1.png", "cat/1.png", "dog/1.png"]);
    if fs::read_dir(folder.path()).unwrap().count() == 3 {
        assert_eq!(
            folder.error().0,
            "classes `Cat` and `cat` in `ROOT` differ in upper and lower case only"
        );
    }
}

#[test]
fn a_class_too_small_to_be_split() {
    let (message, hint) = Folder::with([images("a", 9), images("b", 2)].concat()).error();
    assert_eq!(
        message,
        "class `b` has 2 images, too few to be split into train, val, test"
    );
    assert_eq!(
        hint,
        "add images until it has at least 3, or split the data yourself"
    );
    let folder = Folder::with([images("train/a", 9), images("train/b", 1), images("test/a", 1)].concat());
    assert_eq!(
        folder.error().0,
        "class `b` has 1 image, too few to be split into train, val"
    );
}

#[test]
fn split_folders_without_train() {
    let (message, hint) = Folder::with(["val/a/1.png", "test/a/2.png"]).error();
    assert_eq!(message, "`ROOT` has a `val` folder but no `train` folder");
    assert!(hint.contains("`train`"));
}

#[test]
fn two_folders_for_one_split() {
    let folder = Folder::with(["train/a/1.png", "train/b/1.png", "val/a/1.png", "valid/b/1.png"]);
    let (message, hint) = folder.error();
    assert_eq!(
        message,
        "`val` and `valid` in `ROOT` both stand for the val split"
    );
    assert_eq!(hint, "keep one of them, or merge the two");
}

#[test]
fn all_unreadable_images_are_listed() {
    let folder = Folder::with([images("a", 5), images("b", 5)].concat());
    let whole = fs::read(folder.path().join("a/1.png")).unwrap();
    fs::write(folder.path().join("a/1.png"), &whole[..whole.len() / 2]).unwrap();
    fs::write(folder.path().join("b/0.png"), "").unwrap();
    fs::write(folder.path().join("b/2.png"), "<html>404</html>").unwrap();
    let (message, hint) = folder.error();
    let lines: Vec<&str> = message.lines().collect();
    assert_eq!(lines[0], "3 of 10 images cannot be read:");
    assert!(lines[1].starts_with("  `ROOT/a/1.png`: "), "{message}");
    assert_eq!(lines[2], "  `ROOT/b/0.png`: the file is empty");
    assert_eq!(
        lines[3],
        "  `ROOT/b/2.png`: it holds text, expected JPEG, PNG, GIF, BMP, TIFF, WebP or DICOM"
    );
    assert_eq!(lines.len(), 4);
    assert!(hint.contains("--skip-bad-images"));

    let skipped = folder
        .open_with(|options| options.skip_bad_images = true)
        .unwrap();
    let paths: Vec<_> = skipped
        .skipped
        .iter()
        .map(|bad| bad.path.strip_prefix(folder.path()).unwrap())
        .collect();
    assert_eq!(
        paths,
        [Path::new("a/1.png"), Path::new("b/0.png"), Path::new("b/2.png")]
    );
    assert_eq!(skipped.train.len() + skipped.val.len() + skipped.test.len(), 7);
    assert!(skipped.notes.contains(&"skipped 3 unreadable images".into()));

    let unchecked = folder.open_with(|options| options.check_images = false).unwrap();
    assert_eq!(
        unchecked.train.len() + unchecked.val.len() + unchecked.test.len(),
        10
    );
}

#[test]
fn a_class_without_a_readable_image() {
    let folder = Folder::with([images("train/a", 3), images("train/b", 2), images("val/a", 1)].concat());
    fs::write(folder.path().join("train/b/0.png"), "").unwrap();
    fs::write(folder.path().join("train/b/1.png"), "").unwrap();
    let error = folder
        .open_with(|options| options.skip_bad_images = true)
        .unwrap_err();
    let (message, hint) = folder.explain(&error);
    assert_eq!(message, "no training image of class `b` can be read (2 tried)");
    assert_eq!(hint, "replace its images or remove the class");
}

/// Headers of a few bytes that promise enormous pictures.
#[test]
fn decompression_bombs_are_refused_by_their_header() {
    let png = |width: u32, height: u32| {
        let mut bytes = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".to_vec();
        bytes.extend(width.to_be_bytes());
        bytes.extend(height.to_be_bytes());
        bytes.extend([8, 2, 0, 0, 0]);
        bytes.extend(crc32(&bytes[12..]).to_be_bytes());
        bytes.extend(*b"\0\0\0\0IDAT\x35\xaf\x06\x1e\0\0\0\0IEND\xae\x42\x60\x82");
        bytes
    };
    let bmp = |width: i32, height: i32| {
        let mut bytes = b"BM\0\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0".to_vec();
        bytes.extend(width.to_le_bytes());
        bytes.extend(height.to_le_bytes());
        bytes.extend([1, 0, 24, 0]);
        bytes.resize(54, 0);
        bytes
    };
    let mut jpeg = fs::read(fixture("golden/images/camera_gray.jpg")).unwrap();
    let frame = jpeg.windows(2).position(|two| two == [0xff, 0xc0]).unwrap();
    jpeg[frame + 5..frame + 9].fill(0xff);
    for (name, bytes, size) in [
        ("a.png", png(50_000, 50_000), "50000 x 50000"),
        ("b.png", png(2_000_000, 1), "2000000 x 1"),
        ("d.bmp", bmp(60_000, 60_000), "60000 x 60000"),
        ("e.jpg", jpeg, "65535 x 65535"),
    ] {
        let error = vpt_data::decode_bytes(name, &bytes).unwrap_err();
        let expected =
            format!("`{name}` claims {size} pixels, the limit is 250 million and 65535 along an edge");
        assert_eq!(error.to_string(), expected);
        assert_eq!(error.hint().unwrap(), "replace or remove the file");
    }
    let error = vpt_data::decode_bytes("c.png", &png(0x7fff_ffff, 0x7fff_ffff)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot decode `c.png`: it asks for more than 2 GiB of memory"
    );
    // Within the limit, but without the data: an error, and no time or memory spent on 600 megabytes.
    for bytes in [png(15_000, 15_000), bmp(15_000, 15_000)] {
        let error = vpt_data::decode_bytes("f", &bytes).unwrap_err();
        assert!(matches!(error, DataError::BadImage { .. }), "{error}");
    }
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0_u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ (0xedb8_8320 & 0_u32.wrapping_sub(crc & 1))
        })
    })
}

#[test]
fn impossible_options() {
    let folder = Folder::with([images("a", 9), images("b", 9)].concat());
    let message = |change: fn(&mut OpenOptions)| folder.open_with(change).unwrap_err().to_string();
    assert_eq!(
        message(|o| o.shots = Some(0)),
        "the number of shots is 0, expected at least 1"
    );
    assert_eq!(
        message(|o| o.val_fraction = 1.0),
        "the val fraction is 1, expected at least 0 and less than 1"
    );
    assert_eq!(
        message(|o| o.test_fraction = f64::NAN),
        "the test fraction is NaN, expected at least 0 and less than 1"
    );
    let sum = message(|o| (o.val_fraction, o.test_fraction) = (0.5, 0.5));
    assert_eq!(
        sum,
        "the sum of the val and test fractions is 1, expected less than 1"
    );
}

#[cfg(target_os = "linux")]
#[test]
fn a_class_name_must_be_text() {
    use std::os::unix::ffi::OsStrExt;
    let folder = Folder::with([images("a", 3), images("b", 3)].concat());
    fs::create_dir(folder.path().join(std::ffi::OsStr::from_bytes(b"caf\xe9"))).unwrap();
    let (message, hint) = folder.error();
    assert_eq!(message, "the name of `ROOT/caf\u{fffd}` is not valid UTF-8");
    assert_eq!(hint, "rename it: class names must be text");
}
