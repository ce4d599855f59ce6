//! What covers an object or a whole picture.

use crate::drawing::{Field, Point, distance};
use rand::RngExt;
use rand_pcg::Pcg64;
use std::f32::consts::{PI, TAU};

/// A two-colour texture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Texture {
    Plain,
    Stripes,
    Checks,
    Dots,
    Cells,
    Marble,
    Bricks,
    Rings,
    Hatching,
    Speckles,
}

impl Texture {
    /// Textures of objects.
    pub(super) const COVERS: [Self; 4] = [Self::Plain, Self::Stripes, Self::Checks, Self::Dots];

    /// Textures of whole pictures.
    pub(super) const FIELDS: [Self; 8] = [
        Self::Checks,
        Self::Dots,
        Self::Cells,
        Self::Marble,
        Self::Bricks,
        Self::Rings,
        Self::Hatching,
        Self::Speckles,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Stripes => "stripes",
            Self::Checks => "checks",
            Self::Dots => "dots",
            Self::Cells => "cells",
            Self::Marble => "marble",
            Self::Bricks => "bricks",
            Self::Rings => "rings",
            Self::Hatching => "hatching",
            Self::Speckles => "speckles",
        }
    }

    /// The texture as a function of place: 0 is the first colour, 1 the second. `period` is its coarseness in pixels.
    ///
    /// Orientation and phase are random.
    pub(super) fn sample(self, period: f32, rng: &mut Pcg64) -> Box<dyn Fn(Point) -> f32> {
        let (sin, cos) = rng.random_range(0.0..TAU).sin_cos();
        let phase = [rng.random_range(0.0..1.0), rng.random_range(0.0..1.0)];
        // Coordinates in periods, turned and shifted.
        let place = move |p: Point| {
            [
                (p[0] * cos - p[1] * sin) / period + phase[0],
                (p[0] * sin + p[1] * cos) / period + phase[1],
            ]
        };
        let sharp = period / 2.0;
        match self {
            Self::Plain => Box::new(|_| 0.0),
            Self::Stripes => Box::new(move |p| step(wave(place(p)[0]), sharp)),
            Self::Checks => Box::new(move |p| {
                let [u, v] = place(p).map(|t| t * 0.7);
                step(wave(u) * wave(v) * 2.0, sharp)
            }),
            Self::Dots => Box::new(move |p| {
                let [u, v] = place(p).map(|t| t - t.floor() - 0.5);
                step(0.3 - u.hypot(v), sharp * 2.0)
            }),
            Self::Cells => {
                let jitter: Vec<Point> = (0..256)
                    .map(|_| [rng.random_range(0.1..0.9), rng.random_range(0.1..0.9)])
                    .collect();
                Box::new(move |p| {
                    step(
                        0.12 - cell_border(place(p).map(|t| t * 0.6), &jitter),
                        sharp * 2.0,
                    )
                })
            }
            Self::Marble => {
                let warp = Field::new(rng, 4, 3);
                Box::new(move |p| {
                    let [u, v] = place(p);
                    0.5 + 0.5 * (PI * (u + 2.5 * warp.at(u * 0.08, v * 0.08))).sin()
                })
            }
            Self::Bricks => Box::new(move |p| {
                let [u, v] = place(p).map(|t| t * 0.8);
                let along = u * 0.5 + 0.5 * (v.floor().rem_euclid(2.0));
                let mortar = (v - v.floor()).min(2.0 * (along - along.floor()));
                step(0.16 - mortar, sharp * 2.0)
            }),
            Self::Rings => Box::new(move |p| {
                let [u, v] = place(p);
                step(wave(u.hypot(v)), sharp)
            }),
            Self::Hatching => Box::new(move |p| {
                let lines = place(p).map(|t| 0.14 - (t - t.floor() - 0.5).abs());
                step(lines[0].max(lines[1]), sharp * 2.0)
            }),
            Self::Speckles => {
                let grain = Field::new(rng, 24, 1);
                Box::new(move |p| {
                    let [u, v] = place(p);
                    step(grain.at(u * 0.06, v * 0.06) - 0.25, sharp)
                })
            }
        }
    }
}

/// A wave of period 1 between -0.5 and 0.5.
fn wave(t: f32) -> f32 {
    0.5 * (TAU * t).sin()
}

/// A soft step at 0.
fn step(t: f32, sharpness: f32) -> f32 {
    (0.5 + t * sharpness).clamp(0.0, 1.0)
}

/// Distance to the border between the two nearest of the points scattered one to a unit square.
fn cell_border([u, v]: Point, jitter: &[Point]) -> f32 {
    let (i, j) = (u.floor() as i32, v.floor() as i32);
    let mut nearest = [f32::MAX; 2];
    for (x, y) in (-1..=1).flat_map(|dy| (-1..=1).map(move |dx| (i + dx, j + dy))) {
        let spot = jitter[((y & 15) * 16 + (x & 15)) as usize];
        let off = distance([u, v], [x as f32 + spot[0], y as f32 + spot[1]]);
        if off < nearest[0] {
            nearest = [off, nearest[0]];
        } else if off < nearest[1] {
            nearest[1] = off;
        }
    }
    (nearest[1] - nearest[0]) / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::rng;

    #[test]
    fn every_texture_has_both_its_colours_in_bounds() {
        for texture in Texture::FIELDS.into_iter().chain([Texture::Stripes]) {
            let sample = texture.sample(12.0, &mut rng(3, &[]));
            let values: Vec<f32> = (0..10000)
                .map(|i| sample([(i % 100) as f32, (i / 100) as f32]))
                .collect();
            assert!(values.iter().all(|v| (0.0..=1.0).contains(v)), "{texture:?}");
            let dark = values.iter().filter(|&&v| v < 0.3).count();
            let light = values.iter().filter(|&&v| v > 0.7).count();
            assert!(dark.min(light) > 800, "{texture:?}: {dark} {light}");
        }
    }
}
