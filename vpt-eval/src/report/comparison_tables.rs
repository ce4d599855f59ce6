//! The tables of a comparison, for the page and for Markdown.

use std::collections::BTreeSet;

use super::few_shot::shots;
use super::figure::{Row, Table};
use super::format::{self, UNKNOWN, Unit, method_title, metric_title, p_value};
use super::svg;
use crate::metrics::{self, Metric};
use crate::statistics::SignFlip;
use crate::{Comparison, ComparisonRow, Forgetting, MethodSearch, Pair, Trial, TrialEnd};

/// Metrics that are shown beside the compared one, where all methods have them.
const OTHERS: [&str; 6] = [
    "top1",
    "balanced_accuracy",
    "auroc",
    "exact_match",
    "log_loss",
    "ece",
];

fn known(text: Option<String>) -> String {
    text.unwrap_or(UNKNOWN.to_owned())
}

/// What a column says about a method, where it is known.
type Cell<'a> = Box<dyn Fn(&'a ComparisonRow) -> Option<String> + 'a>;

/// A title and the cells below it.
type Column<'a> = (String, Cell<'a>);

/// A row for each method, with its colour, and without the columns about which no method knows anything.
fn by_method<'a>(comparison: &'a Comparison, columns: Vec<Column<'a>>) -> Option<(Vec<String>, Vec<Row>)> {
    let rows = &comparison.rows;
    let columns: Vec<_> = columns
        .into_iter()
        .filter(|(_, cell)| rows.iter().any(|row| cell(row).is_some()))
        .collect();
    let row = |(i, row): (usize, &'a ComparisonRow)| Row {
        cells: std::iter::once(row.method.clone())
            .chain(columns.iter().map(|(_, cell)| known(cell(row))))
            .collect(),
        emphasised: row.method == comparison.baseline,
        mark: Some(svg::mark(i)),
    };
    let cells = rows.iter().enumerate().map(row).collect();
    let titles = std::iter::once("method".to_owned()).chain(columns.iter().map(|(title, _)| title.clone()));
    (!columns.is_empty()).then(|| (titles.collect(), cells))
}

fn percent(metric: &Metric) -> &'static str {
    if metric.higher_is_better { " %" } else { "" }
}

/// What each method reaches.
pub(super) fn scores_table(comparison: &Comparison, metric: &Metric) -> Table {
    let unit = Unit::of(metric);
    let others = OTHERS.into_iter().filter(|&name| {
        name != metric.name && comparison.rows.iter().all(|row| row.metrics.contains_key(name))
    });
    let mut columns: Vec<Column> = vec![
        (
            format!("{}{}", metric_title(metric.name), percent(metric)),
            Box::new(move |row| Some(unit.estimate(&row.score))),
        ),
        (
            format!("difference to {}", method_title(&comparison.baseline)),
            Box::new(move |row| {
                let difference = row.difference.as_ref();
                Some(difference.map_or("baseline".to_owned(), |found| unit.difference(found)))
            }),
        ),
        (
            "of each seed".to_owned(),
            Box::new(move |row| {
                let seeds = row.score_per_seed.iter().map(|&score| unit.number(score));
                (row.score_per_seed.len() > 1).then(|| seeds.collect::<Vec<_>>().join(" "))
            }),
        ),
    ];
    for name in others {
        let Ok(other) = metrics::find(name) else { continue };
        let unit = Unit::of(other);
        columns.push((
            format!("{}{}", metric_title(name), percent(other)),
            Box::new(move |row| Some(unit.number(*row.metrics.get(name)?))),
        ));
    }
    let (columns, rows) = by_method(comparison, columns).unwrap_or_default();
    Table {
        caption: format!(
            "Means over the seeds, with {:.0} % intervals.",
            comparison.bootstrap.level * 100.0
        ),
        columns,
        rows,
        ends_in_text: false,
    }
}

/// Every pair of methods; `None` with a single method.
pub(super) fn pairs_table(comparison: &Comparison, metric: &Metric) -> Option<Table> {
    let pairs = &comparison.pairs;
    let unit = Unit::of(metric);
    let of_points = |value: f64| format!("{}{}", unit.number(value), unit.difference);
    let holm = pairs.len() > 1;
    let mcnemar = pairs.iter().any(|pair| pair.mcnemar.is_some());
    let bare = |p: f64| p_value(p).trim_start_matches("= ").to_owned();
    let disagree = |test: &SignFlip| {
        format!(
            "{} : {}, p {}",
            test.a_better,
            test.b_better,
            p_value(test.p_value)
        )
    };
    let row = |pair: &Pair| -> Row {
        let mut cells = vec![
            format!("{} − {}", pair.a, pair.b),
            unit.difference(&pair.difference),
            known(pair.p_value.map(bare)),
        ];
        if holm {
            cells.push(known(pair.p_holm.map(bare)));
        }
        if mcnemar {
            cells.push(known(pair.mcnemar.as_ref().map(|tests| disagree(&tests.pooled))));
        }
        cells.extend([
            known(pair.detectable.map(of_points)),
            known(pair.images_needed.map(|images| format::count(images as usize))),
            pair.verdict.clone(),
        ]);
        cells.into()
    };
    let titles = [
        Some("pair"),
        Some("difference"),
        Some("p"),
        holm.then_some("p, Holm"),
        mcnemar.then_some("only one is right"),
        Some("would have shown"),
        Some("images needed"),
        Some("verdict"),
    ];
    (!pairs.is_empty()).then(|| Table {
        caption: pairs_caption(comparison, mcnemar, holm),
        columns: titles.into_iter().flatten().map(str::to_owned).collect(),
        rows: pairs.iter().map(row).collect(),
        ends_in_text: true,
    })
}

