//! [`Letterbox`]: where the pixels of a picture go in what a backbone reads, and back.

use crate::resize::{Region, resize_window};
use crate::{ClassMask, Mask, PixelBox, Preprocess};
use image::{Rgb, RgbImage, imageops};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// What becomes of a picture that has another aspect ratio than the input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fit {
    /// Keep the aspect ratio, and pad evenly with the mean colour.
    #[default]
    Letterbox,
    /// Stretch the picture to the input.
    Stretch,
}

impl fmt::Display for Fit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Letterbox => "letterbox",
            Self::Stretch => "stretch",
        })
    }
}

impl FromStr for Fit {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "letterbox" => Ok(Self::Letterbox),
            "stretch" => Ok(Self::Stretch),
            _ => Err(format!("unknown fit `{text}`, expected `letterbox` or `stretch`")),
        }
    }
}

/// How a picture lies in the input of a backbone: resized to whole pixels, at a place that may be partly outside, perhaps mirrored.
///
/// Nothing of it is lost: boxes go there and back ([`Letterbox::to_input`], [`Letterbox::to_original`]) whatever augmentation chose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Letterbox {
    /// Width and height of the original picture, as shown.
    original: [u32; 2],
    /// Width and height of the input.
    input: [u32; 2],
    /// Width and height of the whole picture in the input.
    full: [u32; 2],
    /// Where the picture begins in the input, before it is mirrored.
    offset: [i64; 2],
    /// Whether the input is mirrored: left and right, top and bottom.
    flip: [bool; 2],
}

impl Letterbox {
    /// A picture of width and height `original` in an input of height and width `input` ([`Preprocess::input_size`]).
    ///
    /// Its size is rounded to whole pixels; of an odd number of pixels to pad, the larger part comes behind.
    pub fn new(original: [u32; 2], input: [usize; 2], fit: Fit) -> Self {
        Self::scaled(original, input, fit, 1.0)
    }

    /// As [`Letterbox::new`], with the picture `scale` times as large, in the middle.
    pub(crate) fn scaled(original: [u32; 2], [height, width]: [usize; 2], fit: Fit, scale: f64) -> Self {
        let original = original.map(|edge| edge.max(1));
        let input = [width, height].map(|edge| edge.clamp(1, u32::MAX as usize >> 8) as u32);
        let ratios = [0, 1].map(|axis| f64::from(input[axis]) / f64::from(original[axis]));
        let ratios = match fit {
            Fit::Letterbox => [ratios[0].min(ratios[1]); 2],
            Fit::Stretch => ratios,
        };
        let full = [0, 1].map(|axis| {
            let edge = (f64::from(original[axis]) * ratios[axis] * scale).round();
            (edge as u32).max(1)
        });
        let offset = [0, 1].map(|axis| (i64::from(input[axis]) - i64::from(full[axis])).div_euclid(2));
        Self {
            original,
            input,
            full,
            offset,
            flip: [false; 2],
        }
    }

    /// The same with the picture at another place.
    pub(crate) fn at(self, offset: [i64; 2]) -> Self {
        Self { offset, ..self }
    }

    /// The same, mirrored left and right, top and bottom.
    pub(crate) fn flipped(self, flip: [bool; 2]) -> Self {
        Self { flip, ..self }
    }

    /// Width and height of the original picture.
    pub fn original(&self) -> [u32; 2] {
        self.original
    }

    /// Width and height of the input.
    pub fn input(&self) -> [u32; 2] {
        self.input
    }

    /// Pixels of the input for one of the original, across and down.
    pub fn scale(&self) -> [f64; 2] {
        [0, 1].map(|axis| f64::from(self.full[axis]) / f64::from(self.original[axis]))
    }

    /// How many pixels of the input are free on each side of the picture: left, top, right, bottom; less than 0 where it is cut.
    pub fn padding(&self) -> [i64; 4] {
        let before = self.offset;
        let behind =
            [0, 1].map(|axis| i64::from(self.input[axis]) - i64::from(self.full[axis]) - before[axis]);
        let [x, y] = [0, 1].map(|axis| match self.flip[axis] {
            false => [before[axis], behind[axis]],
            true => [behind[axis], before[axis]],
        });
        [x[0], y[0], x[1], y[1]]
    }

    /// Free pixels before the first.
    pub(crate) fn room(&self) -> [i64; 2] {
        [0, 1].map(|axis| i64::from(self.input[axis]) - i64::from(self.full[axis]))
    }

