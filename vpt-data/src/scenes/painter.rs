//! Paints a scene with everything about it that does not matter.

use super::palette;
use super::scene::{Relation, Scene};
use super::shape::Shape;
use super::texture::Texture;
use crate::drawing::{Canvas, Colour, Field, Mask, Point, distance, edge, mix};
use image::RgbImage;
use image::imageops::{FilterType, resize};
use rand::RngExt;
use rand_pcg::Pcg64;
use std::f32::consts::{FRAC_PI_2, PI, TAU};

/// Pictures are painted so many times larger and then shrunk, so that fine textures do not alias.
const OVERSAMPLING: u32 = 2;

/// Paints a picture of `scene`, `size` x `size` pixels.
pub(super) fn paint(scene: Scene, size: u32, rng: &mut Pcg64) -> RgbImage {
    let mut painter = Painter::new(size * OVERSAMPLING, rng);
    match scene {
        Scene::Object(shape, cover) => painter.object(shape, cover),
        Scene::Count { counted, number } => painter.count(counted, number),
        Scene::OddOneOut { rest, odd, quadrant } => painter.odd_one_out(rest, odd, quadrant),
        Scene::Grating { eighths } => painter.grating(eighths),
        Scene::Pair(relation) => painter.pair(relation),
        Scene::Field(texture) => painter.field(texture),
        Scene::Gap(side) => painter.gap(side),
        Scene::Spiral { clockwise } => painter.spiral(clockwise),
        Scene::Wave { periods } => painter.wave(periods),
    }
    painter.finish(size)
}

struct Painter<'a> {
    canvas: Canvas,
    /// Edge in pixels of the canvas; everything scales with it.
    size: f32,
    /// Main colours of the background.
    ground: [Colour; 2],
    rng: &'a mut Pcg64,
}

impl<'a> Painter<'a> {
    /// A background: a gradient, a cloudy field or a faint texture between two similar colours, and some litter.
    fn new(size: u32, rng: &'a mut Pcg64) -> Self {
        let first = palette::any(rng);
        let second = mix(first, palette::any(rng), rng.random_range(0.0..0.45));
        let edge = size as f32;
        let blend: Box<dyn Fn(Point) -> f32> = match rng.random_range(0..4) {
            0 => Box::new(|_| 0.0),
            1 => {
                let (sin, cos) = rng.random_range(0.0..TAU).sin_cos();
                Box::new(move |p| {
                    (0.5 + 0.6 * ((p[0] / edge - 0.5) * cos + (p[1] / edge - 0.5) * sin)).clamp(0.0, 1.0)
                })
            }
            2 => {
                let clouds = Field::new(rng, 4, 3);
                Box::new(move |p| 0.5 + 0.5 * clouds.at(p[0] / edge, p[1] / edge))
            }
            _ => {
                let texture = Texture::FIELDS[rng.random_range(0..Texture::FIELDS.len())];
                let sample = texture.sample(edge * rng.random_range(0.08..0.3), rng);
                Box::new(move |p| 0.4 * sample(p))
            }
        };
        let canvas = Canvas::paint(size as usize, size as usize, |p| mix(first, second, blend(p)));
        let mut painter = Self {
            canvas,
            size: edge,
            ground: [first, second],
            rng,
        };
        for _ in 0..painter.rng.random_range(0..5) {
            painter.litter();
        }
        painter
    }

    /// A faint thin line or scrap that means nothing.
    fn litter(&mut self) {
        let colour = palette::any(self.rng);
        let opacity = self.rng.random_range(0.1..0.35);
        let mut mask = self.mask();
        let from = self.anywhere(0.0);
        let (sin, cos) = self.rng.random_range(0.0..TAU).sin_cos();
        let length = self.size * self.rng.random_range(0.05..0.7);
        let radius = self.size * self.rng.random_range(0.004..0.012);
        mask.stroke(
            [from, [from[0] + cos * length, from[1] + sin * length]],
            [radius, radius],
        );
        self.canvas.blend(&mask, |_, under| mix(under, colour, opacity));
    }

    fn mask(&self) -> Mask {
        Mask::new(self.size as usize, self.size as usize)
    }

    /// A point at least `margin` pixels from the border.
    fn anywhere(&mut self, margin: f32) -> Point {
        let mut along = || self.rng.random_range(margin..=self.size - margin);
        [along(), along()]
    }

    fn contrast(&mut self) -> Colour {
        palette::unlike(&self.ground, self.rng)
    }

    /// Fills a mask with one colour, sometimes with a soft shadow below.
    fn fill(&mut self, mask: &Mask, colour: Colour) {
        self.canvas.blend(mask, |_, _| colour);
    }

