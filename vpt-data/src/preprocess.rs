//! From a decoded picture to what a backbone was trained on.

use crate::resize::{Region, resize_window};
use crate::{DataError, Framing, Interpolation, PixelBox};
use image::{RgbImage, imageops};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Mean of ImageNet's red, green and blue, as fractions of 255.
pub const IMAGENET_MEAN: [f32; 3] = [0.485, 0.456, 0.406];

/// Standard deviation of ImageNet's red, green and blue, as fractions of 255.
pub const IMAGENET_STD: [f32; 3] = [0.229, 0.224, 0.225];

/// The largest input edge in pixels, far above any backbone's.
const MAX_EDGE: usize = 16_384;

/// The largest picture, in inputs.
const MAX_WINDOWS: usize = 16;

/// What becomes of a picture that has another aspect ratio than the input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CropMode {
    /// Keep the aspect ratio, lose what sticks out.
    #[default]
    Center,
    /// Squeeze the picture; nothing is lost at `crop_pct` 1.
    Squash,
    /// Keep the aspect ratio and the whole picture, fill the rest with the mean colour: for boxes and masks. `crop_pct` has no say.
    Letterbox,
}

impl fmt::Display for CropMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Center => "center",
            Self::Squash => "squash",
            Self::Letterbox => "letterbox",
        })
    }
}

impl FromStr for CropMode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "center" => Ok(Self::Center),
            "squash" => Ok(Self::Squash),
            "letterbox" => Ok(Self::Letterbox),
            _ => Err(format!(
                "unknown crop mode `{text}`, expected `center`, `squash` or `letterbox`"
            )),
        }
    }
}

/// Evaluation preprocessing as timm's `transforms_imagenet_eval`: resize, crop, scale to 0..1, normalise.
///
/// It belongs to the weights (timm's `pretrained_cfg`) and travels with every task file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Preprocess {
    /// Height and width of what the backbone reads, in pixels.
    pub input_size: [usize; 2],
    /// Subtracted per channel (red, green, blue), in fractions of 255.
    pub mean: [f32; 3],
    /// Divided by per channel, in fractions of 255.
    pub std: [f32; 3],
    /// How to resize.
    #[serde(default)]
    pub interpolation: Interpolation,
    /// How much of the resized picture's shorter side the crop keeps: the picture is resized to
    /// `floor(input_size / crop_pct)`.
    pub crop_pct: f64,
    /// What becomes of another aspect ratio.
    #[serde(default)]
    pub crop_mode: CropMode,
    /// How many times larger than a letterbox the picture is seen, through overlapping windows of `input_size`
    /// ([`Framing::windows`]); 1 is the whole of it at once. For [`CropMode::Letterbox`] only.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub windows: usize,
}

