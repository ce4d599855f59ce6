//! Random changes to training pictures that take boxes and masks along.
//!
//! A change of geometry is a [`Letterbox`] chosen at random, so that picture, boxes and mask cannot disagree.

use super::{chance, colour, uniform};
use crate::{DataError, Fit, Letterbox, Object, PixelBox, Preprocess, Sample};
use image::RgbImage;
use rand::RngExt;
use rand_pcg::Pcg64;
use serde::{Deserialize, Serialize};

/// Which share of a box must stay visible for it to be learnt from.
const VISIBLE: f64 = 0.25;

/// What is changed at random in training pictures with boxes or masks, and how much.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DenseAugment {
    /// Probability of a mirror image.
    pub hflip: f64,
    /// Probability of turning the picture upside down.
    pub vflip: f64,
    /// Size of the picture relative to that of evaluation, smallest and largest (scale jitter). A smaller one is put at a random
    /// place, of a larger one a random part is seen. `[1, 1]` switches both off.
    pub scale: [f64; 2],
    /// Strength of the change in brightness, contrast and saturation: each is multiplied by 1 - s to 1 + s.
    pub color_jitter: f64,
    /// Largest turn of the hue to either side as a part of the colour circle, 0 to 0.5.
    pub hue: f64,
}

impl Default for DenseAugment {
    /// Mirror images, two thirds to one and a half times the size, a little light.
    fn default() -> Self {
        Self {
            hflip: 0.5,
            scale: [2.0 / 3.0, 1.5],
            color_jitter: 0.1,
            ..Self::none()
        }
    }
}

impl DenseAugment {
    /// No change at all.
    pub fn none() -> Self {
        Self {
            hflip: 0.0,
            vflip: 0.0,
            scale: [1.0, 1.0],
            color_jitter: 0.0,
            hue: 0.0,
        }
    }

    /// Whether nothing is ever changed.
    pub fn is_none(&self) -> bool {
        let chances = [self.hflip, self.vflip, self.color_jitter, self.hue];
        self.scale == [1.0, 1.0] && chances.iter().all(|&chance| chance <= 0.0)
    }

    /// Refuses values outside their ranges.
    pub fn validate(&self) -> Result<(), DataError> {
        let [smallest, largest] = self.scale;
        let share = |value: f64| (0.0..=1.0).contains(&value);
        let rules = [
            (
                "hflip",
                share(self.hflip),
                self.hflip.to_string(),
                "a probability, 0 to 1",
            ),
            (
                "vflip",
                share(self.vflip),
                self.vflip.to_string(),
                "a probability, 0 to 1",
            ),
            (
                "scale",
                (0.05..=largest).contains(&smallest) && largest <= 20.0,
                format!("{:?}", self.scale),
                "two factors from 0.05 to 20, the smaller first",
            ),
            (
                "color_jitter",
                share(self.color_jitter),
                self.color_jitter.to_string(),
                "a strength, 0 to 1",
            ),
            (
                "hue",
                (0.0..=0.5).contains(&self.hue),
                self.hue.to_string(),
                "a part of the colour circle, 0 to 0.5",
            ),
        ];
        match rules.into_iter().find(|(_, holds, ..)| !holds) {
            None => Ok(()),
            Some((name, _, value, expected)) => Err(DataError::InvalidValue {
                name,
                value,
                expected,
            }),
        }
    }

    /// Where a picture of width and height `original` goes in the input of height and width `input`, chosen at random.
    pub fn letterbox(&self, original: [u32; 2], input: [usize; 2], fit: Fit, rng: &mut Pcg64) -> Letterbox {
        let mut letterbox = Letterbox::new(original, input, fit);
        if self.scale != [1.0, 1.0] {
            // As often twice as large as half as large.
            let scale = uniform(rng, self.scale.map(f64::ln)).exp();
            letterbox = Letterbox::scaled(original, input, fit, scale);
            let offset = letterbox
                .room()
                .map(|room| rng.random_range(room.min(0)..=room.max(0)));
            letterbox = letterbox.at(offset);
        }
        letterbox.flipped([chance(rng, self.hflip), chance(rng, self.vflip)])
    }

