//! The ROC curve.

use super::axes::{Axes, Axis};
use super::class_curves::ClassCurves;
use super::evaluated::{Evaluated, percent, percent_of};
use super::figure::{Entry, Figure};
use super::svg::Svg;
use crate::NotDefined;
use crate::metrics::operating_points::BinaryCounts;

const TITLE: &str = "ROC curve";

/// Sensitivity against 1 − specificity, with the chosen threshold where there is one.
pub(super) fn roc(run: &Evaluated, curves: &Result<ClassCurves, NotDefined>) -> Figure {
    let curves = match curves {
        Ok(curves) => curves,
        Err(reason) => return Figure::missing(TITLE, reason),
    };
    let mut svg = Svg::new(380.0, 352.0, TITLE);
    let axes = Axes::draw(
        &mut svg,
        (52.0, 12.0),
        (366.0, 312.0),
        &Axis::percent("false alarms: 100 − specificity (%)"),
        &Axis::percent("found: sensitivity (%)"),
    );
    axes.help(&mut svg, (0.0, 0.0), (100.0, 100.0));
    for curve in &curves.curves {
        let points: Vec<_> = curve.points.iter().map(|point| place(&point.counts)).collect();
        axes.curve(&mut svg, &curve.style, &points);
    }
    let mut legend: Vec<Entry> = curves
        .curves
        .iter()
        .map(|curve| {
            Entry::new(
                &curve.style,
                format!("{}: area {}", curve.name, percent(&curve.auroc)),
            )
        })
        .collect();
    legend.push(Entry::new("zero", "chance: area 50.0\u{a0}%"));

    let what = match &curves.curves[..] {
        [only] if run.is_binary() => format!(
            "What share of {} is found, for each share of false alarms that one accepts. A random pair of images, one of \
             each class, is put in the right order in {} of cases.",
            only.name,
            percent(&only.auroc)
        ),
        _ => "What share of a class is found, for each share of false alarms that one accepts: each class against all \
              others. The area is the share of pairs of images that are put in the right order."
            .to_owned(),
    };
    let mut caption = vec![what];
    caption.extend(curves.notes.clone());
    if let (Some(counts), Some(threshold)) = (run.decision(), run.threshold) {
        let at = axes.at(place(&counts));
        svg.dot("s1", at, 3.0);
        svg.ring("s1", at, 6.5);
        caption.push(format!(
            "The ring is the threshold {}: sensitivity {}, specificity {}.",
            percent_of(threshold),
            percent(&run.share(counts.sensitivity())),
            percent(&run.share(counts.specificity()))
        ));
    }
    Figure::new(TITLE, svg, legend, &caption)
}

/// Percent of false alarms and of what is found.
fn place(counts: &BinaryCounts) -> (f64, f64) {
    let percent = |share: Option<f64>| 100.0 * share.unwrap_or(0.0);
    (
        100.0 - percent(counts.specificity().value()),
        percent(counts.sensitivity().value()),
    )
}
