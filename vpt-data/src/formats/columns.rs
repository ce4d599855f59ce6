//! [`Columns`]: what a table says of images, one [`Row`] each.

use super::table::{Record, Table};
use crate::error::counted;
use crate::{ColumnNames, DataError, Label, SampleWeight, Split};
use std::collections::HashMap;
use std::path::PathBuf;

/// Names of the column with the image's file.
const PATH: [&str; 9] = [
    "path",
    "image",
    "image_path",
    "file",
    "filename",
    "file_name",
    "filepath",
    "file_path",
    "img",
];

/// Names of the column with the class.
const LABEL: [&str; 7] = [
    "label",
    "class",
    "target",
    "diagnosis",
    "category",
    "label_name",
    "class_name",
];

/// Name of the column with any number of classes.
const LABELS: &str = "labels";

/// Names of the column with the split.
const SPLIT: [&str; 4] = ["split", "subset", "set", "partition"];

/// Names of the column with whatever keeps images together: those of one patient are never in two splits.
const GROUP: [&str; 9] = [
    "group",
    "group_id",
    "patient",
    "patient_id",
    "patientid",
    "subject",
    "subject_id",
    "case",
    "case_id",
];

/// Names of the column with how much an image counts in training.
const WEIGHT: [&str; 2] = ["weight", "sample_weight"];

/// What a table is to say beside the files, their groups and weights.
#[derive(Clone, Copy)]
pub(super) struct Wanted {
    pub labels: bool,
    pub split: bool,
}

/// Where which column stands.
pub(super) struct Columns {
    path: usize,
    label: Option<usize>,
    /// Whether the column of the label has any number of classes.
    pub several: bool,
    pub split: Option<usize>,
    pub group: Option<usize>,
    weight: Option<usize>,
    /// All others that have a name.
    others: Vec<usize>,
}

/// One line.
pub(super) struct Row {
    pub line: u64,
    pub path: PathBuf,
    /// One, or where there may be several any number, in order; none where folders say them.
    pub labels: Vec<String>,
    pub split: Option<Split>,
    pub group: Option<String>,
    pub weight: SampleWeight,
    pub columns: Vec<String>,
}

impl Columns {
    pub fn of(table: &Table, asked: &ColumnNames, wanted: Wanted) -> Result<Self, DataError> {
        // Last, so that a table with both has one class for each image.
        let label_names = [&LABEL[..], &[LABELS]].concat();
        let path = table.needed(asked.path.as_ref(), "image's file", &PATH)?;
        let label = match wanted.labels {
            true => Some(table.needed(asked.label.as_ref(), "label", &label_names)?),
            false => None,
        };
        let split = match wanted.split {
            true => table.place(asked.split.as_ref(), &SPLIT)?,
            false => None,
        };
        let group = table.place(asked.group.as_ref(), &GROUP)?;
        let weight = table.place(asked.weight.as_ref(), &WEIGHT)?;
        let taken = [Some(path), label, split, group, weight];
        let others = (0..table.header.len())
            .filter(|&column| table.is_named(column) && !taken.contains(&Some(column)));
        Ok(Self {
            path,
            label,
            several: label.is_some_and(|label| table.is_called(label, LABELS)),
            split,
            group,
            weight,
            others: others.collect(),
        })
    }

    /// The names of the columns whose values are kept as they are.
    pub fn others(&self, table: &Table) -> Vec<String> {
        self.others
            .iter()
            .map(|&column| table.header[column].clone())
            .collect()
    }

    /// Puts the columns whose values are kept into the order of `names`; an error if they are not the same.
    pub fn order_others(&mut self, names: &[String], table: &Table) -> Result<(), DataError> {
        let place = |name: &String| {
            let named = |&column: &usize| table.header[column] == *name;
            self.others.iter().copied().find(named)
        };
        let places: Option<Vec<usize>> = names.iter().map(place).collect();
        match places.filter(|places| places.len() == self.others.len()) {
            Some(places) => self.others = places,
            None => {
                let list = |names: &[String]| match names {
                    [] => "none".to_owned(),
                    names => names.join(", "),
                };
                let (found, expected) = (list(&self.others(table)), list(names));
                let message = format!("the other columns are {found}, in the other split {expected}");
                return Err(table.wrong(Some(1), message));
            }
        }
        Ok(())
    }

