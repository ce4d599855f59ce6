//! Two methods on the same test images.

use serde::{Deserialize, Serialize};

use super::ComparisonRow;
use crate::Estimate;
use crate::metrics::{Metric, Outcome, Scores};
use crate::statistics::{CrossedMean, Draws, POWER, SeedValues, SignFlip, holm, mcnemar, sign_flip};

/// A pair of methods `a` and `b`. Every pair of a comparison is in it once.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Pair {
    /// One method.
    pub a: String,
    /// The other method.
    pub b: String,
    /// The compared metric of `a` minus that of `b`, means over the seeds, with an interval over images and seeds.
    pub difference: Estimate,
    /// Two-sided p-value of "both methods are equal", from the same standard error and degrees of freedom as the interval.
    pub p_value: Option<f64>,
    /// The p-value adjusted over all pairs by Holm's method.
    pub p_holm: Option<f64>,
    /// Where the metric is a share of images that are right, and images are independent: tests on the images about
    /// which the two disagree. They know nothing of other seeds.
    pub mcnemar: Option<McNemarTests>,
    /// The smallest difference that would have been found in four of five repetitions.
    pub detectable: Option<f64>,
    /// Test images of the same kind with which the observed difference would be found in four of five repetitions;
    /// `None` where no number of images would do with these seeds.
    pub images_needed: Option<u64>,
    /// In one sentence, which one is better and what it costs.
    pub verdict: String,
}

/// Tests on the images about which two methods disagree: of each seed that both have, and over all seeds.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct McNemarTests {
    /// McNemar's test of the two models of a seed.
    pub seeds: Vec<SeedTest>,
    /// Of the models of all seeds together, by flipping the signs of each image's difference. With one seed it is McNemar's test.
    pub pooled: SignFlip,
}

/// McNemar's test of the two models of one seed.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct SeedTest {
    /// Seed of both trainings.
    pub seed: u64,
    /// The test.
    #[serde(flatten)]
    pub test: SignFlip,
}

/// A method of a comparison, prepared for its pairs.
pub(super) struct Compared<'a> {
    pub row: &'a ComparisonRow,
    pub scores: &'a [Scores],
    pub values: &'a SeedValues,
}

/// All pairs, the earlier method first.
pub(super) fn pairs(methods: &[Compared], draws: &Draws, metric: &Metric, level: f64) -> Vec<Pair> {
    let mut pairs = Vec::new();
    for (i, a) in methods.iter().enumerate() {
        for b in &methods[i + 1..] {
            pairs.push(pair(a, b, draws, metric, level));
        }
    }
    let tested: Vec<usize> = (0..pairs.len()).filter(|&i| pairs[i].p_value.is_some()).collect();
    let p_values: Vec<f64> = pairs.iter().filter_map(|pair| pair.p_value).collect();
    for (i, adjusted) in tested.into_iter().zip(holm(&p_values)) {
        pairs[i].p_holm = Some(adjusted);
    }
    pairs
}

fn pair(a: &Compared, b: &Compared, draws: &Draws, metric: &Metric, level: f64) -> Pair {
    let crossed = CrossedMean::difference(a.values, b.values, draws.units());
    let independent = draws.units() == draws.images();
    Pair {
        a: a.row.method.clone(),
        b: b.row.method.clone(),
        difference: Estimate::crossed(a.values.mean() - b.values.mean(), crossed, level),
        p_value: crossed.ok().map(|mean| mean.p_value()),
        mcnemar: metric
            .outcome
            .filter(|_| independent)
            .and_then(|outcome| mcnemar_tests(a, b, outcome)),
        detectable: crossed.and_then(|mean| mean.detectable(level, POWER)).ok(),
        images_needed: crossed
            .and_then(|mean| mean.images_needed(draws.images(), level, POWER))
            .ok(),
        ..Pair::default()
    }
}

/// `None` where the two methods are not judged on the same images, as with predictive values.
fn mcnemar_tests(a: &Compared, b: &Compared, outcome: Outcome) -> Option<McNemarTests> {
    let outcomes = |method: &Compared| -> Vec<Vec<Option<bool>>> {
        let of_seed = |scores: &Scores| {
            let ones = scores.ones();
            let view = scores.view(&ones);
            (0..scores.len()).map(|image| outcome(&view, image)).collect()
        };
        method.scores.iter().map(of_seed).collect()
    };
    let (of_a, of_b) = (outcomes(a), outcomes(b));
    let counted = |seed: &[Option<bool>]| seed.iter().map(Option::is_some).collect::<Vec<_>>();
    let first = counted(of_a.first()?);
    if of_a.iter().chain(&of_b).any(|seed| counted(seed) != first) {
        return None;
    }
    let seeds = a.row.seeds.iter().zip(&of_a).filter_map(|(&seed, a)| {
        let place = b.row.seeds.iter().position(|&other| other == seed)?;
        let right = |outcomes: &[Option<bool>]| outcomes.iter().copied().flatten().collect::<Vec<_>>();
        let test = mcnemar(right(a), right(&of_b[place]));
        Some(SeedTest { seed, test })
    });
    // With unequal numbers of seeds the counts are brought to a common multiple.
    let times_right = |seeds: &[Vec<Option<bool>>], image: usize| {
        seeds.iter().filter(|seed| seed[image] == Some(true)).count() as i64
    };
    let difference = |image: usize| {
        times_right(&of_a, image) * of_b.len() as i64 - times_right(&of_b, image) * of_a.len() as i64
    };
    let shared = if of_a.len() == of_b.len() {
        of_a.len() as i64
    } else {
        1
    };
    let images = (0..first.len()).filter(|&image| first[image]);
    Some(McNemarTests {
        seeds: seeds.collect(),
        pooled: sign_flip(images.map(|image| difference(image) / shared)),
    })
}
