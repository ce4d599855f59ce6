//! Axes of two shares, in percent, with a curve for each class: the frame of the ROC and the precision–recall figure.

use super::axes::{Axes, Axis};
use super::class_curves::{ClassCurve, ClassCurves};
use super::evaluated::percent;
use super::figure::{Entry, Figure};
use super::svg::Svg;
use crate::Estimate;

/// A figure being drawn.
pub(super) struct UnitSquare {
    title: &'static str,
    svg: Svg,
    axes: Axes,
    legend: Vec<Entry>,
    caption: Vec<String>,
}

impl UnitSquare {
    /// Empty axes with their labels.
    pub(super) fn new(title: &'static str, x: &str, y: &str) -> Self {
        let mut svg = Svg::new(380.0, 352.0, title);
        let axes = Axes::draw(
            &mut svg,
            (52.0, 12.0),
            (366.0, 312.0),
            &Axis::percent(x),
            &Axis::percent(y),
        );
        Self {
            title,
            svg,
            axes,
            legend: Vec::new(),
            caption: Vec::new(),
        }
    }

    /// What chance would give: a dashed line.
    pub(super) fn chance(&mut self, from: (f64, f64), to: (f64, f64), area: &str) {
        self.axes.help(&mut self.svg, from, to);
        self.legend
            .push(Entry::new("zero", format!("chance: area {area}")));
    }

    /// A curve for each class, and what is said about all of them. The area under a curve stands in the legend.
    pub(super) fn curves(
        &mut self,
        curves: &ClassCurves,
        points: impl Fn(&ClassCurve) -> Vec<(f64, f64)>,
        area: fn(&ClassCurve) -> &Estimate,
    ) {
        for curve in &curves.curves {
            self.axes.curve(&mut self.svg, &curve.style, &points(curve));
        }
        let entry = |curve: &ClassCurve| {
            let text = format!("{}: area {}", curve.name, percent(area(curve)));
            Entry::new(&curve.style, text)
        };
        // Chance is drawn below the curves and named after them.
        self.legend.splice(0..0, curves.curves.iter().map(entry));
        self.caption.extend(curves.notes.clone());
    }

    /// A sentence of the caption.
    pub(super) fn say(&mut self, sentence: impl Into<String>) {
        self.caption.push(sentence.into());
    }

    /// A ring at the chosen threshold.
    pub(super) fn ring(&mut self, at: (f64, f64), sentence: String) {
        let at = self.axes.at(at);
        self.svg.dot("s1", at, 3.0);
        self.svg.ring("s1", at, 6.5);
        self.caption.push(sentence);
    }

    /// The figure.
    pub(super) fn finish(self) -> Figure {
        Figure::new(self.title, self.svg, self.legend, &self.caption)
    }
}