    /// One row an image, and what the user should know. Lines that repeat others are left out; it is an error if they contradict
    /// them, or if there is no line.
    pub fn rows(&self, table: &Table, notes: &mut Vec<String>) -> Result<Vec<Row>, DataError> {
        let mut rows: Vec<Row> = Vec::new();
        let mut places: HashMap<PathBuf, usize> = HashMap::new();
        let mut repeated = 0;
        for record in &table.records {
            let row = self.row(record, table)?;
            match places.get(&row.path) {
                None => {
                    places.insert(row.path.clone(), rows.len());
                    rows.push(row);
                }
                Some(&first) if rows[first].says_the_same(&row) => repeated += 1,
                Some(&first) => {
                    let (shown, first) = (table.relative(&row.path), rows[first].line);
                    let message = format!(
                        "`{shown}` stands in line {first} with another label, split, group or weight"
                    );
                    return Err(table.wrong(Some(row.line), message));
                }
            }
        }
        if rows.is_empty() {
            return Err(table.wrong(None, "there is a header but no images".into()));
        }
        if repeated > 0 {
            notes.push(format!(
                "left out {} that repeat others",
                counted(repeated, "line")
            ));
        }
        notes.extend(
            self.weight
                .and_then(|weight| weighted(&table.header[weight], &rows)),
        );
        Ok(rows)
    }

    fn row(&self, record: &Record, table: &Table) -> Result<Row, DataError> {
        let line = record.line;
        let needed = |column: usize, what: &str| {
            let value = record.values.get(column).map(String::as_str);
            value
                .filter(|value| !value.is_empty())
                .ok_or_else(|| table.wrong(Some(line), format!("the {what} is empty")))
        };
        let split = match self.split {
            None => None,
            Some(column) => {
                let name = needed(column, "split")?;
                let split = Split::of_folder(name);
                Some(split.ok_or_else(|| {
                    table.wrong(
                        Some(line),
                        format!("the split is `{name}`, expected train, val or test"),
                    )
                })?)
            }
        };
        let group = match self.group {
            None => None,
            Some(column) => Some(needed(column, "group")?.to_owned()),
        };
        let weight = match self.weight {
            None => SampleWeight::default(),
            Some(column) => {
                let weight = needed(column, "weight")?;
                let parsed = weight.parse().ok().and_then(SampleWeight::new);
                parsed.ok_or_else(|| {
                    let message = format!("the weight is `{weight}`, expected a positive number such as 0.5");
                    table.wrong(Some(line), message)
                })?
            }
        };
        let labels = match self.label {
            None => vec![],
            Some(column) if !self.several => vec![needed(column, "label")?.to_owned()],
            Some(column) => separated(&record.values[column]).ok_or_else(|| {
                let value = &record.values[column];
                let message =
                    format!("the labels `{value}` have an empty name, expected names with `|` between them");
                table.wrong(Some(line), message)
            })?,
        };
        Ok(Row {
            line,
            path: table.folder().join(needed(self.path, "image's file")?),
            labels,
            split,
            group,
            weight,
            columns: self
                .others
                .iter()
                .map(|&column| record.values[column].clone())
                .collect(),
        })
    }
}

impl Row {
    fn says_the_same(&self, other: &Self) -> bool {
        (&self.labels, self.split, &self.group, self.weight)
            == (&other.labels, other.split, &other.group, other.weight)
    }
}

/// That images count differently: what a column of that name holds may be meant otherwise.
fn weighted(column: &str, rows: &[Row]) -> Option<String> {
    let weights = || rows.iter().map(|row| row.weight.get());
    let (least, most) = (weights().reduce(f32::min)?, weights().reduce(f32::max)?);
    (least < most).then(|| {
        format!(
            "images count {least} to {most} in the training loss by the column `{column}`, and once each in evaluation"
        )
    })
}

/// The names between the separators, sorted and each once; `None` if one of several is empty.
fn separated(value: &str) -> Option<Vec<String>> {
    if value.trim().is_empty() {
        return Some(vec![]);
    }
    let names = value.split(Label::SEPARATOR).map(|name| name.trim().to_owned());
    let mut names: Vec<String> = names.collect();
    names.sort();
    names.dedup();
    names.iter().all(|name| !name.is_empty()).then_some(names)
}
