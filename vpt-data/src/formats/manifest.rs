//! A table of images: one line each with its file, its label and, where they are known, its split and its patient.
//!
//! ```text
//! path,label,split,patient
//! scans/1.png,healthy,train,p1
//! scans/2.png,ill,test,p2
//! ```
//!
//! A column `labels` instead of `label` has any number of classes for each image, separated by `|`: `Effusion|Mass`, or
//! nothing for none.
//!
//! Columns are found by their names, in any order and any case, or as [`ColumnNames`] says; others are kept as they are.
//! Paths are relative to the table's folder.

use super::columns::{Columns, Row, Wanted};
use super::table::Table;
use super::{Found, Images};
use crate::error::counted;
use crate::leaks::parted_groups;
use crate::{ColumnNames, DataError, Label, Problems, Sample, Split, TaskKind};
use std::collections::BTreeMap;
use std::path::Path;

pub(super) fn read(path: &Path, names: &ColumnNames) -> Result<Found, DataError> {
    let table = Table::read(path)?;
    let wanted = Wanted {
        labels: true,
        split: true,
    };
    let columns = Columns::of(&table, names, wanted)?;
    let mut notes = Vec::new();
    let rows = columns.rows(&table, &mut notes)?;
    found(rows, &columns, notes, &table)
}

/// Labels, classes and splits of the rows.
fn found(
    rows: Vec<Row>,
    columns: &Columns,
    mut notes: Vec<String>,
    table: &Table,
) -> Result<Found, DataError> {
    let split = columns.split.is_some();
    let to_learn_from = |row: &&Row| !split || row.split == Some(Split::Train);
    let mut classes: Vec<String> = rows
        .iter()
        .filter(to_learn_from)
        .flat_map(|row| row.labels.iter().cloned())
        .collect();
    classes.sort_by(|a, b| natord::compare(a, b).then_with(|| a.cmp(b)));
    classes.dedup();
    match classes.as_slice() {
        [] if !rows.iter().any(|row| to_learn_from(&row)) => {
            return Err(table.wrong(None, "no line has the split `train`".into()));
        }
        [] => return Err(table.wrong(None, "no training image has any class".into())),
        [only] if columns.several => {
            return Err(table.wrong(
                None,
                format!(
                    "`{only}` is the only class of the training images, expected two or more; \
                     a single finding is a column `label` with one name for with it and one for without"
                ),
            ));
        }
        [only] => {
            let line = rows.iter().find(to_learn_from).map(|row| row.line);
            return Err(table.wrong(
                line,
                format!("all training images have the label `{only}`, expected two or more labels"),
            ));
        }
        _ => {}
    }
    if let Some(pair) = classes.iter().enumerate().find_map(|(i, one)| {
        let other = classes[i + 1..]
            .iter()
            .find(|other| other.to_lowercase() == one.to_lowercase());
        Some((one, other?))
    }) {
        return Err(DataError::ClassCase {
            dir: table.path.clone(),
            first: pair.0.clone(),
            second: pair.1.clone(),
        });
    }
    if split {
        notes.extend(leaks(&rows));
    }
    let mut samples: BTreeMap<Split, Vec<Sample>> = BTreeMap::new();
    for row in rows {
        let place = |name: &String| {
            let place = classes.binary_search_by(|class| {
                natord::compare(class, name).then_with(|| class.as_str().cmp(name))
            });
            place.map_err(|_| {
                let split = row.split.unwrap_or(Split::Test);
                table.wrong(
                    Some(row.line),
                    format!("the label `{name}` is in `{split}` but not in `train`"),
                )
            })
        };
        let places: Vec<usize> = row.labels.iter().map(place).collect::<Result<_, _>>()?;
        let label = match (columns.several, places.as_slice()) {
            (false, &[class]) => Label::One(class),
            _ => Label::many(places),
        };
        samples
            .entry(row.split.unwrap_or(Split::Train))
            .or_default()
            .push(Sample {
                path: row.path,
                label,
                group: row.group,
                weight: row.weight,
                columns: row.columns,
            });
    }
    let mut take = |split| samples.remove(&split);
    let train = take(Split::Train).unwrap_or_default();
    let images = match split {
        false => Images::Unsplit(train),
        true => Images::Split {
            train,
            val: take(Split::Val),
            test: take(Split::Test),
        },
    };
    Ok(Found {
        kind: match columns.several {
            true => TaskKind::MultiLabel,
            false => TaskKind::Classification,
        },
        classes,
        columns: columns.others(table),
        images,
        notes,
        problems: Problems::default(),
    })
}

/// Groups that the table puts into two splits: what is learnt of a patient cannot be tested on the same patient.
fn leaks(rows: &[Row]) -> Option<String> {
    let members = rows
        .iter()
        .filter_map(|row| Some((row.group.as_deref()?, row.split?, ())));
    let groups = parted_groups(members);
    let (group, splits) = groups.first_key_value()?;
    let found: Vec<_> = splits.keys().map(|split| split.name()).collect();
    Some(format!(
        "{} in more than one split, so the test is too easy: `{group}` is in {}",
        counted(groups.len(), "group"),
        found.join(" and ")
    ))
}