    fn object(&mut self, shape: Shape, cover: Texture) {
        let radius = self.size * self.rng.random_range(0.24..0.42);
        let centre = self.anywhere(radius * 0.9);
        let angle = self.rng.random_range(0.0..TAU);
        let first = self.contrast();
        let second = palette::unlike(&[first, self.ground[0], self.ground[1]], self.rng);
        let period = self.size * self.rng.random_range(0.09..0.16);
        let sample = cover.sample(period, self.rng);
        let mut mask = self.mask();
        shape.draw(&mut mask, centre, radius, angle);
        let light = self.rng.random_range(0.0..0.3);
        let size = self.size;
        self.canvas.blend(&mask, |p, _| {
            let shade = 1.0 - light * (p[1] - centre[1] + p[0] - centre[0]) / size;
            mix(first, second, sample(p)).map(|c| c * shade)
        });
    }

    fn count(&mut self, counted: Shape, number: usize) {
        // What does not count never looks like anything that counts elsewhere.
        let other = if counted == Shape::Circle {
            Shape::Triangle
        } else {
            Shape::Ring
        };
        let mut taken: Vec<(Point, f32)> = Vec::new();
        let colour = self.contrast();
        let same_colour = self.rng.random_bool(0.5);
        let others = self.rng.random_range(0..4);
        let base = self.rng.random_range(0.065..0.105);
        for i in 0..number + others {
            let radius = self.size * base * self.rng.random_range(0.8..1.2);
            let Some(centre) = self.free_place(&taken, radius) else {
                continue;
            };
            taken.push((centre, radius));
            let shape = if i < number { counted } else { other };
            let colour = if same_colour { colour } else { self.contrast() };
            let angle = self.rng.random_range(0.0..TAU);
            let mut mask = self.mask();
            shape.draw(&mut mask, centre, radius, angle);
            self.fill(&mask, colour);
        }
    }

    /// A place for an object that touches none of those already there.
    fn free_place(&mut self, taken: &[(Point, f32)], radius: f32) -> Option<Point> {
        (0..500).find_map(|_| {
            let at = self.anywhere(radius * 1.1);
            let free = taken
                .iter()
                .all(|&(other, reach)| distance(at, other) > (radius + reach) * 1.15);
            free.then_some(at)
        })
    }

    fn odd_one_out(&mut self, rest: Shape, odd: Shape, quadrant: usize) {
        let radius = self.size * self.rng.random_range(0.08..0.11);
        let within = |offset: usize, rng: &mut Pcg64, size: f32| {
            size * (0.5 * (quadrant >> offset & 1) as f32 + rng.random_range(0.12..0.38))
        };
        let centre = [within(0, self.rng, self.size), within(1, self.rng, self.size)];
        let mut taken = vec![(centre, radius)];
        for _ in 0..self.rng.random_range(4..9) {
            let Some(place) = self.free_place(&taken, radius) else {
                continue;
            };
            taken.push((place, radius));
        }
        let colour = self.contrast();
        let same_colour = self.rng.random_bool(0.5);
        for (i, &(centre, radius)) in taken.iter().enumerate() {
            let colour = if same_colour { colour } else { self.contrast() };
            let angle = self.rng.random_range(0.0..TAU);
            let radius = radius * self.rng.random_range(0.85..1.15);
            let mut mask = self.mask();
            (if i == 0 { odd } else { rest }).draw(&mut mask, centre, radius, angle);
            self.fill(&mask, colour);
        }
    }

    fn grating(&mut self, eighths: usize) {
        let angle = (eighths as f32 + self.rng.random_range(-0.25..0.25)) * PI / 8.0;
        let (sin, cos) = angle.sin_cos();
        let period = self.size * self.rng.random_range(0.07..0.2);
        let phase = self.rng.random_range(0.0..TAU);
        let centre = self.anywhere(self.size * 0.3);
        let spread = self.size * self.rng.random_range(0.18..0.4);
        let light = self.contrast();
        let dark = palette::unlike(&[light], self.rng);
        let strength = self.rng.random_range(0.6..1.0);
        self.canvas.map(|p, under| {
            let wave = 0.5 + 0.5 * (TAU * (p[0] * cos + p[1] * sin) / period + phase).sin();
            let window = (-(distance(p, centre) / spread).powi(2) / 2.0).exp();
            mix(under, mix(dark, light, wave), strength * window)
        });
    }

