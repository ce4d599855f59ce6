//! A pair of labelled axes, and curves that are cut at their edges.

use super::plot::{Scale, tick_labels};
use super::svg::{Anchor, Svg};

/// One axis.
pub(super) struct Axis<'a> {
    pub label: &'a str,
    /// From the left or the bottom.
    pub range: (f64, f64),
    /// About how many ticks.
    pub ticks: usize,
}

impl<'a> Axis<'a> {
    /// Shares and probabilities, in percent.
    pub(super) fn percent(label: &'a str) -> Self {
        Self {
            label,
            range: (0.0, 100.0),
            ticks: 5,
        }
    }
}

/// Axes that are drawn: left, top, right and bottom are pixels.
pub(super) struct Axes {
    x: Scale,
    y: Scale,
    x_range: (f64, f64),
    y_range: (f64, f64),
}

impl Axes {
    /// Draws both axes around the rectangle `(left, top)` to `(right, bottom)`, with a grid. The labels need 48 pixels on the
    /// left and 38 below; an empty label and its ticks need none.
    pub(super) fn draw(
        svg: &mut Svg,
        (left, top): (f64, f64),
        (right, bottom): (f64, f64),
        x_axis: &Axis,
        y_axis: &Axis,
    ) -> Self {
        let axes = Self {
            x: Scale::new(x_axis.range, (left, right)),
            y: Scale::new(y_axis.range, (bottom, top)),
            x_range: x_axis.range,
            y_range: y_axis.range,
        };
        let y_ticks = axes.y.ticks(y_axis.ticks);
        for (tick, label) in y_ticks.iter().zip(tick_labels(&y_ticks)) {
            let at = axes.y.at(*tick);
            svg.line("grid", (left, at), (right, at));
            svg.text("quiet", (left - 6.0, at + 4.0), Anchor::End, &label);
        }
        svg.line("axis", (left, bottom), (right, bottom));
        svg.rotated_text(
            "quiet",
            (left - 36.0, f64::midpoint(top, bottom)),
            Anchor::Middle,
            -90.0,
            y_axis.label,
        );
        if x_axis.label.is_empty() {
            return axes;
        }
        let x_ticks = axes.x.ticks(x_axis.ticks);
        for (tick, label) in x_ticks.iter().zip(tick_labels(&x_ticks)) {
            let at = axes.x.at(*tick);
            svg.line("axis", (at, bottom), (at, bottom + 4.0));
            svg.text("quiet", (at, bottom + 17.0), Anchor::Middle, &label);
        }
        let middle = (f64::midpoint(left, right), bottom + 34.0);
        svg.text("quiet", middle, Anchor::Middle, x_axis.label);
        axes
    }

    /// Pixels of a point.
    pub(super) fn at(&self, (x, y): (f64, f64)) -> (f64, f64) {
        (self.x.at(x), self.y.at(y))
    }

    /// A curve through points from left to right, cut at the upper and the lower edge; a single point is a dot.
    pub(super) fn curve(&self, svg: &mut Svg, class: &str, points: &[(f64, f64)]) {
        if let [point] = points {
            svg.dot(class, self.at(*point), 3.5);
        }
        for piece in pieces(points, self.y_range) {
            let pixels = piece.iter().map(|&point| self.at(point));
            svg.polyline(&format!("curve {class}"), &thinned(pixels));
        }
    }

    /// A straight line that helps to read.
    pub(super) fn help(&self, svg: &mut Svg, from: (f64, f64), to: (f64, f64)) {
        svg.line("zero", self.at(from), self.at(to));
    }

    /// A vertical line from the bottom to the top.
    pub(super) fn mark(&self, svg: &mut Svg, x: f64) {
        if (self.x_range.0..=self.x_range.1).contains(&x) {
            self.help(svg, (x, self.y_range.0), (x, self.y_range.1));
        }
    }

    /// A column from the bottom up to `height`, between `low` and `high`.
    pub(super) fn column(&self, svg: &mut Svg, class: &str, (low, high): (f64, f64), height: f64) {
        let ((left, bottom), (right, top)) = (self.at((low, self.y_range.0)), self.at((high, height)));
        let (gap, size) = (0.75, (right - left - 1.5, bottom - top));
        if size.1 > 0.0 {
            svg.rect(&format!("column {class}"), (left + gap, top), size, 0.75);
        }
    }
}

/// The parts of a line that lie between `low` and `high`.
fn pieces(points: &[(f64, f64)], (low, high): (f64, f64)) -> Vec<Vec<(f64, f64)>> {
    let mut pieces: Vec<Vec<(f64, f64)>> = Vec::new();
    let mut end = None;
    for pair in points.windows(2) {
        let [(x0, y0), (x1, y1)] = [pair[0], pair[1]];
        let (smallest, largest) = (y0.min(y1), y0.max(y1));
        if largest < low || smallest > high || !(y0 + y1).is_finite() {
            continue;
        }
        let cut = |y: f64| {
            let inside = y.clamp(low, high);
            let share = if y1 == y0 { 0.0 } else { (inside - y0) / (y1 - y0) };
            (x0 + share * (x1 - x0), inside)
        };
        let (from, to) = (
            if (low..=high).contains(&y0) {
                (x0, y0)
            } else {
                cut(y0)
            },
            if (low..=high).contains(&y1) {
                (x1, y1)
            } else {
                cut(y1)
            },
        );
        match pieces.last_mut() {
            Some(piece) if end == Some(from) => piece.push(to),
            _ => pieces.push(vec![from, to]),
        }
        end = Some(to);
    }
    pieces
}

/// Without points that nobody could see: thousands of images make thousands of steps.
fn thinned(pixels: impl Iterator<Item = (f64, f64)>) -> Vec<(f64, f64)> {
    const STEP: f64 = 0.3;
    let mut kept: Vec<(f64, f64)> = Vec::new();
    let mut last = None;
    for (x, y) in pixels {
        last = Some((x, y));
        let far = |(px, py): &(f64, f64)| (x - px).abs().max((y - py).abs()) >= STEP;
        if kept.last().is_none_or(far) {
            kept.push((x, y));
        }
    }
    if let Some(last) = last.filter(|last| kept.last() != Some(last)) {
        kept.push(last);
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_cut_at_the_edges() {
        let line = [(0.0, 0.5), (1.0, -0.5), (2.0, -0.5), (3.0, 0.5), (4.0, 2.5)];
        let found = pieces(&line, (0.0, 1.0));
        assert_eq!(
            found,
            [
                vec![(0.0, 0.5), (0.5, 0.0)],
                vec![(2.5, 0.0), (3.0, 0.5), (3.25, 1.0)]
            ]
        );
        assert!(pieces(&[(0.0, 3.0), (1.0, 2.0)], (0.0, 1.0)).is_empty());
        assert!(pieces(&[(0.0, f64::NAN), (1.0, 0.5)], (0.0, 1.0)).is_empty());
    }

    #[test]
    fn a_line_of_many_points_keeps_its_ends() {
        let many = thinned((0..=10_000).map(|i| (f64::from(i) / 100.0, 0.0)));
        assert!(many.len() < 340, "{}", many.len());
        assert_eq!((many[0], many[many.len() - 1]), ((0.0, 0.0), (100.0, 0.0)));
        assert_eq!(thinned([(1.0, 1.0)].into_iter()), [(1.0, 1.0)]);
    }
}
