//! What is drawn, for a bootstrap or for half-samples: images, images within each class, or patients with all of their images.

use std::collections::BTreeMap;
use std::ops::Range;

use rand::RngExt;
use rand_pcg::Pcg64;
use rayon::prelude::*;

use crate::Bootstrap;

/// What is drawn. It should repeat how the images came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sampling<'a> {
    /// Single images.
    Images,
    /// Images within each class (one entry per image), so that every resample has as many of each as the data: for a test
    /// set whose class sizes were chosen.
    Stratified(&'a [usize]),
    /// Whole groups of images (one group number per image), for example all images of a patient: images of one patient
    /// resemble each other, and drawing them one by one makes intervals too narrow (Field & Welsh 2007, J. R. Stat. Soc. B
    /// 69:369). The number of images then differs between resamples.
    Clustered(&'a [usize]),
}

/// A [`Sampling`] of given images, prepared for many resamples.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draws {
    /// Images by unit. A unit is what is drawn at once: an image or a group.
    members: Vec<u32>,
    /// Where each unit starts in `members`, and the end.
    starts: Vec<usize>,
    /// Units drawn among each other.
    pub(super) strata: Vec<Range<usize>>,
}

impl Draws {
    /// Prepares `sampling` of `images` images.
    pub fn new(images: usize, sampling: &Sampling) -> Self {
        let by_value = |values: &[usize]| {
            assert_eq!(
                images,
                values.len(),
                "{images} images, {} group numbers",
                values.len()
            );
            let mut groups = BTreeMap::<usize, Vec<u32>>::new();
            for (image, &value) in values.iter().enumerate() {
                groups.entry(value).or_default().push(image as u32);
            }
            let members: Vec<u32> = groups.values().flatten().copied().collect();
            (members, ends(groups.values().map(Vec::len)))
        };
        let one_by_one = || (0..=images).collect::<Vec<_>>();
        match sampling {
            Sampling::Images => Self {
                members: (0..images as u32).collect(),
                starts: one_by_one(),
                strata: std::iter::once(0..images).collect(),
            },
            Sampling::Stratified(classes) => {
                let (members, starts) = by_value(classes);
                Self {
                    members,
                    starts: one_by_one(),
                    strata: starts.windows(2).map(|pair| pair[0]..pair[1]).collect(),
                }
            }
            Sampling::Clustered(groups) => {
                let (members, starts) = by_value(groups);
                let all = 0..starts.len() - 1;
                Self {
                    members,
                    starts,
                    strata: std::iter::once(all).collect(),
                }
            }
        }
    }

    /// Number of images.
    pub fn images(&self) -> usize {
        self.members.len()
    }

    /// Number of units: images, or groups where those are drawn.
    pub fn units(&self) -> usize {
        self.starts.len() - 1
    }

    /// Images of a unit.
    pub(super) fn unit(&self, unit: usize) -> &[u32] {
        &self.members[self.starts[unit]..self.starts[unit + 1]]
    }

    /// Draws as many units as there are in each stratum, with replacement, and counts their images.
    fn draw(&self, weights: &mut [u32], rng: &mut Pcg64) {
        weights.fill(0);
        for stratum in &self.strata {
            let units = stratum.len() as u32;
            for _ in 0..units {
                let unit = stratum.start + rng.random_range(0..units) as usize;
                for &image in self.unit(unit) {
                    weights[image as usize] += 1;
                }
            }
        }
    }

    /// Takes half of the units of each stratum, or with `rest` the other half of the same draw; of an odd number either half may be the larger one.
    fn halve(&self, weights: &mut [u32], rest: bool, rng: &mut Pcg64) {
        weights.fill(u32::from(rest));
        for stratum in &self.strata {
            let mut units: Vec<usize> = stratum.clone().collect();
            let larger = units.len() % 2 == 1 && rng.random_bool(0.5);
            for place in 0..units.len() / 2 + usize::from(larger) {
                let drawn = rng.random_range(place as u32..units.len() as u32) as usize;
                units.swap(place, drawn);
                for &image in self.unit(units[place]) {
                    weights[image as usize] = u32::from(!rest);
                }
            }
        }
    }
}

