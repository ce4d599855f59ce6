//! Tables of images.

use crate::folder::Folder;
use std::collections::BTreeSet;
use std::fs;
use vpt_data::{DataError, Dataset, Format, Label, OpenOptions, Sample, Split, TaskKind};

/// A folder of images and a table `name` of this text.
pub struct Table {
    pub folder: Folder,
    pub name: &'static str,
}

impl Table {
    pub fn new(name: &'static str, text: impl AsRef<[u8]>) -> Self {
        let images = ["a/1.png", "a/2.png", "b/3.png", "b/4.png", "5.png", "6.png"];
        let folder = Folder::with(images);
        fs::write(folder.path().join(name), text).unwrap();
        Self { folder, name }
    }

    pub fn open(&self) -> Result<Dataset, DataError> {
        Dataset::open(&self.folder.path().join(self.name), &OpenOptions::default())
    }

    pub fn error(&self) -> String {
        self.folder.explain(&self.open().unwrap_err()).0
    }
}

pub const SPLIT: &str = "\
path,label,split,patient,age
a/1.png,cat,train,p1,3
a/2.png,dog,train,p2,
b/3.png,cat,val,p3,4
b/4.png,dog,val,p4,
5.png,cat,test,p5,5
6.png,dog,test,p6,
";

fn names(dataset: &Dataset, split: Split) -> Vec<(String, &str)> {
    let name = |sample: &Sample| {
        let path = sample.path.strip_prefix(&dataset.root).unwrap();
        path.to_string_lossy().replace('\\', "/")
    };
    let samples = dataset.split(split).iter();
    samples
        .map(|sample| {
            (
                name(sample),
                dataset.classes[sample.label.class().unwrap()].as_str(),
            )
        })
        .collect()
}

#[test]
fn a_table_says_which_image_is_what() {
    let table = Table::new("pets.csv", SPLIT);
    let dataset = table.open().unwrap();
    assert_eq!(
        (dataset.name.as_str(), dataset.format),
        ("pets", Format::Manifest)
    );
    assert_eq!(dataset.classes, ["cat", "dog"]);
    let train = names(&dataset, Split::Train);
    assert_eq!(train, [("a/1.png".into(), "cat"), ("a/2.png".into(), "dog")]);
    let test = names(&dataset, Split::Test);
    assert_eq!(test, [("5.png".into(), "cat"), ("6.png".into(), "dog")]);
    assert_eq!(dataset.val[0].group.as_deref(), Some("p3"));
    assert!(dataset.notes.is_empty(), "{:?}", dataset.notes);
}

/// What spreadsheets make of the same table: a byte-order mark, semicolons or tabs, CRLF, quotes, other names of columns in
/// another order and case, spaces, no line break at the end.
#[test]
fn dialects_mean_the_same() {
    let plain = Table::new("pets.csv", SPLIT);
    let expected = plain.open().unwrap();
    let semicolons = format!("\u{feff}{}", SPLIT.replace(',', ";").replace('\n', "\r\n"));
    let quoted = SPLIT
        .lines()
        .map(|line| {
            line.split(',')
                .map(|value| format!("\"{value}\""))
                .collect::<Vec<_>>()
                .join(",")
        })
        .collect::<Vec<_>>();
    let renamed = SPLIT.replacen(
        "path,label,split,patient",
        "File Name,Diagnosis,Subset,Patient-ID",
        1,
    );
    let swapped: Vec<_> = SPLIT
        .lines()
        .map(|line| {
            let values: Vec<_> = line.split(',').collect();
            [values[3], values[2], values[1], values[0]].join(",")
        })
        .collect();
    for (name, text) in [
        ("pets.csv", semicolons),
        ("pets.CSV", SPLIT.replace(',', "\t")),
        ("pets.tsv", SPLIT.replace(',', "\t")),
        ("pets.csv", quoted.join("\n")),
        ("pets.csv", renamed.replace("validation", "valid")),
        ("pets.csv", swapped.join("\n\n")),
    ] {
        let table = Table::new(name, &text);
        let dataset = table.open().unwrap_or_else(|error| panic!("{text}: {error}"));
        for split in Split::ALL {
            assert_eq!(names(&dataset, split), names(&expected, split), "{text}");
        }
        assert_eq!(
            dataset.fingerprint().unwrap(),
            expected.fingerprint().unwrap(),
            "{text}"
        );
    }
}

