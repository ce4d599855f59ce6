//! [`PartFile`]: rows that are finished, kept beside the file that they will become.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::EvalError;

/// Rows of float32 values on the disk, one for each image, appended as they are made. A process that is stopped leaves them,
/// and the next that wants the same goes on behind them.
pub(super) struct PartFile {
    path: PathBuf,
    file: File,
    /// Bytes before the first row.
    start: u64,
    row_bytes: u64,
    rows: usize,
}

impl PartFile {
    /// Opens `FILE.part` beside `target`, and takes over its rows if they were made for the same `fingerprint`.
    ///
    /// # Errors
    /// [`EvalError::Io`]; also when another process writes the same file.
    pub fn open(target: &Path, fingerprint: &str, row_values: usize) -> Result<Self, EvalError> {
        let mut name = target.as_os_str().to_owned();
        name.push(".part");
        let path = PathBuf::from(name);
        let failed = |source| EvalError::Io {
            action: "write",
            path: path.clone(),
            source,
        };
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let mut file = options.open(&path).map_err(failed)?;
        if file.try_lock().is_err() {
            let taken = "another process is writing it";
            return Err(failed(io::Error::new(io::ErrorKind::ResourceBusy, taken)));
        }
        let header = format!("vpt features {fingerprint}\n");
        let start = header.len() as u64;
        let row_bytes = 4 * row_values as u64;
        let mut found = Vec::new();
        (&file).take(start).read_to_end(&mut found).map_err(failed)?;
        let rows = if found == header.as_bytes() {
            let length = file.metadata().map_err(failed)?.len();
            ((length - start) / row_bytes) as usize
        } else {
            file.set_len(0).map_err(failed)?;
            file.seek(SeekFrom::Start(0)).map_err(failed)?;
            file.write_all(header.as_bytes()).map_err(failed)?;
            0
        };
        // A row that was cut short is made again.
        let end = start + rows as u64 * row_bytes;
        file.set_len(end).map_err(failed)?;
        file.seek(SeekFrom::Start(end)).map_err(failed)?;
        Ok(Self {
            path,
            file,
            start,
            row_bytes,
            rows,
        })
    }

    /// Rows that are there.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Appends whole rows.
    ///
    /// # Errors
    /// [`EvalError::Io`].
    pub fn append(&mut self, rows: &[u8]) -> Result<(), EvalError> {
        self.file
            .write_all(rows)
            .map_err(|source| self.failed("write", source))?;
        self.rows += rows.len() / self.row_bytes as usize;
        Ok(())
    }

    /// Copies some values of some rows into `target`.
    pub fn copy(
        &mut self,
        rows: Range<usize>,
        values: Range<usize>,
        target: &mut dyn Write,
    ) -> io::Result<()> {
        let first = self.start + rows.start as u64 * self.row_bytes;
        self.file.seek(SeekFrom::Start(first))?;
        let mut reader = BufReader::with_capacity(1 << 20, &self.file);
        let mut row = vec![0; self.row_bytes as usize];
        for _ in rows {
            reader.read_exact(&mut row)?;
            target.write_all(&row[4 * values.start..4 * values.end])?;
        }
        Ok(())
    }

    /// Removes the file, which is no longer needed.
    pub fn remove(self) -> Result<(), EvalError> {
        fs::remove_file(&self.path).map_err(|source| self.failed("remove", source))
    }

    fn failed(&self, action: &'static str, source: io::Error) -> EvalError {
        EvalError::Io {
            action,
            path: self.path.clone(),
            source,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(part: &mut PartFile, values: Range<usize>) -> Vec<u8> {
        let mut found = Vec::new();
        part.copy(0..part.rows(), values, &mut found).unwrap();
        found
    }

    #[test]
    fn what_is_finished_is_taken_over() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("f.npy");
        let mut part = PartFile::open(&target, "one", 2).unwrap();
        part.append(&[1; 16]).unwrap();
        assert_eq!(part.rows(), 2);
        drop(part);
        let path = folder.path().join("f.npy.part");
        // Killed in the middle of a row.
        let mut bytes = fs::read(&path).unwrap();
        bytes.extend([9; 5]);
        fs::write(&path, &bytes).unwrap();

        let mut part = PartFile::open(&target, "one", 2).unwrap();
        assert_eq!(part.rows(), 2);
        part.append(&[2, 2, 2, 2, 3, 3, 3, 3]).unwrap();
        assert_eq!(rows(&mut part, 1..2), [[1; 4], [1; 4], [3; 4]].concat());
        assert!(
            matches!(PartFile::open(&target, "one", 2), Err(EvalError::Io { .. })),
            "taken"
        );
        drop(part);

        let part = PartFile::open(&target, "another", 2).unwrap();
        assert_eq!(part.rows(), 0, "made for something else");
        part.remove().unwrap();
        assert!(!path.exists());
    }
}
