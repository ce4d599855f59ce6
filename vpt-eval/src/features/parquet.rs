//! Parquet files of features: `path`, a string, and `features` and `tokens`, lists of float32, plain and uncompressed.
//!
//! The `parquet` crate is not used, see ARCHITECTURE.md. The format is that of `apache/parquet-format`: three columns
//! without nulls need little of it.

use std::io::{self, Write};
use std::ops::Range;
use std::path::PathBuf;

use super::FeatureShapes;
use super::part_file::PartFile;
use super::thrift::{Struct, Value, varint};

const MAGIC: &[u8] = b"PAR1";

/// About how many bytes a row group may have, which is in memory at once when it is read.
const GROUP_BYTES: usize = 64 << 20;

// Enumerations of `parquet.thrift`.
const FLOAT: i32 = 4;
const BYTE_ARRAY: i32 = 6;
const REQUIRED: i32 = 0;
const REPEATED: i32 = 2;
const UTF8: i32 = 0;
const LIST: i32 = 3;
const PLAIN: i32 = 0;
const RLE: i32 = 3;
const UNCOMPRESSED: i32 = 0;
const DATA_PAGE: i32 = 0;

/// Writes the rows of `part`, with the path of each image.
pub(super) fn write(
    file: &mut dyn Write,
    images: &[PathBuf],
    shapes: &FeatureShapes,
    part: &mut PartFile,
) -> io::Result<()> {
    let dim = shapes.features[1];
    let mut lists = vec![("features", 0..dim)];
    if let Some([_, tokens, dim]) = shapes.tokens {
        lists.push(("tokens", dim..dim + tokens * dim));
    }
    let row_bytes = 4 * lists.iter().map(|(_, values)| values.len()).sum::<usize>();
    let rows_in_group = (GROUP_BYTES / row_bytes.max(1)).max(1);
    let mut file = Counted { file, written: 0 };
    file.write_all(MAGIC)?;
    let mut groups = Vec::new();
    for start in (0..images.len()).step_by(rows_in_group) {
        let rows = start..(start + rows_in_group).min(images.len());
        let before = file.written;
        let mut columns = vec![path_column(&mut file, &images[rows.clone()])?];
        for (name, values) in &lists {
            columns.push(list_column(&mut file, name, part, rows.clone(), values.clone())?);
        }
        groups.push(Struct::of([
            (1, Value::Structs(columns)),
            (2, Value::I64((file.written - before) as i64)),
            (3, Value::I64(rows.len() as i64)),
        ]));
    }
    let names: Vec<_> = lists.iter().map(|(name, _)| *name).collect();
    let shape = serde_json::to_string(shapes)?;
    let metadata = Struct::of([(1, Value::Text("shapes")), (2, Value::Text(&shape))]);
    let footer = Struct::of([
        (1, Value::I32(1)),
        (2, Value::Structs(schema(&names))),
        (3, Value::I64(images.len() as i64)),
        (4, Value::Structs(groups)),
        (5, Value::Structs(vec![metadata])),
        (6, Value::Text("vpt")),
    ])
    .encoded();
    file.write_all(&footer)?;
    file.write_all(&(footer.len() as u32).to_le_bytes())?;
    file.write_all(MAGIC)
}

/// The columns: `path` and the lists, in the three levels that Parquet has for a list.
fn schema(lists: &[&str]) -> Vec<Struct> {
    let mut elements = vec![
        Struct::of([
            (4, Value::Text("schema")),
            (5, Value::I32(1 + lists.len() as i32)),
        ]),
        Struct::of([
            (1, Value::I32(BYTE_ARRAY)),
            (3, Value::I32(REQUIRED)),
            (4, Value::Text("path")),
            (6, Value::I32(UTF8)),
        ]),
    ];
    for name in lists {
        elements.push(Struct::of([
            (3, Value::I32(REQUIRED)),
            (4, Value::Text(name)),
            (5, Value::I32(1)),
            (6, Value::I32(LIST)),
        ]));
        elements.push(Struct::of([
            (3, Value::I32(REPEATED)),
            (4, Value::Text("list")),
            (5, Value::I32(1)),
        ]));
        elements.push(Struct::of([
            (1, Value::I32(FLOAT)),
            (3, Value::I32(REQUIRED)),
            (4, Value::Text("element")),
        ]));
    }
    elements
}

