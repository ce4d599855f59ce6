//! [`Table`]: the lines of a `.csv` or `.tsv` file, and where its columns stand.
//!
//! Values are separated by commas, semicolons or tabs, with or without a byte-order mark; quoted ones may hold separators
//! and line breaks (RFC 4180).

use crate::DataError;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// Endings of tables.
pub(super) const EXTENSIONS: [&str; 2] = ["csv", "tsv"];

/// What stands for a column that a table does not have, where a name can be asked for.
const NONE: &str = "none";

/// A table that was read.
pub(super) struct Table {
    pub path: PathBuf,
    /// Names of columns as they stand in the file.
    pub header: Vec<String>,
    /// The same in lower case, with `_` for spaces and hyphens.
    names: Vec<String>,
    /// As many values each as the header has.
    pub records: Vec<Record>,
}

/// The values of one line, without spaces around them.
pub(super) struct Record {
    /// From 1; the header's is mostly 1.
    pub line: u64,
    pub values: Vec<String>,
}

impl Table {
    pub fn read(path: &Path) -> Result<Self, DataError> {
        let bytes = std::fs::read(path).map_err(|source| DataError::io(path, source))?;
        // Spreadsheets put a byte-order mark before the first column's name.
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
        let mut records = Records::new(bytes, delimiter(path, bytes), path);
        let header = records
            .next()
            .unwrap_or_else(|| Err(wrong(path, None, "the table is empty".into())))?
            .values;
        let names = header
            .iter()
            .map(|name| name.to_lowercase().replace([' ', '-'], "_"));
        let (names, expected) = (names.collect(), header.len());
        let complete = |record: Result<Record, DataError>| {
            let record = record?;
            match record.values.len() {
                found if found == expected => Ok(record),
                found => {
                    let message = format!("{found} values, expected {expected} as in the header");
                    Err(wrong(path, Some(record.line), message))
                }
            }
        };
        Ok(Self {
            path: path.into(),
            records: records.map(complete).collect::<Result<_, _>>()?,
            header,
            names,
        })
    }

    /// Whether the column is called that, in any case.
    pub fn is_called(&self, column: usize, name: &str) -> bool {
        self.names[column] == name
    }

    /// Whether the column has a name at all.
    pub fn is_named(&self, column: usize) -> bool {
        !self.names[column].is_empty()
    }

    /// Where a column stands that may be missing: the one that was asked for by its name in the header (`none`: there is
    /// none), or else the first of the `known` names that the table has.
    pub fn place(&self, asked: Option<&String>, known: &[&str]) -> Result<Option<usize>, DataError> {
        let Some(asked) = asked else {
            return Ok(known
                .iter()
                .find_map(|known| self.names.iter().position(|name| name == known)));
        };
        match self.header.iter().position(|name| name == asked) {
            Some(place) => Ok(Some(place)),
            None if asked == NONE => Ok(None),
            None => {
                let found = self.found();
                Err(self.wrong(Some(1), format!("no column `{asked}`, found {found}")))
            }
        }
    }

    /// [`Table::place`] of a column that there must be.
    pub fn needed(&self, asked: Option<&String>, what: &str, known: &[&str]) -> Result<usize, DataError> {
        self.place(asked, known)?.ok_or_else(|| {
            let (expected, found) = (known.join(", "), self.found());
            let message = format!("no column with the {what}: expected one of {expected}, found {found}");
            self.wrong(Some(1), message)
        })
    }

    /// The names of all columns, for a message.
    fn found(&self) -> String {
        let found: Vec<_> = self.header.iter().map(|name| format!("`{name}`")).collect();
        found.join(", ")
    }

    /// What the paths in the table are relative to.
    pub fn folder(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new(""))
    }

    /// The path as the table has it.
    pub fn relative(&self, path: &Path) -> String {
        crate::partition::relative(path, self.folder())
    }

    /// That another table speaks of the same images.
    pub fn twice(&self, other: &Path) -> DataError {
        let other = other.display();
        self.wrong(
            None,
            format!("`{other}` describes the same images, expected one table"),
        )
    }

    pub fn wrong(&self, line: Option<u64>, message: String) -> DataError {
        wrong(&self.path, line, message)
    }
}

fn wrong(path: &Path, line: Option<u64>, message: String) -> DataError {
    DataError::Manifest {
        path: path.into(),
        line,
        message,
    }
}

/// Whether the path is a table's.
pub(super) fn is_table(path: &Path) -> bool {
    let extension = path.extension().map(OsStr::to_ascii_lowercase);
    extension.is_some_and(|extension| EXTENSIONS.iter().any(|name| extension == *name)) && path.is_file()
}

/// The records of a table; empty lines are passed over.
struct Records<'a> {
    rest: &'a [u8],
    reader: csv_core::Reader,
    path: &'a Path,
}

impl<'a> Records<'a> {
    fn new(bytes: &'a [u8], delimiter: u8, path: &'a Path) -> Self {
        Self {
            rest: bytes,
            reader: csv_core::ReaderBuilder::new().delimiter(delimiter).build(),
            path,
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
                Err(wrong(self.path, Some(line), message))
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