fn pairs_caption(comparison: &Comparison, mcnemar: bool, holm: bool) -> String {
    let mut caption = vec![
        "Differences on the same images, the first method minus the second.".to_owned(),
        "p is that of the interval.".to_owned(),
    ];
    if holm {
        caption.push(format!(
            "Holm's p holds for all {} pairs together.",
            comparison.pairs.len()
        ));
    }
    if mcnemar {
        let several = comparison.rows.iter().any(|row| row.seeds.len() > 1);
        caption.push(match several {
            true => "“Only one is right” counts the images that the first, and the second, has right more often over the seeds, with \
                     the exact p of these very models (McNemar's test over all seeds)."
                .to_owned(),
            false => "“Only one is right” counts the images that only the first, and only the second, has right, with McNemar's exact \
                      p."
            .to_owned(),
        });
    }
    caption.push(
        "“Would have shown” is the smallest true difference that this test set and these seeds find in four of five repetitions, \
         “images needed” how many it takes to find the observed one as often, “–” where these seeds spread too far for any number."
            .to_owned(),
    );
    caption.join(" ")
}

/// What each method costs; `None` where nothing is known.
pub(super) fn costs_table(comparison: &Comparison) -> Option<Table> {
    let times = |ratio: Option<f64>| ratio.map_or(String::new(), |ratio| format!(" ({ratio:.2}×)"));
    let batch = comparison.rows.iter().find_map(|row| row.costs.batch);
    let batch = batch.map_or("batch".to_owned(), |images| format!("batch of {images}"));
    let columns: Vec<Column> = vec![
        (
            "tuned parameters".to_owned(),
            Box::new(|row| {
                let percent = row.tuned_percent.map_or(String::new(), |percent| {
                    format!(" ({})", format::percent(percent))
                });
                Some(format::count(row.tuned_params?) + &percent)
            }),
        ),
        (
            "task file".to_owned(),
            Box::new(|row| row.task_file_bytes.map(format::bytes)),
        ),
        (
            "search".to_owned(),
            Box::new(|row| {
                let trials = row.costs.search_trials.map(|trials| format!("{trials} trials"));
                let time = row.costs.search_seconds.map(format::duration);
                let parts: Vec<String> = [time, trials].into_iter().flatten().collect();
                (!parts.is_empty()).then(|| parts.join(", "))
            }),
        ),
        (
            "training".to_owned(),
            Box::new(|row| row.train_seconds.map(format::duration)),
        ),
        (
            "images/s train".to_owned(),
            Box::new(|row| row.train_images_per_second.map(format::rate)),
        ),
        (
            "images/s infer".to_owned(),
            Box::new(|row| row.images_per_second.map(format::rate)),
        ),
        (
            "latency".to_owned(),
            Box::new(move |row| {
                let costs = &row.costs;
                Some(format::milliseconds(costs.latency_ms?) + &times(costs.latency_ratio()))
            }),
        ),
        (
            format!("latency, {batch}"),
            Box::new(move |row| {
                let costs = &row.costs;
                Some(format::milliseconds(costs.batch_latency_ms?) + &times(costs.batch_latency_ratio()))
            }),
        ),
        (
            "multiply-adds".to_owned(),
            Box::new(move |row| {
                let costs = &row.costs;
                Some(format::short(costs.multiply_adds? as f64) + &times(costs.multiply_adds_ratio()))
            }),
        ),
        (
            "peak memory".to_owned(),
            Box::new(|row| row.peak_memory_bytes.map(format::bytes)),
        ),
        (
            "GPU memory".to_owned(),
            Box::new(|row| row.device_memory_bytes.map(format::bytes)),
        ),
    ];
    let (columns, rows) = by_method(comparison, columns)?;
    let mut caption = "Means over the seeds; memory is the most of any.".to_owned();
    if comparison
        .rows
        .iter()
        .any(|row| row.costs.bare_latency_ms.is_some())
    {
        caption += " In brackets: as a multiple of the backbone alone.";
    }
    Some(Table {
        caption,
        columns,
        rows,
        ends_in_text: false,
    })
}

