//! Mosaic (Bochkovskiy et al. 2020, YOLOv4): four pictures in one input, around a random centre.

use super::{AugmentConfig, chance, uniform};
use crate::{Framed, FramedObject, Framing, Mask, Places, Preprocess};
use image::RgbImage;
use rand::RngExt;
use rand_pcg::Pcg64;
use std::ops::Range;

/// Where the centre may lie, as a part of the input.
const CENTRE: [f64; 2] = [0.25, 0.75];

/// How much larger than whole a picture is in its part of the input; what sticks out is lost.
const LARGER: [f64; 2] = [1.0, 2.0];

/// Which four pictures share an input, and where.
pub(crate) struct Mosaic {
    /// Height and width of the input.
    input: [usize; 2],
    /// The row and the column at which the lower and the right pictures begin.
    centre: [usize; 2],
    /// Positions of the samples: left upper, right upper, left lower, right lower. The first is the one that was asked for.
    pub samples: [usize; 4],
}

impl Mosaic {
    /// By chance ([`AugmentConfig::mosaic`]) a mosaic of the picture `first` with three others of as many as there are; nothing is drawn
    /// where there are never any. An input of one pixel has none.
    pub fn draw(
        augment: &AugmentConfig,
        input: [usize; 2],
        first: usize,
        samples: usize,
        rng: &mut Pcg64,
    ) -> Option<Self> {
        if !chance(rng, augment.mosaic) || samples == 0 || input.iter().any(|&edge| edge < 2) {
            return None;
        }
        let centre = input.map(|edge| {
            let place = uniform(rng, CENTRE) * edge as f64;
            (place.round() as usize).clamp(1, edge - 1)
        });
        let mut other = || rng.random_range(0..samples);
        Some(Self {
            input,
            centre,
            samples: [first, other(), other(), other()],
        })
    }

    /// Rows and columns of each picture.
    fn windows(&self) -> [[Range<usize>; 2]; 4] {
        let [height, width] = self.input;
        let [row, column] = self.centre;
        [
            [0..row, 0..column],
            [0..row, column..width],
            [row..height, 0..column],
            [row..height, column..width],
        ]
    }

    /// Height and width of the part of each picture.
    pub fn sizes(&self) -> [[usize; 2]; 4] {
        self.windows().map(|window| window.map(|edge| edge.len()))
    }

    /// A picture in a part of that height and width, changed as a picture of its own is but for its size.
    pub fn frame(
        augment: &AugmentConfig,
        image: &RgbImage,
        preprocess: &Preprocess,
        size: [usize; 2],
        rng: &mut Pcg64,
    ) -> (Vec<f32>, Framing) {
        let preprocess = Preprocess {
            input_size: size,
            ..preprocess.clone()
        };
        let larger = uniform(rng, LARGER);
        augment.frame_larger(image, &preprocess, larger, rng)
    }

    /// One input of the four: pixels (`[3, height, width]` of its part each) and what is where in them. How the picture lies in the
    /// input is said of the first only.
    pub fn join(&self, parts: &[(Vec<f32>, Framed); 4]) -> (Vec<f32>, Framed) {
        let [height, width] = self.input;
        let mut pixels = vec![0.0; 3 * height * width];
        let (mut objects, mut classes) = (vec![], vec![]);
        for (window, (picture, framed)) in self.windows().into_iter().zip(parts) {
            for (channel, plane) in pixels.chunks_exact_mut(height * width).enumerate() {
                let part = window[0].len() * window[1].len();
                self.paste(plane, &window, &picture[channel * part..][..part]);
            }
            match &framed.places {
                Places::Unknown => {}
                Places::Objects(found) => objects.extend(found.iter().map(|object| moved(object, &window))),
                Places::Mask(mask) => {
                    classes.resize(height * width, Mask::IGNORED);
                    self.paste(&mut classes, &window, mask);
                }
            }
        }
        let first = &parts[0].1;
        let places = match &first.places {
            Places::Unknown => Places::Unknown,
            Places::Objects(_) => Places::Objects(objects),
            Places::Mask(_) => Places::Mask(classes),
        };
        (
            pixels,
            Framed {
                framing: first.framing,
                places,
            },
        )
    }

