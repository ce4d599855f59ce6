//! How often methods that are equally good are called different: in simulated comparisons, with figures for the docs. Slow, so on request only:
//!
//! `cargo test --release --workspace --test null_comparisons -- --ignored --nocapture`

#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::path::PathBuf;

use ndarray::Array2;
use rand::RngExt;
use rand_pcg::Pcg64;
use rayon::prelude::*;
use vpt_eval::statistics::{normal_cdf, normal_quantile};
use vpt_eval::{Bootstrap, Comparison, Predictions, Results, RunSummary};

const DRAWS: u64 = 2000;
const IMAGES: usize = 300;
const METHODS: usize = 6;
const ACCURACY: f64 = 0.8;
/// Of the latent variance that decides whether an image is right, what all models share and what the seeds of a method share.
const HARDNESS: f64 = 0.5;
const OF_METHOD: f64 = 0.2;

fn normal(rng: &mut Pcg64) -> f64 {
    // Never 0, where the quantile is infinite.
    normal_quantile((f64::from(rng.random::<u32>()) + 0.5) / 4294967296.0)
}

/// Runs of methods that are equally good over all seeds and images; accuracies of seeds spread with `spread`.
fn runs(draw: u64, seeds: u64, spread: f64) -> Vec<RunSummary> {
    let mut rng = vpt_data::rng::rng(draw, &[0x4011, seeds, (spread * 1e4) as u64]);
    let mut normals = |n: usize| (0..n).map(|_| normal(&mut rng)).collect::<Vec<f64>>();
    let hardness = normals(IMAGES);
    let centre = normal_quantile(ACCURACY);
    let slope = (-centre * centre / 2.0).exp() / std::f64::consts::TAU.sqrt();
    // The seeds' spread lowers the mean accuracy a little, for all methods alike.
    let mut runs = Vec::new();
    for method in 0..METHODS {
        let of_method = normals(IMAGES);
        for seed in 0..seeds {
            let level = centre + normals(1)[0] * spread / slope;
            let own = normals(IMAGES);
            let right = |i: usize| {
                let rest = 1.0 - HARDNESS - OF_METHOD;
                level + HARDNESS.sqrt() * hardness[i] + OF_METHOD.sqrt() * of_method[i] + rest.sqrt() * own[i]
                    > 0.0
            };
            let logits = Array2::from_shape_fn((IMAGES, 2), |(i, class)| {
                f32::from(u8::from((i % 2 == class) == right(i)))
            });
            let paths = (0..IMAGES).map(|i| PathBuf::from(i.to_string())).collect();
            let labels = (0..IMAGES).map(|i| i % 2).collect();
            let classes = vec!["a".into(), "b".into()];
            runs.push(RunSummary {
                method: format!("method {method}"),
                seed,
                results: Results::default(),
                predictions: Predictions::new(classes, paths, labels, logits).unwrap(),
                epochs: Vec::new(),
                run_dir: PathBuf::new(),
            });
        }
    }
    runs
}

/// What is called significant at 5 % in one comparison.
fn experiment(draw: u64, seeds: u64, spread: f64) -> Vec<(&'static str, bool)> {
    let options = Bootstrap {
        resamples: 400,
        seed: draw,
        ..Bootstrap::default()
    };
    let comparison =
        Comparison::with_metric(&runs(draw, seeds, spread), "method 0", "top1", &options).unwrap();
    let first = &comparison.pairs[0];
    let excludes_0 = |pair: &vpt_eval::Pair| {
        pair.difference
            .interval()
            .is_some_and(|(low, high)| low > 0.0 || high < 0.0)
    };
    let tests = first.mcnemar.as_ref().unwrap();
    let any = |found: fn(&vpt_eval::Pair) -> Option<f64>| {
        comparison
            .pairs
            .iter()
            .any(|pair| found(pair).is_some_and(|p| p <= 0.05))
    };
    vec![
        ("1 interval of the difference", excludes_0(first)),
        ("2 McNemar, exact, of a seed", tests.seeds[0].test.p_value <= 0.05),
        ("3 McNemar, mid-p, of a seed", tests.seeds[0].test.mid_p <= 0.05),
        ("4 sign flips over seeds, exact", tests.pooled.p_value <= 0.05),
        ("5 sign flips over seeds, mid-p", tests.pooled.mid_p <= 0.05),
        ("6 any of 15 pairs, unadjusted", any(|pair| pair.p_value)),
        ("7 any of 15 pairs, Holm", any(|pair| pair.p_holm)),
    ]
}

#[test]
#[ignore = "minutes; prints figures"]
fn null_comparisons_are_significant_at_the_stated_rate() {
    assert!((normal_cdf(normal_quantile(ACCURACY)) - ACCURACY).abs() < 1e-12);
    for spread in [0.0, 0.01, 0.02] {
        for seeds in 1..=3 {
            let experiments: Vec<_> = (0..DRAWS)
                .into_par_iter()
                .map(|draw| experiment(draw, seeds, spread))
                .collect();
            let rate = |place: usize| {
                let found = experiments.iter().filter(|found| found[place].1).count();
                found as f64 / DRAWS as f64
            };
            for (place, (name, _)) in experiments[0].iter().enumerate() {
                println!(
                    "seeds spread by {:.0} points, {seeds} seeds: {name:34} {:5.1} %",
                    100.0 * spread,
                    100.0 * rate(place)
                );
            }
            // Standard error of a rate of 5 %: half a point. One seed cannot know how far seeds spread; how far two do, they hardly know.
            if seeds > 1 || spread == 0.0 {
                assert!(rate(0) < 0.07, "interval: {}", rate(0));
                assert!(rate(6) < 0.07, "Holm: {}", rate(6));
            }
            if spread == 0.0 {
                for place in [1, 2, 3, 4] {
                    assert!((0.02..0.065).contains(&rate(place)), "{place}: {}", rate(place));
                }
            }
        }
    }
}
