//! Few-shot curves: the score against the number of training images, with bands, and where curves cross.

use super::axes::{Axes, Axis};
use super::figure::{Entry, Figure};
use super::format::{Unit, method_title, metric_title, three_digits};
use super::plot::{padded, range};
use super::svg::{Anchor, Svg, series, stroke};
use crate::metrics::Metric;
use crate::{Comparison, FewShotCrossing, FewShotCurve, FewShotPoint};

/// All curves in one pair of axes, for a page; `None` without one.
pub(super) fn few_shot(comparison: &Comparison, metric: &Metric) -> Option<Figure> {
    let unit = Unit::of(metric);
    let points = || comparison.few_shot.iter().flat_map(|curve| &curve.points);
    let values = points().flat_map(|point| {
        let ends = [point.score.value, point.score.ci_low, point.score.ci_high];
        ends.into_iter().flatten().map(|end| end * unit.scale)
    });
    let y = padded(range(values)?, 0.06);
    let (least, most) = range(points().map(place))?;
    let pad = (0.04 * (most - least)).max(0.1);
    let (width, height) = (640.0, 360.0);
    let title = format!("Test {} against training images", metric_title(metric.name));
    let mut svg = Svg::new(width, height, &title);
    let (left, right, top, bottom) = (52.0, width - 14.0, 12.0, height - 46.0);
    let label = format!("{}{}", metric_title(metric.name), unit.axis_suffix(" (%)"));
    let empty = Axis {
        label: "",
        range: (least - pad, most + pad),
        ticks: 0,
    };
    let upright = Axis {
        label: &label,
        range: y,
        ticks: 5,
    };
    let axes = Axes::draw(&mut svg, (left, top), (right, bottom), &empty, &upright);
    let shots_are_known = draw_ticks(&mut svg, &axes, comparison, bottom, y.0);
    let below = match shots_are_known {
        true => "training images of each class (logarithmic)",
        false => "training images (logarithmic)",
    };
    let middle = (f64::midpoint(left, right), bottom + 36.0);
    svg.text("quiet", middle, Anchor::Middle, below);

    for (i, curve) in of_rows(comparison) {
        let ends = |pick: fn(&FewShotPoint) -> Option<f64>| {
            let at = |point| Some(axes.at((place(point), pick(point)? * unit.scale)));
            curve.points.iter().filter_map(at).collect::<Vec<_>>()
        };
        let mut band = ends(|point| point.score.ci_low);
        band.extend(ends(|point| point.score.ci_high).into_iter().rev());
        if band.len() >= 4 {
            svg.area(&series(i), &band);
        }
    }
    let mut legend = Vec::new();
    for (i, curve) in of_rows(comparison) {
        let line = curve.points.iter();
        let line = line.filter_map(|point| Some((place(point), point.score.value? * unit.scale)));
        let line: Vec<(f64, f64)> = line.collect();
        axes.curve(&mut svg, &stroke(i), &line);
        for &point in &line {
            svg.mark(i, axes.at(point), 3.5);
        }
        legend.push(Entry::new(&stroke(i), curve.method.clone()));
    }
    for crossing in &comparison.few_shot_crossings {
        let curve = comparison
            .few_shot
            .iter()
            .find(|curve| curve.method == crossing.method);
        if let Some(height) = curve.and_then(|curve| height_at(curve, crossing.images)) {
            let at = axes.at((crossing.images.ln(), height * unit.scale));
            svg.ring("crossing", at, 8.0);
        }
    }
    let level = comparison.bootstrap.level * 100.0;
    let mut caption = vec![format!(
        "Means over the draws of training images; bands are {level:.0} % intervals over draws and test images."
    )];
    if !comparison.few_shot_crossings.is_empty() {
        caption.push("Rings mark where a method's curve crosses the baseline's.".to_owned());
    }
    Some(Figure::new(&title, svg, legend, &caption))
}

