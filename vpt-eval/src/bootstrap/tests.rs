use ndarray::Array2;
use rand::RngExt;

use super::*;
use crate::metrics;
use crate::statistics::{CrossedMean, Draws, Proportion};

const TOP1: &str = "top1";

/// Two-class predictions that are right where `right` says so.
fn predictions(right: &[bool]) -> Predictions {
    let logits = Array2::from_shape_fn((right.len(), 2), |(i, class)| {
        let says_one = right[i] == (i % 2 == 1);
        f32::from(u8::from(says_one == (class == 1)))
    });
    let paths = (0..right.len()).map(|i| format!("{i}.png").into()).collect();
    let labels = (0..right.len()).map(|i| i % 2).collect();
    Predictions::new(vec!["a".into(), "b".into()], paths, labels, logits).unwrap()
}

fn flips(seed: u64, images: usize, p: f64) -> Vec<bool> {
    let mut rng = vpt_data::rng::rng(seed, &[]);
    (0..images).map(|_| rng.random_bool(p)).collect()
}

fn interval(metric: &str, right: &[bool], options: &Bootstrap) -> Estimate {
    intervals(&predictions(right), &[metrics::find(metric).unwrap()], options)[0]
}

fn top1(right: &[bool], options: &Bootstrap) -> Estimate {
    interval(TOP1, right, options)
}

#[test]
fn patients_make_intervals_wider() {
    // Four images a patient, all right or all wrong: four equal images are one observation.
    let patients = flips(7, 60, 0.7);
    let right: Vec<bool> = (0..240).map(|i| patients[i / 4]).collect();
    let alone = predictions(&right);
    let grouped = Predictions {
        groups: (0..240).map(|i| Some((i / 4).to_string())).collect(),
        ..alone.clone()
    };
    for metric in [TOP1, "auroc", "mcc"] {
        let width = |predictions: &Predictions| {
            let metrics = [metrics::find(metric).unwrap()];
            let (low, high) = intervals(predictions, &metrics, &Bootstrap::default())[0]
                .interval()
                .unwrap();
            high - low
        };
        let ratio = width(&grouped) / width(&alone);
        assert!(
            (1.7..2.4).contains(&ratio),
            "{metric}: √4 times as wide, got {ratio}"
        );
    }
}

#[test]
fn all_right_is_as_sure_as_there_are_patients() {
    let grouped = Predictions {
        groups: (0..40).map(|i| Some((i / 4).to_string())).collect(),
        ..predictions(&[true; 40])
    };
    let top1 = intervals(&grouped, &[metrics::find(TOP1).unwrap()], &Bootstrap::default())[0];
    assert_eq!(
        top1.ci_low,
        Some(Proportion::new(10, 10).wilson(0.95).unwrap().low)
    );
}

#[test]
fn width_is_that_of_the_normal_approximation() {
    let right: Vec<bool> = (0..400).map(|i| i % 5 != 0).collect();
    let estimate = top1(&right, &Bootstrap::default());
    let (low, high) = estimate.interval().unwrap();
    let expected = 2.0 * 1.96 * (0.8 * 0.2 / 400.0_f64).sqrt();
    assert_eq!(estimate.value, Some(0.8));
    assert!(
        ((high - low) / expected - 1.0).abs() < 0.1,
        "{} {expected}",
        high - low
    );
}

#[test]
fn intervals_cover_the_truth_about_as_often_as_they_say() {
    let options = Bootstrap {
        resamples: 300,
        ..Bootstrap::default()
    };
    let covers = |experiment: &u64| {
        let (low, high) = top1(&flips(*experiment, 100, 0.7), &options).interval().unwrap();
        (low..=high).contains(&0.7)
    };
    let covered = (0..400).filter(covers).count();
    assert!((360..396).contains(&covered), "{covered} of 400, 380 expected");
}

#[test]
fn threads_change_nothing() {
    let right = flips(1, 200, 0.6);
    let with = |threads| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| interval("mcc", &right, &Bootstrap::default()))
    };
    assert_eq!(with(1), with(4));
    let other_seed = interval(
        "mcc",
        &right,
        &Bootstrap {
            seed: 1,
            ..Bootstrap::default()
        },
    );
    assert_ne!(with(1), other_seed);
}

#[test]
fn a_perfect_score_is_not_certain() {
    let (low, high) = top1(&[true; 60], &Bootstrap::default()).interval().unwrap();
    assert_eq!(low, Proportion::new(60, 60).wilson(0.95).unwrap().low);
    assert_eq!(high, 1.0);
    let mcc = intervals(
        &predictions(&[true; 60]),
        &[metrics::find("mcc").unwrap()],
        &Bootstrap::default(),
    )[0];
    assert_eq!((mcc.value, mcc.interval()), (Some(1.0), None));
}

#[test]
fn no_image_gives_no_interval() {
    assert_eq!(top1(&[], &Bootstrap::default()), Estimate::default());
}

#[test]
fn pairing_takes_out_what_both_share() {
    // b is a with 6 of 200 images wrong that a has right.
    let a = flips(3, 200, 0.7);
    let mut b = a.clone();
    b.iter_mut()
        .filter(|right| **right)
        .take(6)
        .for_each(|right| *right = false);
    let options = Bootstrap::default();
    let (a, b) = (predictions(&a), predictions(&b));
    let paired = paired_difference(("a", &a), ("b", &b), TOP1, &options).unwrap();
    let (low, high) = paired.interval().unwrap();
    assert!((paired.value.unwrap() - 0.03).abs() < 1e-12);
    assert!(low > 0.0 && high < 0.06, "{low} {high}");
    let same = paired_difference(("a", &a), ("a", &a), TOP1, &options).unwrap();
    assert_eq!((same.value, same.interval()), (Some(0.0), None));
}

#[test]
fn seeds_add_their_own_variance() {
    let rates = [0.5, 0.7, 0.9];
    let seeds: Vec<Scores> = rates
        .iter()
        .map(|&p| Scores::of(&predictions(&flips(9, 2000, p))))
        .collect();
    let draws = Draws::new(2000, &crate::statistics::Sampling::Images);
    let metric = metrics::find(TOP1).unwrap();
    let values = &seed_values(&[seeds], &draws, metric, &Bootstrap::default())[0];
    let mean = CrossedMean::of(values, 2000).unwrap();
    // The sample variance of the three rates is 0.04, so that of their mean is 0.04 / 3; the images add little.
    assert!(
        (mean.variance / (0.04 / 3.0) - 1.0).abs() < 0.05,
        "{}",
        mean.variance
    );
    assert!((mean.degrees - 2.0).abs() < 0.1, "{}", mean.degrees);
}
