//! Areas under the ROC and the precision-recall curve.

use std::ops::Range;

use ndarray::Array2;

/// One image's place in a ranking: its index, whether it is positive, and whether the next image has a lower score.
/// Packed, because a resample walks one of these per image and class.
#[derive(Debug, Clone, Copy)]
struct Place(u32);

impl Place {
    fn new(image: usize, positive: bool, ends_tie: bool) -> Self {
        Self((image as u32) << 2 | u32::from(positive) << 1 | u32::from(ends_tie))
    }
    fn image(self) -> usize {
        (self.0 >> 2) as usize
    }
    fn positive(self) -> bool {
        self.0 & 2 != 0
    }
    fn ends_tie(self) -> bool {
        self.0 & 1 != 0
    }
}

/// Images sorted once from the highest score to the lowest; any weighting is then one walk.
#[derive(Debug, Clone)]
pub struct Ranking {
    /// Empty if a score is NaN: there is no order then. Entries of one score are in any order.
    places: Vec<Place>,
    /// Where in `places` the ties lie that hold a positive.
    positive_ties: Vec<Range<u32>>,
}

/// How often each image counts in several resamples, side by side: they then share the walk over the images.
pub(super) type SideBySide<const N: usize> = Vec<[u16; N]>;

/// Places whose weights are summed in 32 bits: as many as cannot overflow.
const STRETCH: usize = 1 << 16;

/// What has one score in a [`Ranking`].
#[derive(Debug, Clone, Copy)]
pub(super) struct Tie {
    /// One of its images, to look up the score.
    pub image: usize,
    /// Weight of its positive entries.
    pub positives: u64,
    /// Weight of its negative entries.
    pub negatives: u64,
}

/// Areas under the curves of one class against the rest.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Areas {
    /// Area under the ROC curve; `None` without a positive or without a negative.
    pub auroc: Option<f64>,
    /// Average precision (the step-wise area, scikit-learn's `average_precision_score`); `None` without a positive.
    pub auprc: Option<f64>,
}

impl Ranking {
    /// Sorts `scores`; `positive[i]` says whether image `i` has the condition.
    pub fn new(scores: &[f64], positive: &[bool]) -> Self {
        assert_eq!(
            scores.len(),
            positive.len(),
            "{} scores, {} labels",
            scores.len(),
            positive.len()
        );
        assert!(
            scores.len() < 1 << 30,
            "{} images are too many to rank",
            scores.len()
        );
        Self::sorted(scores, |i| (i, positive[i]))
    }

    /// All pairs of an image and a class in one ranking, by the class's probability; a pair is positive where the class is
    /// the image's: what "micro" averages are computed from. `probs` is `[images, classes]`; without order if it has 2³²
    /// entries or more.
    pub fn micro(probs: &Array2<f64>, labels: &[usize]) -> Self {
        let images = probs.nrows();
        assert_eq!(images, labels.len(), "{images} rows, {} labels", labels.len());
        Self::of_pairs(probs, |image, class| labels[image] == class)
    }

    /// [`Ranking::micro`] where `positive` says whether an image has a class.
    pub fn of_pairs(probs: &Array2<f64>, positive: impl Fn(usize, usize) -> bool) -> Self {
        let (images, classes) = probs.dim();
        assert!(images < 1 << 30, "{images} images are too many to rank");
        let flat = probs.as_standard_layout();
        Self::sorted(flat.as_slice().unwrap_or_default(), |i| {
            (i / classes, positive(i / classes, i % classes))
        })
    }

    /// `entry` gives the image that an entry counts with, and whether the entry is positive.
    fn sorted(scores: &[f64], entry: impl Fn(usize) -> (usize, bool)) -> Self {
        let too_many = u32::try_from(scores.len()).is_err();
        if too_many || scores.iter().any(|score| score.is_nan()) {
            return Self {
                places: Vec::new(),
                positive_ties: Vec::new(),
            };
        }
        // Half the size of `usize`: there is one per image and class.
        let mut order: Vec<u32> = (0..scores.len() as u32).collect();
        let score = |place: u32| scores[place as usize];
        order.sort_unstable_by(|&a, &b| score(b).total_cmp(&score(a)));
        let place = |(i, &here): (usize, &u32)| {
            let ends_tie = order.get(i + 1).is_none_or(|&next| score(next) != score(here));
            let (image, positive) = entry(here as usize);
            Place::new(image, positive, ends_tie)
        };
        let places: Vec<Place> = order.iter().enumerate().map(place).collect();
        let mut end = 0;
        let ties = places.chunk_by(|place, _| !place.ends_tie()).filter_map(|tie| {
            let range = end..end + tie.len() as u32;
            end = range.end;
            tie.iter().any(|place| place.positive()).then_some(range)
        });
        Self {
            positive_ties: ties.collect(),
            places,
        }
    }

