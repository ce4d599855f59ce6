//! A camera's picture of an eye: everything that varies besides the lesions.

use super::anatomy::{Eye, VesselPiece, Vessels};
use super::grade::{Grade, Lesion, LesionKind};
use super::lesions::plan;
use crate::drawing::{Canvas, Colour, Field, Mask, Point, distance, edge, mix};
use image::RgbImage;
use rand::RngExt;
use rand_pcg::Pcg64;
use std::f32::consts::TAU;

/// A photograph, and what can be pointed at in it.
pub(crate) struct Photograph {
    pub(crate) image: RgbImage,
    pub(crate) findings: Vec<Finding>,
}

/// Something in a photograph, and where it is.
pub(crate) struct Finding {
    pub(crate) kind: FindingKind,
    pub(crate) place: Mask,
}

/// What can be pointed at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FindingKind {
    /// The optic disc, which every eye has.
    OpticDisc,
    /// A lesion; of exudates the spots of a group.
    Lesion(LesionKind),
}

/// Photographs a new eye of the given grade, `size` x `size` pixels.
pub(crate) fn photograph(grade: Grade, size: u32, rng: &mut Pcg64) -> Photograph {
    let eye = Eye::new(rng);
    let lesions = plan(&eye, grade, rng);
    let vessels = Vessels::grow(&eye, rng);
    let view = View::new(size as f32, rng);
    let mut picture = Picture {
        canvas: background(&eye, &view, rng),
        view,
        findings: Vec::new(),
    };
    picture.optic_disc(&eye, rng);
    picture.distractors_below(&eye, rng);
    picture.vessels(&vessels, rng);
    picture.lesions(&eye, &lesions, rng);
    picture.through_the_camera(rng)
}

/// How the eye's coordinates (see [`Eye`]) map to pixels.
struct View {
    size: f32,
    centre: Point,
    /// Pixels per unit.
    scale: f32,
    rotation: f32,
    /// -1 for left eyes, which are mirrored.
    side: f32,
}

impl View {
    fn new(size: f32, rng: &mut Pcg64) -> Self {
        let mut about_half = || size * rng.random_range(0.485..0.515);
        let centre = [about_half(), about_half()];
        let scale = size * rng.random_range(0.47..0.53);
        let side = if rng.random_bool(0.5) { 1.0 } else { -1.0 };
        Self {
            size,
            centre,
            scale,
            rotation: rng.random_range(-0.2..0.2),
            side,
        }
    }

    fn to_pixel(&self, eye: Point) -> Point {
        let (sin, cos) = self.rotation.sin_cos();
        let x = eye[0] * self.side;
        let turned = [x * cos - eye[1] * sin, x * sin + eye[1] * cos];
        [
            self.centre[0] + turned[0] * self.scale,
            self.centre[1] + turned[1] * self.scale,
        ]
    }

    fn to_eye(&self, pixel: Point) -> Point {
        let (sin, cos) = self.rotation.sin_cos();
        let [x, y] = [
            (pixel[0] - self.centre[0]) / self.scale,
            (pixel[1] - self.centre[1]) / self.scale,
        ];
        [(x * cos + y * sin) * self.side, y * cos - x * sin]
    }

    fn mask(&self) -> Mask {
        Mask::new(self.size as usize, self.size as usize)
    }
}

fn gauss(distance: f32, sigma: f32) -> f32 {
    (-(distance / sigma).powi(2) / 2.0).exp()
}

fn tint(colour: Colour, by: Colour) -> Colour {
    std::array::from_fn(|i| colour[i] * by[i])
}

