//! Two methods on the same test images.

use serde::{Deserialize, Serialize};

use crate::Estimate;

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
    /// Two-sided p-value of "the methods are equal", from the same standard error and degrees of freedom as the interval.
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

/// McNemar's test of each seed that both methods have, and over all seeds.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct McNemarTests {
    /// One entry per seed that both have.
    pub seeds: Vec<SeedTest>,
    /// Of the models of all seeds together: signs of each image's difference are flipped. With one seed it is McNemar's test.
    pub pooled: ExactTest,
}

/// McNemar's test of the two models of one seed.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct SeedTest {
    /// Seed of both trainings.
    pub seed: u64,
    /// The test.
    #[serde(flatten)]
    pub test: ExactTest,
}

/// An exact test on the images about which two methods disagree.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ExactTest {
    /// Images that `a` has right, or more often right than `b`.
    pub a_better: u64,
    /// Images that `b` has right, or more often right than `a`.
    pub b_better: u64,
    /// Two-sided exact p-value.
    pub p_value: f64,
    /// The mid-p-value, which counts only half of the observed outcome and is less conservative.
    pub mid_p: f64,
}
