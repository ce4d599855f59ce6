//! The precision–recall curve.

use super::class_curves::ClassCurves;
use super::evaluated::{Evaluated, percent, percent_of};
use super::figure::Figure;
use super::unit_square::UnitSquare;
use crate::NotDefined;
use crate::metrics::operating_points::OperatingPoint;

const TITLE: &str = "Precision–recall curve";

/// Precision against sensitivity as steps: the area under them is the average precision.
pub(super) fn precision_recall(run: &Evaluated, curves: &Result<ClassCurves, NotDefined>) -> Figure {
    let curves = match curves {
        Ok(curves) => curves,
        Err(reason) => return Figure::missing(TITLE, reason),
    };
    let mut square = UnitSquare::new(
        TITLE,
        "found: sensitivity (%)",
        "right among those found: precision (%)",
    );
    square.say(
        "What share of the images that are taken for a class are of it, for each share of the class that one wants to find. The \
         area is the average precision.",
    );
    let shares: Vec<f64> = curves
        .curves
        .iter()
        .filter_map(|curve| curve.points.first()?.counts.prevalence().value())
        .collect();
    let (rarest, commonest) = shares.iter().fold((1.0_f64, 0.0_f64), |(low, high), &share| {
        (low.min(share), high.max(share))
    });
    // Chance is a line for each share of images: with classes of different size there is no common one.
    if commonest - rarest < 0.005 {
        let height = 100.0 * rarest;
        square.chance((0.0, height), (100.0, height), &percent_of(rarest));
    } else {
        square.say(format!(
            "By chance it would be the share of the class among the images, {} to {}.",
            percent_of(rarest),
            percent_of(commonest)
        ));
    }
    square.curves(curves, |curve| steps(&curve.points), |curve| &curve.auprc);
    if let (Some(counts), Some(threshold)) = (run.decision(), run.threshold)
        && let (Some(sensitivity), Some(precision)) = (counts.sensitivity().value(), counts.ppv().value())
    {
        let sentence = format!(
            "The ring is the threshold {}: precision {}.",
            percent_of(threshold),
            percent(&run.share(counts.ppv()))
        );
        square.ring((100.0 * sensitivity, 100.0 * precision), sentence);
    }
    square.finish()
}

/// Steps in percent: up to a sensitivity, the precision is that of the threshold which reaches it.
fn steps(points: &[OperatingPoint]) -> Vec<(f64, f64)> {
    let (mut steps, mut before) = (Vec::new(), 0.0);
    for point in points {
        let shares = (point.counts.sensitivity().value(), point.counts.ppv().value());
        if let (Some(sensitivity), Some(precision)) = shares
            && (sensitivity > before || steps.is_empty())
        {
            steps.push((100.0 * before, 100.0 * precision));
            steps.push((100.0 * sensitivity, 100.0 * precision));
            before = sensitivity;
        }
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::curves::Ranking;
    use crate::metrics::operating_points::operating_points;

    #[test]
    fn the_area_under_the_steps_is_the_average_precision() {
        let scores = [0.9, 0.8, 0.8, 0.7, 0.4, 0.3, 0.1];
        let positive = [false, true, false, true, true, false, true];
        let steps = steps(&operating_points(&scores, &positive, &[1; 7]).unwrap());
        let area: f64 = steps
            .windows(2)
            .map(|pair| (pair[1].0 - pair[0].0) * pair[1].1 / 1e4)
            .sum();
        let expected = Ranking::new(&scores, &positive).areas(&[1; 7]).auprc.unwrap();
        assert!((area - expected).abs() < 1e-12, "{area} {expected}");
    }
}
