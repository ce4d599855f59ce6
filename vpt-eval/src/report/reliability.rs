//! The reliability diagram: is the model as often right as it is sure?

use ndarray::Array2;
use vpt_core::Calibration;

use super::axes::{Axes, Axis};
use super::evaluated::{Decided, Evaluated, percent_of};
use super::figure::{Entry, Figure};
use super::format::{UNKNOWN, Unit};
use super::svg::Svg;
use crate::metrics::calibration::ECE_BINS;
use crate::metrics::probabilities;
use crate::metrics::reliability::{ReliabilityBin, reliability_curve};
use crate::{NotDefined, Predictions};

const TITLE: &str = "Reliability";

/// How often predictions of a confidence are right, above a histogram of the confidences; before and after temperature
/// scaling where there is one.
pub(super) fn reliability(run: &Evaluated) -> Figure {
    let bins = match bins(run, &run.probs) {
        Ok(bins) => bins,
        Err(reason) => return Figure::missing(TITLE, &reason),
    };
    let mut svg = Svg::new(380.0, 404.0, "Reliability diagram and histogram of confidence");
    let (left, right) = (52.0, 366.0);
    let percent = Axis::percent("confidence of the prediction (%)");
    let axes = Axes::draw(
        &mut svg,
        (left, 12.0),
        (right, 262.0),
        &Axis::percent(""),
        &Axis::percent("right (%)"),
    );
    axes.help(&mut svg, (0.0, 0.0), (100.0, 100.0));
    let mut legend = vec![Entry::new("zero", "as often right as sure")];
    if run.is_scaled()
        && let Ok(before) = self::bins(run, &unscaled(run))
    {
        axes.curve(&mut svg, "s1 dashed", &points(&before));
        legend.push(Entry::new(
            "s1 dashed",
            format!("before temperature scaling: error {}", error(run, false)),
        ));
    }
    let points = points(&bins);
    if points.len() > 1 {
        axes.curve(&mut svg, "s0", &points);
    }
    for (bin, at) in bins
        .iter()
        .filter(|bin| bin.mean_probability.is_some())
        .zip(&points)
    {
        if let Ok(interval) = bin.observed.wilson(run.results.bootstrap.level) {
            let end = |share: f64| axes.at((at.0, 100.0 * share));
            svg.line("bar thin s0", end(interval.low), end(interval.high));
        }
        svg.dot("s0", axes.at(*at), 3.5);
    }
    let name = if run.is_scaled() {
        format!("after temperature {:.3}", run.temperature)
    } else {
        "the model".to_owned()
    };
    legend.push(Entry::new("s0", format!("{name}: error {}", error(run, true))));

    let share = |bin: &ReliabilityBin| 100.0 * bin.observed.items as f64 / run.predictions.len() as f64;
    let highest = bins.iter().map(share).fold(0.0, f64::max);
    let images = Axis {
        label: "images (%)",
        range: (0.0, highest.max(1.0)),
        ticks: 2,
    };
    let columns = Axes::draw(&mut svg, (left, 288.0), (right, 362.0), &percent, &images);
    for bin in &bins {
        columns.column(&mut svg, "s0", (100.0 * bin.low, 100.0 * bin.high), share(bin));
    }
    Figure::new(TITLE, svg, legend, &[caption(run)])
}

fn caption(run: &Evaluated) -> String {
    let Decided { confidence, correct } = run.decided(&run.probs);
    let (n, right) = (
        confidence.len() as f64,
        correct.iter().filter(|right| **right).count() as f64,
    );
    let (sure, right) = (confidence.iter().sum::<f64>() / n, right / n);
    let verdict = match sure - right {
        gap if gap > 0.02 => "it is too sure",
        gap if gap < -0.02 => "it is less sure than it could be",
        _ => "on average it is as sure as it should be",
    };
    format!(
        "How often predictions are right, by how sure the model is, with intervals; below, how many images there are of each \
         confidence. The mean confidence is {}, the share of right ones {}: {verdict}. The expected calibration error, the mean \
         distance from the diagonal in {ECE_BINS} bins, is {}.",
        percent_of(sure),
        percent_of(right),
        error(run, true)
    )
}

/// Probabilities without temperature scaling.
fn unscaled(run: &Evaluated) -> Array2<f64> {
    let Predictions { kind, logits, .. } = run.predictions;
    probabilities(*kind, logits, &Calibration::default())
}

fn bins(run: &Evaluated, probs: &Array2<f64>) -> Result<Vec<ReliabilityBin>, NotDefined> {
    let decided = run.decided(probs);
    reliability_curve(&decided.confidence, &decided.correct, &decided.ones(), ECE_BINS)
}

/// Of the bins that are not empty, in percent.
fn points(bins: &[ReliabilityBin]) -> Vec<(f64, f64)> {
    bins.iter()
        .filter_map(|bin| Some((100.0 * bin.mean_probability?, 100.0 * bin.observed.value()?)))
        .collect()
}

/// The expected calibration error as tables print it.
fn error(run: &Evaluated, scaled: bool) -> String {
    let unit = crate::metrics::find("ece").ok().map(Unit::of);
    let number = unit
        .zip(run.metric("ece", scaled))
        .map(|(unit, value)| unit.number(value));
    number.unwrap_or_else(|| UNKNOWN.to_owned())
}