    fn pair(&mut self, relation: Relation) {
        let (large, small) = (
            self.size * self.rng.random_range(0.28..0.36),
            self.size * self.rng.random_range(0.09..0.13),
        );
        let angle = self.rng.random_range(-0.3..0.3) + PI / 4.0;
        let around = match relation {
            Relation::Inside => Some((Shape::Square, Shape::Circle)),
            Relation::Around => Some((Shape::Circle, Shape::Square)),
            _ => None,
        };
        if let Some((outer, inner)) = around {
            let centre = self.anywhere(large);
            let aside = |rng: &mut Pcg64| rng.random_range(-0.28..0.28) * large;
            let place = [centre[0] + aside(self.rng), centre[1] + aside(self.rng)];
            let colour = self.contrast();
            self.put(outer, centre, large, angle, colour);
            let second = palette::unlike(&[colour], self.rng);
            return self.put(inner, place, small, angle, second);
        }
        let heading = match relation {
            Relation::Left => PI,
            Relation::Above => -FRAC_PI_2,
            Relation::Below => FRAC_PI_2,
            _ => 0.0,
        } + self.rng.random_range(-0.4..0.4);
        let apart = self.size * self.rng.random_range(0.32..0.5);
        let half = [heading.cos() * apart / 2.0, heading.sin() * apart / 2.0];
        let middle = self.anywhere(self.size * 0.38);
        for (shape, sign) in [(Shape::Circle, 1.0), (Shape::Square, -1.0)] {
            let colour = self.contrast();
            let radius = self.size * self.rng.random_range(0.1..0.15);
            self.put(
                shape,
                [middle[0] + sign * half[0], middle[1] + sign * half[1]],
                radius,
                angle,
                colour,
            );
        }
    }

    fn put(&mut self, shape: Shape, centre: Point, radius: f32, angle: f32, colour: Colour) {
        let mut mask = self.mask();
        shape.draw(&mut mask, centre, radius, angle);
        self.fill(&mask, colour);
    }

    fn field(&mut self, texture: Texture) {
        let sample = texture.sample(self.size * self.rng.random_range(0.1..0.22), self.rng);
        let first = palette::any(self.rng);
        let second = palette::unlike(&[first], self.rng);
        let tilt = self.rng.random_range(-0.4..0.4);
        let size = self.size;
        self.canvas
            .map(|p, _| mix(first, second, sample(p)).map(|c| c * (1.0 + tilt * (p[0] / size - 0.5))));
    }

    fn gap(&mut self, side: usize) {
        let radius = self.size * self.rng.random_range(0.16..0.34);
        let centre = self.anywhere(radius * 1.2);
        let width = radius * self.rng.random_range(0.16..0.3);
        let towards = side as f32 * FRAC_PI_2 + self.rng.random_range(-0.25..0.25);
        let half = self.rng.random_range(0.3..0.55);
        let mut mask = self.mask();
        mask.stamp(centre, radius + width + 1.0, |p| {
            let around = (p[1] - centre[1]).atan2(p[0] - centre[0]);
            let off = ((around - towards + PI).rem_euclid(TAU) - PI).abs();
            let ring = (distance(p, centre) - radius).abs() - width;
            edge(ring.max((half - off) * radius), 1.0)
        });
        let colour = self.contrast();
        self.fill(&mask, colour);
    }

    fn spiral(&mut self, clockwise: bool) {
        let turns = self.rng.random_range(1.6..3.2);
        let reach = self.size * self.rng.random_range(0.22..0.42);
        let start = self.rng.random_range(0.0..TAU);
        let centre = self.anywhere(reach);
        let sense = if clockwise { 1.0 } else { -1.0 };
        self.curve(0.3 * reach / turns, |t| {
            let (sin, cos) = (start + sense * t * turns * TAU).sin_cos();
            [centre[0] + cos * reach * t, centre[1] + sin * reach * t]
        });
    }

    fn wave(&mut self, periods: usize) {
        let (sin, cos) = self.rng.random_range(0.0..TAU).sin_cos();
        let length = self.size * self.rng.random_range(0.6..0.85);
        let height = length / periods as f32 * self.rng.random_range(0.2..0.4);
        let phase = self.rng.random_range(0.0..TAU);
        let centre = self.anywhere(self.size * 0.42);
        self.curve(length * 0.03, |t| {
            let (along, across) = (
                (t - 0.5) * length,
                height * (TAU * periods as f32 * t + phase).sin(),
            );
            [
                centre[0] + along * cos - across * sin,
                centre[1] + along * sin + across * cos,
            ]
        });
    }

    /// Draws the curve `at(0..1)` about `radius` pixels thick on either side.
    fn curve(&mut self, radius: f32, at: impl Fn(f32) -> Point) {
        let radius = radius * self.rng.random_range(0.6..1.2);
        let colour = self.contrast();
        let mut mask = self.mask();
        for i in 0..120 {
            mask.stroke(
                [at(i as f32 / 120.0), at((i + 1) as f32 / 120.0)],
                [radius, radius],
            );
        }
        self.fill(&mask, colour);
    }

    /// Shadow, blur, noise, shrinking.
    fn finish(mut self, size: u32) -> RgbImage {
        if self.rng.random_bool(0.3) {
            let blur = self.size / 64.0 * self.rng.random_range(0.2..0.6);
            self.canvas.blur(blur);
        }
        let noise = self.rng.random_range(0.0..0.12_f32);
        let gain = self.rng.random_range(0.75..1.1);
        let rng = self.rng;
        self.canvas
            .map(|_, colour| colour.map(|c| c * gain + noise * rng.random_range(-1.0..1.0)));
        resize(&self.canvas.to_image(), size, size, FilterType::Triangle)
    }
}