    /// Walks from the highest score to the lowest, one call for all entries of a score; image `i` counts `weights[i]`
    /// times, which may leave a tie without any.
    pub(super) fn for_each_tie(&self, weights: &[u32], mut visit: impl FnMut(Tie)) {
        let (mut positives, mut negatives) = (0, 0);
        for place in &self.places {
            let weight = u64::from(weights[place.image()]);
            if place.positive() {
                positives += weight;
            } else {
                negatives += weight;
            }
            if place.ends_tie() {
                visit(Tie {
                    image: place.image(),
                    positives,
                    negatives,
                });
                (positives, negatives) = (0, 0);
            }
        }
    }

    /// [`Ranking::areas`] in each of several resamples. Of the images between two positives only the sum of their weights matters, so that with many
    /// classes nearly all of it is sums of whole vectors.
    pub(super) fn areas_side_by_side<const N: usize>(&self, weights: &SideBySide<N>) -> [Areas; N] {
        let mut walks = [Walk::default(); N];
        let mut end = 0;
        for tie in &self.positive_ties {
            let tie = tie.start as usize..tie.end as usize;
            let between = weight_of(&self.places[end..tie.start], weights);
            let [mut positives, mut negatives] = [[0; N]; 2];
            for place in &self.places[tie.clone()] {
                let sums = if place.positive() {
                    &mut positives
                } else {
                    &mut negatives
                };
                add(sums, &weights[place.image()]);
            }
            for (n, walk) in walks.iter_mut().enumerate() {
                walk.pass(0, between[n]);
                walk.pass(positives[n], negatives[n]);
            }
            end = tie.end;
        }
        let below = weight_of(&self.places[end..], weights);
        for (walk, below) in walks.iter_mut().zip(below) {
            walk.pass(0, below);
        }
        walks.map(Walk::areas)
    }

    /// Both areas, with image `i` counted `weights[i]` times.
    pub fn areas(&self, weights: &[u32]) -> Areas {
        let mut walk = Walk::default();
        self.for_each_tie(weights, |tie| walk.pass(tie.positives, tie.negatives));
        walk.areas()
    }
}

/// Both areas on the way from the highest score to the lowest.
#[derive(Debug, Clone, Copy, Default)]
struct Walk {
    /// Weight of the positives passed.
    positives: u64,
    /// Of the negatives.
    negatives: u64,
    /// In pairs of a positive and a negative; a tied pair counts half.
    twice_area: u64,
    precision_sum: f64,
}

impl Walk {
    /// Passes entries of one score, or any number of negatives.
    fn pass(&mut self, positives: u64, negatives: u64) {
        self.twice_area += negatives * (2 * self.positives + positives);
        self.positives += positives;
        self.negatives += negatives;
        if positives > 0 {
            let above = self.positives + self.negatives;
            self.precision_sum += positives as f64 * self.positives as f64 / above as f64;
        }
    }

    fn areas(self) -> Areas {
        let pairs = self.positives as f64 * self.negatives as f64;
        Areas {
            auroc: (pairs > 0.0).then(|| self.twice_area as f64 / 2.0 / pairs),
            auprc: (self.positives > 0).then(|| self.precision_sum / self.positives as f64),
        }
    }
}

/// Weight of `places` in each resample.
fn weight_of<const N: usize>(places: &[Place], weights: &SideBySide<N>) -> [u64; N] {
    let mut sums = [0; N];
    for stretch in places.chunks(STRETCH) {
        let mut of_stretch = [0_u32; N];
        for place in stretch {
            let weights = &weights[place.image()];
            for (sum, &weight) in of_stretch.iter_mut().zip(weights) {
                *sum += u32::from(weight);
            }
        }
        for (sum, of_stretch) in sums.iter_mut().zip(of_stretch) {
            *sum += u64::from(of_stretch);
        }
    }
    sums
}

