//! Real data sets, against what their descriptions count.

use std::path::{Path, PathBuf};
use vpt_data::{DataSummary, Dataset, Format, OpenOptions, ProblemKind, Split, TaskKind, read_mask};

/// A data set that is not part of the repository, if it is here.
fn folder(name: &str) -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../shared/data")
        .join(name);
    let is_there = folder.is_dir();
    if !is_there {
        // A test that is left out says so.
        #[allow(clippy::print_stderr)]
        {
            eprintln!("skipped: shared/data/{name} is not there");
        }
    }
    is_there.then_some(folder)
}

fn open(path: &Path) -> Dataset {
    let options = OpenOptions {
        check_images: false,
        ..OpenOptions::default()
    };
    Dataset::open(path, &options).unwrap()
}

fn sizes(dataset: &Dataset) -> [usize; 3] {
    Split::ALL.map(|split| dataset.split(split).len())
}

fn sum(dataset: &Dataset) -> Vec<usize> {
    let counts = Split::ALL.map(|split| dataset.class_counts(split));
    (0..dataset.classes.len())
        .map(|class| counts.iter().map(|count| count[class]).sum())
        .collect()
}

#[test]
fn blood_cells_in_voc_form() {
    let Some(folder) = folder("bccd_voc") else { return };
    let dataset = open(&folder);
    assert_eq!((dataset.format, dataset.kind), (Format::Voc, TaskKind::Detection));
    assert_eq!(dataset.classes, ["Platelets", "RBC", "WBC"]);
    assert_eq!(sizes(&dataset), [205, 87, 72]);
    let dropped = dataset.problems.count(ProblemKind::ZeroArea);
    assert_eq!(
        (dropped, dataset.problems.len()),
        (2, 2),
        "{:?}",
        dataset.problems.lines(20)
    );
    let counts = sum(&dataset);
    assert_eq!(counts.iter().sum::<usize>() + dropped, 361 + 4155 + 372);
    assert_eq!((counts[0], counts[2]), (361, 372));
    let named: Vec<String> = dataset.problems.lines(5);
    assert!(
        named.iter().any(|line| line.contains("BloodImage_00338.xml"))
            && named.iter().any(|line| line.contains("BloodImage_00343.xml"))
    );
}

#[test]
fn raccoons_are_the_same_in_both_forms() {
    let Some(folder) = folder("raccoon_coco_yolo") else {
        return;
    };
    let (coco, yolo) = (open(&folder), open(&folder.join("data.yaml")));
    assert_eq!((coco.format, yolo.format), (Format::Coco, Format::Yolo));
    assert_eq!(open(&folder.join("annotations_coco")).train, coco.train);
    let mut most = 0.0_f64;
    for dataset in [&coco, &yolo] {
        assert_eq!(dataset.classes, ["raccoon"]);
        assert_eq!(sizes(dataset), [135, 20, 39]);
        assert_eq!(
            Split::ALL.map(|split| dataset.class_counts(split)[0]),
            [144, 21, 46]
        );
        assert!(dataset.problems.is_empty(), "{:?}", dataset.problems.lines(20));
    }
    for split in Split::ALL {
        for sample in coco.split(split) {
            let other = yolo
                .split(split)
                .iter()
                .find(|other| other.path.file_name() == sample.path.file_name())
                .unwrap();
            let [one, other] = [sample, other].map(|sample| sample.label.objects().unwrap());
            assert_eq!(one.len(), other.len());
            for (a, b) in one.iter().zip(other) {
                let apart = a
                    .bbox
                    .edges()
                    .into_iter()
                    .zip(b.bbox.edges())
                    .map(|(a, b)| (a - b).abs());
                most = apart.fold(most, f64::max);
            }
        }
    }
    // Pixels with two decimals and parts with six, of up to 512 pixels.
    assert!(most < 0.011, "{most}");
    assert!(most > 0.0);
}

#[test]
fn vessels_are_one_bit_masks() {
    let Some(folder) = folder("chase_db1") else { return };
    let dataset = open(&folder);
    assert_eq!(
        (dataset.format, dataset.kind),
        (Format::MaskFolder, TaskKind::Segmentation)
    );
    assert_eq!(
        (sizes(&dataset), &dataset.classes[..]),
        ([16, 4, 8], &["background".to_owned(), "foreground".into()][..])
    );
    assert!(dataset.problems.is_empty(), "{:?}", dataset.problems.lines(20));
    assert!(
        dataset
            .notes
            .iter()
            .any(|note| note.contains("`masks_observer2`")),
        "{:?}",
        dataset.notes
    );
    let mask = read_mask(&dataset.train[0]).unwrap();
    assert_eq!((mask.width, mask.height), (999, 960));
    let pixels = DataSummary::of(&dataset).unwrap().pixels.unwrap();
    assert!(
        pixels
            .iter()
            .all(|split| (0.03..0.15).contains(&split.shares[1]) && split.ignored == 0.0),
        "{pixels:?}"
    );
}
