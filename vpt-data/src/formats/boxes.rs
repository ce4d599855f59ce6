//! What formats with boxes share: from what a file says of a picture to boxes in its pixels, by one rule for each thing that can be
//! wrong ([`ProblemKind`]).

use crate::{DataError, PixelBox, ProblemKind, decode};
use image::metadata::Orientation;
use rayon::prelude::*;
use std::fs;
use std::path::{Path, PathBuf};

/// How far a box may reach out of the picture without being reported, in pixels: what rounding in a text file explains.
const TOLERANCE: f64 = 0.01;

/// The most bytes that a text of one picture, or a list of pictures, may have.
const MAX_TEXT: u64 = 64 << 20;

/// A picture's size, and how it is turned to be shown.
#[derive(Clone, Copy)]
pub(super) struct Picture {
    /// Width and height as shown.
    pub size: [u32; 2],
    orientation: Orientation,
}

/// Sizes of pictures, from their headers; of those that cannot be read, why.
pub(super) fn pictures(paths: &[PathBuf]) -> Vec<Result<Picture, String>> {
    let one = |path: &PathBuf| {
        let header = decode::read(path).and_then(|bytes| decode::header(&path.to_string_lossy(), &bytes));
        let header = header.map_err(|error| error.reason())?;
        Ok(Picture {
            size: [header.width, header.height],
            orientation: header.orientation,
        })
    };
    paths.par_iter().map(one).collect()
}

/// From the coordinates of an annotation to pixels of the picture as shown.
#[derive(Clone, Copy)]
pub(super) struct Frame {
    size: [u32; 2],
    scale: [f64; 2],
    /// How to turn, and the size before.
    turn: Option<(Orientation, [f64; 2])>,
}

impl Frame {
    /// For coordinates as parts of width and height.
    pub fn of_parts(picture: &Picture) -> Self {
        Self {
            size: picture.size,
            scale: picture.size.map(f64::from),
            turn: None,
        }
    }

    /// For pixels of a picture that was `said` to have that width and height. Also what to report if it has not, and whether that
    /// could be mended.
    pub fn of_pixels(picture: &Picture, said: Option<[f64; 2]>) -> (Self, Option<(String, bool)>) {
        let size = picture.size;
        let plain = Self {
            size,
            scale: [1.0; 2],
            turn: None,
        };
        let Some(said) = said.filter(|said| said.iter().all(|edge| edge.is_finite() && *edge >= 1.0)) else {
            return (plain, None);
        };
        let [width, height] = size.map(f64::from);
        if said == [width, height] {
            return (plain, None);
        }
        let what = format!(
            "{} x {} pixels, the picture has {width} x {height}",
            said[0], said[1]
        );
        if said == [height, width] && decode::is_quarter_turn(picture.orientation) {
            let turned = Self {
                turn: Some((picture.orientation, said)),
                ..plain
            };
            return (turned, Some((format!("{what}: boxes turned with it"), true)));
        }
        let scale = [width / said[0], height / said[1]];
        // The same shape, but for rounding to whole pixels.
        let apart = (scale[0] - scale[1]).abs() * said[0].min(said[1]);
        if apart <= 1.0 {
            return (
                Self { scale, ..plain },
                Some((format!("{what}: boxes scaled with it"), true)),
            );
        }
        (plain, Some((format!("{what}: boxes taken as they are"), false)))
    }

    /// For what is in pixels of the picture already.
    pub fn plain(&self) -> Self {
        Self {
            scale: [1.0; 2],
            turn: None,
            ..*self
        }
    }

    /// Whether coordinates stay as they are.
    pub fn is_plain(&self) -> bool {
        self.turn.is_none() && self.scale == [1.0; 2]
    }

    /// How many square pixels one of the annotation's is.
    pub fn area(&self) -> f64 {
        self.scale[0] * self.scale[1]
    }

    /// Where a point is in the picture.
    pub fn point(&self, [x, y]: [f64; 2]) -> [f64; 2] {
        let [x, y] = match self.turn {
            None => [x, y],
            Some((orientation, [width, height])) => match orientation {
                Orientation::Rotate90 => [height - y, x],
                Orientation::Rotate270 => [y, width - x],
                Orientation::Rotate90FlipH => [y, x],
                Orientation::Rotate270FlipH => [height - y, width - x],
                _ => [x, y],
            },
        };
        [x * self.scale[0], y * self.scale[1]]
    }

