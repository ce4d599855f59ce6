//! Tables that replace a value by another one (PS3.3, C.11.1 and C.7.6.3.1.5).

use super::data_set::DataSet;
use super::tag::Tag;

/// A table of replacements.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct LookupTable {
    /// The value that the first entry replaces.
    first: i32,
    entries: Vec<u16>,
    /// Bits of an entry.
    bits: u16,
}

impl LookupTable {
    /// Reads a table; `signed` tells whether the values it replaces may be below zero, where the file does not.
    pub fn read(set: &DataSet<'_>, descriptor: Tag, data: Tag, signed: bool) -> Result<Self, String> {
        let bad = || format!("{descriptor} is missing or damaged");
        let words = set.words(descriptor).ok_or_else(bad)?;
        let &[count, first, bits] = words.first_chunk().ok_or_else(bad)?;
        let count = if count == 0 { 1 << 16 } else { usize::from(count) };
        let signed = match set.get(descriptor).and_then(|value| value.vr) {
            Some([b'S', b'S']) => true,
            Some([b'U', b'S']) => false,
            _ => signed,
        };
        let first = if signed {
            i32::from(first as i16)
        } else {
            i32::from(first)
        };
        if !(8..=16).contains(&bits) {
            return Err(format!(
                "{descriptor} asks for entries of {bits} bits, expected 8 to 16"
            ));
        }
        let value = set.get(data).ok_or_else(|| format!("{data} is missing"))?;
        let too_short = || {
            format!(
                "{data} has {} bytes, too few for {count} entries",
                value.bytes.len()
            )
        };
        let mut entries = if value.bytes.len() >= 2 * count {
            set.words(data).unwrap_or_default()
        } else if bits == 8 {
            // Two entries in a word, the first in its lower half.
            let mut bytes = value.bytes.to_vec();
            if set.encoding.big_endian && value.vr == Some(*b"OW") {
                bytes
                    .as_chunks_mut::<2>()
                    .0
                    .iter_mut()
                    .for_each(|word| word.reverse());
            }
            bytes.into_iter().map(u16::from).collect()
        } else {
            return Err(too_short());
        };
        if entries.len() < count {
            return Err(too_short());
        }
        entries.truncate(count);
        Ok(Self { first, entries, bits })
    }

    /// The entry for a value; those below the first share its entry, as those above the last do.
    pub fn get(&self, value: i32) -> u16 {
        let index = value.saturating_sub(self.first).max(0) as usize;
        self.entries[index.min(self.entries.len() - 1)]
    }

    /// The entry for a value, from 0 to 1.
    pub fn fraction(&self, value: i32) -> f64 {
        let most = (1_u32 << self.bits) - 1;
        (f64::from(self.get(value)) / f64::from(most)).min(1.0)
    }

    /// The entry for a value in eight bits.
    pub fn byte(&self, value: i32) -> u8 {
        (self.get(value) >> (self.bits - 8)).min(255) as u8
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::tag;
    use super::super::transfer_syntax::Encoding;
    use super::*;

    /// A table as it is read from a file.
    pub fn table(descriptor: [u16; 3], vr: [u8; 2], data: &[u8]) -> Result<LookupTable, String> {
        let mut bytes = b"\x28\x00\x02\x30".to_vec();
        bytes.extend(vr);
        bytes.extend([6, 0]);
        bytes.extend(descriptor.iter().flat_map(|word| word.to_le_bytes()));
        bytes.extend(*b"\x28\x00\x06\x30OW\0\0");
        bytes.extend((data.len() as u32).to_le_bytes());
        bytes.extend(data);
        let set = DataSet::parse(&bytes, Encoding::EXPLICIT)?;
        LookupTable::read(&set, tag::LUT_DESCRIPTOR, tag::LUT_DATA, false)
    }

    #[test]
    fn values_beyond_the_table_take_its_ends() {
        let words = table([3, 0xfffe, 16], *b"SS", &[1, 0, 2, 0, 0xff, 0xff]).unwrap();
        assert_eq!(
            [-100, -2, -1, 0, 100].map(|v| words.get(v)),
            [1, 1, 2, 65535, 65535]
        );
        assert_eq!((words.byte(0), words.fraction(0)), (255, 1.0));
        let bytes = table([3, 1, 8], *b"US", &[10, 20, 30, 0]).unwrap();
        assert_eq!([0, 1, 2, 3].map(|v| bytes.byte(v)), [10, 10, 20, 30]);
    }

    #[test]
    fn broken_tables() {
        let error = |descriptor, data: &[u8]| table(descriptor, *b"US", data).unwrap_err();
        assert_eq!(
            error([0, 0, 16], &[0; 8]),
            "LUT Data (0028,3006) has 8 bytes, too few for 65536 entries"
        );
        assert!(error([4, 0, 8], &[0; 2]).contains("too few for 4 entries"));
        assert!(error([4, 0, 40], &[0; 8]).contains("entries of 40 bits"));
        assert_eq!(error([4, 0, 8], &[]), "LUT Data (0028,3006) is missing");
    }
}
