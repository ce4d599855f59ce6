//! How often 95 % intervals hold the truth, on simulated test sets, and how long they take. Slow, so on request only:
//!
//! `cargo test --release -p vpt-eval --test coverage -- --ignored --nocapture`

#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::collections::BTreeMap;
use std::time::Instant;

use rand::RngExt;
use rand_pcg::Pcg64;
use rayon::prelude::*;
use vpt_eval::Bootstrap;
use vpt_eval::metrics::curves::Ranking;
use vpt_eval::metrics::operating_points::BinaryCounts;
use vpt_eval::statistics::{
    self, Draws, Interval, Kind, Sampling, delong, normal_cdf, normal_quantile, resample,
};

const DRAWS: u64 = 2000;
const IMAGES: usize = 200;
const PREVALENCE: f64 = 0.3;
const AUROC: f64 = 0.8;
const LEVEL: f64 = 0.95;
const IMAGES_OF_A_PATIENT: usize = 4;
/// Correlation of the scores of a patient's images, beyond their label.
const CORRELATION: f64 = 0.5;

fn normal(rng: &mut Pcg64) -> f64 {
    // Never 0, where the quantile is infinite.
    normal_quantile((f64::from(rng.random::<u32>()) + 0.5) / 4294967296.0)
}

/// Distance of the two classes' means, in standard deviations, at which the AUROC is the wanted one.
fn separation() -> f64 {
    std::f64::consts::SQRT_2 * normal_quantile(AUROC)
}

/// Independent images if `size` is 1, else patients with `size` images of one label each.
fn test_set(rng: &mut Pcg64, size: usize) -> (Vec<f64>, Vec<bool>, Vec<usize>) {
    let shared_part = if size > 1 { CORRELATION } else { 0.0 };
    let (mut scores, mut positive, mut groups) = (Vec::new(), Vec::new(), Vec::new());
    for group in 0..IMAGES / size {
        let is_positive = rng.random_bool(PREVALENCE);
        let shared = normal(rng) * f64::sqrt(shared_part);
        for _ in 0..size {
            let own = normal(rng) * f64::sqrt(1.0 - shared_part);
            scores.push(shared + own + if is_positive { separation() } else { 0.0 });
            positive.push(is_positive);
            groups.push(group);
        }
    }
    (scores, positive, groups)
}

/// Percentile and BCa interval of the AUROC from the same resamples.
fn bootstrap(ranking: &Ranking, images: usize, sampling: &Sampling, seed: u64) -> [Option<Interval>; 2] {
    let draws = Draws::new(images, sampling);
    let options = Bootstrap {
        level: LEVEL,
        resamples: 1000,
        seed,
    };
    let auroc = |weights: &[u32]| vec![ranking.areas(weights).auroc.unwrap_or(f64::NAN)];
    let resampled = resample(&draws, 1, &options, auroc);
    let left_out = statistics::jackknife(&draws, 1, auroc);
    let value = auroc(&vec![1; images])[0];
    [
        statistics::percentile(&resampled[0], LEVEL).ok(),
        statistics::bca(value, &resampled[0], &left_out[0], LEVEL).ok(),
    ]
}

