//! [`ThresholdCurves`]: what a detector does at every threshold of its scores.

use super::detection_curves::{f1_confidence, froc, precision_recall};
use super::figure::Figure;
use super::section::{Block, Section};
use super::svg::Svg;
use crate::metrics::Places;
use crate::metrics::detection::{FrocPoint, ScoreCurve};
use crate::{Predictions, Results};

/// Precision, recall and false alarms at every threshold, at IoU 0.5.
pub struct ThresholdCurves {
    /// Of each class that is anywhere to be found: its name, its curve, its AP.
    classes: Vec<(String, ScoreCurve, Option<f64>)>,
    /// Of all classes; `None` where nothing is to be found.
    froc: Option<Vec<FrocPoint>>,
}

impl ThresholdCurves {
    /// Of boxes; `None` for masks and for judgements of whole images.
    pub fn of(predictions: &Predictions, results: &Results) -> Option<Self> {
        let Ok(Some(Places::Objects(objects))) = Places::of(predictions) else {
            return None;
        };
        let ones = objects.matches.ones();
        let of_class = |(class, name): (usize, &String)| {
            let curve = ScoreCurve::new(&objects.matches, Some(class), &ones).ok()?;
            let row = results.per_class_places.get(class);
            let ap = row.and_then(|row| row.ap50?.value);
            Some((name.clone(), curve, ap))
        };
        let names = predictions.classes.iter().enumerate();
        Some(Self {
            classes: names.filter_map(of_class).collect(),
            froc: objects.froc.curve(&ones).ok(),
        })
    }

    /// Precision against recall, a curve for each class, as an SVG file; `None` where nothing is to be found.
    pub fn precision_recall_svg(&self) -> Option<String> {
        Some(self.precision_recall()?.standalone())
    }

    /// F1 against the threshold, as an SVG file.
    pub fn f1_confidence_svg(&self) -> Option<String> {
        Some(self.f1_confidence()?.standalone())
    }

    /// Sensitivity against false alarms an image, as an SVG file.
    pub fn froc_svg(&self) -> Option<String> {
        Some(self.froc()?.standalone())
    }

    fn precision_recall(&self) -> Option<Svg> {
        let classes = self.classes.iter();
        let drawn: Vec<_> = classes
            .map(|(name, curve, ap)| (name.as_str(), curve, *ap))
            .collect();
        (!drawn.is_empty()).then(|| precision_recall(&drawn))
    }

    fn f1_confidence(&self) -> Option<Svg> {
        let classes = self.classes.iter();
        let drawn: Vec<_> = classes.map(|(name, curve, _)| (name.as_str(), curve)).collect();
        (!drawn.is_empty()).then(|| f1_confidence(&drawn))
    }

    fn froc(&self) -> Option<Svg> {
        Some(froc(&[("all classes", self.froc.as_deref()?)]))
    }

    /// All of them on a page.
    pub(super) fn section<'a>(&self) -> Section<'a> {
        let figures = [
            (
                "Precision and recall",
                self.precision_recall(),
                "How much of what is shown is right, and how much of what is there is shown, at every threshold; a box is right with an IoU of 0.5.",
            ),
            (
                "F1 and threshold",
                self.f1_confidence(),
                "Where precision and recall are best balanced.",
            ),
            (
                "FROC",
                self.froc(),
                "What is found when so many false alarms an image are put up with.",
            ),
        ];
        let figure = |(title, drawn, about): (&'static str, Option<Svg>, &str)| {
            Some(Figure::new(title, drawn?, Vec::new(), &[about.to_owned()]))
        };
        let mut figures: Vec<Figure> = figures.into_iter().filter_map(figure).collect();
        if figures.is_empty() {
            figures.push(Figure::missing(
                "Curves",
                &"nothing is to be found in these images",
            ));
        }
        Section {
            id: "curves",
            title: "What thresholds do",
            blocks: vec![Block::Figures(figures)],
        }
    }
}
