//! The written rule from lesions to grade.

use super::anatomy::Eye;
use crate::drawing::{Point, distance};

/// Severity of the disease in a drawn eye, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Grade {
    Healthy,
    Mild,
    Moderate,
    Severe,
}

impl Grade {
    /// All grades; the index is the class label.
    pub(crate) const ALL: [Self; 4] = [Self::Healthy, Self::Mild, Self::Moderate, Self::Severe];

    /// The rule of the module documentation. Spots of an exudate that lie together count one by one.
    pub(crate) fn of(eye: &Eye, lesions: &[Lesion]) -> Self {
        let has = |kind: LesionKind| lesions.iter().any(|lesion| lesion.kind == kind);
        let mut bleeding_quadrants = [false; 4];
        for lesion in lesions
            .iter()
            .filter(|lesion| lesion.kind == LesionKind::Haemorrhage)
        {
            bleeding_quadrants[eye.quadrant(lesion.centre)] = true;
        }
        let macular_exudate = lesions.iter().any(|lesion| {
            lesion.kind == LesionKind::Exudate && distance(lesion.centre, eye.fovea) < Eye::MACULA
        });
        match () {
            () if macular_exudate || bleeding_quadrants == [true; 4] => Self::Severe,
            () if has(LesionKind::Haemorrhage) || has(LesionKind::Exudate) => Self::Moderate,
            () if has(LesionKind::Microaneurysm) => Self::Mild,
            () => Self::Healthy,
        }
    }
}

/// What a lesion is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LesionKind {
    /// A tiny round dark-red dot.
    Microaneurysm,
    /// A larger dark-red blot of irregular outline, or a flame along the nerve fibres.
    Haemorrhage,
    /// A small, sharp, bright yellow spot, one of a group.
    Exudate,
}

/// One lesion, in the eye's own coordinates (see [`Eye`]).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lesion {
    pub(crate) kind: LesionKind,
    pub(crate) centre: Point,
    pub(crate) radius: f32,
    /// Lesions that are one to a reader, the spots of an exudate, share a number.
    pub(crate) group: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn eye() -> Eye {
        Eye {
            fovea: [0.0, 0.0],
            disc: [0.55, 0.0],
            disc_radius: 0.13,
        }
    }

    fn lesion(kind: LesionKind, x: f32, y: f32) -> Lesion {
        Lesion {
            kind,
            centre: [x, y],
            radius: 0.04,
            group: 0,
        }
    }

    #[test]
    fn kind_number_and_place_decide() {
        use LesionKind::{Exudate, Haemorrhage, Microaneurysm};
        let grade = |lesions: &[Lesion]| Grade::of(&eye(), lesions);
        assert_eq!(grade(&[]), Grade::Healthy);
        assert_eq!(grade(&[lesion(Microaneurysm, 0.1, 0.1); 9]), Grade::Mild);
        assert_eq!(
            grade(&[lesion(Haemorrhage, 0.4, 0.4); 9]),
            Grade::Moderate,
            "one quadrant, however many"
        );
        assert_eq!(
            grade(&[lesion(Exudate, 0.5, 0.5)]),
            Grade::Moderate,
            "outside the macula"
        );
        assert_eq!(
            grade(&[lesion(Exudate, 0.1, -0.1)]),
            Grade::Severe,
            "inside the macula"
        );
        let corners = [[0.4, 0.4], [0.4, -0.4], [-0.4, 0.4], [-0.4, -0.4]];
        let four = corners.map(|[x, y]| lesion(Haemorrhage, x, y));
        assert_eq!(grade(&four), Grade::Severe, "all four quadrants");
        assert_eq!(grade(&four[..3]), Grade::Moderate, "three quadrants");
    }
}
