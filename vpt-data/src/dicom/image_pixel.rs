//! The shape and kind of a picture's pixels (PS3.3, C.7.6.3).

use super::data_set::DataSet;
use super::tag::{self, Tag};

/// What the samples of a pixel stand for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Photometric {
    /// Gray; the smallest value is white.
    Monochrome1,
    /// Gray; the smallest value is black.
    Monochrome2,
    /// An index into a table of colours.
    Palette,
    /// Red, green, blue.
    Rgb,
    /// Luminance and two colour differences.
    YbrFull,
    /// The same, two pixels sharing their colour differences.
    YbrFull422,
    /// What JPEG 2000 decoders turn into RGB themselves.
    YbrJpeg2000,
}

impl Photometric {
    fn find(name: &str) -> Option<Self> {
        Some(match name {
            "MONOCHROME1" => Self::Monochrome1,
            "MONOCHROME2" => Self::Monochrome2,
            "PALETTE COLOR" => Self::Palette,
            "RGB" => Self::Rgb,
            "YBR_FULL" => Self::YbrFull,
            "YBR_FULL_422" => Self::YbrFull422,
            "YBR_RCT" | "YBR_ICT" => Self::YbrJpeg2000,
            _ => return None,
        })
    }

    /// Whether pixels are colours themselves.
    pub fn is_colour(self) -> bool {
        self.samples() == 3
    }

    /// Samples per pixel.
    pub fn samples(self) -> u16 {
        match self {
            Self::Monochrome1 | Self::Monochrome2 | Self::Palette => 1,
            Self::Rgb | Self::YbrFull | Self::YbrFull422 | Self::YbrJpeg2000 => 3,
        }
    }
}

/// The shape and kind of a picture's pixels, in values that go together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ImagePixel {
    pub rows: u16,
    pub columns: u16,
    pub frames: u32,
    pub photometric: Photometric,
    /// All samples of one kind, then all of the next, instead of pixel by pixel.
    pub planar: bool,
    /// 8 or 16.
    pub bits_allocated: u16,
    /// From 1 to `bits_allocated`.
    pub bits_stored: u16,
    /// How many unused bits lie below the value.
    pub shift: u16,
    pub signed: bool,
}

impl ImagePixel {
    /// Reads and checks the attributes.
    pub fn read(set: &DataSet<'_>) -> Result<Self, String> {
        let need = |tag: Tag| set.u16(tag).ok_or_else(|| format!("{tag} is missing"));
        let (rows, columns) = (need(tag::ROWS)?, need(tag::COLUMNS)?);
        for (tag, pixels) in [(tag::ROWS, rows), (tag::COLUMNS, columns)] {
            if pixels == 0 {
                return Err(format!("{tag} is 0"));
            }
        }
        let name = set.get(tag::PHOTOMETRIC_INTERPRETATION);
        let name = name.ok_or_else(|| format!("{} is missing", tag::PHOTOMETRIC_INTERPRETATION))?;
        let photometric = std::str::from_utf8(name.bytes)
            .ok()
            .and_then(|name| Photometric::find(name.trim_matches([' ', '\0'])))
            .ok_or_else(|| {
                format!(
                    "{} is none of MONOCHROME1, MONOCHROME2, PALETTE COLOR, RGB, YBR_FULL, YBR_FULL_422, YBR_RCT, YBR_ICT",
                    tag::PHOTOMETRIC_INTERPRETATION
                )
            })?;
        let samples = set.u16(tag::SAMPLES_PER_PIXEL).unwrap_or(photometric.samples());
        if samples != photometric.samples() {
            let (tag, expected) = (tag::SAMPLES_PER_PIXEL, photometric.samples());
            return Err(format!("{tag} is {samples}, expected {expected} for its colours"));
        }
        let bits_allocated = need(tag::BITS_ALLOCATED)?;
        if ![8, 16].contains(&bits_allocated) {
            let tag = tag::BITS_ALLOCATED;
            return Err(format!("{tag} is {bits_allocated}, expected 8 or 16"));
        }
        let bits_stored = set.u16(tag::BITS_STORED).unwrap_or(bits_allocated);
        if !(1..=bits_allocated).contains(&bits_stored) {
            let tag = tag::BITS_STORED;
            return Err(format!("{tag} is {bits_stored}, expected 1 to {bits_allocated}"));
        }
        let high_bit = set.u16(tag::HIGH_BIT).unwrap_or(bits_stored - 1);
        if !(bits_stored - 1..bits_allocated).contains(&high_bit) {
            let (tag, least, most) = (tag::HIGH_BIT, bits_stored - 1, bits_allocated - 1);
            return Err(format!("{tag} is {high_bit}, expected {least} to {most}"));
        }
        let signed = match set.u16(tag::PIXEL_REPRESENTATION).unwrap_or(0) {
            0 => false,
            1 if photometric.is_colour() || photometric == Photometric::Palette => {
                let tag = tag::PIXEL_REPRESENTATION;
                return Err(format!("{tag} is 1 (signed), which colours cannot be"));
            }
            1 => true,
            other => {
                let tag = tag::PIXEL_REPRESENTATION;
                return Err(format!("{tag} is {other}, expected 0 or 1"));
            }
        };
        let planar = match set.u16(tag::PLANAR_CONFIGURATION).unwrap_or(0) {
            0 => false,
            1 => photometric.is_colour(),
            other => {
                return Err(format!(
                    "{} is {other}, expected 0 or 1",
                    tag::PLANAR_CONFIGURATION
                ));
            }
        };
        let frames = match set.decimal(tag::NUMBER_OF_FRAMES)? {
            None => 1,
            Some(frames) if (1.0..=f64::from(i32::MAX)).contains(&frames) && frames.fract() == 0.0 => {
                frames as u32
            }
            Some(_) => return Err(format!("{} is not a number of frames", tag::NUMBER_OF_FRAMES)),
        };
        Ok(Self {
            rows,
            columns,
            frames,
            photometric,
            planar,
            bits_allocated,
            bits_stored,
            shift: high_bit + 1 - bits_stored,
            signed,
        })
    }

