//! A small float raster and its anti-aliased masks.

use image::{Rgb, RgbImage};

/// A place on the canvas: x to the right, y down, in pixels; pixel (i, j) covers the unit square around (i + 0.5, j + 0.5).
pub(crate) type Point = [f32; 2];

/// Red, green and blue in 0..1, gamma-encoded as in a picture file.
pub(crate) type Colour = [f32; 3];

/// Euclidean distance of two points.
pub(crate) fn distance(a: Point, b: Point) -> f32 {
    (a[0] - b[0]).hypot(a[1] - b[1])
}

/// `a` at `t` = 0, `b` at `t` = 1.
pub(crate) fn mix(a: Colour, b: Colour, t: f32) -> Colour {
    std::array::from_fn(|i| a[i] + (b[i] - a[i]) * t)
}

/// Coverage of a shape from the signed distance to its border (negative inside): 1 inside, 0 outside,
/// a smooth ramp `softness` wide between. A softness of 1 pixel is plain anti-aliasing.
pub(crate) fn edge(signed_distance: f32, softness: f32) -> f32 {
    let t = (0.5 - signed_distance / softness).clamp(0.0, 1.0);
    t * t * (3.0 - 2.0 * t)
}

/// How much of each pixel a shape covers, 0..1. Shapes drawn into one mask merge without seams.
pub(crate) struct Mask {
    width: usize,
    height: usize,
    coverage: Vec<f32>,
}

impl Mask {
    /// An empty mask of `width` x `height` pixels.
    pub(crate) fn new(width: usize, height: usize) -> Self {
        Self {
            width,
            height,
            coverage: vec![0.0; width * height],
        }
    }

    /// Adds the shape whose coverage at a point is `coverage(point)`, which is zero farther than `reach` from `centre`.
    pub(crate) fn stamp(&mut self, centre: Point, reach: f32, coverage: impl Fn(Point) -> f32) {
        let span = |middle: f32, limit: usize| {
            let first = (middle - reach).floor().max(0.0) as usize;
            let end = (middle + reach).ceil().clamp(0.0, limit as f32) as usize;
            first..end
        };
        for y in span(centre[1], self.height) {
            for x in span(centre[0], self.width) {
                let pixel = &mut self.coverage[y * self.width + x];
                *pixel = pixel.max(coverage([x as f32 + 0.5, y as f32 + 0.5]));
            }
        }
    }

    /// Adds a disc with a border `softness` pixels wide.
    pub(crate) fn disc(&mut self, centre: Point, radius: f32, softness: f32) {
        self.stamp(centre, radius + softness, |p| {
            edge(distance(p, centre) - radius, softness)
        });
    }

    /// Adds a straight stroke with round ends, whose half-width goes from `radii[0]` to `radii[1]`.
    pub(crate) fn stroke(&mut self, ends: [Point; 2], radii: [f32; 2]) {
        let [a, b] = ends;
        let along = [b[0] - a[0], b[1] - a[1]];
        let length2 = (along[0] * along[0] + along[1] * along[1]).max(1e-9);
        let middle = [f32::midpoint(a[0], b[0]), f32::midpoint(a[1], b[1])];
        let reach = length2.sqrt() / 2.0 + radii[0].max(radii[1]) + 1.0;
        self.stamp(middle, reach, |p| {
            let t = (((p[0] - a[0]) * along[0] + (p[1] - a[1]) * along[1]) / length2).clamp(0.0, 1.0);
            let nearest = [a[0] + along[0] * t, a[1] + along[1] * t];
            let radius = radii[0] + (radii[1] - radii[0]) * t;
            // A line thinner than a pixel covers part of it: keep the ramp at one pixel, lower its top.
            edge(distance(p, nearest) - radius.max(0.5), 1.0) * (radius / 0.5).min(1.0)
        });
    }

