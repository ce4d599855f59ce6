//! [`FileBytes`]: the bytes of a file, memory-mapped when it is large.
#![allow(unsafe_code)]

use std::fs::File;
use std::io::Read;
use std::ops::Deref;
use std::path::Path;

use memmap2::Mmap;
#[cfg(unix)]
use memmap2::UncheckedAdvice;

use crate::CoreError;

/// Files below this many bytes are read: mapping pays only for large ones.
const MAPPED_FROM: u64 = 16 << 20;

/// The bytes of a file.
pub(crate) enum FileBytes {
    /// Read into memory.
    Read(Vec<u8>),
    /// Mapped: pages are loaded when they are touched and never copied.
    Mapped(Mmap),
}

impl FileBytes {
    /// Opens `path`, which must be a regular file.
    pub(crate) fn open(path: &Path) -> Result<Self, CoreError> {
        let failed = |error| CoreError::io("read", path, error);
        let mut file = File::open(path).map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        if !metadata.is_file() {
            return Err(failed(std::io::Error::other("it is not a file")));
        }
        if metadata.len() < MAPPED_FROM {
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes).map_err(failed)?;
            return Ok(Self::Read(bytes));
        }
        // SAFETY: the map is private to this process and only read. Weights are written by renaming a
        // finished file into place (`vpt_data::atomic`), which never changes the bytes behind an existing
        // map. A program that truncates the file in place while it is being read would end this process with
        // SIGBUS, as it would any reader of a mapped file; it cannot make us read outside the map. The bytes
        // are only ever interpreted as numbers that are valid for every bit pattern.
        unsafe { Mmap::map(&file) }.map(Self::Mapped).map_err(failed)
    }
}

impl FileBytes {
    /// Gives the memory behind `part` of these bytes back to the system, as far as it can; whoever looks there again
    /// reads the file again. Pages of a map that were touched count as memory of this process until then.
    pub(crate) fn release(&self, part: &[u8]) {
        #[cfg(unix)]
        if let Self::Mapped(map) = self
            && let Some(start) = part.as_ptr().addr().checked_sub(map.as_ptr().addr())
            && start + part.len() <= map.len()
        {
            // SAFETY: the advice is dangerous for maps that are not backed by a file, whose pages turn to zeros. This one
            // is a read-only map of a file: what is forgotten is read from the file again, which holds the same bytes
            // under the assumptions of `open`. The range lies in the map. A system that refuses keeps the pages, which
            // costs memory and nothing else.
            let _ = unsafe { map.unchecked_advise_range(UncheckedAdvice::DontNeed, start, part.len()) };
        }
        #[cfg(not(unix))]
        let _ = part;
    }
}

impl Deref for FileBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Read(bytes) => bytes,
            Self::Mapped(map) => map,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_files_are_read_and_large_ones_mapped() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bytes");
        std::fs::write(&path, b"abc").unwrap();
        let small = FileBytes::open(&path).unwrap();
        assert!(matches!(small, FileBytes::Read(_)));
        assert_eq!(&small[..], b"abc");

        let file = File::create(&path).unwrap();
        file.set_len(MAPPED_FROM + 1).unwrap();
        let large = FileBytes::open(&path).unwrap();
        assert!(matches!(large, FileBytes::Mapped(_)));
        assert_eq!(large.len() as u64, MAPPED_FROM + 1);
    }

    #[test]
    fn what_was_released_can_be_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bytes");
        let written: Vec<u8> = (0..MAPPED_FROM + 5).map(|at| (at % 251) as u8).collect();
        std::fs::write(&path, &written).unwrap();
        let bytes = FileBytes::open(&path).unwrap();
        assert!(bytes[..] == written[..]);
        bytes.release(&bytes[3..1 << 20]);
        bytes.release(&bytes[1 << 20..]);
        bytes.release(&written[..9]);
        assert!(bytes[..] == written[..]);
        let small = FileBytes::Read(vec![1, 2, 3]);
        small.release(&small);
        assert_eq!(small[..], [1, 2, 3]);
    }

    #[test]
    fn a_folder_or_a_missing_file_is_an_error_with_its_path() {
        let folder = tempfile::tempdir().unwrap();
        for path in [folder.path().to_owned(), folder.path().join("absent")] {
            let error = FileBytes::open(&path).err().unwrap();
            assert!(error.to_string().contains(&path.display().to_string()), "{error}");
        }
    }
}
