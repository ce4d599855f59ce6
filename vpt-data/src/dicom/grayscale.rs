//! From stored gray values to what a viewer shows (PS3.3, C.11.1 and C.11.2): first to the values that were measured,
//! then to brightness.

use super::data_set::DataSet;
use super::image_pixel::{ImagePixel, Photometric};
use super::lookup_table::LookupTable;
use super::tag;
use std::ops::RangeInclusive;

/// How stored values become brightness.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Grayscale {
    modality: Modality,
    voi: Voi,
    /// The smallest value is white.
    is_inverted: bool,
    /// Stored values that fill up where nothing was measured.
    padding: Option<RangeInclusive<i32>>,
}

/// From stored values to measured ones.
#[derive(Clone, Debug, PartialEq)]
enum Modality {
    Rescale { slope: f64, intercept: f64 },
    Table(LookupTable),
}

/// Which measured values are of interest.
#[derive(Clone, Debug, PartialEq)]
enum Voi {
    Window {
        center: f64,
        width: f64,
        function: VoiFunction,
    },
    Table(LookupTable),
    /// From the smallest to the largest value of the frame.
    FullRange,
}

/// The curve within a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum VoiFunction {
    Linear,
    LinearExact,
    Sigmoid,
}

impl Grayscale {
    /// Reads the attributes of a frame. Those of the frame's own functional groups come first, then those that frames
    /// share, then those of the data set.
    pub fn read(set: &DataSet<'_>, pixel: &ImagePixel, frame: usize) -> Result<Self, String> {
        let own = set.item(tag::PER_FRAME_FUNCTIONAL_GROUPS, frame)?;
        let shared = set.item(tag::SHARED_FUNCTIONAL_GROUPS, 0)?;
        let groups = [own, shared];
        let mut modality = Modality::read(set, pixel)?;
        let mut voi = Voi::read(set, pixel)?;
        for group in groups.iter().rev().flatten() {
            if let Some(item) = group.item(tag::PIXEL_VALUE_TRANSFORMATION_SEQUENCE, 0)? {
                modality = Modality::read(&item, pixel)?.or(modality);
            }
            if let Some(item) = group.item(tag::FRAME_VOI_LUT_SEQUENCE, 0)? {
                voi = Voi::read(&item, pixel)?.or(voi);
            }
        }
        let padding = set.u16(tag::PIXEL_PADDING_VALUE).map(|raw| {
            let one = pixel.value(raw);
            let other = set
                .u16(tag::PIXEL_PADDING_RANGE_LIMIT)
                .map_or(one, |raw| pixel.value(raw));
            one.min(other)..=one.max(other)
        });
        Ok(Self {
            modality: modality.unwrap_or(Modality::Rescale {
                slope: 1.0,
                intercept: 0.0,
            }),
            voi: voi.unwrap_or(Voi::FullRange),
            is_inverted: pixel.photometric == Photometric::Monochrome1,
            padding,
        })
    }

    /// The brightness of each sample.
    pub fn apply(&self, samples: &[i32]) -> Vec<u8> {
        let (Some(&least), Some(&most)) = (samples.iter().min(), samples.iter().max()) else {
            return vec![];
        };
        let full = self.full_range(samples);
        // There are never more than 65536 different values.
        let table: Vec<u8> = (least..=most)
            .map(|stored| {
                let fraction = self.voi.fraction(self.modality.value(stored), full);
                let fraction = if self.is_inverted {
                    1.0 - fraction
                } else {
                    fraction
                };
                (255.0 * fraction).round() as u8
            })
            .collect();
        samples
            .iter()
            .map(|&stored| table[(stored - least) as usize])
            .collect()
    }

    /// The smallest and the largest measured value, padding left out.
    fn full_range(&self, samples: &[i32]) -> (f64, f64) {
        if self.voi != Voi::FullRange {
            return (0.0, 0.0);
        }
        let is_padding = |stored: &i32| {
            self.padding
                .as_ref()
                .is_some_and(|padding| padding.contains(stored))
        };
        samples
            .iter()
            .filter(|stored| !is_padding(stored))
            .map(|&stored| self.modality.value(stored))
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(least, most), value| {
                (least.min(value), most.max(value))
            })
    }
}

impl Modality {
    fn read(set: &DataSet<'_>, pixel: &ImagePixel) -> Result<Option<Self>, String> {
        if let Some(item) = set.item(tag::MODALITY_LUT_SEQUENCE, 0)? {
            let table = LookupTable::read(&item, tag::LUT_DESCRIPTOR, tag::LUT_DATA, pixel.signed)?;
            return Ok(Some(Self::Table(table)));
        }
        let (slope, intercept) = (
            set.decimal(tag::RESCALE_SLOPE)?,
            set.decimal(tag::RESCALE_INTERCEPT)?,
        );
        if slope.is_none() && intercept.is_none() {
            return Ok(None);
        }
        let (slope, intercept) = (slope.unwrap_or(1.0), intercept.unwrap_or(0.0));
        if slope == 0.0 {
            return Err(format!("{} is 0", tag::RESCALE_SLOPE));
        }
        Ok(Some(Self::Rescale { slope, intercept }))
    }

    fn value(&self, stored: i32) -> f64 {
        match self {
            Self::Rescale { slope, intercept } => f64::from(stored) * slope + intercept,
            Self::Table(table) => f64::from(table.get(stored)),
        }
    }
}

