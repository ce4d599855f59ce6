//! What splits share.

use crate::folder::Folder;
use image::RgbImage;
use image::codecs::jpeg::JpegEncoder;
use std::fs::{self, File};
use std::path::Path;
use vpt_data::resize::resize;
use vpt_data::{Dataset, Interpolation, Leak, LeakKind, LeakOptions, Leaks, OpenOptions, Split, fundus};

/// Different photographs of one kind in all splits.
fn photographs(folder: &Folder) {
    for (split, count) in [(Split::Train, 5), (Split::Val, 3), (Split::Test, 3)] {
        for class in 0..2 {
            for index in 0..count {
                let picture = fundus::draw(3, split, class, index, 64);
                save(
                    &picture,
                    &folder
                        .path()
                        .join(format!("{split}/{}/{index}.png", ["a", "b"][class])),
                );
            }
        }
    }
}

fn save(picture: &RgbImage, path: &Path) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    picture.save(path).unwrap();
}

fn open(path: &Path) -> Dataset {
    let options = OpenOptions {
        check_images: false,
        ..OpenOptions::default()
    };
    Dataset::open(path, &options).unwrap()
}

fn shown(leaks: &[Leak]) -> Vec<(LeakKind, &str, &str)> {
    leaks
        .iter()
        .map(|leak| (leak.kind, leak.first.path.as_str(), leak.second.path.as_str()))
        .collect()
}

#[test]
fn splits_that_share_nothing_say_nothing() {
    let folder = Folder::with(Vec::<String>::new());
    photographs(&folder);
    let leaks = open(folder.path()).leaks(LeakOptions::default());
    assert_eq!(leaks, Leaks::default());
    assert!(leaks.is_empty() && leaks.summary().is_empty());
}

#[test]
fn copies_and_pictures_that_look_alike_are_named_once() {
    let folder = Folder::with(Vec::<String>::new());
    photographs(&folder);
    let at = |path: &str| folder.path().join(path);
    fs::copy(at("train/a/0.png"), at("val/a/copy.png")).unwrap();
    fs::copy(at("train/b/2.png"), at("test/a/other.png")).unwrap();
    let original = vpt_data::decode(&at("train/a/1.png")).unwrap();
    let file = File::create(at("test/a/again.jpg")).unwrap();
    JpegEncoder::new_with_quality(file, 70)
        .encode_image(&original)
        .unwrap();
    save(
        &image::imageops::flip_horizontal(&original),
        &at("test/b/mirror.png"),
    );
    let original = vpt_data::decode(&at("val/b/1.png")).unwrap();
    save(
        &resize(&original, 100, 100, Interpolation::Bicubic),
        &at("test/b/large.png"),
    );
    fs::write(at("test/b/broken.png"), "text").unwrap();

    let dataset = open(folder.path());
    let leaks = dataset.leaks(LeakOptions::default());
    assert_eq!(
        shown(&leaks.pairs),
        [
            (LeakKind::Content, "train/a/0.png", "val/a/copy.png"),
            (LeakKind::Content, "train/b/2.png", "test/a/other.png"),
            (LeakKind::Perceptual, "train/a/1.png", "test/a/again.jpg"),
            (LeakKind::Perceptual, "val/b/1.png", "test/b/large.png"),
            (LeakKind::Perceptual, "train/a/1.png", "test/b/mirror.png"),
        ]
    );
    let mirrored: Vec<bool> = leaks.pairs.iter().map(|leak| leak.mirrored).collect();
    assert_eq!(mirrored, [false, false, false, false, true]);
    assert_eq!(LeakKind::ALL.map(|kind| leaks.count(kind)), [0, 2, 3]);
    assert_eq!(
        leaks.summary(),
        [
            "1 image of val is a copy of an image of train: `val/a/copy.png` as `train/a/0.png`",
            "1 image of test is a copy of an image of train (1 with another label): `test/a/other.png` as `train/b/2.png`",
            "2 images of test look like images of train (1 with another label): `test/a/again.jpg` as `train/a/1.png`, \
             `test/b/mirror.png` as `train/a/1.png` (mirrored)",
            "1 image of test looks like an image of val: `test/b/large.png` as `val/b/1.png`",
            "same image, other label: 1 pair: `train/b/2.png` (b) and `test/a/other.png` (a)",
        ]
    );
    let json = serde_json::to_string(&leaks).unwrap();
    assert_eq!(serde_json::from_str::<Leaks>(&json).unwrap(), leaks);

    let only_files = LeakOptions {
        perceptual: false,
        ..LeakOptions::default()
    };
    assert_eq!(dataset.leaks(only_files).pairs, leaks.pairs[..2]);
}

#[test]
fn a_group_is_named_once_for_two_splits() {
    let folder = Folder::with(["1.png", "2.png", "3.png", "4.png", "5.png", "6.png"]);
    let table = folder.path().join("t.csv");
    let text = "path,label,split,patient\n1.png,a,train,p1\n2.png,b,train,p2\n3.png,a,val,p1\n4.png,b,val,p1\n5.png,a,test,p1\n6.png,b,test,p3\n";
    fs::write(&table, text).unwrap();
    let nothing_read = LeakOptions {
        content: false,
        perceptual: false,
    };
    let leaks = open(&table).leaks(nothing_read);
    assert_eq!(
        leaks.summary(),
        [
            "1 group is in both train and val: `p1` (`1.png`, `3.png`)",
            "1 group is in both train and test: `p1` (`1.png`, `5.png`)",
            "1 group is in both val and test: `p1` (`3.png`, `5.png`)",
        ]
    );
}

/// A thousand equal pictures are a thousand findings and not a million.
#[test]
fn many_equal_pictures() {
    let folder = Folder::with(Vec::<String>::new());
    photographs(&folder);
    let picture = fundus::draw(9, Split::Train, 0, 99, 64);
    for number in 0..100 {
        save(&picture, &folder.path().join(format!("train/a/same{number}.png")));
        save(&picture, &folder.path().join(format!("test/a/same{number}.png")));
    }
    let leaks = open(folder.path()).leaks(LeakOptions::default());
    assert_eq!(leaks.count(LeakKind::Content), 100);
    assert!(
        leaks.summary()[0].ends_with(" and 97 more"),
        "{:?}",
        leaks.summary()
    );
}