fn path_column(file: &mut Counted<'_>, images: &[PathBuf]) -> io::Result<Struct> {
    let mut page = Vec::new();
    for image in images {
        let path = image.to_string_lossy();
        page.extend((path.len() as u32).to_le_bytes());
        page.extend(path.as_bytes());
    }
    column(file, BYTE_ARRAY, &["path"], images.len(), &page)
}

fn list_column(
    file: &mut Counted<'_>,
    name: &str,
    part: &mut PartFile,
    rows: Range<usize>,
    values: Range<usize>,
) -> io::Result<Struct> {
    let (count, length) = (rows.len() * values.len(), values.len());
    let mut page = Vec::new();
    // Repetition: 0 where a list begins, 1 within it, eight to a byte. Definition: nothing is missing, one run of ones.
    let mut repetition = Vec::new();
    varint(&mut repetition, (count.div_ceil(8) as u64) << 1 | 1);
    repetition.extend((0..count.div_ceil(8)).map(|byte| {
        (0..8).fold(0_u8, |bits, bit| {
            let at = 8 * byte + bit;
            bits | u8::from(at < count && at % length != 0) << bit
        })
    }));
    let mut definition = Vec::new();
    varint(&mut definition, (count as u64) << 1);
    definition.push(1);
    for levels in [repetition, definition] {
        page.extend((levels.len() as u32).to_le_bytes());
        page.extend(levels);
    }
    part.copy(rows, values, &mut page)?;
    column(file, FLOAT, &[name, "list", "element"], count, &page)
}

/// Writes one page and describes the column chunk that it makes up.
fn column(
    file: &mut Counted<'_>,
    kind: i32,
    path: &[&str],
    values: usize,
    page: &[u8],
) -> io::Result<Struct> {
    let start = file.written as i64;
    let size = i32::try_from(page.len()).map_err(|_| io::Error::other("a row has more than 2 GB"))?;
    let header = Struct::of([
        (1, Value::I32(DATA_PAGE)),
        (2, Value::I32(size)),
        (3, Value::I32(size)),
        (
            5,
            Value::Struct(Struct::of([
                (1, Value::I32(values as i32)),
                (2, Value::I32(PLAIN)),
                (3, Value::I32(RLE)),
                (4, Value::I32(RLE)),
            ])),
        ),
    ]);
    file.write_all(&header.encoded())?;
    file.write_all(page)?;
    let bytes = file.written as i64 - start;
    let metadata = Struct::of([
        (1, Value::I32(kind)),
        (2, Value::I32s(&[PLAIN, RLE])),
        (3, Value::Texts(path)),
        (4, Value::I32(UNCOMPRESSED)),
        (5, Value::I64(values as i64)),
        (6, Value::I64(bytes)),
        (7, Value::I64(bytes)),
        (9, Value::I64(start)),
    ]);
    Ok(Struct::of([(2, Value::I64(start)), (3, Value::Struct(metadata))]))
}

/// A file that knows how much was written.
struct Counted<'a> {
    file: &'a mut dyn Write,
    written: usize,
}

impl Counted<'_> {
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.written += bytes.len();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two images with three features and two tokens of three: a file that pyarrow 26.0, polars 2.1 and DuckDB
    /// 2.0 read back as it was written. `VPT_WRITE_FIXTURES=1` writes it again.
    #[test]
    fn the_file_is_one_that_pyarrow_read() {
        let folder = tempfile::tempdir().unwrap();
        let mut part = PartFile::open(&folder.path().join("f.parquet"), "x", 9).unwrap();
        let rows: Vec<u8> = (0..18_u8)
            .flat_map(|value| f32::from(value).to_le_bytes())
            .collect();
        part.append(&rows).unwrap();
        let shapes = FeatureShapes {
            features: [2, 3],
            tokens: Some([2, 2, 3]),
        };
        let mut file = Vec::new();
        let images = ["a.png", "b/ü.png"].map(PathBuf::from);
        write(&mut file, &images, &shapes, &mut part).unwrap();
        let fixture = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/features.parquet");
        if std::env::var_os("VPT_WRITE_FIXTURES").is_some() {
            std::fs::write(fixture, &file).unwrap();
        }
        assert_eq!(file, std::fs::read(fixture).unwrap());
    }
}
