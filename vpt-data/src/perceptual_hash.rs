//! What a picture looks like, in a form that survives saving it again, resizing it and making it brighter.
//!
//! The hash is the 64-bit "pHash" (Zauner 2010, *Implementation and benchmarking of perceptual image hash functions*): the signs
//! of the lowest frequencies of the picture at 32 x 32. On its own it calls two X-rays of two patients alike, so it only
//! finds candidates; a pair counts when the two small pictures agree in their fine structure too ([`Look::is_like`]).

use crate::Interpolation;
use crate::resize::resize;
use image::RgbImage;
use std::array;
use std::f32::consts::PI;
use std::sync::LazyLock;

/// Edge of the small picture.
const EDGE: usize = 32;

/// Frequencies along each axis that the hash holds.
const FREQUENCIES: usize = 8;

/// A picture of less contrast (standard deviation in levels of 255) has nothing to be recognised by.
const LEAST_CONTRAST: f32 = 2.0;

/// Least correlation of two small pictures that are taken for one.
///
/// With the next threshold it was chosen on brain MRI, blood cells, hands and chest X-rays of 28 pixels, the same sets that docs/own-data.md
/// reports on: 84 pairs of MRI above a correlation of 0.98 were looked at, and all show one slice or neighbouring ones.
const LEAST_CORRELATION: f32 = 0.98;

/// Least correlation of what is left of two small pictures without their smooth part. What was saved at low quality or is nearly
/// smooth falls to 0.6, while what saving leaves alone stays above 0.98.
const LEAST_DETAIL_CORRELATION: f32 = 0.5;

/// Horizontal frequencies that change their sign in the mirror: every second bit.
const ODD_COLUMNS: u64 = 0xaaaa_aaaa_aaaa_aaaa;

/// What a picture looks like.
pub(crate) struct Look {
    /// Signs of the lowest frequencies, row by row.
    pub hash: u64,
    /// The small picture in levels of gray, row by row.
    pixels: Box<[u8; EDGE * EDGE]>,
}

impl Look {
    /// None of a picture that is (nearly) of one colour.
    pub(crate) fn of(picture: &RgbImage) -> Option<Self> {
        // Shrinking averages over all pixels, so noise and the size of the file's picture hardly matter.
        let small = resize(picture, EDGE as u32, EDGE as u32, Interpolation::Bilinear);
        let mut pixels = Box::new([0; EDGE * EDGE]);
        for (gray, pixel) in pixels.iter_mut().zip(small.pixels()) {
            let [r, g, b] = pixel.0.map(u32::from);
            *gray = ((299 * r + 587 * g + 114 * b + 500) / 1000) as u8;
        }
        let levels = pixels.map(f32::from);
        let mean = levels.iter().sum::<f32>() / levels.len() as f32;
        let variance = levels.iter().map(|level| (level - mean).powi(2)).sum::<f32>() / levels.len() as f32;
        (variance.sqrt() >= LEAST_CONTRAST).then(|| Self {
            hash: signs(&levels),
            pixels,
        })
    }

    /// The hash of the picture in the mirror, left and right exchanged.
    pub(crate) fn mirrored_hash(&self) -> u64 {
        self.hash ^ ODD_COLUMNS
    }

    /// Whether the other small picture (or this one in the mirror) shows the same, brightness and contrast aside.
    pub(crate) fn is_like(&self, other: &Self, mirrored: bool) -> bool {
        let (pixels, detail) = self.correlations(other, mirrored);
        pixels >= LEAST_CORRELATION && detail >= LEAST_DETAIL_CORRELATION
    }

    /// Of the pixels and of their fine structure.
    fn correlations(&self, other: &Self, mirrored: bool) -> (f32, f32) {
        let mut one = self.pixels.map(f32::from);
        if mirrored {
            one.chunks_exact_mut(EDGE).for_each(<[f32]>::reverse);
        }
        let other = other.pixels.map(f32::from);
        let pixels = correlation(&one, &other);
        if pixels < LEAST_CORRELATION {
            return (pixels, 0.0);
        }
        (pixels, correlation(&detail(&one), &detail(&other)))
    }
}