    /// The box within the picture; what to report if it is not there or was cut.
    pub fn place(&self, edges: [f64; 4]) -> Placed {
        let [x0, y0, x1, y1] = edges;
        let shown = || format!("the box {x0} {y0} {x1} {y1}");
        if !edges.iter().all(|edge| edge.is_finite()) {
            return Placed::Dropped(
                ProblemKind::NotANumber,
                format!("{}, expected finite numbers", shown()),
            );
        }
        if x0 >= x1 || y0 >= y1 {
            return Placed::Dropped(ProblemKind::ZeroArea, format!("{} has no area", shown()));
        }
        let whole = PixelBox::around([self.point([x0, y0]), self.point([x1, y1])]);
        let cut = whole.and_then(|whole| Some((whole, whole.clip(self.size)?)));
        let Some((whole, cut)) = cut.filter(|(_, cut)| cut.width() > 0.0 && cut.height() > 0.0) else {
            let [width, height] = self.size;
            let message = format!(
                "{} has no area within the {width} x {height} pixels of the picture",
                shown()
            );
            return Placed::Dropped(ProblemKind::ZeroArea, message);
        };
        let out = whole
            .edges()
            .into_iter()
            .zip(cut.edges())
            .map(|(a, b)| (a - b).abs());
        let out = out.fold(0.0, f64::max);
        let report = (out > TOLERANCE).then(|| {
            let [width, height] = self.size;
            format!("{} reaches {out:.1} pixels out of {width} x {height}", shown())
        });
        Placed::Kept(cut, report)
    }
}

/// What became of a box.
pub(super) enum Placed {
    /// It is there; what to report if it was cut.
    Kept(PixelBox, Option<String>),
    /// It is left out.
    Dropped(ProblemKind, String),
}

/// A file that is no annotation.
pub(super) fn wrong(
    path: &Path,
    line: impl Into<Option<u64>>,
    message: impl Into<String>,
    remedy: impl Into<String>,
) -> DataError {
    DataError::Annotations {
        path: path.into(),
        line: line.into(),
        message: message.into(),
        remedy: remedy.into(),
    }
}

/// The text of a file, without a byte-order mark.
pub(super) fn text(path: &Path) -> Result<String, DataError> {
    let io = |source| DataError::io(path, source);
    let metadata = fs::metadata(path).map_err(io)?;
    if !metadata.is_file() || metadata.len() > MAX_TEXT {
        let message = format!("expected a file of text of at most {} MiB", MAX_TEXT >> 20);
        return Err(wrong(path, None, message, "replace or remove it"));
    }
    let bytes = fs::read(path).map_err(io)?;
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(text.to_owned()),
        Err(error) => {
            let lines = bytes[..error.valid_up_to()].split(|&byte| byte == b'\n').count();
            Err(wrong(
                path,
                lines as u64,
                "not UTF-8 text",
                "save the file as UTF-8",
            ))
        }
    }
}

/// The folder directly in `dir` that has one of these names, in any case; of several the first name's.
pub(super) fn folder_named(dir: &Path, names: &[&str]) -> Option<PathBuf> {
    let entries: Vec<PathBuf> = fs::read_dir(dir)
        .ok()?
        .flatten()
        .map(|entry| entry.path())
        .collect();
    let mut named = names.iter().flat_map(|name| {
        let mut same: Vec<&PathBuf> = entries
            .iter()
            .filter(|path| {
                path.file_name()
                    .is_some_and(|found| found.eq_ignore_ascii_case(name))
            })
            .collect();
        same.sort();
        same
    });
    named.find(|path| path.is_dir()).cloned()
}

/// The files directly in a folder whose names end so, in any case, in natural order. Hidden ones are passed over.
pub(super) fn files_ending(dir: &Path, extensions: &[&str]) -> Result<Vec<PathBuf>, DataError> {
    let mut files = vec![];
    for entry in fs::read_dir(dir).map_err(|source| DataError::io(dir, source))? {
        let path = entry.map_err(|source| DataError::io(dir, source))?.path();
        let hidden = path
            .file_name()
            .is_none_or(|name| name.to_string_lossy().starts_with('.'));
        let ends = path.extension().is_some_and(|found| {
            extensions
                .iter()
                .any(|extension| found.eq_ignore_ascii_case(extension))
        });
        if !hidden && ends && path.is_file() {
            files.push(path);
        }
    }
    sort_naturally(&mut files);
    Ok(files)
}

