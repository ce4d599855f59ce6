//! Curves of a detector: precision–recall and F1–confidence at IoU 0.5, and FROC, with their legends.

use super::axes::{Axes, Axis};
use super::format::Unit;
use super::plot::range;
use super::svg::{Anchor, Svg, shorten, stroke};
use crate::metrics::detection::{FrocPoint, ScoreCurve};

/// The most curves in one figure: six colours, plain and dashed.
const MOST: usize = 12;
/// Longest name in a legend, in characters.
const NAME: usize = 28;
/// Axes end here; the legend is below.
const HEIGHT: f64 = 352.0;
const LINE: f64 = 18.0;
/// Most false alarms per image that are drawn: the last of [`FP_PER_IMAGE`](crate::metrics::detection::FP_PER_IMAGE).
const MOST_ALARMS: f64 = 8.0;

/// A curve to draw: its name, its points from left to right, what the legend says of it, and a point to mark.
struct Line {
    name: String,
    points: Vec<(f64, f64)>,
    says: String,
    ring: Option<(f64, f64)>,
}

/// Precision against recall of each named class, as steps, with the AP at IoU 0.5: a precision is the highest at that recall
/// or a higher one, so that the area under the steps is the AP. The first twelve classes are drawn.
pub(super) fn precision_recall(classes: &[(&str, &ScoreCurve, Option<f64>)]) -> Svg {
    let line = |&(name, curve, ap): &(&str, &ScoreCurve, Option<f64>)| Line {
        name: name.to_owned(),
        points: envelope(curve),
        says: ap.map_or(String::new(), |ap| format!(": AP50 {}", share(ap))),
        ring: None,
    };
    let axes = [
        Axis::percent("found: recall (%)"),
        Axis::percent("right among the detections: precision (%)"),
    ];
    figure(
        "Precision–recall curve at IoU 0.5",
        &axes,
        &classes.iter().map(line).collect::<Vec<_>>(),
    )
}

/// F1 against the threshold of the score for each named class, with the best threshold. The first twelve classes are drawn.
pub(super) fn f1_confidence(classes: &[(&str, &ScoreCurve)]) -> Svg {
    let drawn = classes.iter().take(MOST);
    let scores = drawn.flat_map(|(_, curve)| curve.points.iter().map(|point| point.score));
    let (low, high) = range(scores).unwrap_or((0.0, 1.0));
    let (low, high) = (low.min(0.0), high.max(1.0));
    let line = |&(name, curve): &(&str, &ScoreCurve)| {
        let best = curve.best();
        Line {
            name: name.to_owned(),
            points: f1_steps(curve, (low, high)),
            says: best.map_or(": no detection".to_owned(), |best| {
                format!(": best F1 {} from a score of {:.3}", share(best.f1), best.score)
            }),
            ring: best.map(|best| (best.score, 100.0 * best.f1)),
        }
    };
    let axes = [
        Axis {
            label: "threshold of the score",
            range: (low, high),
            ticks: 5,
        },
        Axis::percent("F1 (%)"),
    ];
    figure(
        "F1 and confidence at IoU 0.5",
        &axes,
        &classes.iter().map(line).collect::<Vec<_>>(),
    )
}

/// Sensitivity against false positives per image, up to eight, of each named curve. The first twelve are drawn.
pub(super) fn froc(curves: &[(&str, &[FrocPoint])]) -> Svg {
    let drawn = curves.iter().take(MOST);
    let alarms = drawn.flat_map(|(_, points)| points.iter().map(|point| point.fp_per_image));
    let highest = range(alarms).map_or(1.0, |(_, high)| high);
    let end = [1.0, 2.0, 4.0].into_iter().find(|&end| highest <= end);
    let end = end.unwrap_or(MOST_ALARMS);
    let line = |&(name, points): &(&str, &[FrocPoint])| {
        let one = points.iter().rev().find(|point| point.fp_per_image <= 1.0);
        let at_one = one.map_or(0.0, |point| point.sensitivity);
        Line {
            name: name.to_owned(),
            points: froc_steps(points, end),
            says: format!(": {} at 1 per image", share(at_one)),
            ring: None,
        }
    };
    let axes = [
        Axis {
            label: "false positives per image",
            range: (0.0, end),
            ticks: 4,
        },
        Axis::percent("found: sensitivity (%)"),
    ];
    figure("FROC curve", &axes, &curves.iter().map(line).collect::<Vec<_>>())
}

fn figure(title: &str, [x, y]: &[Axis; 2], lines: &[Line]) -> Svg {
    let drawn = &lines[..lines.len().min(MOST)];
    let left_out = lines.len() - drawn.len();
    let rows = drawn.len() + usize::from(left_out > 0);
    let mut svg = Svg::new(380.0, HEIGHT + LINE * rows as f64 + 6.0, title);
    let axes = Axes::draw(&mut svg, (52.0, 12.0), (366.0, 312.0), x, y);
    for (i, line) in drawn.iter().enumerate() {
        axes.curve(&mut svg, &stroke(i), &line.points);
        if let Some(at) = line.ring {
            svg.ring(&stroke(i), axes.at(at), 4.5);
        }
        let height = HEIGHT + LINE * (i as f64 + 0.7);
        let class = format!("curve {}", stroke(i));
        svg.polyline(&class, &[(52.0, height - 4.0), (72.0, height - 4.0)]);
        let text = format!("{}{}", shorten(&line.name, NAME), line.says);
        svg.text("quiet", (78.0, height), Anchor::Start, &text);
    }
    if left_out > 0 {
        let height = HEIGHT + LINE * (rows as f64 - 0.3);
        let text = format!("{left_out} more not drawn");
        svg.text("quiet", (78.0, height), Anchor::Start, &text);
    }
    svg
}

