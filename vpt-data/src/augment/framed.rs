//! Random changes to pictures whose boxes or masks must go with them.

use super::{AugmentConfig, chance, colour, uniform};
use crate::{DataError, Framing, Preprocess};
use image::RgbImage;
use rand_pcg::Pcg64;

impl AugmentConfig {
    /// A randomly changed picture, normalised, `[3, height, width]` of [`Preprocess::input_size`], and how it lies there.
    ///
    /// It is enlarged or made smaller, at its aspect ratio: [`AugmentConfig::rrc_scale`] is the smallest part of the letterbox that is shown,
    /// and, turned round, of the input that is filled; all of that [`Preprocess::windows`] times as large. Then mirrored, and its colours changed. The other settings move or mix
    /// pixels in ways that boxes cannot follow ([`AugmentConfig::check_framed`]).
    pub fn frame(&self, image: &RgbImage, preprocess: &Preprocess, rng: &mut Pcg64) -> (Vec<f32>, Framing) {
        self.frame_larger(image, preprocess, 1.0, rng)
    }

    /// The same with a picture that is `larger` times as large.
    pub(super) fn frame_larger(
        &self,
        image: &RgbImage,
        preprocess: &Preprocess,
        larger: f64,
        rng: &mut Pcg64,
    ) -> (Vec<f32>, Framing) {
        let original = [image.width(), image.height()];
        let furthest = -0.5 * self.rrc_scale[0].ln();
        let larger = larger * preprocess.windows as f64;
        let zoom = larger * uniform(rng, [-furthest, furthest]).exp();
        let place = match self.crops() || preprocess.windows > 1 {
            true => [uniform(rng, [0.0, 1.0]), uniform(rng, [0.0, 1.0])],
            false => [0.5, 0.5],
        };
        let mirrored = [chance(rng, self.hflip), chance(rng, self.vflip)];
        let framing = Framing::zoomed(original, preprocess.input_size, zoom, place).mirrored(mirrored);
        let mut picture = framing.picture(image, preprocess.interpolation, preprocess.mean_colour());
        if self.color_jitter > 0.0 || self.hue > 0.0 {
            picture = colour::jitter(picture, self.color_jitter, self.hue, rng);
        }
        (preprocess.normalise(&picture), framing)
    }

    /// Refuses what there is only for boxes and masks.
    ///
    /// # Errors
    /// [`DataError::InvalidValue`].
    pub fn check_unframed(&self) -> Result<(), DataError> {
        if self.mosaic <= 0.0 {
            return Ok(());
        }
        Err(DataError::InvalidValue {
            name: "mosaic",
            value: self.shown("mosaic"),
            expected: "nothing, for it is there for boxes and masks only",
        })
    }

    /// Refuses what boxes and masks cannot follow.
    ///
    /// # Errors
    /// [`DataError::InvalidValue`].
    pub fn check_framed(&self) -> Result<(), DataError> {
        let wanted = [
            ("rotation", self.rotation),
            ("rand_augment", self.rand_augment.map_or(0.0, |(n, _)| n as f64)),
            ("random_erasing", self.random_erasing),
            ("mixup", self.mixup),
            ("cutmix", self.cutmix),
        ];
        match wanted.into_iter().find(|(_, value)| *value > 0.0) {
            None => Ok(()),
            Some((name, _)) => Err(DataError::InvalidValue {
                name,
                value: self.shown(name),
                expected: "nothing, for boxes and masks cannot follow it",
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PixelBox;
    use crate::rng::rng;
    use image::Rgb;

    #[test]
    fn boxes_go_with_their_pictures() {
        let mut image = RgbImage::from_pixel(80, 60, Rgb([20; 3]));
        for y in 20..40 {
            for x in 10..50 {
                image[(x, y)] = Rgb([230; 3]);
            }
        }
        let object = PixelBox::new(10.0, 20.0, 50.0, 40.0).unwrap();
        let preprocess = Preprocess::imagenet(48, 48);
        let augment = AugmentConfig {
            rrc_scale: [0.4, 1.0],
            vflip: 0.5,
            ..AugmentConfig::default()
        };
        let mut seen = std::collections::BTreeSet::new();
        for seed in 0..40 {
            let (pixels, framing) = augment.frame(&image, &preprocess, &mut rng(seed, &[]));
            let again = augment.frame(&image, &preprocess, &mut rng(seed, &[]));
            assert_eq!((&pixels, framing), (&again.0, again.1));
            let inside = framing.to_input(&object);
            let [x, y] = [
                f64::midpoint(inside.x0(), inside.x1()),
                f64::midpoint(inside.y0(), inside.y1()),
            ];
            if (1.0..47.0).contains(&x) && (1.0..47.0).contains(&y) {
                assert!(pixels[y as usize * 48 + x as usize] > 0.5, "seed {seed}");
            }
            seen.insert((framing.scale()[0] * 1000.0) as u64);
        }
        assert!(seen.len() > 20, "sizes differ: {seen:?}");
    }

    #[test]
    fn what_boxes_cannot_follow_is_refused() {
        assert!(AugmentConfig::default().check_framed().is_ok());
        let mixed = AugmentConfig {
            mixup: 0.2,
            ..AugmentConfig::default()
        };
        assert!(
            mixed
                .check_framed()
                .unwrap_err()
                .to_string()
                .starts_with("mixup is 0.2")
        );
        let mosaic = AugmentConfig {
            mosaic: 0.5,
            ..AugmentConfig::default()
        };
        assert!(mosaic.check_framed().is_ok() && AugmentConfig::default().check_unframed().is_ok());
        assert_eq!(
            mosaic.check_unframed().unwrap_err().to_string(),
            "mosaic is 0.5, expected nothing, for it is there for boxes and masks only"
        );
    }
}
