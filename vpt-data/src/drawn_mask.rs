//! [`DrawnMask`]: the class of each pixel of a picture, drawn from the outlines of its objects when it is asked for.

use crate::{ClassMask, Mask, Object, Objects, decode};
use serde::{Deserialize, Serialize};
use std::cmp::Reverse;

/// A mask that lies in no file: the outlines of objects, from which it is drawn.
///
/// What no object covers is background. Of objects that overlap the one of fewer pixels lies on top, of equal ones the later. A crowd
/// lies beneath all others, and what is left of it is ignored: it is not said which of its pixels are of the class.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub(crate) struct DrawnMask {
    /// Width and height of the picture as shown.
    size: [u32; 2],
    /// The class of what no object covers.
    background: usize,
    /// Those without an outline cover nothing.
    objects: Objects,
    /// Each class that may occur, once, in ascending order.
    classes: Vec<usize>,
}

/// [`DrawnMask`] as it is written.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    size: [u32; 2],
    background: usize,
    outlines: Vec<Object>,
}

impl DrawnMask {
    /// The mask of a picture that can be decoded, `[width, height]`; classes are below [`Mask::MAX_CLASSES`]. A picture of no
    /// size has no mask.
    pub fn new(size: [u32; 2], background: usize, objects: Objects) -> Self {
        let all = objects.as_slice().iter();
        let shown = all.filter(|object| !object.crowd && object.outline.is_some());
        let mut classes: Vec<usize> = shown.map(|object| object.class).collect();
        if size != [0; 2] {
            classes.push(background);
        }
        classes.sort_unstable();
        classes.dedup();
        Self {
            size,
            background,
            objects,
            classes,
        }
    }

    /// Each class that may occur, once, in ascending order: background, and those of objects, which others may hide.
    pub fn classes(&self) -> &[usize] {
        &self.classes
    }

    /// The class of each pixel.
    pub fn draw(&self) -> ClassMask {
        let [width, height] = self.size;
        let byte = |class: usize| u8::try_from(class).unwrap_or(Mask::IGNORED);
        let mut classes = vec![byte(self.background); width as usize * height as usize];
        let mut shapes: Vec<_> = self
            .objects
            .as_slice()
            .iter()
            .filter_map(|object| Some((object, object.outline.as_ref()?.run_lengths(self.size))))
            .collect();
        shapes.sort_by_cached_key(|(object, shape)| (!object.crowd, Reverse(shape.area())));
        for (object, shape) in shapes {
            let class = if object.crowd {
                Mask::IGNORED
            } else {
                byte(object.class)
            };
            shape.for_each(|pixel| classes[pixel] = class);
        }
        ClassMask {
            width,
            height,
            classes,
        }
    }

    /// The same where class `i` is called `places[i]`.
    pub fn moved(&self, places: &[usize]) -> Self {
        Self::new(self.size, places[self.background], self.objects.moved(places))
    }

    /// What stands for it in a fingerprint.
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes: Vec<u8> = self.size.iter().flat_map(|edge| edge.to_le_bytes()).collect();
        let numbers = [self.background, self.objects.as_slice().len()];
        bytes.extend(numbers.iter().flat_map(|&number| (number as u64).to_le_bytes()));
        for object in self.objects.as_slice() {
            object.write_bytes(&mut bytes);
        }
        bytes
    }
}

impl TryFrom<Written> for DrawnMask {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        let [width, height] = written.size;
        decode::check_size("the mask", width, height).map_err(|error| error.to_string())?;
        let classes = written.outlines.iter().map(|object| object.class);
        match classes.chain([written.background]).max() {
            Some(class) if class >= Mask::MAX_CLASSES => Err(format!(
                "the class {class}, expected less than {}",
                Mask::MAX_CLASSES
            )),
            _ => Ok(Self::new(
                written.size,
                written.background,
                Objects::new(written.outlines),
            )),
        }
    }
}

impl From<DrawnMask> for Written {
    fn from(mask: DrawnMask) -> Self {
        Self {
            size: mask.size,
            background: mask.background,
            outlines: mask.objects.as_slice().to_vec(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Outline, PixelBox};

    /// A rectangle of whole pixels.
    fn object(class: usize, [x0, y0, x1, y1]: [f64; 4]) -> Object {
        let corners = vec![[x0, y0], [x1, y0], [x1, y1], [x0, y1]];
        Object {
            outline: Some(Outline::Polygons(vec![corners])),
            ..Object::new(class, PixelBox::new(x0, y0, x1, y1).unwrap())
        }
    }

    fn mask(objects: &[Object]) -> DrawnMask {
        DrawnMask::new([4, 2], 0, Objects::new(objects.to_vec()))
    }

    #[test]
    fn the_smaller_one_lies_on_top_and_the_later_of_equal_ones() {
        let large = Object {
            area: 0.5,
            ..object(1, [0.0, 0.0, 3.0, 2.0])
        };
        let small = object(2, [1.0, 0.0, 2.0, 2.0]);
        for objects in [[large.clone(), small.clone()], [small, large]] {
            assert_eq!(
                mask(&objects).draw().classes,
                [1, 2, 1, 0, 1, 2, 1, 0],
                "by pixels, whatever the file says of areas"
            );
        }
        let [one, other] = [1, 2].map(|class| object(class, [0.0, 0.0, 2.0, 1.0]));
        assert_eq!(mask(&[one, other]).draw().classes, [2, 2, 0, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn crowds_lie_beneath_and_are_ignored() {
        let crowd = Object {
            crowd: true,
            ..object(1, [0.0, 0.0, 1.0, 2.0])
        };
        let drawn = mask(&[
            object(2, [0.0, 1.0, 4.0, 2.0]),
            crowd,
            Object::new(3, PixelBox::of_picture([4, 2])),
        ]);
        assert_eq!(drawn.draw().classes, [255, 0, 0, 0, 2, 2, 2, 2]);
        assert_eq!(
            drawn.classes(),
            [0, 2],
            "neither that of the crowd nor of what has no outline"
        );
    }

    #[test]
    fn it_is_written_read_and_turned() {
        let drawn = mask(&[object(1, [0.0, 0.0, 3.0, 2.0])]);
        let text = serde_json::to_string(&drawn).unwrap();
        assert_eq!(serde_json::from_str::<DrawnMask>(&text).unwrap(), drawn);
        for damaged in [
            text.replace("[4,2]", "[4000000000,4000000000]"),
            text.replace("\"class\":1", "\"class\":255"),
            text.replace("\"background\":0", "\"background\":900"),
        ] {
            assert!(damaged != text && serde_json::from_str::<DrawnMask>(&damaged).is_err());
        }
        let turned = drawn.moved(&[1, 0]);
        assert_eq!(turned.draw().classes, [0, 0, 0, 1, 0, 0, 0, 1]);
        assert_eq!(turned.classes(), drawn.classes());
        assert_ne!(turned.bytes(), drawn.bytes());
        let nothing = DrawnMask::new([0; 2], 0, Objects::default());
        assert!(nothing.draw().classes.is_empty() && nothing.classes().is_empty());
    }
}