/// A tick at each number of shots, in the words of the user. Whether there was one beside "all".
fn draw_ticks(svg: &mut Svg, axes: &Axes, comparison: &Comparison, bottom: f64, low: f64) -> bool {
    let mut ticks: Vec<(f64, String)> = Vec::new();
    for point in comparison.few_shot.iter().flat_map(|curve| &curve.points) {
        let label = shots(point.shots);
        if !ticks.iter().any(|(_, other)| *other == label) {
            ticks.push((place(point), label));
        }
    }
    ticks.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut free_from = 0.0;
    for (value, label) in &ticks {
        let (x, _) = axes.at((*value, low));
        svg.line("axis", (x, bottom), (x, bottom + 4.0));
        let half = super::svg::text_width(label) / 2.0;
        if x - half >= free_from {
            svg.text("quiet", (x, bottom + 18.0), Anchor::Middle, label);
            free_from = x + half + 4.0;
        }
    }
    ticks.len() > 1 || ticks.iter().any(|(_, label)| label != "all")
}

/// What is said of the crossings, one sentence each.
pub(super) fn crossing_sentences(crossings: &[FewShotCrossing]) -> Vec<String> {
    crossings.iter().map(sentence).collect()
}

fn sentence(crossing: &FewShotCrossing) -> String {
    let [method, baseline] = [&crossing.method, &crossing.baseline].map(|name| method_title(name));
    let (first, second) = match crossing.overtakes {
        true => (method, baseline),
        false => (baseline, method),
    };
    let from = match crossing.shots {
        Some(shots) => format!("with {shots} of each class"),
        None => "with all images".to_owned(),
    };
    let certainty = match crossing.separated {
        true => format!("{from} the interval of the difference no longer holds 0"),
        false => format!("{from} the interval of the difference still holds 0"),
    };
    format!(
        "{} overtakes {second} at about {} training images; {certainty}.",
        capital(first),
        three_digits(crossing.images.round())
    )
}

/// A sentence begins with a capital, the name of a method stays as it is typed.
fn capital(name: &str) -> String {
    match name.strip_prefix("the ") {
        Some(rest) => format!("The {rest}"),
        None if name.contains(' ') => name[..1].to_uppercase() + &name[1..],
        None => name.to_owned(),
    }
}

/// `16`, or `all`.
pub(super) fn shots(shots: Option<usize>) -> String {
    shots.map_or("all".to_owned(), |shots| shots.to_string())
}

fn place(point: &FewShotPoint) -> f64 {
    (point.images.max(1) as f64).ln()
}

/// Curves with the places of their methods among the rows, which are their colours; methods without a row come after them.
fn of_rows(comparison: &Comparison) -> Vec<(usize, &FewShotCurve)> {
    let row = |method: &str| comparison.rows.iter().position(|row| row.method == method);
    let mut next = comparison.rows.len();
    let of = |curve| {
        let curve: &FewShotCurve = curve;
        let place = row(&curve.method).unwrap_or_else(|| {
            next += 1;
            next - 1
        });
        (place, curve)
    };
    comparison.few_shot.iter().map(of).collect()
}

/// The curve's value at a number of images, on the line between two points.
fn height_at(curve: &FewShotCurve, images: f64) -> Option<f64> {
    curve.points.windows(2).find_map(|pair| {
        let [(x0, y0), (x1, y1)] = [
            (place(&pair[0]), pair[0].score.value?),
            (place(&pair[1]), pair[1].score.value?),
        ];
        let inside = (x0..=x1).contains(&images.ln()) && x1 > x0;
        inside.then(|| y0 + (y1 - y0) * (images.ln() - x0) / (x1 - x0))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crossings_are_said() {
        let crossing = FewShotCrossing {
            method: "vpt-deep".into(),
            baseline: "full".into(),
            shots: Some(16),
            images: 41.7,
            overtakes: false,
            separated: true,
        };
        assert_eq!(
            crossing_sentences(&[crossing]),
            [
                "Full fine-tuning overtakes vpt-deep at about 42 training images; with 16 of each class the interval of the \
                 difference no longer holds 0."
            ]
        );
    }
}
