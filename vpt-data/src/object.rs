//! [`Object`]: one thing in a picture, with the [`PixelBox`] around it.

use crate::Outline;
use serde::{Deserialize, Serialize};
use std::hash::{Hash, Hasher};

/// A rectangle in pixels of the original picture, as shown (after the Exif orientation): edges, not centres of pixels, so that
/// a picture of width w reaches from 0 to w.
///
/// Edges are finite, and the far ones are not before the near ones. In JSON it is `[x0, y0, x1, y1]`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "[f64; 4]", into = "[f64; 4]")]
pub struct PixelBox {
    x0: f64,
    y0: f64,
    x1: f64,
    y1: f64,
}

impl PixelBox {
    /// The box between these edges: left, top, right, bottom. `None` if one is not finite, or right is left of left, or bottom above top.
    pub fn new(x0: f64, y0: f64, x1: f64, y1: f64) -> Option<Self> {
        let finite = [x0, y0, x1, y1].iter().all(|edge| edge.is_finite());
        // Adding zero turns -0 into 0, so that equal boxes have equal bits.
        let [x0, y0, x1, y1] = [x0, y0, x1, y1].map(|edge| edge + 0.0);
        (finite && x0 <= x1 && y0 <= y1).then_some(Self { x0, y0, x1, y1 })
    }

    /// The smallest box around points; `None` without any, or if one is not finite.
    pub fn around(points: impl IntoIterator<Item = [f64; 2]>) -> Option<Self> {
        let mut points = points.into_iter();
        let [x, y] = points.next()?;
        points.try_fold(Self::new(x, y, x, y)?, |all, [x, y]| {
            if !x.is_finite() || !y.is_finite() {
                return None;
            }
            Self::new(all.x0.min(x), all.y0.min(y), all.x1.max(x), all.y1.max(y))
        })
    }

    /// All of a picture.
    pub fn of_picture([width, height]: [u32; 2]) -> Self {
        Self {
            x0: 0.0,
            y0: 0.0,
            x1: width.into(),
            y1: height.into(),
        }
    }

    /// Left edge.
    pub fn x0(&self) -> f64 {
        self.x0
    }

    /// Top edge.
    pub fn y0(&self) -> f64 {
        self.y0
    }

    /// Right edge.
    pub fn x1(&self) -> f64 {
        self.x1
    }

    /// Bottom edge.
    pub fn y1(&self) -> f64 {
        self.y1
    }

    /// Left, top, right, bottom.
    pub fn edges(&self) -> [f64; 4] {
        [self.x0, self.y0, self.x1, self.y1]
    }

    /// Pixels across.
    pub fn width(&self) -> f64 {
        self.x1 - self.x0
    }

    /// Pixels down.
    pub fn height(&self) -> f64 {
        self.y1 - self.y0
    }

    /// Square pixels.
    pub fn area(&self) -> f64 {
        self.width() * self.height()
    }

    /// What two boxes share; `None` if they do not touch.
    pub fn intersection(&self, other: &Self) -> Option<Self> {
        Self::new(
            self.x0.max(other.x0),
            self.y0.max(other.y0),
            self.x1.min(other.x1),
            self.y1.min(other.y1),
        )
    }

    /// Intersection over union, 0 to 1; 0 where both have no area.
    pub fn iou(&self, other: &Self) -> f64 {
        let shared = self.intersection(other).map_or(0.0, |shared| shared.area());
        let union = self.area() + other.area() - shared;
        if union > 0.0 { shared / union } else { 0.0 }
    }

    /// The part that lies within a picture of that width and height; `None` if it lies outside.
    pub fn clip(&self, size: [u32; 2]) -> Option<Self> {
        self.intersection(&Self::of_picture(size))
    }

    fn bits(&self) -> [u64; 4] {
        self.edges().map(f64::to_bits)
    }
}

impl Eq for PixelBox {}

impl Hash for PixelBox {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.bits().hash(state);
    }
}

