//! Archives of MedMNIST.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use tempfile::TempDir;
use vpt_data::{DataError, Dataset, Format, Label, OpenOptions, Split, TaskKind, decode};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

fn npy(kind: &str, shape: &[usize], values: &[u8]) -> Vec<u8> {
    let axes: String = shape.iter().map(|axis| format!("{axis}, ")).collect();
    let header = format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': ({axes}), }}\n");
    let length = (header.len() as u16).to_le_bytes();
    [b"\x93NUMPY\x01\x00", &length[..], header.as_bytes(), values].concat()
}

/// Images of 2 x 3 pixels, every value of the i-th of them 10 i, in gray.
fn images(count: usize) -> Vec<u8> {
    let values: Vec<u8> = (0..count).flat_map(|i| [10 * i as u8; 6]).collect();
    npy("|u1", &[count, 2, 3], &values)
}

fn labels(labels: &[u8]) -> Vec<u8> {
    npy("|u1", &[labels.len(), 1], labels)
}

struct Archive {
    _folder: TempDir,
    path: PathBuf,
}

impl Archive {
    fn new(name: &str, arrays: &[(&str, Vec<u8>)]) -> Self {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join(name);
        let mut zip = ZipWriter::new(File::create(&path).unwrap());
        for (name, bytes) in arrays {
            zip.start_file(format!("{name}.npy"), SimpleFileOptions::default())
                .unwrap();
            zip.write_all(bytes).unwrap();
        }
        zip.finish().unwrap();
        Self {
            _folder: folder,
            path,
        }
    }

    /// Two classes; three images to train on, two to validate and one to test.
    fn good(name: &str) -> Self {
        let arrays = [
            ("train_images", images(3)),
            ("train_labels", labels(&[0, 1, 0])),
            ("val_images", images(2)),
            ("val_labels", labels(&[1, 0])),
            ("test_images", images(1)),
            ("test_labels", labels(&[1])),
        ];
        Self::new(name, &arrays)
    }

    fn open(&self) -> Result<Dataset, DataError> {
        open(&self.path)
    }

    fn error(&self) -> String {
        let message = self.open().unwrap_err().to_string();
        message.replace(&*self.path.to_string_lossy(), "ARCHIVE")
    }
}

fn open(path: &Path) -> Result<Dataset, DataError> {
    Dataset::open(path, &OpenOptions::default())
}

#[test]
fn images_and_labels_are_those_of_the_arrays() {
    let archive = Archive::good("pneumoniamnist_64.npz");
    let dataset = archive.open().unwrap();
    assert_eq!(
        (dataset.name.as_str(), dataset.format),
        ("pneumoniamnist_64", Format::Medmnist)
    );
    assert_eq!(dataset.classes, ["normal", "pneumonia"]);
    let of = |split| {
        dataset
            .split(split)
            .iter()
            .map(|sample| sample.label.class().unwrap())
            .collect::<Vec<_>>()
    };
    assert_eq!(Split::ALL.map(of), [vec![0, 1, 0], vec![1, 0], vec![1]]);
    let last = &dataset.train[2].path;
    assert_eq!(*last, archive.path.join("train").join("2"));
    let image = decode(last).unwrap();
    assert_eq!(image.dimensions(), (3, 2));
    assert!(image.pixels().all(|pixel| pixel.0 == [20; 3]));
    let absent = decode(&archive.path.join("train").join("3")).unwrap_err();
    assert!(matches!(absent, DataError::Missing { .. }), "{absent}");
}

#[test]
fn colours_and_rows_stay_in_order() {
    let values: Vec<u8> = (0..2 * 2 * 3).collect();
    let archive = Archive::new(
        "set.npz",
        &[
            ("train_images", npy("|u1", &[2, 1, 2, 3], &values)),
            (
                "train_labels",
                npy("<i8", &[2], &[[0; 8], [1, 0, 0, 0, 0, 0, 0, 0]].concat()),
            ),
        ],
    );
    let dataset = open(&archive.path);
    // Nothing says what to validate on, and one image of a class is too few to split.
    assert!(matches!(dataset, Err(DataError::ClassTooSmall { .. })));
    let image = decode(&archive.path.join("train/1")).unwrap();
    assert_eq!(image.into_raw(), [6, 7, 8, 9, 10, 11]);
}

#[test]
fn a_replaced_archive_is_read_anew() {
    let (first, second) = (
        Archive::good("set.npz"),
        Archive::new("other.npz", &[("a", vec![])]),
    );
    assert_eq!(first.open().unwrap().classes, ["0", "1"]);
    fs::copy(&second.path, &first.path).unwrap();
    File::options()
        .write(true)
        .open(&first.path)
        .unwrap()
        .set_modified(std::time::SystemTime::UNIX_EPOCH)
        .unwrap();
    assert!(first.open().is_err());
}

