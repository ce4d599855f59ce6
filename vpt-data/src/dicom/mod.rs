//! DICOM files: pictures of medicine, as scanners and archives write them.
//!
//! Only the attributes that make up the picture are read, each named in `tag`. Everything else, the patient's name
//! first, is skipped over by its length: it is in no message and in nothing that is returned.
//!
//! The road of a frame: its bytes → stored values (`native`, `rle`, `jpeg`, `jpeg2000`) → brightness (`grayscale`:
//! rescaling, then the window of interest) or colours (`colour`) → 8-bit RGB.

mod colour;
mod data_set;
mod frames;
mod grayscale;
mod image_pixel;
mod jpeg;
mod jpeg2000;
mod jpeg_extended;
mod lookup_table;
mod native;
mod rle;
mod tag;
mod transfer_syntax;

use crate::DataError;
use crate::decode::{MAX_DECODER_BYTES, MAX_FILE_BYTES, check_size};
use data_set::DataSet;
use grayscale::Grayscale;
use image::RgbImage;
use image_pixel::{ImagePixel, Photometric};
use miniz_oxide::inflate::decompress_to_vec_with_limit;
use std::borrow::Cow;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use transfer_syntax::{Codec, Encoding, TransferSyntax};

/// Where the letters `DICM` stand.
const PREAMBLE: usize = 128;

/// A DICOM file whose header was read and found acceptable.
pub struct DicomImage<'a> {
    name: String,
    /// The data set, without preamble and meta information, and inflated.
    data_set: Cow<'a, [u8]>,
    syntax: TransferSyntax,
    pixel: ImagePixel,
}

/// A frame's values before they become 8-bit RGB.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredValues {
    /// Pixels down.
    pub rows: usize,
    /// Pixels across.
    pub columns: usize,
    /// Values per pixel: 1, or 3 of a colour.
    pub samples: usize,
    /// The values, `[rows, columns, samples]`.
    pub values: Vec<i32>,
}

/// Whether a file is to be read as DICOM: it says so, or is called so and is no other image.
pub(crate) fn is_dicom(name: &str, bytes: &[u8]) -> bool {
    let is_called_so = || {
        let extension = Path::new(name).extension().unwrap_or_default();
        extension.eq_ignore_ascii_case("dcm") || extension.eq_ignore_ascii_case("dicom")
    };
    has_magic(bytes) || (!bytes.is_empty() && is_called_so() && image::guess_format(bytes).is_err())
}

fn has_magic(bytes: &[u8]) -> bool {
    bytes.get(PREAMBLE..PREAMBLE + 4) == Some(b"DICM")
}

impl<'a> DicomImage<'a> {
    /// Reads the header of a DICOM file held in memory; `name` is for messages.
    ///
    /// Transfer syntaxes: implicit and explicit little endian, explicit big endian, deflated, RLE, JPEG (baseline,
    /// extended with 8 bits or gray with 12, lossless) and JPEG 2000. Errors name the attribute that is to blame and
    /// never repeat a text of the file.
    pub fn open(name: &str, bytes: &'a [u8]) -> Result<Self, DataError> {
        let opened = contained(name, || {
            let (syntax, data_set) = data_set(bytes)?;
            let pixel = ImagePixel::read(&DataSet::parse(&data_set, syntax.encoding)?)?;
            Ok((syntax, data_set, pixel))
        });
        let (syntax, data_set, pixel) = opened?;
        check_size(name, u32::from(pixel.columns), u32::from(pixel.rows))?;
        let image = Self {
            name: name.into(),
            data_set,
            syntax,
            pixel,
        };
        contained(name, || image.check_pixels())?;
        Ok(image)
    }

    /// Pixels across.
    pub fn width(&self) -> u32 {
        u32::from(self.pixel.columns)
    }

    /// Pixels down.
    pub fn height(&self) -> u32 {
        u32::from(self.pixel.rows)
    }

    /// How many frames the file claims to have; of uncompressed ones all are there.
    pub fn frames(&self) -> usize {
        self.pixel.frames as usize
    }

