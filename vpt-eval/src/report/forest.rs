//! Forest plot: each method's difference to the baseline, with its interval.

use super::figure::Figure;
use super::format::{Unit, method_title};
use super::plot::{Scale, padded, range, tick_labels};
use super::svg::{Anchor, Svg, series, shorten, text_width};
use crate::Comparison;
use crate::metrics::Metric;

/// Differences to the baseline, for a page; `None` without another method.
pub(super) fn forest(comparison: &Comparison, metric: &Metric) -> Option<Figure> {
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

    let names: Vec<String> = rows.iter().map(|(_, row, _)| shorten(&row.method, 16)).collect();
    let numbers: Vec<String> = rows
        .iter()
        .map(|(_, _, difference)| unit.difference(difference))
        .collect();
    let widest = |texts: &[String]| texts.iter().map(|text| text_width(text)).fold(0.0, f64::max);

    let (width, line, top) = (480.0, 32.0, 8.0);
    let (left, right) = (24.0 + widest(&names), width - 20.0 - widest(&numbers));
    let bottom = top + line * rows.len() as f64;
    let title = format!(
        "Difference to {}{}",
        method_title(&comparison.baseline),
        unit.axis_suffix(", points")
    );
    let mut svg = Svg::new(width, bottom + 50.0, &title);
    let x = Scale::new(padded((low, high), 0.08), (left, right));

    let ticks = x.ticks(4);
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
    svg.text("quiet", (left, bottom + 36.0), Anchor::Start, worse);
    svg.text("quiet", (right, bottom + 36.0), Anchor::End, better);

    for (place, (i, _, difference)) in rows.iter().enumerate() {
        let middle = top + line * (place as f64 + 0.5);
        svg.text("", (8.0, middle + 4.0), Anchor::Start, &names[place]);
        svg.text("", (width - 8.0, middle + 4.0), Anchor::End, &numbers[place]);
        let colour = series(*i);
        if let Some((low, high)) = difference.interval() {
            let [low, high] = [low, high].map(|end| x.at(end * unit.scale));
            svg.line(&format!("bar {colour}"), (low, middle), (high, middle));
            for end in [low, high] {
                svg.line(&format!("bar {colour}"), (end, middle - 4.0), (end, middle + 4.0));
            }
        }
        if let Some(value) = difference.value {
            svg.mark(*i, (x.at(value * unit.scale), middle), 5.0);
        }
    }
    let level = comparison.bootstrap.level * 100.0;
    let caption = format!(
        "Each method minus {} on the same images, with {level:.0} % intervals over images and seeds. An interval on one side of the \
         dashed line is a difference this test set shows.",
        method_title(&comparison.baseline)
    );
    Some(Figure::new(&title, svg, Vec::new(), &[caption]))
}