#[test]
fn mistakes_are_named_with_their_line() {
    for (text, expected) in [
        ("", "ROOT/t.csv: the table is empty"),
        ("path,label\n", "ROOT/t.csv: there is a header but no images"),
        (
            "id,name\n1,2\n",
            "ROOT/t.csv:1: no column with the image's file: expected one of path, image, image_path, file, filename, file_name, \
             filepath, file_path, img, found `id`, `name`",
        ),
        (
            "path,text\na/1.png,x\n",
            "ROOT/t.csv:1: no column with the label: expected one of label, class, target, diagnosis, category, label_name, \
             class_name, labels, found `path`, `text`",
        ),
        (
            "path,label\na/1.png,x\n\na/2.png\n",
            "ROOT/t.csv:4: 1 values, expected 2 as in the header",
        ),
        ("path,label\na/1.png,\n", "ROOT/t.csv:2: the label is empty"),
        ("path,label\n ,x\n", "ROOT/t.csv:2: the image's file is empty"),
        (
            "path,label,split\na/1.png,x,train\na/2.png,y,later\n",
            "ROOT/t.csv:3: the split is `later`, expected train, val or test",
        ),
        (
            "path,label,split\na/1.png,x,\n",
            "ROOT/t.csv:2: the split is empty",
        ),
        (
            "path,label,patient\na/1.png,x,\n",
            "ROOT/t.csv:2: the group is empty",
        ),
        (
            "path,label\na/1.png,x\na/2.png,x\n",
            "ROOT/t.csv:2: all training images have the label `x`, expected two or more labels",
        ),
        (
            "path,label,split\na/1.png,x,test\n",
            "ROOT/t.csv: no line has the split `train`",
        ),
        (
            "path,label,split\na/1.png,x,train\na/2.png,y,train\n5.png,z,test\n",
            "ROOT/t.csv:4: the label `z` is in `test` but not in `train`",
        ),
        (
            "path,label\na/1.png,x\na/2.png,y\na/1.png,y\n",
            "ROOT/t.csv:4: `a/1.png` stands in line 2 with another label, split, group or weight",
        ),
        (
            "path,label\na/1.png,x\na/2.png,X\n",
            "classes `X` and `x` in `ROOT/t.csv` differ in upper and lower case only",
        ),
    ] {
        assert_eq!(Table::new("t.csv", text).error(), expected, "{text}");
    }
    let latin: &[u8] = b"path,label\na/1.png,caf\xe9\n";
    let error = Table::new("t.csv", latin).error();
    assert_eq!(error, "ROOT/t.csv:2: not UTF-8 text; save the table as UTF-8");
}

#[test]
fn repeated_lines_count_once_and_missing_files_are_listed() {
    let repeated = format!("{SPLIT}a/1.png,cat,train,p1,3\n");
    let dataset = Table::new("t.csv", repeated).open().unwrap();
    assert_eq!(dataset.train.len(), 2);
    assert_eq!(dataset.notes, ["left out 1 line that repeat others"]);
    let missing = SPLIT.replace("5.png", "absent.png");
    let error = Table::new("t.csv", missing).error();
    assert_eq!(
        error,
        "1 of 6 images cannot be read:\n  `ROOT/absent.png`: does not exist"
    );
}

#[test]
fn a_patient_in_two_splits_is_said() {
    let dataset = Table::new("t.csv", SPLIT.replace("p5", "p1")).open().unwrap();
    assert_eq!(
        dataset.notes,
        ["1 group in more than one split, so the test is too easy: `p1` is in train and test"]
    );
}

/// Forty patients with one to four images of one or two classes, wherever the split falls.
#[test]
fn patients_are_never_parted() {
    let folder = Folder::with(Vec::<String>::new());
    let mut text = String::from("path,label,patient\n");
    for patient in 0..40 {
        for image in 0..=patient % 4 {
            let name = format!("{patient}-{image}.png");
            folder.add(&name);
            let label = if image == 3 { 0 } else { patient % 3 };
            text += &format!("{name},grade {label},p{patient}\n");
        }
    }
    let path = folder.path().join("t.csv");
    fs::write(&path, text).unwrap();
    let groups =
        |samples: &[Sample]| -> BTreeSet<String> { samples.iter().filter_map(|s| s.group.clone()).collect() };
    let mut seen = BTreeSet::new();
    for seed in 0..10 {
        let options = OpenOptions {
            seed,
            ..OpenOptions::default()
        };
        let dataset = Dataset::open(&path, &options).unwrap();
        let [train, val, test] = Split::ALL.map(|split| groups(dataset.split(split)));
        assert_eq!(train.len() + val.len() + test.len(), 40, "seed {seed}");
        assert!(val.len() >= 5 && test.len() >= 5, "seed {seed}: {val:?} {test:?}");
        assert!(train.is_disjoint(&val) && train.is_disjoint(&test) && val.is_disjoint(&test));
        assert!(
            dataset.notes[0].ends_with(
                "by seed {seed}; images of one group stay together"
                    .replace("{seed}", &seed.to_string())
                    .as_str()
            )
        );
        seen.insert(test);
    }
    assert!(seen.len() > 5, "other seeds, other patients");
}

/// One patient has all images of the rare finding, beside more of the common one: held out, nothing is left to learn from.
#[test]
fn a_class_that_one_patient_has_alone_is_never_held_out_silently() {
    let folder = Folder::with(Vec::<String>::new());
    let mut text = String::from("path,label,patient\n");
    for image in 0..30 {
        let name = format!("{image}.png");
        folder.add(&name);
        let (label, patient) = match image {
            0 => ("rare", 0),
            _ => (["a", "b"][image / 3 % 2], image / 3),
        };
        text += &format!("{name},{label},p{patient}\n");
    }
    let path = folder.path().join("t.csv");
    fs::write(&path, text).unwrap();
    let (mut learnt, mut refused) = (0, 0);
    for seed in 0..40 {
        let options = OpenOptions {
            seed,
            ..OpenOptions::default()
        };
        match Dataset::open(&path, &options) {
            Ok(dataset) => {
                assert!(
                    dataset.class_counts(Split::Train).iter().all(|&count| count > 0),
                    "seed {seed}"
                );
                learnt += 1;
            }
            Err(error) => {
                let expected = "class `rare` has 0 groups, too few to be split into train, val, test";
                assert_eq!(error.to_string(), expected, "seed {seed}");
                refused += 1;
            }
        }
    }
    assert!(learnt > 0 && refused > 0, "{learnt} and {refused}");
}

