//! The risk–coverage curve: what abstaining would bring.

use super::axes::{Axes, Axis};
use super::evaluated::{Evaluated, percent_of};
use super::figure::{Entry, Figure};
use super::plot::range;
use super::svg::Svg;
use crate::metrics::risk_coverage::{RiskPoint, risk_coverage_curve};

const TITLE: &str = "Risk and coverage";

/// Share of errors among the surest images, against the share of images that the model answers.
pub(super) fn risk_coverage(run: &Evaluated) -> Figure {
    let decided = run.decided(&run.probs);
    let points = match risk_coverage_curve(&decided.confidence, &decided.correct, &decided.ones()) {
        Ok(points) => points,
        Err(reason) => return Figure::missing(TITLE, &reason),
    };
    let highest = range(points.iter().map(|point| 100.0 * point.risk)).map_or(0.0, |(_, high)| high);
    let mut svg = Svg::new(380.0, 352.0, TITLE);
    let axes = Axes::draw(
        &mut svg,
        (52.0, 12.0),
        (366.0, 312.0),
        &Axis::percent("coverage: images answered (%)"),
        &Axis {
            label: "risk: errors among them (%)",
            range: (0.0, (1.08 * highest).clamp(2.0, 100.0)),
            ticks: 5,
        },
    );
    let overall = points.last().map_or(0.0, |point| point.risk);
    axes.help(&mut svg, (0.0, 100.0 * overall), (100.0, 100.0 * overall));
    let line: Vec<_> = points
        .iter()
        .map(|point| (100.0 * point.coverage, 100.0 * point.risk))
        .collect();
    axes.curve(&mut svg, "s0", &line);
    let legend = vec![
        Entry::new("s0", "only the surest images are answered"),
        Entry::new(
            "zero",
            format!("all are answered: {} errors", percent_of(overall)),
        ),
    ];
    Figure::new(TITLE, svg, legend, &caption(&points, overall))
}

fn caption(points: &[RiskPoint], overall: f64) -> [String; 2] {
    let what = "How many errors remain if the model answers only the images that it is surest of.";
    // The risk where at most four images of five are answered.
    let most = points.iter().rev().find(|point| point.coverage <= 0.8);
    let found = match most {
        Some(point) if overall > 0.0 => format!(
            "On the surest {} it errs in {}, on all images in {}.",
            percent_of(point.coverage),
            percent_of(point.risk),
            percent_of(overall)
        ),
        _ => format!("On all images it errs in {}.", percent_of(overall)),
    };
    [what.to_owned(), found]
}
