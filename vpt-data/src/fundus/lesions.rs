//! Which lesions a drawn eye of a given grade has.

use super::anatomy::Eye;
use super::grade::{Grade, Lesion, LesionKind};
use crate::drawing::{Point, distance};
use rand::RngExt;
use rand::seq::SliceRandom;
use rand_pcg::Pcg64;
use std::f32::consts::TAU;

/// Draws lots for the lesions of an eye so that the rule gives `grade`.
///
/// Numbers overlap between grades wherever the rule allows it: a moderate eye may have more haemorrhages than
/// a severe one, a mild one more microaneurysms than either.
pub(crate) fn plan(eye: &Eye, grade: Grade, rng: &mut Pcg64) -> Vec<Lesion> {
    loop {
        // Once in a while no free place is found for a lesion that decides the grade: draw again.
        let lesions = attempt(eye, grade, rng);
        if Grade::of(eye, &lesions) == grade {
            return lesions;
        }
    }
}

fn attempt(eye: &Eye, grade: Grade, rng: &mut Pcg64) -> Vec<Lesion> {
    let mut lesions = Vec::new();
    match grade {
        Grade::Healthy => {}
        Grade::Mild => microaneurysms(eye, 3..9, rng, &mut lesions),
        Grade::Moderate => {
            microaneurysms(eye, 1..7, rng, &mut lesions);
            not_yet_severe(eye, rng, &mut lesions);
        }
        Grade::Severe => {
            microaneurysms(eye, 1..7, rng, &mut lesions);
            if rng.random_bool(0.6) {
                haemorrhages(eye, 4, rng.random_range(5..10), rng, &mut lesions);
                if rng.random_bool(0.4) {
                    exudates(eye, false, rng, &mut lesions);
                }
            } else {
                not_yet_severe(eye, rng, &mut lesions);
                exudates(eye, true, rng, &mut lesions);
            }
        }
    }
    lesions
}

/// Haemorrhages in at most three quadrants, exudates outside the macula, or both.
fn not_yet_severe(eye: &Eye, rng: &mut Pcg64, lesions: &mut Vec<Lesion>) {
    let (bleeding, leaking) = match rng.random_range(0..10) {
        0..4 => (true, false),
        4..6 => (false, true),
        _ => (true, true),
    };
    if bleeding {
        let quadrants = if rng.random_bool(0.2) {
            3
        } else {
            rng.random_range(1..3)
        };
        haemorrhages(
            eye,
            quadrants,
            rng.random_range(quadrants.max(2)..8),
            rng,
            lesions,
        );
    }
    if leaking {
        for _ in 0..rng.random_range(1..3) {
            exudates(eye, false, rng, lesions);
        }
    }
}

fn microaneurysms(eye: &Eye, number: std::ops::Range<usize>, rng: &mut Pcg64, lesions: &mut Vec<Lesion>) {
    for _ in 0..rng.random_range(number) {
        let radius = rng.random_range(0.026..0.036);
        if let Some(centre) = free_place(eye, lesions, radius, rng, |_| true) {
            lesions.push(Lesion {
                kind: LesionKind::Microaneurysm,
                centre,
                radius,
                group: next_group(lesions),
            });
        }
    }
}

/// `number` haemorrhages over exactly `quadrants` quadrants, well away from the lines between them.
fn haemorrhages(eye: &Eye, quadrants: usize, number: usize, rng: &mut Pcg64, lesions: &mut Vec<Lesion>) {
    let mut order = [0, 1, 2, 3];
    order.shuffle(rng);
    for i in 0..number {
        let quadrant = order[i % quadrants];
        let radius = rng.random_range(0.05..0.1);
        let clear = |p: Point| {
            let aside = (p[0] - eye.fovea[0]).abs().min((p[1] - eye.fovea[1]).abs());
            eye.quadrant(p) == quadrant && aside > 0.12
        };
        if let Some(centre) = free_place(eye, lesions, radius, rng, clear) {
            lesions.push(Lesion {
                kind: LesionKind::Haemorrhage,
                centre,
                radius,
                group: next_group(lesions),
            });
        }
    }
}

/// One group of exudates, in the macula or well outside it: a heap of spots or part of a ring.
fn exudates(eye: &Eye, in_macula: bool, rng: &mut Pcg64, lesions: &mut Vec<Lesion>) {
    let ring = rng.random_bool(0.35);
    let spread = rng.random_range(0.06..0.11);
    let suits = |p: Point| {
        let off = distance(p, eye.fovea);
        if in_macula {
            (0.05..0.17).contains(&off)
        } else {
            off > Eye::MACULA + 0.16 + spread
        }
    };
    let Some(middle) = free_place(eye, lesions, 0.05, rng, suits) else {
        return;
    };
    let start = rng.random_range(0.0..TAU);
    let number = rng.random_range(4..10);
    let group = next_group(lesions);
    for i in 0..number {
        let (angle, reach) = if ring {
            (
                start + i as f32 / number as f32 * 4.5,
                spread * rng.random_range(0.75..1.1),
            )
        } else {
            (
                rng.random_range(0.0..TAU),
                spread * rng.random_range(0.0_f32..1.0).sqrt(),
            )
        };
        let centre = [middle[0] + angle.cos() * reach, middle[1] + angle.sin() * reach];
        lesions.push(Lesion {
            kind: LesionKind::Exudate,
            centre,
            radius: rng.random_range(0.02..0.038),
            group,
        });
    }
}

/// The number of the next group.
fn next_group(lesions: &[Lesion]) -> usize {
    lesions.last().map_or(0, |lesion| lesion.group + 1)
}

/// A place within the field, off the disc and the very centre, that touches no other lesion.
fn free_place(
    eye: &Eye,
    lesions: &[Lesion],
    radius: f32,
    rng: &mut Pcg64,
    suits: impl Fn(Point) -> bool,
) -> Option<Point> {
    (0..400).find_map(|_| {
        let at: Point = [rng.random_range(-0.8..0.8), rng.random_range(-0.8..0.8)];
        let free = at[0].hypot(at[1]) < 0.8
            && distance(at, eye.disc) > eye.disc_radius + radius + 0.06
            && lesions
                .iter()
                .all(|other| distance(at, other.centre) > radius + other.radius + 0.03);
        (free && suits(at)).then_some(at)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::rng;

    #[test]
    fn the_rule_gives_back_the_grade() {
        for seed in 0..500 {
            for grade in Grade::ALL {
                let mut rng = rng(seed, &[grade as u64]);
                let eye = Eye::new(&mut rng);
                let lesions = plan(&eye, grade, &mut rng);
                assert_eq!(Grade::of(&eye, &lesions), grade, "seed {seed}: {lesions:?}");
            }
        }
    }

    #[test]
    fn a_count_alone_does_not_tell_moderate_from_severe() {
        let bleeding = |grade: Grade, seed: u64| {
            let mut rng = rng(seed, &[grade as u64]);
            let eye = Eye::new(&mut rng);
            let lesions = plan(&eye, grade, &mut rng);
            lesions
                .iter()
                .filter(|lesion| lesion.kind == LesionKind::Haemorrhage)
                .count()
        };
        let most = (0..200).map(|seed| bleeding(Grade::Moderate, seed)).max();
        let fewest = (0..200).map(|seed| bleeding(Grade::Severe, seed)).min();
        assert!(most > fewest, "{most:?} {fewest:?}");
    }
}