    /// Copies the rows of a part into those of the input.
    fn paste<T: Copy>(&self, whole: &mut [T], [rows, columns]: &[Range<usize>; 2], part: &[T]) {
        for (row, line) in rows.clone().zip(part.chunks_exact(columns.len())) {
            whole[row * self.input[1]..][columns.clone()].copy_from_slice(line);
        }
    }
}

/// An object of a part in the input.
fn moved(object: &FramedObject, [rows, columns]: &[Range<usize>; 2]) -> FramedObject {
    let corner = [columns.start as f32, rows.start as f32];
    FramedObject {
        bbox: std::array::from_fn(|edge| object.bbox[edge] + corner[edge % 2]),
        ..*object
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::rng;

    fn always() -> AugmentConfig {
        AugmentConfig {
            mosaic: 1.0,
            ..AugmentConfig::none()
        }
    }

    #[test]
    fn four_parts_fill_the_input() {
        for seed in 0..50 {
            let input = [2 + seed as usize % 5, 9];
            let mosaic = Mosaic::draw(&always(), input, 3, 7, &mut rng(seed, &[])).unwrap();
            assert_eq!(mosaic.samples[0], 3);
            assert!(mosaic.samples.iter().all(|&sample| sample < 7));
            let parts = mosaic.sizes().map(|[height, width]| {
                assert!(height > 0 && width > 0);
                let class = (height * 16 + width) as u8;
                let framed = Framed {
                    framing: Framing::letterbox([5, 5], [height, width]),
                    places: Places::Mask(vec![class; height * width]),
                };
                (vec![f32::from(class); 3 * height * width], framed)
            });
            let (pixels, framed) = mosaic.join(&parts);
            let Places::Mask(mask) = framed.places else {
                panic!("no mask")
            };
            assert_eq!(mask.len(), input[0] * input[1]);
            for channel in pixels.chunks(mask.len()) {
                let same = channel
                    .iter()
                    .zip(&mask)
                    .all(|(&pixel, &class)| pixel == f32::from(class));
                assert!(same && !mask.contains(&0));
            }
            let [height, width] = mosaic.sizes()[0];
            assert_eq!(
                mask[0],
                (height * 16 + width) as u8,
                "the first is at the top left"
            );
        }
    }

    #[test]
    fn objects_move_with_their_part() {
        let mosaic = Mosaic {
            input: [20, 30],
            centre: [8, 12],
            samples: [0, 1, 2, 3],
        };
        let object = FramedObject {
            class: Some(1),
            bbox: [1.0, 2.0, 3.0, 5.0],
        };
        let parts = mosaic.sizes().map(|[height, width]| {
            let framed = Framed {
                framing: Framing::letterbox([5, 5], [height, width]),
                places: Places::Objects(vec![object]),
            };
            (vec![0.0; 3 * height * width], framed)
        });
        let Places::Objects(objects) = mosaic.join(&parts).1.places else {
            panic!("no objects")
        };
        let boxes: Vec<_> = objects.iter().map(|object| object.bbox).collect();
        let expected = [
            [1.0, 2.0, 3.0, 5.0],
            [13.0, 2.0, 15.0, 5.0],
            [1.0, 10.0, 3.0, 13.0],
            [13.0, 10.0, 15.0, 13.0],
        ];
        assert_eq!(boxes, expected);
    }

    #[test]
    fn without_mosaics_nothing_is_drawn() {
        let mut random = rng(1, &[]);
        assert!(Mosaic::draw(&AugmentConfig::default(), [8, 8], 0, 5, &mut random).is_none());
        assert_eq!(random, rng(1, &[]), "other changes stay as they were");
        assert!(Mosaic::draw(&always(), [1, 8], 0, 5, &mut random).is_none());
        assert!(Mosaic::draw(&always(), [8, 8], 0, 0, &mut random).is_none());
    }
}
