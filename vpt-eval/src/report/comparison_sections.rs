//! What a comparison says, part by part; parts without data are left out.

use super::comparison_tables::{
    costs_table, few_shot_table, forgetting_table, pairs_table, scores_table, trials_table,
};
use super::curves::method_curves;
use super::few_shot::{crossing_sentences, few_shot};
use super::figure::Figure;
use super::forest::forest;
use super::plot::{padded, range};
use super::scatter::{TRAINING_TIME, TUNED_PARAMETERS, scatter};
use super::section::{Block, Details, Section, Verdict};
use super::svg;
use crate::metrics::Metric;
use crate::{Comparison, ComparisonRow, MethodSearch, RunCurves, TrialEnd};

/// Up to this many pairs are shown at once.
const PAIRS_AT_ONCE: usize = 6;

/// All parts that have something to say.
pub(super) fn sections<'a>(comparison: &'a Comparison, metric: &Metric) -> Vec<Section<'a>> {
    let sections = [
        scores(comparison, metric),
        pairs(comparison, metric),
        costs(comparison, metric),
        shots(comparison, metric),
        forgetting(comparison),
        curves(comparison, metric),
        search(comparison),
        commands(comparison),
    ];
    sections
        .into_iter()
        .filter(|section| !section.blocks.is_empty())
        .collect()
}

fn scores<'a>(comparison: &'a Comparison, metric: &Metric) -> Section<'a> {
    let verdict = |(i, row): (usize, &'a ComparisonRow)| {
        (!row.verdict.is_empty()).then(|| Verdict {
            colour: svg::series(i),
            method: &row.method,
            sentence: unbroken(&row.verdict),
        })
    };
    let verdicts: Vec<Verdict> = comparison.rows.iter().enumerate().filter_map(verdict).collect();
    let mut blocks = Vec::new();
    if !verdicts.is_empty() {
        blocks.push(Block::Verdicts(verdicts));
    }
    blocks.push(Block::Table(scores_table(comparison, metric)));
    blocks.extend(forest(comparison, metric).map(|figure| Block::Figures(vec![figure])));
    blocks.extend(comparison.notes.iter().cloned().map(Block::Note));
    Section {
        id: "scores",
        title: "What they reach",
        blocks,
    }
}

/// Intervals are not broken between their ends, nor p-values before their number.
fn unbroken(sentence: &str) -> String {
    [
        (", ", ",\u{a0}"),
        (" < ", "\u{a0}<\u{a0}"),
        (" = ", "\u{a0}=\u{a0}"),
    ]
    .iter()
    .fold(sentence.to_owned(), |text, (plain, unbroken)| {
        text.replace(plain, unbroken)
    })
}

fn pairs<'a>(comparison: &'a Comparison, metric: &Metric) -> Section<'a> {
    let count = comparison.pairs.len();
    let block = |table| match count {
        0..=PAIRS_AT_ONCE => Block::Table(table),
        _ => Block::Details(Details {
            summary: format!("All {count} pairs"),
            text: String::new(),
            tables: vec![table],
        }),
    };
    let table = pairs_table(comparison, metric);
    Section {
        id: "pairs",
        title: "Every pair",
        blocks: table.map(block).into_iter().collect(),
    }
}

fn costs<'a>(comparison: &'a Comparison, metric: &Metric) -> Section<'a> {
    let figures: Vec<Figure> = [TUNED_PARAMETERS, TRAINING_TIME]
        .iter()
        .filter_map(|cost| scatter(comparison, metric, cost))
        .collect();
    let mut blocks = Vec::new();
    if !figures.is_empty() {
        blocks.push(Block::Figures(figures));
    }
    blocks.extend(costs_table(comparison).map(Block::Table));
    Section {
        id: "costs",
        title: "What they cost",
        blocks,
    }
}

fn shots<'a>(comparison: &'a Comparison, metric: &Metric) -> Section<'a> {
    let mut blocks = Vec::new();
    blocks.extend(few_shot(comparison, metric).map(|figure| Block::Figures(vec![figure])));
    let sentences = crossing_sentences(&comparison.few_shot_crossings);
    blocks.extend(sentences.into_iter().map(Block::Text));
    blocks.extend(few_shot_table(comparison, metric).map(Block::Table));
    Section {
        id: "few-shot",
        title: "With fewer training images",
        blocks,
    }
}