    /// A randomly changed picture, normalised, `[3, height, width]` of [`Preprocess::input_size`], and where everything went.
    ///
    /// The result depends on the arguments alone; with [`DenseAugment::none`] it is [`Letterbox::apply`] of [`Letterbox::new`].
    pub fn apply(
        &self,
        image: &RgbImage,
        preprocess: &Preprocess,
        fit: Fit,
        rng: &mut Pcg64,
    ) -> (Vec<f32>, Letterbox) {
        let letterbox = self.letterbox(image.dimensions().into(), preprocess.input_size, fit, rng);
        let picture = letterbox.picture_with(image, preprocess, |visible| {
            match self.color_jitter > 0.0 || self.hue > 0.0 {
                true => colour::jitter(visible, self.color_jitter, self.hue, rng),
                false => visible,
            }
        });
        (preprocess.normalise(&picture), letterbox)
    }
}

/// An object in the input of a backbone.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct InputBox {
    /// Its class.
    pub class: usize,
    /// What it fills, in pixels of the input, within it.
    pub bbox: PixelBox,
    /// Whether it is a crowd, to be learnt neither as object nor as background.
    pub crowd: bool,
    /// Whether it is too hard to be asked for.
    pub difficult: bool,
    /// Its place among the objects of the sample.
    pub index: usize,
}

/// What is to be found in a picture, in pixels of the input.
#[derive(Clone, Debug, PartialEq)]
pub enum DenseTarget {
    /// Objects, perhaps none.
    Boxes(Vec<InputBox>),
    /// `[height, width]`: the class of each pixel, [`Mask::IGNORED`](crate::Mask::IGNORED) where there is none.
    Mask(Vec<u8>),
}

impl DenseTarget {
    /// What is to be found of a sample that lies so in the input.
    ///
    /// Boxes are cut to the input, and left out where less than a quarter of them is left; crowds stay as long as anything is.
    ///
    /// # Errors
    /// The mask cannot be read. A sample without boxes and mask has no objects.
    pub fn of(sample: &Sample, letterbox: &Letterbox) -> Result<Self, DataError> {
        if let Some(mask) = sample.label.mask() {
            return Ok(Self::Mask(letterbox.mask_to_input(&mask.read()?)));
        }
        let objects = sample.label.objects().unwrap_or_default().iter().enumerate();
        Ok(Self::Boxes(
            objects
                .filter_map(|(index, object)| visible(index, object, letterbox))
                .collect(),
        ))
    }

    /// The boxes, where that is what is to be found.
    pub fn boxes(&self) -> Option<&[InputBox]> {
        match self {
            Self::Boxes(boxes) => Some(boxes),
            Self::Mask(_) => None,
        }
    }

    /// The classes of the pixels, where that is what is to be found.
    pub fn mask(&self) -> Option<&[u8]> {
        match self {
            Self::Mask(mask) => Some(mask),
            Self::Boxes(_) => None,
        }
    }
}

