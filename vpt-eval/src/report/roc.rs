//! The ROC curve.

use super::class_curves::{ClassCurve, ClassCurves};
use super::evaluated::{Evaluated, percent, percent_of};
use super::figure::Figure;
use super::unit_square::UnitSquare;
use crate::NotDefined;
use crate::metrics::operating_points::BinaryCounts;

const TITLE: &str = "ROC curve";

/// Sensitivity against 1 − specificity, with the chosen threshold where there is one.
pub(super) fn roc(run: &Evaluated, curves: &Result<ClassCurves, NotDefined>) -> Figure {
    let curves = match curves {
        Ok(curves) => curves,
        Err(reason) => return Figure::missing(TITLE, reason),
    };
    let mut square = UnitSquare::new(
        TITLE,
        "false alarms: 100 − specificity (%)",
        "found: sensitivity (%)",
    );
    square.say(match &curves.curves[..] {
        [only] if run.is_binary() => format!(
            "What share of {} is found, for each share of false alarms that one accepts. A random pair of images, one of \
             each class, is put in the right order in {} of cases.",
            only.name,
            percent(&only.auroc)
        ),
        _ => "What share of a class is found, for each share of false alarms that one accepts: each class against all \
              others. The area is the share of pairs of images that are put in the right order."
            .to_owned(),
    });
    square.chance((0.0, 0.0), (100.0, 100.0), "50.0\u{a0}%");
    let points = |curve: &ClassCurve| curve.points.iter().map(|point| place(&point.counts)).collect();
    square.curves(curves, points, |curve| &curve.auroc);
    if let (Some(counts), Some(threshold)) = (run.decision(), run.threshold) {
        let sentence = format!(
            "The ring is the threshold {}: sensitivity {}, specificity {}.",
            percent_of(threshold),
            percent(&run.share(counts.sensitivity())),
            percent(&run.share(counts.specificity()))
        );
        square.ring(place(&counts), sentence);
    }
    square.finish()
}

/// Percent of false alarms and of what is found.
fn place(counts: &BinaryCounts) -> (f64, f64) {
    let percent = |share: Option<f64>| 100.0 * share.unwrap_or(0.0);
    (
        100.0 - percent(counts.specificity().value()),
        percent(counts.sensitivity().value()),
    )
}
