//! An evaluated run as one page: no network, no script, light and dark, phone and paper.

use askama::Template;

use super::class_curves::ClassCurves;
use super::confusions::{confusion_figure, confusion_table};
use super::decision_curve::decision;
use super::evaluated::{Evaluated, images};
use super::figure::{Row, Table};
use super::format::method_title;
use super::gallery::{Gallery, cards};
use super::metric_tables::{
    SubgroupTable, class_table, headline, metrics_table, subgroup_table, threshold_table,
};
use super::places;
use super::precision_recall::precision_recall;
use super::reliability::reliability;
use super::risk_coverage::risk_coverage;
use super::roc::roc;
use super::score_histogram::score_histogram;
use super::section::{Block, Section};
use super::svg;
use super::threshold_curves::ThresholdCurves;
use crate::{Predictions, Results};

/// What a page about an evaluated run is made of.
pub struct EvaluationPage<'a> {
    /// Metrics with intervals, and what is known about the run.
    pub results: &'a Results,
    /// The logits that the results were made of, and how they were read.
    pub predictions: &'a Predictions,
    /// Name of the metric in the headline, as in `results.json`.
    pub main_metric: &'a str,
    /// Metrics of parts of the images.
    pub subgroups: Vec<SubgroupTable>,
    /// Pictures.
    pub gallery: Gallery,
    /// What the data are: images per split and class, leaks that were found.
    pub data_card: Vec<CardSection>,
    /// What the model is: pairs of a name and a value.
    pub model_card: Vec<(String, String)>,
    /// The commands that made the run, as they were typed.
    pub commands: Vec<String>,
}

/// A part of the data card: a table, notes, or both.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CardSection {
    /// Heading.
    pub title: String,
    /// Titles of the table's columns; the first column names the rows. Empty for no table.
    pub columns: Vec<String>,
    /// Rows of the table.
    pub rows: Vec<Vec<String>>,
    /// Sentences below it.
    pub notes: Vec<String>,
}

#[derive(Template)]
#[template(path = "evaluation.html")]
struct Page<'a> {
    results: &'a Results,
    style: &'static str,
    method: &'a str,
    images: String,
    metric: String,
    number: String,
    interval: String,
    sections: Vec<Section<'a>>,
}

/// A self-contained HTML page about one evaluated run. What the images do not define is a sentence with the reason.
pub fn evaluation_html(page: &EvaluationPage) -> String {
    let results = page.results;
    let (metric, number, interval) = headline(results, page.main_metric);
    let sections = match page.predictions.found {
        Some(_) => places_sections(page),
        None => image_sections(page),
    };
    let page = Page {
        style: svg::STYLE,
        method: method_title(&results.method),
        images: images(page.predictions.len()),
        metric,
        number,
        interval,
        sections: sections
            .into_iter()
            .filter(|section| !section.blocks.is_empty())
            .collect(),
        results,
    };
    // Rendering into a String fails only if a Display implementation does, and ours are numbers and strings.
    page.render().unwrap_or_default()
}

/// What is said of tasks of whole images.
fn image_sections<'a>(page: &'a EvaluationPage) -> Vec<Section<'a>> {
    let run = Evaluated::new(page.predictions, page.results);
    vec![
        metrics(&run, page),
        ranking(&run),
        calibration(&run),
        confusions(&run),
        classes(&run, page),
        gallery(&run, page),
        data(page),
        model(page),
        commands(page),
    ]
}

/// What is said of boxes and masks.
fn places_sections<'a>(page: &'a EvaluationPage) -> Vec<Section<'a>> {
    let metrics = Section {
        id: "metrics",
        title: "What it reaches",
        blocks: vec![Block::Table(metrics_table(page.results, page.main_metric))],
    };
    let tables = [places::class_table(page.results)].into_iter();
    let tables = tables.chain(page.subgroups.iter().map(subgroup_table));
    let classes = Section {
        id: "classes",
        title: "Classes and groups",
        blocks: tables.map(Block::Table).collect(),
    };
    let curves = ThresholdCurves::of(page.predictions, page.results);
    let mut sections = vec![metrics];
    sections.extend(curves.map(|curves| curves.section()));
    sections.extend([
        classes,
        places::pictures(&page.gallery.pairs),
        data(page),
        model(page),
        commands(page),
    ]);
    sections
}