    /// Adds a polygon given by its corners (filled by the even-odd rule).
    pub(crate) fn polygon(&mut self, corners: &[Point]) {
        let centre = [mean(corners, 0), mean(corners, 1)];
        let reach = corners.iter().map(|&c| distance(c, centre)).fold(0.0, f32::max) + 1.0;
        self.stamp(centre, reach, |p| edge(polygon_distance(corners, p), 1.0));
    }

    /// Adds another mask of the same size.
    pub(crate) fn add(&mut self, other: &Self) {
        for (pixel, &cover) in self.coverage.iter_mut().zip(&other.coverage) {
            *pixel = pixel.max(cover);
        }
    }

    /// The pixels of which at least half is covered, row by row.
    pub(crate) fn covered(&self) -> Vec<bool> {
        self.coverage.iter().map(|&cover| cover >= 0.5).collect()
    }

    /// The pixels covered, summed.
    #[cfg(test)]
    pub(crate) fn area(&self) -> f32 {
        self.coverage.iter().sum()
    }

    /// The covered pixels of both masks, summed over the product: 0 where they do not touch.
    #[cfg(test)]
    pub(crate) fn overlap(&self, other: &Mask) -> f32 {
        self.coverage
            .iter()
            .zip(&other.coverage)
            .map(|(a, b)| a * b)
            .sum()
    }
}

fn mean(corners: &[Point], axis: usize) -> f32 {
    corners.iter().map(|c| c[axis]).sum::<f32>() / corners.len() as f32
}

/// Signed distance of a point to a polygon's border, negative inside.
fn polygon_distance(corners: &[Point], p: Point) -> f32 {
    let mut nearest = f32::MAX;
    let mut inside = false;
    for (i, &a) in corners.iter().enumerate() {
        let b = corners[(i + 1) % corners.len()];
        let along = [b[0] - a[0], b[1] - a[1]];
        let length2 = (along[0] * along[0] + along[1] * along[1]).max(1e-9);
        let t = (((p[0] - a[0]) * along[0] + (p[1] - a[1]) * along[1]) / length2).clamp(0.0, 1.0);
        nearest = nearest.min(distance(p, [a[0] + along[0] * t, a[1] + along[1] * t]));
        if (a[1] > p[1]) != (b[1] > p[1]) && p[0] < a[0] + along[0] * (p[1] - a[1]) / along[1] {
            inside = !inside;
        }
    }
    if inside { -nearest } else { nearest }
}

/// A float RGB picture.
pub(crate) struct Canvas {
    width: usize,
    height: usize,
    pixels: Vec<Colour>,
}

impl Canvas {
    /// A picture of `width` x `height` pixels whose colour at a point is `paint(point)`.
    pub(crate) fn paint(width: usize, height: usize, paint: impl Fn(Point) -> Colour) -> Self {
        let at = |i: usize| [(i % width) as f32 + 0.5, (i / width) as f32 + 0.5];
        Self {
            width,
            height,
            pixels: (0..width * height).map(|i| paint(at(i))).collect(),
        }
    }

    /// Replaces each pixel by `change(point, colour)`, as far as the mask covers it.
    pub(crate) fn blend(&mut self, mask: &Mask, change: impl Fn(Point, Colour) -> Colour) {
        for (i, (pixel, &cover)) in self.pixels.iter_mut().zip(&mask.coverage).enumerate() {
            if cover > 0.0 {
                let at = [(i % self.width) as f32 + 0.5, (i / self.width) as f32 + 0.5];
                *pixel = mix(*pixel, change(at, *pixel), cover);
            }
        }
    }

    /// Replaces each pixel by `change(point, colour)`; pixels are visited row by row.
    pub(crate) fn map(&mut self, mut change: impl FnMut(Point, Colour) -> Colour) {
        for (i, pixel) in self.pixels.iter_mut().enumerate() {
            *pixel = change(
                [(i % self.width) as f32 + 0.5, (i / self.width) as f32 + 0.5],
                *pixel,
            );
        }
    }