/// What is left of what the backbone knew; `None` where nobody looked.
pub(super) fn forgetting_table(comparison: &Comparison) -> Option<Table> {
    fn of<'a>(cell: impl Fn(&'a Forgetting) -> Option<String> + 'a) -> Cell<'a> {
        Box::new(move |row| cell(row.forgetting.as_ref()?))
    }
    let source = comparison
        .rows
        .iter()
        .find_map(|row| row.forgetting.as_ref()?.source.as_ref());
    let unit = source
        .and_then(|source| metrics::find(&source.metric).ok())
        .map_or(Unit::SHARE, Unit::of);
    let columns = vec![
        (
            "backbone".to_owned(),
            of(|found| {
                let state = if found.backbone_unchanged {
                    "unchanged"
                } else {
                    "changed"
                };
                let hash: String = found.backbone_sha256.chars().take(12).collect();
                Some(match hash.is_empty() {
                    true => state.to_owned(),
                    false => format!("{state}, {hash}…"),
                })
            }),
        ),
        (
            "source task before".to_owned(),
            of(move |found| Some(unit.estimate(&found.source.as_ref()?.before))),
        ),
        (
            "after".to_owned(),
            of(move |found| Some(unit.estimate(&found.source.as_ref()?.after))),
        ),
        (
            "difference".to_owned(),
            of(move |found| Some(unit.difference(&found.source.as_ref()?.difference))),
        ),
        (
            "similarity of features (CKA)".to_owned(),
            of(|found| found.cka.map(|cka| format!("{cka:.3}"))),
        ),
    ];
    let (columns, rows) = by_method(comparison, columns)?;
    let caption = source.map_or(String::new(), |source| {
        let percent = if unit == Unit::SHARE { ", in percent" } else { "" };
        format!(
            "{} on {} images of the backbone's own task, {}{percent}.",
            metric_title(&source.metric),
            format::count(source.images),
            source.task
        )
    });
    Some(Table {
        caption,
        columns,
        rows,
        ends_in_text: false,
    })
}

/// The scores of each method by the number of shots; `None` without curves.
pub(super) fn few_shot_table(comparison: &Comparison, metric: &Metric) -> Option<Table> {
    let unit = Unit::of(metric);
    let points = || comparison.few_shot.iter().flat_map(|curve| &curve.points);
    let places: BTreeSet<usize> = points().map(|point| point.shots.unwrap_or(usize::MAX)).collect();
    let places: Vec<Option<usize>> = places
        .into_iter()
        .map(|shots| (shots < usize::MAX).then_some(shots))
        .collect();
    let title = |wanted: &Option<usize>| {
        let images = points()
            .find(|point| point.shots == *wanted)
            .map_or(0, |point| point.images);
        format!("{} ({} images)", shots(*wanted), format::count(images))
    };
    let rows = comparison.few_shot.iter().map(|curve| {
        let cell = |wanted: &Option<usize>| {
            let point = curve.points.iter().find(|point| point.shots == *wanted);
            known(point.map(|point| unit.estimate(&point.score)))
        };
        let place = comparison.rows.iter().position(|row| row.method == curve.method);
        Row {
            cells: std::iter::once(curve.method.clone())
                .chain(places.iter().map(cell))
                .collect(),
            emphasised: curve.method == comparison.baseline,
            mark: place.map(svg::mark),
        }
    });
    let draws = points().map(|point| point.scores.len()).max()?;
    let drawn = if draws == 1 {
        "one draw".to_owned()
    } else {
        format!("up to {draws} draws")
    };
    Some(Table {
        caption: format!(
            "{}{} by training images of each class: means over {drawn}, with intervals.",
            metric_title(metric.name),
            if metric.higher_is_better {
                ", in percent,"
            } else {
                ""
            }
        ),
        columns: std::iter::once("method".to_owned())
            .chain(places.iter().map(title))
            .collect(),
        rows: rows.collect(),
        ends_in_text: false,
    })
}

/// Every trial of a search.
pub(super) fn trials_table(search: &MethodSearch) -> Table {
    let unit = metrics::find(&search.metric).map_or(Unit::SHARE, Unit::of);
    let settings: BTreeSet<&String> = search
        .trials
        .iter()
        .flat_map(|trial| trial.settings.keys())
        .collect();
    let explained = search.trials.iter().any(|trial| trial.reason.is_some());
    let row = |trial: &Trial| {
        let mut cells = vec![trial.id.clone()];
        cells.extend(
            settings
                .iter()
                .map(|&key| known(trial.settings.get(key).cloned())),
        );
        cells.extend([
            trial.epochs.to_string(),
            trial.seed.to_string(),
            known(trial.score.map(|score| unit.number(score))),
            known(trial.seconds.map(format::duration)),
            trial.ended.name().to_owned(),
        ]);
        cells.extend(explained.then(|| trial.reason.clone().unwrap_or_default()));
        Row {
            cells,
            emphasised: trial.ended == TrialEnd::Best,
            mark: None,
        }
    };
    let percent = if unit == Unit::SHARE { " %" } else { "" };
    let mut columns = vec!["trial".to_owned()];
    columns.extend(settings.iter().map(|&key| key.clone()));
    columns.extend([
        "epochs".to_owned(),
        "seed".to_owned(),
        format!("validation {}{percent}", metric_title(&search.metric)),
        "time".to_owned(),
        "end".to_owned(),
    ]);
    columns.extend(explained.then(|| "why".to_owned()));
    Table {
        caption: String::new(),
        columns,
        rows: search.trials.iter().map(row).collect(),
        ends_in_text: explained,
    }
}
