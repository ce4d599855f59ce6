//! Which points of a detection head are to find which object (FCOS, Tian et al. 2019, with centre sampling).

use vpt_core::heads::Point;

/// Points count for an object up to so many strides from its centre.
const RADIUS: f32 = 1.5;

/// The longest way from a point to an edge of its object, in strides of its level; longer ones are left to the next level, shorter ones than
/// half of it to the one before.
const LONGEST: f32 = 8.0;

/// An object of a picture as training sees it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Target {
    /// Its class; of what is to be left alone, `None`.
    pub class: Option<usize>,
    /// Left, upper, right and lower edge in pixels of the input.
    pub bbox: [f32; 4],
}

/// What a point is to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// That nothing is there.
    Background,
    /// Anything: a crowd is there.
    Ignored,
    /// That it sees this object, by its position in the list.
    Finds(usize),
}

/// The role of each point. Every object has at least one point, unless others take all that lie near.
pub fn assign(points: &[Point], objects: &[Target]) -> Vec<Role> {
    let mut roles = vec![Role::Background; points.len()];
    for object in objects.iter().filter(|object| object.class.is_none()) {
        for (role, point) in roles.iter_mut().zip(points) {
            if reach(point, &object.bbox).iter().all(|&side| side > 0.0) {
                *role = Role::Ignored;
            }
        }
    }
    let last = points.iter().map(|point| point.level).max().unwrap_or(0);
    // Large ones first: where objects overlap, the smaller one has the point.
    let mut order: Vec<usize> = (0..objects.len())
        .filter(|&object| objects[object].class.is_some())
        .collect();
    order.sort_by(|&a, &b| area(&objects[b].bbox).total_cmp(&area(&objects[a].bbox)));
    for &object in &order {
        for (role, point) in roles.iter_mut().zip(points) {
            if is_for(point, &objects[object].bbox, last) {
                *role = Role::Finds(object);
            }
        }
    }
    for &object in &order {
        if !roles.contains(&Role::Finds(object)) {
            let free = |&index: &usize| !matches!(roles[index], Role::Finds(_));
            let nearest = (0..points.len()).filter(free).min_by(|&a, &b| {
                let away = |index: usize| misfit(&points[index], &objects[object].bbox);
                away(a).total_cmp(&away(b))
            });
            if let Some(nearest) = nearest {
                roles[nearest] = Role::Finds(object);
            }
        }
    }
    roles
}

/// From a point to the left, upper, right and lower edge of a box, in strides; negative where the point lies beyond.
pub fn reach(point: &Point, bbox: &[f32; 4]) -> [f32; 4] {
    [
        point.x - bbox[0],
        point.y - bbox[1],
        bbox[2] - point.x,
        bbox[3] - point.y,
    ]
    .map(|side| side / point.stride)
}

fn is_for(point: &Point, bbox: &[f32; 4], last: usize) -> bool {
    let sides = reach(point, bbox);
    let longest = sides.iter().copied().fold(f32::MIN, f32::max);
    let shortest = sides.iter().copied().fold(f32::MAX, f32::min);
    let fits = (point.level == 0 || longest > LONGEST / 2.0) && (point.level == last || longest <= LONGEST);
    shortest > 0.0 && fits && off_centre(point, bbox) <= RADIUS
}

/// How far a point is from the centre of a box on the worse axis, in strides.
fn off_centre(point: &Point, bbox: &[f32; 4]) -> f32 {
    let [x, y] = centre(bbox);
    ((point.x - x).abs()).max((point.y - y).abs()) / point.stride
}

/// How ill a point suits an object that no point is made for: small, or between two levels. Far from the centre is bad, as is another
/// size of stride than one that reaches the edges in a few steps.
fn misfit(point: &Point, bbox: &[f32; 4]) -> f32 {
    let longest = (bbox[2] - bbox[0]).max(bbox[3] - bbox[1]) / 2.0;
    let steps = (longest / point.stride).max(1e-3);
    off_centre(point, bbox) + (steps / (LONGEST / 2.0)).ln().abs()
}

fn centre(bbox: &[f32; 4]) -> [f32; 2] {
    [f32::midpoint(bbox[0], bbox[2]), f32::midpoint(bbox[1], bbox[3])]
}

fn area(bbox: &[f32; 4]) -> f32 {
    (bbox[2] - bbox[0]) * (bbox[3] - bbox[1])
}

#[cfg(test)]
mod tests {
    use super::*;
    use vpt_core::heads::DetectionHead;

    fn points() -> Vec<Point> {
        DetectionHead::points([8, 8], [16, 16])
    }

    fn object(class: usize, bbox: [f32; 4]) -> Target {
        Target {
            class: Some(class),
            bbox,
        }
    }

    fn found(roles: &[Role], object: usize) -> Vec<usize> {
        let of = |(index, role): (usize, &Role)| (*role == Role::Finds(object)).then_some(index);
        roles.iter().enumerate().filter_map(of).collect()
    }

    #[test]
    fn objects_are_found_where_their_size_belongs() {
        let points = points();
        for (size, level) in [(30.0, 0), (96.0, 0), (128.0, 1)] {
            let bbox = [0.0, 0.0, size, size];
            let roles = assign(&points, &[object(0, bbox)]);
            let found = found(&roles, 0);
            assert!(!found.is_empty());
            let levels: Vec<usize> = found.iter().map(|&index| points[index].level).collect();
            assert!(levels.contains(&level), "{size}: {levels:?}");
            for index in found {
                let sides = reach(&points[index], &bbox);
                assert!(sides.iter().all(|&side| side > 0.0 && side <= 16.0), "{sides:?}");
            }
        }
    }

    #[test]
    fn the_smaller_of_two_has_the_point_and_tiny_ones_have_one() {
        let points = points();
        let objects = [
            object(0, [4.0, 4.0, 44.0, 44.0]),
            object(1, [18.0, 18.0, 30.0, 30.0]),
            object(2, [100.5, 100.5, 101.0, 101.0]),
        ];
        let roles = assign(&points, &objects);
        for index in 0..3 {
            assert!(!found(&roles, index).is_empty(), "object {index}");
        }
        let middle = points
            .iter()
            .position(|point| (point.x, point.y, point.level) == (28.0, 28.0, 0))
            .unwrap();
        assert_eq!(roles[middle], Role::Finds(1));
        assert_eq!(points[found(&roles, 2)[0]].level, 0);
    }

    #[test]
    fn crowds_are_left_alone_but_for_the_objects_in_them() {
        let points = points();
        let crowd = Target {
            class: None,
            bbox: [0.0, 0.0, 64.0, 64.0],
        };
        let roles = assign(&points, &[object(0, [10.0, 10.0, 40.0, 40.0]), crowd]);
        assert!(!found(&roles, 0).is_empty());
        let at = |x: f32, y: f32| {
            let index = points
                .iter()
                .position(|point| (point.x, point.y) == (x, y))
                .unwrap();
            roles[index]
        };
        assert_eq!(at(60.0, 60.0), Role::Ignored);
        assert_eq!(at(100.0, 100.0), Role::Background);
    }

    #[test]
    fn no_object_is_all_background() {
        assert!(
            assign(&points(), &[])
                .iter()
                .all(|role| *role == Role::Background)
        );
        assert!(assign(&[], &[object(0, [0.0, 0.0, 1.0, 1.0])]).is_empty());
    }
}
