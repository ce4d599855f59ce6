//! The classes: what a picture shows.

use super::shape::Shape;
use super::texture::Texture;

/// What a picture shows; the class is decided by this and nothing else.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Scene {
    /// One large object of this outline and cover.
    Object(Shape, Texture),
    /// So many small objects, among others that do not count.
    Count { counted: Shape, number: usize },
    /// One object of another shape than the rest, in this quadrant (0..4: left to right, then down).
    OddOneOut {
        rest: Shape,
        odd: Shape,
        quadrant: usize,
    },
    /// A soft grating turned by this many eighths of half a turn.
    Grating { eighths: usize },
    /// A circle and a square, placed so.
    Pair(Relation),
    /// One texture all over.
    Field(Texture),
    /// A ring with a gap in this direction (0..4: right, down, left, up).
    Gap(usize),
    /// A spiral, seen from inside out: clockwise or not.
    Spiral { clockwise: bool },
    /// A wavy line with so many waves.
    Wave { periods: usize },
}

/// Where the circle is, as seen from the square.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Relation {
    Left,
    Right,
    Above,
    Below,
    Inside,
    Around,
}

impl Relation {
    const ALL: [(Self, &'static str); 6] = [
        (Self::Left, "left-of"),
        (Self::Right, "right-of"),
        (Self::Above, "above"),
        (Self::Below, "below"),
        (Self::Inside, "inside"),
        (Self::Around, "around"),
    ];
}

impl Scene {
    /// Every class with its name, in natural order, which is that of the labels of the opened folder.
    pub(super) fn all() -> Vec<(String, Self)> {
        let mut all = Vec::new();
        for shape in Shape::ALL {
            for cover in Texture::COVERS {
                all.push((
                    format!("object-{}-{}", shape.name(), cover.name()),
                    Self::Object(shape, cover),
                ));
            }
        }
        for counted in [Shape::Circle, Shape::Cross] {
            for number in 1..=6 {
                all.push((
                    format!("count-{}-{number}", counted.name()),
                    Self::Count { counted, number },
                ));
            }
        }
        for (rest, odd) in [(Shape::Circle, Shape::Triangle), (Shape::Square, Shape::Star)] {
            for (quadrant, place) in ["upper-left", "upper-right", "lower-left", "lower-right"]
                .iter()
                .enumerate()
            {
                all.push((
                    format!("odd-{}-{place}", odd.name()),
                    Self::OddOneOut { rest, odd, quadrant },
                ));
            }
        }
        all.extend((0..8).map(|eighths| (format!("grating-{eighths}"), Self::Grating { eighths })));
        all.extend(
            Relation::ALL.map(|(relation, name)| (format!("circle-{name}-square"), Self::Pair(relation))),
        );
        all.extend(
            Texture::FIELDS.map(|texture| (format!("field-{}", texture.name()), Self::Field(texture))),
        );
        let gaps = ["right", "down", "left", "up"].iter().enumerate();
        all.extend(gaps.map(|(side, name)| (format!("gap-{name}"), Self::Gap(side))));
        all.push(("spiral-clockwise".into(), Self::Spiral { clockwise: true }));
        all.push(("spiral-anticlockwise".into(), Self::Spiral { clockwise: false }));
        all.extend((2..=4).map(|periods| (format!("wave-{periods}"), Self::Wave { periods })));
        all.sort_by(|(a, _), (b, _)| natord::compare(a, b));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_distinct() {
        let all = Scene::all();
        let names: std::collections::BTreeSet<_> = all.iter().map(|(name, _)| name.clone()).collect();
        assert_eq!(names.len(), all.len());
        assert!((60..=100).contains(&all.len()), "{}", all.len());
        for (i, (name, scene)) in all.iter().enumerate() {
            assert!(all[..i].iter().all(|(_, other)| other != scene), "{name} twice");
        }
    }
}
