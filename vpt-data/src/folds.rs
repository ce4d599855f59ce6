//! Cross-validation: every image is tested once, by a model that has not seen it.

use crate::error::counted;
use crate::partition::{assign_folds, stratified};
use crate::{DataError, Dataset, OpenOptions, Sample};

impl Dataset {
    /// `folds` data sets, each with another part of the images as `test`.
    ///
    /// The images of train and val, and of a test split that was drawn ([`Dataset::test_is_drawn`]), are cut into as many parts of equal
    /// shares of each class; images of one group (a patient) stay together. Data set i tests on part i; of the
    /// rest, `val_fraction` becomes val (again class by class and group by group) and what remains is train. So every image is in exactly one `test`.
    ///
    /// Images with objects or masks are dealt by the rarest class that they have; a class of those may be too rare for every part.
    ///
    /// A test split of the data set's own stays held out: it is in none of the folds, and a note says so.
    /// The parts follow from the seed and the images' names, as do those of [`Dataset::open`]. Open the data set without
    /// [`shots`](crate::OpenOptions::shots): images left out by them are in no fold.
    ///
    /// # Errors
    /// Fewer than two folds; a fraction that is none; a class with fewer images (or groups) than folds, or too few for val beside train.
    pub fn folds(&self, folds: usize, val_fraction: f64, seed: u64) -> Result<Vec<Self>, DataError> {
        if folds < 2 {
            return Err(DataError::InvalidValue {
                name: "the number of folds",
                value: folds.to_string(),
                expected: "at least 2",
            });
        }
        OpenOptions {
            val_fraction,
            test_fraction: 0.0,
            ..OpenOptions::default()
        }
        .validate()?;
        let drawn = self.test_is_drawn.then_some(&self.test);
        let images = self.train.iter().chain(&self.val);
        let mut images: Vec<Sample> = images.chain(drawn.into_iter().flatten()).cloned().collect();
        // Whatever split an image was in before makes no difference.
        images.sort_by(|a, b| a.path.cmp(&b.path));
        let fold_of = assign_folds(&images, &self.classes, &self.root, folds, seed)?;
        (0..folds)
            .map(|fold| {
                let is_tested = |image: usize| fold_of[image] == fold;
                let part = |tested: bool| {
                    let images = images.iter().enumerate();
                    images
                        .filter(|(image, _)| is_tested(*image) == tested)
                        .map(|(_, sample)| sample.clone())
                        .collect::<Vec<_>>()
                };
                let rest = stratified(part(false), &self.classes, &self.root, val_fraction, 0.0, seed)?;
                let mut dataset = Self {
                    train: rest.train,
                    val: rest.val,
                    test: part(true),
                    test_is_drawn: true,
                    ..self.without_images()
                };
                dataset.notes.push(self.note_of(fold, folds, seed));
                Ok(dataset)
            })
            .collect()
    }

    /// All but the images.
    fn without_images(&self) -> Self {
        Self {
            name: self.name.clone(),
            root: self.root.clone(),
            format: self.format,
            kind: self.kind,
            classes: self.classes.clone(),
            columns: self.columns.clone(),
            train: vec![],
            val: vec![],
            test: vec![],
            test_is_drawn: self.test_is_drawn,
            skipped: self.skipped.clone(),
            notes: self.notes.clone(),
            problems: self.problems.clone(),
        }
    }

