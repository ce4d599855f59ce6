//! Opening folders as users have them: good ones, and every bad one with its message and its hint.

use image::{Rgb, RgbImage};
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;
use vpt_data::{DataError, DataSummary, Dataset, Format, OpenOptions, Split};

/// A folder that is removed at the end of the test.
struct Folder(TempDir);

impl Folder {
    /// Makes one with the given files. Names of images become small pictures, each with its own colour; others text.
    fn with<S: AsRef<str>>(files: impl IntoIterator<Item = S>) -> Self {
        let folder = Self(TempDir::new().unwrap());
        for file in files {
            folder.add(file.as_ref());
        }
        folder
    }

    fn add(&self, file: &str) -> PathBuf {
        let path = self.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let sum = file.bytes().fold(7_u32, |sum, byte| {
            sum.wrapping_mul(31).wrapping_add(u32::from(byte))
        });
        let picture = RgbImage::from_pixel(4, 3, Rgb([sum as u8, (sum >> 8) as u8, (sum >> 16) as u8]));
        match vpt_data::formats::is_image(&path) {
            true => picture.save_with_format(&path, image::ImageFormat::Png).unwrap(),
            false => fs::write(&path, "text").unwrap(),
        }
        path
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn open(&self) -> Result<Dataset, DataError> {
        self.open_with(|_| {})
    }

    fn open_with(&self, change: impl FnOnce(&mut OpenOptions)) -> Result<Dataset, DataError> {
        let mut options = OpenOptions::default();
        change(&mut options);
        Dataset::open(self.path(), &options)
    }

    /// The error's message with the folder's own path as `ROOT`, and its hint.
    fn error(&self) -> (String, String) {
        self.explain(&self.open().unwrap_err())
    }

    fn explain(&self, error: &DataError) -> (String, String) {
        let root = self.path().to_string_lossy().into_owned();
        let shorten = |text: String| text.replace(&root, "ROOT").replace('\\', "/");
        (
            shorten(error.to_string()),
            shorten(error.hint().unwrap_or_default()),
        )
    }
}

/// `prefix/0.png` … as many as asked for.
fn images(prefix: &str, count: usize) -> Vec<String> {
    (0..count).map(|i| format!("{prefix}/{i}.png")).collect()
}

fn fixture(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(path)
}

fn names(dataset: &Dataset, split: Split) -> Vec<String> {
    let below = |path: &Path| {
        path.strip_prefix(&dataset.root)
            .unwrap()
            .to_string_lossy()
            .replace('\\', "/")
    };
    dataset
        .split(split)
        .iter()
        .map(|sample| below(&sample.path))
        .collect()
}

// ---------------------------------------------------------------------------------------------- what works

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
                .map(|sample| sample.label)
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
            "ignored 1 images beside the split folders",
            "ignored the folder `labels` beside the split folders",
            "ignored 1 images beside the class folders in `ROOT/train`",
            "ignored `test`: its 2 images are not in class folders, so they have no labels",
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
        "class `c` has 1 training images, fewer than 5 shots"
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
fn classes_can_be_put_in_order() {
    let folder = Folder::with([images("low", 4), images("high", 4), images("middle", 4)].concat());
    let order = ["low", "middle", "high"].map(String::from);
    let natural = folder.open().unwrap();
    let ordered = natural.clone().with_class_order(&order).unwrap();
    assert_eq!(ordered.classes, order);
    for (before, after) in natural.train.iter().zip(&ordered.train) {
        assert_eq!(natural.classes[before.label], ordered.classes[after.label]);
    }
    let error = natural.with_class_order(&order[..2]).unwrap_err();
    let (message, hint) = folder.explain(&error);
    assert_eq!(
        message,
        "`ROOT` has the classes `high`, `low`, `middle`, expected `low`, `middle`"
    );
    assert_eq!(hint, "is it the right folder? names must agree letter by letter");
}

#[test]
fn a_summary_counts_and_finds_copies() {
    let folder = Folder::with([
        "train/a/1.png",
        "train/a/2.png",
        "train/b/1.png",
        "val/a/1.png",
        "val/b/1.png",
    ]);
    folder.add("test/a/1.png");
    let copy = |from: &str, to: &str| {
        fs::create_dir_all(folder.path().join(to).parent().unwrap()).unwrap();
        fs::copy(folder.path().join(from), folder.path().join(to)).unwrap();
    };
    copy("train/a/1.png", "test/b/9.png");
    copy("train/a/2.png", "train/a/3.png");
    copy("train/b/1.png", "val/b/7.png");
    image::GrayImage::new(10, 20)
        .save(folder.path().join("val/a/gray.png"))
        .unwrap();
    fs::write(folder.path().join("test/a/broken.png"), "text").unwrap();
    let dataset = folder.open_with(|options| options.check_images = false).unwrap();
    let summary = DataSummary::of(&dataset).unwrap();
    let counts: Vec<_> = summary
        .splits
        .iter()
        .map(|split| (split.images, split.per_class.clone()))
        .collect();
    assert_eq!(counts, [(4, vec![3, 1]), (4, vec![2, 2]), (3, vec![2, 1])]);
    assert_eq!(summary.imbalance, 3.0);
    assert_eq!(
        (summary.width.min, summary.width.median, summary.width.max),
        (4, 4.0, 10)
    );
    assert_eq!((summary.height.min, summary.height.max), (3, 20));
    assert_eq!(
        summary.modes.into_iter().collect::<Vec<_>>(),
        [("gray8".into(), 1), ("rgb8".into(), 9)]
    );
    assert!(summary.total_bytes > 500);
    let pairs: Vec<_> = summary
        .duplicates_across_splits
        .iter()
        .map(|d| (&*d.first.path, &*d.second.path))
        .collect();
    assert_eq!(
        pairs,
        [
            ("train/a/1.png", "test/b/9.png"),
            ("train/b/1.png", "val/b/7.png")
        ]
    );
    assert_eq!(summary.duplicates_within_splits, 1);
    let contradiction = &summary.contradictions[..];
    assert_eq!(contradiction.len(), 1);
    assert_eq!(
        (&*contradiction[0].first.class, &*contradiction[0].second.class),
        ("a", "b")
    );
    assert_eq!(
        summary.unreadable[0].reason,
        "it holds text, expected JPEG, PNG, GIF, BMP, TIFF or WebP"
    );
    let json = serde_json::to_string(&DataSummary::of(&dataset).unwrap()).unwrap();
    assert_eq!(
        serde_json::from_str::<DataSummary>(&json).unwrap(),
        DataSummary::of(&dataset).unwrap()
    );
}

// ---------------------------------------------------------------------------------------------- what does not

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
    let extensions = "expected files ending in jpg, jpeg, jpe, jfif, png, gif, bmp, tif, tiff, webp";
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
        "`ROOT/train` has 1 images but no class folders"
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
        "add images until it has at least 3, or make the split folders yourself"
    );
    let folder = Folder::with([images("train/a", 9), images("train/b", 1), images("test/a", 1)].concat());
    assert_eq!(
        folder.error().0,
        "class `b` has 1 images, too few to be split into train, val"
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
        "  `ROOT/b/2.png`: it holds text, expected JPEG, PNG, GIF, BMP, TIFF or WebP"
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
    assert_eq!(message, "none of the 2 training images of class `b` can be read");
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

#[cfg(unix)]
mod links {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn links_to_folders_and_files_are_followed() {
        let elsewhere = Folder::with(images("dogs", 3));
        let folder = Folder::with(images("cats", 3));
        symlink(elsewhere.path().join("dogs"), folder.path().join("dogs")).unwrap();
        symlink(
            elsewhere.path().join("dogs/0.png"),
            folder.path().join("cats/linked.png"),
        )
        .unwrap();
        let dataset = folder.open().unwrap();
        assert_eq!(dataset.classes, ["cats", "dogs"]);
        assert_eq!(dataset.train.len() + dataset.val.len() + dataset.test.len(), 7);
    }

    #[test]
    fn a_link_back_is_an_error() {
        let folder = Folder::with([images("a", 3), images("b/deep", 3)].concat());
        symlink(folder.path(), folder.path().join("b/deep/back")).unwrap();
        let (message, hint) = folder.error();
        assert_eq!(message, "link `ROOT/b/deep/back` leads back to a folder above it");
        assert_eq!(hint, "remove the link");
    }

    #[test]
    fn two_links_to_each_other_are_an_error() {
        let folder = Folder::with([images("a", 3), images("b", 3)].concat());
        symlink(folder.path().join("b"), folder.path().join("a/to_b")).unwrap();
        symlink(folder.path().join("a"), folder.path().join("b/to_a")).unwrap();
        assert_eq!(
            folder.error().0,
            "link `ROOT/a/to_b/to_a` leads back to a folder above it"
        );
    }

    #[test]
    fn a_class_folder_on_an_absent_disk_is_an_error() {
        let folder = Folder::with([images("a", 3), images("b", 3)].concat());
        symlink("/absent/disk", folder.path().join("c")).unwrap();
        let (message, hint) = folder.error();
        assert_eq!(message, "`ROOT/c` is a link to something that does not exist");
        assert!(hint.contains("mounted"));
    }

    #[test]
    fn an_image_on_an_absent_disk_is_listed() {
        let folder = Folder::with([images("a", 3), images("b", 3)].concat());
        symlink("/absent/disk/1.png", folder.path().join("a/far.png")).unwrap();
        symlink("loop.png", folder.path().join("a/loop.png")).unwrap();
        let (message, _) = folder.error();
        assert!(message.starts_with("2 of 8 images cannot be read:"), "{message}");
        assert!(
            message.contains("`ROOT/a/far.png`: a link to something that does not exist"),
            "{message}"
        );
    }

    /// As root every folder is open, so that this only tests something for other users.
    #[test]
    fn a_folder_without_permission_is_an_error() {
        use std::os::unix::fs::PermissionsExt;
        let folder = Folder::with([images("a", 3), images("b", 3)].concat());
        let shut = folder.path().join("b");
        fs::set_permissions(&shut, fs::Permissions::from_mode(0o000)).unwrap();
        let refused = fs::read_dir(&shut).is_err();
        let opened = folder.open();
        fs::set_permissions(&shut, fs::Permissions::from_mode(0o755)).unwrap();
        if refused {
            assert_eq!(
                folder.explain(&opened.unwrap_err()).0,
                "no permission to read `ROOT/b`"
            );
        }
    }
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
