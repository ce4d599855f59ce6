//! Pillow's image resampling, bit for bit.
//!
//! Backbones were trained on what Pillow makes of a picture, so evaluation must see the same. The crate
//! `fast_image_resize` follows Pillow's method but not its arithmetic (16-bit weights of varying precision) and
//! lands 2 to 3 levels off; this file therefore repeats `src/libImaging/Resample.c` exactly: weights in double
//! precision, rounded to 22 fractional bits, and two passes with 8 bits in between. When a picture shrinks, the filter
//! widens with the scale (antialias).
//!
//! Only the wanted window of the result is computed, and source rows are consumed one by one, so neither an
//! extreme aspect ratio nor a centre crop costs memory or time for pixels nobody reads.

use crate::Interpolation;
use crate::interpolation::Filter;
use image::RgbImage;
use std::ops::Range;

/// Fractional bits of a weight: 8 bits of pixel and 2 bits of overshoot fill up the other 10 of an `i32`.
const PRECISION_BITS: u32 = 32 - 8 - 2;

const HALF: i32 = 1 << (PRECISION_BITS - 1);

/// A rectangle of whole pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    /// Columns left of it.
    pub left: u32,
    /// Rows above it.
    pub top: u32,
    /// Columns.
    pub width: u32,
    /// Rows.
    pub height: u32,
}

impl Region {
    /// All of an image.
    pub fn of(image: &RgbImage) -> Self {
        Self {
            left: 0,
            top: 0,
            width: image.width(),
            height: image.height(),
        }
    }
}

/// The picture at `width` x `height`, as `PIL.Image.resize`. Of an image without pixels, or at size 0, black remains.
pub fn resize(image: &RgbImage, width: u32, height: u32, interpolation: Interpolation) -> RgbImage {
    resize_region(image, Region::of(image), width, height, interpolation)
}

/// `region` of the picture at `width` x `height`: cropped, then resized, as torchvision's `resized_crop`.
///
/// The region is cut to the image; pixels outside it have no influence.
pub fn resize_region(
    image: &RgbImage,
    region: Region,
    width: u32,
    height: u32,
    interpolation: Interpolation,
) -> RgbImage {
    resize_window(
        image,
        region,
        [width, height].map(u64::from),
        [0, 0],
        width,
        height,
        interpolation,
    )
}

/// The window `width` x `height` at `offset` (x, y) of what `region` becomes at size `full` (width, height).
///
/// The same pixels as resizing to `full` and cropping. The window must lie inside `full`.
pub(crate) fn resize_window(
    image: &RgbImage,
    region: Region,
    full: [u64; 2],
    offset: [u64; 2],
    width: u32,
    height: u32,
    interpolation: Interpolation,
) -> RgbImage {
    let left = region.left.min(image.width());
    let top = region.top.min(image.height());
    let source = Source {
        image,
        left: left as usize,
        top: top as usize,
        width: region.width.min(image.width() - left),
        height: region.height.min(image.height() - top),
    };
    let mut output = RgbImage::new(width, height);
    if width == 0 || height == 0 || source.width == 0 || source.height == 0 {
        return output;
    }
    let columns = offset[0]..offset[0] + u64::from(width);
    let rows = offset[1]..offset[1] + u64::from(height);
    match interpolation.filter() {
        None => pick(
            &source,
            &nearest(source.width, full[0], columns),
            &nearest(source.height, full[1], rows),
            &mut output,
        ),
        Some(filter) => {
            let horizontal = Kernel::new(source.width, full[0], columns, filter);
            let vertical = Kernel::new(source.height, full[1], rows, filter);
            convolve(&source, full, &horizontal, &vertical, &mut output);
        }
    }
    output
}

/// The part of an image that is read.
struct Source<'a> {
    image: &'a RgbImage,
    left: usize,
    top: usize,
    width: u32,
    height: u32,
}

impl Source<'_> {
    /// Interleaved RGB of one row of the region.
    fn row(&self, y: usize) -> &[u8] {
        let start = ((self.top + y) * self.image.width() as usize + self.left) * 3;
        &self.image.as_raw()[start..start + self.width as usize * 3]
    }
}

/// For each output position along one axis: which input positions it reads, and their weights.
struct Kernel {
    /// Input positions per output position; both ends never decrease.
    reads: Vec<Range<usize>>,
    /// Weights of all output positions, one after the other.
    weights: Vec<i32>,
    /// Where each output position's weights start.
    starts: Vec<usize>,
}