#[test]
fn what_is_wrong_is_said() {
    let train = |pixels: Vec<u8>, labels: Vec<u8>| {
        Archive::new("set.npz", &[("train_images", pixels), ("train_labels", labels)]).error()
    };
    let beginning = "cannot read `ARCHIVE` as an archive of images: ";
    for (found, expected) in [
        (
            Archive::new("set.npz", &[("weights", vec![])]).error(),
            "it holds no arrays called `train_images` and `train_labels`",
        ),
        (
            Archive::new(
                "set.npz",
                &[("test_images", images(1)), ("test_labels", labels(&[0]))],
            )
            .error(),
            "it has no `train_images`",
        ),
        (
            train(images(2), labels(&[0])),
            "`train_labels` has 1 labels for 2 images",
        ),
        (
            train(images(2), labels(&[0, 0])),
            "all training images have the same label, expected two or more labels",
        ),
        (
            train(images(2), labels(&[0, 2])),
            "there are labels up to 2, but none of the training images has the label 1",
        ),
        (
            train(images(2), npy("|u1", &[2, 3], &[1, 0, 2, 0, 1, 0])),
            "`train_labels` has 3 labels for each image, one of them 2; expected 0 or 1",
        ),
        (
            train(images(2), npy("|u1", &[2, 14], &[0; 28])),
            "there are labels up to 13, but none of the training images has the label 0",
        ),
        (
            train(images(1), npy("<f4", &[1], &[0; 4])),
            "`train_labels` has type `<f4`, expected whole numbers",
        ),
        (
            train(images(1), npy("|i1", &[1], &[0xff])),
            "`train_labels` has a label that is no number from 0 to 65535",
        ),
        (
            train(npy("|u1", &[2, 2], &[0; 4]), labels(&[0, 1])),
            "`train_images` has shape [2, 2], expected [n, height, width] or [n, height, width, 3]",
        ),
        (
            train(npy("<f4", &[1, 1, 1], &[0; 4]), labels(&[0])),
            "`train_images` has type `<f4`, expected bytes (`|u1`) row by row",
        ),
        (
            train(npy("|u1", &[2, usize::MAX, 2], &[0; 4]), labels(&[0, 1])),
            "`train_images` has shape [2, 18446744073709551615, 2] and 4 bytes",
        ),
        (
            train(npy("|u1", &[2, 0, 99], &[]), labels(&[0, 1])),
            "`train_images` are 0 x 99, expected 1 to 32768 pixels",
        ),
        (
            train(b"no array".to_vec(), labels(&[0])),
            "`train_images` is no .npy file",
        ),
        (
            train(npy("|u1", &[1 << 22, 1, 1], &vec![0; 1 << 22]), labels(&[0])),
            "`train_images` claims 4194385 bytes, the file has",
        ),
    ] {
        assert!(found.starts_with(&format!("{beginning}{expected}")), "{found}");
    }
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("cut.npz");
    let whole = fs::read(Archive::good("set.npz").path).unwrap();
    for length in [0, 10, whole.len() / 2, whole.len() - 1] {
        fs::write(&path, &whole[..length]).unwrap();
        let error = open(&path).unwrap_err().to_string();
        assert!(error.contains("cut.npz"), "{error}");
    }
}

/// The published set, where it lies beside the repository: its README counts the images.
#[test]
fn pneumonia_is_counted_as_published() {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/pneumoniamnist28/pneumoniamnist.npz");
    if !path.is_file() {
        println!("skipped: `../shared/data/pneumoniamnist28` is not beside the repository");
        return;
    }
    let dataset = open(&path).unwrap();
    assert_eq!(dataset.classes, ["normal", "pneumonia"]);
    let counts = Split::ALL.map(|split| dataset.class_counts(split));
    assert_eq!(counts, [[388, 3494], [135, 389], [234, 390]]);
    assert_eq!(decode(&dataset.test[0].path).unwrap().dimensions(), (28, 28));
}

#[test]
fn several_labels_an_image() {
    let several = |rows: &[[u8; 14]]| npy("|u1", &[rows.len(), 14], &rows.concat());
    let (mut mass, mut none) = ([1; 14], [0; 14]);
    mass[..4].fill(0);
    let archive = Archive::new(
        "chestmnist.npz",
        &[
            ("train_images", images(3)),
            ("train_labels", several(&[[1; 14], none, mass])),
            ("test_images", images(1)),
            ("test_labels", several(&[mass])),
        ],
    );
    let options = OpenOptions {
        val_fraction: 0.0,
        ..OpenOptions::default()
    };
    let dataset = Dataset::open(&archive.path, &options).unwrap();
    assert_eq!(dataset.kind, TaskKind::MultiLabel);
    assert_eq!((dataset.classes.len(), &*dataset.classes[2]), (14, "effusion"));
    let found: Vec<&Label> = dataset.train.iter().map(|sample| &sample.label).collect();
    assert_eq!(
        found,
        [&Label::many(0..14), &Label::many([]), &Label::many(4..14)]
    );
    none[0] = 1;
    let mixed = Archive::new(
        "set.npz",
        &[
            ("train_images", images(1)),
            ("train_labels", several(&[none])),
            ("test_images", images(1)),
            ("test_labels", labels(&[0])),
        ],
    );
    let error = mixed.error();
    assert!(
        error.contains("`test_labels` has 1 labels for each image, `train_labels` has 14"),
        "{error}"
    );
}
