//! [`Strata`]: by what images are kept in equal shares when a data set is split.

use crate::Sample;
use std::collections::BTreeMap;

/// Images of one class; of several classes (also of objects or pixels), those of which the same class is the rarest, and those without any class.
pub(crate) struct Strata {
    /// Images of each class, where images have any number of classes.
    counts: Option<Vec<usize>>,
    classes: usize,
}

impl Strata {
    pub(crate) fn of(samples: &[Sample], classes: usize) -> Self {
        let several = samples.iter().any(|sample| sample.label.class().is_none());
        let counts = several.then(|| {
            let mut counts = vec![0; classes];
            for &class in samples.iter().flat_map(|sample| sample.label.classes()) {
                counts[class] += 1;
            }
            counts
        });
        Self { counts, classes }
    }

    /// How many there are: one for each class, and perhaps the one of the images without any, which comes last.
    pub(crate) fn len(&self) -> usize {
        self.classes + usize::from(self.counts.is_some())
    }

    /// Whether images have any number of classes, so that a class also occurs in the strata of rarer ones.
    pub(crate) fn overlap(&self) -> bool {
        self.counts.is_some()
    }

    /// Where images that stay together belong: the class that most of them have; where they have several, the rarest that any has.
    pub(crate) fn place<'a>(&self, samples: impl Iterator<Item = &'a Sample>) -> usize {
        let classes = samples.flat_map(|sample| sample.label.classes().iter().copied());
        match &self.counts {
            None => most_frequent(classes),
            Some(counts) => classes
                .min_by_key(|&class| (counts[class], class))
                .unwrap_or(self.classes),
        }
    }
}

/// The class that occurs most often; of equals the largest, which is the rarer finding where classes are grades.
fn most_frequent(classes: impl Iterator<Item = usize>) -> usize {
    let mut counts: BTreeMap<usize, usize> = BTreeMap::new();
    for class in classes {
        *counts.entry(class).or_default() += 1;
    }
    counts
        .into_iter()
        .max_by_key(|&(_, count)| count)
        .map_or(0, |(class, _)| class)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Label;

    #[test]
    fn the_rarest_class_decides() {
        let sample = |label: Label| Sample {
            label,
            ..Sample::default()
        };
        let images =
            [&[0, 1][..], &[0], &[0, 2], &[], &[1], &[1]].map(|label| sample(Label::many(label.to_vec())));
        let strata = Strata::of(&images, 3);
        let places = images.each_ref().map(|image| strata.place([image].into_iter()));
        assert_eq!(places, [0, 0, 2, 3, 1, 1], "of equally rare ones the first");
        assert_eq!(strata.place(images[..3].iter()), 2, "of a patient's images");
        let plain = [0, 1, 1].map(|class| sample(Label::One(class)));
        let strata = Strata::of(&plain, 2);
        assert_eq!((strata.len(), strata.place(plain.iter())), (2, 1));
    }
}