    /// How the file stores its pixels: `gray`, `palette`, `rgb` or `ybr`, and the bits of a sample, as in `gray12`.
    pub fn mode(&self) -> String {
        self.pixel.mode()
    }

    /// The values of a frame, counted from 0, as they are stored: no rescaling, window or inversion. Indices into a
    /// palette stay indices, colours of any kind become red, green and blue.
    pub fn stored_values(&self, frame: usize) -> Result<StoredValues, DataError> {
        let values = contained(&self.name, || self.samples(&self.parse()?, frame))?;
        Ok(StoredValues {
            rows: usize::from(self.pixel.rows),
            columns: usize::from(self.pixel.columns),
            samples: usize::from(self.pixel.photometric.samples()),
            values,
        })
    }

    /// A frame, counted from 0, in 8-bit RGB.
    ///
    /// Gray values are rescaled to what was measured (Modality LUT, or slope and intercept), then shown through the
    /// first window, else the VOI LUT, else from the smallest to the largest value of the frame. MONOCHROME1 is
    /// inverted, so that bright is always bright. Values of more bits are scaled, palettes looked up.
    pub fn frame(&self, frame: usize) -> Result<RgbImage, DataError> {
        contained(&self.name, || {
            let set = self.parse()?;
            let samples = self.samples(&set, frame)?;
            let pixels = match self.pixel.photometric {
                Photometric::Monochrome1 | Photometric::Monochrome2 => {
                    let gray = Grayscale::read(&set, &self.pixel, frame)?.apply(&samples);
                    drop(samples);
                    gray.into_iter().flat_map(|value| [value; 3]).collect()
                }
                Photometric::Palette => colour::palette(&set, &samples)?,
                _ => colour::to_bytes(&samples, &self.pixel),
            };
            RgbImage::from_raw(self.width(), self.height(), pixels)
                .ok_or_else(|| format!("{} has too few pixels", tag::PIXEL_DATA))
        })
    }

    fn parse(&self) -> Result<DataSet<'_>, String> {
        DataSet::parse(&self.data_set, self.syntax.encoding)
    }

    /// Checks what can be known without decoding pixels.
    fn check_pixels(&self) -> Result<(), String> {
        // Stored values and what decoders hold beside them, at their peak.
        let bytes_each = if self.syntax.codec == Codec::Jpeg2000 {
            16
        } else {
            8
        };
        if self.pixel.samples() as u64 * bytes_each > MAX_DECODER_BYTES {
            return Err(format!(
                "it asks for more than {} GiB of memory",
                MAX_DECODER_BYTES >> 30
            ));
        }
        let set = self.parse()?;
        let pixels = set
            .get(tag::PIXEL_DATA)
            .ok_or_else(|| format!("{} is missing", tag::PIXEL_DATA))?;
        if self.syntax.codec != Codec::Native {
            return Ok(());
        }
        if pixels.undefined_length {
            let tag = tag::PIXEL_DATA;
            return Err(format!(
                "{tag} is in fragments, but its transfer syntax is not compressed"
            ));
        }
        let (expected, there) = (
            native::frame_bytes(&self.pixel) as u64 * u64::from(self.pixel.frames),
            pixels.bytes.len() as u64,
        );
        if there < expected {
            let (tag, size) = (tag::PIXEL_DATA, size(&self.pixel));
            return Err(format!("{tag} has {there} bytes, expected {expected} for {size}"));
        }
        Ok(())
    }

    fn samples(&self, set: &DataSet<'_>, frame: usize) -> Result<Vec<i32>, String> {
        let (pixel, frames) = (&self.pixel, self.frames());
        if frame >= frames {
            return Err(format!(
                "it has no frame {frame}, counted from 0; it has {frames} of them"
            ));
        }
        let pixels = set
            .get(tag::PIXEL_DATA)
            .ok_or_else(|| format!("{} is missing", tag::PIXEL_DATA))?;
        let (mut samples, of_itself) = match self.syntax.codec {
            Codec::Native => {
                let encoding = self.syntax.encoding;
                let swapped = encoding.big_endian && pixels.vr == Some(*b"OW");
                (
                    native::decode(pixels.bytes, frame, pixel, encoding, swapped)?,
                    None,
                )
            }
            codec => {
                let bytes = frames::frame(set, pixels, frame, frames)?;
                match codec {
                    Codec::Jpeg => jpeg::decode(&bytes, pixel)?,
                    Codec::Jpeg2000 => jpeg2000::decode(&bytes, pixel)?,
                    Codec::Rle | Codec::Native => (rle::decode(&bytes, pixel)?, None),
                }
            }
        };
        let colours = of_itself.filter(|_| pixel.photometric.is_colour());
        if matches!(
            colours.unwrap_or(pixel.photometric),
            Photometric::YbrFull | Photometric::YbrFull422
        ) {
            colour::ybr_to_rgb(&mut samples, pixel);
        }
        Ok(samples)
    }
}

