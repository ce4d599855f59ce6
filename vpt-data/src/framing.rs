//! [`Framing`]: how a whole picture lies in the input of a model, and the way back.

use crate::resize::{Region, resize_window};
use crate::{ClassMask, Interpolation, Mask, PixelBox};
use image::imageops::{self, flip_horizontal_in_place, flip_vertical_in_place};
use image::{Rgb, RgbImage};

/// The largest edge of an enlarged picture in pixels.
const MAX_EDGE: f64 = 65_536.0;

/// The part of a window's edge that its neighbour shows too, at least.
const OVERLAP: f64 = 0.25;

/// How a picture lies in the input of a model: enlarged, moved, perhaps mirrored. What the picture does not reach is filled, what
/// sticks out is lost.
///
/// Points are in pixels, edges not centres, x before y.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Framing {
    /// Width and height of the original picture.
    original: [u32; 2],
    /// Width and height of the input.
    input: [u32; 2],
    /// Width and height of the whole picture in the input.
    full: [u32; 2],
    /// Where its left upper corner lies in the input, before mirroring; negative where it sticks out.
    corner: [i64; 2],
    /// Whether it is mirrored left to right, and upside down.
    mirrored: [bool; 2],
}

impl Framing {
    /// The whole picture (`[width, height]`) at its aspect ratio in the middle of the input (`[height, width]`), as large as it goes: a letterbox.
    pub fn letterbox(original: [u32; 2], input: [usize; 2]) -> Self {
        Self::zoomed(original, input, 1.0, [0.5, 0.5])
    }

    /// A letterbox enlarged `zoom` times, its place within the room that there is (or the part of it that is seen) given by two shares of 1.
    pub fn zoomed(original: [u32; 2], input: [usize; 2], zoom: f64, place: [f64; 2]) -> Self {
        let original = original.map(|edge| edge.max(1));
        let input = [input[1], input[0]].map(|edge| (edge as u32).max(1));
        let scale = (0..2)
            .map(|axis| f64::from(input[axis]) / f64::from(original[axis]))
            .fold(f64::INFINITY, f64::min);
        let full = original.map(|edge| (f64::from(edge) * scale * zoom).round().clamp(1.0, MAX_EDGE) as u32);
        let corner = [0, 1].map(|axis| {
            let room = i64::from(input[axis]) - i64::from(full[axis]);
            (room as f64 * place[axis]).floor() as i64
        });
        Self {
            original,
            input,
            full,
            corner,
            mirrored: [false; 2],
        }
    }

    /// Windows of the input's size on the picture, enlarged `times` times against its letterbox: row by row, evenly spaced, each overlapping
    /// the next by a quarter or more. Along an axis on which the enlarged picture fits there is one, in the middle; so `times` 1 gives the
    /// letterbox.
    pub fn windows(original: [u32; 2], input: [usize; 2], times: usize) -> Vec<Self> {
        let zoomed = |place| Self::zoomed(original, input, times.max(1) as f64, place);
        let whole = zoomed([0.5, 0.5]);
        let [across, down] = [0, 1].map(|axis| -> Vec<f64> {
            let (full, seen) = (f64::from(whole.full[axis]), f64::from(whole.input[axis]));
            let steps = ((full - seen) / (seen * (1.0 - OVERLAP))).ceil().max(0.0) as usize;
            match steps {
                0 => vec![0.5],
                _ => (0..=steps).map(|step| step as f64 / steps as f64).collect(),
            }
        });
        let row = |&y: &f64| across.iter().map(move |&x| [x, y]);
        down.iter().flat_map(row).map(zoomed).collect()
    }

    /// The same, mirrored left to right, or upside down.
    pub fn mirrored(self, mirrored: [bool; 2]) -> Self {
        Self { mirrored, ..self }
    }

    /// Width and height of the original picture.
    pub fn original(&self) -> [u32; 2] {
        self.original
    }

    /// Pixels of the input for one of the original, along each axis.
    pub fn scale(&self) -> [f64; 2] {
        [0, 1].map(|axis| f64::from(self.full[axis]) / f64::from(self.original[axis]))
    }

    /// From the original to the input, along an axis.
    fn forth(&self, axis: usize, place: f64) -> f64 {
        let there = place * self.scale()[axis] + self.corner[axis] as f64;
        match self.mirrored[axis] {
            true => f64::from(self.input[axis]) - there,
            false => there,
        }
    }

    /// From the input to the original, along an axis.
    fn back(&self, axis: usize, place: f64) -> f64 {
        let there = match self.mirrored[axis] {
            true => f64::from(self.input[axis]) - place,
            false => place,
        };
        (there - self.corner[axis] as f64) / self.scale()[axis]
    }

