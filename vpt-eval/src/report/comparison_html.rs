//! The comparison as one page: no network, no script, light and dark, phone and paper.

use askama::Template;

use super::comparison_markdown::summary;
use super::comparison_sections::sections;
use super::section::{Block, Section};
use super::svg;
use crate::{Comparison, metrics};

#[derive(Template)]
#[template(path = "comparison.html")]
struct Page<'a> {
    comparison: &'a Comparison,
    summary: String,
    style: &'static str,
    sections: Vec<Section<'a>>,
}

/// A self-contained HTML page with verdicts, tables, figures, curves, trials and commands.
pub fn comparison_html(comparison: &Comparison) -> String {
    let Ok(metric) = metrics::find(&comparison.metric) else {
        return String::new(); // a comparison is only ever made with a metric that exists
    };
    let page = Page {
        comparison,
        summary: summary(comparison, metric).replace('`', ""),
        style: svg::STYLE,
        sections: sections(comparison, metric),
    };
    // Rendering into a String fails only if a Display implementation does, and ours are numbers and strings.
    page.render().unwrap_or_default()
}