/// The retina without anything on it: pigment, choroid, fovea.
fn background(eye: &Eye, view: &View, rng: &mut Pcg64) -> Canvas {
    let red = rng.random_range(0.6..0.9);
    let pigment = [
        red,
        red * rng.random_range(0.4..0.58),
        red * rng.random_range(0.14..0.34),
    ];
    let clouds = Field::new(rng, 3, 3);
    let choroid = Field::new(rng, 9, 3);
    let cloudiness = rng.random_range(0.04..0.14);
    let streaks = rng.random_range(0.0..0.16_f32);
    let fovea_depth = rng.random_range(0.2..0.45);
    let fovea_size = rng.random_range(0.1..0.17);
    Canvas::paint(view.size as usize, view.size as usize, |pixel| {
        let at = view.to_eye(pixel);
        let (u, v) = (at[0] * 0.4 + 0.5, at[1] * 0.4 + 0.5);
        let cloud = 1.0 + cloudiness * 2.0 * clouds.at(u, v);
        // Choroidal vessels shine through thin pigment as pale bands between dark islands.
        let band = 1.0 - 3.0 * choroid.at(u, v).abs();
        let through = 1.0 + streaks * band;
        let dark = fovea_depth * gauss(distance(at, eye.fovea), fovea_size);
        let colour = tint(pigment, [cloud, cloud * through, cloud * through]);
        tint(colour, [1.0 - 0.6 * dark, 1.0 - dark, 1.0 - 1.1 * dark])
    })
}

/// The picture as it is being drawn.
struct Picture {
    canvas: Canvas,
    view: View,
    findings: Vec<Finding>,
}

impl Picture {
    /// Adds a soft round spot, given in the eye's coordinates, to a mask.
    fn spot(&self, mask: &mut Mask, centre: Point, radius: f32, softness: f32) {
        let scale = self.view.scale;
        mask.disc(
            self.view.to_pixel(centre),
            radius * scale,
            (softness * scale).max(1.0),
        );
    }

    fn optic_disc(&mut self, eye: &Eye, rng: &mut Pcg64) {
        let radius = eye.disc_radius;
        let shine = rng.random_range(0.85..1.0);
        let rim = [
            shine,
            shine * rng.random_range(0.72..0.82),
            shine * rng.random_range(0.42..0.58),
        ];
        let mut halo = self.view.mask();
        self.spot(&mut halo, eye.disc, radius * rng.random_range(1.05..1.4), 0.1);
        let strength = rng.random_range(0.0..0.35);
        self.canvas.blend(&halo, |_, under| mix(under, rim, strength));
        let mut disc = self.view.mask();
        self.spot(&mut disc, eye.disc, radius, 0.05);
        self.canvas.blend(&disc, |_, under| mix(under, rim, 0.85));
        self.findings.push(Finding {
            kind: FindingKind::OpticDisc,
            place: disc,
        });
        let mut cup = self.view.mask();
        let aside = [eye.disc[0] - 0.02, eye.disc[1] + rng.random_range(-0.01..0.01)];
        self.spot(&mut cup, aside, radius * rng.random_range(0.3..0.6), 0.06);
        self.canvas
            .blend(&cup, |_, under| mix(under, [1.0, 0.95, 0.8], 0.6));
    }

    /// Spots that have nothing to do with the grade and lie below the vessels: drusen, a naevus, nerve-fibre sheen.
    fn distractors_below(&mut self, eye: &Eye, rng: &mut Pcg64) {
        if rng.random_bool(0.35) {
            let mut drusen = self.view.mask();
            for _ in 0..rng.random_range(4..16) {
                let (angle, off) = (rng.random_range(0.0..TAU), rng.random_range(0.02..0.4));
                let at = [eye.fovea[0] + angle.cos() * off, eye.fovea[1] + angle.sin() * off];
                self.spot(&mut drusen, at, rng.random_range(0.01..0.03), 0.035);
            }
            let strength = rng.random_range(0.15..0.35);
            self.canvas
                .blend(&drusen, |_, under| mix(under, [0.95, 0.75, 0.45], strength));
        }
        if rng.random_bool(0.15) {
            let mut naevus = self.view.mask();
            let (angle, off) = (rng.random_range(0.0..TAU), rng.random_range(0.4..0.75_f32));
            self.spot(
                &mut naevus,
                [angle.cos() * off, angle.sin() * off],
                rng.random_range(0.08..0.16),
                0.08,
            );
            let strength = rng.random_range(0.3..0.6);
            self.canvas.blend(&naevus, |_, under| {
                mix(under, tint(under, [0.55, 0.7, 0.95]), strength)
            });
        }
        if rng.random_bool(0.3) {
            let ripple = Field::new(rng, 6, 2);
            let strength = rng.random_range(0.05..0.14);
            let view = &self.view;
            self.canvas.map(|pixel, under| {
                let at = view.to_eye(pixel);
                let ring = gauss(distance(at, eye.fovea) - 0.5, 0.12);
                let sheen = strength * ring * (1.0 + ripple.at(at[0], at[1]));
                mix(under, [0.85, 0.9, 0.85], sheen.max(0.0))
            });
        }
    }

