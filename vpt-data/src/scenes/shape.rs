//! Outlines of objects.

use crate::drawing::{Mask, Point, distance, edge};
use std::f32::consts::{FRAC_PI_2, PI, TAU};

/// What an object looks like from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    Circle,
    Square,
    Triangle,
    Pentagon,
    Star,
    Cross,
    Ring,
    Crescent,
    Heart,
    Arrow,
}

impl Shape {
    pub(super) const ALL: [Self; 10] = [
        Self::Circle,
        Self::Square,
        Self::Triangle,
        Self::Pentagon,
        Self::Star,
        Self::Cross,
        Self::Ring,
        Self::Crescent,
        Self::Heart,
        Self::Arrow,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Circle => "circle",
            Self::Square => "square",
            Self::Triangle => "triangle",
            Self::Pentagon => "pentagon",
            Self::Star => "star",
            Self::Cross => "cross",
            Self::Ring => "ring",
            Self::Crescent => "crescent",
            Self::Heart => "heart",
            Self::Arrow => "arrow",
        }
    }

    /// Adds the shape to a mask; it fits into the circle of `radius` about `centre` and is turned by `angle`.
    pub(super) fn draw(self, mask: &mut Mask, centre: Point, radius: f32, angle: f32) {
        let place = |[x, y]: Point| {
            let (sin, cos) = angle.sin_cos();
            [
                centre[0] + radius * (x * cos - y * sin),
                centre[1] + radius * (x * sin + y * cos),
            ]
        };
        match self {
            Self::Circle => mask.disc(centre, radius, 1.0),
            Self::Ring => mask.stamp(centre, radius + 1.0, |p| {
                edge((distance(p, centre) - radius * 0.78).abs() - radius * 0.22, 1.0)
            }),
            Self::Crescent => {
                let bite = place([0.45, 0.0]);
                mask.stamp(centre, radius + 1.0, |p| {
                    let outer = distance(p, centre) - radius;
                    let inner = radius * 0.8 - distance(p, bite);
                    edge(outer.max(inner), 1.0)
                });
            }
            _ => mask.polygon(&self.corners().into_iter().map(place).collect::<Vec<_>>()),
        }
    }

    /// Corners within the unit circle.
    fn corners(self) -> Vec<Point> {
        match self {
            Self::Triangle => around(3, |_| 1.0),
            Self::Square => around(4, |_| 1.0),
            Self::Pentagon => around(5, |_| 1.0),
            Self::Star => around(10, |i| if i % 2 == 0 { 1.0 } else { 0.42 }),
            Self::Cross => {
                let (arm, wide) = (0.95, 0.3);
                (0..4)
                    .flat_map(|side| {
                        let (sin, cos) = (side as f32 * FRAC_PI_2).sin_cos();
                        [[arm, -wide], [arm, wide], [wide, wide]]
                            .map(|[x, y]| [x * cos - y * sin, x * sin + y * cos])
                    })
                    .collect()
            }
            Self::Heart => (0..40)
                .map(|i| {
                    let t = i as f32 / 40.0 * TAU;
                    let y = 13.0 * t.cos() - 5.0 * (2.0 * t).cos() - 2.0 * (3.0 * t).cos() - (4.0 * t).cos();
                    [16.0 * t.sin().powi(3) / 17.0, -(y + 2.5) / 17.0]
                })
                .collect(),
            Self::Arrow => {
                vec![
                    [1.0, 0.0],
                    [0.1, 0.75],
                    [0.1, 0.28],
                    [-0.95, 0.28],
                    [-0.95, -0.28],
                    [0.1, -0.28],
                    [0.1, -0.75],
                ]
            }
            Self::Circle | Self::Ring | Self::Crescent => around(48, |_| 1.0),
        }
    }
}

/// `number` corners evenly around the origin at distance `reach(i)`, the first one up.
fn around(number: usize, reach: impl Fn(usize) -> f32) -> Vec<Point> {
    (0..number)
        .map(|i| {
            let (sin, cos) = (i as f32 / number as f32 * TAU - PI / 2.0).sin_cos();
            [cos * reach(i), sin * reach(i)]
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_stay_in_their_circle_and_differ_in_area() {
        let mut areas = Vec::new();
        for shape in Shape::ALL {
            for angle in [0.0, 0.7, 2.0] {
                let mut mask = Mask::new(64, 64);
                shape.draw(&mut mask, [32.0, 32.0], 20.0, angle);
                let area = mask.area();
                assert!((250.0..1300.0).contains(&area), "{shape:?} {area}");
                areas.push(area);
                let mut circle = Mask::new(64, 64);
                circle.disc([32.0, 32.0], 21.5, 1.0);
                assert!(mask.overlap(&circle) > area * 0.995, "{shape:?} sticks out");
            }
        }
    }
}
