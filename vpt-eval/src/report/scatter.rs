//! Scatter: what a method reaches against what it costs, and which methods are worth their price.

use super::figure::{Entry, Figure};
use super::format::{Unit, metric_title, short};
use super::plot::{Scale, padded, range, tick_labels};
use super::svg::{Anchor, Svg, series, shorten, text_width};
use crate::metrics::Metric;
use crate::{Comparison, ComparisonRow};

/// A box on the page: left, top, right, bottom.
type Area = (f64, f64, f64, f64);

/// A place on an axis and what it is called.
type Tick = (f64, String);

/// What a method costs; the axis is logarithmic.
pub(super) struct Cost {
    /// What the axis is called.
    label: &'static str,
    /// Of a row, where it is known.
    of: fn(&ComparisonRow) -> Option<f64>,
    /// Places of the ticks, and what they are called, for an axis from `.0` to `.1`.
    ticks: fn((f64, f64)) -> Vec<Tick>,
}

/// Number of tuned parameters.
pub(super) const TUNED_PARAMETERS: Cost = Cost {
    label: "tuned parameters",
    of: |row| row.tuned_params.map(|tuned| tuned as f64),
    ticks: powers_of_ten,
};

/// Time of one training.
pub(super) const TRAINING_TIME: Cost = Cost {
    label: "training time",
    of: |row| row.train_seconds,
    ticks: times,
};

/// A method in the figure.
struct Point<'a> {
    /// Place among the rows, which is its colour.
    series: usize,
    row: &'a ComparisonRow,
    cost: f64,
    score: f64,
}

/// Score against a cost, with the Pareto front, for a page; `None` unless two runs tell it.
pub(super) fn scatter(comparison: &Comparison, metric: &Metric, cost: &Cost) -> Option<Figure> {
    let unit = Unit::of(metric);
    let points: Vec<Point> = comparison
        .rows
        .iter()
        .enumerate()
        .filter_map(|(series, row)| {
            Some(Point {
                series,
                row,
                cost: (cost.of)(row).filter(|&cost| cost > 0.0)?,
                score: row.score.value? * unit.scale,
            })
        })
        .collect();
    if points.len() < 2 {
        return None;
    }
    let ends = |row: &ComparisonRow| [row.score.ci_low, row.score.ci_high].into_iter().flatten();
    let scores = points
        .iter()
        .flat_map(|point| ends(point.row).map(|end| end * unit.scale).chain([point.score]));
    let y_range = padded(range(scores)?, 0.08);
    let (least, most) = range(points.iter().map(|point| point.cost.log10()))?;
    let pad = 0.1 * (most - least).max(1.0);
    let x_range = (least - pad, most + pad);

    let (width, height) = (480.0, 304.0);
    let (x0, x1, y0, y1) = (46.0, width - 16.0, height - 44.0, 10.0);
    let (x, y) = (Scale::new(x_range, (x0, x1)), Scale::new(y_range, (y0, y1)));
    let percent = if unit.digits == 1 { " (%)" } else { "" };
    let title = format!(
        "Test {}{percent} against {}",
        metric_title(&comparison.metric),
        cost.label
    );
    let mut svg = Svg::new(width, height, &title);

    let y_ticks = y.ticks(5);
    for (tick, label) in y_ticks.iter().zip(tick_labels(&y_ticks)) {
        svg.line("grid", (x0, y.at(*tick)), (x1, y.at(*tick)));
        svg.text("quiet", (x0 - 6.0, y.at(*tick) + 4.0), Anchor::End, &label);
    }
    svg.line("axis", (x0, y0), (x1, y0));
    let mut free_from = x0;
    for (value, label) in (cost.ticks)((10.0_f64.powf(x_range.0), 10.0_f64.powf(x_range.1))) {
        let (at, half) = (x.at(value.log10()), text_width(&label) / 2.0);
        svg.line("axis", (at, y0), (at, y0 + 4.0));
        if at - half >= free_from - half.min(20.0) {
            svg.text("quiet", (at, y0 + 18.0), Anchor::Middle, &label);
            free_from = at + half + 14.0 + half.min(20.0);
        }
    }
    let middle = (f64::midpoint(x0, x1), y0 + 36.0);
    svg.text(
        "quiet",
        middle,
        Anchor::Middle,
        &format!("{} (logarithmic)", cost.label),
    );

    let front = front(&points, metric);
    let steps = stairs(&front, (&x, &y), x1);
    svg.polyline("front", &steps);

    let bar = |row: &ComparisonRow| {
        row.score
            .interval()
            .map(|(low, high)| [low, high].map(|end| y.at(end * unit.scale)))
    };
    // Where nothing may be written over: the front, points, intervals, and the labels placed so far.
    let mut taken: Vec<Area> = steps.windows(2).map(|pair| between(pair[0], pair[1])).collect();
    let place = |point: &Point| (x.at(point.cost.log10()), y.at(point.score));
    for point in &points {
        let at = place(point);
        taken.push(around(at, 7.0));
        taken.extend(bar(point.row).map(|[low, high]| (at.0 - 3.0, high, at.0 + 3.0, low)));
    }
    for point in &points {
        let at = place(point);
        if let Some([low, high]) = bar(point.row) {
            svg.line(
                &format!("bar {}", series(point.series)),
                (at.0, low),
                (at.0, high),
            );
        }
        svg.mark(point.series, at, 5.0);
        let label = shorten(&point.row.method, 20);
        let area = place_label(at, text_width(&label), (x0, x1), &taken);
        svg.text("", (area.0, area.3 - 3.0), Anchor::Start, &label);
        taken.push(area);
    }
    let names: Vec<&str> = front.iter().map(|point| point.row.method.as_str()).collect();
    let legend = vec![Entry::new("front", "Pareto front")];
    let caption = format!(
        "Of {}, no other method is both cheaper and better; for all others one is. Bars are the intervals of the scores.",
        listed(&names)
    );
    Some(Figure::new(&title, svg, legend, &[caption]))
}

