//! COCO's numbers, equal to pycocotools'; the matching is done once, any weighting of the images is then a walk.

use rayon::prelude::*;

use super::average_precision::RankedHits;
use super::matching::{Flags, ImageMatches};
use super::{AREAS, AreaRange, Detection, IOU_THRESHOLDS, MAX_DETECTIONS, Truth, by_score, check};
use crate::EvalError;
use crate::metrics::mean_of_defined;

/// Detections matched to truths, ready for any weighting of the images.
#[derive(Debug)]
pub struct CocoMatches {
    images: usize,
    classes: Vec<ClassMatches>,
}

/// All images of a class.
#[derive(Debug, Default)]
pub(super) struct ClassMatches {
    /// Images with truths: their index, and how many have to be found for each of [`AREAS`].
    truths: Vec<(u32, [u32; 4])>,
    /// Highest score first; among equal ones by image, then as given.
    pub(super) places: Vec<Place>,
}

/// A detection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub score: f64,
    pub image: u32,
    /// How many detections of its class and image go before it.
    rank: u32,
    /// For each of [`AREAS`].
    flags: [Flags; 4],
}

impl Place {
    /// Whether it is right at IoU 0.5, sizes aside; `None` if it does not count.
    pub(super) fn right_at_half(&self) -> Option<bool> {
        let [all, ..] = self.flags;
        (all.ignored & 1 == 0).then_some(all.matched & 1 == 1)
    }
}

/// COCO's numbers. `None` where no class has truth of that size.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Coco {
    /// Mean AP over the classes and IoU thresholds 0.5, 0.55 … 0.95.
    pub ap: Option<f64>,
    /// AP at IoU 0.5.
    pub ap50: Option<f64>,
    /// AP at IoU 0.75.
    pub ap75: Option<f64>,
    /// AP of objects up to 32² square pixels.
    pub ap_small: Option<f64>,
    /// AP of objects of 32² to 96².
    pub ap_medium: Option<f64>,
    /// AP of objects from 96² on.
    pub ap_large: Option<f64>,
    /// Mean recall over the classes and IoU thresholds, with one detection of each class in an image.
    pub ar1: Option<f64>,
    /// With ten.
    pub ar10: Option<f64>,
    /// With a hundred.
    pub ar100: Option<f64>,
    /// AR of objects up to 32² square pixels, with a hundred.
    pub ar_small: Option<f64>,
    /// AR of objects of 32² to 96².
    pub ar_medium: Option<f64>,
    /// AR of objects from 96² on.
    pub ar_large: Option<f64>,
    /// AP at each of [`IOU_THRESHOLDS`].
    pub ap_per_iou: [Option<f64>; 10],
    /// One entry per class; `None` for a class without truth.
    pub per_class: Vec<Option<ClassAp>>,
}

/// The numbers of a class.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ClassAp {
    /// Mean AP over the IoU thresholds.
    pub ap: f64,
    /// AP at IoU 0.5.
    pub ap50: f64,
    /// AP at IoU 0.75.
    pub ap75: f64,
    /// Mean recall over the IoU thresholds, with a hundred detections in an image.
    pub ar100: f64,
    /// AP at each of [`IOU_THRESHOLDS`].
    pub ap_per_iou: [f64; 10],
}

/// AP and final recall at each IoU threshold.
#[derive(Clone, Copy)]
struct Sweep {
    ap: [f64; 10],
    recall: [f64; 10],
}

impl CocoMatches {
    /// Matches `detections` to `truths` in `images` images and `classes` classes, on all threads.
    ///
    /// # Errors
    /// Those of [`check`].
    pub fn new(
        images: usize,
        classes: usize,
        truths: &[Truth],
        detections: &[Detection],
    ) -> Result<Self, EvalError> {
        check(images, classes, truths, detections)?;
        // By class and image; stable, so that what is equal keeps its order.
        let mut truths: Vec<&Truth> = truths.iter().collect();
        truths.sort_by_key(|truth| (truth.class, truth.image));
        let mut found: Vec<&Detection> = detections.iter().collect();
        found.sort_by(|a, b| {
            let place = (a.class, a.image).cmp(&(b.class, b.image));
            place.then_with(|| by_score(a.score, b.score))
        });
        let mut groups = Vec::new();
        let (mut truths, mut found) = (&truths[..], &found[..]);
        loop {
            let keys = [
                truths.first().map(|truth| (truth.class, truth.image)),
                found.first().map(|found| (found.class, found.image)),
            ];
            let Some(key) = keys.into_iter().flatten().min() else {
                break;
            };
            let here = truths.partition_point(|truth| (truth.class, truth.image) == key);
            let there = found.partition_point(|found| (found.class, found.image) == key);
            groups.push((key, &truths[..here], &found[..there.min(MAX_DETECTIONS)]));
            (truths, found) = (&truths[here..], &found[there..]);
        }
        let matched: Vec<ImageMatches> = groups
            .par_iter()
            .map(|(_, truths, found)| ImageMatches::new(truths, found))
            .collect();
        let mut of_classes: Vec<ClassMatches> = (0..classes).map(|_| ClassMatches::default()).collect();
        for (&((class, image), truths, found), matches) in groups.iter().zip(&matched) {
            let image = image as u32; // `check` has seen to it
            let of_class = &mut of_classes[class];
            if !truths.is_empty() {
                of_class.truths.push((image, matches.positives));
            }
            let places = found.iter().zip(&matches.flags).enumerate();
            of_class
                .places
                .extend(places.map(|(rank, (found, &flags))| Place {
                    score: found.score,
                    image,
                    rank: rank as u32,
                    flags,
                }));
        }
        of_classes
            .par_iter_mut()
            .for_each(|class| class.places.sort_by(|a, b| by_score(a.score, b.score)));
        Ok(Self {
            images,
            classes: of_classes,
        })
    }

