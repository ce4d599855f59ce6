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
//! Columns are found by their names, in any order and any case, or as [`ColumnNames`] says; others are kept as they are. Values are separated by commas,
//! semicolons or tabs. Paths are relative to the table's folder.

use super::{Found, Images};
use crate::error::counted;
use crate::leaks::parted_groups;
use crate::{ColumnNames, DataError, Label, Sample, Split, TaskKind};
use std::collections::{BTreeMap, HashMap};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// Endings of tables.
const EXTENSIONS: [&str; 2] = ["csv", "tsv"];

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

/// Whether the path is a table's.
pub(super) fn is_manifest(path: &Path) -> bool {
    let extension = path.extension().map(OsStr::to_ascii_lowercase);
    extension.is_some_and(|extension| EXTENSIONS.iter().any(|name| extension == *name)) && path.is_file()
}

pub(super) fn read(path: &Path, names: &ColumnNames) -> Result<Found, DataError> {
    let bytes = std::fs::read(path).map_err(|source| DataError::io(path, source))?;
    // Spreadsheets put a byte-order mark before the first column's name.
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
    let table = Table { path };
    let mut records = Records::new(bytes, delimiter(path, bytes), table);
    let header = records
        .next()
        .unwrap_or_else(|| Err(table.wrong(None, "the table is empty".into())))?;
    let columns = Columns::of(&header, names, table)?;
    let mut rows: Vec<Row> = Vec::new();
    let mut places: HashMap<PathBuf, usize> = HashMap::new();
    let mut repeated = 0;
    for record in records {
        let record = record?;
        let (found, expected) = (record.values.len(), header.values.len());
        if found != expected {
            let message = format!("{found} values, expected {expected} as in the header");
            return Err(table.wrong(Some(record.line), message));
        }
        let row = columns.row(&record, table)?;
        match places.get(&row.path) {
            None => {
                places.insert(row.path.clone(), rows.len());
                rows.push(row);
            }
            Some(&first) if rows[first].says_the_same(&row) => repeated += 1,
            Some(&first) => {
                let shown = table.relative(&row.path);
                return Err(table.wrong(
                    Some(row.line),
                    format!(
                        "`{shown}` stands in line {} with another label, split or group",
                        rows[first].line
                    ),
                ));
            }
        }
    }
    if rows.is_empty() {
        return Err(table.wrong(None, "there is a header but no images".into()));
    }
    let mut notes = Vec::new();
    if repeated > 0 {
        notes.push(format!(
            "left out {} that repeat others",
            counted(repeated, "line")
        ));
    }
    let others = columns.others.iter().map(|&column| header.values[column].clone());
    found(rows, others.collect(), &columns, notes, table)
}

/// Labels, classes and splits of the rows.
fn found(
    rows: Vec<Row>,
    others: Vec<String>,
    columns: &Columns,
    mut notes: Vec<String>,
    table: Table<'_>,
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
            dir: table.path.into(),
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
        columns: others,
        images,
        notes,
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

/// One line.
struct Row {
    line: u64,
    path: PathBuf,
    /// One, or where there may be several any number, in order.
    labels: Vec<String>,
    split: Option<Split>,
    group: Option<String>,
    columns: Vec<String>,
}

impl Row {
    fn says_the_same(&self, other: &Self) -> bool {
        (&self.labels, self.split, &self.group) == (&other.labels, other.split, &other.group)
    }
}

/// Where which column stands.
struct Columns {
    path: usize,
    label: usize,
    /// Whether the column of the label has any number of classes.
    several: bool,
    split: Option<usize>,
    group: Option<usize>,
    /// All others that have a name.
    others: Vec<usize>,
}

impl Columns {
    fn of(header: &Record, asked: &ColumnNames, table: Table<'_>) -> Result<Self, DataError> {
        let names: Vec<String> = header
            .values
            .iter()
            .map(|name| name.to_lowercase().replace([' ', '-'], "_"))
            .collect();
        let found = || -> String {
            let found: Vec<_> = header.values.iter().map(|name| format!("`{name}`")).collect();
            found.join(", ")
        };
        // A name that was asked for is taken as it stands in the header; else the usual names are tried.
        let place = |asked: Option<&String>, known: &[&str]| match asked {
            Some(asked) => match header.values.iter().position(|name| name == asked) {
                Some(place) => Ok(Some(place)),
                None => Err(table.wrong(Some(1), format!("no column `{asked}`, found {}", found()))),
            },
            None => Ok(known
                .iter()
                .find_map(|known| names.iter().position(|name| name == known))),
        };
        let needed = |asked: Option<&String>, what: &str, known: &[&str]| {
            place(asked, known)?.ok_or_else(|| {
                let expected = known.join(", ");
                let found = found();
                let message = format!("no column with the {what}: expected one of {expected}, found {found}");
                table.wrong(Some(1), message)
            })
        };
        // Last, so that a table with both has one class for each image.
        let label_names = [&LABEL[..], &[LABELS]].concat();
        let path = needed(asked.path.as_ref(), "image's file", &PATH)?;
        let label = needed(asked.label.as_ref(), "label", &label_names)?;
        let split = place(asked.split.as_ref(), &SPLIT)?;
        let group = place(asked.group.as_ref(), &GROUP)?;
        let others = (0..names.len()).filter(|&column| {
            let taken = [Some(path), Some(label), split, group].contains(&Some(column));
            !taken && !names[column].is_empty()
        });
        Ok(Self {
            path,
            label,
            several: names[label] == LABELS,
            split,
            group,
            others: others.collect(),
        })
    }

    fn row(&self, record: &Record, table: Table<'_>) -> Result<Row, DataError> {
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
        Ok(Row {
            line,
            path: table.folder().join(needed(self.path, "image's file")?),
            labels: match self.several {
                false => vec![needed(self.label, "label")?.to_owned()],
                true => separated(&record.values[self.label]).ok_or_else(|| {
                    let value = &record.values[self.label];
                    let message = format!(
                        "the labels `{value}` have an empty name, expected names with `|` between them"
                    );
                    table.wrong(Some(line), message)
                })?,
            },
            split,
            group,
            columns: self
                .others
                .iter()
                .map(|&column| record.values[column].clone())
                .collect(),
        })
    }
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

/// The table's file, for messages and as the place that paths are relative to.
#[derive(Clone, Copy)]
struct Table<'a> {
    path: &'a Path,
}

impl Table<'_> {
    fn folder(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new(""))
    }

    fn relative(&self, path: &Path) -> String {
        crate::partition::relative(path, self.folder())
    }

    fn wrong(&self, line: Option<u64>, message: String) -> DataError {
        DataError::Manifest {
            path: self.path.into(),
            line,
            message,
        }
    }
}

