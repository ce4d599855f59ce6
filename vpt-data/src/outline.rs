//! [`Outline`]: the exact shape of an object, as COCO has it: polygons or run lengths.
//!
//! Polygons become pixels as in `rleFrPoly` of pycocotools (`maskApi.c`), run lengths are read and written as in its
//! `rleFrString` and `rleToString`.

use serde::{Deserialize, Serialize};
use std::hash::{Hash, Hasher};

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
        match self {
            Self::Polygons(polygons) => {
                for polygon in polygons {
                    fill(polygon, size, |pixel| mask[pixel] = true);
                }
            }
            Self::Rle(rle) if [rle.width, rle.height] == size => {
                rle.for_each(|pixel| mask[pixel] = true);
            }
            Self::Rle(_) => {}
        }
        mask
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
            Self::Rle(Rle {
                width,
                height,
                counts,
            }) => {
                bytes.push(1);
                bytes.extend((counts.len() as u64).to_le_bytes());
                let numbers = [width, height].into_iter().chain(counts);
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

/// Pixels as lengths of runs, column by column from the top left: first those outside, then those inside, and so on.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Rle {
    width: u32,
    height: u32,
    counts: Vec<u32>,
}

impl Rle {
    /// Run lengths of a picture of that width and height.
    ///
    /// # Errors
    /// What is wrong, in words, if they do not sum to the number of its pixels.
    pub fn new([width, height]: [u32; 2], counts: Vec<u32>) -> Result<Self, String> {
        let sum: u64 = counts.iter().map(|&count| u64::from(count)).sum();
        let expected = u64::from(width) * u64::from(height);
        if sum != expected {
            return Err(format!(
                "run lengths of {sum} pixels, expected {expected} of {width} x {height}"
            ));
        }
        Ok(Self {
            width,
            height,
            counts,
        })
    }

    /// Run lengths written as text (`rleFrString`).
    ///
    /// # Errors
    /// What is wrong, in words.
    pub fn from_text(size: [u32; 2], text: &str) -> Result<Self, String> {
        let mut counts: Vec<u32> = vec![];
        let (mut value, mut shift) = (0_i64, 0_u32);
        for byte in text.bytes() {
            let digit = byte
                .checked_sub(48)
                .filter(|digit| *digit < 64)
                .ok_or_else(|| format!("the byte {byte} is none of compressed run lengths"))?;
            if shift > 35 {
                return Err("a run length of more than 40 bits".into());
            }
            value |= i64::from(digit & 0x1f) << shift;
            shift += 5;
            if digit & 0x20 != 0 {
                continue;
            }
            if digit & 0x10 != 0 {
                value |= -1_i64 << shift;
            }
            if counts.len() > 2 {
                value += i64::from(counts[counts.len() - 2]);
            }
            let count = u32::try_from(value).map_err(|_| format!("the run length {value}"))?;
            counts.push(count);
            (value, shift) = (0, 0);
        }
        if shift > 0 {
            return Err("compressed run lengths that end within a number".into());
        }
        Self::new(size, counts)
    }

    /// The run lengths of a mask, row by row whether each pixel belongs to it. What is missing does not belong to it.
    pub fn of_mask([width, height]: [u32; 2], mask: &[bool]) -> Self {
        let mut counts = vec![];
        let (mut inside, mut run) = (false, 0);
        for x in 0..width as usize {
            for y in 0..height as usize {
                let value = mask.get(y * width as usize + x).copied().unwrap_or_default();
                if value != inside {
                    counts.push(run);
                    (inside, run) = (value, 0);
                }
                run += 1;
            }
        }
        counts.push(run);
        Self {
            width,
            height,
            counts,
        }
    }

    /// Width and height of the picture.
    pub fn size(&self) -> [u32; 2] {
        [self.width, self.height]
    }

    /// Lengths of the runs, of pixels outside and inside in turn.
    pub fn counts(&self) -> &[u32] {
        &self.counts
    }

    /// Number of pixels inside.
    pub fn area(&self) -> u64 {
        self.counts
            .iter()
            .skip(1)
            .step_by(2)
            .map(|&run| u64::from(run))
            .sum()
    }

    /// The run lengths as text (`rleToString`).
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        for (at, &count) in self.counts.iter().enumerate() {
            let mut value = i64::from(count);
            if at > 2 {
                value -= i64::from(self.counts[at - 2]);
            }
            loop {
                let digit = (value & 0x1f) as u8;
                value >>= 5;
                let more = if digit & 0x10 != 0 {
                    value != -1
                } else {
                    value != 0
                };
                text.push(char::from(48 + (digit | if more { 0x20 } else { 0 })));
                if !more {
                    break;
                }
            }
        }
        text
    }

    /// Calls `visit` with each pixel inside, as a position in rows.
    fn for_each(&self, mut visit: impl FnMut(usize)) {
        let (width, height) = (self.width as usize, self.height as usize);
        let mut at = 0;
        for (number, &run) in self.counts.iter().enumerate() {
            let end = at + run as usize;
            if number % 2 == 1 {
                (at..end).for_each(|pixel| visit((pixel % height) * width + pixel / height));
            }
            at = end;
        }
    }
}

/// Calls `visit` with the pixels (positions in rows) inside a closed line: `rleFrPoly`.
fn fill(polygon: &[[f64; 2]], size: [u32; 2], mut visit: impl FnMut(usize)) {
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
    for pair in crossings.chunks(2) {
        let end = pair.get(1).copied().unwrap_or(columns * rows);
        for pixel in pair[0]..end.min(columns * rows) {
            visit((pixel % rows) * columns + pixel / rows);
        }
    }
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
            let mask = Outline::Polygons(case.polygons).rasterise(case.size);
            let ours = Rle::of_mask(case.size, &mask);
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
        fn run_lengths_there_and_back(width in 1..9_u32, height in 1..9_u32, bits: u64) {
            let mask: Vec<bool> = (0..width * height).map(|at| bits >> at & 1 == 1).collect();
            let rle = Rle::of_mask([width, height], &mask);
            prop_assert_eq!(Rle::from_text(rle.size(), &rle.to_text()), Ok(rle.clone()));
            prop_assert_eq!(rle.area(), mask.iter().filter(|&&inside| inside).count() as u64);
            prop_assert_eq!(Outline::Rle(rle).rasterise([width, height]), mask);
        }

        #[test]
        fn any_text_and_any_points_are_survived(text in "\\PC{0,20}", x in -1e300..1e300_f64, y: f64) {
            let _ = Rle::from_text([5, 5], &text);
            let _ = Outline::Polygons(vec![vec![[x, y], [3.0, 1.0], [y, x]], vec![]]).rasterise([7, 5]);
        }
    }

    #[test]
    fn wrong_run_lengths_are_refused() {
        assert!(
            Rle::new([2, 2], vec![1, 2])
                .unwrap_err()
                .contains("3 pixels, expected 4")
        );
        assert!(Rle::new([2, 2], vec![u32::MAX, u32::MAX]).is_err());
        assert!(Rle::from_text([2, 2], "oooooooooooo").is_err());
        assert!(Rle::from_text([2, 2], "n").is_err(), "a negative length");
        assert!(Rle::from_text([2, 2], "\u{7f}").is_err());
        let other = Outline::Rle(Rle::new([2, 2], vec![0, 4]).unwrap());
        assert_eq!(other.rasterise([3, 1]), [false; 3], "of another picture");
        assert!(Outline::Polygons(vec![]).rasterise([0, 5]).is_empty());
    }
}