/// Shape only: a file's bytes hold names.
impl fmt::Debug for DicomImage<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DicomImage")
            .field("name", &self.name)
            .field("syntax", &self.syntax)
            .field("pixel", &self.pixel)
            .finish_non_exhaustive()
    }
}

/// Finds the data set and how it is written.
fn data_set(bytes: &[u8]) -> Result<(TransferSyntax, Cow<'_, [u8]>), String> {
    let start = if has_magic(bytes) { PREAMBLE + 4 } else { 0 };
    let rest = &bytes[start..];
    // Files from before 1993, and what some programs cut out of messages, start right with the data set.
    if start == 0 && rest.starts_with(&[8, 0]) {
        let is_explicit = rest
            .get(4..6)
            .is_some_and(|vr| vr.iter().all(u8::is_ascii_uppercase));
        let encoding = if is_explicit {
            Encoding::EXPLICIT
        } else {
            Encoding::IMPLICIT
        };
        let syntax = TransferSyntax {
            encoding,
            deflated: false,
            codec: Codec::Native,
        };
        return Ok((syntax, Cow::Borrowed(rest)));
    }
    if start == 0 && !rest.starts_with(&[2, 0]) {
        return Err("no DICOM file: the letters DICM at byte 128 are missing".into());
    }
    let (meta, rest) = DataSet::parse_meta(rest)?;
    let tag = tag::TRANSFER_SYNTAX_UID;
    let uid = meta.get(tag).ok_or_else(|| format!("{tag} is missing"))?;
    let uid = String::from_utf8_lossy(uid.bytes);
    let syntax = TransferSyntax::find(uid.trim_matches([' ', '\0'])).map_err(|which| {
        format!("{which} is not supported; convert the file to Explicit VR Little Endian")
    })?;
    if !syntax.deflated {
        return Ok((syntax, Cow::Borrowed(rest)));
    }
    let inflated = decompress_to_vec_with_limit(rest, MAX_FILE_BYTES as usize)
        .map_err(|_| "its deflated data set is truncated, damaged or too large")?;
    Ok((syntax, Cow::Owned(inflated)))
}

/// The attributes that say how many bytes pixels take, for a message.
fn size(pixel: &ImagePixel) -> String {
    let parts = [
        (tag::ROWS, u32::from(pixel.rows)),
        (tag::COLUMNS, u32::from(pixel.columns)),
        (tag::SAMPLES_PER_PIXEL, u32::from(pixel.photometric.samples())),
        (tag::BITS_ALLOCATED, u32::from(pixel.bits_allocated)),
        (tag::NUMBER_OF_FRAMES, pixel.frames),
    ];
    parts.map(|(tag, value)| format!("{tag} {value}")).join(", ")
}

/// Names the file in errors. Should a decoder panic, the file is bad; its message stays out, as it may quote anything.
fn contained<T>(name: &str, decode: impl FnOnce() -> Result<T, String>) -> Result<T, DataError> {
    catch_unwind(AssertUnwindSafe(decode))
        .unwrap_or_else(|_| Err("the decoder failed".into()))
        .map_err(|reason| DataError::BadImage {
            path: name.into(),
            reason,
        })
}