fn forgetting(comparison: &Comparison) -> Section<'_> {
    let table = forgetting_table(comparison);
    let unchanged = |row: &ComparisonRow| {
        row.forgetting
            .as_ref()
            .is_some_and(|found| found.backbone_unchanged)
    };
    let mut blocks = Vec::new();
    if comparison.rows.iter().any(unchanged) {
        blocks.push(Block::Text(
            "Where the backbone is unchanged, its hash is what it was before training: nothing can be forgotten.".to_owned(),
        ));
    }
    blocks.extend(table.map(Block::Table));
    Section {
        id: "forgetting",
        title: "What they forget",
        blocks,
    }
}

/// Curves of each method, all on the same vertical axes.
fn curves<'a>(comparison: &'a Comparison, metric: &Metric) -> Section<'a> {
    let rows = || comparison.runs.iter().flat_map(|run| &run.epochs);
    let axis = |values: Option<(f64, f64)>| values.map_or((0.0, 1.0), |values| padded(values, 0.05));
    let axes = (
        axis(range(rows().flat_map(|row| [row.train_loss, row.val_loss]))),
        axis(range(
            rows().filter_map(|row| row.metrics.get(metric.name).copied()),
        )),
    );
    let of_method = |(i, row): (usize, &ComparisonRow)| {
        let runs: Vec<&RunCurves> = comparison
            .runs
            .iter()
            .filter(|run| run.method == row.method && !run.epochs.is_empty())
            .collect();
        let folders: Vec<String> = runs.iter().map(|run| run.run_dir.display().to_string()).collect();
        let svg = method_curves(&runs, metric.name, i, axes);
        let caption = format!("Run folders: {}.", folders.join(", "));
        (!runs.is_empty()).then(|| Figure::new(&row.method, svg, Vec::new(), &[caption]))
    };
    let figures: Vec<Figure> = comparison.rows.iter().enumerate().filter_map(of_method).collect();
    let mut blocks = Vec::new();
    if !figures.is_empty() {
        blocks.push(Block::Note(
            "One line per seed; the vertical axes are the same for all methods.".to_owned(),
        ));
        blocks.push(Block::Figures(figures));
    }
    Section {
        id: "curves",
        title: "Training curves",
        blocks,
    }
}

fn search(comparison: &Comparison) -> Section<'_> {
    let mut blocks = Vec::new();
    if !comparison.search.is_empty() {
        let first = &comparison.search[0].budget;
        let same = comparison.search.iter().all(|search| search.budget == *first);
        let budget = if same {
            "Each method got the same budget. "
        } else {
            ""
        };
        blocks.push(Block::Text(format!(
            "{budget}Trials are ranked on the validation split; the best settings were then trained with every seed, and only \
             those runs have read the test split."
        )));
        blocks.extend(
            comparison
                .search
                .iter()
                .map(|search| Block::Details(trials(search))),
        );
    }
    Section {
        id: "search",
        title: "How the settings were found",
        blocks,
    }
}

fn trials(search: &MethodSearch) -> Details {
    let best = search.trials.iter().find(|trial| trial.ended == TrialEnd::Best);
    let chosen = best.map_or(String::new(), |trial| {
        let settings: Vec<String> = trial
            .settings
            .iter()
            .map(|(key, value)| format!("{key} {value}"))
            .collect();
        format!("; chosen: {}", settings.join(", "))
    });
    let failed = search
        .trials
        .iter()
        .filter(|trial| trial.ended == TrialEnd::Failed)
        .count();
    let failed = if failed == 0 {
        String::new()
    } else {
        format!(", {failed} failed")
    };
    let rungs: Vec<String> = search
        .rungs
        .iter()
        .map(|rung| format!("{} of {} epochs", rung.trials, rung.epochs))
        .collect();
    let mut text = Vec::new();
    if !search.budget.is_empty() {
        text.push(format!("Budget: {}.", search.budget));
    }
    if !rungs.is_empty() {
        text.push(format!("Successive halving: {}.", rungs.join(", then ")));
    }
    Details {
        summary: format!(
            "{}: {} trials{failed}{chosen}",
            search.method,
            search.trials.len()
        ),
        text: text.join(" "),
        tables: vec![trials_table(search)],
    }
}

fn commands(comparison: &Comparison) -> Section<'_> {
    let commands = &comparison.commands[..];
    Section {
        id: "commands",
        title: "How to repeat it",
        blocks: (!commands.is_empty())
            .then_some(Block::Commands(commands))
            .into_iter()
            .collect(),
    }
}