    /// A box of the original in the input, which it may leave.
    pub fn to_input(&self, bbox: &PixelBox) -> PixelBox {
        mapped(bbox, |axis, place| self.forth(axis, place))
    }

    /// A box in the input in the original, which it may leave.
    pub fn to_original(&self, bbox: &PixelBox) -> PixelBox {
        mapped(bbox, |axis, place| self.back(axis, place))
    }

    /// What the model sees of the picture; `fill` is where it is not.
    pub fn picture(&self, image: &RgbImage, interpolation: Interpolation, fill: [u8; 3]) -> RgbImage {
        let [x, y] = [0, 1].map(|axis| {
            let skip = (-self.corner[axis]).clamp(0, i64::from(self.full[axis]));
            let begin = self.corner[axis].clamp(0, i64::from(self.input[axis]));
            let end =
                (self.corner[axis] + i64::from(self.full[axis])).clamp(begin, i64::from(self.input[axis]));
            (skip as u64, begin, (end - begin) as u32)
        });
        let full = self.full.map(u64::from);
        let window = resize_window(
            image,
            Region::of(image),
            full,
            [x.0, y.0],
            x.2,
            y.2,
            interpolation,
        );
        let mut picture = RgbImage::from_pixel(self.input[0], self.input[1], Rgb(fill));
        imageops::replace(&mut picture, &window, x.1, y.1);
        if self.mirrored[0] {
            flip_horizontal_in_place(&mut picture);
        }
        if self.mirrored[1] {
            flip_vertical_in_place(&mut picture);
        }
        picture
    }

    /// `[height, width]` of the input: the class of the original's pixel under the centre of each; [`Mask::IGNORED`] where there is none.
    pub fn mask(&self, mask: &ClassMask) -> Vec<u8> {
        let of = [mask.width, mask.height];
        // A mask of another size than its picture is taken to show the same.
        let lines = [0, 1].map(|axis| -> Vec<Option<usize>> {
            let line = |place: u32| {
                let there = self.back(axis, f64::from(place) + 0.5) / f64::from(self.original[axis]);
                let pixel = (there * f64::from(of[axis])).floor();
                (pixel >= 0.0 && pixel < f64::from(of[axis])).then_some(pixel as usize)
            };
            (0..self.input[axis]).map(line).collect()
        });
        let [columns, rows] = &lines;
        let pixel = |row: Option<usize>, column: Option<usize>| {
            let at = row? * mask.width as usize + column?;
            mask.classes.get(at).copied()
        };
        rows.iter()
            .flat_map(|&row| {
                columns
                    .iter()
                    .map(move |&column| pixel(row, column).unwrap_or(Mask::IGNORED))
            })
            .collect()
    }

    /// For each pixel of the original along an axis (0 across, 1 down): the place under its centre in the input, in pixels.
    pub fn places_in_input(&self, axis: usize) -> Vec<f64> {
        let axis = axis.min(1);
        (0..self.original[axis])
            .map(|pixel| self.forth(axis, f64::from(pixel) + 0.5))
            .collect()
    }
}