/// An object in the input, if enough of it is seen.
fn visible(index: usize, object: &Object, letterbox: &Letterbox) -> Option<InputBox> {
    let whole = letterbox.to_input(&object.bbox);
    let bbox = whole.clip(letterbox.input()).filter(|bbox| bbox.area() > 0.0)?;
    (object.crowd || bbox.area() >= VISIBLE * whole.area()).then_some(InputBox {
        class: object.class,
        bbox,
        crowd: object.crowd,
        difficult: object.difficult,
        index,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::rng;
    use crate::{Label, Objects};
    use image::Rgb;

    fn sample(edges: &[[f64; 4]]) -> Sample {
        let objects = edges
            .iter()
            .map(|&edges| Object::new(0, edges.try_into().unwrap()));
        Sample {
            label: Label::Objects(Objects::new(objects.collect())),
            ..Sample::default()
        }
    }

    /// Black with red where the box is.
    fn picture([x0, y0, x1, y1]: [u32; 4]) -> RgbImage {
        RgbImage::from_fn(90, 60, |x, y| {
            let inside = (x0..x1).contains(&x) && (y0..y1).contains(&y);
            Rgb([if inside { 255 } else { 0 }, 0, 0])
        })
    }

    #[test]
    fn boxes_stay_on_their_objects() {
        let preprocess = Preprocess {
            mean: [0.0; 3],
            std: [1.0; 3],
            interpolation: crate::Interpolation::Bilinear,
            ..Preprocess::imagenet(64, 64)
        };
        let (image, sample) = (picture([30, 20, 60, 45]), sample(&[[30.0, 20.0, 60.0, 45.0]]));
        let augment = DenseAugment {
            vflip: 0.5,
            color_jitter: 0.0,
            ..DenseAugment::default()
        };
        let (mut seen, mut places) = (0, std::collections::BTreeSet::new());
        for seed in 0..60 {
            let (pixels, letterbox) = augment.apply(&image, &preprocess, Fit::Letterbox, &mut rng(seed, &[]));
            assert_eq!(pixels.len(), 3 * 64 * 64);
            let target = DenseTarget::of(&sample, &letterbox).unwrap();
            for found in target.boxes().unwrap() {
                seen += 1;
                let [x0, y0, x1, y1] = found.bbox.edges();
                places.insert((x0 as i64, y0 as i64));
                for (at, &red) in pixels[..64 * 64].iter().enumerate() {
                    let [x, y] = [at % 64, at / 64].map(|at| at as f64 + 0.5);
                    // One pixel of blur on either side.
                    let within = |by: f64| (x0 + by..x1 - by).contains(&x) && (y0 + by..y1 - by).contains(&y);
                    assert!(red > 0.5 || !within(1.0), "{at} of {found:?}");
                    assert!(red < 0.5 || within(-1.0), "{at} of {found:?}");
                }
            }
        }
        assert!(seen > 50 && places.len() > 20, "{seen} at {places:?}");
    }

    #[test]
    fn what_is_hardly_seen_is_left_out() {
        let letterbox = Letterbox::new([100, 100], [100, 100], Fit::Letterbox).at([-50, 0]);
        let mut sample = sample(&[
            [0.0, 0.0, 60.0, 10.0],
            [40.0, 0.0, 60.0, 10.0],
            [0.0, 0.0, 50.0, 9.0],
        ]);
        let boxes = |sample: &Sample| match DenseTarget::of(sample, &letterbox).unwrap() {
            DenseTarget::Boxes(boxes) => boxes
                .iter()
                .map(|found| (found.index, found.bbox.edges()))
                .collect::<Vec<_>>(),
            DenseTarget::Mask(_) => vec![],
        };
        assert_eq!(boxes(&sample), [(1, [0.0, 0.0, 10.0, 10.0])]);
        let mut objects = sample.label.objects().unwrap().to_vec();
        objects[0].crowd = true;
        sample.label = Label::Objects(Objects::new(objects));
        assert_eq!(boxes(&sample).len(), 2, "a crowd stays");
    }

    #[test]
    fn nothing_is_the_letterbox() {
        let (image, preprocess) = (picture([0, 0, 9, 9]), Preprocess::imagenet(32, 32));
        for fit in [Fit::Letterbox, Fit::Stretch] {
            let (pixels, letterbox) = DenseAugment::none().apply(&image, &preprocess, fit, &mut rng(1, &[]));
            assert_eq!(letterbox, Letterbox::new([90, 60], [32, 32], fit));
            assert_eq!(pixels, letterbox.apply(&image, &preprocess));
        }
        assert!(DenseAugment::none().is_none() && !DenseAugment::default().is_none());
    }

    #[test]
    fn colours_change_but_not_around_the_picture() {
        let preprocess = Preprocess::imagenet(32, 32);
        let augment = DenseAugment {
            color_jitter: 0.9,
            ..DenseAugment::none()
        };
        let image = RgbImage::from_pixel(40, 20, Rgb([100, 150, 200]));
        let of = |seed| {
            augment
                .apply(&image, &preprocess, Fit::Letterbox, &mut rng(seed, &[]))
                .0
        };
        let (one, other) = (of(1), of(2));
        assert_eq!(one, of(1));
        assert_eq!(one[..32 * 8], other[..32 * 8], "what is padded");
        assert_ne!(one[32 * 16], other[32 * 16]);
    }

    #[test]
    fn impossible_settings_are_named() {
        assert!(DenseAugment::default().validate().is_ok());
        let wrong = DenseAugment {
            scale: [1.0, 0.5],
            ..DenseAugment::none()
        };
        assert!(
            wrong
                .validate()
                .unwrap_err()
                .to_string()
                .starts_with("scale is [1.0, 0.5]")
        );
        let wrong = DenseAugment {
            hue: f64::NAN,
            ..DenseAugment::none()
        };
        assert!(wrong.validate().is_err());
    }
}
