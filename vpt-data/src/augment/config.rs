//! What to change, how much, and in which order.

use super::{chance, colour, crop, erasing, geometry, rand_augment, uniform};
use crate::{DataError, Preprocess};
use image::{RgbImage, imageops};
use rand_pcg::Pcg64;
use serde::{Deserialize, Serialize};

/// What is changed at random in training pictures, and how much.
///
/// The order is timm's: crop, flips, rotation, RandAugment, colour jitter, normalisation, erasing; then mixup or
/// cutmix over the batch. Names are timm's options (`--scale` and `--ratio` are `rrc_scale`, `rrc_ratio`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AugmentConfig {
    /// Area of the random resized crop as a part of the picture, smallest and largest. `[1, 1]` switches the random
    /// crop off: the picture is then cropped as for evaluation.
    pub rrc_scale: [f64; 2],
    /// Aspect ratio of the random resized crop relative to that of the input, smallest and largest.
    pub rrc_ratio: [f64; 2],
    /// Probability of a mirror image.
    pub hflip: f64,
    /// Probability of turning the picture upside down.
    pub vflip: f64,
    /// Largest rotation to either side in degrees; corners are filled with the mean colour.
    pub rotation: f64,
    /// Strength of the change in brightness, contrast and saturation: each is multiplied by 1 - s to 1 + s.
    pub color_jitter: f64,
    /// Largest turn of the hue to either side as a part of the colour circle, 0 to 0.5.
    pub hue: f64,
    /// RandAugment (Cubuk et al. 2020): how many operations, and their magnitude, 0 to 10.
    pub rand_augment: Option<(usize, f64)>,
    /// Probability of replacing a random rectangle (Zhong et al. 2020).
    pub random_erasing: f64,
    /// What the rectangle is replaced by.
    pub erasing_fill: ErasingFill,
    /// Alpha of mixup's beta distribution (Zhang et al. 2018), 0 = off.
    pub mixup: f64,
    /// Alpha of cutmix's beta distribution (Yun et al. 2019), 0 = off. With mixup too, each batch takes one of them.
    pub cutmix: f64,
    /// Probability that a picture with boxes or a mask shares its input with three others, drawn from the same samples, around a random
    /// centre (mosaic, Bochkovskiy et al. 2020). It costs three more decodings. Without boxes or masks there is none.
    #[serde(skip_serializing_if = "never")]
    pub mosaic: f64,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn never(chance: &f64) -> bool {
    *chance == 0.0
}

/// What random erasing puts in place of a rectangle of the normalised picture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ErasingFill {
    /// Normal noise, each value its own (timm's `pixel`).
    #[default]
    Pixel,
    /// Zero, that is the mean colour (timm's `const`).
    Const,
}

impl Default for AugmentConfig {
    /// Gentle enough for any photographs: a crop of at least 70 % of the area, mirror images, a little light.
    fn default() -> Self {
        Self {
            rrc_scale: [0.7, 1.0],
            rrc_ratio: [0.85, 1.0 / 0.85],
            hflip: 0.5,
            color_jitter: 0.1,
            ..Self::none()
        }
    }
}

impl AugmentConfig {
    /// No change at all: pictures come out as [`Preprocess::apply`] makes them.
    pub fn none() -> Self {
        Self {
            rrc_scale: [1.0, 1.0],
            rrc_ratio: [3.0 / 4.0, 4.0 / 3.0],
            hflip: 0.0,
            vflip: 0.0,
            rotation: 0.0,
            color_jitter: 0.0,
            hue: 0.0,
            rand_augment: None,
            random_erasing: 0.0,
            erasing_fill: ErasingFill::Pixel,
            mixup: 0.0,
            cutmix: 0.0,
            mosaic: 0.0,
        }
    }

    /// Whether nothing is ever changed.
    pub fn is_none(&self) -> bool {
        self.keeps_pictures() && self.mixup <= 0.0 && self.cutmix <= 0.0
    }

    /// Whether single pictures stay as they are (batches may still be mixed).
    pub(crate) fn keeps_pictures(&self) -> bool {
        let chances = [
            self.hflip,
            self.vflip,
            self.rotation,
            self.color_jitter,
            self.hue,
            self.random_erasing,
            self.mosaic,
        ];
        !self.crops()
            && chances.iter().all(|&chance| chance <= 0.0)
            && self.rand_augment.is_none_or(|(n, _)| n == 0)
    }

    pub(super) fn crops(&self) -> bool {
        self.rrc_scale != [1.0, 1.0]
    }