    /// Number of images.
    pub fn images(&self) -> usize {
        self.images
    }

    /// Number of classes, seen or not.
    pub fn num_classes(&self) -> usize {
        self.classes.len()
    }

    /// Weights that count each image once.
    pub fn ones(&self) -> Vec<u32> {
        vec![1; self.images]
    }

    pub(super) fn class(&self, class: usize) -> &ClassMatches {
        &self.classes[class]
    }

    /// All of COCO's numbers, with image `i` counted `weights[i]` times. Copies of an image stand beside each other where
    /// scores are tied.
    pub fn evaluate(&self, weights: &[u32]) -> Coco {
        self.check_weights(weights);
        let sweep = |range: AreaRange, max: usize| -> Vec<Option<Sweep>> {
            let classes = self.classes.par_iter();
            classes.map(|class| class.sweep(range, max, weights)).collect()
        };
        let [all, small, medium, large] = AREAS.map(|range| sweep(range, MAX_DETECTIONS));
        let recall = |sweeps: &[Option<Sweep>]| mean_over(sweeps, |sweep| mean(&sweep.recall));
        let precision = |sweeps: &[Option<Sweep>]| mean_over(sweeps, |sweep| mean(&sweep.ap));
        let mut coco = Self::of_all_sizes(&all);
        (coco.ap_small, coco.ar_small) = (precision(&small), recall(&small));
        (coco.ap_medium, coco.ar_medium) = (precision(&medium), recall(&medium));
        (coco.ap_large, coco.ar_large) = (precision(&large), recall(&large));
        coco.ar1 = recall(&sweep(AreaRange::All, 1));
        coco.ar10 = recall(&sweep(AreaRange::All, 10));
        coco
    }

    fn of_all_sizes(sweeps: &[Option<Sweep>]) -> Coco {
        let per_class = sweeps.iter().map(|sweep| {
            let Sweep { ap, recall } = (*sweep)?;
            Some(ClassAp {
                ap: mean(&ap),
                ap50: ap[0],
                ap75: ap[5],
                ar100: mean(&recall),
                ap_per_iou: ap,
            })
        });
        Coco {
            ap: mean_over(sweeps, |sweep| mean(&sweep.ap)),
            ap50: mean_over(sweeps, |sweep| sweep.ap[0]),
            ap75: mean_over(sweeps, |sweep| sweep.ap[5]),
            ar100: mean_over(sweeps, |sweep| mean(&sweep.recall)),
            ap_per_iou: std::array::from_fn(|t| mean_over(sweeps, |sweep| sweep.ap[t])),
            per_class: per_class.collect(),
            ..Coco::default()
        }
    }

    pub(super) fn check_weights(&self, weights: &[u32]) {
        assert_eq!(
            weights.len(),
            self.images,
            "{} weights, {} images",
            weights.len(),
            self.images
        );
    }
}

impl ClassMatches {
    /// Truths of that size that have to be found.
    pub(super) fn positives(&self, range: AreaRange, weights: &[u32]) -> u64 {
        let each = self.truths.iter().map(|(image, positives)| {
            u64::from(positives[range as usize]) * u64::from(weights[*image as usize])
        });
        each.sum()
    }

    /// `None` without truth of that size.
    fn sweep(&self, range: AreaRange, max_detections: usize, weights: &[u32]) -> Option<Sweep> {
        let positives = self.positives(range, weights);
        if positives == 0 {
            return None;
        }
        let drawn: Vec<(Flags, u64)> = self
            .places
            .iter()
            .filter(|place| (place.rank as usize) < max_detections && weights[place.image as usize] > 0)
            .map(|place| {
                (
                    place.flags[range as usize],
                    u64::from(weights[place.image as usize]),
                )
            })
            .collect();
        let mut sweep = Sweep {
            ap: [0.0; 10],
            recall: [0.0; 10],
        };
        let mut ranked = RankedHits::default();
        for t in 0..IOU_THRESHOLDS.len() {
            ranked.clear();
            for (flags, weight) in &drawn {
                if flags.ignored >> t & 1 == 0 {
                    ranked.push(flags.matched >> t & 1 == 1, *weight);
                }
            }
            sweep.ap[t] = ranked.average_precision(positives);
            sweep.recall[t] = ranked.hits() as f64 / positives as f64;
        }
        Some(sweep)
    }
}

fn mean(values: &[f64; 10]) -> f64 {
    values.iter().sum::<f64>() / 10.0
}

/// Mean over the classes that have truth.
fn mean_over(sweeps: &[Option<Sweep>], value: impl Fn(&Sweep) -> f64) -> Option<f64> {
    mean_of_defined(sweeps.iter().map(|sweep| sweep.as_ref().map(&value)))
}