/// Name, truth and interval of everything computed on one simulated test set.
fn experiment(seed: u64) -> Vec<(&'static str, f64, Option<Interval>)> {
    let mut rng = vpt_data::rng::rng(seed, &[0xc0e4]);
    let (scores, positive, _) = test_set(&mut rng, 1);
    let threshold = separation() / 2.0;
    let sensitivity = normal_cdf(separation() - threshold);
    let specificity = normal_cdf(threshold);
    let accuracy = PREVALENCE * sensitivity + (1.0 - PREVALENCE) * specificity;
    let counts = BinaryCounts::at(&scores, &positive, &[1; IMAGES], threshold);
    let ranking = Ranking::new(&scores, &positive);
    let classes: Vec<usize> = positive.iter().map(|&p| usize::from(p)).collect();
    let [percentile, bca] = bootstrap(&ranking, IMAGES, &Sampling::Images, seed);
    let [stratified, stratified_bca] = bootstrap(&ranking, IMAGES, &Sampling::Stratified(&classes), seed);
    let area = delong(&scores, &positive).unwrap();

    let (scores, positive, groups) = test_set(&mut rng, IMAGES_OF_A_PATIENT);
    let ranking = Ranking::new(&scores, &positive);
    let [clustered, clustered_bca] = bootstrap(&ranking, IMAGES, &Sampling::Clustered(&groups), seed);
    let [unaware, _] = bootstrap(&ranking, IMAGES, &Sampling::Images, seed);
    let patients_area = delong(&scores, &positive).ok();
    vec![
        ("accuracy, Wilson", accuracy, counts.accuracy().wilson(LEVEL).ok()),
        (
            "sensitivity, Wilson",
            sensitivity,
            counts.sensitivity().wilson(LEVEL).ok(),
        ),
        ("AUROC, DeLong", AUROC, area.interval(LEVEL).ok()),
        (
            "AUROC, DeLong on the logit",
            AUROC,
            area.logit_interval(LEVEL).ok(),
        ),
        ("AUROC, percentile", AUROC, percentile),
        ("AUROC, BCa", AUROC, bca),
        ("AUROC, percentile stratified", AUROC, stratified),
        ("AUROC, BCa stratified", AUROC, stratified_bca),
        ("patients: AUROC, percentile clustered", AUROC, clustered),
        ("patients: AUROC, BCa clustered", AUROC, clustered_bca),
        ("patients: AUROC, percentile of images", AUROC, unaware),
        (
            "patients: AUROC, DeLong of images",
            AUROC,
            patients_area.and_then(|area| area.interval(LEVEL).ok()),
        ),
    ]
}

#[test]
#[ignore = "half a minute; prints figures"]
fn coverage_of_intervals() {
    let experiments: Vec<_> = (0..DRAWS).into_par_iter().map(experiment).collect();
    let mut found = BTreeMap::<&str, (f64, f64, f64)>::new();
    for &(name, truth, interval) in experiments.iter().flatten() {
        let Some(interval) = interval else { continue };
        let (defined, covered, width) = found.entry(name).or_default();
        *defined += 1.0;
        *covered += f64::from(u8::from(interval.contains(truth)));
        *width += interval.high - interval.low;
    }
    for (name, (defined, covered, width)) in &found {
        println!(
            "{name:40} covers {:5.1} % of {defined}, mean width {:.4}",
            100.0 * covered / defined,
            width / defined
        );
    }
    for (name, (defined, covered, _)) in &found {
        let share = covered / defined;
        let wanted = if name.ends_with("of images") {
            0.5..0.92
        } else {
            0.90..0.98
        };
        assert!(wanted.contains(&share), "{name}: {share}");
    }
}

#[test]
#[ignore = "prints times"]
fn time_of_ten_thousand_resamples() {
    let images = 10_000;
    let mut rng = vpt_data::rng::rng(1, &[]);
    let positive: Vec<bool> = (0..images).map(|_| rng.random_bool(PREVALENCE)).collect();
    let scores: Vec<f64> = positive
        .iter()
        .map(|&p| normal(&mut rng) + if p { separation() } else { 0.0 })
        .collect();
    let groups: Vec<usize> = (0..images).map(|i| i / IMAGES_OF_A_PATIENT).collect();
    let classes: Vec<usize> = positive.iter().map(|&p| usize::from(p)).collect();
    let right: Vec<bool> = scores
        .iter()
        .zip(&positive)
        .map(|(&score, &p)| (score >= separation() / 2.0) == p)
        .collect();
    let options = Bootstrap {
        resamples: 10_000,
        ..Bootstrap::default()
    };
    for kind in [Kind::Percentile, Kind::Bca] {
        for (name, sampling) in [
            ("images", Sampling::Images),
            ("stratified", Sampling::Stratified(&classes)),
            ("clustered", Sampling::Clustered(&groups)),
        ] {
            let start = Instant::now();
            let ranking = Ranking::new(&scores, &positive);
            let draws = Draws::new(images, &sampling);
            let both = statistics::intervals(kind, &draws, 2, &options, |weights| {
                let (mut hits, mut total) = (0, 0);
                for (&right, &weight) in right.iter().zip(weights) {
                    hits += u32::from(right) * weight;
                    total += weight;
                }
                vec![
                    ranking.areas(weights).auroc,
                    Some(f64::from(hits) / f64::from(total)),
                ]
            });
            println!("{kind:?}, {name}: {:.2?}, {both:?}", start.elapsed());
        }
    }
    let start = Instant::now();
    let area = delong(&scores, &positive).unwrap();
    println!(
        "DeLong: {:.2?}, {:?}",
        start.elapsed(),
        area.interval(LEVEL).unwrap()
    );
}
