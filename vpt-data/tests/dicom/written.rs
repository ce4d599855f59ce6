//! Writes small DICOM files.

/// A file to be: explicit little endian, unless told otherwise.
#[derive(Clone)]
pub struct Written {
    pub transfer_syntax: String,
    /// Tag, type and value, kept in the order of the tags.
    elements: Vec<(u16, u16, [u8; 2], Vec<u8>)>,
}

impl Written {
    /// Gray pixels of `bits`, with a patient's name.
    pub fn gray(rows: u16, columns: u16, bits: u16, pixels: &[u8]) -> Self {
        let allocated = if bits > 8 { 16 } else { 8 };
        Self {
            transfer_syntax: "1.2.840.10008.1.2.1".into(),
            elements: vec![],
        }
        .text(0x0008, 0x0060, *b"CS", "CT")
        .text(0x0010, 0x0010, *b"PN", "SECRET^NAME")
        .text(0x0010, 0x0020, *b"LO", "SECRET-ID")
        .word(0x0028, 0x0002, 1)
        .text(0x0028, 0x0004, *b"CS", "MONOCHROME2")
        .word(0x0028, 0x0010, rows)
        .word(0x0028, 0x0011, columns)
        .word(0x0028, 0x0100, allocated)
        .word(0x0028, 0x0101, bits)
        .word(0x0028, 0x0102, bits - 1)
        .word(0x0028, 0x0103, 0)
        .value(0x7fe0, 0x0010, *b"OW", pixels)
    }

    /// Pixels of three 8-bit samples.
    pub fn colour(rows: u16, columns: u16, photometric: &str, pixels: &[u8]) -> Self {
        Self::gray(rows, columns, 8, pixels)
            .word(0x0028, 0x0002, 3)
            .text(0x0028, 0x0004, *b"CS", photometric)
            .word(0x0028, 0x0006, 0)
    }

    /// Sets an element.
    pub fn value(mut self, group: u16, element: u16, vr: [u8; 2], value: &[u8]) -> Self {
        self = self.without(group, element);
        let mut value = value.to_vec();
        if value.len() % 2 == 1 {
            value.push(if vr == *b"OB" || vr == *b"OW" { 0 } else { b' ' });
        }
        self.elements.push((group, element, vr, value));
        self.elements.sort();
        self
    }

    pub fn text(self, group: u16, element: u16, vr: [u8; 2], text: &str) -> Self {
        self.value(group, element, vr, text.as_bytes())
    }

    pub fn word(self, group: u16, element: u16, word: u16) -> Self {
        self.value(group, element, *b"US", &word.to_le_bytes())
    }

    /// Sets a sequence of one item.
    pub fn item(self, group: u16, element: u16, item: &Self) -> Self {
        let content = item.data_set();
        let mut value = b"\xfe\xff\x00\xe0".to_vec();
        value.extend((content.len() as u32).to_le_bytes());
        value.extend(content);
        self.value(group, element, *b"SQ", &value)
    }

    /// Nothing yet; for items.
    pub fn empty() -> Self {
        Self {
            transfer_syntax: String::new(),
            elements: vec![],
        }
    }

    pub fn without(mut self, group: u16, element: u16) -> Self {
        self.elements.retain(|&(g, e, ..)| (g, e) != (group, element));
        self
    }

    pub fn syntax(mut self, uid: &str) -> Self {
        self.transfer_syntax = uid.into();
        self
    }

    /// The data set alone. Pixels of a compressed transfer syntax are written as fragments.
    pub fn data_set(&self) -> Vec<u8> {
        let is_compressed = self.transfer_syntax.starts_with("1.2.840.10008.1.2.4")
            || self.transfer_syntax == "1.2.840.10008.1.2.5";
        let mut bytes = vec![];
        for (group, element, vr, value) in &self.elements {
            bytes.extend(group.to_le_bytes());
            bytes.extend(element.to_le_bytes());
            if (*group, *element) == (0x7fe0, 0x0010) && is_compressed {
                bytes.extend(*b"OB\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\0\0\0\0\xfe\xff\x00\xe0");
                bytes.extend((value.len() as u32).to_le_bytes());
                bytes.extend(value);
                bytes.extend(*b"\xfe\xff\xdd\xe0\0\0\0\0");
                continue;
            }
            bytes.extend(vr);
            if [*b"OB", *b"OW", *b"SQ"].contains(vr) {
                bytes.extend([0, 0]);
                bytes.extend((value.len() as u32).to_le_bytes());
            } else {
                bytes.extend((value.len() as u16).to_le_bytes());
            }
            bytes.extend(value);
        }
        bytes
    }

    /// The same in implicit little endian.
    pub fn implicit_data_set(&self) -> Vec<u8> {
        let mut bytes = vec![];
        for (group, element, _, value) in &self.elements {
            bytes.extend(group.to_le_bytes());
            bytes.extend(element.to_le_bytes());
            bytes.extend((value.len() as u32).to_le_bytes());
            bytes.extend(value);
        }
        bytes
    }

    /// The same in explicit big endian: numbers, and pixels as words, are turned round.
    pub fn big_endian_data_set(&self) -> Vec<u8> {
        let mut bytes = vec![];
        for (group, element, vr, value) in &self.elements {
            bytes.extend(group.to_be_bytes());
            bytes.extend(element.to_be_bytes());
            bytes.extend(vr);
            if vr == b"OW" {
                bytes.extend([0, 0]);
                bytes.extend((value.len() as u32).to_be_bytes());
            } else {
                bytes.extend((value.len() as u16).to_be_bytes());
            }
            let mut value = value.clone();
            if [*b"US", *b"OW"].contains(vr) {
                value
                    .as_chunks_mut::<2>()
                    .0
                    .iter_mut()
                    .for_each(|word| word.reverse());
            }
            bytes.extend(value);
        }
        bytes
    }

    /// Preamble and meta information.
    pub fn head(&self) -> Vec<u8> {
        let mut bytes = vec![0; 128];
        bytes.extend(*b"DICM");
        let uid = Self::empty().text(0x0002, 0x0010, *b"UI", &self.transfer_syntax);
        bytes.extend(uid.data_set());
        bytes
    }

    /// The file.
    pub fn bytes(&self) -> Vec<u8> {
        [self.head(), self.data_set()].concat()
    }
}
