//! Random resized crop (Inception-style), as torchvision's `RandomResizedCrop`.

use super::uniform;
use crate::Preprocess;
use crate::resize::{Region, resize_region};
use image::RgbImage;
use rand::RngExt;
use rand_pcg::Pcg64;

/// How often torchvision tries before it takes the centre.
const TRIES: usize = 10;

/// A random part of the picture, resized to the input.
///
/// As torchvision, except that for an input that is not square the aspect ratio counts relative to the input's.
pub(super) fn random_resized_crop(
    image: &RgbImage,
    preprocess: &Preprocess,
    scale: [f64; 2],
    ratio: [f64; 2],
    rng: &mut Pcg64,
) -> RgbImage {
    let [height, width] = preprocess.input_size;
    let ratio = ratio.map(|ratio| ratio * width as f64 / height as f64);
    let region = random_region(image.dimensions(), scale, ratio, rng);
    resize_region(
        image,
        region,
        width as u32,
        height as u32,
        preprocess.interpolation,
    )
}

/// `RandomResizedCrop.get_params` of torchvision.
fn random_region((width, height): (u32, u32), scale: [f64; 2], ratio: [f64; 2], rng: &mut Pcg64) -> Region {
    let area = f64::from(width) * f64::from(height);
    for _ in 0..TRIES {
        let target = area * uniform(rng, scale);
        let aspect = uniform(rng, ratio.map(f64::ln)).exp();
        let w = (target * aspect).sqrt().round_ties_even() as u32;
        let h = (target / aspect).sqrt().round_ties_even() as u32;
        if (1..=width).contains(&w) && (1..=height).contains(&h) {
            let top = rng.random_range(0..=height - h);
            let left = rng.random_range(0..=width - w);
            return Region {
                left,
                top,
                width: w,
                height: h,
            };
        }
    }
    central_region((width, height), ratio)
}

/// The largest central region whose aspect ratio is within bounds.
fn central_region((width, height): (u32, u32), [flattest, steepest]: [f64; 2]) -> Region {
    let aspect = f64::from(width) / f64::from(height);
    let (w, h) = match aspect {
        aspect if aspect < flattest => (width, (f64::from(width) / flattest).round_ties_even() as u32),
        aspect if aspect > steepest => ((f64::from(height) * steepest).round_ties_even() as u32, height),
        _ => (width, height),
    };
    let (w, h) = (w.clamp(1, width.max(1)), h.clamp(1, height.max(1)));
    Region {
        left: (width - w.min(width)) / 2,
        top: (height - h.min(height)) / 2,
        width: w,
        height: h,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::rng;

    #[test]
    fn regions_keep_to_scale_and_ratio() {
        let mut rng = rng(1, &[]);
        let (mut least, mut most) = (f64::MAX, 0.0_f64);
        for _ in 0..2000 {
            let region = random_region((200, 150), [0.3, 0.8], [0.75, 1.3], &mut rng);
            assert!(region.left + region.width <= 200 && region.top + region.height <= 150);
            let share = f64::from(region.width * region.height) / 30000.0;
            let aspect = f64::from(region.width) / f64::from(region.height);
            assert!(
                (0.29..0.81).contains(&share) && (0.73..1.33).contains(&aspect),
                "{region:?}"
            );
            (least, most) = (least.min(share), most.max(share));
        }
        assert!(least < 0.33 && most > 0.77, "{least} {most}");
    }

    #[test]
    fn an_impossible_ratio_falls_back_to_the_centre() {
        let wide = random_region((400, 10), [1.0, 1.0], [0.75, 4.0 / 3.0], &mut rng(1, &[]));
        assert_eq!(
            wide,
            Region {
                left: 193,
                top: 0,
                width: 13,
                height: 10
            }
        );
        let tall = random_region((10, 400), [1.0, 1.0], [0.75, 4.0 / 3.0], &mut rng(1, &[]));
        assert_eq!(
            tall,
            Region {
                left: 0,
                top: 193,
                width: 10,
                height: 13
            }
        );
        let dot = random_region((1, 1), [0.1, 0.2], [0.75, 1.3], &mut rng(1, &[]));
        assert_eq!((dot.width, dot.height), (1, 1));
    }
}
