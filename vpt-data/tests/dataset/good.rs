//! Folders that work.

use crate::folder::{Folder, images, names};
use image::RgbImage;
use std::fs;
use std::path::Path;
use vpt_data::{Dataset, Format, OpenOptions, Split};

#[test]
fn split_folders_in_any_spelling() {
    for (train, val, test) in [
        ("train", "val", "test"),
        ("Training", "VALID", "Testing"),
        ("TRAIN", "dev", "TEST"),
    ] {
        let folder = Folder::with([
            format!("{train}/dog/b.PNG"),
            format!("{train}/dog/a.jpeg"),
            format!("{train}/cat/1.png"),
            format!("{val}/cat/x.png"),
            format!("{val}/dog/y.png"),
            format!("{test}/dog/z.WebP"),
            format!("{test}/cat/z.tif"),
        ]);
        let dataset = folder.open().unwrap();
        assert_eq!(dataset.classes, ["cat", "dog"]);
        assert_eq!(dataset.format, Format::ImageFolder);
        let expected = [
            format!("{train}/cat/1.png"),
            format!("{train}/dog/a.jpeg"),
            format!("{train}/dog/b.PNG"),
        ];
        assert_eq!(names(&dataset, Split::Train), expected);
        assert_eq!(
            dataset
                .train
                .iter()
                .map(|sample| sample.label.class().unwrap())
                .collect::<Vec<_>>(),
            [0, 1, 1]
        );
        assert_eq!((dataset.val.len(), dataset.test.len()), (2, 2));
        assert_eq!(
            names(&dataset, Split::Test),
            [format!("{test}/cat/z.tif"), format!("{test}/dog/z.WebP")]
        );
        assert!(dataset.notes.is_empty(), "{:?}", dataset.notes);
    }
}

#[test]
fn one_folder_of_class_folders_is_split_by_the_seed() {
    let folder = Folder::with([images("a", 40), images("b", 20), images("c", 3)].concat());
    let dataset = folder.open().unwrap();
    assert_eq!(dataset.class_counts(Split::Train), [28, 14, 1]);
    assert_eq!(dataset.class_counts(Split::Val), [6, 3, 1]);
    assert_eq!(dataset.class_counts(Split::Test), [6, 3, 1]);
    assert_eq!(
        dataset.notes,
        ["no split folders: each class split 70/15/15 into train, val and test by seed 42"]
    );
    assert_eq!(folder.open().unwrap(), dataset);
    assert_ne!(
        folder.open_with(|options| options.seed = 43).unwrap().val,
        dataset.val
    );
    let halves = folder
        .open_with(|options| (options.val_fraction, options.test_fraction) = (0.5, 0.0))
        .unwrap();
    assert_eq!(
        (halves.class_counts(Split::Val), halves.test.len()),
        (vec![20, 10, 2], 0)
    );
}

#[test]
fn a_missing_val_is_taken_from_train() {
    let folder = Folder::with([images("train/a", 20), images("train/b", 10), images("test/a", 2)].concat());
    let dataset = folder.open().unwrap();
    assert_eq!(dataset.class_counts(Split::Val), [3, 2]);
    assert_eq!(dataset.class_counts(Split::Train), [17, 8]);
    assert_eq!(dataset.class_counts(Split::Test), [2, 0]);
    assert_eq!(
        dataset.notes,
        [
            "`test` has no images of `b`",
            "no `val` folder: 15 % of `train`, 5 images, taken as validation by seed 42"
        ]
    );
}

#[test]
fn a_missing_test_stays_missing() {
    let folder = Folder::with(
        [
            images("train/a", 2),
            images("train/b", 2),
            images("val/a", 1),
            images("val/b", 1),
        ]
        .concat(),
    );
    let dataset = folder.open().unwrap();
    assert!(dataset.test.is_empty());
    assert_eq!(
        dataset.notes,
        ["no `test` folder: nothing is held out for the final report"]
    );
}

#[test]
fn classes_and_files_are_in_natural_order() {
    let classes = ["10", "9", "2", "x10", "x9"];
    let folder = Folder::with(classes.iter().flat_map(|class| images(class, 12)));
    let dataset = folder
        .open_with(|options| (options.val_fraction, options.test_fraction) = (0.0, 0.0))
        .unwrap();
    assert_eq!(dataset.classes, ["2", "9", "10", "x9", "x10"]);
    let first = names(&dataset, Split::Train)
        .into_iter()
        .take(12)
        .collect::<Vec<_>>();
    assert_eq!(first, images("2", 12));
}

#[test]
fn files_deeper_in_a_class_folder_belong_to_it() {
    let folder = Folder::with([
        "a/x/1.png",
        "a/2.png",
        "a/x/y/z/3.png",
        "a/x/10.png",
        "b/1.png",
        "b/2.png",
        "b/3.png",
    ]);
    let dataset = folder
        .open_with(|options| (options.val_fraction, options.test_fraction) = (0.0, 0.0))
        .unwrap();
    let of_a: Vec<String> = names(&dataset, Split::Train)
        .into_iter()
        .filter(|name| name.starts_with("a/"))
        .collect();
    assert_eq!(of_a, ["a/2.png", "a/x/1.png", "a/x/10.png", "a/x/y/z/3.png"]);
}