/// Steps in percent.
fn envelope(curve: &ScoreCurve) -> Vec<(f64, f64)> {
    let mut highest = 0.0_f64;
    let mut precision: Vec<f64> = curve
        .points
        .iter()
        .rev()
        .map(|point| {
            highest = highest.max(point.precision);
            highest
        })
        .collect();
    precision.reverse();
    let (mut steps, mut before) = (Vec::new(), 0.0);
    for (point, precision) in curve.points.iter().zip(precision) {
        if point.recall > before {
            steps.push((100.0 * before, 100.0 * precision));
            steps.push((100.0 * point.recall, 100.0 * precision));
            before = point.recall;
        }
    }
    steps
}

/// A threshold does what the next score from there on does; above all scores nothing is detected.
fn f1_steps(curve: &ScoreCurve, (low, high): (f64, f64)) -> Vec<(f64, f64)> {
    let (mut steps, mut before) = (Vec::new(), low);
    for point in curve.points.iter().rev() {
        steps.push((before, 100.0 * point.f1));
        steps.push((point.score, 100.0 * point.f1));
        before = point.score;
    }
    steps.extend([(before, 0.0), (high, 0.0)]);
    steps
}

/// Sensitivity stays what it is until it may have more false alarms.
fn froc_steps(points: &[FrocPoint], end: f64) -> Vec<(f64, f64)> {
    let (mut steps, mut reached) = (vec![(0.0, 0.0)], 0.0);
    for point in points.iter().take_while(|point| point.fp_per_image <= end) {
        steps.push((point.fp_per_image, 100.0 * reached));
        reached = point.sensitivity;
        steps.push((point.fp_per_image, 100.0 * reached));
    }
    steps.push((end, 100.0 * reached));
    steps
}

/// `93.1 %`.
fn share(value: f64) -> String {
    format!("{}\u{a0}%", Unit::SHARE.number(value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::detection::{CocoMatches, Detection, Froc, HitRule, Truth};

    fn scene() -> (Vec<Truth>, Vec<Detection>) {
        let bbox = |x: f64| [x, 0.0, x + 10.0, 10.0];
        let truth = |image, x| Truth {
            image,
            class: 0,
            bbox: bbox(x),
            area: 100.0,
            crowd: false,
        };
        let found = |image, x, score| Detection {
            image,
            class: 0,
            bbox: bbox(x),
            score,
        };
        let truths = vec![truth(0, 0.0), truth(0, 50.0), truth(1, 0.0)];
        let detections = vec![
            found(0, 0.0, 0.9),
            found(1, 80.0, 0.8),
            found(0, 50.0, 0.7),
            found(1, 30.0, 0.6),
        ];
        (truths, detections)
    }

    fn curve() -> (ScoreCurve, f64) {
        let (truths, detections) = scene();
        let matches = CocoMatches::new(2, 1, &truths, &detections).unwrap();
        let ap50 = matches.evaluate(&[1, 1]).ap50.unwrap();
        (ScoreCurve::new(&matches, Some(0), &[1, 1]).unwrap(), ap50)
    }

    #[test]
    fn the_area_under_the_steps_is_the_ap() {
        let (curve, ap50) = curve();
        let steps = envelope(&curve);
        let area: f64 = steps
            .windows(2)
            .map(|pair| (pair[1].0 - pair[0].0) * pair[1].1 / 1e4)
            .sum();
        assert!((area - ap50).abs() < 0.01, "{area}, {ap50} at 101 recalls");
    }

    #[test]
    fn steps_say_what_a_threshold_does() {
        let (curve, _) = curve();
        let steps = f1_steps(&curve, (0.0, 1.0));
        assert_eq!(steps[0], (0.0, 100.0 * curve.points[3].f1));
        assert_eq!(steps[steps.len() - 2..], [(0.9, 0.0), (1.0, 0.0)]);
        let (truths, detections) = scene();
        let froc = Froc::new(2, 1, &truths, &detections, None, HitRule::Iou(0.5)).unwrap();
        let points = froc.curve(&[1, 1]).unwrap();
        let third = 100.0 * points[0].sensitivity;
        let steps = froc_steps(&points, 0.5);
        assert_eq!(steps[..3], [(0.0, 0.0), (0.0, 0.0), (0.0, third)]);
        assert_eq!(steps[steps.len() - 1], (0.5, 2.0 * third));
    }

    #[test]
    fn figures_name_their_curves_and_what_is_left_out() {
        let (curve, ap50) = curve();
        let many: Vec<_> = (0..14).map(|_| ("a < b", &curve, Some(ap50))).collect();
        let text = precision_recall(&many).standalone();
        assert!(text.contains("a &lt; b: AP50") && text.contains("2 more not drawn"));
        let text = f1_confidence(&[("cell", &curve)]).standalone();
        let best = "cell: best F1 66.7\u{a0}% from a score of 0.700";
        assert!(text.contains(best), "{text}");
        assert!(
            froc(&[("lesion", &[])])
                .standalone()
                .contains("lesion: 0.0\u{a0}% at 1 per image")
        );
        for figure in [precision_recall(&[]), f1_confidence(&[]), froc(&[])] {
            let text = figure.standalone();
            assert!(text.starts_with("<svg") && !text.contains("NaN") && !text.contains("inf"));
        }
    }
}