/// 0 and the running sums.
fn ends(lengths: impl Iterator<Item = usize>) -> Vec<usize> {
    let sums = lengths.scan(0, |end, length| {
        *end += length;
        Some(*end)
    });
    std::iter::once(0).chain(sums).collect()
}

/// Runs `statistics` on every resample and returns one column of resampled values per statistic.
///
/// `statistics` gets how often each image was drawn; it must always return `columns` values, NaN for undefined ones. Resample `r` has the random
/// stream `(seed, r)`, so the number of threads changes nothing.
pub fn resample<F>(draws: &Draws, columns: usize, options: &Bootstrap, statistics: F) -> Vec<Vec<f64>>
where
    F: Fn(&[u32]) -> Vec<f64> + Sync,
{
    resample_bunches(draws, columns, options, one_by_one(statistics))
}

/// [`resample`] where `statistics` gets up to [`BUNCH`] resamples at once, so that they may share work, and returns the values of each.
pub fn resample_bunches<F>(draws: &Draws, columns: usize, options: &Bootstrap, statistics: F) -> Vec<Vec<f64>>
where
    F: Fn(&[Vec<u32>]) -> Vec<Vec<f64>> + Sync,
{
    let draw = |weights: &mut [u32], resample: usize| {
        let mut rng = vpt_data::rng::rng(options.seed, &[STREAM, resample as u64]);
        draws.draw(weights, &mut rng);
    };
    repeated(draws, columns, options, draw, statistics)
}

/// Statistics of one weighting of the images as those of several.
pub(super) fn one_by_one(
    statistics: impl Fn(&[u32]) -> Vec<f64> + Sync,
) -> impl Fn(&[Vec<u32>]) -> Vec<Vec<f64>> + Sync {
    move |bunch| bunch.iter().map(|weights| statistics(weights)).collect()
}

/// Runs `statistics` on halves of what `draws` holds, drawn without replacement, as many as `options` has resamples, and returns one column of values
/// per statistic as [`resample`] does. Of each pair the second half is what the first one left. Pair `p` has the random stream `(seed, p)`.
pub fn half_samples<F>(draws: &Draws, columns: usize, options: &Bootstrap, statistics: F) -> Vec<Vec<f64>>
where
    F: Fn(&[u32]) -> Vec<f64> + Sync,
{
    let draw = |weights: &mut [u32], half: usize| {
        let mut rng = vpt_data::rng::rng(options.seed, &[HALVES, (half / 2) as u64]);
        draws.halve(weights, half % 2 == 1, &mut rng);
    };
    repeated(draws, columns, options, draw, one_by_one(statistics))
}

/// One column per statistic of what `statistics` says of bunches of draws; `draw` fills in the weights of the images, given the number of the draw.
fn repeated<D, F>(draws: &Draws, columns: usize, options: &Bootstrap, draw: D, statistics: F) -> Vec<Vec<f64>>
where
    D: Fn(&mut [u32], usize) + Sync,
    F: Fn(&[Vec<u32>]) -> Vec<Vec<f64>> + Sync,
{
    let room = || vec![vec![0; draws.images()]; BUNCH];
    let bunch = |room: &mut Vec<Vec<u32>>, bunch: usize| {
        let numbers = bunch * BUNCH..options.resamples.min((bunch + 1) * BUNCH);
        let bunch = &mut room[..numbers.len()];
        for (weights, number) in bunch.iter_mut().zip(numbers) {
            draw(weights, number);
        }
        statistics(bunch)
    };
    let bunches = (0..options.resamples.div_ceil(BUNCH)).into_par_iter();
    let rows: Vec<Vec<f64>> = bunches.map_init(room, bunch).collect::<Vec<_>>().concat();
    (0..columns)
        .map(|column| rows.iter().map(|row| row[column]).collect())
        .collect()
}