    /// Refuses values outside their ranges.
    pub fn validate(&self) -> Result<(), DataError> {
        let [smallest, largest] = self.rrc_scale;
        let [flattest, steepest] = self.rrc_ratio;
        let share = |value: f64| (0.0..=1.0).contains(&value);
        let (n, magnitude) = self.rand_augment.unwrap_or((0, 0.0));
        let rules = [
            (
                "rrc_scale",
                0.0 < smallest && smallest <= largest && largest <= 1.0,
                "two parts of 1, the smaller first",
            ),
            (
                "rrc_ratio",
                0.0 < flattest && flattest <= steepest && steepest.is_finite(),
                "two positive numbers, the smaller first",
            ),
            ("hflip", share(self.hflip), "a probability, 0 to 1"),
            ("vflip", share(self.vflip), "a probability, 0 to 1"),
            (
                "rotation",
                (0.0..=180.0).contains(&self.rotation),
                "degrees, 0 to 180",
            ),
            ("color_jitter", share(self.color_jitter), "a strength, 0 to 1"),
            (
                "hue",
                (0.0..=0.5).contains(&self.hue),
                "a part of the colour circle, 0 to 0.5",
            ),
            (
                "rand_augment",
                n <= 100 && (0.0..=10.0).contains(&magnitude),
                "a number of operations up to 100 and a magnitude, 0 to 10",
            ),
            (
                "random_erasing",
                share(self.random_erasing),
                "a probability, 0 to 1",
            ),
            ("mixup", (0.0..=100.0).contains(&self.mixup), "an alpha, 0 to 100"),
            (
                "cutmix",
                (0.0..=100.0).contains(&self.cutmix),
                "an alpha, 0 to 100",
            ),
            ("mosaic", share(self.mosaic), "a probability, 0 to 1"),
        ];
        match rules.into_iter().find(|(_, holds, _)| !holds) {
            None => Ok(()),
            Some((name, _, expected)) => Err(DataError::InvalidValue {
                name,
                value: self.shown(name),
                expected,
            }),
        }
    }

    /// A setting as the user would write it.
    pub(super) fn shown(&self, name: &str) -> String {
        match name {
            "rrc_scale" => format!("{:?}", self.rrc_scale),
            "rrc_ratio" => format!("{:?}", self.rrc_ratio),
            "hflip" => self.hflip.to_string(),
            "vflip" => self.vflip.to_string(),
            "rotation" => self.rotation.to_string(),
            "color_jitter" => self.color_jitter.to_string(),
            "hue" => self.hue.to_string(),
            "rand_augment" => format!("{:?}", self.rand_augment),
            "random_erasing" => self.random_erasing.to_string(),
            "mixup" => self.mixup.to_string(),
            "mosaic" => self.mosaic.to_string(),
            _ => self.cutmix.to_string(),
        }
    }

    /// A randomly changed picture, normalised: `[3, height, width]` of [`Preprocess::input_size`].
    ///
    /// The result depends on the arguments alone; with [`AugmentConfig::none`] it is [`Preprocess::apply`].
    pub fn apply(&self, image: &RgbImage, preprocess: &Preprocess, rng: &mut Pcg64) -> Vec<f32> {
        let mut pixels = preprocess.normalise(&self.apply_u8(image, preprocess, rng));
        if chance(rng, self.random_erasing) {
            erasing::erase(&mut pixels, preprocess.input_size, self.erasing_fill, rng);
        }
        pixels
    }

