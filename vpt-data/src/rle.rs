//! [`Rle`]: pixels as lengths of runs, as COCO has them.
//!
//! They are read and written as in `rleFrString` and `rleToString` of pycocotools (`maskApi.c`).

use crate::PixelBox;
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// Pixels as lengths of runs, column by column from the top left: first those outside, then those inside, and so on.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "Written")]
pub struct Rle {
    width: u32,
    height: u32,
    counts: Vec<u32>,
}

/// [`Rle`] as it is written.
#[derive(Deserialize)]
struct Written {
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

    /// The run lengths of the pixels in any of these runs, which may overlap, column by column.
    pub(crate) fn of_runs([width, height]: [u32; 2], mut runs: Vec<Range<usize>>) -> Self {
        runs.sort_unstable_by_key(|run| run.start);
        let mut merged: Vec<Range<usize>> = vec![];
        for run in runs.into_iter().filter(|run| !run.is_empty()) {
            match merged.last_mut() {
                Some(last) if run.start <= last.end => last.end = last.end.max(run.end),
                _ => merged.push(run),
            }
        }
        let (mut counts, mut told) = (vec![], 0);
        for run in merged {
            counts.extend([run.start - told, run.len()].map(|length| length as u32));
            told = run.end;
        }
        let rest = (width as usize * height as usize).saturating_sub(told);
        if rest > 0 || counts.is_empty() {
            counts.push(rest as u32);
        }
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

    /// The runs inside, column by column.
    fn runs(&self) -> impl Iterator<Item = Range<usize>> {
        let mut at = 0;
        let all = self.counts.iter().map(move |&count| {
            let begin = at;
            at += count as usize;
            begin..at
        });
        all.skip(1).step_by(2)
    }

    /// Calls `visit` with each pixel inside, as a position in rows.
    pub(crate) fn for_each(&self, mut visit: impl FnMut(usize)) {
        let (width, height) = (self.width as usize, self.height as usize);
        for run in self.runs() {
            run.for_each(|pixel| visit((pixel % height) * width + pixel / height));
        }
    }

    /// The smallest box around the pixels inside.
    pub(crate) fn bounds(&self) -> Option<PixelBox> {
        let height = self.height as usize;
        let corners = self.runs().filter(|run| !run.is_empty()).flat_map(|run| {
            let (first, last) = (run.start, run.end - 1);
            let (left, right) = (first / height, last / height + 1);
            // What goes on in the next column touches top and bottom.
            let (top, bottom) = match left + 1 == right {
                true => (first % height, last % height + 1),
                false => (0, height),
            };
            [[left, top], [right, bottom]].map(|corner| corner.map(|edge| edge as f64))
        });
        PixelBox::around(corners)
    }
}

impl TryFrom<Written> for Rle {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        Self::new([written.width, written.height], written.counts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn there_and_back(width in 1..9_u32, height in 1..9_u32, bits: u64) {
            let mask: Vec<bool> = (0..width * height).map(|at| bits >> at & 1 == 1).collect();
            let rle = Rle::of_mask([width, height], &mask);
            prop_assert_eq!(Rle::from_text(rle.size(), &rle.to_text()), Ok(rle.clone()));
            prop_assert_eq!(rle.area(), mask.iter().filter(|&&inside| inside).count() as u64);
            let inside: Vec<usize> = (0..mask.len()).filter(|&at| mask[at]).collect();
            let corners = inside.iter().flat_map(|at| [0, 1].map(|far| {
                [at % width as usize + far, at / width as usize + far].map(|edge| edge as f64)
            }));
            prop_assert_eq!(rle.bounds(), PixelBox::around(corners));
            let mut visited = vec![];
            rle.for_each(|pixel| visited.push(pixel));
            visited.sort_unstable();
            prop_assert_eq!(visited, inside);
        }

        #[test]
        fn any_text_is_survived(text in "\\PC{0,20}") {
            let _ = Rle::from_text([5, 5], &text);
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
        let read = |counts: &str| {
            serde_json::from_str::<Rle>(&format!(r#"{{"width":2,"height":2,"counts":{counts}}}"#))
        };
        assert_eq!(read("[1,3]").unwrap().area(), 3);
        assert!(read("[1,4]").is_err());
    }

    #[test]
    fn runs_that_overlap_are_joined() {
        let counts = |runs: &[Range<usize>]| Rle::of_runs([2, 3], runs.to_vec()).counts().to_vec();
        assert_eq!(counts(&[3..5, 1..2, 4..4]), [1, 1, 1, 2, 1]);
        assert_eq!(counts(&[2..6, 0..2, 1..3]), [0, 6]);
        assert_eq!(counts(&[]), [6]);
    }
}
