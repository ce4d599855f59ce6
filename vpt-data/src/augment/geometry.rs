//! Rotation, shear and translation about the centre, bilinear, with a fill colour.

use image::{Rgb, RgbImage};

/// Turns the picture counter-clockwise by `degrees`.
pub(super) fn rotate(image: &RgbImage, degrees: f64, fill: [u8; 3]) -> RgbImage {
    let (sin, cos) = degrees.to_radians().sin_cos();
    affine(image, [[cos, -sin], [sin, cos]], [0.0, 0.0], fill)
}

/// Slides rows sideways in proportion to their distance from the middle.
pub(super) fn shear_x(image: &RgbImage, factor: f64, fill: [u8; 3]) -> RgbImage {
    affine(image, [[1.0, factor], [0.0, 1.0]], [0.0, 0.0], fill)
}

/// Slides columns up and down in proportion to their distance from the middle.
pub(super) fn shear_y(image: &RgbImage, factor: f64, fill: [u8; 3]) -> RgbImage {
    affine(image, [[1.0, 0.0], [factor, 1.0]], [0.0, 0.0], fill)
}

/// Moves the picture by parts of its width and height, to the left and up where positive.
pub(super) fn translate(image: &RgbImage, [x, y]: [f64; 2], fill: [u8; 3]) -> RgbImage {
    let offset = [x * f64::from(image.width()), y * f64::from(image.height())];
    affine(image, [[1.0, 0.0], [0.0, 1.0]], offset, fill)
}

/// Each pixel of the result takes the colour at `matrix * (its place - centre) + centre + offset` of the source, or
/// `fill` where that lies outside (Pillow's `Image.transform` with `AFFINE` and `BILINEAR`).
fn affine(image: &RgbImage, matrix: [[f64; 2]; 2], offset: [f64; 2], fill: [u8; 3]) -> RgbImage {
    let (width, height) = image.dimensions();
    let centre = [f64::from(width) / 2.0, f64::from(height) / 2.0];
    RgbImage::from_fn(width, height, |x, y| {
        let [dx, dy] = [f64::from(x) + 0.5 - centre[0], f64::from(y) + 0.5 - centre[1]];
        let u = matrix[0][0] * dx + matrix[0][1] * dy + centre[0] + offset[0];
        let v = matrix[1][0] * dx + matrix[1][1] * dy + centre[1] + offset[1];
        let inside = (0.0..f64::from(width)).contains(&u) && (0.0..f64::from(height)).contains(&v);
        if inside {
            bilinear(image, u - 0.5, v - 0.5)
        } else {
            Rgb(fill)
        }
    })
}

/// The colour between pixels; neighbours beyond the border repeat it.
fn bilinear(image: &RgbImage, u: f64, v: f64) -> Rgb<u8> {
    let (left, top) = (u.floor(), v.floor());
    let (s, t) = (u - left, v - top);
    let column = |x: f64| x.clamp(0.0, f64::from(image.width() - 1)) as u32;
    let row = |y: f64| y.clamp(0.0, f64::from(image.height() - 1)) as u32;
    let [a, b] = [column(left), column(left + 1.0)].map(|x| {
        let (upper, lower) = (image.get_pixel(x, row(top)), image.get_pixel(x, row(top + 1.0)));
        std::array::from_fn::<f64, 3, _>(|c| f64::from(upper[c]) * (1.0 - t) + f64::from(lower[c]) * t)
    });
    Rgb(std::array::from_fn(|c| {
        (a[c] * (1.0 - s) + b[c] * s).round() as u8
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::imageops;

    fn picture() -> RgbImage {
        RgbImage::from_fn(9, 9, |x, y| {
            Rgb([(x * 28) as u8, (y * 28) as u8, ((x * y) % 7 * 30) as u8])
        })
    }

    #[test]
    fn quarter_turns_are_exact() {
        assert_eq!(rotate(&picture(), 0.0, [0; 3]), picture());
        assert_eq!(
            rotate(&picture(), 90.0, [0; 3]),
            imageops::rotate270(&picture()),
            "counter-clockwise"
        );
        assert_eq!(rotate(&picture(), 180.0, [0; 3]), imageops::rotate180(&picture()));
    }

    #[test]
    fn corners_are_filled() {
        let turned = rotate(&picture(), 45.0, [1, 2, 3]);
        assert_eq!(turned.get_pixel(0, 0).0, [1, 2, 3]);
        assert_eq!(turned.get_pixel(4, 4), picture().get_pixel(4, 4));
    }

    #[test]
    fn translation_moves_whole_pixels() {
        let moved = translate(&picture(), [2.0 / 9.0, 0.0], [9; 3]);
        assert_eq!(moved.get_pixel(0, 3), picture().get_pixel(2, 3));
        assert_eq!(moved.get_pixel(8, 3).0, [9; 3]);
        let moved = translate(&picture(), [0.0, -1.0 / 9.0], [9; 3]);
        assert_eq!(moved.get_pixel(3, 1), picture().get_pixel(3, 0));
    }

    #[test]
    fn shear_keeps_the_middle() {
        for sheared in [
            shear_x(&picture(), 0.25, [0; 3]),
            shear_y(&picture(), 0.25, [0; 3]),
        ] {
            assert_eq!(sheared.get_pixel(4, 4), picture().get_pixel(4, 4));
            assert_ne!(sheared, picture());
        }
        assert_eq!(
            shear_x(&picture(), 0.25, [0; 3]).get_pixel(3, 8),
            picture().get_pixel(4, 8),
            "a quarter of 4 rows"
        );
    }
}
