//! Puts drawn pictures into a folder that opens as a data set.

use crate::{DataError, Split};
use image::RgbImage;
use image::codecs::jpeg::JpegEncoder;
use rayon::prelude::*;
use std::fs;
use std::io::{self, BufWriter};
use std::path::Path;

/// JPEG quality: fine detail survives, files stay small.
const QUALITY: u8 = 94;

/// The file that describes a drawn set; its text is also how a finished set is recognised.
const README: &str = "README.md";

/// What to draw.
pub(crate) struct DrawnSet {
    /// Folder names of the classes, in the order of their labels.
    pub(crate) classes: Vec<String>,
    /// Pictures of each class in train, val and test; a split without pictures gets no folder.
    pub(crate) per_class: [usize; 3],
    /// Text for the reader, naming everything that the pictures depend on.
    pub(crate) readme: String,
}

/// Draws `draw(split, class, index)` for every picture of `set`, in parallel, into `dir`, as [`fill_folder`] does.
pub(crate) fn draw_folder(
    dir: &Path,
    set: &DrawnSet,
    draw: impl Fn(Split, usize, usize) -> RgbImage + Sync,
) -> Result<(), DataError> {
    fill_folder(dir, &set.readme, |root| {
        let mut jobs = Vec::new();
        for (split, count) in Split::ALL.into_iter().zip(set.per_class) {
            for (class, name) in set.classes.iter().enumerate().filter(|_| count > 0) {
                let folder = root.join(split.name()).join(name);
                fs::create_dir_all(&folder).map_err(cannot_write(&folder))?;
                jobs.extend(
                    (0..count).map(|index| (folder.join(format!("{index:05}.jpg")), split, class, index)),
                );
            }
        }
        jobs.par_iter()
            .try_for_each(|(path, split, class, index)| save_jpeg(path, &draw(*split, *class, *index)))
    })
}

/// Fills `dir` by `fill(folder)` and puts `readme` into it.
///
/// The set is made beside `dir` and renamed when it is complete, so that a set which is there is whole. A `dir`
/// that already holds this set, by its text for the reader, is left as it is.
pub(crate) fn fill_folder(
    dir: &Path,
    readme: &str,
    fill: impl FnOnce(&Path) -> Result<(), DataError>,
) -> Result<(), DataError> {
    if fs::read_to_string(dir.join(README)).is_ok_and(|text| text == readme) {
        return Ok(());
    }
    if let Ok(mut entries) = fs::read_dir(dir)
        && entries.next().is_some()
    {
        return Err(DataError::FolderInUse { dir: dir.to_owned() });
    }
    let parent = match dir.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    fs::create_dir_all(parent).map_err(cannot_write(parent))?;
    let workshop = tempfile::Builder::new()
        .prefix(".vpt-")
        .tempdir_in(parent)
        .map_err(cannot_write(parent))?;
    let root = workshop.path().join("set");
    fs::create_dir(&root).map_err(cannot_write(&root))?;
    fill(&root)?;
    crate::atomic::write_bytes(&root.join(README), readme.as_bytes()).map_err(cannot_write(&root))?;
    // An empty `dir` may be in the way; anything else was refused above.
    let _ = fs::remove_dir(dir);
    fs::rename(&root, dir).map_err(cannot_write(dir))
}

/// Writes a picture into a new file.
pub(crate) fn save_jpeg(path: &Path, picture: &RgbImage) -> Result<(), DataError> {
    let save = || {
        let mut file = BufWriter::new(fs::File::create_new(path)?);
        JpegEncoder::new_with_quality(&mut file, QUALITY)
            .encode_image(picture)
            .map_err(io::Error::other)?;
        file.into_inner().map_err(io::IntoInnerError::into_error)?;
        Ok(())
    };
    save().map_err(cannot_write(path))
}

/// Names the file of an error.
pub(crate) fn cannot_write(path: &Path) -> impl Fn(io::Error) -> DataError {
    |source| DataError::Write {
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::Rgb;

    fn set(readme: &str) -> DrawnSet {
        let classes = vec!["a".to_owned(), "b".to_owned()];
        DrawnSet {
            classes,
            per_class: [3, 0, 1],
            readme: readme.to_owned(),
        }
    }

    fn draw(_: Split, class: usize, index: usize) -> RgbImage {
        RgbImage::from_pixel(8, 8, Rgb([class as u8 * 100, index as u8 * 50, 0]))
    }

    #[test]
    fn makes_the_folder_once() {
        let temp = tempfile::tempdir().expect("a temporary folder");
        let dir = temp.path().join("deep").join("set");
        draw_folder(&dir, &set("one"), draw).expect("draws");
        assert!(dir.join("train/b/00002.jpg").is_file());
        assert!(dir.join("test/a/00000.jpg").is_file());
        assert!(!dir.join("val").exists());
        let left = fs::read_dir(temp.path().join("deep")).expect("readable").count();
        assert_eq!(left, 1, "no workshop left behind");
        draw_folder(&dir, &set("one"), |_, _, _| panic!("draws again")).expect("already there");
    }

    #[test]
    fn refuses_a_folder_in_use_and_takes_an_empty_one() {
        let temp = tempfile::tempdir().expect("a temporary folder");
        draw_folder(temp.path(), &set("one"), draw).expect("an empty folder is fine");
        let error = draw_folder(temp.path(), &set("two"), draw).expect_err("holds another set");
        assert!(matches!(error, DataError::FolderInUse { .. }), "{error}");
    }
}