    /// A box of the original picture in pixels of the input. It may reach out of it.
    pub fn to_input(&self, original: &PixelBox) -> PixelBox {
        let [x0, y0, x1, y1] = original.edges();
        let place = |axis: usize, edge: f64| {
            let edge = edge * self.scale()[axis] + self.offset[axis] as f64;
            match self.flip[axis] {
                false => edge,
                true => f64::from(self.input[axis]) - edge,
            }
        };
        between(
            [place(0, x0), place(0, x1)],
            [place(1, y0), place(1, y1)],
            original,
        )
    }

    /// A box in pixels of the input in the original picture: the inverse of [`Letterbox::to_input`]. It may reach out of it.
    pub fn to_original(&self, input: &PixelBox) -> PixelBox {
        let [x0, y0, x1, y1] = input.edges();
        let place = |axis: usize, edge: f64| {
            let edge = match self.flip[axis] {
                false => edge,
                true => f64::from(self.input[axis]) - edge,
            };
            (edge - self.offset[axis] as f64) / self.scale()[axis]
        };
        between([place(0, x0), place(0, x1)], [place(1, y0), place(1, y1)], input)
    }

    /// The part of the resized picture that lies within the input, and where its corner lies before mirroring; none if all lies outside.
    fn window(&self) -> Option<[Window; 2]> {
        let window = |axis: usize| {
            let (input, full) = (i64::from(self.input[axis]), i64::from(self.full[axis]));
            let start = self.offset[axis].clamp(0, input);
            let end = self.offset[axis].saturating_add(full).clamp(0, input);
            (start < end).then(|| Window {
                start: start as u32,
                length: (end - start) as u32,
                skip: (start - self.offset[axis]) as u64,
            })
        };
        Some([window(0)?, window(1)?])
    }

    /// The picture in the input, resized as [`Preprocess::crop`] does, with the mean colour around it.
    pub fn picture(&self, image: &RgbImage, preprocess: &Preprocess) -> RgbImage {
        self.picture_with(image, preprocess, |window| window)
    }

    /// [`Letterbox::picture`], with a change to the resized picture before the colour around it is there.
    pub(crate) fn picture_with(
        &self,
        image: &RgbImage,
        preprocess: &Preprocess,
        change: impl FnOnce(RgbImage) -> RgbImage,
    ) -> RgbImage {
        let [width, height] = self.input;
        let mut input = RgbImage::from_pixel(width, height, Rgb(mean_colour(preprocess)));
        if let Some([x, y]) = self.window() {
            let visible = change(resize_window(
                image,
                Region::of(image),
                self.full.map(u64::from),
                [x.skip, y.skip],
                x.length,
                y.length,
                preprocess.interpolation,
            ));
            imageops::replace(&mut input, &visible, x.start.into(), y.start.into());
        }
        if self.flip[0] {
            imageops::flip_horizontal_in_place(&mut input);
        }
        if self.flip[1] {
            imageops::flip_vertical_in_place(&mut input);
        }
        input
    }

    /// [`Letterbox::picture`], then [`Preprocess::normalise`]: `[3, height, width]`.
    pub fn apply(&self, image: &RgbImage, preprocess: &Preprocess) -> Vec<f32> {
        preprocess.normalise(&self.picture(image, preprocess))
    }

    /// The classes of the pixels of the input, `[height, width]`: of the closest pixel of the original, and [`Mask::IGNORED`] where the
    /// picture is not.
    pub fn mask_to_input(&self, mask: &ClassMask) -> Vec<u8> {
        let axis = |axis: usize, available: u32| -> Vec<Option<usize>> {
            let scale = self.scale()[axis];
            let position = |at: u32| {
                let at = if self.flip[axis] {
                    self.input[axis] - 1 - at
                } else {
                    at
                };
                let place = (f64::from(at) + 0.5 - self.offset[axis] as f64) / scale;
                (place >= 0.0 && place < f64::from(self.original[axis]))
                    .then(|| (place as usize).min(available.saturating_sub(1) as usize))
            };
            (0..self.input[axis]).map(position).collect()
        };
        sampled(
            &mask.classes,
            mask.width,
            &axis(0, mask.width),
            &axis(1, mask.height),
        )
    }

    /// The classes of the pixels of the original picture, of the closest pixel of the input, `[height, width]` `classes`;
    /// [`Mask::IGNORED`] where the input does not reach.
    pub fn mask_to_original(&self, classes: &[u8]) -> ClassMask {
        let axis = |axis: usize| -> Vec<Option<usize>> {
            let scale = self.scale()[axis];
            let position = |at: u32| {
                let place = (f64::from(at) + 0.5) * scale + self.offset[axis] as f64;
                let inside = place >= 0.0 && place < f64::from(self.input[axis]);
                inside.then(|| match self.flip[axis] {
                    false => place as usize,
                    true => self.input[axis] as usize - 1 - place as usize,
                })
            };
            (0..self.original[axis]).map(position).collect()
        };
        let [width, height] = self.original;
        ClassMask {
            width,
            height,
            classes: sampled(classes, self.input[0], &axis(0), &axis(1)),
        }
    }
}

