//! Boxes and masks drawn on their pictures.

use image::{Rgb, RgbImage};

use crate::FoundIn;
use crate::metrics::detection::Detection;

/// Colours of the classes, in turn (Okabe and Ito 2008, told apart by most colour-blind people).
const COLOURS: [[u8; 3]; 7] = [
    [230, 159, 0],
    [86, 180, 233],
    [0, 158, 115],
    [240, 228, 66],
    [0, 114, 178],
    [213, 94, 0],
    [204, 121, 167],
];

/// How much of a pixel is the colour of its class.
const TINT: f32 = 0.5;

/// The colour of a class.
pub fn class_colour(class: usize) -> [u8; 3] {
    COLOURS[class % COLOURS.len()]
}

/// Draws what was found: frames of boxes whose score is at least `threshold`, or a tint over each pixel that is not of the class
/// `background`.
pub fn draw(picture: &mut RgbImage, found: &FoundIn, threshold: f64, background: Option<usize>) {
    match found {
        FoundIn::Objects(objects) => {
            // The likeliest last, so that nothing covers it.
            for object in objects.iter().rev().filter(|object| object.score >= threshold) {
                draw_box(picture, object);
            }
        }
        FoundIn::Mask(classes, size) if *size == [picture.width(), picture.height()] => {
            for (pixel, &class) in picture.pixels_mut().zip(classes) {
                let class = usize::from(class);
                if class != 255 && Some(class) != background {
                    let colour = class_colour(class);
                    pixel.0 = std::array::from_fn(|channel| {
                        let [old, new] = [pixel.0[channel], colour[channel]].map(f32::from);
                        (old + (new - old) * TINT).round() as u8
                    });
                }
            }
        }
        FoundIn::Mask(..) => {}
    }
}

fn draw_box(picture: &mut RgbImage, object: &Detection) {
    let (width, height) = picture.dimensions();
    let thick = i64::from(width.max(height) / 250 + 1);
    let colour = Rgb(class_colour(object.class));
    let [x0, y0, x1, y1] = object.bbox.map(|edge| edge.round() as i64);
    let mut fill = |columns: [i64; 2], rows: [i64; 2]| {
        for y in rows[0].max(0)..rows[1].min(i64::from(height)) {
            for x in columns[0].max(0)..columns[1].min(i64::from(width)) {
                picture.put_pixel(x as u32, y as u32, colour);
            }
        }
    };
    fill([x0, x1], [y0, y0 + thick]);
    fill([x0, x1], [y1 - thick, y1]);
    fill([x0, x0 + thick], [y0, y1]);
    fill([x1 - thick, x1], [y0, y1]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_and_tints_are_where_they_belong() {
        let object = |score, bbox| Detection {
            image: 0,
            class: 1,
            score,
            bbox,
        };
        let found = FoundIn::Objects(vec![
            object(0.9, [2.0, 3.0, 8.0, 9.0]),
            object(0.1, [0.0, 0.0, 30.0, 30.0]),
        ]);
        let mut picture = RgbImage::new(20, 12);
        draw(&mut picture, &found, 0.5, None);
        let painted = picture
            .pixels()
            .filter(|pixel| pixel.0 == class_colour(1))
            .count();
        assert_eq!(painted, 2 * 6 + 2 * 4);
        assert_eq!(picture[(5, 5)], Rgb([0; 3]));
        // Beyond the edge nothing happens.
        draw(&mut picture, &found, 0.0, None);

        let mut picture = RgbImage::new(2, 1);
        draw(&mut picture, &FoundIn::Mask(vec![0, 2], [2, 1]), 0.0, Some(0));
        assert_eq!(picture[(0, 0)], Rgb([0; 3]));
        assert_eq!(picture[(1, 0)], Rgb([0, 79, 58]));
    }
}