impl Kernel {
    /// `precompute_coeffs` and `normalize_coeffs_8bpc` of Pillow, for `window` of `output` positions.
    fn new(input: u32, output: u64, window: Range<u64>, filter: Filter) -> Self {
        let scale = f64::from(input) / output as f64;
        let filter_scale = scale.max(1.0);
        let support = filter.reach * filter_scale;
        let mut kernel = Self {
            reads: vec![],
            weights: vec![],
            starts: vec![],
        };
        let mut raw = vec![];
        for position in window {
            let centre = (position as f64 + 0.5) * scale;
            // Casts to unsigned saturate at 0, which is the cut at the near edge.
            let first = (centre - support + 0.5) as usize;
            let end = ((centre + support + 0.5) as usize).min(input as usize);
            raw.clear();
            raw.extend(
                (first..end).map(|at| (filter.weight)((at as f64 - centre + 0.5) * (1.0 / filter_scale))),
            );
            let sum: f64 = raw.iter().sum();
            kernel.starts.push(kernel.weights.len());
            kernel.weights.extend(
                raw.iter()
                    .map(|weight| fixed(if sum == 0.0 { *weight } else { weight / sum })),
            );
            kernel.reads.push(first..end);
        }
        kernel
    }

    fn weights_of(&self, position: usize) -> &[i32] {
        &self.weights[self.starts[position]..][..self.reads[position].len()]
    }

    /// All input positions that are read.
    fn span(&self) -> Range<usize> {
        match (self.reads.first(), self.reads.last()) {
            (Some(first), Some(last)) => first.start..last.end,
            _ => 0..0,
        }
    }

    /// Whether output and input are the same along this axis.
    fn is_identity(&self, input: u32) -> bool {
        self.reads.len() == input as usize
            && (0..self.reads.len()).all(|at| {
                let one = self.reads[at].clone().zip(self.weights_of(at));
                one.into_iter()
                    .all(|(from, weight)| *weight == if from == at { 1 << PRECISION_BITS } else { 0 })
            })
    }
}

/// A weight with [`PRECISION_BITS`] fractional bits, rounded half away from zero.
fn fixed(weight: f64) -> i32 {
    (weight * f64::from(1 << PRECISION_BITS) + 0.5_f64.copysign(weight)) as i32
}

/// The 8-bit value of a weighted sum that started at [`HALF`].
fn clip8(sum: i32) -> u8 {
    (sum >> PRECISION_BITS).clamp(0, 255) as u8
}

/// Both passes, in the order in which Pillow 13 runs them: the vertical one first where it removes more than twice
/// as many lines as the other. (Up to Pillow 12 the horizontal one always came first; where the order differs, so do
/// some roundings.)
fn convolve(source: &Source, full: [u64; 2], horizontal: &Kernel, vertical: &Kernel, output: &mut RgbImage) {
    let line_len = output.width() as usize * 3;
    let rows_lost = i64::from(source.height) - full[1] as i64;
    let columns_lost = i64::from(source.width) - full[0] as i64;
    if rows_lost > 0 && rows_lost > 2 * columns_lost {
        let columns = horizontal.span();
        let part =
            |y, line: &mut [u8]| line.copy_from_slice(&source.row(y)[columns.start * 3..columns.end * 3]);
        let rows = vertical_pass(vertical, columns.len() * 3, part);
        for (row, line) in rows
            .chunks_exact(columns.len() * 3)
            .zip(output.chunks_exact_mut(line_len))
        {
            resample_row(row, columns.start, horizontal, line);
        }
    } else if horizontal.is_identity(source.width) {
        let rows = vertical_pass(vertical, line_len, |y, line| line.copy_from_slice(source.row(y)));
        output.copy_from_slice(&rows);
    } else {
        let rows = vertical_pass(vertical, line_len, |y, line| {
            resample_row(source.row(y), 0, horizontal, line);
        });
        output.copy_from_slice(&rows);
    }
}

/// Asks for one input line after the other, of `len` values each, and adds it to the output lines that read it.
fn vertical_pass(kernel: &Kernel, len: usize, mut fill: impl FnMut(usize, &mut [u8])) -> Vec<u8> {
    let mut line = vec![0; len];
    let mut sums = vec![HALF; len * kernel.reads.len()];
    let mut open = 0; // the first output line that still waits for input
    for from in kernel.span() {
        fill(from, &mut line);
        while kernel.reads[open].end <= from {
            open += 1;
        }
        for to in (open..kernel.reads.len()).take_while(|&to| kernel.reads[to].start <= from) {
            let weight = kernel.weights_of(to)[from - kernel.reads[to].start];
            for (sum, value) in sums[to * len..][..len].iter_mut().zip(&line) {
                *sum += i32::from(*value) * weight;
            }
        }
    }
    sums.into_iter().map(clip8).collect()
}