impl TryFrom<[f64; 4]> for PixelBox {
    type Error = String;

    fn try_from(edges: [f64; 4]) -> Result<Self, String> {
        let [x0, y0, x1, y1] = edges;
        Self::new(x0, y0, x1, y1)
            .ok_or_else(|| format!("{edges:?} is no box, expected left, top, right, bottom in pixels"))
    }
}

impl From<PixelBox> for [f64; 4] {
    fn from(of: PixelBox) -> Self {
        of.edges()
    }
}

/// One thing in a picture.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Object {
    /// Its class, an index into [`Dataset::classes`](crate::Dataset::classes).
    pub class: usize,
    /// What it fills, within the picture.
    pub bbox: PixelBox,
    /// Whether it is a crowd of such things (COCO's `iscrowd`), to be found neither right nor wrong.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub crowd: bool,
    /// Its area in square pixels of the original picture: what a COCO file says, else the box's. It decides whether the object is
    /// small, medium or large.
    pub area: f64,
    /// Whether it is too hard to be asked for (Pascal VOC's `difficult`).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub difficult: bool,
    /// Its exact shape, where the data set says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outline: Option<Outline>,
}

impl Object {
    /// An object of which only the box is known.
    pub fn new(class: usize, bbox: PixelBox) -> Self {
        Self {
            class,
            bbox,
            crowd: false,
            area: bbox.area(),
            difficult: false,
            outline: None,
        }
    }

    /// Small, medium or large, by its area.
    pub fn size(&self) -> ObjectSize {
        ObjectSize::of(self.area)
    }

    /// All that is compared, with numbers as bits.
    fn key(&self) -> (usize, PixelBox, bool, u64, bool, Option<&Outline>) {
        (
            self.class,
            self.bbox,
            self.crowd,
            self.area.to_bits(),
            self.difficult,
            self.outline.as_ref(),
        )
    }

    /// The bytes that stand for it in a fingerprint.
    pub(crate) fn write_bytes(&self, bytes: &mut Vec<u8>) {
        let numbers = [self.class as u64, self.area.to_bits()];
        for number in numbers.into_iter().chain(self.bbox.bits()) {
            bytes.extend(number.to_le_bytes());
        }
        bytes.extend([self.crowd, self.difficult, self.outline.is_some()].map(u8::from));
        if let Some(outline) = &self.outline {
            outline.write_bytes(bytes);
        }
    }
}

impl PartialEq for Object {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Object {}

impl Hash for Object {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key().hash(state);
    }
}

/// COCO's classes of size, by the area in the original picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ObjectSize {
    /// Less than 32 x 32 pixels.
    Small,
    /// Less than 96 x 96 pixels.
    Medium,
    /// More.
    Large,
}

impl ObjectSize {
    /// Of an area in square pixels.
    pub fn of(area: f64) -> Self {
        match area {
            area if area < 32.0 * 32.0 => Self::Small,
            area if area < 96.0 * 96.0 => Self::Medium,
            _ => Self::Large,
        }
    }
}

/// The objects of a picture, perhaps none, in the order of the data set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "Listed", into = "Listed")]
pub struct Objects {
    objects: Vec<Object>,
    /// Each class that occurs, once, in ascending order.
    classes: Vec<usize>,
}

/// [`Objects`] as they are written.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Listed {
    objects: Vec<Object>,
}

impl Objects {
    /// These objects.
    pub fn new(objects: Vec<Object>) -> Self {
        let mut classes: Vec<usize> = objects.iter().map(|object| object.class).collect();
        classes.sort_unstable();
        classes.dedup();
        Self { objects, classes }
    }

    /// All of them.
    pub fn as_slice(&self) -> &[Object] {
        &self.objects
    }

    /// Each class that occurs, once, in ascending order.
    pub fn classes(&self) -> &[usize] {
        &self.classes
    }

