//! The tables of a page about an evaluated run.

use super::evaluated::{Evaluated, images, percent_of};
use super::figure::{Row, Table};
use super::format::{UNKNOWN, Unit, count, metric_title};
use crate::metrics::{self, METRICS};
use crate::{ClassRow, Estimate, Results};

/// Metrics of parts of the images: by hospital, by camera, by sex.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SubgroupTable {
    /// By what the images are divided.
    pub by: String,
    /// Names of the metrics, as in `results.json`.
    pub metrics: Vec<String>,
    /// One row a group.
    pub rows: Vec<SubgroupRow>,
}

/// The metrics of one group of images.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SubgroupRow {
    /// Name of the group.
    pub name: String,
    /// Number of its images.
    pub images: usize,
    /// A value for each metric of the table.
    pub values: Vec<Estimate>,
}

/// How the numbers of a metric are printed; those of an unknown one as they are.
fn unit(name: &str) -> Unit {
    let plain = Unit {
        scale: 1.0,
        digits: 3,
        difference: "",
    };
    metrics::find(name).map_or(plain, Unit::of)
}

/// The main metric in words, and its number with the interval.
pub(super) fn headline(results: &Results, name: &str) -> (String, String, String) {
    let found = results
        .metrics
        .get(name)
        .map(|metric| metric.estimate)
        .unwrap_or_default();
    let unit = unit(name);
    let number = match found.value {
        Some(value) if unit == Unit::SHARE => percent_of(value),
        Some(value) => unit.number(value),
        None => UNKNOWN.to_owned(),
    };
    (
        metric_title(name),
        number,
        unit.interval(&found).replace(' ', "\u{a0}"),
    )
}

/// All metrics of the results, in the order of the list of metrics, then those that it does not have.
pub(super) fn metrics_table(results: &Results, main: &str) -> Table {
    let known = METRICS.iter().map(|metric| metric.name);
    let unknown = results
        .metrics
        .keys()
        .map(String::as_str)
        .filter(|name| metrics::find(name).is_err());
    let row = |name: &str| {
        let metric = results.metrics.get(name)?;
        let (unit, found) = (unit(name), metric.estimate);
        let value = found.value.map_or(UNKNOWN.to_owned(), |value| unit.number(value));
        let interval = match unit.interval(&found) {
            none if none.is_empty() => UNKNOWN.to_owned(),
            interval => interval,
        };
        let about = metrics::find(name).map_or("", |metric| metric.about);
        Some(Row {
            cells: vec![metric_title(name), value, interval, about.to_owned()],
            emphasised: name == main,
            mark: None,
        })
    };
    let level = results.bootstrap.level;
    Table {
        caption: format!(
            "Metrics on {}. What is better when larger is in percent; losses and errors, which are better when smaller, are plain \
             numbers.",
            images(results.images)
        ),
        columns: vec![
            "metric".to_owned(),
            "value".to_owned(),
            format!("{} interval", percent_of(level).replace(".0", "")),
            "what it is".to_owned(),
        ],
        rows: known.chain(unknown).filter_map(row).collect(),
        ends_in_text: true,
    }
}

/// One row a class.
pub(super) fn class_table(results: &Results) -> Option<Table> {
    let share = |found: &Estimate| Unit::SHARE.estimate(found);
    let row = |row: &ClassRow| {
        let counts = [row.support, row.predicted].map(count);
        let shares = [&row.recall, &row.precision, &row.f1, &row.specificity, &row.auroc].map(share);
        [row.class.clone()]
            .into_iter()
            .chain(counts)
            .chain(shares)
            .collect::<Vec<_>>()
            .into()
    };
    let columns = [
        "class",
        "images",
        "taken for it",
        "recall (sensitivity)",
        "precision (PPV)",
        "F1",
        "specificity",
        "AUROC",
    ];
    (!results.per_class.is_empty()).then(|| Table {
        caption: "Each class against all others, in percent with intervals.".to_owned(),
        columns: columns.map(str::to_owned).into(),
        rows: results.per_class.iter().map(row).collect(),
        ends_in_text: false,
    })
}

/// One row a group.
pub(super) fn subgroup_table(table: &SubgroupTable) -> Table {
    let units: Vec<Unit> = table.metrics.iter().map(|name| unit(name)).collect();
    let row = |row: &SubgroupRow| {
        let values = row
            .values
            .iter()
            .zip(&units)
            .map(|(value, unit)| unit.estimate(value));
        let fixed = [row.name.clone(), count(row.images)];
        fixed.into_iter().chain(values).collect::<Vec<_>>().into()
    };
    let titles = table.metrics.iter().map(|name| metric_title(name));
    Table {
        caption: format!("By {}, with intervals.", table.by),
        columns: [table.by.clone(), "images".to_owned()]
            .into_iter()
            .chain(titles)
            .collect(),
        rows: table.rows.iter().map(row).collect(),
        ends_in_text: false,
    }
}

/// What a threshold does, with Wilson's intervals; `None` without one.
pub(super) fn threshold_table(run: &Evaluated) -> Option<Table> {
    let (counts, threshold) = (run.decision()?, run.threshold?);
    let name = run.class(1);
    let rows = [
        (
            "sensitivity",
            counts.sensitivity(),
            format!("share of {name} that is found"),
        ),
        (
            "specificity",
            counts.specificity(),
            format!("share of {} that is left alone", run.class(0)),
        ),
        (
            "PPV",
            counts.ppv(),
            format!("share of {name} among the images called so"),
        ),
        (
            "NPV",
            counts.npv(),
            format!("share of {} among the others", run.class(0)),
        ),
        ("accuracy", counts.accuracy(), "share of right calls".to_owned()),
    ];
    let row = |(title, share, about): (&str, crate::statistics::Proportion, String)| {
        let cells = [
            title.to_owned(),
            Unit::SHARE.estimate(&run.share(share)),
            format!(
                "{} of {}",
                count(share.hits as usize),
                count(share.items as usize)
            ),
            about,
        ];
        Row::from(cells.to_vec())
    };
    Some(Table {
        caption: format!(
            "An image is called {name} from a probability of {} on. In percent, with intervals.",
            percent_of(threshold)
        ),
        columns: ["at the threshold", "value", "images", "what it is"]
            .map(str::to_owned)
            .into(),
        rows: rows.into_iter().map(row).collect(),
        ends_in_text: true,
    })
}