fn one() -> usize {
    1
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_one(windows: &usize) -> bool {
    *windows == 1
}

impl Preprocess {
    /// The usual choice for ImageNet backbones: bicubic, 7/8 centre crop, ImageNet's mean and deviation.
    pub fn imagenet(height: usize, width: usize) -> Self {
        Self {
            input_size: [height, width],
            mean: IMAGENET_MEAN,
            std: IMAGENET_STD,
            interpolation: Interpolation::Bicubic,
            crop_pct: 0.875,
            crop_mode: CropMode::Center,
            windows: 1,
        }
    }

    /// Refuses sizes, crops and deviations that no picture could be prepared with.
    pub fn validate(&self) -> Result<(), DataError> {
        let wrong = |name, value: String, expected| {
            Err(DataError::InvalidValue {
                name,
                value,
                expected,
            })
        };
        let [height, width] = self.input_size;
        if !(1..=MAX_EDGE).contains(&height) || !(1..=MAX_EDGE).contains(&width) {
            return wrong(
                "input_size",
                format!("{height} x {width}"),
                "1 to 16384 pixels each",
            );
        }
        if !(0.01..=10.0).contains(&self.crop_pct) {
            return wrong("crop_pct", self.crop_pct.to_string(), "0.01 to 10");
        }
        if !(1..=MAX_WINDOWS).contains(&self.windows) {
            return wrong("windows", self.windows.to_string(), "1 to 16");
        }
        if self.windows > 1 && self.crop_mode != CropMode::Letterbox {
            return wrong(
                "windows",
                self.windows.to_string(),
                "1, but for the crop mode `letterbox`",
            );
        }
        if !self.mean.iter().all(|mean| mean.is_finite()) {
            return wrong("mean", format!("{:?}", self.mean), "three finite numbers");
        }
        if !self.std.iter().all(|std| std.is_finite() && *std > 0.0) {
            return wrong("std", format!("{:?}", self.std), "three positive numbers");
        }
        Ok(())
    }

    /// The 8-bit picture of `input_size`: resized, then cropped from the centre, padded with black where it is smaller.
    pub fn crop(&self, image: &RgbImage) -> RgbImage {
        if self.crop_mode == CropMode::Letterbox {
            let framing = Framing::letterbox([image.width(), image.height()], self.input_size);
            return framing.picture(image, self.interpolation, self.mean_colour());
        }
        let [height, width] = self.input_size;
        let full = self.resized([image.width(), image.height()]);
        let x = Placement::new(full[0], width as u64);
        let y = Placement::new(full[1], height as u64);
        let window = resize_window(
            image,
            Region::of(image),
            full,
            [x.skip, y.skip],
            x.keep as u32,
            y.keep as u32,
            self.interpolation,
        );
        if x.keep == width as u64 && y.keep == height as u64 {
            return window;
        }
        let mut padded = RgbImage::new(width as u32, height as u32);
        imageops::replace(&mut padded, &window, x.pad as i64, y.pad as i64);
        padded
    }

    /// The part of a picture of `original` width and height that [`Preprocess::crop`] shows: left, upper, right and lower edge in
    /// its pixels, beyond its edges where the input is padded.
    pub fn shown(&self, original: [u32; 2]) -> [f64; 4] {
        let [height, width] = self.input_size;
        if self.crop_mode == CropMode::Letterbox {
            let framing = Framing::letterbox(original, self.input_size);
            let input = PixelBox::new(0.0, 0.0, width as f64, height as f64);
            return input.map_or([0.0; 4], |input| framing.to_original(&input).edges());
        }
        let full = self.resized(original);
        let edges = |axis: usize, input: usize| {
            let place = Placement::new(full[axis], input as u64);
            let scale = f64::from(original[axis]) / full[axis] as f64;
            let first = place.skip as f64 - place.pad as f64;
            [first * scale, (first + input as f64) * scale]
        };
        let [x, y] = [edges(0, width), edges(1, height)];
        [x[0], y[0], x[1], y[1]]
    }

    /// Width and height of the whole picture after resizing, of which the crop is taken.
    fn resized(&self, original: [u32; 2]) -> [u64; 2] {
        let [width, height] = original.map(|edge| u64::from(edge.max(1)));
        let [target_height, target_width] = self
            .input_size
            .map(|edge| ((edge as f64 / self.crop_pct).floor() as u64).max(1));
        match self.crop_mode {
            CropMode::Squash | CropMode::Letterbox => [target_width, target_height],
            // torchvision's `Resize(int)`: the shorter side is exact, the longer one rounded down.
            CropMode::Center if target_width == target_height => {
                let longer =
                    |long: u64, short: u64| (target_width as f64 * long as f64 / short as f64) as u64;
                if width <= height {
                    [target_width, longer(height, width)]
                } else {
                    [longer(width, height), target_height]
                }
            }
            // timm's `ResizeKeepRatio`: the scale at which both sides are covered, each rounded half to even.
            // (timm always resizes bilinearly here, whatever the weights say; we keep to the weights.)
            CropMode::Center => {
                let ratio = (width as f64 / target_width as f64).min(height as f64 / target_height as f64);
                [width, height].map(|edge| ((edge as f64 / ratio).round_ties_even() as u64).max(1))
            }
        }
    }

    /// The colour that normalisation makes 0 of, as far as 8 bits can say it.
    pub fn mean_colour(&self) -> [u8; 3] {
        self.mean.map(|mean| (mean * 255.0).round() as u8)
    }

    /// `[3, height, width]` of an 8-bit picture: (value / 255 - mean) / std, channel by channel.
    pub fn normalise(&self, image: &RgbImage) -> Vec<f32> {
        let plane = (image.width() * image.height()) as usize;
        let mut pixels = Vec::with_capacity(plane * 3);
        for channel in 0..3 {
            let table: [f32; 256] =
                std::array::from_fn(|value| (value as f32 / 255.0 - self.mean[channel]) / self.std[channel]);
            pixels.extend(
                image
                    .as_raw()
                    .iter()
                    .skip(channel)
                    .step_by(3)
                    .map(|&value| table[usize::from(value)]),
            );
        }
        pixels
    }

    /// Each window on a picture, normalised, `[3, height, width]`, and how the picture lies in it. For [`CropMode::Letterbox`].
    pub fn views(&self, image: &RgbImage) -> Vec<(Vec<f32>, Framing)> {
        let view = |framing: Framing| {
            let seen = framing.picture(image, self.interpolation, self.mean_colour());
            (self.normalise(&seen), framing)
        };
        let original = [image.width(), image.height()];
        let windows = Framing::windows(original, self.input_size, self.windows);
        windows.into_iter().map(view).collect()
    }

    /// [`Preprocess::crop`], then [`Preprocess::normalise`].
    pub fn apply(&self, image: &RgbImage) -> Vec<f32> {
        self.normalise(&self.crop(image))
    }
}

/// Along one axis: what a centre crop keeps of the resized picture and where it lands, as torchvision's `CenterCrop`.
struct Placement {
    /// Pixels of the resized picture before the kept part.
    skip: u64,
    /// Pixels kept.
    keep: u64,
    /// Black pixels before the kept part.
    pad: u64,
}

impl Placement {
    fn new(full: u64, crop: u64) -> Self {
        if full < crop {
            return Self {
                skip: 0,
                keep: full,
                pad: (crop - full) / 2,
            };
        }
        let skip = ((full - crop) as f64 / 2.0).round_ties_even() as u64;
        Self {
            skip,
            keep: crop,
            pad: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_crop_shows_of_the_picture() {
        let centre = Preprocess {
            crop_pct: 0.5,
            ..Preprocess::imagenet(10, 10)
        };
        // 80 x 40 becomes 40 x 20, of which the middle 10 x 10 is seen.
        assert_eq!(centre.shown([80, 40]), [30.0, 10.0, 50.0, 30.0]);
        let of = |crop_mode| Preprocess {
            crop_mode,
            crop_pct: 1.0,
            ..centre.clone()
        };
        assert_eq!(of(CropMode::Squash).shown([80, 40]), [0.0, 0.0, 80.0, 40.0]);
        assert_eq!(of(CropMode::Letterbox).shown([80, 40]), [0.0, -16.0, 80.0, 64.0]);
        let padded = Preprocess {
            crop_pct: 2.0,
            ..centre.clone()
        };
        assert_eq!(padded.shown([80, 40]), [0.0, -16.0, 80.0, 64.0]);
    }

    #[test]
    fn extreme_shapes_cost_nothing() {
        let pre = Preprocess::imagenet(16, 16);
        for (width, height) in [(1, 65_535), (65_535, 1), (1, 1), (2, 3)] {
            let image = RgbImage::from_pixel(width, height, image::Rgb([7, 8, 9]));
            for crop_mode in [CropMode::Center, CropMode::Squash, CropMode::Letterbox] {
                let crop = Preprocess {
                    crop_mode,
                    ..pre.clone()
                }
                .crop(&image);
                assert_eq!(crop.dimensions(), (16, 16));
                let filled = crop_mode == CropMode::Letterbox;
                assert!(crop.pixels().all(|pixel| filled || pixel.0 == [7, 8, 9]));
            }
        }
    }

    #[test]
    fn planes_are_red_green_blue() {
        let pre = Preprocess {
            mean: [0.0; 3],
            std: [1.0, 0.5, 1.0],
            ..Preprocess::imagenet(1, 2)
        };
        let image = RgbImage::from_raw(2, 1, vec![0, 51, 102, 255, 204, 153]).unwrap();
        assert_eq!(pre.normalise(&image), [0.0, 1.0, 0.4, 1.6, 0.4, 0.6]);
    }

    #[test]
    fn impossible_settings_are_named() {
        let pre = Preprocess::imagenet(224, 224);
        assert!(pre.validate().is_ok());
        let message = |pre: Preprocess| pre.validate().unwrap_err().to_string();
        let text = message(Preprocess {
            input_size: [0, 224],
            ..pre.clone()
        });
        assert_eq!(text, "input_size is 0 x 224, expected 1 to 16384 pixels each");
        assert!(
            message(Preprocess {
                crop_pct: f64::NAN,
                ..pre.clone()
            })
            .starts_with("crop_pct is NaN")
        );
        assert!(
            message(Preprocess {
                std: [0.2, 0.0, 0.2],
                ..pre.clone()
            })
            .starts_with("std is")
        );
        assert!(
            message(Preprocess {
                mean: [f32::INFINITY; 3],
                ..pre
            })
            .starts_with("mean is")
        );
    }

    #[test]
    fn reads_what_it_writes() {
        let pre = Preprocess {
            crop_mode: CropMode::Squash,
            ..Preprocess::imagenet(14, 28)
        };
        let text = serde_json::to_string(&pre).unwrap();
        assert!(text.contains(r#""interpolation":"bicubic""#) && text.contains(r#""crop_mode":"squash""#));
        assert_eq!(serde_json::from_str::<Preprocess>(&text).unwrap(), pre);
        let short = r#"{"input_size":[14,14],"mean":[0,0,0],"std":[1,1,1],"crop_pct":1.0}"#;
        let defaults: Preprocess = serde_json::from_str(short).unwrap();
        assert_eq!(
            (defaults.interpolation, defaults.crop_mode),
            (Interpolation::Bicubic, CropMode::Center)
        );
    }
}
