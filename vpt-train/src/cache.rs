//! [`Cache`]: where what is the same in every epoch is kept, and [`Rows`] of it.

use serde::{Deserialize, Serialize};
use vpt_data::{DataError, ScratchFile};

use crate::TrainConfig;

/// Where what is the same in every epoch is kept (`--cache`): decoded images, and what the blocks below all that is learned make of
/// images that are not augmented. It changes no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Cache {
    /// Nowhere: everything is decoded and computed anew.
    Off,
    /// In memory.
    Ram,
    /// In a file of the run folder's disk, which the system removes when training ends, however it ends. What a head alone reads
    /// stays in memory.
    Disk,
}

impl Cache {
    /// MiB that are kept at most unless settings say otherwise.
    fn default_mb(self) -> usize {
        match self {
            Self::Off => 0,
            Self::Ram => 512,
            Self::Disk => 16 << 10,
        }
    }
}

/// One part in so many is for validation images, which are kept as the model sees them.
const VALIDATION_SHARE: usize = 4;

impl TrainConfig {
    /// MiB that are kept at most.
    pub fn cache_mb(&self) -> usize {
        match self.cache {
            Cache::Off => 0,
            Cache::Ram | Cache::Disk => self.cache_mb.unwrap_or(self.cache.default_mb()),
        }
    }

    /// Bytes that are kept at most.
    pub fn cache_bytes(&self) -> usize {
        self.cache_mb().saturating_mul(1 << 20)
    }

    /// Of these, bytes for decoded images to train on and to validate with.
    pub fn image_bytes(&self) -> [usize; 2] {
        let all = self.cache_bytes();
        let validation = all / VALIDATION_SHARE;
        [all - validation, validation]
    }
}

/// As many numbers of each of some images, in memory or in a file.
pub enum Rows {
    /// One image's after another's.
    Memory(Vec<f32>),
    /// The same in little-endian.
    File(ScratchFile),
}

impl Rows {
    /// Puts the numbers of further images behind all others.
    ///
    /// # Errors
    /// [`DataError::Write`] for a disk that is full.
    pub fn append(&mut self, values: Vec<f32>) -> Result<(), DataError> {
        match self {
            Self::Memory(all) => all.extend(values),
            Self::File(file) => {
                let bytes: Vec<u8> = values.into_iter().flat_map(f32::to_le_bytes).collect();
                file.append(&bytes)?;
            }
        }
        Ok(())
    }

    /// The numbers of the images `rows`, `length` of each, one image's after another's.
    ///
    /// # Errors
    /// [`DataError::Io`] for a disk that fails.
    ///
    /// # Panics
    /// For a row that was not appended.
    pub fn read(&self, rows: &[usize], length: usize) -> Result<Vec<f32>, DataError> {
        match self {
            Self::Memory(all) => {
                let row = |&row: &usize| all[row * length..(row + 1) * length].iter().copied();
                Ok(rows.iter().flat_map(row).collect())
            }
            Self::File(file) => {
                let mut bytes = vec![0; rows.len() * length * size_of::<f32>()];
                let each = length * size_of::<f32>();
                for (&row, bytes) in rows.iter().zip(bytes.chunks_exact_mut(each)) {
                    file.read(bytes, (row * each) as u64)?;
                }
                let (values, _) = bytes.as_chunks();
                Ok(values.iter().copied().map(f32::from_le_bytes).collect())
            }
        }
    }

    /// All of it, where it is in memory.
    pub fn in_memory(&self) -> &[f32] {
        match self {
            Self::Memory(all) => all,
            Self::File(_) => &[],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_a_file_are_those_of_memory() {
        let folder = tempfile::tempdir().unwrap();
        let file = ScratchFile::create_in(folder.path()).unwrap();
        for mut rows in [Rows::Memory(Vec::new()), Rows::File(file)] {
            rows.append(vec![0.5, -1.0, f32::MIN_POSITIVE, f32::INFINITY])
                .unwrap();
            rows.append(vec![3.0, 4.0]).unwrap();
            assert_eq!(rows.read(&[2, 0], 2).unwrap(), [3.0, 4.0, 0.5, -1.0]);
            assert_eq!(rows.read(&[1], 2).unwrap(), [f32::MIN_POSITIVE, f32::INFINITY]);
        }
    }
}
