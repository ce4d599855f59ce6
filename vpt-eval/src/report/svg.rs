//! A very small SVG writer.
//!
//! Our own and not a plotting crate: these figures must follow the reader's light or dark mode through CSS classes, sit
//! inline in a page without repeating fonts and styles, and stay the same bytes for the same numbers. That is 100 lines
//! here, and was not to be had from `kuva` (fixed colours, an embedded font in each figure).

use std::fmt::Write as _;

/// Style of all figures, light and dark. Series colours are those of Okabe & Ito (2008), which colour-blind readers can
/// tell apart; in the dark they are lightened.
pub(crate) const STYLE: &str = "\
svg.vpt{font:12px system-ui,-apple-system,'Segoe UI',Roboto,'DejaVu Sans',sans-serif}\
.vpt .paper{fill:#fff}.vpt text{fill:#1f2933}.vpt .quiet{fill:#616e7c;font-size:12px}.vpt .head{font-weight:600;font-size:13px}\
.vpt .grid{stroke:#e4e7eb}.vpt .axis{stroke:#9aa5b1}.vpt .zero{stroke:#616e7c;stroke-dasharray:4 3}\
.vpt .curve{fill:none;stroke:currentColor;stroke-width:1.8;stroke-linejoin:round;stroke-linecap:round}\
.vpt .curve.dashed{stroke-dasharray:5 4}.vpt .dot{fill:currentColor}.vpt .dot.paper{fill:#fff}\
.vpt .area{fill:currentColor;fill-opacity:.13}.vpt .crossing{color:#1f2933}.vpt .front{fill:none;stroke:#616e7c;stroke-width:1.5}\
.vpt .bar{stroke:currentColor;stroke-width:2}.vpt .cell{fill:#0072b2}.vpt .frame{fill:none;stroke:#9aa5b1}\
.vpt .onto{fill:#fff}.vpt .thin{stroke-width:1}.vpt .column{fill:currentColor}.vpt .ring{fill:none;stroke:currentColor;stroke-width:2}.vpt .s0{color:#0072b2}.vpt .s1{color:#d55e00}.vpt .s2{color:#009e73}.vpt .s3{color:#b0508f}\
.vpt .s4{color:#a87400}.vpt .s5{color:#2f8fc9}\
@media screen and (prefers-color-scheme:dark){\
.vpt .paper,.vpt .dot.paper{fill:#15191e}.vpt text{fill:#e4e7eb}.vpt .quiet{fill:#9aa5b1}.vpt .front{stroke:#9aa5b1}.vpt .crossing{color:#e4e7eb}\
.vpt .grid{stroke:#2b323b}.vpt .axis,.vpt .frame{stroke:#616e7c}.vpt .zero{stroke:#9aa5b1}\
.vpt .cell{fill:#3d9be0}.vpt .onto{fill:#0b0e11}\
.vpt .s0{color:#56b4e9}.vpt .s1{color:#ff8f4a}.vpt .s2{color:#2fcf9f}.vpt .s3{color:#e08fc0}\
.vpt .s4{color:#f0b840}.vpt .s5{color:#9fd3f5}}";

/// Number of series colours.
const COLOURS: usize = 6;

/// Class of the `i`-th series.
pub(crate) fn series(i: usize) -> String {
    format!("s{}", i % COLOURS)
}

/// Classes of the `i`-th series where it is a mark: open ones once all colours are taken.
pub(crate) fn mark(i: usize) -> String {
    let open = if i / COLOURS % 2 == 1 { " open" } else { "" };
    series(i) + open
}

/// Classes of the `i`-th series where it is a line: dashed once all colours are taken.
pub(crate) fn stroke(i: usize) -> String {
    let dashed = if i / COLOURS % 2 == 1 { " dashed" } else { "" };
    series(i) + dashed
}

/// Where a text stands relative to its point.
#[derive(Clone, Copy)]
pub(crate) enum Anchor {
    Start,
    Middle,
    End,
}

/// A figure being drawn; coordinates are pixels from the top left.
pub(crate) struct Svg {
    width: f64,
    height: f64,
    title: String,
    body: String,
}

impl Svg {
    /// An empty figure; `title` is what a screen reader says.
    pub(crate) fn new(width: f64, height: f64, title: &str) -> Self {
        Self {
            width,
            height,
            title: escape(title),
            body: String::new(),
        }
    }

    /// Width in pixels, at which texts have their size.
    pub(crate) fn width(&self) -> f64 {
        self.width
    }

    pub(crate) fn line(&mut self, class: &str, from: (f64, f64), to: (f64, f64)) {
        let [(x1, y1), (x2, y2)] = [from, to].map(|(x, y)| (n(x), n(y)));
        self.push(&format!(
            "<line class=\"{class}\" x1=\"{x1}\" y1=\"{y1}\" x2=\"{x2}\" y2=\"{y2}\"/>"
        ));
    }

    pub(crate) fn polyline(&mut self, class: &str, points: &[(f64, f64)]) {
        let points: Vec<String> = points
            .iter()
            .map(|&(x, y)| format!("{},{}", n(x), n(y)))
            .collect();
        self.push(&format!(
            "<polyline class=\"{class}\" points=\"{}\"/>",
            points.join(" ")
        ));
    }

    pub(crate) fn rect(
        &mut self,
        class: &str,
        (x, y): (f64, f64),
        (width, height): (f64, f64),
        opacity: f64,
    ) {
        let opacity = if opacity < 1.0 {
            format!(" fill-opacity=\"{opacity:.3}\"")
        } else {
            String::new()
        };
        let [x, y, width, height] = [x, y, width, height].map(n);
        self.push(&format!(
            "<rect class=\"{class}\" x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\"{opacity}/>"
        ));
    }

