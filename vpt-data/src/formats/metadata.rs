//! A table that stands in a folder and describes the images below it, as in Hugging Face's `imagefolder`.
//!
//! ```text
//! root/metadata.csv               file_name,patient,scanner
//! root/cat/1.jpg                  cat/1.jpg,p1,A
//! root/dog/3.jpg                  dog/3.jpg,p2,B
//! ```
//!
//! Classes are those of the folders. Every image below the table needs a line; lines without an image are counted.

use super::Images;
use super::columns::{Columns, Row, Wanted};
use super::image_folder::{Folder, quoted};
use super::table::Table;
use crate::error::counted;
use crate::{ColumnNames, DataError, Sample, Split};
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

/// Names of such a table.
pub(crate) const METADATA: [&str; 2] = ["metadata.csv", "metadata.tsv"];

/// What a table says of images.
pub(super) struct Metadata {
    table: Table,
    columns: Columns,
}

impl Metadata {
    /// Reads the table that stands in `folder`, if there is one. Where no folders do (`split`), it may split the images.
    pub fn find(folder: &Path, names: &ColumnNames, split: bool) -> Result<Option<Self>, DataError> {
        let mut found = METADATA
            .iter()
            .map(|name| folder.join(name))
            .filter(|path| path.is_file());
        let Some(path) = found.next() else {
            return Ok(None);
        };
        let table = Table::read(&path)?;
        if let Some(second) = found.next() {
            return Err(table.twice(&second));
        }
        let labels = false;
        let columns = Columns::of(&table, names, Wanted { labels, split })?;
        Ok(Some(Self { table, columns }))
    }

    /// The names of the values that images get.
    pub fn columns(&self) -> Vec<String> {
        self.columns.others(&self.table)
    }

    /// Gives images their values in the order of another table's; an error if the two have not the same.
    fn agree_with(&mut self, other: &Self) -> Result<(), DataError> {
        if self.columns.group.is_some() != other.columns.group.is_some() {
            let other = other.table.path.display();
            let message =
                format!("only one of this table and `{other}` has a column of groups, such as `patient`");
            return Err(self.table.wrong(Some(1), message));
        }
        self.columns.order_others(&other.columns(), &self.table)
    }

    /// That two tables describe the same images.
    fn twice(&self, other: &Self) -> DataError {
        self.table.twice(&other.table.path)
    }

    /// Gives every image what its line says.
    fn describe<'a>(
        &self,
        samples: impl IntoIterator<Item = &'a mut Sample>,
        notes: &mut Vec<String>,
    ) -> Result<(), DataError> {
        self.splits(samples, notes).map(|_| ())
    }

    /// [`Metadata::describe`], and puts the images where the table says, if it does: some of each class must be in `train`.
    pub fn split(
        &self,
        mut samples: Vec<Sample>,
        classes: &[String],
        notes: &mut Vec<String>,
    ) -> Result<Images, DataError> {
        let splits = self.splits(&mut samples, notes)?;
        if self.columns.split.is_none() {
            return Ok(Images::Unsplit(samples));
        }
        let mut parts: BTreeMap<Split, Vec<Sample>> = BTreeMap::new();
        for (sample, split) in samples.into_iter().zip(splits) {
            parts.entry(split).or_default().push(sample);
        }
        let train = parts.remove(&Split::Train).unwrap_or_default();
        let without = (0..classes.len()).find(|&class| !train.iter().any(|sample| sample.label.has(class)));
        if let Some(class) = without {
            let message = format!("no image of the class `{}` has the split `train`", classes[class]);
            return Err(self.table.wrong(None, message));
        }
        Ok(Images::Split {
            train,
            val: parts.remove(&Split::Val),
            test: parts.remove(&Split::Test),
        })
    }

    /// Gives every image what its line says, and returns their splits, if the table has any.
    fn splits<'a>(
        &self,
        samples: impl IntoIterator<Item = &'a mut Sample>,
        notes: &mut Vec<String>,
    ) -> Result<Vec<Split>, DataError> {
        let rows = self.columns.rows(&self.table, notes)?;
        let by_path = rows.into_iter().map(|row| (row.path.clone(), row));
        let mut rows: HashMap<PathBuf, Row> = by_path.collect();
        let (mut splits, mut missing) = (vec![], vec![]);
        for sample in samples {
            match rows.remove(&sample.path) {
                Some(row) => {
                    (sample.group, sample.weight, sample.columns) = (row.group, row.weight, row.columns);
                    splits.extend(row.split);
                }
                None => missing.push(&sample.path),
            }
        }
        if let [first, others @ ..] = missing.as_slice() {
            let first = self.table.relative(first);
            let message = match others.len() {
                0 => format!("no line for the image `{first}`"),
                others => format!("no line for the image `{first}` and {}", counted(others, "other")),
            };
            return Err(self.table.wrong(None, message));
        }
        if let Some(first) = rows.values().min_by_key(|row| row.line) {
            notes.push(format!(
                "`{}` has {} without an image, such as line {}, `{}`",
                self.table.path.display(),
                counted(rows.len(), "line"),
                first.line,
                self.table.relative(&first.path),
            ));
        }
        Ok(splits)
    }
}

/// Gives the images of split folders what tables say of them: one in the root for all, or one in each folder. Returns the names
/// of their values.
pub(super) fn describe_splits(
    root: &Path,
    splits: &mut [(Folder, Vec<Sample>)],
    names: &ColumnNames,
    notes: &mut Vec<String>,
) -> Result<Vec<String>, DataError> {
    if let Some(whole) = Metadata::find(root, names, false)? {
        for (folder, _) in &*splits {
            if let Some(second) = Metadata::find(&folder.path, names, false)? {
                return Err(second.twice(&whole));
            }
        }
        whole.describe(splits.iter_mut().flat_map(|(_, samples)| samples), notes)?;
        return Ok(whole.columns());
    }
    let (mut first, mut without) = (None, vec![]);
    for (folder, samples) in splits {
        let Some(mut metadata) = Metadata::find(&folder.path, names, false)? else {
            without.push(folder.name.as_str());
            continue;
        };
        if let Some(first) = &first {
            metadata.agree_with(first)?;
        }
        metadata.describe(samples, notes)?;
        first.get_or_insert(metadata);
    }
    let Some(first) = first else {
        return Ok(vec![]);
    };
    if !without.is_empty() {
        notes.push(format!("no table describes the images of {}", quoted(&without)));
    }
    Ok(first.columns())
}
