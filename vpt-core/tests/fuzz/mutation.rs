//! Damage: what happens to files on bad disks, in cut downloads and in hostile hands.

use std::io::{Cursor, Read};

use rand::RngExt;
use rand_pcg::Pcg64;
use zip::ZipArchive;

use crate::seeds::zipped;

/// What a file is, so that some of the damage lies deeper than its checksums.
#[derive(Clone, Copy, PartialEq)]
pub enum Kind {
    /// Text or plain bytes.
    Plain,
    /// The length of the header is put right again, half of the times.
    Safetensors,
    /// Half of the times one entry is damaged and the archive made anew.
    Zip,
}

/// Numbers that programs forget.
const NUMBERS: [&str; 14] = [
    "0",
    "1",
    "-1",
    "0.5",
    "3",
    "999999",
    "1000000",
    "2147483648",
    "4294967296",
    "18446744073709551615",
    "99999999999999999999999",
    "1e308",
    "1e999",
    "-0.0",
];

/// Things where other things were expected.
const VALUES: [&str; 8] = [
    "null",
    "{}",
    "[]",
    "\"\"",
    "true",
    "[[[[[[]]]]]]",
    "\"\\u0000\"",
    "[1]",
];

/// `bytes` with one to four kinds of damage.
pub fn damaged(bytes: &[u8], kind: Kind, rng: &mut Pcg64) -> Vec<u8> {
    let deep = rng.random_bool(0.5);
    if kind == Kind::Zip && deep {
        return in_an_entry(bytes, rng);
    }
    let mut bytes = bytes.to_vec();
    for _ in 0..rng.random_range(1..5) {
        damage(&mut bytes, rng);
    }
    if kind == Kind::Safetensors && deep {
        repair_length(&mut bytes);
    }
    bytes
}

fn damage(bytes: &mut Vec<u8>, rng: &mut Pcg64) {
    if bytes.is_empty() {
        return;
    }
    // Half of the times near the beginning, where lengths are.
    let reach = if rng.random_bool(0.5) {
        bytes.len().min(600)
    } else {
        bytes.len()
    };
    let at = rng.random_range(0..reach);
    let length = rng.random_range(1..=(bytes.len() - at).min(64));
    match rng.random_range(0..9) {
        0 => bytes[at] ^= 1 << rng.random_range(0..8),
        1 => bytes[at] = rng.random(),
        2 => bytes.truncate(at),
        3 => {
            let chunk = bytes[at..at + length].to_vec();
            let to = rng.random_range(0..=bytes.len());
            bytes.splice(to..to, chunk);
        }
        4 => _ = bytes.drain(at..at + length),
        5 => {
            let width = [1, 2, 4, 8][rng.random_range(0..4)].min(bytes.len() - at);
            let value: u64 =
                [0, 1, u64::MAX, i64::MAX as u64, 1 << 31, 1 << 40, 0xffff_ffff][rng.random_range(0..7)];
            bytes[at..at + width].copy_from_slice(&value.to_le_bytes()[..width]);
        }
        6 | 7 => replace_number(bytes, at, rng),
        _ => {
            let value = VALUES[rng.random_range(0..VALUES.len())];
            if let Some(start) = bytes[at..]
                .iter()
                .position(|&byte| byte == b':')
                .map(|colon| at + colon + 1)
            {
                let end = bytes[start..].iter().position(|byte| b",}".contains(byte));
                let end = end.map_or(bytes.len(), |end| start + end);
                bytes.splice(start..end, value.bytes());
            }
        }
    }
}

/// Another number in the place of the first one after `at`.
fn replace_number(bytes: &mut Vec<u8>, at: usize, rng: &mut Pcg64) {
    let Some(start) = bytes[at..]
        .iter()
        .position(u8::is_ascii_digit)
        .map(|digit| at + digit)
    else {
        return;
    };
    let end = bytes[start..].iter().position(|byte| !byte.is_ascii_digit());
    let end = end.map_or(bytes.len(), |end| start + end);
    let number = NUMBERS[rng.random_range(0..NUMBERS.len())];
    bytes.splice(start..end, number.bytes());
}

/// Makes the first eight bytes of a safetensors file say where its header ends.
fn repair_length(bytes: &mut [u8]) {
    let end = bytes
        .windows(3)
        .position(|three| three == b"]}}")
        .map(|at| at + 3);
    if let Some(end) = end.filter(|_| bytes.len() > 8) {
        let padding = bytes[end..].iter().take_while(|&&byte| byte == b' ').count();
        let length = ((end + padding).saturating_sub(8) as u64).to_le_bytes();
        bytes[..8].copy_from_slice(&length);
    }
}

/// Damages one file of an archive, so that its checksum is right.
fn in_an_entry(bytes: &[u8], rng: &mut Pcg64) -> Vec<u8> {
    let mut archive = ZipArchive::new(Cursor::new(bytes)).unwrap();
    let mut entries = Vec::new();
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index).unwrap();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        entries.push((entry.name().unwrap().into_owned(), bytes));
    }
    // Half of the times the first: a checkpoint's pickle.
    let which = if rng.random_bool(0.5) {
        0
    } else {
        rng.random_range(0..entries.len())
    };
    for _ in 0..rng.random_range(1..4) {
        damage(&mut entries[which].1, rng);
    }
    if rng.random_bool(0.1) {
        entries.remove(rng.random_range(0..entries.len()));
    }
    zipped(entries)
}
