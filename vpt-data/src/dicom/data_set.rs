//! A data set's elements (PS3.5, chapter 7): only those a picture is made of are kept, all others are skipped.
//!
//! Lengths in a file are claims. Nothing is allocated by them: values are slices of the file.

use super::tag::{self, Tag};
use super::transfer_syntax::Encoding;
use std::collections::BTreeMap;

/// The length of a value that ends with a delimiter instead.
const UNDEFINED: u32 = u32::MAX;

/// How deep sequences may lie in each other; the deepest in real files are below ten.
const MAX_DEPTH: usize = 64;

/// A value as it lies in the file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Value<'a> {
    /// The bytes of the value, of all items of a sequence.
    pub bytes: &'a [u8],
    /// Its written type, where one is written.
    pub vr: Option<[u8; 2]>,
    /// Whether it ends with a delimiter: a sequence, or compressed pixels.
    pub undefined_length: bool,
}

/// The attributes of a picture.
#[derive(Clone, Debug)]
pub(super) struct DataSet<'a> {
    pub encoding: Encoding,
    elements: BTreeMap<Tag, Value<'a>>,
}

impl<'a> DataSet<'a> {
    /// Reads a data set up to its pixels, or to its end.
    pub fn parse(bytes: &'a [u8], encoding: Encoding) -> Result<Self, String> {
        let mut reader = Reader { bytes, encoding };
        let mut elements = BTreeMap::new();
        while !reader.bytes.is_empty() {
            let (tag, value) = reader.element(0)?;
            if tag.is_known() {
                elements.insert(tag, value);
            }
            // What follows the pixels is padding.
            if tag == tag::PIXEL_DATA {
                break;
            }
        }
        Ok(Self { encoding, elements })
    }

    /// Reads the file's meta information, and says what is left of `bytes` after it.
    pub fn parse_meta(bytes: &'a [u8]) -> Result<(Self, &'a [u8]), String> {
        let encoding = Encoding::EXPLICIT;
        let mut reader = Reader { bytes, encoding };
        let mut elements = BTreeMap::new();
        while reader.bytes.starts_with(&[2, 0]) {
            let (tag, value) = reader.element(0)?;
            if tag.is_known() {
                elements.insert(tag, value);
            }
        }
        Ok((Self { encoding, elements }, reader.bytes))
    }

    /// An attribute's value, unless it is absent or empty.
    pub fn get(&self, tag: Tag) -> Option<Value<'a>> {
        self.elements
            .get(&tag)
            .copied()
            .filter(|value| !value.bytes.is_empty() || tag == tag::PIXEL_DATA)
    }

    /// All 16-bit numbers of a value.
    pub fn words(&self, tag: Tag) -> Option<Vec<u16>> {
        let bytes = self.get(tag)?.bytes;
        let words = bytes.as_chunks().0.iter();
        Some(words.map(|&word| self.encoding.u16(word)).collect())
    }

    /// A 16-bit number.
    pub fn u16(&self, tag: Tag) -> Option<u16> {
        let bytes = self.get(tag)?.bytes;
        bytes.first_chunk().map(|&word| self.encoding.u16(word))
    }

    /// A text without the spaces that fill it up.
    pub fn text(&self, tag: Tag) -> Option<&'a str> {
        let text = std::str::from_utf8(self.get(tag)?.bytes).ok()?;
        Some(text.trim_matches([' ', '\0']))
    }

    /// The first of a list of decimal numbers. What is no number is never repeated: it may be anything.
    pub fn decimal(&self, tag: Tag) -> Result<Option<f64>, String> {
        if self.get(tag).is_none() {
            return Ok(None);
        }
        let text = self.text(tag).unwrap_or("?");
        let first = text.split('\\').next().unwrap_or_default().trim();
        match first.parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(Some(number)),
            _ if first.is_empty() => Ok(None),
            _ => Err(format!("{tag} is not a number")),
        }
    }

    /// Item `index` of a sequence.
    pub fn item(&self, tag: Tag, index: usize) -> Result<Option<DataSet<'a>>, String> {
        let Some(value) = self.get(tag) else {
            return Ok(None);
        };
        let mut reader = Reader {
            bytes: value.bytes,
            encoding: self.encoding,
        };
        for _ in 0..index {
            if reader.item()?.is_none() {
                return Ok(None);
            }
        }
        match reader.item()? {
            Some(bytes) => DataSet::parse(bytes, self.encoding).map(Some),
            None => Ok(None),
        }
    }
}

