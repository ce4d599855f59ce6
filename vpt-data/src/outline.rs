//! [`Outline`]: the exact shape of an object, as COCO has it: polygons or run lengths.
//!
//! Polygons become pixels as in `rleFrPoly` of pycocotools (`maskApi.c`).

use crate::{PixelBox, Rle};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::hash::{Hash, Hasher};
use std::ops::Range;

/// Lines are drawn on a grid this many times finer than pixels.
const SCALE: f64 = 5.0;

/// The exact shape of an object.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outline {
    /// Closed lines through points (x, y) in pixels of the original picture; the shape is all of their insides.
    Polygons(Vec<Vec<[f64; 2]>>),
    /// Pixels of the original picture.
    Rle(Rle),
}

impl Outline {
    /// The shape in a picture of that width and height: row by row, whether each pixel belongs to it.
    ///
    /// Run lengths for a picture of another size give nothing. Points of polygons count at most one picture outside.
    pub fn rasterise(&self, size: [u32; 2]) -> Vec<bool> {
        let [width, height] = size.map(|edge| edge as usize);
        let mut mask = vec![false; width * height];
        self.run_lengths(size).for_each(|pixel| mask[pixel] = true);
        mask
    }

    /// The same shape as run lengths, under the same rules.
    pub fn run_lengths(&self, size: [u32; 2]) -> Cow<'_, Rle> {
        let mut runs = vec![];
        match self {
            Self::Rle(rle) if rle.size() == size => return Cow::Borrowed(rle),
            Self::Rle(_) => {}
            Self::Polygons(polygons) => polygons.iter().for_each(|polygon| fill(polygon, size, &mut runs)),
        }
        Cow::Owned(Rle::of_runs(size, runs))
    }

    /// The smallest box around it; `None` if it is empty, or a point is not finite.
    pub fn bounds(&self) -> Option<PixelBox> {
        match self {
            Self::Polygons(polygons) => PixelBox::around(polygons.iter().flatten().copied()),
            Self::Rle(rle) => rle.bounds(),
        }
    }

    /// The bytes that stand for it in a fingerprint.
    pub(crate) fn write_bytes(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Polygons(polygons) => {
                bytes.push(0);
                bytes.extend((polygons.len() as u64).to_le_bytes());
                for polygon in polygons {
                    bytes.extend((polygon.len() as u64).to_le_bytes());
                    bytes.extend(polygon.as_flattened().iter().flat_map(|edge| edge.to_le_bytes()));
                }
            }
            Self::Rle(rle) => {
                bytes.push(1);
                bytes.extend((rle.counts().len() as u64).to_le_bytes());
                let size = rle.size();
                let numbers = size.iter().chain(rle.counts());
                bytes.extend(numbers.flat_map(|number| number.to_le_bytes()));
            }
        }
    }

    fn bytes(&self) -> Vec<u8> {
        let mut bytes = vec![];
        self.write_bytes(&mut bytes);
        bytes
    }
}

impl PartialEq for Outline {
    /// By bits.
    fn eq(&self, other: &Self) -> bool {
        self.bytes() == other.bytes()
    }
}

impl Eq for Outline {}

impl Hash for Outline {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.bytes().hash(state);
    }
}

