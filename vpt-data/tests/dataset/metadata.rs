//! Tables beside class folders.

use crate::folder::{Folder, images};
use std::fs;
use vpt_data::{Dataset, Sample, Split};

/// The folder with tables in it.
fn with(folder: Folder, tables: &[(&str, &str)]) -> Folder {
    for (name, text) in tables {
        fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

/// Ten images of each of two classes.
fn pets() -> Folder {
    Folder::with([images("cat", 10), images("dog", 10)].concat())
}

/// A line for each of these images, by `line` of class and number.
fn table(header: &str, prefix: &str, line: impl Fn(&str, usize) -> String) -> String {
    let mut text = format!("{header}\n");
    for class in ["cat", "dog"] {
        for image in 0..10 {
            text += &format!("{prefix}{class}/{image}.png,{}\n", line(class, image));
        }
    }
    text
}

fn scanners(samples: &[Sample]) -> Vec<&str> {
    samples.iter().map(|sample| sample.columns[0].as_str()).collect()
}

#[test]
fn a_table_beside_class_folders_describes_their_images() {
    let text = table("file_name,patient,scanner,weight", "", |class, image| {
        format!("{class}{},{},{}", image / 2, ["A", "B"][image % 2], image + 1)
    });
    let folder = with(pets(), &[("metadata.csv", &text)]);
    let dataset = folder.open().unwrap();
    assert_eq!(
        (dataset.classes.as_slice(), dataset.columns.as_slice()),
        (
            ["cat", "dog"].map(str::to_owned).as_slice(),
            ["scanner".to_owned()].as_slice()
        )
    );
    let mut all = 0;
    for split in Split::ALL {
        for sample in dataset.split(split) {
            let image: usize = sample
                .path
                .file_stem()
                .unwrap()
                .to_str()
                .unwrap()
                .parse()
                .unwrap();
            assert_eq!(scanners(std::slice::from_ref(sample)), [["A", "B"][image % 2]]);
            assert_eq!(sample.weight.get(), (image + 1) as f32);
            let class = &dataset.classes[sample.label.class().unwrap()];
            assert_eq!(sample.group, Some(format!("{class}{}", image / 2)));
            let elsewhere = |other: &&Split| **other != split;
            let parted = |other: &Split| dataset.split(*other).iter().any(|s| s.group == sample.group);
            assert!(
                !Split::ALL.iter().filter(elsewhere).any(parted),
                "a patient is parted"
            );
            all += 1;
        }
    }
    assert_eq!(all, 20);
    let notes = dataset.notes.join("\n");
    assert!(
        notes.contains("images of one group stay together") && notes.contains("images count 1 to 10"),
        "{notes}"
    );
    // The same in a `.tsv`, which has nothing of its own.
    let same = with(pets(), &[("metadata.tsv", &text.replace(',', "\t"))]);
    assert_eq!(same.open().unwrap().train[0].group, dataset.train[0].group);
}

#[test]
fn the_table_may_split_the_images() {
    let text = table("file_name,split", "", |_, image| {
        ["train", "val", "test"][image.min(2)].to_owned()
    });
    let dataset = with(pets(), &[("metadata.csv", &text)]).open().unwrap();
    assert_eq!(Split::ALL.map(|split| dataset.split(split).len()), [2, 2, 16]);
    assert!(!dataset.test_is_drawn && dataset.columns.is_empty());
    let none = text.replace("dog/0.png,train", "dog/0.png,val");
    let (message, _) = with(pets(), &[("metadata.csv", &none)]).error();
    assert_eq!(
        message,
        "ROOT/metadata.csv: no image of the class `dog` has the split `train`"
    );
}

/// `train` and `test` of two images of two classes.
fn split() -> Folder {
    Folder::with(
        ["train/cat", "train/dog", "test/cat", "test/dog"]
            .map(|class| images(class, 10))
            .concat(),
    )
}

#[test]
fn split_folders_have_one_table_for_all_or_one_each() {
    let of = |prefix: &str| table("file_name,scanner,site", prefix, |_, i| format!("S{},x", i % 2));
    let swapped = table("file_name,site,scanner", "", |_, i| format!("x,S{}", i % 2));
    let (train, test) = (of("train/"), of("test/"));
    let whole = train + test.split_once('\n').unwrap().1;
    let check = |dataset: &Dataset| {
        assert_eq!(dataset.columns, ["scanner", "site"]);
        for split in Split::ALL {
            for sample in dataset.split(split) {
                assert!(sample.columns[0].starts_with('S') && sample.columns[1] == "x");
            }
        }
        assert_eq!(dataset.test.len(), 20);
    };
    check(&with(split(), &[("metadata.csv", &whole)]).open().unwrap());
    let each = with(
        split(),
        &[("train/metadata.csv", &of("")), ("test/metadata.csv", &swapped)],
    );
    check(&each.open().unwrap());

    // Weights are for training only.
    let weights = table("file_name,weight", "", |_, i| (i + 1).to_string());
    let only = with(split(), &[("train/metadata.csv", &weights)]).open().unwrap();
    assert!(
        only.notes
            .contains(&"no table describes the images of `test`".to_owned())
    );
    assert!(only.test.iter().all(|sample| sample.weight.is_one()));

    let (message, _) = with(
        split(),
        &[("metadata.csv", &whole), ("test/metadata.csv", &swapped)],
    )
    .error();
    assert_eq!(
        message,
        "ROOT/test/metadata.csv: `ROOT/metadata.csv` describes the same images, expected one table"
    );
    let (message, _) = with(
        split(),
        &[("train/metadata.csv", &of("")), ("test/metadata.csv", &weights)],
    )
    .error();
    assert_eq!(
        message,
        "ROOT/test/metadata.csv:1: the other columns are none, in the other split scanner, site"
    );
    let patients = of("").replace("site", "patient");
    let (message, _) = with(
        split(),
        &[("train/metadata.csv", &patients), ("test/metadata.csv", &of(""))],
    )
    .error();
    assert!(
        message.starts_with(
            "ROOT/test/metadata.csv:1: only one of this table and `ROOT/train/metadata.csv` has"
        ),
        "{message}"
    );
}

#[test]
fn every_image_has_a_line_and_lines_without_images_are_counted() {
    let text = table("file_name,scanner", "", |_, _| "A".into());
    let more = format!("{text}cat/99.png,B\ncat/98.png,B\n");
    let folder = with(pets(), &[("metadata.csv", &more)]);
    let notes = folder.open().unwrap().notes.join("\n");
    assert!(
        notes.contains("metadata.csv` has 2 lines without an image, such as line 22, `cat/99.png`"),
        "{notes}"
    );
    for (missing, expected) in [
        (
            text.replace("cat/3.png,A\n", ""),
            "ROOT/metadata.csv: no line for the image `cat/3.png`",
        ),
        (
            text.replace("cat/", "cats/"),
            "ROOT/metadata.csv: no line for the image `cat/0.png` and 9 others",
        ),
        (
            text.replace("file_name", "id"),
            "ROOT/metadata.csv:1: no column with the image's file: expected one of path, image, image_path, file, \
             filename, file_name, filepath, file_path, img, found `id`, `scanner`",
        ),
    ] {
        let (message, hint) = with(pets(), &[("metadata.csv", &missing)]).error();
        assert_eq!(message, expected);
        assert!(hint.contains("unless class folders say it"), "{hint}");
    }
    let (message, _) = with(pets(), &[("metadata.csv", &text), ("metadata.tsv", &text)]).error();
    assert_eq!(
        message,
        "ROOT/metadata.csv: `ROOT/metadata.tsv` describes the same images, expected one table"
    );
}

#[test]
fn a_table_that_says_the_classes_is_the_data_set() {
    let folder = with(
        Folder::with(["1.png", "2.png"]),
        &[("metadata.csv", "file_name,label\n1.png,x\n2.png,y\n")],
    );
    let (_, hint) = folder.error();
    assert_eq!(
        hint,
        "if `metadata.csv` says the classes in a column `label`, give that table instead"
    );
}
