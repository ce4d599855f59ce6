//! What a page about an evaluated run is made of: figures and tables, with their words.

use std::fmt::Display;

use super::svg::Svg;

/// A figure, or the reason why there is none.
pub(super) struct Figure {
    /// Heading.
    pub title: String,
    /// Inline SVG; `None` where the caption says why it cannot be drawn.
    pub drawing: Option<Drawing>,
    /// What the lines are, below the figure.
    pub legend: Vec<Entry>,
    /// What it shows, in words.
    pub caption: String,
}

pub(super) struct Drawing {
    pub svg: String,
    /// Width in pixels at which its texts have their size.
    pub width: u32,
    /// It keeps its width and scrolls on a narrow screen, as it would not be readable if it shrank.
    pub scrolls: bool,
}

/// A line of a legend.
pub(super) struct Entry {
    /// CSS classes of the line.
    pub class: String,
    pub text: String,
}

impl Figure {
    /// A figure that shrinks with the screen; the caption is sentences.
    pub(super) fn new(title: &str, svg: Svg, legend: Vec<Entry>, caption: &[String]) -> Self {
        Self {
            title: title.to_owned(),
            drawing: Some(Drawing {
                width: svg.width() as u32,
                svg: svg.inline(),
                scrolls: false,
            }),
            legend,
            caption: caption.join(" "),
        }
    }

    /// A sentence instead of a figure.
    pub(super) fn missing(title: &str, reason: &impl Display) -> Self {
        Self {
            title: title.to_owned(),
            drawing: None,
            legend: Vec::new(),
            caption: format!("Not shown: {reason}."),
        }
    }
}

impl Entry {
    pub(super) fn new(class: &str, text: impl Into<String>) -> Self {
        Self {
            class: class.to_owned(),
            text: text.into(),
        }
    }
}

/// A table whose first column names the rows.
#[derive(Default)]
pub(super) struct Table {
    pub caption: String,
    pub columns: Vec<String>,
    pub rows: Vec<Row>,
    /// Whether the last column is text, not a number.
    pub ends_in_text: bool,
}

#[derive(Default)]
pub(super) struct Row {
    pub cells: Vec<String>,
    pub emphasised: bool,
    /// CSS classes of a coloured mark before the first cell.
    pub mark: Option<String>,
}

impl From<Vec<String>> for Row {
    fn from(cells: Vec<String>) -> Self {
        Self {
            cells,
            ..Self::default()
        }
    }
}
