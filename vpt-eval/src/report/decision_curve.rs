//! The decision curve: is acting on the model better than treating everybody or nobody?

use super::axes::{Axes, Axis};
use super::evaluated::{Evaluated, percent_of};
use super::figure::{Entry, Figure};
use super::svg::Svg;
use crate::metrics::decision_curve::{DecisionPoint, decision_curve};

const TITLE: &str = "Decision curve";

/// Net benefit against the threshold probability, for the second of two classes.
pub(super) fn decision(run: &Evaluated) -> Figure {
    let thresholds: Vec<f64> = (0..100).map(|percent| f64::from(percent) / 100.0).collect();
    let points = match decision_curve(&run.scores(1), &run.is_of(1), &run.ones, &thresholds) {
        Ok(points) => points,
        Err(reason) => return Figure::missing(TITLE, &reason),
    };
    let best = points
        .iter()
        .map(|point| point.model.max(point.treat_all))
        .fold(0.05, f64::max);
    let mut svg = Svg::new(380.0, 352.0, TITLE);
    let axes = Axes::draw(
        &mut svg,
        (52.0, 12.0),
        (366.0, 312.0),
        &Axis::percent("threshold probability (%)"),
        &Axis {
            label: "net benefit per 100 images",
            range: (-15.0 * best, 108.0 * best),
            ticks: 5,
        },
    );
    let line = |pick: fn(&DecisionPoint) -> f64| -> Vec<(f64, f64)> {
        points
            .iter()
            .map(|point| (100.0 * point.threshold, 100.0 * pick(point)))
            .collect()
    };
    axes.help(&mut svg, (0.0, 0.0), (100.0, 0.0));
    axes.curve(&mut svg, "s2 dashed", &line(|point| point.treat_all));
    axes.curve(&mut svg, "s0", &line(|point| point.model));
    if let Some(threshold) = run.threshold {
        axes.mark(&mut svg, 100.0 * threshold);
    }
    let legend = vec![
        Entry::new("s0", "act where the model says so"),
        Entry::new("s2 dashed", "act on every image"),
        Entry::new("zero", "act on none"),
    ];
    Figure::new(TITLE, svg, legend, &caption(run, &points))
}

fn caption(run: &Evaluated, points: &[DecisionPoint]) -> Vec<String> {
    let helps: Vec<f64> = points
        .iter()
        .filter(|point| point.model > point.treat_all.max(point.treat_none) + 1e-9)
        .map(|point| point.threshold)
        .collect();
    let verdict = match &helps[..] {
        [] => "The model is nowhere better than acting on every image or on none.".to_owned(),
        [one] => format!("The model is better than both only at {}.", percent_of(*one)),
        [first, .., last] => format!(
            "The model is better than acting on every image and on none at {} of 99 thresholds, between {} and {}.",
            helps.len(),
            percent_of(*first),
            percent_of(*last)
        ),
    };
    let what = format!(
        "What it is worth to act on {} where its probability is at least the threshold: right ones found (true positives), less \
         the false alarms, each weighted by the odds of the threshold.",
        run.class(1)
    );
    let mark = run
        .threshold
        .map(|threshold| format!("The vertical line is the threshold {}.", percent_of(threshold)));
    [what, verdict].into_iter().chain(mark).collect()
}