    /// Blurs the picture with a Gaussian of `sigma` pixels.
    pub(crate) fn blur(&mut self, sigma: f32) {
        blur(
            &mut self.pixels,
            self.width,
            sigma,
            [0.0; 3],
            |sum, value, weight| std::array::from_fn(|i| sum[i] + value[i] * weight),
        );
    }

    /// The picture in 8 bits a channel, rounded and clamped.
    pub(crate) fn to_image(&self) -> RgbImage {
        RgbImage::from_fn(self.width as u32, self.height as u32, |x, y| {
            let colour = self.pixels[y as usize * self.width + x as usize];
            Rgb(colour.map(|c| (c.clamp(0.0, 1.0) * 255.0).round() as u8))
        })
    }
}

/// Separable Gaussian blur of a row-major raster; the border is repeated outwards.
fn blur<T: Copy>(raster: &mut [T], width: usize, sigma: f32, zero: T, add: impl Fn(T, T, f32) -> T) {
    if sigma <= 0.05 || raster.is_empty() {
        return;
    }
    let reach = (sigma * 3.0).ceil() as isize;
    let kernel: Vec<f32> = (-reach..=reach)
        .map(|i| (-(i as f32 / sigma).powi(2) / 2.0).exp())
        .collect();
    let total: f32 = kernel.iter().sum();
    let height = raster.len() / width;
    let mut pass = |length: usize, lines: usize, index: &dyn Fn(usize, usize) -> usize| {
        for line in 0..lines {
            let source: Vec<T> = (0..length).map(|i| raster[index(line, i)]).collect();
            for i in 0..length {
                raster[index(line, i)] = kernel.iter().enumerate().fold(zero, |sum, (k, weight)| {
                    let from = (i as isize + k as isize - reach).clamp(0, length as isize - 1);
                    add(sum, source[from as usize], weight / total)
                });
            }
        }
    };
    pass(width, height, &|line, i| line * width + i);
    pass(height, width, &|line, i| i * width + line);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disc_covers_its_area() {
        let mut mask = Mask::new(40, 40);
        mask.disc([20.0, 20.0], 10.0, 1.0);
        let expected = std::f32::consts::PI * 100.0;
        assert!((mask.area() - expected).abs() < 4.0, "{}", mask.area());
    }

    #[test]
    fn a_square_polygon_covers_its_area() {
        let mut mask = Mask::new(40, 40);
        mask.polygon(&[[10.0, 10.0], [30.0, 10.0], [30.0, 30.0], [10.0, 30.0]]);
        assert!((mask.area() - 400.0).abs() < 4.0, "{}", mask.area());
    }

    #[test]
    fn a_stroke_thinner_than_a_pixel_is_faint() {
        let area = |radius: f32| {
            let mut mask = Mask::new(40, 40);
            mask.stroke([[5.0, 20.5], [35.0, 20.5]], [radius, radius]);
            mask.area()
        };
        assert!((area(0.25) / area(0.5) - 0.5).abs() < 1e-3);
    }

    #[test]
    fn blur_keeps_the_mean_and_a_constant() {
        let mut canvas = Canvas::paint(16, 12, |_| [0.25, 0.4, 0.75]);
        canvas.blur(2.0);
        assert_eq!(canvas.to_image().get_pixel(0, 0).0, [64, 102, 191]);
        let mut spot = Canvas::paint(31, 31, |p| {
            [if distance(p, [15.5, 15.5]) < 3.0 { 1.0 } else { 0.0 }; 3]
        });
        let total = |canvas: &Canvas| canvas.pixels.iter().map(|pixel| pixel[0]).sum::<f32>();
        let before = total(&spot);
        spot.blur(1.5);
        assert!((total(&spot) - before).abs() < 0.01);
        assert!(spot.pixels[15 * 31 + 15][0] < 0.95);
    }
}
