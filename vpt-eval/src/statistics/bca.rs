//! Intervals from resamples: percentile, and bias-corrected and accelerated (BCa).

use rand::RngExt;
use rayon::prelude::*;

use super::sampling::one_by_one;
use super::{BUNCH, Draws, Interval, normal_cdf, normal_quantile, resample};
use crate::{Bootstrap, NotDefined};

/// How the ends are read from the resampled values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Kind {
    /// Quantiles (Efron & Tibshirani 1993, An Introduction to the Bootstrap, chapter 13).
    Percentile,
    /// Quantiles moved by the bias and the skewness of the resampled values (chapter 14): better for skewed metrics and few
    /// images, at the price of one more evaluation per image (about 500 in all above 2,000 images).
    #[default]
    Bca,
}

/// Up to this many units the jackknife leaves out one at a time.
const JACKKNIFE_ALL: usize = 2000;
/// Above, it leaves out one of about this many random groups: skewness is estimated well enough from them, and the ratio of
/// sums in the acceleration does not depend on the size of the groups.
const JACKKNIFE_GROUPS: usize = 500;
/// Names the random stream of the groups.
const STREAM: u64 = 0x0001_ac4e;

/// Interval of one metric. `statistic` gets how often each image was drawn and returns `None` where it is not defined.
pub fn interval<F>(
    kind: Kind,
    draws: &Draws,
    options: &Bootstrap,
    statistic: F,
) -> Result<Interval, NotDefined>
where
    F: Fn(&[u32]) -> Option<f64> + Sync,
{
    let columns = intervals(kind, draws, 1, options, |weights| vec![statistic(weights)]);
    columns.into_iter().next().unwrap_or(Err(NotDefined::NoImage))
}

/// Intervals of several metrics from the same resamples; `statistics` always returns `columns` values.
pub fn intervals<F>(
    kind: Kind,
    draws: &Draws,
    columns: usize,
    options: &Bootstrap,
    statistics: F,
) -> Vec<Result<Interval, NotDefined>>
where
    F: Fn(&[u32]) -> Vec<Option<f64>> + Sync,
{
    if draws.images() == 0 {
        return vec![Err(NotDefined::NoImage); columns];
    }
    let or_nan = |weights: &[u32]| -> Vec<f64> {
        statistics(weights)
            .into_iter()
            .map(|value| value.unwrap_or(f64::NAN))
            .collect()
    };
    let values = or_nan(&vec![1; draws.images()]);
    let resampled = resample(draws, columns, options, or_nan);
    match kind {
        Kind::Percentile => (0..columns)
            .map(|c| {
                finite(values[c])?;
                percentile(&resampled[c], options.level)
            })
            .collect(),
        Kind::Bca => {
            let left_out = jackknife(draws, columns, or_nan);
            (0..columns)
                .map(|c| bca(values[c], &resampled[c], &left_out[c], options.level))
                .collect()
        }
    }
}

/// Quantile of sorted values, interpolated linearly as numpy does.
pub(crate) fn quantile(sorted: &[f64], q: f64) -> f64 {
    let place = q.clamp(0.0, 1.0) * (sorted.len() - 1) as f64;
    let (low, high) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
    low + (high - low) * place.fract()
}

/// Percentile interval of resampled values; NaN stands for a resample in which the metric is not defined.
pub fn percentile(resampled: &[f64], level: f64) -> Result<Interval, NotDefined> {
    let tail = tail(level)?;
    let sorted = sorted(resampled)?;
    Ok(Interval {
        low: quantile(&sorted, tail),
        high: quantile(&sorted, 1.0 - tail),
    })
}

