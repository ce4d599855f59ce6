//! Several models on the same images: differences and means over seeds.

use super::statistic::{half_sample_estimates, is_boxes};
use super::{Bootstrap, Estimate, or_nan};
use crate::metrics::{self, Metric, Scores};
use crate::statistics::{self, Draws, Scale, SeedValues};
use crate::{EvalError, Predictions};

/// The difference `a − b` of a metric between two models on the same images, with its interval: both are computed on
/// the same resamples (for boxes, halves), so what makes an image hard for both cancels.
pub fn paired_difference(
    a: (&str, &Predictions),
    b: (&str, &Predictions),
    metric: &str,
    options: &Bootstrap,
) -> Result<Estimate, EvalError> {
    let metric = metrics::find(metric)?;
    a.1.check_paired(b.1, a.0, b.0)?;
    let (scores_a, scores_b) = (Scores::of(a.1), Scores::of(b.1));
    let difference = |weights: &[u32]| {
        Some((metric.compute)(&scores_a.view(weights))? - (metric.compute)(&scores_b.view(weights))?)
    };
    if is_boxes(&scores_a) {
        let estimates = half_sample_estimates(&a.1.draws(), options, &[Scale::Difference], |weights| {
            vec![difference(weights)]
        });
        return Ok(estimates.into_iter().next().unwrap_or_default());
    }
    let columns = statistics::resample(&a.1.draws(), 1, options, |weights| {
        or_nan(vec![difference(weights)])
    });
    Ok(Estimate::new(
        difference(&scores_a.ones()),
        &columns[0],
        options.level,
        None,
    ))
}

/// A metric of each method's seeds, on the images as they are and on resamples of them (or of what `draws` holds together)
/// that all methods and seeds share, as they share the test set. For boxes, whose numbers copies of an image raise, halves of the images take the
/// place of resamples, drawn together around the value so that they spread as resamples of a mean would.
pub fn seed_values(
    methods: &[Vec<Scores>],
    draws: &Draws,
    metric: &Metric,
    options: &Bootstrap,
) -> Vec<SeedValues> {
    let all: Vec<&Scores> = methods.iter().flatten().collect();
    let values = |weights: &[u32]| -> Vec<f64> {
        or_nan(
            all.iter()
                .map(|scores| (metric.compute)(&scores.view(weights)))
                .collect(),
        )
    };
    let plain = values(&vec![1; draws.images()]);
    let resampled = if all.iter().any(|scores| is_boxes(scores)) {
        let mut halves = statistics::half_samples(draws, all.len(), options, values);
        // `CrossedMean` makes up for resamples of n units, which show (n − 1)/n of their variance.
        let shrink = (1.0 - 1.0 / draws.units().max(1) as f64).sqrt();
        for (halves, value) in halves.iter_mut().zip(&plain) {
            for half in halves {
                *half = value + (*half - value) * shrink;
            }
        }
        halves
    } else {
        statistics::resample(draws, all.len(), options, values)
    };
    let mut resampled = resampled.into_iter();
    let mut plain = plain.into_iter();
    let of_method = |seeds: &Vec<Scores>| SeedValues {
        values: plain.by_ref().take(seeds.len()).collect(),
        resampled: resampled.by_ref().take(seeds.len()).collect(),
    };
    methods.iter().map(of_method).collect()
}
