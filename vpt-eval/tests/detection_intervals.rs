//! How often 95 % intervals of a detector's numbers hold the truth, on simulated test sets, with figures for the docs. Slow, so on request only:
//!
//! `cargo test --release -p vpt-eval --test detection_intervals -- --ignored --nocapture`

#![allow(clippy::unwrap_used, clippy::print_stdout)]

use rand::RngExt;
use rand_pcg::Pcg64;
use rayon::prelude::*;
use vpt_eval::Bootstrap;
use vpt_eval::bootstrap::half_sample_estimates;
use vpt_eval::metrics::detection::{CocoMatches, Counting, Detection, Froc, HitRule, Truth};
use vpt_eval::statistics::{self, Draws, Interval, Sampling, Scale, normal_quantile};

const SETS: u64 = 300;
const RESAMPLES: usize = 200;
/// The truth is the mean over so many sets of so many images.
const LARGE: (u64, usize) = (4, 50_000);
/// Side of every object in pixels, so that all are of medium size.
const SIDE: f64 = 60.0;
/// From this score on an object is counted.
const THRESHOLD: f64 = 0.5;

/// Two detectors on the same images; the second is a little worse.
struct Setting {
    name: &'static str,
    /// Objects of each class in an image, on average.
    objects: &'static [f64],
    /// How well they are found.
    skill: f64,
    /// False alarms in an image, on average, for a class of one object an image.
    alarms: f64,
}

const SETTINGS: [Setting; 3] = [
    Setting {
        name: "one class",
        objects: &[3.0],
        skill: 1.4,
        alarms: 0.5,
    },
    Setting {
        name: "three, one rare",
        objects: &[4.0, 1.5, 0.2],
        skill: 1.4,
        alarms: 0.5,
    },
    Setting {
        name: "three, weak",
        objects: &[4.0, 1.5, 0.2],
        skill: 0.0,
        alarms: 1.5,
    },
];

/// What is estimated: of the first detector, then of the difference of both.
const COLUMNS: [(&str, Scale); 8] = [
    ("AP", Scale::Share),
    ("AP50", Scale::Share),
    ("AP50 rarest class", Scale::Share),
    ("AR", Scale::Share),
    ("FROC", Scale::Share),
    ("count error", Scale::Amount),
    ("AP, difference", Scale::Difference),
    ("AP50, difference", Scale::Difference),
];

fn uniform(rng: &mut Pcg64) -> f64 {
    // Never 0, where quantiles are infinite.
    (f64::from(rng.random::<u32>()) + 0.5) / 4294967296.0
}

fn normal(rng: &mut Pcg64) -> f64 {
    normal_quantile(uniform(rng))
}

