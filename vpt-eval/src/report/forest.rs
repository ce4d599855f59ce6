//! Forest plot: each method's difference to the baseline, with its interval.

use super::format::{Unit, method_title};
use super::plot::{Scale, padded, range, tick_labels};
use super::svg::{Anchor, Svg, series, shorten};
use crate::Comparison;
use crate::metrics::Metric;

/// Differences to the baseline, for a page; `None` without another method.
pub(super) fn forest(comparison: &Comparison, metric: &Metric) -> Option<String> {
    let unit = Unit::of(metric);
    let rows: Vec<_> = comparison
        .rows
        .iter()
        .enumerate()
        .filter_map(|(i, row)| Some((i, row, row.difference?)))
        .collect();
    let ends = rows.iter().flat_map(|(_, _, difference)| {
        [difference.value, difference.ci_low, difference.ci_high]
            .into_iter()
            .flatten()
            .map(|v| v * unit.scale)
    });
    let (low, high) = range(ends.chain([0.0])).filter(|_| !rows.is_empty())?;

    let (width, line, top) = (480.0, 44.0, 34.0);
    let bottom = top + line * rows.len() as f64;
    let title = format!("difference to {}", method_title(&comparison.baseline));
    let mut svg = Svg::new(width, bottom + 54.0, &title);
    let x = Scale::new(padded((low, high), 0.08), (16.0, width - 16.0));
    svg.text(
        "head",
        (16.0, 18.0),
        Anchor::Start,
        &format!("{}{title}", if unit.digits == 1 { "points: " } else { "" }),
    );

    let ticks = x.ticks(6);
    for (tick, label) in ticks.iter().zip(tick_labels(&ticks)) {
        svg.line("grid", (x.at(*tick), top), (x.at(*tick), bottom));
        svg.text("quiet", (x.at(*tick), bottom + 16.0), Anchor::Middle, &label);
    }
    svg.line("zero", (x.at(0.0), top), (x.at(0.0), bottom));
    let (worse, better) = if metric.higher_is_better {
        ("← worse", "better →")
    } else {
        ("← better", "worse →")
    };
    svg.text("quiet", (16.0, bottom + 38.0), Anchor::Start, worse);
    svg.text("quiet", (width - 16.0, bottom + 38.0), Anchor::End, better);

    for (place, (i, row, difference)) in rows.iter().enumerate() {
        let (text_y, bar_y) = (top + line * place as f64 + 16.0, top + line * place as f64 + 30.0);
        svg.text("", (16.0, text_y), Anchor::Start, &shorten(&row.method, 30));
        svg.text(
            "",
            (width - 16.0, text_y),
            Anchor::End,
            &unit.difference(difference),
        );
        let colour = series(*i);
        if let Some((low, high)) = difference.interval() {
            let [low, high] = [low, high].map(|end| x.at(end * unit.scale));
            svg.line(&format!("bar {colour}"), (low, bar_y), (high, bar_y));
            for end in [low, high] {
                svg.line(&format!("bar {colour}"), (end, bar_y - 4.0), (end, bar_y + 4.0));
            }
        }
        if let Some(value) = difference.value {
            svg.dot(&colour, (x.at(value * unit.scale), bar_y), 5.0);
        }
    }
    Some(svg.inline())
}
