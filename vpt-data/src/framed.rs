//! [`Framed`]: what is where in a picture as a model sees it.

use crate::{DataError, Framing, Label};

/// Of an object that is cut by the edge, the part that must be seen for it still to be one.
const SEEN: f64 = 0.25;

/// How a picture lies in the input, and what is where.
#[derive(Clone, Debug, PartialEq)]
pub struct Framed {
    /// How it lies there.
    pub framing: Framing,
    /// What is where.
    pub places: Places,
}

/// What is where, in pixels of the input.
#[derive(Clone, Debug, PartialEq)]
pub enum Places {
    /// Nothing is known.
    Unknown,
    /// Objects, cut at the edge; those of which little is seen are left out.
    Objects(Vec<FramedObject>),
    /// The class of each pixel, row by row; [`Mask::IGNORED`](crate::Mask::IGNORED) where there is none.
    Mask(Vec<u8>),
}

/// An object in the input.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FramedObject {
    /// Its class; `None` for what is to be left alone: a crowd, what is too hard to be asked for, or hardly to be seen.
    pub class: Option<usize>,
    /// Left, upper, right and lower edge.
    pub bbox: [f32; 4],
}

impl Framed {
    /// What `label` says of a picture that lies in an input of `size` (`[height, width]`) like that.
    ///
    /// # Errors
    /// Of a mask that cannot be read.
    pub fn new(label: &Label, framing: Framing, [height, width]: [usize; 2]) -> Result<Self, DataError> {
        let places = match label {
            Label::One(_) | Label::Many(_) => Places::Unknown,
            Label::Mask(mask) => Places::Mask(framing.mask(&mask.read()?)),
            Label::Objects(objects) => Places::Objects(
                objects
                    .as_slice()
                    .iter()
                    .filter_map(|object| {
                        let whole = framing.to_input(&object.bbox);
                        let seen = whole.clip([width as u32, height as u32])?;
                        let is_seen = seen.area() >= SEEN * whole.area();
                        let class = (is_seen && !object.crowd && !object.difficult).then_some(object.class);
                        let bbox = seen.edges().map(|edge| edge as f32);
                        (seen.area() > 0.0).then_some(FramedObject { class, bbox })
                    })
                    .collect(),
            ),
        };
        Ok(Self { framing, places })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Object, Objects, PixelBox};

    #[test]
    fn objects_are_cut_at_the_edge_and_what_is_hardly_seen_is_left_alone() {
        let object = |edges: [f64; 4]| Object::new(1, PixelBox::try_from(edges).unwrap());
        let crowd = Object {
            crowd: true,
            ..object([0.0, 0.0, 20.0, 20.0])
        };
        let label = Label::Objects(Objects::new(vec![
            object([10.0, 10.0, 30.0, 30.0]),
            object([0.0, 0.0, 22.0, 100.0]),
            object([80.0, 80.0, 100.0, 100.0]),
            crowd,
        ]));
        // Twice as large: the right lower quarter, from (0, 0) on, is lost.
        let framing = Framing::zoomed([100, 100], [100, 100], 2.0, [0.0, 0.0]);
        let framed = Framed::new(&label, framing, [100, 100]).unwrap();
        let Places::Objects(objects) = framed.places else {
            panic!("{:?}", framed.places);
        };
        let expected = [
            (Some(1), [20.0, 20.0, 60.0, 60.0]),
            (Some(1), [0.0, 0.0, 44.0, 100.0]),
            (None, [0.0, 0.0, 40.0, 40.0]),
        ];
        let found: Vec<_> = objects.iter().map(|object| (object.class, object.bbox)).collect();
        assert_eq!(found, expected);
        let framing = Framing::zoomed([100, 100], [100, 100], 2.0, [0.15, 0.5]);
        let framed = Framed::new(&label, framing, [100, 100]).unwrap();
        let Places::Objects(objects) = framed.places else {
            panic!("{:?}", framed.places);
        };
        // (10, 10) to (30, 30) lies from 5 to 45 and from -30 to 10: a quarter is seen.
        assert_eq!(objects[0].bbox, [5.0, 0.0, 45.0, 10.0]);
        assert_eq!(objects[0].class, Some(1));
    }
}
