//! Protobuf's wire format, as far as writing messages needs it.

use std::io::{self, Write};

/// A message that can be written.
pub(super) trait Message {
    /// Writes every field that is not at its default.
    fn write(&self, to: &mut Fields<'_>) -> io::Result<()>;

    /// Bytes of the message.
    fn len(&self) -> u64 {
        let mut counted = Fields { sink: None, count: 0 };
        // Counting cannot fail.
        let _ = self.write(&mut counted);
        counted.count
    }

    /// Writes the message to `file`, without holding it in memory once more.
    fn write_to(&self, file: &mut dyn Write) -> io::Result<()> {
        self.write(&mut Fields {
            sink: Some(file),
            count: 0,
        })
    }
}

/// Where the fields of a message go: into a file, or nowhere, to be counted.
pub(super) struct Fields<'a> {
    sink: Option<&'a mut dyn Write>,
    count: u64,
}

/// How a field's value is laid out.
#[derive(Clone, Copy)]
enum WireType {
    Varint = 0,
    LengthDelimited = 2,
    Fixed32 = 5,
}

impl Fields<'_> {
    /// A whole number, also one of an enumeration.
    pub fn int(&mut self, field: u32, value: i64) -> io::Result<()> {
        self.key(field, WireType::Varint)?;
        self.varint(value as u64)
    }

    /// A number of 32 bits.
    pub fn float(&mut self, field: u32, value: f32) -> io::Result<()> {
        self.key(field, WireType::Fixed32)?;
        self.put(&value.to_le_bytes())
    }

    /// A text.
    pub fn text(&mut self, field: u32, value: &str) -> io::Result<()> {
        self.bytes(field, value.as_bytes())
    }

    /// Texts, each a field.
    pub fn texts(&mut self, field: u32, values: &[String]) -> io::Result<()> {
        values.iter().try_for_each(|value| self.text(field, value))
    }

    /// Bytes.
    pub fn bytes(&mut self, field: u32, value: &[u8]) -> io::Result<()> {
        self.key(field, WireType::LengthDelimited)?;
        self.varint(value.len() as u64)?;
        self.put(value)
    }

    /// Whole numbers in one field.
    pub fn ints(&mut self, field: u32, values: &[i64]) -> io::Result<()> {
        if values.is_empty() {
            return Ok(());
        }
        let mut packed = Vec::new();
        let mut fields = Fields {
            sink: Some(&mut packed),
            count: 0,
        };
        values.iter().try_for_each(|&value| fields.varint(value as u64))?;
        self.bytes(field, &packed)
    }

    /// A message.
    pub fn message(&mut self, field: u32, value: &impl Message) -> io::Result<()> {
        self.key(field, WireType::LengthDelimited)?;
        let len = value.len();
        self.varint(len)?;
        match &self.sink {
            // What has been counted is not counted again.
            None => self.count += len,
            Some(_) => value.write(self)?,
        }
        Ok(())
    }

    /// Messages, each a field.
    pub fn messages(&mut self, field: u32, values: &[impl Message]) -> io::Result<()> {
        values.iter().try_for_each(|value| self.message(field, value))
    }

    fn key(&mut self, field: u32, wire_type: WireType) -> io::Result<()> {
        self.varint(u64::from(field << 3 | wire_type as u32))
    }

    /// Seven bits a byte, the lowest first.
    fn varint(&mut self, mut value: u64) -> io::Result<()> {
        let mut bytes = [0; 10];
        let mut count = 0;
        loop {
            bytes[count] = (value & 0x7f) as u8 | if value > 0x7f { 0x80 } else { 0 };
            count += 1;
            value >>= 7;
            if value == 0 {
                return self.put(&bytes[..count]);
            }
        }
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.count += bytes.len() as u64;
        match &mut self.sink {
            Some(sink) => sink.write_all(bytes),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Inner(i64);

    impl Message for Inner {
        fn write(&self, to: &mut Fields<'_>) -> io::Result<()> {
            to.int(1, self.0)
        }
    }

    struct Outer;

    impl Message for Outer {
        fn write(&self, to: &mut Fields<'_>) -> io::Result<()> {
            to.text(2, "testing")?;
            to.message(3, &Inner(150))?;
            to.ints(4, &[3, 270, 86_942])?;
            to.float(5, 1.0)?;
            to.int(20, -1)
        }
    }

    /// The examples of protobuf's own documentation of its encoding, and a number below zero.
    #[test]
    fn bytes_are_those_of_the_documentation() {
        let mut bytes = Vec::new();
        Outer.write_to(&mut bytes).unwrap();
        let mut expected = b"\x12\x07testing\x1a\x03\x08\x96\x01\x22\x06\x03\x8e\x02\x9e\xa7\x05".to_vec();
        expected.extend(b"\x2d\x00\x00\x80\x3f\xa0\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01");
        assert_eq!(bytes, expected);
        assert_eq!(Outer.len(), bytes.len() as u64);
    }
}