fn mapped(bbox: &PixelBox, place: impl Fn(usize, f64) -> f64) -> PixelBox {
    let [x0, y0, x1, y1] = bbox.edges();
    let [x, y] = [(0, x0, x1), (1, y0, y1)].map(|(axis, near, far)| {
        let (near, far) = (place(axis, near), place(axis, far));
        [near.min(far), near.max(far)]
    });
    // Finite edges stay finite: scales are between 1 / 65536 and 65536.
    PixelBox::new(x[0], y[0], x[1], y[1]).unwrap_or(*bbox)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bbox(edges: [f64; 4]) -> PixelBox {
        PixelBox::try_from(edges).unwrap()
    }

    #[test]
    fn a_letterbox_shows_all_in_the_middle() {
        let framing = Framing::letterbox([200, 100], [64, 64]);
        assert_eq!(
            framing.to_input(&bbox([0.0, 0.0, 200.0, 100.0])).edges(),
            [0.0, 16.0, 64.0, 48.0]
        );
        let image = RgbImage::from_pixel(200, 100, Rgb([9, 9, 9]));
        let picture = framing.picture(&image, Interpolation::Bilinear, [1, 2, 3]);
        assert_eq!(picture.dimensions(), (64, 64));
        assert_eq!(
            (picture[(5, 15)], picture[(5, 16)]),
            (Rgb([1, 2, 3]), Rgb([9, 9, 9]))
        );
        assert_eq!(
            (picture[(5, 47)], picture[(5, 48)]),
            (Rgb([9, 9, 9]), Rgb([1, 2, 3]))
        );
    }

    #[test]
    fn picture_boxes_and_masks_go_together() {
        // A white rectangle on black: wherever the picture goes, the box and the mask of it go too.
        let object = bbox([30.0, 20.0, 70.0, 60.0]);
        let mut image = RgbImage::new(120, 80);
        let mut mask = ClassMask {
            width: 120,
            height: 80,
            classes: vec![0; 120 * 80],
        };
        for y in 20..60 {
            for x in 30..70 {
                image[(x, y)] = Rgb([255; 3]);
                mask.classes[(y * 120 + x) as usize] = 1;
            }
        }
        for (zoom, place, mirrored) in [
            (1.0, [0.5, 0.5], [false, false]),
            (1.5, [0.3, 0.9], [true, false]),
            (0.6, [0.1, 0.8], [false, true]),
            (2.0, [0.2, 0.2], [true, true]),
        ] {
            let framing = Framing::zoomed([120, 80], [96, 96], zoom, place).mirrored(mirrored);
            let picture = framing.picture(&image, Interpolation::Bilinear, [0; 3]);
            let classes = framing.mask(&mask);
            let inside = framing.to_input(&object);
            for (at, pixel) in picture.pixels().enumerate() {
                let centre = [(at % 96) as f64 + 0.5, (at / 96) as f64 + 0.5];
                let depth = (centre[0] - inside.x0())
                    .min(inside.x1() - centre[0])
                    .min(centre[1] - inside.y0())
                    .min(inside.y1() - centre[1]);
                if depth.abs() < 3.0 {
                    continue;
                }
                assert_eq!(pixel.0[0] > 127, depth > 0.0, "{zoom} at {centre:?}");
                assert_eq!(classes[at] == 1, depth > 0.0, "{zoom} at {centre:?}");
            }
        }
    }

    #[test]
    fn windows_cover_the_picture_and_overlap() {
        assert_eq!(
            Framing::windows([200, 100], [64, 96], 1),
            [Framing::letterbox([200, 100], [64, 96])]
        );
        for (original, times, across, down) in [
            ([100, 100], 2, 3, 3),
            ([100, 100], 3, 4, 4),
            ([400, 100], 2, 3, 1),
            ([400, 100], 4, 5, 1),
            ([400, 100], 8, 11, 3),
        ] {
            let windows = Framing::windows(original, [64, 64], times);
            assert_eq!(windows.len(), across * down, "{original:?} {times}");
            for axis in [0, 1] {
                let mut seen = vec![0; original[axis] as usize];
                for window in &windows {
                    let places = window.places_in_input(axis);
                    for (count, place) in seen.iter_mut().zip(places) {
                        *count += usize::from((0.0..64.0).contains(&place));
                    }
                }
                assert!(
                    seen.iter().all(|&count| count > 0),
                    "{original:?} {times}: {seen:?}"
                );
            }
            let scale = windows[0].scale();
            assert!(windows.iter().all(|window| window.scale() == scale));
        }
    }

    #[test]
    fn what_the_picture_does_not_reach_is_ignored() {
        let mask = ClassMask {
            width: 2,
            height: 1,
            classes: vec![0, 1],
        };
        let classes = Framing::letterbox([2, 1], [4, 4]).mask(&mask);
        let ignored = Mask::IGNORED;
        assert_eq!(classes[..4], [ignored; 4]);
        assert_eq!(classes[4..8], [0, 0, 1, 1]);
        assert_eq!(classes[12..], [ignored; 4]);
    }

    proptest! {
        #[test]
        fn the_way_back_is_exact(
            width in 1..3000_u32, height in 1..3000_u32, input in 1..512_usize, zoom in 0.5..2.0_f64,
            place in [0.0..1.0_f64, 0.0..1.0], mirrored: [bool; 2], edges in [0.0..1.0_f64, 0.0..1.0, 0.0..1.0, 0.0..1.0],
        ) {
            let framing = Framing::zoomed([width, height], [input, 2 * input], zoom, place).mirrored(mirrored);
            let (w, h) = (f64::from(width), f64::from(height));
            let [a, b, c, d] = edges;
            let object = bbox([a.min(c) * w, b.min(d) * h, a.max(c) * w, b.max(d) * h]);
            let back = framing.to_original(&framing.to_input(&object));
            for (there, here) in back.edges().into_iter().zip(object.edges()) {
                prop_assert!((there - here).abs() < 1e-9 * (w + h), "{there} {here}");
            }
        }

        #[test]
        fn any_picture_fits(width in 1..300_u32, height in 1..300_u32, zoom in 0.3..3.0_f64, place in [0.0..1.0_f64, 0.0..1.0]) {
            let framing = Framing::zoomed([width, height], [20, 30], zoom, place);
            let image = RgbImage::new(width, height);
            prop_assert_eq!(framing.picture(&image, Interpolation::Bicubic, [0; 3]).dimensions(), (30, 20));
        }
    }
}
