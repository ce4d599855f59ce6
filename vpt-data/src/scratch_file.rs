//! [`ScratchFile`]: room on a disk for what does not fit into memory.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::DataError;

/// A file without a name, which the system removes when the program ends, however it ends. Threads append to it and read what they
/// appended at the same time.
#[derive(Debug)]
pub struct ScratchFile {
    file: File,
    end: AtomicU64,
    /// For errors: the file has no name.
    folder: PathBuf,
}

impl ScratchFile {
    /// A new file on the disk that `folder` is on.
    ///
    /// # Errors
    /// [`DataError::Write`] where no file can be made.
    pub fn create_in(folder: &Path) -> Result<Self, DataError> {
        let file = tempfile::tempfile_in(folder).map_err(|source| DataError::Write {
            path: folder.to_owned(),
            source,
        })?;
        Ok(Self {
            file,
            end: AtomicU64::new(0),
            folder: folder.to_owned(),
        })
    }

    /// Puts `bytes` behind all others and says where they begin.
    ///
    /// # Errors
    /// [`DataError::Write`] for a disk that is full, or fails.
    pub fn append(&self, bytes: &[u8]) -> Result<u64, DataError> {
        let start = self.end.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        write_at(&self.file, bytes, start).map_err(|source| DataError::Write {
            path: self.folder.clone(),
            source,
        })?;
        Ok(start)
    }

    /// Fills `bytes` with those that begin at `start`.
    ///
    /// # Errors
    /// [`DataError::Io`] for a disk that fails, or bytes that nobody appended.
    pub fn read(&self, bytes: &mut [u8], start: u64) -> Result<(), DataError> {
        read_at(&self.file, bytes, start).map_err(|source| DataError::Io {
            path: self.folder.clone(),
            source,
        })
    }
}

#[cfg(unix)]
fn write_at(file: &File, bytes: &[u8], start: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::write_all_at(file, bytes, start)
}

#[cfg(unix)]
fn read_at(file: &File, bytes: &mut [u8], start: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, bytes, start)
}

#[cfg(windows)]
fn write_at(file: &File, mut bytes: &[u8], mut start: u64) -> io::Result<()> {
    use std::os::windows::fs::FileExt;
    while !bytes.is_empty() {
        match file.seek_write(bytes, start)? {
            0 => return Err(io::ErrorKind::WriteZero.into()),
            written => (bytes, start) = (&bytes[written..], start + written as u64),
        }
    }
    Ok(())
}

#[cfg(windows)]
fn read_at(file: &File, mut bytes: &mut [u8], mut start: u64) -> io::Result<()> {
    use std::os::windows::fs::FileExt;
    while !bytes.is_empty() {
        match file.seek_read(bytes, start)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            read => (bytes, start) = (&mut bytes[read..], start + read as u64),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_find_what_they_appended() {
        let folder = tempfile::tempdir().unwrap();
        let file = ScratchFile::create_in(folder.path()).unwrap();
        std::thread::scope(|scope| {
            for thread in 0..4_u8 {
                let file = &file;
                scope.spawn(move || {
                    for round in 0..50 {
                        let own = vec![thread * 50 + round; 1 + usize::from(round)];
                        let start = file.append(&own).unwrap();
                        let mut read = vec![0; own.len()];
                        file.read(&mut read, start).unwrap();
                        assert_eq!(read, own);
                    }
                });
            }
        });
        assert!(file.read(&mut [0], 1 << 40).is_err(), "nothing was written there");
        assert_eq!(folder.path().read_dir().unwrap().count(), 0, "it has no name");
    }

    #[test]
    fn a_folder_that_is_not_there_is_named() {
        let error = ScratchFile::create_in(Path::new("not/there")).unwrap_err();
        assert!(error.to_string().contains("not/there"), "{error}");
    }
}
