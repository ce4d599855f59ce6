//! Scatter: what a method reaches against how many parameters it tunes.

use super::format::{Unit, metric_title, short};
use super::plot::{Scale, padded, range, tick_labels};
use super::svg::{Anchor, Svg, series, shorten, text_width};
use crate::metrics::Metric;
use crate::{Comparison, ComparisonRow};

/// A box on the page: left, top, right, bottom.
type Area = (f64, f64, f64, f64);

/// Score against tuned parameters on a logarithmic axis, for a page; `None` where no run tells its parameters.
pub(super) fn scatter(comparison: &Comparison, metric: &Metric) -> Option<String> {
    let unit = Unit::of(metric);
    let rows: Vec<_> = comparison
        .rows
        .iter()
        .enumerate()
        .filter_map(|(i, row)| {
            let tuned = row.tuned_params.filter(|&tuned| tuned > 0)?;
            Some((i, row, (tuned as f64).log10(), row.score.value? * unit.scale))
        })
        .collect();
    let ends = |row: &ComparisonRow| [row.score.ci_low, row.score.ci_high].into_iter().flatten();
    let scores = rows
        .iter()
        .flat_map(|(_, row, _, score)| ends(row).map(|end| end * unit.scale).chain([*score]));
    let y_range = padded(range(scores)?, 0.08);
    let x_range = range(rows.iter().map(|(_, _, x, _)| *x))?;
    let x_range = (x_range.0 - 0.4, x_range.1 + 0.4);

    let (width, height) = (480.0, 320.0);
    let (x0, x1, y0, y1) = (46.0, width - 16.0, height - 44.0, 38.0);
    let (x, y) = (Scale::new(x_range, (x0, x1)), Scale::new(y_range, (y0, y1)));
    let percent = if unit.digits == 1 { " (%)" } else { "" };
    let title = format!(
        "test {}{percent} against tuned parameters",
        metric_title(&comparison.metric)
    );
    let mut svg = Svg::new(width, height, &title);
    svg.text("head", (16.0, 18.0), Anchor::Start, &title);

    let y_ticks = y.ticks(5);
    for (tick, label) in y_ticks.iter().zip(tick_labels(&y_ticks)) {
        svg.line("grid", (x0, y.at(*tick)), (x1, y.at(*tick)));
        svg.text("quiet", (x0 - 6.0, y.at(*tick) + 4.0), Anchor::End, &label);
    }
    svg.line("axis", (x0, y0), (x1, y0));
    for power in x_range.0.ceil() as i32..=x_range.1.floor() as i32 {
        let at = x.at(f64::from(power));
        svg.line("axis", (at, y0), (at, y0 + 4.0));
        svg.text(
            "quiet",
            (at, y0 + 18.0),
            Anchor::Middle,
            &short(10.0_f64.powi(power)),
        );
    }
    svg.text(
        "quiet",
        (f64::midpoint(x0, x1), y0 + 36.0),
        Anchor::Middle,
        "tuned parameters (logarithmic)",
    );

    let bar = |row: &ComparisonRow| {
        row.score
            .interval()
            .map(|(low, high)| [low, high].map(|end| y.at(end * unit.scale)))
    };
    // Where nothing may be written over: points, intervals, and the labels placed so far.
    let mut taken: Vec<Area> = Vec::new();
    for (_, row, tuned, score) in &rows {
        let at = x.at(*tuned);
        taken.push(around((at, y.at(*score)), 7.0));
        taken.extend(bar(row).map(|[low, high]| (at - 3.0, high, at + 3.0, low)));
    }
    for (i, row, tuned, score) in &rows {
        let (at, colour) = ((x.at(*tuned), y.at(*score)), series(*i));
        if let Some([low, high]) = bar(row) {
            svg.line(&format!("bar {colour}"), (at.0, low), (at.0, high));
        }
        svg.dot(&colour, at, 5.0);
        let label = shorten(&row.method, 20);
        let area = place_label(at, text_width(&label), (x0, x1), &taken);
        svg.text("", (area.0, area.3 - 3.0), Anchor::Start, &label);
        taken.push(area);
    }
    Some(svg.inline())
}

fn around((x, y): (f64, f64), radius: f64) -> Area {
    (x - radius, y - radius, x + radius, y + radius)
}

/// A free place for a label beside its point: right, left, then further up and down on both sides.
fn place_label((x, y): (f64, f64), width: f64, (left, right): (f64, f64), taken: &[Area]) -> Area {
    let candidates = [0.0, -14.0, 14.0, -28.0, 28.0].into_iter().flat_map(|shift| {
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
}