    fn note_of(&self, fold: usize, folds: usize, seed: u64) -> String {
        let held_out = match (self.test_is_drawn, self.test.len()) {
            (true, _) | (_, 0) => String::new(),
            (false, images) => format!(
                "; the data set's own `test`, {}, is in no fold",
                counted(images, "image")
            ),
        };
        format!(
            "fold {} of {folds} by seed {seed}, instead of any other split{held_out}",
            fold + 1
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Format, TaskKind};
    use proptest::prelude::*;
    use std::collections::{BTreeMap, BTreeSet};
    use std::path::PathBuf;

    /// `per_class` images of each class; with `group` > 0, patients of that many images each (the last one of fewer).
    fn dataset(per_class: &[usize], group: usize) -> Dataset {
        let of_class = |(label, &count): (usize, &usize)| {
            (0..count).map(move |image| Sample {
                path: format!("root/{label}/{image}.png").into(),
                label: label.into(),
                group: (group > 0).then(|| format!("p{label}-{}", image / group.max(1))),
                ..Sample::default()
            })
        };
        Dataset {
            name: "set".into(),
            root: "root".into(),
            format: Format::ImageFolder,
            kind: TaskKind::Classification,
            classes: (0..per_class.len()).map(|class| class.to_string()).collect(),
            columns: vec![],
            train: per_class.iter().enumerate().flat_map(of_class).collect(),
            val: vec![],
            test: vec![],
            test_is_drawn: false,
            skipped: vec![],
            notes: vec![],
            problems: crate::Problems::default(),
        }
    }

    fn paths(samples: &[Sample]) -> BTreeSet<PathBuf> {
        samples.iter().map(|sample| sample.path.clone()).collect()
    }

    proptest! {
        #[test]
        fn every_image_is_tested_once(
            per_class in proptest::collection::vec(12..50_usize, 2..5),
            folds in 2..6_usize,
            val in 0.0..0.5_f64,
            seed: u64,
        ) {
            let all = dataset(&per_class, 0);
            let parts = all.folds(folds, val, seed).unwrap();
            prop_assert_eq!(parts.len(), folds);
            let tested: Vec<&Sample> = parts.iter().flat_map(|part| &part.test).collect();
            prop_assert_eq!(tested.len(), all.train.len());
            prop_assert_eq!(tested.iter().map(|sample| &sample.path).collect::<BTreeSet<_>>().len(), tested.len());
            for part in &parts {
                prop_assert_eq!(part.train.len() + part.val.len() + part.test.len(), all.train.len());
                let (train, val, test) = (paths(&part.train), paths(&part.val), paths(&part.test));
                prop_assert!(train.is_disjoint(&val) && train.is_disjoint(&test) && val.is_disjoint(&test));
                prop_assert!((part.test.len() as f64 - all.train.len() as f64 / folds as f64).abs() < 1.0);
                for (label, &count) in per_class.iter().enumerate() {
                    let tested = part.test.iter().filter(|sample| sample.label.has(label)).count();
                    prop_assert!((tested as f64 - count as f64 / folds as f64).abs() < 1.0);
                    prop_assert!(part.train.iter().any(|sample| sample.label.has(label)));
                }
            }
        }

        #[test]
        fn groups_stay_together(group in 2..5_usize, folds in 2..5_usize, seed: u64) {
            let all = dataset(&[40, 60], group);
            let mut fold_of = BTreeMap::new();
            for (fold, part) in all.folds(folds, 0.2, seed).unwrap().iter().enumerate() {
                let groups = |samples: &[Sample]| samples.iter().filter_map(|s| s.group.clone()).collect::<BTreeSet<_>>();
                let (train, val, test) = (groups(&part.train), groups(&part.val), groups(&part.test));
                prop_assert!(train.is_disjoint(&val) && train.is_disjoint(&test) && val.is_disjoint(&test));
                for group in test {
                    prop_assert_eq!(fold_of.insert(group, fold), None);
                }
            }
            prop_assert_eq!(fold_of.len(), 40_usize.div_ceil(group) + 60_usize.div_ceil(group));
        }

        #[test]
        fn the_seed_decides_and_the_order_of_files_does_not(seed: u64, turn in 0..60_usize, val in 0..30_usize) {
            let all = dataset(&[30, 30], 0);
            let mut turned = all.clone();
            turned.train.rotate_left(turn);
            turned.val = turned.train.split_off(val + 20);
            prop_assert!(all.folds(4, 0.2, seed).unwrap() == turned.folds(4, 0.2, seed).unwrap());
            let other = all.folds(4, 0.2, seed ^ 1).unwrap();
            prop_assert!(all.folds(4, 0.2, seed).unwrap()[0].test != other[0].test);
        }
    }

    #[test]
    fn a_test_split_of_ones_own_stays_held_out() {
        let mut all = dataset(&[10, 10], 0);
        all.test = all.train.split_off(16);
        all.train.extend(all.test.split_off(2)); // 2 images of class 1 remain
        let folds = all.folds(3, 0.2, 1).unwrap();
        let tested: usize = folds.iter().map(|fold| fold.test.len()).sum();
        assert_eq!(tested, 18);
        assert_eq!(
            folds[1].notes,
            [
                "fold 2 of 3 by seed 1, instead of any other split; the data set's own `test`, 2 images, is in no fold"
            ]
        );
        all.test_is_drawn = true;
        let folds = all.folds(3, 0.2, 1).unwrap();
        assert_eq!(folds.iter().map(|fold| fold.test.len()).sum::<usize>(), 20);
        assert_eq!(
            folds[0].notes,
            ["fold 1 of 3 by seed 1, instead of any other split"]
        );
    }

    #[test]
    fn too_few_for_so_many_folds() {
        let error = dataset(&[9, 4], 0).folds(5, 0.2, 1).unwrap_err();
        assert_eq!(error.to_string(), "class `1` has 4 images, too few for 5 folds");
        assert_eq!(
            error.hint().unwrap(),
            "ask for at most 4 folds, or add images to the class"
        );
        let error = dataset(&[9, 4], 4).folds(2, 0.2, 1).unwrap_err();
        assert_eq!(error.to_string(), "class `1` has 1 group, too few for 2 folds");
        let message = |folds, fraction| {
            let error = dataset(&[9, 9], 0).folds(folds, fraction, 1).unwrap_err();
            error.to_string()
        };
        assert_eq!(message(1, 0.2), "the number of folds is 1, expected at least 2");
        assert_eq!(
            message(3, 1.0),
            "the val fraction is 1, expected at least 0 and less than 1"
        );
    }
}
