//! The healthy eye: where things are, and how its vessels run.

use crate::drawing::{Point, distance};
use rand::RngExt;
use rand_pcg::Pcg64;
use std::f32::consts::PI;

/// Where the landmarks of an eye are. Coordinates of a right eye: the centre of the photographed field is
/// the origin, its radius 1, x towards the nose (where the optic disc is), y down. Left eyes are mirrored
/// when they are drawn.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Eye {
    pub(crate) fovea: Point,
    pub(crate) disc: Point,
    pub(crate) disc_radius: f32,
}

impl Eye {
    /// Radius of the macula about the fovea: one diameter of an average disc.
    pub(crate) const MACULA: f32 = 0.28;

    /// Landmarks as they vary between people and with the way they look.
    pub(crate) fn new(rng: &mut Pcg64) -> Self {
        let fovea = [rng.random_range(-0.16..0.0), rng.random_range(-0.05..0.1)];
        let disc = [
            fovea[0] + rng.random_range(0.54..0.64),
            fovea[1] + rng.random_range(-0.12..-0.02),
        ];
        Self {
            fovea,
            disc,
            disc_radius: rng.random_range(0.115..0.15),
        }
    }

    /// The quadrant of a point about the fovea, 0..4.
    pub(crate) fn quadrant(&self, at: Point) -> usize {
        usize::from(at[0] > self.fovea[0]) + 2 * usize::from(at[1] > self.fovea[1])
    }

    /// Direction of the nerve fibres at a point: away from the disc, bowing around the fovea.
    pub(crate) fn fibre_angle(&self, at: Point) -> f32 {
        let from_disc = (at[1] - self.disc[1]).atan2(at[0] - self.disc[0]);
        let around_fovea = (at[1] - self.fovea[1]).atan2(at[0] - self.fovea[0]) + PI / 2.0;
        if at[0] < self.disc[0] {
            around_fovea
        } else {
            from_disc
        }
    }
}

/// A short piece of vessel: its ends and half-widths there, in the eye's coordinates.
#[derive(Clone, Copy, Debug)]
pub(crate) struct VesselPiece {
    pub(crate) ends: [Point; 2],
    pub(crate) radii: [f32; 2],
}

/// The two vessel trees of an eye.
pub(crate) struct Vessels {
    pub(crate) arteries: Vec<VesselPiece>,
    pub(crate) veins: Vec<VesselPiece>,
}

impl Vessels {
    /// Grows an artery and a vein from the disc into each of the four quadrants, and a few small vessels besides.
    pub(crate) fn grow(eye: &Eye, rng: &mut Pcg64) -> Self {
        let mut trees = [Vec::new(), Vec::new()];
        let width = rng.random_range(0.85..1.15);
        for (tree, radius) in trees.iter_mut().zip([0.013, 0.018]) {
            for side in [-1.0, 1.0] {
                // The temporal arcade: leaves towards the pole, then sweeps around the macula.
                let lift = rng.random_range(0.42..0.62);
                Shoot::arcade(eye, side, lift, radius * width, rng).grow(eye, rng, tree);
                let nasal = side * rng.random_range(0.5..1.0);
                Shoot::straight(eye, nasal, radius * width * 0.7, 0.6, rng).grow(eye, rng, tree);
            }
            for _ in 0..rng.random_range(1..4) {
                let towards = PI + rng.random_range(-0.7..0.7);
                Shoot::straight(eye, towards, radius * width * 0.35, 0.35, rng).grow(eye, rng, tree);
            }
        }
        let [arteries, veins] = trees;
        Self { arteries, veins }
    }
}

/// Length of a piece of vessel.
const STEP: f32 = 0.025;

/// A vessel that is about to grow.
struct Shoot {
    from: Point,
    heading: f32,
    radius: f32,
    length: f32,
    /// How much the heading turns per unit of length, besides chance.
    bend: f32,
    /// How often it may still branch into branches.
    generations: u32,
}

impl Shoot {
    fn arcade(eye: &Eye, side: f32, lift: f32, radius: f32, rng: &mut Pcg64) -> Self {
        // From nearly upright (side * 100 degrees) through a half circle of height `lift` above the fovea.
        let heading = side * rng.random_range(1.65..2.0);
        let bend = side * rng.random_range(0.75..1.0) / lift;
        let from = [
            eye.disc[0] + rng.random_range(-0.03..0.03),
            eye.disc[1] + side * 0.02,
        ];
        Self {
            from,
            heading,
            radius,
            length: rng.random_range(1.1..1.5),
            bend,
            generations: 3,
        }
    }

    fn straight(eye: &Eye, heading: f32, radius: f32, length: f32, rng: &mut Pcg64) -> Self {
        let bend = rng.random_range(-0.6..0.6);
        Self {
            from: eye.disc,
            heading,
            radius,
            length,
            bend,
            generations: 2,
        }
    }

    /// Walks to its end and grows its branches on the way.
    fn grow(&self, eye: &Eye, rng: &mut Pcg64, pieces: &mut Vec<VesselPiece>) {
        let (mut from, mut heading, mut thickness) = (self.from, self.heading, self.radius);
        let mut wiggle = 0.0_f32;
        let mut until_branch = rng.random_range(0.12..0.3);
        let steps = (self.length / STEP) as usize;
        for step in 1..=steps {
            wiggle = wiggle * 0.8 + rng.random_range(-1.6..1.6);
            heading += (self.bend + wiggle) * STEP;
            let to = [from[0] + heading.cos() * STEP, from[1] + heading.sin() * STEP];
            // The fovea has no vessels, and nothing is seen far outside the field.
            if distance(to, eye.fovea) < 0.13 || to[0].hypot(to[1]) > 1.1 {
                return;
            }
            let next = self.radius * (1.0 - 0.65 * step as f32 / steps as f32);
            pieces.push(VesselPiece {
                ends: [from, to],
                radii: [thickness, next],
            });
            (from, thickness) = (to, next);
            until_branch -= STEP;
            if self.generations > 0 && until_branch < 0.0 && thickness > 0.003 {
                until_branch = rng.random_range(0.14..0.35);
                let left = self.length - step as f32 * STEP;
                self.branch(from, heading, thickness, left, rng)
                    .grow(eye, rng, pieces);
            }
        }
    }

    /// A thinner vessel that leaves to a random side.
    fn branch(&self, from: Point, heading: f32, thickness: f32, left: f32, rng: &mut Pcg64) -> Self {
        let side = if rng.random_bool(0.5) { 1.0 } else { -1.0 };
        Self {
            from,
            heading: heading + side * rng.random_range(0.4..0.95),
            radius: thickness * rng.random_range(0.5..0.75),
            length: left * rng.random_range(0.35..0.7),
            bend: -side * rng.random_range(-0.3..1.2),
            generations: self.generations - 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::rng;

    #[test]
    fn landmarks_and_vessels_are_where_they_belong() {
        for seed in 0..50 {
            let mut rng = rng(seed, &[]);
            let eye = Eye::new(&mut rng);
            let apart = distance(eye.fovea, eye.disc);
            assert!((0.5..0.7).contains(&apart), "{apart}");
            let vessels = Vessels::grow(&eye, &mut rng);
            let pieces = vessels.arteries.iter().chain(&vessels.veins);
            assert!(pieces.clone().count() > 200);
            assert!(
                pieces
                    .clone()
                    .all(|piece| distance(piece.ends[1], eye.fovea) >= 0.13)
            );
            let quadrants: std::collections::BTreeSet<_> =
                pieces.map(|piece| eye.quadrant(piece.ends[1])).collect();
            assert_eq!(quadrants.len(), 4);
        }
    }
}