/// Adds the runs of pixels, column by column, inside a closed line: `rleFrPoly`.
fn fill(polygon: &[[f64; 2]], size: [u32; 2], runs: &mut Vec<Range<usize>>) {
    let [width, height] = size.map(f64::from);
    let (columns, rows) = (size[0] as usize, size[1] as usize);
    // Far outside it is only time that a point costs.
    let fine = |value: f64, edge: f64| (SCALE * value.clamp(-edge, 2.0 * edge) + 0.5) as i64;
    let points: Vec<[i64; 2]> = polygon
        .iter()
        .map(|&[x, y]| [fine(x, width), fine(y, height)])
        .collect();
    // Where the line passes from one column of pixels to the next: the first row below, column by column.
    let mut crossings: Vec<usize> = vec![];
    let mut before: Option<[i64; 2]> = None;
    for (at, &from) in points.iter().enumerate() {
        let to = points[(at + 1) % points.len()];
        along(from, to, |[x, y]| {
            if let Some([last_x, last_y]) = before.replace([x, y]).filter(|last| last[0] != x) {
                let column = if x < last_x { x } else { x - 1 };
                let column = (column as f64 + 0.5) / SCALE - 0.5;
                if column.floor() == column && column >= 0.0 && column <= width - 1.0 {
                    let row = (y.min(last_y) as f64 + 0.5) / SCALE - 0.5;
                    crossings.push(column as usize * rows + row.clamp(0.0, height).ceil() as usize);
                }
            }
        });
    }
    crossings.sort_unstable();
    runs.extend(crossings.chunks(2).map(|pair| {
        let end = pair.get(1).copied().unwrap_or(columns * rows);
        pair[0]..end.min(columns * rows)
    }));
}

/// Calls `visit` with the points of the fine grid on a line, in its direction.
fn along(from: [i64; 2], to: [i64; 2], mut visit: impl FnMut([i64; 2])) {
    let (dx, dy) = ((to[0] - from[0]).abs(), (to[1] - from[1]).abs());
    let flip = (dx >= dy && from[0] > to[0]) || (dx < dy && from[1] > to[1]);
    let (start, end) = if flip { (to, from) } else { (from, to) };
    let length = dx.max(dy);
    let slope = |axis: usize| match length {
        0 => 0.0,
        length => (end[axis] - start[axis]) as f64 / length as f64,
    };
    for step in 0..=length {
        let t = if flip { length - step } else { step };
        visit(if dx >= dy {
            [t + start[0], (start[1] as f64 + slope(1) * t as f64 + 0.5) as i64]
        } else {
            [(start[0] as f64 + slope(0) * t as f64 + 0.5) as i64, t + start[1]]
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What pycocotools 2.0.11 makes of polygons, and run lengths that are none.
    #[test]
    fn polygons_are_those_of_pycocotools() {
        #[derive(Deserialize)]
        struct Case {
            size: [u32; 2],
            polygons: Vec<Vec<[f64; 2]>>,
            counts: String,
            area: u64,
        }
        let text = include_str!("../tests/fixtures/outlines.json");
        let cases: Vec<Case> = serde_json::from_str(text).unwrap();
        assert!(cases.len() > 50);
        for (number, case) in cases.into_iter().enumerate() {
            let expected = Rle::from_text(case.size, &case.counts).unwrap();
            let outline = Outline::Polygons(case.polygons);
            let mask = outline.rasterise(case.size);
            let ours = Rle::of_mask(case.size, &mask);
            assert_eq!(*outline.run_lengths(case.size), ours, "case {number}");
            assert!(
                mask == Outline::Rle(expected.clone()).rasterise(case.size),
                "case {number}"
            );
            assert_eq!(
                (ours.area(), ours.to_text()),
                (case.area, case.counts),
                "case {number}"
            );
        }
    }

    proptest! {
        #[test]
        fn any_points_are_survived(x in -1e300..1e300_f64, y: f64) {
            let polygons = vec![vec![[x, y], [3.0, 1.0], [y, x]], vec![]];
            let outline = Outline::Polygons(polygons);
            let runs = outline.run_lengths([7, 5]).into_owned();
            prop_assert_eq!(runs, Rle::of_mask([7, 5], &outline.rasterise([7, 5])));
        }
    }

    #[test]
    fn run_lengths_of_another_picture_are_nothing() {
        let other = Outline::Rle(Rle::new([2, 2], vec![0, 4]).unwrap());
        assert_eq!(other.rasterise([3, 1]), [false; 3]);
        assert_eq!(other.run_lengths([3, 1]).counts(), [3]);
        assert!(Outline::Polygons(vec![]).rasterise([0, 5]).is_empty());
    }
}