    /// The same where class `i` is called `places[i]`.
    pub(crate) fn moved(&self, places: &[usize]) -> Self {
        let mut objects = self.objects.clone();
        for object in &mut objects {
            object.class = places[object.class];
        }
        Self::new(objects)
    }
}

impl From<Listed> for Objects {
    fn from(listed: Listed) -> Self {
        Self::new(listed.objects)
    }
}

impl From<Objects> for Listed {
    fn from(objects: Objects) -> Self {
        Self {
            objects: objects.objects,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bbox(edges: [f64; 4]) -> PixelBox {
        PixelBox::try_from(edges).unwrap()
    }

    #[test]
    fn boxes_are_finite_and_the_right_way_round() {
        assert!(PixelBox::new(0.0, 0.0, f64::NAN, 1.0).is_none());
        assert!(PixelBox::new(0.0, 0.0, f64::INFINITY, 1.0).is_none());
        assert!(PixelBox::new(2.0, 0.0, 1.0, 1.0).is_none());
        assert!(PixelBox::new(1.0, 2.0, 1.0, 2.0).is_some(), "of no area");
        assert!(serde_json::from_str::<PixelBox>("[3, 0, 1, 1]").is_err());
        assert_eq!(
            serde_json::to_string(&bbox([1.0, 2.0, 3.0, 4.5])).unwrap(),
            "[1.0,2.0,3.0,4.5]"
        );
        assert_eq!(
            bbox([-0.0, 0.0, 1.0, 1.0]).bits(),
            bbox([0.0, -0.0, 1.0, 1.0]).bits()
        );
        assert_eq!(
            PixelBox::around([[1.0, 5.0], [3.0, 2.0]]),
            Some(bbox([1.0, 2.0, 3.0, 5.0]))
        );
        assert_eq!(PixelBox::around([]), None);
        assert_eq!(PixelBox::around([[1.0, 1.0], [f64::NAN, 2.0]]), None);
    }

    #[test]
    fn areas_and_what_two_share() {
        let (one, other) = (bbox([0.0, 0.0, 4.0, 2.0]), bbox([2.0, 1.0, 6.0, 3.0]));
        assert_eq!((one.width(), one.height(), one.area()), (4.0, 2.0, 8.0));
        assert_eq!(one.iou(&other), 2.0 / 14.0);
        assert_eq!(one.iou(&bbox([5.0, 0.0, 6.0, 1.0])), 0.0);
        assert_eq!(bbox([1.0, 1.0, 1.0, 1.0]).iou(&bbox([1.0, 1.0, 1.0, 1.0])), 0.0);
        assert_eq!(other.clip([5, 2]), Some(bbox([2.0, 1.0, 5.0, 2.0])));
        assert_eq!(other.clip([1, 2]), None);
    }

    #[test]
    fn objects_are_written_and_read() {
        let mut object = Object::new(3, bbox([1.0, 2.0, 3.0, 4.0]));
        let plain = r#"{"class":3,"bbox":[1.0,2.0,3.0,4.0],"area":4.0}"#;
        assert_eq!(serde_json::to_string(&object).unwrap(), plain);
        assert_eq!(serde_json::from_str::<Object>(plain).unwrap(), object);
        object.crowd = true;
        assert_ne!(serde_json::from_str::<Object>(plain).unwrap(), object);
        let objects = Objects::new(vec![object.clone(), Object::new(1, object.bbox), object]);
        assert_eq!(objects.classes(), [1, 3]);
        let text = serde_json::to_string(&objects).unwrap();
        assert_eq!(serde_json::from_str::<Objects>(&text).unwrap(), objects);
        assert_eq!(objects.moved(&[0, 5, 0, 4]).classes(), [4, 5]);
    }

    #[test]
    fn sizes_are_cocos() {
        assert_eq!(ObjectSize::of(1023.9), ObjectSize::Small);
        assert_eq!(ObjectSize::of(1024.0), ObjectSize::Medium);
        assert_eq!(ObjectSize::of(9216.0), ObjectSize::Large);
    }
}