    /// Pixels of a frame.
    pub fn pixels(&self) -> usize {
        usize::from(self.rows) * usize::from(self.columns)
    }

    /// Samples of a frame once every pixel has its own.
    pub fn samples(&self) -> usize {
        self.pixels() * usize::from(self.photometric.samples())
    }

    /// Bytes of a sample.
    pub fn sample_bytes(&self) -> usize {
        usize::from(self.bits_allocated / 8)
    }

    /// The value in a sample's bits: unused bits (overlays once lay there) are dropped, the sign is extended.
    pub fn value(&self, raw: u16) -> i32 {
        let value = (u32::from(raw) >> self.shift) & ((1 << self.bits_stored) - 1);
        if self.signed {
            let unused = 32 - u32::from(self.bits_stored);
            ((value << unused) as i32) >> unused
        } else {
            value as i32
        }
    }

    /// The largest value of an unsigned sample.
    pub fn max(&self) -> i32 {
        (1 << self.bits_stored) - 1
    }

    /// How the pixels are stored, in a word such as `gray12`.
    pub fn mode(&self) -> String {
        let kind = match self.photometric {
            Photometric::Monochrome1 | Photometric::Monochrome2 => "gray",
            Photometric::Palette => "palette",
            Photometric::Rgb => "rgb",
            Photometric::YbrFull | Photometric::YbrFull422 | Photometric::YbrJpeg2000 => "ybr",
        };
        format!("{kind}{}", self.bits_stored)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Gray pixels of 16 bits.
    pub fn gray(rows: u16, columns: u16) -> ImagePixel {
        ImagePixel {
            rows,
            columns,
            frames: 1,
            photometric: Photometric::Monochrome2,
            planar: false,
            bits_allocated: 16,
            bits_stored: 16,
            shift: 0,
            signed: false,
        }
    }

    #[test]
    fn values_lie_in_their_bits() {
        let twelve = ImagePixel {
            bits_stored: 12,
            ..gray(1, 1)
        };
        assert_eq!(twelve.value(0xf801), 0x801);
        assert_eq!(
            ImagePixel {
                signed: true,
                ..twelve
            }
            .value(0xf801),
            0x801 - 0x1000
        );
        assert_eq!(ImagePixel { shift: 4, ..twelve }.value(0xf801), 0xf80);
        assert_eq!(
            ImagePixel {
                signed: true,
                ..gray(1, 1)
            }
            .value(0xffff),
            -1
        );
        assert_eq!((twelve.max(), gray(1, 1).value(0xffff)), (4095, 65535));
    }
}
