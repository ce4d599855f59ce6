//! [`EventFile`]: the curves of a run as TensorBoard reads them.
//!
//! An event file is a row of TFRecords (length, its checksum, data, its checksum), each an `Event` message of
//! `tensorflow/core/util/event.proto`. Of these messages a few fields are needed, so they are written by hand.

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use vpt_eval::EpochRow;

use crate::{RunDir, TrainError};

/// The event file of a run: a scalar for each loss, metric and learning rate, an epoch being a step.
pub struct EventFile {
    path: PathBuf,
    /// When the epoch that was written last ended, in seconds since 1970.
    time: f64,
}

impl EventFile {
    /// Writes the file anew, with the epochs that the run has so far.
    ///
    /// # Errors
    /// [`TrainError::Write`].
    pub fn begin(run: &RunDir, history: &[EpochRow]) -> Result<Self, TrainError> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let past: f64 = history.iter().map(|row| row.seconds).sum();
        let mut file = Self {
            path: run.file(RunDir::EVENTS),
            time: now.map_or(0.0, |now| now.as_secs_f64()) - past,
        };
        let mut version = double(1, file.time);
        version.extend(bytes(3, b"brain.Event:2"));
        let mut records = record(&version);
        for row in history {
            records.extend(file.record_of(row));
        }
        run.write(RunDir::EVENTS, &records)?;
        Ok(file)
    }

    /// Adds an epoch. What an open TensorBoard has read already stays in its place.
    ///
    /// # Errors
    /// [`TrainError::Write`].
    pub fn add(&mut self, row: &EpochRow) -> Result<(), TrainError> {
        let record = self.record_of(row);
        let append = || -> std::io::Result<()> {
            let mut file = File::options().append(true).create(true).open(&self.path)?;
            file.write_all(&record)
        };
        append().map_err(TrainError::writing(&self.path))
    }

    fn record_of(&mut self, row: &EpochRow) -> Vec<u8> {
        self.time += row.seconds;
        let mut event = double(1, self.time);
        event.extend(varint(2, row.epoch as u64));
        event.extend(bytes(5, &summary(row)));
        record(&event)
    }
}

/// A `Summary` message with every number of the row that is one.
fn summary(row: &EpochRow) -> Vec<u8> {
    let fixed = [
        ("loss/train", row.train_loss),
        ("loss/val", row.val_loss),
        ("lr", row.lr),
        ("images_per_second", row.images_per_second),
    ];
    let fixed = fixed.map(|(tag, value)| (tag.to_owned(), value));
    let decay = row.weight_decay.map(|decay| ("weight_decay".to_owned(), decay));
    let metrics = row
        .metrics
        .iter()
        .map(|(name, value)| (format!("val/{name}"), *value));
    let values = fixed.into_iter().chain(decay).chain(metrics);
    values
        .filter(|(_, value)| value.is_finite())
        .flat_map(|(tag, value)| {
            let mut scalar = bytes(1, tag.as_bytes());
            scalar.extend(float(2, value as f32));
            bytes(1, &scalar)
        })
        .collect()
}

/// A TFRecord.
fn record(data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u64).to_le_bytes();
    let parts = [&length[..], &masked(&length), data, &masked(data)];
    parts.concat()
}

/// The checksum of TFRecords: CRC-32C, turned so that the checksum of data that hold checksums is not a special one.
fn masked(data: &[u8]) -> [u8; 4] {
    crc32c(data)
        .rotate_right(15)
        .wrapping_add(0xa282_ead8)
        .to_le_bytes()
}

/// CRC-32C (Castagnoli), bit by bit: the files are small.
fn crc32c(data: &[u8]) -> u32 {
    let bit = |crc: u32, _| (crc >> 1) ^ (0x82f6_3b78 & (crc & 1).wrapping_neg());
    !data
        .iter()
        .fold(!0, |crc, &byte| (0..8).fold(crc ^ u32::from(byte), bit))
}

/// Fields of protocol buffers: number and wire type, then the value.
fn varint(field: u8, value: u64) -> Vec<u8> {
    [vec![field << 3], variable(value)].concat()
}

fn double(field: u8, value: f64) -> Vec<u8> {
    [&[field << 3 | 1][..], &value.to_le_bytes()].concat()
}

fn bytes(field: u8, value: &[u8]) -> Vec<u8> {
    [vec![field << 3 | 2], variable(value.len() as u64), value.to_vec()].concat()
}

fn float(field: u8, value: f32) -> Vec<u8> {
    [&[field << 3 | 5][..], &value.to_le_bytes()].concat()
}

/// Seven bits a byte, the lowest first; the highest bit says that there are more.
fn variable(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_those_of_the_standard() {
        // RFC 3720, appendix B.4.
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(&[0xff; 32]), 0x62a8_ab43);
        assert_eq!(crc32c(&(0..32).collect::<Vec<u8>>()), 0x46dd_794e);
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    }

    #[test]
    fn a_message_is_what_protobuf_makes_of_it() {
        let row = EpochRow {
            epoch: 300,
            train_loss: 0.5,
            val_loss: f64::NAN,
            lr: 0.25,
            images_per_second: f64::INFINITY,
            ..EpochRow::default()
        };
        let scalars = [
            &b"\x0a\x11\x0a\x0aloss/train\x15\0\0\0\x3f"[..],
            b"\x0a\x09\x0a\x02lr\x15\0\0\x80\x3e",
        ]
        .concat();
        assert_eq!(summary(&row), scalars);
        let mut file = EventFile {
            path: PathBuf::new(),
            time: 1.0,
        };
        let record = file.record_of(&row);
        let data = &record[12..record.len() - 4];
        assert_eq!(record[..8], (data.len() as u64).to_le_bytes());
        assert_eq!(data[..9], *b"\x09\0\0\0\0\0\0\xf0\x3f", "1.0 seconds");
        assert_eq!(
            data[9..14],
            *b"\x10\xac\x02\x2a\x1e",
            "step 300, then the summary"
        );
        assert_eq!(data[14..], scalars);
    }
}