/// `a`, `a and b`, `a, b and c`.
fn listed(names: &[&str]) -> String {
    match names {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [most @ .., last] => format!("{} and {last}", most.join(", ")),
    }
}

/// The methods that no other one beats at the same cost or less, cheapest first.
fn front<'a, 'b>(points: &'b [Point<'a>], metric: &Metric) -> Vec<&'b Point<'a>> {
    let sign = if metric.higher_is_better { 1.0 } else { -1.0 };
    let mut by_cost: Vec<&Point> = points.iter().collect();
    by_cost.sort_by(|a, b| {
        a.cost
            .total_cmp(&b.cost)
            .then((sign * b.score).total_cmp(&(sign * a.score)))
    });
    let mut best = f64::NEG_INFINITY;
    by_cost
        .into_iter()
        .filter(|point| {
            let better = sign * point.score > best;
            best = best.max(sign * point.score);
            better
        })
        .collect()
}

/// What can be had for each price: steps from point to point, on to the right edge.
fn stairs(front: &[&Point], (x, y): (&Scale, &Scale), right: f64) -> Vec<(f64, f64)> {
    let mut steps: Vec<(f64, f64)> = Vec::new();
    for point in front {
        let at = (x.at(point.cost.log10()), y.at(point.score));
        steps.extend(steps.last().map(|&(_, before)| (at.0, before)));
        steps.push(at);
    }
    steps.extend(steps.last().map(|&(_, height)| (right, height)));
    steps
}

fn powers_of_ten((low, high): (f64, f64)) -> Vec<Tick> {
    let powers = low.log10().ceil() as i32..=high.log10().floor() as i32;
    powers
        .map(|power| 10.0_f64.powi(power))
        .map(|value| (value, short(value)))
        .collect()
}

/// Round times.
fn times((low, high): (f64, f64)) -> Vec<Tick> {
    const UNITS: [(f64, &str, &[u32]); 3] = [
        (1.0, "s", &[1, 2, 5, 10, 20, 30]),
        (60.0, "min", &[1, 2, 5, 10, 20, 30]),
        (3600.0, "h", &[1, 2, 5, 10, 20, 50, 100]),
    ];
    let all = UNITS.iter().flat_map(|&(seconds, unit, counts)| {
        counts
            .iter()
            .map(move |&count| (f64::from(count) * seconds, format!("{count} {unit}")))
    });
    let below = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5].map(|seconds| (seconds, format!("{seconds} s")));
    below
        .into_iter()
        .chain(all)
        .filter(|(seconds, _)| (low..=high).contains(seconds))
        .collect()
}

fn between(a: (f64, f64), b: (f64, f64)) -> Area {
    (
        a.0.min(b.0) - 1.0,
        a.1.min(b.1) - 1.0,
        a.0.max(b.0) + 1.0,
        a.1.max(b.1) + 1.0,
    )
}

fn around((x, y): (f64, f64), radius: f64) -> Area {
    (x - radius, y - radius, x + radius, y + radius)
}

/// A free place for a label beside its point: right, left, then further up and down on both sides.
fn place_label((x, y): (f64, f64), width: f64, (left, right): (f64, f64), taken: &[Area]) -> Area {
    let candidates = [0.0, -14.0, 14.0, -28.0, 28.0, -42.0, 42.0]
        .into_iter()
        .flat_map(|shift| {
            [x + 9.0, x - 9.0 - width].map(|start| (start, y + shift - 8.0, start + width, y + shift + 7.0))
        });
    let free =
        |area: &Area| area.0 >= left && area.2 <= right && !taken.iter().any(|other| overlap(area, other));
    let first = (x + 9.0, y - 8.0, x + 9.0 + width, y + 7.0);
    candidates.into_iter().find(free).unwrap_or(first)
}

fn overlap(a: &Area, b: &Area) -> bool {
    a.0 < b.2 && b.0 < a.2 && a.1 < b.3 && b.1 < a.3
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::find;

    #[test]
    fn labels_do_not_cover_each_other() {
        let (at, page) = ((100.0, 100.0), (0.0, 400.0));
        let mut taken = vec![around(at, 7.0)];
        for _ in 0..6 {
            let area = place_label(at, 50.0, page, &taken);
            assert!(!taken.iter().any(|other| overlap(&area, other)));
            taken.push(area);
        }
    }

    #[test]
    fn the_front_holds_what_nothing_beats() {
        let row = ComparisonRow::default();
        let point = |series, cost, score| Point {
            series,
            row: &row,
            cost,
            score,
        };
        let points = [
            point(0, 10.0, 80.0),
            point(1, 1.0, 70.0),
            point(2, 5.0, 69.0),
            point(3, 10.0, 81.0),
            point(4, 20.0, 81.0),
        ];
        let of = |metric: &str| -> Vec<usize> {
            let front = front(&points, find(metric).unwrap());
            front.iter().map(|point| point.series).collect()
        };
        assert_eq!(of("top1"), [1, 3]);
        assert_eq!(of("log_loss"), [1, 2], "less is better");
    }

    #[test]
    fn ticks_are_inside() {
        let labels = |ticks: Vec<Tick>| ticks.into_iter().map(|(_, label)| label).collect::<Vec<_>>();
        assert_eq!(labels(times((25.0, 400.0))), ["30 s", "1 min", "2 min", "5 min"]);
        assert_eq!(
            labels(powers_of_ten((400.0, 2e6))),
            ["1 k", "10 k", "100 k", "1 M"]
        );
        assert_eq!(listed(&["a", "b", "c"]), "a, b and c");
    }
}