    pub(crate) fn dot(&mut self, class: &str, (x, y): (f64, f64), radius: f64) {
        self.push(&format!(
            "<circle class=\"dot {class}\" cx=\"{}\" cy=\"{}\" r=\"{}\"/>",
            n(x),
            n(y),
            n(radius)
        ));
    }

    pub(crate) fn ring(&mut self, class: &str, (x, y): (f64, f64), radius: f64) {
        self.push(&format!(
            "<circle class=\"ring {class}\" cx=\"{}\" cy=\"{}\" r=\"{}\"/>",
            n(x),
            n(y),
            n(radius)
        ));
    }

    /// The mark of the `i`-th series: a dot, or a ring once all colours are taken.
    pub(crate) fn mark(&mut self, i: usize, at: (f64, f64), radius: f64) {
        if mark(i).ends_with("open") {
            self.dot("paper", at, radius);
            self.ring(&series(i), at, radius - 1.0);
        } else {
            self.dot(&series(i), at, radius);
        }
    }

    /// The area between the first half of `points` and the second, which comes back.
    pub(crate) fn area(&mut self, class: &str, points: &[(f64, f64)]) {
        let points: Vec<String> = points
            .iter()
            .map(|&(x, y)| format!("{},{}", n(x), n(y)))
            .collect();
        self.push(&format!(
            "<polygon class=\"area {class}\" points=\"{}\"/>",
            points.join(" ")
        ));
    }

    pub(crate) fn text(&mut self, class: &str, at: (f64, f64), anchor: Anchor, text: &str) {
        self.rotated_text(class, at, anchor, 0.0, text);
    }

    pub(crate) fn rotated_text(
        &mut self,
        class: &str,
        at: (f64, f64),
        anchor: Anchor,
        degrees: f64,
        text: &str,
    ) {
        let (x, y) = (n(at.0), n(at.1));
        let anchor = match anchor {
            Anchor::Start => "",
            Anchor::Middle => " text-anchor=\"middle\"",
            Anchor::End => " text-anchor=\"end\"",
        };
        let class = if class.is_empty() {
            String::new()
        } else {
            format!(" class=\"{class}\"")
        };
        let rotate = if degrees == 0.0 {
            String::new()
        } else {
            format!(" transform=\"rotate({} {x} {y})\"", n(degrees))
        };
        self.push(&format!(
            "<text{class} x=\"{x}\" y=\"{y}\"{anchor}{rotate}>{}</text>",
            escape(text)
        ));
    }

    /// The figure for a page that holds [`STYLE`].
    pub(crate) fn inline(self) -> String {
        self.element("", "")
    }

    /// The figure as a file of its own.
    pub(crate) fn standalone(self) -> String {
        let paper =
            format!("<style>{STYLE}</style>\n<rect class=\"paper\" width=\"100%\" height=\"100%\"/>\n");
        let size = format!(
            " xmlns=\"http://www.w3.org/2000/svg\" width=\"{}\" height=\"{}\"",
            n(self.width),
            n(self.height)
        );
        self.element(&size, &paper)
    }

    fn element(self, attributes: &str, start: &str) -> String {
        let Self {
            width,
            height,
            title,
            body,
        } = self;
        let view_box = format!("0 0 {} {}", n(width), n(height));
        format!(
            "<svg{attributes} class=\"vpt\" viewBox=\"{view_box}\" role=\"img\">\n<title>{title}</title>\n{start}{body}</svg>\n"
        )
    }

    fn push(&mut self, element: &str) {
        self.body += element;
        self.body.push('\n');
    }
}

/// A coordinate with at most two digits after the point.
fn n(value: f64) -> String {
    let mut text = String::new();
    let _ = write!(text, "{value:.2}"); // writing to a String cannot fail
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" {
        "0".to_owned()
    } else {
        text.to_owned()
    }
}

/// Text that is safe inside an element and an attribute. Control characters are not allowed in XML at all.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped += "&amp;",
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '"' => escaped += "&quot;",
            c if c.is_control() => escaped.push(' '),
            c => escaped.push(c),
        }
    }
    escaped
}

/// At most `limit` characters, the rest replaced by an ellipsis.
pub(crate) fn shorten(text: &str, limit: usize) -> String {
    if text.chars().count() <= limit {
        return text.to_owned();
    }
    text.chars().take(limit.saturating_sub(1)).chain(['…']).collect()
}

/// About how wide a text is at 12 px.
pub(crate) fn text_width(text: &str) -> f64 {
    6.7 * text.chars().count() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn class_names_cannot_break_the_document() {
        let mut svg = Svg::new(10.0, 10.0, "a < b & \"c\"");
        svg.text("", (1.0, 2.555), Anchor::Start, "<script>\u{1}");
        let text = svg.inline();
        assert!(
            text.contains("a &lt; b &amp; &quot;c&quot;") && text.contains("&lt;script&gt; "),
            "{text}"
        );
        assert!(!text.contains("<script>"));
    }

    #[test]
    fn coordinates_are_short() {
        assert_eq!(
            (n(1.0), n(-0.001), n(2.345678)),
            ("1".into(), "0".into(), "2.35".into())
        );
    }

    #[test]
    fn long_names_are_cut_at_characters() {
        assert_eq!(
            (shorten("größer", 6), shorten("größeres", 5)),
            ("größer".into(), "größ…".into())
        );
    }
}