/// Along one axis: what is visible.
struct Window {
    /// Where in the input it begins.
    start: u32,
    /// Pixels.
    length: u32,
    /// Pixels of the resized picture before it.
    skip: u64,
}

/// The box between two edges each, in any order; `other` where an edge is beyond all numbers.
fn between(x: [f64; 2], y: [f64; 2], other: &PixelBox) -> PixelBox {
    PixelBox::around([[x[0], y[0]], [x[1], y[1]]]).unwrap_or(*other)
}

/// Values of the given columns and rows of `width` columns; ignored where there is none.
fn sampled(values: &[u8], width: u32, columns: &[Option<usize>], rows: &[Option<usize>]) -> Vec<u8> {
    let mut sampled = Vec::with_capacity(columns.len() * rows.len());
    for row in rows {
        let row = row
            .and_then(|row| values.get(row * width as usize..))
            .unwrap_or_default();
        let value = |column: &Option<usize>| {
            column
                .and_then(|column| row.get(column).copied())
                .unwrap_or(Mask::IGNORED)
        };
        sampled.extend(columns.iter().map(value));
    }
    sampled
}

/// The colour that becomes about 0 when a picture is normalised.
fn mean_colour(preprocess: &Preprocess) -> [u8; 3] {
    preprocess
        .mean
        .map(|mean| (mean * 255.0).round().clamp(0.0, 255.0) as u8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{CropMode, Interpolation, resize};
    use proptest::prelude::*;

    fn preprocess(interpolation: Interpolation) -> Preprocess {
        Preprocess {
            interpolation,
            ..Preprocess::imagenet(32, 48)
        }
    }

    fn picture(width: u32, height: u32) -> RgbImage {
        RgbImage::from_fn(width, height, |x, y| {
            Rgb([(x * 5) as u8, (y * 7) as u8, (x + y) as u8])
        })
    }

    #[test]
    fn pads_evenly_with_the_mean() {
        let letterbox = Letterbox::new([100, 50], [32, 48], Fit::Letterbox);
        assert_eq!(
            (letterbox.scale(), letterbox.padding()),
            ([0.48, 0.48], [0, 4, 0, 4])
        );
        let pre = preprocess(Interpolation::Bicubic);
        let image = picture(100, 50);
        let input = letterbox.picture(&image, &pre);
        assert_eq!((input.width(), input.height()), (48, 32));
        assert_eq!(input.get_pixel(9, 3).0, [124, 116, 104]);
        let inner = imageops::crop_imm(&input, 0, 4, 48, 24).to_image();
        assert_eq!(inner, resize::resize(&image, 48, 24, Interpolation::Bicubic));
        assert!(letterbox.apply(&image, &pre)[0].abs() < 0.01);
        let odd = Letterbox::new([10, 3], [10, 10], Fit::Letterbox);
        assert_eq!(odd.padding(), [0, 3, 0, 4]);
    }

    #[test]
    fn stretching_is_squashing_without_a_crop() {
        let pre = Preprocess {
            crop_pct: 1.0,
            crop_mode: CropMode::Squash,
            ..preprocess(Interpolation::Bilinear)
        };
        let image = picture(50, 70);
        let letterbox = Letterbox::new([50, 70], pre.input_size, Fit::Stretch);
        assert_eq!(letterbox.picture(&image, &pre), pre.crop(&image));
        assert_eq!(letterbox.padding(), [0; 4]);
    }

    #[test]
    fn boxes_lie_where_the_picture_does() {
        let letterbox = Letterbox::new([100, 50], [32, 48], Fit::Letterbox);
        let whole = letterbox.to_input(&PixelBox::of_picture([100, 50]));
        assert_eq!(whole.edges(), [0.0, 4.0, 48.0, 28.0]);
        let corner = PixelBox::new(0.0, 0.0, 50.0, 25.0).unwrap();
        assert_eq!(
            letterbox.flipped([true, false]).to_input(&corner).edges(),
            [24.0, 4.0, 48.0, 16.0]
        );
        assert_eq!(
            letterbox.flipped([false, true]).to_input(&corner).edges(),
            [0.0, 16.0, 24.0, 28.0]
        );
    }

    #[test]
    fn pictures_masks_and_boxes_agree() {
        // A red rectangle, wherever it is put.
        let of = PixelBox::new(20.0, 10.0, 40.0, 30.0).unwrap();
        let inside = |x: u32, y: u32| (20..40).contains(&x) && (10..30).contains(&y);
        let image = RgbImage::from_fn(80, 60, |x, y| Rgb([if inside(x, y) { 255 } else { 0 }, 0, 0]));
        let classes = (0..80 * 60)
            .map(|at| u8::from(inside(at % 80, at / 80)))
            .collect();
        let mask = ClassMask {
            width: 80,
            height: 60,
            classes,
        };
        let pre = preprocess(Interpolation::Nearest);
        for scale in [0.5, 1.0, 1.7] {
            for flip in [[false, false], [true, false], [false, true], [true, true]] {
                let letterbox = Letterbox::scaled([80, 60], [32, 48], Fit::Letterbox, scale)
                    .at([3, -2])
                    .flipped(flip);
                let input = letterbox.picture(&image, &pre);
                let values = letterbox.mask_to_input(&mask);
                let place = letterbox.to_input(&of);
                let mut red = 0;
                for (at, &value) in values.iter().enumerate() {
                    let [x, y] = [at % 48, at / 48].map(|at| at as f64 + 0.5);
                    let is_red = input.get_pixel(at as u32 % 48, at as u32 / 48)[0] == 255;
                    assert_eq!(is_red, value == 1, "{at}");
                    let [x0, y0, x1, y1] = place.edges();
                    let tie = [x0 - x, x1 - x, y0 - y, y1 - y]
                        .iter()
                        .any(|apart| apart.abs() < 1e-6);
                    let within = (x0..x1).contains(&x) && (y0..y1).contains(&y);
                    assert!(is_red == within || tie, "{at} of {place:?}");
                    red += usize::from(is_red);
                }
                assert!(
                    red > 20
                        && values.contains(&Mask::IGNORED) == letterbox.padding().iter().any(|&pad| pad > 0)
                );
            }
        }
    }

    #[test]
    fn masks_come_back() {
        let classes = (0..90 * 40)
            .map(|at| u8::from(at % 90 > 30) + u8::from(at / 90 > 20))
            .collect();
        let mask = ClassMask {
            width: 90,
            height: 40,
            classes,
        };
        let larger = Letterbox::new([90, 40], [200, 300], Fit::Letterbox);
        assert_eq!(larger.mask_to_original(&larger.mask_to_input(&mask)), mask);
        let cut = Letterbox::scaled([90, 40], [80, 90], Fit::Letterbox, 2.0).flipped([true, false]);
        let back = cut.mask_to_original(&cut.mask_to_input(&mask));
        let known = back
            .classes
            .iter()
            .zip(&mask.classes)
            .filter(|(back, _)| **back != Mask::IGNORED);
        assert!(known.clone().all(|(back, of)| back == of) && known.count() == 45 * 40);
    }

    proptest! {
        #[test]
        fn boxes_come_back(
            original in [1..5000_u32, 1..5000_u32],
            input in [16..2000_usize, 16..2000_usize],
            stretch: bool,
            scale in 0.1..3.0_f64,
            shift in [-500..500_i64, -500..500_i64],
            flip: [bool; 2],
            edges in [0.0..1.0_f64, 0.0..1.0_f64, 0.0..1.0_f64, 0.0..1.0_f64],
        ) {
            let fit = if stretch { Fit::Stretch } else { Fit::Letterbox };
            let letterbox = Letterbox::scaled(original, input, fit, scale).at(shift).flipped(flip);
            let [w, h] = original.map(f64::from);
            let of = PixelBox::around([[edges[0] * w, edges[1] * h], [edges[2] * w, edges[3] * h]]).unwrap();
            let back = letterbox.to_original(&letterbox.to_input(&of));
            for (a, b) in of.edges().iter().zip(back.edges()) {
                // An edge that was one pixel of the input may have been thousands of the original.
                let coarse = letterbox.scale().map(|scale| 1.0 / scale);
                prop_assert!((a - b).abs() < 1e-9 * coarse[0].max(coarse[1]).max(1.0), "{of:?} {back:?}");
            }
        }

        #[test]
        fn extreme_shapes_are_survived(original in [0..70_000_u32, 0..70_000_u32], scale in 0.0..4.0_f64) {
            let letterbox = Letterbox::scaled(original, [16, 16], Fit::Letterbox, scale);
            let image = picture(original[0].min(3), original[1].min(3));
            prop_assert_eq!(letterbox.picture(&image, &preprocess(Interpolation::Bicubic)).width(), 16);
        }
    }

    #[test]
    fn fits_have_names() {
        for fit in [Fit::Letterbox, Fit::Stretch] {
            assert_eq!(fit.to_string().parse(), Ok(fit));
        }
        assert!("crop".parse::<Fit>().is_err());
    }
}