/// `2.jpg` before `10.jpg`.
pub(super) fn sort_naturally(paths: &mut [PathBuf]) {
    paths.sort_by(|a, b| {
        super::image_folder::natural(&a.to_string_lossy(), &b.to_string_lossy()).then_with(|| a.cmp(b))
    });
}

/// A file's name without its ending.
pub(super) fn stem(path: &Path) -> String {
    path.file_stem()
        .map(|stem| stem.to_string_lossy().into_owned())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{DynamicImage, GenericImageView, Luma};

    fn picture(size: [u32; 2], orientation: Orientation) -> Picture {
        Picture { size, orientation }
    }

    fn kept(placed: Placed) -> ([f64; 4], bool) {
        match placed {
            Placed::Kept(bbox, report) => (bbox.edges(), report.is_some()),
            Placed::Dropped(_, what) => panic!("{what}"),
        }
    }

    #[test]
    fn boxes_are_cut_or_left_out() {
        let frame = Frame::of_pixels(&picture([100, 50], Orientation::NoTransforms), None).0;
        assert_eq!(
            kept(frame.place([1.0, 2.0, 100.004, 9.0])),
            ([1.0, 2.0, 100.0, 9.0], false)
        );
        assert_eq!(
            kept(frame.place([-3.0, 2.0, 7.0, 90.0])),
            ([0.0, 2.0, 7.0, 50.0], true)
        );
        let dropped = |edges| match frame.place(edges) {
            Placed::Kept(..) => panic!("kept"),
            Placed::Dropped(kind, what) => (kind, what),
        };
        assert_eq!(dropped([5.0, 5.0, 5.0, 9.0]).0, ProblemKind::ZeroArea);
        assert_eq!(dropped([5.0, 5.0, 2.0, 9.0]).0, ProblemKind::ZeroArea);
        assert_eq!(
            dropped([100.0, 5.0, 120.0, 9.0]).1,
            "the box 100 5 120 9 has no area within the 100 x 50 pixels of the picture"
        );
        assert_eq!(dropped([5.0, f64::NAN, 2.0, 9.0]).0, ProblemKind::NotANumber);
        let parts = Frame::of_parts(&picture([100, 50], Orientation::NoTransforms));
        assert_eq!(
            kept(parts.place([0.1, 0.2, 0.5, 1.0])),
            ([10.0, 10.0, 50.0, 50.0], false)
        );
    }

    #[test]
    fn another_size_is_mended_where_it_can_be() {
        let shown = picture([200, 101], Orientation::NoTransforms);
        let (frame, report) = Frame::of_pixels(&shown, Some([400.0, 201.0]));
        let [x, y] = frame.point([400.0, 201.0]);
        assert!(x == 200.0 && (y - 101.0).abs() < 1e-9);
        assert!(!frame.is_plain() && report.unwrap().1);
        let (frame, report) = Frame::of_pixels(&shown, Some([101.0, 200.0]));
        assert!(frame.is_plain() && !report.unwrap().1, "not turned by Exif");
        for said in [None, Some([0.0, 0.0]), Some([200.0, 101.0])] {
            assert!(Frame::of_pixels(&shown, said).1.is_none());
        }
    }

    #[test]
    fn boxes_turn_as_pictures_do() {
        let mut stored = image::GrayImage::new(3, 2);
        stored.put_pixel(2, 0, Luma([255]));
        for exif in [5, 6, 7, 8] {
            let orientation = Orientation::from_exif(exif).unwrap();
            let mut shown = DynamicImage::ImageLuma8(stored.clone());
            shown.apply_orientation(orientation);
            let (frame, report) = Frame::of_pixels(&picture([2, 3], orientation), Some([3.0, 2.0]));
            assert!(report.unwrap().1);
            let [x, y, ..] = kept(frame.place([2.0, 0.0, 3.0, 1.0])).0;
            assert_eq!(shown.get_pixel(x as u32, y as u32)[0], 255, "{exif}");
        }
    }
}