/// BCa interval (Efron 1987, J. Am. Stat. Assoc. 82:171) around `value`, from resampled values (NaN: not defined in that
/// resample) and the values of [`jackknife`], one list per stratum.
///
/// Resampled values equal to `value` count half in the bias, as in SciPy. Where no jackknife value differs from the others
/// the acceleration is 0.
pub fn bca(
    value: f64,
    resampled: &[f64],
    jackknife: &[Vec<f64>],
    level: f64,
) -> Result<Interval, NotDefined> {
    let tail = tail(level)?;
    finite(value)?;
    let sorted = sorted(resampled)?;
    let below = sorted.partition_point(|&x| x < value);
    let equal = sorted.partition_point(|&x| x <= value) - below;
    let bias = normal_quantile((below as f64 + equal as f64 / 2.0) / sorted.len() as f64);
    if !bias.is_finite() {
        return Err(NotDefined::TooFewResamples);
    }
    let acceleration = acceleration(jackknife);
    let end = |reach: f64| {
        let moved = bias + reach;
        let room = 1.0 - acceleration * moved;
        // Past the pole of the formula the ends would change sides.
        (room > 0.0)
            .then(|| quantile(&sorted, normal_cdf(bias + moved / room)))
            .ok_or(NotDefined::TooFewResamples)
    };
    let reach = normal_quantile(tail);
    Ok(Interval {
        low: end(reach)?,
        high: end(-reach)?,
    })
}

/// The statistics without one unit (image or group) at a time: for each of `columns` statistics one list per stratum.
/// Above 2,000 units, without one of about 500 random groups of units at a time; the groups are the same in every call.
pub fn jackknife<F>(draws: &Draws, columns: usize, statistics: F) -> Vec<Vec<Vec<f64>>>
where
    F: Fn(&[u32]) -> Vec<f64> + Sync,
{
    jackknife_bunches(draws, columns, one_by_one(statistics))
}

/// [`jackknife`] where `statistics` gets up to [`BUNCH`] weightings at once, so that they may share work, and returns the values of each.
pub fn jackknife_bunches<F>(draws: &Draws, columns: usize, statistics: F) -> Vec<Vec<Vec<f64>>>
where
    F: Fn(&[Vec<u32>]) -> Vec<Vec<f64>> + Sync,
{
    let size = if draws.units() > JACKKNIFE_ALL {
        draws.units().div_ceil(JACKKNIFE_GROUPS)
    } else {
        1
    };
    let without = |units: &&[usize]| {
        let mut weights = vec![1; draws.images()];
        for &image in units.iter().flat_map(|&unit| draws.unit(unit)) {
            weights[image as usize] = 0;
        }
        weights
    };
    let mut rng = vpt_data::rng::rng(0, &[STREAM]);
    let strata: Vec<Vec<Vec<f64>>> = draws
        .strata
        .iter()
        .map(|stratum| {
            let mut units: Vec<usize> = stratum.clone().collect();
            if size > 1 {
                // Images often come sorted by class: neighbours would make groups that differ more than random ones do.
                for last in (1..units.len()).rev() {
                    units.swap(last, rng.random_range(0..=last as u32) as usize);
                }
            }
            let parts: Vec<&[usize]> = units.chunks(size).collect();
            let bunches = parts.par_chunks(BUNCH);
            let rows = bunches.map(|parts| statistics(&parts.iter().map(without).collect::<Vec<_>>()));
            rows.collect::<Vec<_>>().concat()
        })
        .collect();
    let column = |c: usize| {
        strata
            .iter()
            .map(|rows| rows.iter().map(|row| row[c]).collect())
            .collect()
    };
    (0..columns).map(column).collect()
}

/// Acceleration from jackknife values (Efron & Tibshirani 1993, equation 14.15; for several strata Davison & Hinkley 1997,
/// equation 5.25).
fn acceleration(jackknife: &[Vec<f64>]) -> f64 {
    let (mut squares, mut cubes) = (0.0, 0.0);
    for stratum in jackknife {
        let defined: Vec<f64> = stratum.iter().copied().filter(|x| x.is_finite()).collect();
        let n = defined.len() as f64;
        let mean = defined.iter().sum::<f64>() / n;
        for x in defined {
            let influence = (mean - x) * (n - 1.0) / n;
            squares += influence.powi(2);
            cubes += influence.powi(3);
        }
    }
    let scale = squares.powf(1.5);
    if scale > 0.0 { cubes / (6.0 * scale) } else { 0.0 }
}

