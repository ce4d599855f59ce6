//! What pages are made of.

use super::figure::{Figure, Table};
use super::gallery::Cards;

/// A part of a page, with an entry in its contents.
pub(super) struct Section<'a> {
    pub id: &'static str,
    pub title: &'static str,
    pub blocks: Vec<Block<'a>>,
}

pub(super) enum Block<'a> {
    Heading(String),
    Text(String),
    /// A text that only some readers need.
    Note(String),
    Figures(Vec<Figure>),
    Table(Table),
    Cards(Cards),
    Pictures(Vec<Picture>),
    Pairs(&'a [(String, String)]),
    Verdicts(Vec<Verdict<'a>>),
    Details(Details),
    Commands(&'a [String]),
}

/// What is there in an image, and what was found, as base64 of JPEG files.
pub(super) struct Picture {
    pub truth: String,
    pub found: String,
    pub file: String,
}

/// What is said about a method.
pub(super) struct Verdict<'a> {
    /// CSS class of the method's colour.
    pub colour: String,
    pub method: &'a str,
    /// Without the full stop.
    pub sentence: String,
}

/// What is shown on request.
pub(super) struct Details {
    /// What is always shown.
    pub summary: String,
    pub text: String,
    pub tables: Vec<Table>,
}