/// Walks over elements.
struct Reader<'a> {
    bytes: &'a [u8],
    encoding: Encoding,
}

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize, tag: Option<Tag>) -> Result<&'a [u8], String> {
        let Some((taken, rest)) = self.bytes.split_at_checked(length) else {
            let there = self.bytes.len();
            return Err(match tag {
                Some(tag) if tag.is_known() => {
                    format!("truncated: {tag} claims {length} bytes, {there} are left")
                }
                Some(_) => {
                    format!("truncated: a data element claims more than the {there} bytes that are left")
                }
                None => "truncated: the file ends within the header of a data element".into(),
            });
        };
        self.bytes = rest;
        Ok(taken)
    }

    fn u16(&mut self) -> Result<u16, String> {
        let bytes = self.take(2, None)?;
        Ok(self.encoding.u16([bytes[0], bytes[1]]))
    }

    fn u32(&mut self) -> Result<u32, String> {
        let bytes = self.take(4, None)?;
        Ok(self.encoding.u32([bytes[0], bytes[1], bytes[2], bytes[3]]))
    }

    /// Tag, type and length.
    fn header(&mut self) -> Result<(Tag, Option<[u8; 2]>, u32), String> {
        let tag = Tag(self.u16()?, self.u16()?);
        // Delimiters have no type, whatever the encoding.
        if !self.encoding.explicit || tag.0 == tag::ITEM.0 {
            return Ok((tag, None, self.u32()?));
        }
        let vr = self.take(2, None)?;
        let vr = [vr[0], vr[1]];
        if !vr.iter().all(u8::is_ascii_uppercase) {
            return Err(format!("{tag} has no valid type (VR)"));
        }
        let is_long = matches!(
            &vr,
            b"OB"
                | b"OD"
                | b"OF"
                | b"OL"
                | b"OV"
                | b"OW"
                | b"SQ"
                | b"SV"
                | b"UC"
                | b"UN"
                | b"UR"
                | b"UT"
                | b"UV"
        );
        if !is_long {
            return Ok((tag, Some(vr), u32::from(self.u16()?)));
        }
        self.take(2, None)?;
        Ok((tag, Some(vr), self.u32()?))
    }

    fn element(&mut self, depth: usize) -> Result<(Tag, Value<'a>), String> {
        let (tag, vr, length) = self.header()?;
        if tag.0 == tag::ITEM.0 {
            return Err("an item of a sequence lies outside of one".into());
        }
        let undefined_length = length == UNDEFINED;
        let bytes = if undefined_length {
            self.until_sequence_end(tag, vr, depth)?
        } else {
            self.take(length as usize, Some(tag))?
        };
        Ok((
            tag,
            Value {
                bytes,
                vr,
                undefined_length,
            },
        ))
    }

    /// The items of a sequence whose length was not given, without the delimiter that ends it.
    fn until_sequence_end(
        &mut self,
        tag: Tag,
        vr: Option<[u8; 2]>,
        depth: usize,
    ) -> Result<&'a [u8], String> {
        if depth == MAX_DEPTH {
            return Err(format!("sequences lie more than {MAX_DEPTH} deep in each other"));
        }
        let (start, encoding) = (self.bytes, self.encoding);
        // A sequence of unknown type is written in implicit encoding (PS3.5, 6.2.2).
        if vr == Some(*b"UN") {
            self.encoding = Encoding::IMPLICIT;
        }
        loop {
            let left = self.bytes.len();
            let (found, _, length) = self
                .header()
                .map_err(|_| format!("truncated: the end of {tag} is missing"))?;
            match found {
                tag::SEQUENCE_END => {
                    self.encoding = encoding;
                    return Ok(&start[..start.len() - left]);
                }
                tag::ITEM if length == UNDEFINED => self.skip_item(depth + 1)?,
                tag::ITEM => {
                    self.take(length as usize, Some(tag))?;
                }
                _ => return Err(format!("{tag} holds something that is no item")),
            }
        }
    }

    /// Skips the elements of an item whose length was not given, and the delimiter that ends it.
    fn skip_item(&mut self, depth: usize) -> Result<(), String> {
        loop {
            let mut ahead = Reader { ..*self };
            if let (tag::ITEM_END, ..) = ahead.header()? {
                self.bytes = ahead.bytes;
                return Ok(());
            }
            self.element(depth)?;
        }
    }

    /// The next item of a sequence.
    fn item(&mut self) -> Result<Option<&'a [u8]>, String> {
        if self.bytes.is_empty() {
            return Ok(None);
        }
        match self.header()? {
            (tag::ITEM, _, UNDEFINED) => {
                let start = self.bytes;
                self.skip_item(0)?;
                // The delimiter takes eight bytes.
                Ok(Some(&start[..start.len() - self.bytes.len() - 8]))
            }
            (tag::ITEM, _, length) => self.take(length as usize, Some(tag::ITEM)).map(Some),
            (tag::SEQUENCE_END, ..) => Ok(None),
            _ => Err("a sequence holds something that is no item".into()),
        }
    }
}