fn poisson(rng: &mut Pcg64, rate: f64) -> usize {
    let (mut product, mut count) = (uniform(rng), 0);
    while product > (-rate).exp() {
        product *= uniform(rng);
        count += 1;
    }
    count
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// A square in row `row` of a picture, `shift` pixels to the right of place `column`.
fn square(column: usize, row: usize, shift: f64) -> [f64; 4] {
    let (x, y) = (2.0 * SIDE * column as f64 + shift, 2.0 * SIDE * row as f64);
    [x, y, x + SIDE, y + SIDE]
}

/// A detector on a test set.
struct Scored {
    coco: CocoMatches,
    froc: Froc,
    counting: Counting,
}

impl Scored {
    fn new(images: usize, classes: usize, truths: &[Truth], found: &[Detection]) -> Self {
        Self {
            coco: CocoMatches::new(images, classes, truths, found).unwrap(),
            froc: Froc::new(images, classes, truths, found, None, HitRule::Iou(0.5)).unwrap(),
            counting: Counting::new(images, classes, truths, found, None, THRESHOLD).unwrap(),
        }
    }
}

/// A test set as both detectors see it. Images are hard and crowded in different measure, for all of their objects and for both.
fn test_set(rng: &mut Pcg64, setting: &Setting, images: usize) -> [Scored; 2] {
    let (mut truths, mut found) = (Vec::new(), [Vec::new(), Vec::new()]);
    for image in 0..images {
        let (hard, crowded) = (normal(rng), normal(rng));
        for (class, &rate) in setting.objects.iter().enumerate() {
            for column in 0..poisson(rng, rate * (0.5 * crowded - 0.125).exp()) {
                let bbox = square(column, 2 * class, 0.0);
                truths.push(Truth {
                    image,
                    class,
                    bbox,
                    area: SIDE * SIDE,
                    crowd: false,
                });
                let easy = normal(rng);
                for (detector, found) in found.iter_mut().enumerate() {
                    let quality =
                        setting.skill - 0.35 * detector as f64 + 0.7 * (easy - hard) + 0.5 * normal(rng);
                    let score = sigmoid(quality + 0.5 * normal(rng));
                    let iou = sigmoid(0.7 + 0.45 * quality + 0.6 * normal(rng));
                    if uniform(rng) < sigmoid(2.5 + quality) {
                        let bbox = square(column, 2 * class, SIDE * (1.0 - iou) / (1.0 + iou));
                        found.push(Detection {
                            image,
                            class,
                            score,
                            bbox,
                        });
                    }
                }
            }
            for found in &mut found {
                let alarms = setting.alarms * rate.sqrt() * (0.5 * hard - 0.125).exp();
                for column in 0..poisson(rng, alarms) {
                    found.push(Detection {
                        image,
                        class,
                        score: sigmoid(-1.0 + 0.3 * hard + normal(rng)),
                        bbox: square(column, 2 * class + 1, 0.0),
                    });
                }
            }
        }
    }
    found.map(|found| Scored::new(images, setting.objects.len(), &truths, &found))
}

/// [`COLUMNS`], with image `i` counted `weights[i]` times.
fn values(set: &[Scored; 2], weights: &[u32]) -> Vec<Option<f64>> {
    let [a, b] = [&set[0], &set[1]].map(|detector| detector.coco.evaluate(weights));
    let rarest = a.per_class.last().copied().flatten();
    let minus = |a: Option<f64>, b: Option<f64>| Some(a? - b?);
    vec![
        a.ap,
        a.ap50,
        rarest.map(|class| class.ap50),
        a.ar100,
        set[0].froc.mean_sensitivity(weights),
        set[0].counting.error(weights).map(|error| error.mean_absolute),
        minus(a.ap, b.ap),
        minus(a.ap50, b.ap50),
    ]
}

/// Of each of [`COLUMNS`] the percentile interval of resamples and that of halves.
fn experiment(setting: &Setting, images: usize, seed: u64) -> Vec<[Option<Interval>; 2]> {
    let mut rng = vpt_data::rng::rng(seed, &[0xde7, images as u64]);
    let set = test_set(&mut rng, setting, images);
    let draws = Draws::new(images, &Sampling::Images);
    let options = Bootstrap {
        resamples: RESAMPLES,
        seed,
        ..Bootstrap::default()
    };
    let scales = COLUMNS.map(|(_, scale)| scale);
    let halves = half_sample_estimates(&draws, &options, &scales, |weights| values(&set, weights));
    let resampled = statistics::resample(&draws, COLUMNS.len(), &options, |weights| {
        let values = values(&set, weights).into_iter();
        values.map(|value| value.unwrap_or(f64::NAN)).collect()
    });
    let both = resampled.iter().zip(&halves).map(|(resampled, estimate)| {
        let halves = estimate.interval().map(|(low, high)| Interval { low, high });
        [statistics::percentile(resampled, options.level).ok(), halves]
    });
    both.collect()
}

fn truth(setting: &Setting) -> Vec<f64> {
    let (sets, images) = LARGE;
    let of = |set: u64| {
        let mut rng = vpt_data::rng::rng(set, &[0x7127]);
        values(&test_set(&mut rng, setting, images), &vec![1; images])
    };
    let sets: Vec<Vec<Option<f64>>> = (0..sets).map(of).collect();
    let mean = |column: usize| {
        let each: Vec<f64> = sets.iter().map(|set| set[column].unwrap()).collect();
        let mean = each.iter().sum::<f64>() / each.len() as f64;
        let farthest = each.iter().map(|value| (value - mean).abs()).fold(0.0, f64::max);
        assert!(
            farthest < 0.02,
            "{} has not converged: {each:?}",
            COLUMNS[column].0
        );
        mean
    };
    (0..COLUMNS.len()).map(mean).collect()
}

#[test]
#[ignore = "many minutes; prints figures"]
fn intervals_hold_the_truth_about_as_often_as_they_say() {
    println!(
        "95 % intervals of {SETS} test sets, percentiles of resamples | halves: held the truth in %, mean width"
    );
    for setting in &SETTINGS {
        let truth = truth(setting);
        for images in [40, 72, 150, 400] {
            let experiments: Vec<_> = (0..SETS)
                .into_par_iter()
                .map(|seed| experiment(setting, images, seed))
                .collect();
            for (column, (name, _)) in COLUMNS.iter().enumerate() {
                let held = |method: usize| {
                    let known: Vec<Interval> = experiments
                        .iter()
                        .filter_map(|each| each[column][method])
                        .collect();
                    let held = known
                        .iter()
                        .filter(|interval| interval.contains(truth[column]))
                        .count();
                    let width = known
                        .iter()
                        .map(|interval| interval.high - interval.low)
                        .sum::<f64>();
                    (held as f64 / known.len() as f64, width / known.len() as f64)
                };
                let (percentiles, halves) = (held(0), held(1));
                println!(
                    "{:16} {images:3} images  {name:18} truth {:6.4}   {:5.1} {:.3} | {:5.1} {:.3}",
                    setting.name,
                    truth[column],
                    100.0 * percentiles.0,
                    percentiles.1,
                    100.0 * halves.0,
                    halves.1
                );
                // Standard error of a rate of 95 %: 1.3 points. A class in seven of 40 images is too little for any interval.
                if setting.objects.len() == 1 || images > 40 {
                    assert!(halves.0 > 0.87, "{name}: {}", halves.0);
                }
            }
        }
    }
}
