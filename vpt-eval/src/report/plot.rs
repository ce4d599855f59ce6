//! Axes: scales, ticks and one panel of curves.

use super::svg::{Anchor, Svg};

/// A mapping from data to pixels.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scale {
    data: (f64, f64),
    pixels: (f64, f64),
}

impl Scale {
    /// Linear from `data` to `pixels`; an empty range is widened.
    pub(crate) fn new(data: (f64, f64), pixels: (f64, f64)) -> Self {
        let (low, high) = data;
        let data = if high > low { data } else { (low - 0.5, low + 0.5) };
        Self { data, pixels }
    }

    pub(crate) fn at(&self, value: f64) -> f64 {
        let share = (value - self.data.0) / (self.data.1 - self.data.0);
        self.pixels.0 + share * (self.pixels.1 - self.pixels.0)
    }

    /// Round numbers inside the range, about `wanted` of them.
    pub(crate) fn ticks(&self, wanted: usize) -> Vec<f64> {
        ticks(self.data, wanted)
    }
}

/// The smallest and largest finite value; `None` without one.
pub(crate) fn range(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    values
        .filter(|value| value.is_finite())
        .fold(None, |range, value| match range {
            None => Some((value, value)),
            Some((low, high)) => Some((low.min(value), high.max(value))),
        })
}

/// A range widened at both ends by a share of its width.
pub(crate) fn padded((low, high): (f64, f64), share: f64) -> (f64, f64) {
    let pad = if high > low {
        (high - low) * share
    } else {
        (low.abs() * share).max(1e-3)
    };
    (low - pad, high + pad)
}

fn ticks((low, high): (f64, f64), wanted: usize) -> Vec<f64> {
    let rough = (high - low) / wanted.max(1) as f64;
    let power = 10.0_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 2.5, 5.0, 10.0]
        .iter()
        .map(|m| m * power)
        .find(|&step| step >= rough * 0.999)
        .unwrap_or(power);
    let first = (low / step - 1e-9).ceil() as i64;
    let last = (high / step + 1e-9).floor() as i64;
    (first..=last).map(|i| i as f64 * step).collect()
}

/// Labels with just the digits that tell neighbouring ticks apart.
pub(crate) fn tick_labels(ticks: &[f64]) -> Vec<String> {
    let largest = ticks.iter().fold(0.0_f64, |max, tick| max.max(tick.abs()));
    let is_exact = |digits: &i32| {
        let scale = 10.0_f64.powi(*digits);
        ticks
            .iter()
            .all(|tick| ((tick * scale).round() - tick * scale).abs() < 1e-6 * (largest * scale).max(1.0))
    };
    let digits = (0..=6).find(is_exact).unwrap_or(6) as usize;
    let label = |&tick: &f64| match tick {
        0.0 => "0".to_owned(),
        tick if largest < 0.01 => format!("{tick:e}"),
        tick => format!("{tick:.digits$}").replace('-', "−"),
    };
    ticks.iter().map(label).collect()
}

/// One line of a panel.
pub(crate) struct Curve {
    /// CSS classes: colour, dashes.
    pub(crate) class: String,
    /// Name in the legend; curves of one name (seeds) share an entry.
    pub(crate) name: String,
    pub(crate) points: Vec<(f64, f64)>,
}

/// A titled pair of axes with curves and a legend.
pub(crate) struct Panel<'a> {
    pub(crate) title: &'a str,
    pub(crate) x_label: &'a str,
    pub(crate) x: (f64, f64),
    pub(crate) y: (f64, f64),
    pub(crate) curves: &'a [Curve],
}

/// Room around the axes: left, top, right, bottom.
const MARGIN: (f64, f64, f64, f64) = (44.0, 46.0, 12.0, 36.0);

impl Panel<'_> {
    /// Draws the panel into the rectangle at `(left, top)` of size `(width, height)`.
    pub(crate) fn draw(&self, svg: &mut Svg, (left, top): (f64, f64), (width, height): (f64, f64)) {
        let (x0, x1) = (left + MARGIN.0, left + width - MARGIN.2);
        let (y0, y1) = (top + height - MARGIN.3, top + MARGIN.1);
        let (x, y) = (Scale::new(self.x, (x0, x1)), Scale::new(self.y, (y0, y1)));

        svg.text("head", (x0, top + 16.0), Anchor::Start, self.title);
        let y_ticks = y.ticks(4);
        for (tick, label) in y_ticks.iter().zip(tick_labels(&y_ticks)) {
            svg.line("grid", (x0, y.at(*tick)), (x1, y.at(*tick)));
            svg.text("quiet", (x0 - 6.0, y.at(*tick) + 4.0), Anchor::End, &label);
        }
        svg.line("axis", (x0, y0), (x1, y0));
        // Epochs are whole numbers: half an epoch has no tick.
        let x_ticks: Vec<f64> = x
            .ticks(5)
            .into_iter()
            .filter(|tick| tick.fract() == 0.0)
            .collect();
        for (tick, label) in x_ticks.iter().zip(tick_labels(&x_ticks)) {
            svg.line("axis", (x.at(*tick), y0), (x.at(*tick), y0 + 4.0));
            svg.text("quiet", (x.at(*tick), y0 + 17.0), Anchor::Middle, &label);
        }
        svg.text(
            "quiet",
            (f64::midpoint(x0, x1), y0 + 31.0),
            Anchor::Middle,
            self.x_label,
        );

        for curve in self.curves {
            let finite = curve.points.iter().filter(|(_, value)| value.is_finite());
            let points: Vec<_> = finite.map(|&(epoch, value)| (x.at(epoch), y.at(value))).collect();
            match &points[..] {
                [] => {}
                [point] => svg.dot(&curve.class, *point, 3.0), // a line of one point would not be seen
                points => svg.polyline(&format!("curve {}", curve.class), points),
            }
        }
        self.draw_legend(svg, (x0, top + 34.0));
    }

    fn draw_legend(&self, svg: &mut Svg, (mut x, y): (f64, f64)) {
        let mut seen: Vec<&str> = Vec::new();
        for curve in self.curves {
            if curve.name.is_empty() || seen.contains(&curve.name.as_str()) {
                continue;
            }
            seen.push(&curve.name);
            svg.polyline(
                &format!("curve {}", curve.class),
                &[(x, y - 4.0), (x + 18.0, y - 4.0)],
            );
            svg.text("quiet", (x + 23.0, y), Anchor::Start, &curve.name);
            x += 35.0 + super::svg::text_width(&curve.name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_inside() {
        assert_eq!(
            ticks((0.0, 1.0), 5),
            [0.0, 0.2, 0.4, 0.6000000000000001, 0.8, 1.0]
        );
        assert_eq!(
            tick_labels(&ticks((0.0, 1.0), 5)),
            ["0", "0.2", "0.4", "0.6", "0.8", "1.0"]
        );
        assert_eq!(tick_labels(&ticks((-2.5, 2.5), 4)), ["−2", "0", "2"]);
        assert_eq!(
            tick_labels(&ticks((0.0, 1.0), 4)),
            ["0", "0.25", "0.50", "0.75", "1.00"]
        );
        assert_eq!(tick_labels(&ticks((0.0, 0.001), 2)), ["0", "5e-4", "1e-3"]);
        assert_eq!(tick_labels(&ticks((1.0, 30.0), 3)), ["10", "20", "30"]);
    }

    #[test]
    fn an_empty_range_still_has_a_scale() {
        let scale = Scale::new((3.0, 3.0), (0.0, 100.0));
        assert_eq!(scale.at(3.0), 50.0);
        assert!(range(std::iter::once(f64::NAN)).is_none());
    }
}