fn metrics<'a>(run: &Evaluated, page: &EvaluationPage) -> Section<'a> {
    let table = metrics_table(page.results, page.main_metric);
    let tables = [Some(table), threshold_table(run)];
    Section {
        id: "metrics",
        title: "What it reaches",
        blocks: tables.into_iter().flatten().map(Block::Table).collect(),
    }
}

fn ranking<'a>(run: &Evaluated) -> Section<'a> {
    let curves = ClassCurves::new(run);
    Section {
        id: "curves",
        title: "How well it tells classes apart",
        blocks: vec![Block::Figures(vec![
            roc(run, &curves),
            precision_recall(run, &curves),
        ])],
    }
}

fn calibration<'a>(run: &Evaluated) -> Section<'a> {
    let mut figures = vec![reliability(run)];
    if !run.is_multi_label() {
        figures.push(risk_coverage(run));
    }
    if run.is_binary() {
        figures.extend([decision(run), score_histogram(run)]);
    }
    Section {
        id: "certainty",
        title: "How far its probabilities can be trusted",
        blocks: vec![Block::Figures(figures)],
    }
}

fn confusions<'a>(run: &Evaluated) -> Section<'a> {
    // An image of several classes is not taken for another one.
    let one_class = !run.is_multi_label();
    let figure = confusion_figure(run).filter(|_| one_class);
    let figure = figure.map(|figure| Block::Figures(vec![figure]));
    let table = confusion_table(run).filter(|_| one_class).map(Block::Table);
    Section {
        id: "confusions",
        title: "What it takes for what",
        blocks: figure.into_iter().chain(table).collect(),
    }
}

fn classes<'a>(run: &Evaluated, page: &EvaluationPage) -> Section<'a> {
    let tables = class_table(run.results).into_iter();
    let tables = tables.chain(page.subgroups.iter().map(subgroup_table));
    Section {
        id: "classes",
        title: "Classes and groups",
        blocks: tables.map(Block::Table).collect(),
    }
}

fn gallery<'a>(run: &Evaluated, page: &EvaluationPage) -> Section<'a> {
    let lists = [
        (
            "The most confident errors",
            page.gallery.errors.iter().collect::<Vec<_>>(),
        ),
        ("Chosen at random", page.gallery.random.iter().collect()),
    ];
    let mut blocks = Vec::new();
    let mut has_overlays = false;
    for (title, examples) in lists {
        if let Some(cards) = cards(run, &examples) {
            has_overlays |= cards.has_overlays;
            blocks.extend([Block::Heading(title.to_owned()), Block::Cards(cards)]);
        }
    }
    if has_overlays {
        let text = "Beside each picture is what the model makes of it: the brighter a place, the more of it reaches the \
                    prediction (attention rollout over the part that the model sees).";
        blocks.insert(0, Block::Text(text.to_owned()));
    }
    Section {
        id: "examples",
        title: "Examples",
        blocks,
    }
}

fn data<'a>(page: &EvaluationPage) -> Section<'a> {
    let mut blocks = Vec::new();
    for section in &page.data_card {
        blocks.push(Block::Heading(section.title.clone()));
        if !section.columns.is_empty() {
            blocks.push(Block::Table(Table {
                caption: String::new(),
                columns: section.columns.clone(),
                rows: section.rows.iter().cloned().map(Row::from).collect(),
                ends_in_text: false,
            }));
        }
        blocks.extend(section.notes.iter().cloned().map(Block::Text));
    }
    Section {
        id: "data",
        title: "The data",
        blocks,
    }
}

fn model<'a>(page: &'a EvaluationPage) -> Section<'a> {
    let pairs = &page.model_card[..];
    Section {
        id: "model",
        title: "The model",
        blocks: (!pairs.is_empty())
            .then_some(Block::Pairs(pairs))
            .into_iter()
            .collect(),
    }
}

fn commands<'a>(page: &'a EvaluationPage) -> Section<'a> {
    let commands = &page.commands[..];
    Section {
        id: "commands",
        title: "How to repeat it",
        blocks: (!commands.is_empty())
            .then_some(Block::Commands(commands))
            .into_iter()
            .collect(),
    }
}