fn add<const N: usize>(sums: &mut [u64; N], weights: &[u16; N]) {
    for (sum, &weight) in sums.iter_mut().zip(weights) {
        *sum += u64::from(weight);
    }
}

/// Mean of an area over the classes that have it; with two classes that of the second, which is the positive one.
pub(super) fn macro_mean(areas: &[Areas], pick: fn(&Areas) -> Option<f64>) -> Option<f64> {
    match areas {
        [_, positive] => pick(positive),
        _ => super::mean_of_defined(areas.iter().map(pick)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// AUROC is the share of pairs of a positive and a negative that are in order, a tie counting half.
        #[test]
        fn auroc_counts_pairs(images in prop::collection::vec((0..6_u8, any::<bool>(), 0..4_u32), 0..40)) {
            let (mut ordered, mut pairs) = (0.0, 0.0);
            for (score, _, weight) in images.iter().filter(|image| image.1) {
                for (other, _, other_weight) in images.iter().filter(|image| !image.1) {
                    let both = f64::from(weight * other_weight);
                    pairs += both;
                    ordered += both * match score.cmp(other) {
                        std::cmp::Ordering::Greater => 1.0,
                        std::cmp::Ordering::Equal => 0.5,
                        std::cmp::Ordering::Less => 0.0,
                    };
                }
            }
            let scores: Vec<f64> = images.iter().map(|image| f64::from(image.0)).collect();
            let positive: Vec<bool> = images.iter().map(|image| image.1).collect();
            let weights: Vec<u32> = images.iter().map(|image| image.2).collect();
            let auroc = Ranking::new(&scores, &positive).areas(&weights).auroc;
            prop_assert_eq!(auroc.is_some(), pairs > 0.0);
            prop_assert!(auroc.is_none_or(|auroc| (auroc - ordered / pairs).abs() < 1e-12));
        }
    }

    proptest! {
        /// Side by side or one after the other, to the last bit.
        #[test]
        fn resamples_side_by_side_are_what_each_is_alone(images in prop::collection::vec((0..9_u8, 0..5_u8, any::<[u8; 3]>()), 0..60)) {
            let scores: Vec<f64> = images.iter().map(|image| f64::from(image.0)).collect();
            let positive: Vec<bool> = images.iter().map(|image| image.1 == 0).collect();
            let ranking = Ranking::new(&scores, &positive);
            let weights: SideBySide<3> = images.iter().map(|image| image.2.map(|weight| u16::from(weight % 3))).collect();
            let together = ranking.areas_side_by_side(&weights);
            for (n, together) in together.into_iter().enumerate() {
                let alone: Vec<u32> = weights.iter().map(|weights| u32::from(weights[n])).collect();
                prop_assert_eq!(together, ranking.areas(&alone));
            }
        }
    }

    fn areas(scores: &[f64], positive: &[bool]) -> Areas {
        Ranking::new(scores, positive).areas(&vec![1; scores.len()])
    }

    #[test]
    fn perfect_reversed_and_tied_rankings() {
        assert_eq!(
            areas(&[0.9, 0.1], &[true, false]),
            Areas {
                auroc: Some(1.0),
                auprc: Some(1.0)
            }
        );
        assert_eq!(
            areas(&[0.1, 0.9], &[true, false]),
            Areas {
                auroc: Some(0.0),
                auprc: Some(0.5)
            }
        );
        assert_eq!(
            areas(&[0.5, 0.5], &[true, false]),
            Areas {
                auroc: Some(0.5),
                auprc: Some(0.5)
            }
        );
    }

    #[test]
    fn undefined_without_one_of_the_sides() {
        assert_eq!(
            areas(&[0.5, 0.4], &[false, false]),
            Areas {
                auroc: None,
                auprc: None
            }
        );
        assert_eq!(
            areas(&[0.5, 0.4], &[true, true]),
            Areas {
                auroc: None,
                auprc: Some(1.0)
            }
        );
        assert_eq!(areas(&[f64::NAN, 0.4], &[true, false]), Areas::default());
        assert_eq!(areas(&[], &[]), Areas::default());
    }
}