    /// The part of [`AugmentConfig::apply`] before normalisation.
    fn apply_u8(&self, image: &RgbImage, preprocess: &Preprocess, rng: &mut Pcg64) -> RgbImage {
        let fill = preprocess.mean_colour();
        let mut picture = if self.crops() {
            crop::random_resized_crop(image, preprocess, self.rrc_scale, self.rrc_ratio, rng)
        } else {
            preprocess.crop(image)
        };
        if chance(rng, self.hflip) {
            imageops::flip_horizontal_in_place(&mut picture);
        }
        if chance(rng, self.vflip) {
            imageops::flip_vertical_in_place(&mut picture);
        }
        if self.rotation > 0.0 {
            picture = geometry::rotate(&picture, uniform(rng, [-self.rotation, self.rotation]), fill);
        }
        if let Some((n, magnitude)) = self.rand_augment {
            picture = rand_augment::rand_augment(picture, n, magnitude, fill, rng);
        }
        if self.color_jitter > 0.0 || self.hue > 0.0 {
            picture = colour::jitter(picture, self.color_jitter, self.hue, rng);
        }
        picture
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::CropMode;
    use crate::Interpolation;
    use crate::rng::rng;
    use image::Rgb;
    use proptest::prelude::*;

    fn picture(width: u32, height: u32) -> RgbImage {
        RgbImage::from_fn(width, height, |x, y| {
            Rgb([
                (x * 37 % 256) as u8,
                (y * 53 % 256) as u8,
                ((x * y + 7 * x) % 256) as u8,
            ])
        })
    }

    fn preprocess() -> Preprocess {
        Preprocess {
            crop_pct: 0.9,
            ..Preprocess::imagenet(24, 32)
        }
    }

    /// Everything on.
    fn wild() -> AugmentConfig {
        AugmentConfig {
            rrc_scale: [0.1, 1.0],
            rrc_ratio: [0.5, 2.0],
            hflip: 0.5,
            vflip: 0.5,
            rotation: 30.0,
            color_jitter: 0.4,
            hue: 0.1,
            rand_augment: Some((3, 9.0)),
            random_erasing: 0.5,
            ..AugmentConfig::none()
        }
    }

    #[test]
    fn flips_mirror_what_evaluation_sees() {
        let (image, preprocess) = (picture(50, 40), preprocess());
        let flipped = |hflip: f64, vflip: f64, image: &RgbImage| {
            let config = AugmentConfig {
                hflip,
                vflip,
                ..AugmentConfig::none()
            };
            config.apply_u8(image, &preprocess, &mut rng(1, &[]))
        };
        let plain = preprocess.crop(&image);
        assert_eq!(flipped(1.0, 0.0, &image), imageops::flip_horizontal(&plain));
        assert_eq!(flipped(0.0, 1.0, &image), imageops::flip_vertical(&plain));
        assert_eq!(flipped(1.0, 1.0, &image), imageops::rotate180(&plain));
    }

    #[test]
    fn the_default_is_gentle_but_something() {
        let config = AugmentConfig::default();
        config.validate().expect("valid");
        assert!(!config.is_none() && AugmentConfig::none().is_none());
        assert!(
            !AugmentConfig {
                mixup: 0.2,
                ..AugmentConfig::none()
            }
            .is_none()
        );
        let text = toml::to_string(&config).expect("serialises");
        assert_eq!(
            toml::from_str::<AugmentConfig>(&text).expect("reads back"),
            config
        );
        assert_eq!(toml::from_str::<AugmentConfig>("").expect("all optional"), config);
        assert!(toml::from_str::<AugmentConfig>("hflop = 1.0").is_err());
    }

    #[test]
    fn impossible_values_are_named() {
        let none = AugmentConfig::none();
        for (config, message) in [
            (
                AugmentConfig {
                    hflip: 1.5,
                    ..none.clone()
                },
                "hflip is 1.5, expected a probability, 0 to 1",
            ),
            (
                AugmentConfig {
                    mixup: f64::NAN,
                    ..none.clone()
                },
                "mixup is NaN, expected an alpha, 0 to 100",
            ),
            (
                AugmentConfig {
                    rrc_scale: [0.9, 0.2],
                    ..none.clone()
                },
                "rrc_scale is [0.9, 0.2], expected two parts of 1, the smaller first",
            ),
        ] {
            assert_eq!(config.validate().expect_err("impossible").to_string(), message);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn none_is_evaluation(width in 1..90_u32, height in 1..90_u32, squash: bool, seed: u64) {
            let crop_mode = if squash { CropMode::Squash } else { CropMode::Center };
            let preprocess = Preprocess { crop_mode, interpolation: Interpolation::Bilinear, ..preprocess() };
            let image = picture(width, height);
            let mut rng = rng(seed, &[]);
            prop_assert_eq!(AugmentConfig::none().apply(&image, &preprocess, &mut rng), preprocess.apply(&image));
        }

        #[test]
        fn any_picture_gives_finite_pixels_that_depend_on_the_seed_alone(
            width in 1..90_u32, height in 1..90_u32, seed: u64,
        ) {
            let (image, preprocess) = (picture(width, height), preprocess());
            let pixels = wild().apply(&image, &preprocess, &mut rng(seed, &[]));
            prop_assert_eq!(pixels.len(), 3 * 24 * 32);
            prop_assert!(pixels.iter().all(|value| value.is_finite()));
            prop_assert_eq!(pixels, wild().apply(&image, &preprocess, &mut rng(seed, &[])));
        }

        #[test]
        fn flipping_twice_is_nothing(seed: u64) {
            let config = AugmentConfig { hflip: 1.0, vflip: 1.0, ..AugmentConfig::none() };
            let preprocess = Preprocess { crop_pct: 1.0, ..Preprocess::imagenet(20, 20) };
            let image = picture(20, 20);
            let once = config.apply_u8(&image, &preprocess, &mut rng(seed, &[]));
            prop_assert_eq!(config.apply_u8(&once, &preprocess, &mut rng(seed, &[1])), image);
        }
    }
}