/// Weightings of the images that statistics see at once.
pub const BUNCH: usize = 8;

/// Separates these draws from other uses of the same seed.
const STREAM: u64 = 0xb007;
/// Separates the half-samples.
const HALVES: u64 = 0x4a1f;

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(draws: &Draws) -> Vec<u32> {
        let mut weights = vec![9; draws.images()];
        draws.draw(&mut weights, &mut vpt_data::rng::rng(1, &[]));
        weights
    }

    #[test]
    fn strata_keep_their_size() {
        let classes = [7, 2, 7, 7, 2, 7, 2];
        let draws = Draws::new(7, &Sampling::Stratified(&classes));
        assert_eq!(draws.units(), 7);
        let weights = drawn(&draws);
        let sum = |images: &[usize]| images.iter().map(|&i| weights[i]).sum::<u32>();
        assert_eq!((sum(&[0, 2, 3, 5]), sum(&[1, 4, 6])), (4, 3));
    }

    #[test]
    fn images_of_a_group_are_drawn_together() {
        let groups = [5, 1, 5, 3, 1, 5];
        let draws = Draws::new(6, &Sampling::Clustered(&groups));
        assert_eq!((draws.units(), draws.images()), (3, 6));
        let weights = drawn(&draws);
        assert!(weights[0] == weights[2] && weights[2] == weights[5] && weights[1] == weights[4]);
        assert_eq!(weights[0] + weights[1] + weights[3], 3, "three groups are drawn");
    }

    #[test]
    fn groups_of_one_are_images() {
        let single: Vec<usize> = (0..50).collect();
        let of = |sampling: &Sampling| drawn(&Draws::new(50, sampling));
        assert_eq!(of(&Sampling::Clustered(&single)), of(&Sampling::Images));
        assert_eq!(of(&Sampling::Stratified(&[3; 50])), of(&Sampling::Images));
        assert!(of(&Sampling::Images).contains(&0), "some image is left out");
    }

    #[test]
    fn a_half_and_the_rest_are_all() {
        let classes = [7, 2, 7, 7, 2, 7, 2];
        let groups = [5, 1, 5, 3, 1, 5, 4];
        let halves = |sampling: &Sampling, seed: u64| -> [Vec<u32>; 2] {
            let draws = Draws::new(7, sampling);
            [false, true].map(|rest| {
                let mut weights = vec![9; 7];
                draws.halve(&mut weights, rest, &mut vpt_data::rng::rng(seed, &[]));
                weights
            })
        };
        let mut sizes = [0; 8];
        for seed in 0..200 {
            for sampling in [
                Sampling::Images,
                Sampling::Stratified(&classes),
                Sampling::Clustered(&groups),
            ] {
                let [half, rest] = halves(&sampling, seed);
                assert!(
                    half.iter().zip(&rest).all(|(a, b)| a + b == 1),
                    "{half:?} {rest:?}"
                );
            }
            sizes[halves(&Sampling::Images, seed)[0].iter().sum::<u32>() as usize] += 1;
            let [half, _] = halves(&Sampling::Stratified(&classes), seed);
            assert_eq!(half[0] + half[2] + half[3] + half[5], 2);
            let [half, _] = halves(&Sampling::Clustered(&groups), seed);
            assert!(half[0] == half[2] && half[2] == half[5] && half[1] == half[4]);
        }
        assert!(
            sizes[3] > 60 && sizes[4] > 60 && sizes[3] + sizes[4] == 200,
            "{sizes:?}"
        );
    }

    #[test]
    fn no_image_is_no_unit() {
        for sampling in [
            Sampling::Images,
            Sampling::Stratified(&[]),
            Sampling::Clustered(&[]),
        ] {
            let draws = Draws::new(0, &sampling);
            assert_eq!((draws.units(), drawn(&draws).len()), (0, 0));
        }
    }
}