/// Each pixel less the mean of the 3 x 3 around it; none at the edge, which resizing smears.
fn detail(pixels: &[f32; EDGE * EDGE]) -> Vec<f32> {
    let inner = 1..EDGE - 1;
    let at = |x: usize, y: usize| {
        let around: f32 = (y - 1..=y + 1)
            .map(|y| pixels[y * EDGE + x - 1..=y * EDGE + x + 1].iter().sum::<f32>())
            .sum();
        pixels[y * EDGE + x] - around / 9.0
    };
    inner
        .clone()
        .flat_map(|y| inner.clone().map(move |x| at(x, y)))
        .collect()
}

/// Pearson's; 0 where one side does not vary.
fn correlation(one: &[f32], other: &[f32]) -> f32 {
    let mean = |values: &[f32]| values.iter().sum::<f32>() / values.len() as f32;
    let (mean_one, mean_other) = (mean(one), mean(other));
    let (mut both, mut squares_one, mut squares_other) = (0.0, 0.0, 0.0);
    for (a, b) in one.iter().zip(other) {
        let (a, b) = (a - mean_one, b - mean_other);
        both += a * b;
        squares_one += a * a;
        squares_other += b * b;
    }
    let scale = (squares_one * squares_other).sqrt();
    if scale > 0.0 { both / scale } else { 0.0 }
}

/// cos(π (2x + 1) u / 64), the discrete cosine transform without its factors, which change no sign.
static COSINES: LazyLock<[[f32; EDGE]; FREQUENCIES]> = LazyLock::new(|| {
    array::from_fn(|u| array::from_fn(|x| ((2 * x + 1) as f32 * u as f32 * PI / (2 * EDGE) as f32).cos()))
});

/// Whether each of the lowest frequencies is positive. The first bit, of the mean, is always 0: brightness is not the picture.
fn signs(levels: &[f32; EDGE * EDGE]) -> u64 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
    // rows[u][y]: frequency u of row y.
    let rows: [[f32; EDGE]; FREQUENCIES] =
        array::from_fn(|u| array::from_fn(|y| dot(&levels[y * EDGE..(y + 1) * EDGE], &COSINES[u])));
    let mut hash = 0;
    for v in 0..FREQUENCIES {
        for (u, row) in rows.iter().enumerate() {
            if (u, v) != (0, 0) && dot(row, &COSINES[v]) > 0.0 {
                hash |= 1 << (v * FREQUENCIES + u);
            }
        }
    }
    hash
}

/// Finds hashes that differ in few bits without comparing all pairs.
///
/// Two hashes that differ in at most 7 of 64 bits differ in at most one bit of one of their four 16-bit parts (multi-index hashing,
/// Norouzi et al. 2012). So each part has a table from its value to the hashes that have it, and a search
/// looks up each part of what it seeks, and that part with one bit changed: 68 look-ups.
pub(crate) struct HashIndex {
    hashes: Vec<u64>,
    tables: [Table; PARTS],
}

const PARTS: usize = 4;

/// For each value of a part: where in `entries` the hashes with that value stand.
struct Table {
    starts: Vec<u32>,
    entries: Vec<u32>,
}

/// Which part of a hash.
fn part(hash: u64, which: usize) -> u16 {
    (hash >> (16 * which)) as u16
}

impl HashIndex {
    /// The most bits in which hashes that are found differ from what is sought.
    pub(crate) const RADIUS: u32 = 7;

    pub(crate) fn new(hashes: Vec<u64>) -> Self {
        let table = |which| {
            let mut starts = vec![0; (1 << 16) + 1];
            for &hash in &hashes {
                starts[usize::from(part(hash, which)) + 1] += 1;
            }
            for value in 0..1 << 16 {
                starts[value + 1] += starts[value];
            }
            let mut entries: Vec<u32> = (0..hashes.len() as u32).collect();
            entries.sort_by_key(|&entry| part(hashes[entry as usize], which));
            Table { starts, entries }
        };
        let tables = array::from_fn(table);
        Self { hashes, tables }
    }

    /// How many bits differ, and which hash, in the order in which they were given; no more than [`Self::RADIUS`], closest first.
    pub(crate) fn near(&self, sought: u64) -> Vec<(u32, usize)> {
        let mut found = vec![];
        for which in 0..PARTS {
            let value = part(sought, which);
            let table = &self.tables[which];
            for probe in std::iter::once(value).chain((0..16).map(|bit| value ^ (1 << bit))) {
                let probe = usize::from(probe);
                for &entry in &table.entries[table.starts[probe] as usize..table.starts[probe + 1] as usize] {
                    let differing = self.hashes[entry as usize] ^ sought;
                    // Found already by an earlier part.
                    let seen = (0..which).any(|earlier| part(differing, earlier).count_ones() <= 1);
                    if !seen && differing.count_ones() <= Self::RADIUS {
                        found.push((differing.count_ones(), entry as usize));
                    }
                }
            }
        }
        found.sort_unstable();
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Split, fundus};
    use image::codecs::jpeg::JpegEncoder;
    use image::imageops::flip_horizontal;
    use proptest::prelude::*;