/// The values of one line, without spaces around them.
struct Record {
    line: u64,
    values: Vec<String>,
}

/// The records of a table; empty lines are passed over. Quoted values may hold separators and line breaks (RFC 4180).
struct Records<'a> {
    rest: &'a [u8],
    reader: csv_core::Reader,
    table: Table<'a>,
}

impl<'a> Records<'a> {
    fn new(bytes: &'a [u8], delimiter: u8, table: Table<'a>) -> Self {
        Self {
            rest: bytes,
            reader: csv_core::ReaderBuilder::new().delimiter(delimiter).build(),
            table,
        }
    }
}

impl Iterator for Records<'_> {
    type Item = Result<Record, DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        // A record is no longer than what is left, and has no more values than that has bytes.
        let blank = |rest: &[u8]| {
            rest.iter()
                .take_while(|byte| matches!(byte, b'\r' | b'\n'))
                .count()
        };
        let skipped = &self.rest[..blank(self.rest)];
        let skipped_lines = (skipped.split(|&byte| byte == b'\n').count() - 1) as u64;
        let line = self.reader.line() + skipped_lines;
        let (mut text, mut ends) = (vec![0; 1024], vec![0; 64]);
        let (mut written, mut values) = (0, 0);
        loop {
            let (result, read, wrote, ended) =
                self.reader
                    .read_record(self.rest, &mut text[written..], &mut ends[values..]);
            self.rest = &self.rest[read..];
            written += wrote;
            values += ended;
            match result {
                csv_core::ReadRecordResult::OutputFull => text.resize(2 * text.len(), 0),
                csv_core::ReadRecordResult::OutputEndsFull => ends.resize(2 * ends.len(), 0),
                csv_core::ReadRecordResult::Record => break,
                csv_core::ReadRecordResult::End => return None,
                // All that is left was given at once: asked again with nothing, the reader ends the record.
                csv_core::ReadRecordResult::InputEmpty => {}
            }
        }
        let mut start = 0;
        let values = ends[..values].iter().map(|&end| {
            let value = std::str::from_utf8(&text[start..end]);
            start = end;
            value.map(|value| value.trim().to_owned())
        });
        Some(match values.collect() {
            Ok(values) => Ok(Record { line, values }),
            Err(_) => {
                let message = "not UTF-8 text; save the table as UTF-8".into();
                Err(self.table.wrong(Some(line), message))
            }
        })
    }
}

/// What separates values: a tab in `.tsv`; else whichever of comma, semicolon and tab the header has most of.
fn delimiter(path: &Path, bytes: &[u8]) -> u8 {
    if path
        .extension()
        .is_some_and(|extension| extension.eq_ignore_ascii_case("tsv"))
    {
        return b'\t';
    }
    let header = bytes.split(|&byte| byte == b'\n').next().unwrap_or_default();
    let count = |separator: u8| header.split(|&byte| byte == separator).count();
    // The last of equals wins: a comma.
    [b'\t', b';', b',']
        .into_iter()
        .max_by_key(|&separator| count(separator))
        .unwrap_or(b',')
}
