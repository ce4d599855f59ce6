//! Thrift's compact protocol, as far as the metadata of Parquet needs it (`thrift-compact-protocol.md`).

/// What a field holds.
pub(super) enum Value<'a> {
    /// A 32-bit number or an enumeration.
    I32(i32),
    /// A 64-bit number.
    I64(i64),
    /// A string.
    Text(&'a str),
    /// An encoded [`Struct`].
    Struct(Struct),
    /// Encoded structs.
    Structs(Vec<Struct>),
    /// Numbers.
    I32s(&'a [i32]),
    /// Strings.
    Texts(&'a [&'a str]),
}

/// An encoded struct, or one that is being encoded: fields in rising order of their numbers.
pub(super) struct Struct {
    bytes: Vec<u8>,
    last: u8,
}

const I32: u8 = 5;
const I64: u8 = 6;
const BINARY: u8 = 8;
const LIST: u8 = 9;
const STRUCT: u8 = 12;

impl Struct {
    /// The struct with these fields.
    pub fn of<const N: usize>(fields: [(u8, Value<'_>); N]) -> Self {
        fields.into_iter().fold(
            Self {
                bytes: Vec::new(),
                last: 0,
            },
            |all, (id, value)| all.with(id, &value),
        )
    }

    /// Its bytes.
    pub fn encoded(mut self) -> Vec<u8> {
        self.bytes.push(0);
        self.bytes
    }

    fn with(mut self, id: u8, value: &Value<'_>) -> Self {
        let kind = match value {
            Value::I32(_) => I32,
            Value::I64(_) => I64,
            Value::Text(_) => BINARY,
            Value::Struct(_) => STRUCT,
            Value::Structs(_) | Value::I32s(_) | Value::Texts(_) => LIST,
        };
        self.bytes.push((id - self.last) << 4 | kind);
        self.last = id;
        let bytes = &mut self.bytes;
        match value {
            Value::I32(number) => zigzag(bytes, i64::from(*number)),
            Value::I64(number) => zigzag(bytes, *number),
            Value::Text(text) => string(bytes, text),
            Value::Struct(inner) => inner.end_in(bytes),
            Value::Structs(inner) => {
                list(bytes, inner.len(), STRUCT);
                for inner in inner {
                    inner.end_in(bytes);
                }
            }
            Value::I32s(numbers) => {
                list(bytes, numbers.len(), I32);
                for number in *numbers {
                    zigzag(bytes, i64::from(*number));
                }
            }
            Value::Texts(texts) => {
                list(bytes, texts.len(), BINARY);
                for text in *texts {
                    string(bytes, text);
                }
            }
        }
        self
    }

    fn end_in(&self, bytes: &mut Vec<u8>) {
        bytes.extend(&self.bytes);
        bytes.push(0);
    }
}

/// Seven bits a byte, the lowest first.
pub(super) fn varint(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

fn zigzag(bytes: &mut Vec<u8>, number: i64) {
    varint(bytes, (number << 1 ^ number >> 63) as u64);
}

fn string(bytes: &mut Vec<u8>, text: &str) {
    varint(bytes, text.len() as u64);
    bytes.extend(text.as_bytes());
}

fn list(bytes: &mut Vec<u8>, count: usize, kind: u8) {
    if count < 15 {
        bytes.push((count as u8) << 4 | kind);
    } else {
        bytes.push(0xf0 | kind);
        varint(bytes, count as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_where_they_are_small() {
        let encoded = |number| Struct::of([(1, Value::I64(number))]).encoded();
        assert_eq!(encoded(0), [0x16, 0, 0]);
        assert_eq!(encoded(-1), [0x16, 1, 0]);
        assert_eq!(encoded(150), [0x16, 0xac, 0x02, 0]);
    }

    #[test]
    fn fields_and_lists_say_what_they_are() {
        let inner = Struct::of([(4, Value::Text("ab"))]);
        let all = Struct::of([(2, Value::Structs(vec![inner])), (6, Value::I32s(&[3]))]);
        assert_eq!(
            all.encoded(),
            [0x29, 0x1c, 0x48, 2, b'a', b'b', 0, 0x49, 0x15, 6, 0]
        );
    }
}