fn tail(level: f64) -> Result<f64, NotDefined> {
    let inside = level > 0.0 && level < 1.0; // NaN is not
    inside.then(|| (1.0 - level) / 2.0).ok_or(NotDefined::OutOfRange)
}

fn finite(value: f64) -> Result<(), NotDefined> {
    value.is_finite().then_some(()).ok_or(NotDefined::NotFinite)
}

/// The defined values in order, if they can tell something.
fn sorted(resampled: &[f64]) -> Result<Vec<f64>, NotDefined> {
    let mut defined: Vec<f64> = resampled.iter().copied().filter(|x| x.is_finite()).collect();
    if defined.len() < 2 || 2 * defined.len() < resampled.len() {
        return Err(NotDefined::TooFewResamples);
    }
    defined.sort_unstable_by(f64::total_cmp);
    if defined.first() == defined.last() {
        return Err(NotDefined::NoVariation);
    }
    Ok(defined)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statistics::Sampling;

    #[test]
    fn degenerate_input_has_a_reason() {
        let options = Bootstrap {
            resamples: 50,
            ..Bootstrap::default()
        };
        let of = |images: usize, kind, statistic: fn(&[u32]) -> Option<f64>| {
            interval(kind, &Draws::new(images, &Sampling::Images), &options, statistic)
        };
        for kind in [Kind::Percentile, Kind::Bca] {
            assert_eq!(of(0, kind, |_| Some(1.0)), Err(NotDefined::NoImage));
            assert_eq!(of(5, kind, |_| None), Err(NotDefined::NotFinite));
            assert_eq!(of(5, kind, |_| Some(f64::NAN)), Err(NotDefined::NotFinite));
            assert_eq!(of(5, kind, |_| Some(1.0)), Err(NotDefined::NoVariation));
            let rarely = |weights: &[u32]| weights.iter().all(|&w| w == 1).then_some(1.0);
            assert_eq!(of(5, kind, rarely), Err(NotDefined::TooFewResamples));
        }
        assert_eq!(percentile(&[1.0, 2.0], 1.0), Err(NotDefined::OutOfRange));
        assert_eq!(bca(1.0, &[1.0, 2.0], &[], f64::NAN), Err(NotDefined::OutOfRange));
        assert_eq!(bca(3.0, &[1.0, 2.0], &[], 0.9), Err(NotDefined::TooFewResamples));
    }

    #[test]
    fn without_bias_and_skew_it_is_the_percentile_interval() {
        let values: Vec<f64> = (0..1001).map(f64::from).collect();
        let corrected = bca(500.0, &values, &[vec![1.0, 2.0, 3.0]], 0.9).unwrap();
        let plain = percentile(&values, 0.9).unwrap();
        assert!((corrected.low - plain.low).abs() < 1e-9 && (corrected.high - plain.high).abs() < 1e-9);
    }

    #[test]
    fn grouped_jackknife_gives_nearly_the_same_acceleration() {
        // The mean of a skewed variable: its acceleration is skewness / (6 √n).
        let images = 4000;
        let x: Vec<f64> = (0..images)
            .map(|i| -((f64::from(i) + 0.5) / f64::from(images)).ln())
            .collect();
        let mean = |weights: &[u32]| {
            let total: u32 = weights.iter().sum();
            let sum: f64 = x.iter().zip(weights).map(|(x, &w)| x * f64::from(w)).sum();
            vec![sum / f64::from(total)]
        };
        let left_out = jackknife(&Draws::new(x.len(), &Sampling::Images), 1, mean);
        assert_eq!(left_out[0][0].len(), 500);
        let expected = 2.0 / (6.0 * f64::from(images).sqrt());
        assert!((acceleration(&left_out[0]) / expected - 1.0).abs() < 0.5);
    }
}
