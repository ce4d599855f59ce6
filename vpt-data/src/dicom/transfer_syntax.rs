//! How the bytes of a file are laid out and its pixels compressed (PS3.5, annex A).

/// How data elements are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Encoding {
    /// Most significant byte first.
    pub big_endian: bool,
    /// The type of each value is written with it.
    pub explicit: bool,
}

impl Encoding {
    pub const EXPLICIT: Self = Self {
        big_endian: false,
        explicit: true,
    };
    pub const IMPLICIT: Self = Self {
        big_endian: false,
        explicit: false,
    };

    /// Two bytes as a number.
    pub fn u16(self, bytes: [u8; 2]) -> u16 {
        if self.big_endian {
            u16::from_be_bytes(bytes)
        } else {
            u16::from_le_bytes(bytes)
        }
    }

    /// Four bytes as a number.
    pub fn u32(self, bytes: [u8; 4]) -> u32 {
        if self.big_endian {
            u32::from_be_bytes(bytes)
        } else {
            u32::from_le_bytes(bytes)
        }
    }
}

/// How pixels are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Codec {
    /// Not at all.
    Native,
    /// Run lengths (PS3.5, annex G).
    Rle,
    /// JPEG: baseline, extended or lossless.
    Jpeg,
    /// JPEG 2000.
    Jpeg2000,
}

/// What a transfer syntax stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TransferSyntax {
    pub encoding: Encoding,
    /// The whole data set is compressed.
    pub deflated: bool,
    pub codec: Codec,
}

impl TransferSyntax {
    /// Finds a transfer syntax by its identifier, or says which one it is that cannot be read.
    pub fn find(uid: &str) -> Result<Self, String> {
        let plain = |encoding| Self {
            encoding,
            deflated: false,
            codec: Codec::Native,
        };
        let encapsulated = |codec| Self {
            codec,
            ..plain(Encoding::EXPLICIT)
        };
        // Every identifier in the standard starts alike; others are private, and nothing to repeat in a message.
        let Some(number) = uid.strip_prefix("1.2.840.10008.1.2") else {
            return Err("an unknown or private transfer syntax (0002,0010)".into());
        };
        let name = match number {
            "" => return Ok(plain(Encoding::IMPLICIT)),
            ".1" => return Ok(plain(Encoding::EXPLICIT)),
            ".1.99" => {
                return Ok(Self {
                    deflated: true,
                    ..plain(Encoding::EXPLICIT)
                });
            }
            ".2" => {
                return Ok(plain(Encoding {
                    big_endian: true,
                    explicit: true,
                }));
            }
            ".4.50" | ".4.51" | ".4.57" | ".4.70" => return Ok(encapsulated(Codec::Jpeg)),
            ".4.90" | ".4.91" => return Ok(encapsulated(Codec::Jpeg2000)),
            ".5" => return Ok(encapsulated(Codec::Rle)),
            ".4.80" => "JPEG-LS Lossless",
            ".4.81" => "JPEG-LS Near-Lossless",
            ".4.92" | ".4.93" => "JPEG 2000 Part 2",
            ".4.100" | ".4.100.1" | ".4.101" | ".4.101.1" => "MPEG-2 video",
            ".4.102" | ".4.102.1" | ".4.103" | ".4.103.1" | ".4.104" | ".4.104.1" | ".4.105" | ".4.105.1"
            | ".4.106" | ".4.106.1" => "MPEG-4 video",
            ".4.107" | ".4.108" => "HEVC video",
            ".4.110" | ".4.111" | ".4.112" => "JPEG XL",
            ".4.201" | ".4.202" | ".4.203" => "High-Throughput JPEG 2000",
            _ if number.len() <= 24 && number.bytes().all(|byte| byte == b'.' || byte.is_ascii_digit()) => {
                "not known here"
            }
            _ => return Err("a transfer syntax (0002,0010) that is no identifier".into()),
        };
        Err(format!("the transfer syntax {uid} ({name})"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_read_is_named() {
        assert_eq!(
            TransferSyntax::find("1.2.840.10008.1.2.4.80"),
            Err("the transfer syntax 1.2.840.10008.1.2.4.80 (JPEG-LS Lossless)".into())
        );
        assert_eq!(
            TransferSyntax::find("1.2.840.10008.1.2.9"),
            Err("the transfer syntax 1.2.840.10008.1.2.9 (not known here)".into())
        );
        for private in ["SECRET", "1.2.3.4", "1.2.840.10008.1.2SECRET"] {
            let error = TransferSyntax::find(private).unwrap_err();
            assert!(!error.contains(private), "{error}");
        }
        assert_eq!(
            TransferSyntax::find("1.2.840.10008.1.2"),
            Ok(TransferSyntax {
                encoding: Encoding::IMPLICIT,
                deflated: false,
                codec: Codec::Native
            })
        );
    }
}