    fn vessels(&mut self, vessels: &Vessels, rng: &mut Pcg64) {
        let strength = rng.random_range(0.75..1.0);
        let layers = [
            (&vessels.arteries, [0.82, 0.55, 0.5]),
            (&vessels.veins, [0.68, 0.4, 0.42]),
        ];
        for (pieces, absorb) in layers {
            let mut mask = self.view.mask();
            for VesselPiece { ends, radii } in pieces {
                let ends = ends.map(|end| self.view.to_pixel(end));
                mask.stroke(ends, radii.map(|radius| radius * self.view.scale));
            }
            self.canvas
                .blend(&mask, |_, under| mix(under, tint(under, absorb), strength));
        }
    }

    fn lesions(&mut self, eye: &Eye, lesions: &[Lesion], rng: &mut Pcg64) {
        let mut blood = self.view.mask();
        let mut lipid = self.view.mask();
        for group in lesions.chunk_by(|one, next| one.group == next.group) {
            let mut place = self.view.mask();
            for lesion in group {
                match lesion.kind {
                    LesionKind::Microaneurysm => self.spot(&mut place, lesion.centre, lesion.radius, 0.02),
                    LesionKind::Haemorrhage => self.haemorrhage(&mut place, eye, lesion, rng),
                    LesionKind::Exudate => self.spot(&mut place, lesion.centre, lesion.radius, 0.015),
                }
            }
            let kind = group[0].kind;
            match kind {
                LesionKind::Microaneurysm | LesionKind::Haemorrhage => blood.add(&place),
                LesionKind::Exudate => lipid.add(&place),
            }
            self.findings.push(Finding {
                kind: FindingKind::Lesion(kind),
                place,
            });
        }
        let depth = rng.random_range(0.72..0.95);
        self.canvas.blend(&blood, |_, under| {
            mix(under, tint(under, [0.5, 0.2, 0.22]), depth)
        });
        let glow = rng.random_range(0.7..0.95);
        let yellow = [1.0, rng.random_range(0.86..0.95), rng.random_range(0.4..0.6)];
        self.canvas.blend(&lipid, |_, under| mix(under, yellow, glow));
    }

    /// A blot (several discs run together) or a flame (a fan of strokes along the nerve fibres).
    fn haemorrhage(&self, blood: &mut Mask, eye: &Eye, lesion: &Lesion, rng: &mut Pcg64) {
        let Lesion { centre, radius, .. } = *lesion;
        if rng.random_bool(0.3) {
            let along = eye.fibre_angle(centre);
            for _ in 0..5 {
                let angle = along + rng.random_range(-0.3..0.3);
                let reach = radius * rng.random_range(0.9..1.5);
                let shift = rng.random_range(-0.35..0.35) * radius;
                let start = [centre[0] - along.sin() * shift, centre[1] + along.cos() * shift];
                let ends = [-reach, reach].map(|d| [start[0] + angle.cos() * d, start[1] + angle.sin() * d]);
                let radii = [radius * 0.3, radius * 0.12].map(|r| r * self.view.scale);
                blood.stroke(ends.map(|end| self.view.to_pixel(end)), radii);
            }
        } else {
            self.spot(blood, centre, radius * 0.75, 0.03);
            for _ in 0..rng.random_range(3..7) {
                let (angle, off) = (rng.random_range(0.0..TAU), radius * rng.random_range(0.3..0.7));
                let at = [centre[0] + angle.cos() * off, centre[1] + angle.sin() * off];
                self.spot(blood, at, radius * rng.random_range(0.25..0.5), 0.03);
            }
        }
    }