#[test]
fn what_is_no_image_is_ignored() {
    let rubbish = [
        "README.md",
        "LICENSE",
        ".DS_Store",
        "a/.DS_Store",
        "a/._1.png",
        "a/Thumbs.db",
        "b/notes.txt",
    ];
    let hidden = [
        ".git/config",
        ".ipynb_checkpoints/1.png",
        "__MACOSX/a/._1.png",
        "a/.hidden/7.png",
        "a/@eaDir/1.png",
    ];
    let folder = Folder::with([images("a", 4), images("b", 4)].concat());
    let clean = folder.open().unwrap();
    for file in rubbish.into_iter().chain(hidden) {
        folder.add(file);
    }
    assert_eq!(folder.open().unwrap(), clean);
}

#[test]
fn what_is_left_aside_is_said() {
    let mut files = vec![
        "labels/1.txt",
        "cover.png",
        "train/loose.png",
        "test/1.png",
        "test/2.png",
    ];
    files.extend(["train/a/1.png", "train/b/1.png", "val/a/1.png", "val/b/1.png"]);
    let folder = Folder::with(files);
    let dataset = folder.open().unwrap();
    let notes: Vec<String> = dataset
        .notes
        .iter()
        .map(|n| n.replace(&*folder.path().to_string_lossy(), "ROOT"))
        .collect();
    assert_eq!(
        notes,
        [
            "ignored 1 image beside the split folders",
            "ignored the folder `labels` beside the split folders",
            "ignored 1 image beside the class folders in `ROOT/train`",
            "ignored `test`: 2 images without class folders, so without labels",
            "no `test` folder: nothing is held out for the final report"
        ]
    );
    assert!(dataset.test.is_empty());
}

#[test]
fn a_class_may_be_called_train() {
    let folder = Folder::with([images("train", 3), images("plane", 3), images("test", 3)].concat());
    assert_eq!(folder.open().unwrap().classes, ["plane", "test", "train"]);
}

#[test]
fn shots_are_taken_from_train_only() {
    let folder = Folder::with([images("a", 40), images("b", 20), images("c", 3)].concat());
    let all = folder.open().unwrap();
    let few = folder.open_with(|options| options.shots = Some(5)).unwrap();
    assert_eq!(few.class_counts(Split::Train), [5, 5, 1]);
    assert_eq!((&few.val, &few.test), (&all.val, &all.test));
    assert!(few.train.iter().all(|sample| all.train.contains(sample)));
    assert_eq!(
        few.notes.last().unwrap(),
        "class `c` has 1 training image, fewer than 5 shots"
    );
    assert_eq!(folder.open_with(|options| options.shots = Some(5)).unwrap(), few);
}

#[test]
fn the_fingerprint_is_of_names_contents_and_splits_not_of_the_place() {
    let files = [images("a", 6), images("b", 6)].concat();
    let (one, two) = (Folder::with(&files), Folder::with(&files));
    let print = |folder: &Folder| folder.open().unwrap().fingerprint().unwrap();
    let fingerprint = print(&one);
    assert_eq!(fingerprint.len(), 64);
    assert_eq!(fingerprint, print(&two));
    assert_ne!(
        fingerprint,
        one.open_with(|options| options.seed = 1)
            .unwrap()
            .fingerprint()
            .unwrap()
    );
    RgbImage::new(4, 3).save(two.path().join("a/0.png")).unwrap();
    assert_ne!(fingerprint, print(&two), "a content changed");
    fs::rename(one.path().join("a/0.png"), one.path().join("a/00.png")).unwrap();
    assert_ne!(fingerprint, print(&one), "a name changed");
}

#[test]
fn a_data_set_knows_its_name() {
    let folder = Folder::with([images("flowers/a", 3), images("flowers/b", 3)].concat());
    let open = |path: &Path| Dataset::open(path, &OpenOptions::default()).unwrap().name;
    assert_eq!(open(&folder.path().join("flowers")), "flowers");
    assert_eq!(open(&folder.path().join("flowers/a/..")), "flowers");
}

#[test]
fn the_usual_edge_is_that_of_most_training_images() {
    let folder = Folder::with(
        [
            images("train/a", 9),
            images("train/b", 9),
            images("val/a", 1),
            images("val/b", 1),
        ]
        .concat(),
    );
    assert_eq!(folder.open().unwrap().usual_edge(), Some(3));
    RgbImage::new(70, 50)
        .save(folder.path().join("train/a/0.png"))
        .unwrap();
    assert_eq!(
        folder.open().unwrap().usual_edge(),
        Some(3),
        "one image of another size"
    );
    for class in ["a", "b"] {
        for index in 0..9 {
            RgbImage::new(50 + index, 90)
                .save(folder.path().join(format!("train/{class}/{index}.png")))
                .unwrap();
        }
    }
    assert_eq!(folder.open().unwrap().usual_edge(), Some(54));
}

#[test]
fn classes_can_be_put_in_order() {
    let folder = Folder::with([images("low", 4), images("high", 4), images("middle", 4)].concat());
    let order = ["low", "middle", "high"].map(String::from);
    let natural = folder.open().unwrap();
    let ordered = natural.clone().with_class_order(&order).unwrap();
    assert_eq!(ordered.classes, order);
    for (before, after) in natural.train.iter().zip(&ordered.train) {
        assert_eq!(
            before.label.names(&natural.classes),
            after.label.names(&ordered.classes)
        );
    }
    let error = natural.with_class_order(&order[..2]).unwrap_err();
    let (message, hint) = folder.explain(&error);
    assert_eq!(
        message,
        "`ROOT` has the classes `high`, `low`, `middle`, expected `low`, `middle`"
    );
    assert_eq!(hint, "is it the right folder? names must agree letter by letter");
}