/// The fragments of compressed pixels; the first is the table of offsets (PS3.5, A.4).
pub(super) fn fragments(items: &[u8]) -> Result<Vec<&[u8]>, String> {
    let mut reader = Reader {
        bytes: items,
        encoding: Encoding::EXPLICIT,
    };
    let mut fragments = vec![];
    while let Some(fragment) = reader.item()? {
        fragments.push(fragment);
    }
    Ok(fragments)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows 7 in a sequence in a sequence, of undefined lengths.
    fn nested() -> Vec<u8> {
        let mut bytes = vec![];
        bytes.extend(*b"\x28\x00\x00\x30SQ\0\0\xff\xff\xff\xff");
        bytes.extend(*b"\xfe\xff\x00\xe0\xff\xff\xff\xff");
        bytes.extend(*b"\x28\x00\x10\x30SQ\0\0\xff\xff\xff\xff\xfe\xff\xdd\xe0\0\0\0\0");
        bytes.extend(*b"\x28\x00\x10\x00US\x02\x00\x07\x00");
        bytes.extend(*b"\xfe\xff\x0d\xe0\0\0\0\0\xfe\xff\xdd\xe0\0\0\0\0");
        bytes.extend(*b"\x28\x00\x11\x00US\x02\x00\x09\x00");
        bytes
    }

    #[test]
    fn sequences_end_at_their_delimiter() {
        let bytes = nested();
        let set = DataSet::parse(&bytes, Encoding::EXPLICIT).unwrap();
        assert_eq!(set.u16(tag::ROWS), None);
        assert_eq!(set.u16(tag::COLUMNS), Some(9));
        let item = set.item(tag::MODALITY_LUT_SEQUENCE, 0).unwrap().unwrap();
        assert_eq!(item.u16(tag::ROWS), Some(7));
        assert!(set.item(tag::MODALITY_LUT_SEQUENCE, 1).unwrap().is_none());
        for end in 0..bytes.len() - 10 {
            let cut = DataSet::parse(&bytes[..end], Encoding::EXPLICIT);
            assert!(end == 0 || cut.is_err(), "{end}");
        }
    }

    #[test]
    fn bottomless_sequences_are_refused() {
        let bytes = b"\x28\x00\x00\x30SQ\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff".repeat(100_000);
        let error = DataSet::parse(&bytes, Encoding::EXPLICIT).unwrap_err();
        assert_eq!(error, "sequences lie more than 64 deep in each other");
    }

    #[test]
    fn numbers_in_text() {
        let of = |text: &[u8]| {
            let mut bytes = b"\x28\x00\x50\x10DS".to_vec();
            bytes.extend((text.len() as u16).to_le_bytes());
            bytes.extend(text);
            DataSet::parse(&bytes, Encoding::EXPLICIT)
                .unwrap()
                .decimal(tag::WINDOW_CENTER)
        };
        assert_eq!(of(b" 40.5 \\80"), Ok(Some(40.5)));
        assert_eq!(of(b"-1e2\0"), Ok(Some(-100.0)));
        assert_eq!(of(b"  "), Ok(None));
        for bad in [&b"SECRET"[..], b"inf ", b"\xff\xfe"] {
            assert_eq!(of(bad), Err("Window Center (0028,1050) is not a number".into()));
        }
    }
}