/// Two findings, alone, together and not at all; quoted, with a byte-order mark and Windows line ends.
const SEVERAL: &str = "\u{feff}path,labels,split\r\n\
a/1.png,Mass|Effusion,train\r\na/2.png,,train\r\nb/3.png,\"Effusion\",train\r\nb/4.png, Mass ,val\r\n5.png,,test\r\n\
6.png, Effusion | Mass ,test\r\n";

#[test]
fn any_number_of_classes_an_image() {
    let table = Table::new("chest.csv", SEVERAL);
    let dataset = table.open().unwrap();
    assert_eq!(dataset.kind, TaskKind::MultiLabel);
    assert_eq!(dataset.classes, ["Effusion", "Mass"]);
    let labels = |split| -> Vec<Label> {
        let samples = dataset.split(split).iter();
        samples.map(|sample| sample.label.clone()).collect()
    };
    assert_eq!(
        labels(Split::Train),
        [Label::many([0, 1]), Label::many([]), Label::many([0])]
    );
    assert_eq!(labels(Split::Val), [Label::many([1])]);
    assert_eq!(labels(Split::Test), [Label::many([]), Label::many([0, 1])]);
    assert_eq!(dataset.class_counts(Split::Train), [2, 1]);
    let turned = dataset
        .clone()
        .with_class_order(&["Mass".into(), "Effusion".into()])
        .unwrap();
    assert_eq!(turned.train[2].label, Label::many([1]));
    assert_ne!(turned.fingerprint().unwrap(), dataset.fingerprint().unwrap());
    for (text, expected) in [
        (
            "path,labels\na/1.png,x||y\n",
            "ROOT/t.csv:2: the labels `x||y` have an empty name, expected names with `|` between them",
        ),
        (
            "path,labels\na/1.png,\na/2.png,\n",
            "ROOT/t.csv: no training image has any class",
        ),
        (
            "path,labels\na/1.png,x\na/2.png,\n",
            "ROOT/t.csv: `x` is the only class of the training images, expected two or more; a single finding is a column \
             `label` with one name for with it and one for without",
        ),
        (
            "path,labels,split\na/1.png,x|y,train\na/2.png,x|z,test\n",
            "ROOT/t.csv:3: the label `z` is in `test` but not in `train`",
        ),
        (
            "path,labels\na/1.png,x|y\na/1.png,x\n",
            "ROOT/t.csv:3: `a/1.png` stands in line 2 with another label, split, group or weight",
        ),
    ] {
        assert_eq!(Table::new("t.csv", text).error(), expected);
    }
    let repeated = Table::new(
        "t.csv",
        "path,labels,split\na/1.png,x|y,train\na/1.png,y|x,train\na/2.png,x,val\n",
    );
    assert_eq!(repeated.open().unwrap().train.len(), 1);
}

#[test]
fn images_of_several_classes_are_split_by_the_rarest() {
    let mut text = String::from("path,labels\n");
    let names: Vec<String> = (0..120).map(|image| format!("m/{image}.png")).collect();
    for (image, name) in names.iter().enumerate() {
        let mut labels = vec![];
        if image % 2 == 0 {
            labels.push("common");
        }
        if image % 12 == 0 {
            labels.push("rare");
        }
        text += &format!("{name},{}\n", labels.join("|"));
    }
    let folder = Folder::with(&names);
    std::fs::write(folder.path().join("t.csv"), text).unwrap();
    let dataset = Dataset::open(&folder.path().join("t.csv"), &OpenOptions::default()).unwrap();
    let counts = Split::ALL.map(|split| dataset.class_counts(split));
    // 10 images with both, 50 with the common one, 60 with none: each split 70/15/15.
    assert_eq!(counts, [vec![40, 6], vec![10, 2], vec![10, 2]]);
    assert_eq!(Split::ALL.map(|split| dataset.split(split).len()), [82, 19, 19]);
    assert!(
        dataset.notes[0].contains("each by the rarest of its classes"),
        "{:?}",
        dataset.notes
    );
    let folds = dataset.folds(5, 0.15, 1).unwrap();
    for fold in &folds {
        assert_eq!(fold.class_counts(Split::Test)[1], 2);
    }
    let few = OpenOptions {
        shots: Some(3),
        ..OpenOptions::default()
    };
    let few = Dataset::open(&folder.path().join("t.csv"), &few).unwrap();
    assert_eq!(
        few.train.len(),
        9,
        "three with the rare one, three with the common one alone, three with none"
    );
}
