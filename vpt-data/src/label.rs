//! [`Label`]: the class of an image, the several that it has, its objects, or the classes of its pixels.

use crate::{Mask, Object, Objects, TaskKind};
use serde::{Deserialize, Serialize};

/// What an image shows, as indices into [`Dataset::classes`](crate::Dataset::classes).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Label {
    /// Its one class.
    One(usize),
    /// Any number of classes, perhaps none: in ascending order, each once ([`Label::many`]).
    Many(Vec<usize>),
    /// Where which objects are, perhaps none.
    Objects(Objects),
    /// The class of each pixel, in a file of its own or drawn from outlines.
    Mask(Mask),
}

impl Label {
    /// Separates the names of several classes in tables.
    pub const SEPARATOR: char = '|';

    /// Several classes, in any order.
    pub fn many(classes: impl IntoIterator<Item = usize>) -> Self {
        let mut classes: Vec<usize> = classes.into_iter().collect();
        classes.sort_unstable();
        classes.dedup();
        Self::Many(classes)
    }

    /// The class, where an image has exactly one by what its task is; `None` where it could have several.
    pub fn class(&self) -> Option<usize> {
        match self {
            Self::One(class) => Some(*class),
            Self::Many(_) | Self::Objects(_) | Self::Mask(_) => None,
        }
    }

    /// The objects, where that is what is known.
    pub fn objects(&self) -> Option<&[Object]> {
        match self {
            Self::Objects(objects) => Some(objects.as_slice()),
            _ => None,
        }
    }

    /// Where the classes of the pixels are, where that is what is known.
    pub fn mask(&self) -> Option<&Mask> {
        match self {
            Self::Mask(mask) => Some(mask),
            _ => None,
        }
    }

    /// Whether it says where in the picture something is.
    pub fn is_dense(&self) -> bool {
        matches!(self, Self::Objects(_) | Self::Mask(_))
    }

    /// Whether the image has this class.
    pub fn has(&self, class: usize) -> bool {
        self.classes().contains(&class)
    }

    /// All classes that the image has (of objects and pixels: that occur), in ascending order.
    pub fn classes(&self) -> &[usize] {
        match self {
            Self::One(class) => std::slice::from_ref(class),
            Self::Many(classes) => classes,
            Self::Objects(objects) => objects.classes(),
            Self::Mask(mask) => mask.classes(),
        }
    }

    /// Whether labels like this one belong to a task of that kind.
    pub fn is_of(&self, kind: TaskKind) -> bool {
        match self {
            Self::One(_) => matches!(kind, TaskKind::Classification | TaskKind::Ordinal),
            Self::Many(_) => kind == TaskKind::MultiLabel,
            Self::Objects(_) => kind == TaskKind::Detection,
            Self::Mask(_) => kind == TaskKind::Segmentation,
        }
    }

    /// The names of the classes, as tables have them: `Effusion|Mass`.
    pub fn names(&self, classes: &[String]) -> String {
        let names: Vec<&str> = self
            .classes()
            .iter()
            .filter_map(|&class| classes.get(class).map(String::as_str))
            .collect();
        names.join("|")
    }

    /// The same label where class `i` is called `places[i]`.
    pub(crate) fn moved(&self, places: &[usize]) -> Self {
        match self {
            Self::One(class) => Self::One(places[*class]),
            Self::Many(classes) => Self::many(classes.iter().map(|&class| places[class])),
            Self::Objects(objects) => Self::Objects(objects.moved(places)),
            Self::Mask(mask) => Self::Mask(mask.moved(places)),
        }
    }

    /// The bytes that stand for it in a fingerprint; of a mask all but its file's content.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let number = |number: usize| (number as u64).to_le_bytes();
        match self {
            Self::One(class) => number(*class).to_vec(),
            // The length first, so that no two lists run into the same bytes.
            Self::Many(classes) => [classes.len()]
                .iter()
                .chain(classes)
                .flat_map(|&value| number(value))
                .collect(),
            Self::Objects(objects) => {
                let mut bytes = number(objects.as_slice().len()).to_vec();
                for object in objects.as_slice() {
                    object.write_bytes(&mut bytes);
                }
                bytes
            }
            Self::Mask(mask) => mask.bytes(),
        }
    }
}

impl Default for Label {
    fn default() -> Self {
        Self::One(0)
    }
}

impl From<usize> for Label {
    fn from(class: usize) -> Self {
        Self::One(class)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_classes_are_a_set() {
        let label = Label::many([2, 0, 2]);
        assert_eq!(label, Label::Many(vec![0, 2]));
        assert!(label.has(2) && !label.has(1) && label.class().is_none());
        let names = ["a", "b", "c"].map(str::to_owned);
        assert_eq!(label.names(&names), "a|c");
        assert_eq!(Label::many([]).names(&names), "");
        assert_eq!(Label::One(1).names(&names), "b");
        assert_eq!(label.moved(&[2, 1, 0]), label);
        assert_eq!(label.moved(&[1, 2, 0]), Label::Many(vec![0, 1]));
    }

    #[test]
    fn one_class_is_a_number_in_json() {
        assert_eq!(serde_json::to_string(&Label::One(3)).unwrap(), "3");
        assert_eq!(
            serde_json::from_str::<Label>("[1, 2]").unwrap(),
            Label::many([1, 2])
        );
    }

    #[test]
    fn objects_and_masks_are_maps_in_json() {
        let bbox = crate::PixelBox::new(1.0, 2.0, 3.0, 4.0).unwrap();
        let objects = Label::Objects(Objects::new(vec![Object::new(2, bbox)]));
        let mask = Label::Mask(Mask::new("m.png".into(), vec![(0, 0), (255, 1)], vec![1]));
        let drawn = Label::Mask(Mask::of_outlines([4, 2], 0, Objects::default()));
        for label in [objects, mask, drawn, Label::Objects(Objects::default())] {
            let text = serde_json::to_string(&label).unwrap();
            assert!(text.starts_with('{'), "{text}");
            assert_eq!(serde_json::from_str::<Label>(&text).unwrap(), label);
        }
    }

    #[test]
    fn labels_know_their_kind() {
        assert!(Label::One(0).is_of(TaskKind::Ordinal) && !Label::One(0).is_of(TaskKind::MultiLabel));
        assert!(Label::many([]).is_of(TaskKind::MultiLabel));
        let objects = Label::Objects(Objects::default());
        assert!(objects.is_of(TaskKind::Detection) && !objects.is_of(TaskKind::MultiLabel));
        assert!(objects.class().is_none() && objects.classes().is_empty());
    }
}