impl Voi {
    /// A window that shows nothing is taken for none; so are several windows for the first one.
    fn read(set: &DataSet<'_>, pixel: &ImagePixel) -> Result<Option<Self>, String> {
        let window = (set.decimal(tag::WINDOW_CENTER)?, set.decimal(tag::WINDOW_WIDTH)?);
        if let (Some(center), Some(width)) = window {
            let function = match set.text(tag::VOI_LUT_FUNCTION) {
                Some("LINEAR_EXACT") => VoiFunction::LinearExact,
                Some("SIGMOID") => VoiFunction::Sigmoid,
                _ => VoiFunction::Linear,
            };
            let is_valid = match function {
                VoiFunction::Linear => width >= 1.0,
                VoiFunction::LinearExact | VoiFunction::Sigmoid => width > 0.0,
            };
            if is_valid {
                return Ok(Some(Self::Window {
                    center,
                    width,
                    function,
                }));
            }
        }
        let Some(item) = set.item(tag::VOI_LUT_SEQUENCE, 0)? else {
            return Ok(None);
        };
        let table = LookupTable::read(&item, tag::LUT_DESCRIPTOR, tag::LUT_DATA, pixel.signed)?;
        Ok(Some(Self::Table(table)))
    }

    /// Brightness from 0 to 1.
    fn fraction(&self, value: f64, full: (f64, f64)) -> f64 {
        let fraction = match *self {
            Self::Window {
                center,
                width,
                function,
            } => match function {
                // PS3.3, C.11.2.1.2.1: half a pixel is taken off, so that a window of width 2 has two brightnesses.
                VoiFunction::Linear if width == 1.0 => f64::from(u8::from(value > center - 0.5)),
                VoiFunction::Linear => (value - (center - 0.5)) / (width - 1.0) + 0.5,
                VoiFunction::LinearExact => (value - center) / width + 0.5,
                VoiFunction::Sigmoid => 1.0 / (1.0 + (-4.0 * (value - center) / width).exp()),
            },
            Self::Table(ref table) => table.fraction(value.round() as i32),
            Self::FullRange if full.1 > full.0 => (value - full.0) / (full.1 - full.0),
            Self::FullRange => 0.0,
        };
        fraction.clamp(0.0, 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::super::lookup_table::tests::table;
    use super::*;

    fn window(center: f64, width: f64, function: VoiFunction) -> Grayscale {
        Grayscale {
            voi: Voi::Window {
                center,
                width,
                function,
            },
            ..plain()
        }
    }

    fn plain() -> Grayscale {
        Grayscale {
            modality: Modality::Rescale {
                slope: 1.0,
                intercept: 0.0,
            },
            voi: Voi::FullRange,
            is_inverted: false,
            padding: None,
        }
    }

    #[test]
    fn windows() {
        // The standard's own example: center 2048, width 4096 shows 0 as black and 4095 as white.
        let all = window(2048.0, 4096.0, VoiFunction::Linear);
        assert_eq!(
            all.apply(&[-1, 0, 2047, 2048, 4095, 4096]),
            [0, 0, 127, 128, 255, 255]
        );
        // A width of 1 is a threshold.
        assert_eq!(
            window(10.0, 1.0, VoiFunction::Linear).apply(&[9, 10, 11]),
            [0, 255, 255]
        );
        assert_eq!(
            window(0.0, 10.0, VoiFunction::LinearExact).apply(&[-5, 0, 5]),
            [0, 128, 255]
        );
        assert_eq!(
            window(0.0, 4.0, VoiFunction::Sigmoid).apply(&[-100, 0, 1, 100]),
            [0, 128, 186, 255]
        );
    }

    #[test]
    fn the_full_range_leaves_padding_out() {
        assert_eq!(plain().apply(&[-2000, 0, 50, 100]), [0, 243, 249, 255]);
        let padded = Grayscale {
            padding: Some(-2000..=-2000),
            ..plain()
        };
        assert_eq!(padded.apply(&[-2000, 0, 50, 100]), [0, 0, 128, 255]);
        assert_eq!(padded.apply(&[-2000, 7, 7]), [0, 0, 0]);
        assert_eq!(padded.apply(&[-2000]), [0]);
    }

    #[test]
    fn what_was_measured_comes_before_the_window() {
        let mut hounsfield = window(40.0, 400.0, VoiFunction::Linear);
        hounsfield.modality = Modality::Rescale {
            slope: 2.0,
            intercept: -1024.0,
        };
        // (2 v - 1024 - 39.5) / 399 + 0.5
        assert_eq!(hounsfield.apply(&[0, 432, 532, 700]), [0, 0, 128, 255]);
        hounsfield.is_inverted = true;
        assert_eq!(hounsfield.apply(&[0, 432, 532, 700]), [255, 255, 127, 0]);
    }

    #[test]
    fn tables() {
        let entries = [0, 0, 0, 128, 255, 255];
        let curve = Grayscale {
            voi: Voi::Table(table([3, 10, 16], *b"US", &entries).unwrap()),
            ..plain()
        };
        assert_eq!(curve.apply(&[0, 10, 11, 12, 99]), [0, 0, 128, 255, 255]);
        let steps = Grayscale {
            modality: Modality::Table(table([3, 10, 16], *b"US", &entries).unwrap()),
            ..plain()
        };
        assert_eq!(steps.apply(&[10, 11, 12]), [0, 128, 255]);
    }
}