    /// Light, lens, dust, field stop, focus, exposure and sensor noise.
    fn through_the_camera(mut self, rng: &mut Pcg64) -> Photograph {
        self.illuminate(rng);
        self.dust_and_reflections(rng);
        self.canvas
            .blur(self.view.size / 128.0 * rng.random_range(0.35..0.95));
        self.field_stop(rng);
        let gamma = rng.random_range(0.85..1.2_f32);
        let exposure = rng.random_range(0.8..1.12);
        let noise = rng.random_range(0.006..0.026);
        let balance = [1.0, rng.random_range(0.92..1.08), rng.random_range(0.85..1.15)];
        self.canvas.map(|_, colour| {
            let seen = tint(colour, balance).map(|c| (c * exposure).max(0.0).powf(gamma));
            // Brightness noise with a little colour noise: sums of uniforms are normal enough for a sensor.
            let shared: f32 = (0..3).map(|_| rng.random_range(-1.0..1.0_f32)).sum();
            seen.map(|c| c + noise * (0.8 * shared + rng.random_range(-1.0..1.0)))
        });
        Photograph {
            image: self.canvas.to_image(),
            findings: self.findings,
        }
    }

    fn illuminate(&mut self, rng: &mut Pcg64) {
        let direction = rng.random_range(0.0..TAU);
        let slope = rng.random_range(0.0..0.25);
        let falloff = rng.random_range(0.05..0.35);
        let hot = [rng.random_range(-0.4..0.4), rng.random_range(-0.4..0.4)];
        let glare = rng.random_range(0.0..0.2);
        let view = &self.view;
        self.canvas.map(|pixel, colour| {
            let at = view.to_eye(pixel);
            let tilt = slope * (at[0] * direction.cos() + at[1] * direction.sin());
            let light = 1.0 + tilt - falloff * (at[0] * at[0] + at[1] * at[1])
                + glare * gauss(distance(at, hot), 0.4);
            colour.map(|c| c * light.max(0.1))
        });
    }

    fn dust_and_reflections(&mut self, rng: &mut Pcg64) {
        let size = self.view.size;
        if rng.random_bool(0.25) {
            let mut dust = self.view.mask();
            for _ in 0..rng.random_range(1..4) {
                let at = [
                    rng.random_range(0.15..0.85) * size,
                    rng.random_range(0.15..0.85) * size,
                ];
                dust.disc(at, size * rng.random_range(0.015..0.035), size * 0.03);
            }
            let strength = rng.random_range(0.12..0.28);
            self.canvas.blend(&dust, |_, under| {
                mix(under, tint(under, [0.4, 0.5, 0.55]), strength)
            });
        }
        if rng.random_bool(0.3) {
            // A crescent of stray light at the rim.
            let angle = rng.random_range(0.0..TAU);
            let off = rng.random_range(0.85..1.1);
            let at = self.view.to_pixel([angle.cos() * off, angle.sin() * off]);
            let mut flare = self.view.mask();
            let radius = self.view.scale * rng.random_range(0.1..0.3);
            flare.disc(at, radius, radius * 1.6);
            let colour = [0.85, rng.random_range(0.8..0.95), rng.random_range(0.7..1.0)];
            let strength = rng.random_range(0.15..0.5);
            self.canvas.blend(&flare, |_, under| mix(under, colour, strength));
        }
        if rng.random_bool(0.15) {
            // Ghosts of the lens: a row of small pale discs through the middle of the picture.
            let angle = rng.random_range(0.0..TAU);
            let mut ghosts = self.view.mask();
            for _ in 0..rng.random_range(1..4) {
                let off = rng.random_range(-0.7..0.7);
                let radius = rng.random_range(0.03..0.08);
                self.spot(&mut ghosts, [angle.cos() * off, angle.sin() * off], radius, 0.04);
            }
            let strength = rng.random_range(0.08..0.2);
            self.canvas
                .blend(&ghosts, |_, under| mix(under, [0.7, 0.9, 1.0], strength));
        }
    }

    /// The round mask of the camera, in some makes cut off above and below.
    fn field_stop(&mut self, rng: &mut Pcg64) {
        let cut = if rng.random_bool(0.4) {
            rng.random_range(0.86..0.97)
        } else {
            1.5
        };
        let blackness = rng.random_range(0.0..0.03);
        let view = &self.view;
        self.canvas.map(|pixel, colour| {
            let off = distance(pixel, view.centre) - view.scale * 0.985;
            let above = (pixel[1] - view.centre[1]).abs() - view.scale * cut;
            mix([blackness; 3], colour, edge(off.max(above), 1.5))
        });
    }
}