/// The horizontal pass over one row of interleaved RGB that begins at column `first`.
fn resample_row(row: &[u8], first: usize, kernel: &Kernel, line: &mut [u8]) {
    for (position, pixel) in line.chunks_exact_mut(3).enumerate() {
        let reads = &kernel.reads[position];
        let read = &row[(reads.start - first) * 3..(reads.end - first) * 3];
        let mut sum = [HALF; 3];
        for (rgb, weight) in read.chunks_exact(3).zip(kernel.weights_of(position)) {
            sum[0] += i32::from(rgb[0]) * weight;
            sum[1] += i32::from(rgb[1]) * weight;
            sum[2] += i32::from(rgb[2]) * weight;
        }
        pixel.copy_from_slice(&sum.map(clip8));
    }
}

/// The input position under each output position's centre. Steps are added up, as Pillow does, so that rounding agrees.
fn nearest(input: u32, output: u64, window: Range<u64>) -> Vec<usize> {
    let scale = f64::from(input) / output as f64;
    let mut centre = scale * 0.5;
    let mut picked = vec![];
    for position in 0..window.end {
        if window.contains(&position) {
            picked.push((centre as usize).min(input as usize - 1));
        }
        centre += scale;
    }
    picked
}

fn pick(source: &Source, columns: &[usize], rows: &[usize], output: &mut RgbImage) {
    let line_len = columns.len() * 3;
    for (line, &y) in output.chunks_exact_mut(line_len).zip(rows) {
        let row = source.row(y);
        for (pixel, &x) in line.chunks_exact_mut(3).zip(columns) {
            pixel.copy_from_slice(&row[x * 3..x * 3 + 3]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A picture of pseudo-random pixels.
    fn noise(width: u32, height: u32, seed: u64) -> RgbImage {
        use rand::RngExt;
        let mut rng = crate::rng::rng(seed, &[]);
        RgbImage::from_fn(width, height, |_, _| image::Rgb(rng.random()))
    }

    fn any_interpolation() -> impl Strategy<Value = Interpolation> {
        proptest::sample::select(Interpolation::ALL.to_vec())
    }

    proptest! {
        #[test]
        fn the_same_size_is_the_same_picture(w in 1..40_u32, h in 1..40_u32, seed: u64, how in any_interpolation()) {
            let image = noise(w, h, seed);
            prop_assert_eq!(resize(&image, w, h, how), image);
        }

        #[test]
        fn one_colour_stays(
            from in (1..90_u32, 1..90_u32),
            to in (1..90_u32, 1..90_u32),
            colour: [u8; 3],
            how in any_interpolation(),
        ) {
            let image = RgbImage::from_pixel(from.0, from.1, image::Rgb(colour));
            prop_assert!(resize(&image, to.0, to.1, how).pixels().all(|pixel| pixel.0 == colour));
        }

        #[test]
        fn a_window_is_a_crop_of_the_whole(
            from in (1..60_u32, 1..60_u32),
            full in (4..60_u32, 4..60_u32),
            seed: u64,
            how in any_interpolation(),
        ) {
            let image = noise(from.0, from.1, seed);
            let (x, y, w, h) = (full.0 / 4, full.1 / 3, full.0 / 2, full.1 / 2);
            let whole = resize(&image, full.0, full.1, how);
            let all = Region::of(&image);
            let window = resize_window(&image, all, [full.0, full.1].map(u64::from), [x, y].map(u64::from), w, h, how);
            prop_assert_eq!(window, image::imageops::crop_imm(&whole, x, y, w, h).to_image());
        }

        #[test]
        fn a_region_is_cropped_before_it_is_resized(
            at in (0..20_u32, 0..20_u32),
            size in (1..20_u32, 1..20_u32),
            seed: u64,
            how in any_interpolation(),
        ) {
            let image = noise(40, 40, seed);
            let region = Region { left: at.0, top: at.1, width: size.0, height: size.1 };
            let cropped = image::imageops::crop_imm(&image, at.0, at.1, size.0, size.1).to_image();
            prop_assert_eq!(resize_region(&image, region, 13, 17, how), resize(&cropped, 13, 17, how));
        }
    }

    #[test]
    fn nothing_to_read_leaves_black() {
        let outside = Region {
            left: 9,
            top: 9,
            width: 5,
            height: 5,
        };
        let image = noise(4, 4, 1);
        let black = RgbImage::new(3, 2);
        assert_eq!(
            resize_region(&image, outside, 3, 2, Interpolation::Bicubic),
            black
        );
        assert_eq!(resize(&RgbImage::new(0, 0), 3, 2, Interpolation::Nearest), black);
        assert_eq!(resize(&image, 0, 5, Interpolation::Bicubic).dimensions(), (0, 5));
    }
}