    /// What a leak check makes of two pictures.
    fn alike(one: &RgbImage, other: &RgbImage) -> bool {
        let (Some(one), Some(other)) = (Look::of(one), Look::of(other)) else {
            return false;
        };
        [(false, one.hash), (true, one.mirrored_hash())]
            .into_iter()
            .any(|(mirrored, hash)| {
                (hash ^ other.hash).count_ones() <= HashIndex::RADIUS && one.is_like(&other, mirrored)
            })
    }

    fn saved_again(picture: &RgbImage, quality: u8) -> RgbImage {
        let mut bytes = vec![];
        JpegEncoder::new_with_quality(&mut bytes, quality)
            .encode_image(picture)
            .unwrap();
        crate::decode_bytes("again.jpg", &bytes).unwrap()
    }

    fn resized(picture: &RgbImage, percent: u32) -> RgbImage {
        let edge = |edge: u32| edge * percent / 100;
        resize(
            picture,
            edge(picture.width()),
            edge(picture.height()),
            Interpolation::Bicubic,
        )
    }

    fn brighter(picture: &RgbImage, factor: f32, more: f32) -> RgbImage {
        let mut picture = picture.clone();
        picture
            .iter_mut()
            .for_each(|level| *level = (f32::from(*level) * factor + more) as u8);
        picture
    }

    /// Pictures of one kind, which all have the same outline.
    fn photographs() -> Vec<RgbImage> {
        (0..24)
            .map(|index| fundus::draw(7, Split::Train, index % 4, index, 96))
            .collect()
    }

    #[test]
    fn a_picture_is_known_again() {
        for (number, picture) in photographs().iter().enumerate() {
            let changes = [
                ("as it is", picture.clone()),
                ("saved again", saved_again(picture, 60)),
                ("half the size", resized(picture, 50)),
                ("twice the size", resized(picture, 200)),
                ("brighter", brighter(picture, 1.1, 0.0)),
                ("darker", brighter(picture, 0.85, 0.0)),
                ("offset", brighter(picture, 0.9, 15.0)),
                ("mirrored", saved_again(&flip_horizontal(picture), 80)),
            ];
            for (change, changed) in changes {
                assert!(alike(picture, &changed), "{number}, {change}");
                assert!(alike(&changed, picture), "{number}, {change}");
            }
        }
    }

    #[test]
    fn pictures_of_one_kind_are_not_alike() {
        let pictures = photographs();
        for (number, one) in pictures.iter().enumerate() {
            for other in &pictures[number + 1..] {
                assert!(!alike(one, other), "{number}");
            }
        }
    }

    #[test]
    fn there_is_nothing_to_know_one_colour_by() {
        let gray = RgbImage::from_pixel(50, 40, image::Rgb([99; 3]));
        assert!(Look::of(&gray).is_none());
        assert!(Look::of(&RgbImage::new(1, 1)).is_none());
    }

    proptest! {
        /// The tables find what comparing with every hash finds.
        #[test]
        fn near_hashes(
            // Few bits set, so that many are close to each other.
            hashes in proptest::collection::vec((0..64_u32, 0..64_u32, 0..64_u32, 0..64_u32), 1..200),
            flips in proptest::collection::vec(0..64_u32, 0..6),
        ) {
            let hashes: Vec<u64> = hashes.into_iter().map(|(a, b, c, d)| 1 << a | 1 << b | 1 << c | 1 << d).collect();
            let sought = flips.into_iter().fold(hashes[0], |hash, bit| hash ^ 1 << bit);
            let mut expected: Vec<(u32, usize)> = hashes.iter().enumerate().map(|(at, hash)| ((hash ^ sought).count_ones(), at)).collect();
            expected.retain(|&(bits, _)| bits <= HashIndex::RADIUS);
            expected.sort_unstable();
            prop_assert_eq!(HashIndex::new(hashes).near(sought), expected);
        }
    }
}
