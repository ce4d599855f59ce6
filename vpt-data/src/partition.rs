//! Which images go where when the data set does not say.
//!
//! An image's place follows from the seed and its name alone: within its class, images are ranked by a random number
//! drawn for their relative path. So the split is the same wherever the folder lies, a larger number of shots
//! contains the smaller one, and adding images to a folder hardly moves the others.
//!
//! Images of one group (a patient) go to one part: the groups are ranked by their names, each in the class that most of its
//! images have. Images of any number of classes are split by the rarest of them ([`Strata`]).

use crate::error::counted;
use crate::strata::Strata;
use crate::{DataError, Sample, rng::rng};
use rand::Rng;
use sha2::{Digest, Sha256};
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::path::Path;

/// Streams of [`rng()`], so that splitting, taking shots and folding are independent.
const SPLIT: u64 = 0x73706c6974;
const SHOTS: u64 = 0x73686f7473;
const FOLDS: u64 = 0x666f6c6473;

/// The three parts of a partition, each in the order of the input.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Partition {
    pub train: Vec<Sample>,
    pub val: Vec<Sample>,
    pub test: Vec<Sample>,
}

/// Splits each class by the same fractions, with at least one image for each part of a positive fraction.
pub(crate) fn stratified(
    samples: Vec<Sample>,
    classes: &[String],
    root: &Path,
    val_fraction: f64,
    test_fraction: f64,
    seed: u64,
) -> Result<Partition, DataError> {
    #[derive(Clone, Copy)]
    enum Part {
        Train,
        Val,
        Test,
    }
    let strata = Strata::of(&samples, classes.len());
    let mut units = units(&samples, root, &strata);
    let grouped = samples.iter().any(|sample| sample.group.is_some());
    let too_small = |class: usize, members: usize| {
        let held_out = [(val_fraction, "val"), (test_fraction, "test")];
        let held_out = held_out.into_iter().filter(|(fraction, _)| *fraction > 0.0);
        DataError::ClassTooSmall {
            class: classes[class].clone(),
            units: counted(members, if grouped { "group" } else { "image" }),
            splits: ["train"]
                .into_iter()
                .chain(held_out.map(|(_, name)| name))
                .collect(),
        }
    };
    let mut parts = vec![Part::Train; samples.len()];
    let dense = samples.iter().any(|sample| sample.label.is_dense());
    if dense {
        merge_small(&mut units, strata.len(), val_fraction, test_fraction);
    }
    for (class, members) in ranked(&units, strata.len() + usize::from(dense), seed, SPLIT)
        .into_iter()
        .enumerate()
    {
        if members.is_empty() {
            // No group has most of its images in this class: its images go where their groups go.
            continue;
        }
        let Some((val, test)) = held_out(members.len(), val_fraction, test_fraction) else {
            if strata.overlap() {
                // Too few to be parted; they are learnt from.
                continue;
            }
            return Err(too_small(class, members.len()));
        };
        // From both ends, so that a few more images move others between train and one part only.
        for &member in &members[..test] {
            units[member]
                .samples
                .iter()
                .for_each(|&sample| parts[sample] = Part::Test);
        }
        for &member in &members[members.len() - val..] {
            units[member]
                .samples
                .iter()
                .for_each(|&sample| parts[sample] = Part::Val);
        }
    }
    let mut partition = Partition {
        train: vec![],
        val: vec![],
        test: vec![],
    };
    for (sample, part) in samples.into_iter().zip(parts) {
        match part {
            Part::Train => partition.train.push(sample),
            Part::Val => partition.val.push(sample),
            Part::Test => partition.test.push(sample),
        }
    }
    if dense {
        // A class of objects or pixels may be missing.
        return Ok(partition);
    }
    // Where groups hold images of several classes, a class can be held out as a whole.
    let learnt = |class: usize| partition.train.iter().any(|sample| sample.label.has(class));
    if let Some(class) = (0..classes.len()).find(|&class| !learnt(class)) {
        let members = units.iter().filter(|unit| unit.stratum == class).count();
        return Err(too_small(class, members));
    }
    Ok(partition)
}

/// For each image: which of `folds` parts it goes to, so that each part has as many units of each class as any other, give or take one.
///
/// # Errors
/// The class that has too few units for every part to get one.
pub(crate) fn assign_folds(
    samples: &[Sample],
    classes: &[String],
    root: &Path,
    folds: usize,
    seed: u64,
) -> Result<Vec<usize>, DataError> {
    let strata = Strata::of(samples, classes.len());
    let units = units(samples, root, &strata);
    let dense = samples.iter().any(|sample| sample.label.is_dense());
    if dense && units.len() < folds {
        return Err(DataError::InvalidValue {
            name: "the number of folds",
            value: folds.to_string(),
            expected: "no more than there are images (or groups)",
        });
    }
    // Of objects and pixels a class may be missing.
    for (label, class) in classes.iter().enumerate().filter(|_| !dense) {
        // Also groups that have most of their images in another class.
        let has = |unit: &&Unit| {
            unit.samples
                .iter()
                .any(|&sample| samples[sample].label.has(label))
        };
        let members = units.iter().filter(has).count();
        if members < folds {
            let grouped = samples.iter().any(|sample| sample.group.is_some());
            return Err(DataError::TooFewForFolds {
                class: class.clone(),
                units: counted(members, if grouped { "group" } else { "image" }),
                members,
                folds,
            });
        }
    }
    let mut fold_of = vec![0; samples.len()];
    // Dealt like cards, and on from class to class, so that the folds are equally large too.
    let mut next = 0;
    for mut members in ranked(&units, strata.len(), seed, FOLDS) {
        // The largest groups first, so that no fold gets several of them. Stable: equals stay in random order.
        members.sort_by_key(|&member| Reverse(units[member].samples.len()));
        for member in members {
            for &sample in &units[member].samples {
                fold_of[sample] = next;
            }
            next = (next + 1) % folds;
        }
    }
    Ok(fold_of)
}

/// Keeps at most `shots` images of each class; of several classes, the rarest counts.
pub(crate) fn few(samples: Vec<Sample>, classes: usize, root: &Path, shots: usize, seed: u64) -> Vec<Sample> {
    let strata = Strata::of(&samples, classes);
    let units: Vec<Unit> = (0..samples.len())
        .map(|index| Unit::of(&samples, index, root, &strata))
        .collect();
    let mut kept = vec![false; samples.len()];
    for members in ranked(&units, strata.len(), seed, SHOTS) {
        for member in members.into_iter().take(shots) {
            kept[member] = true;
        }
    }
    samples
        .into_iter()
        .zip(kept)
        .filter_map(|(sample, kept)| kept.then_some(sample))
        .collect()
}

/// Makes one stratum, the number `strata`, of all that are too small to be split: so small data sets of rare objects have images to
/// test on too.
fn merge_small(units: &mut [Unit], strata: usize, val_fraction: f64, test_fraction: f64) {
    let mut members = vec![0; strata];
    for unit in units.iter() {
        members[unit.stratum] += 1;
    }
    for unit in units {
        if held_out(members[unit.stratum], val_fraction, test_fraction).is_none() {
            unit.stratum = strata;
        }
    }
}

/// How many of `images` go into val and test: rounded, at least 1 each if wanted, and train keeps at least 1.
fn held_out(images: usize, val_fraction: f64, test_fraction: f64) -> Option<(usize, usize)> {
    let wanted = |fraction: f64| match fraction {
        0.0 => 0,
        _ => ((images as f64 * fraction).round() as usize).max(1),
    };
    let (mut val, mut test) = (wanted(val_fraction), wanted(test_fraction));
    while val + test >= images {
        match (val > 1, test > 1) {
            (true, _) if val >= test => val -= 1,
            (_, true) => test -= 1,
            (true, false) => val -= 1,
            (false, false) => return None,
        }
    }
    Some((val, test))
}

/// Images that stay together: one, or all of a group.
struct Unit {
    /// What its rank is drawn for.
    name: String,
    stratum: usize,
    samples: Vec<usize>,
}

impl Unit {
    /// One image.
    fn of(samples: &[Sample], index: usize, root: &Path, strata: &Strata) -> Self {
        Self {
            name: relative(&samples[index].path, root),
            stratum: strata.place([&samples[index]].into_iter()),
            samples: vec![index],
        }
    }
}

/// The groups, and the images that have none.
fn units(samples: &[Sample], root: &Path, strata: &Strata) -> Vec<Unit> {
    let mut groups: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    let mut units = Vec::new();
    for (index, sample) in samples.iter().enumerate() {
        match &sample.group {
            None => units.push(Unit::of(samples, index, root, strata)),
            Some(group) => groups.entry(group).or_default().push(index),
        }
    }
    units.extend(groups.into_iter().map(|(group, members)| Unit {
        name: group.to_owned(),
        stratum: strata.place(members.iter().map(|&member| &samples[member])),
        samples: members,
    }));
    units
}

/// For each stratum, indices into `units` in random order.
fn ranked(units: &[Unit], strata: usize, seed: u64, stream: u64) -> Vec<Vec<usize>> {
    let mut members = vec![vec![]; strata];
    for (index, unit) in units.iter().enumerate() {
        let digest: [u8; 32] = Sha256::digest(unit.name.as_bytes()).into();
        let [a, b, c, d, e, f, g, h, ..] = digest;
        let rank = rng(seed, &[stream, u64::from_le_bytes([a, b, c, d, e, f, g, h])]).next_u64();
        members[unit.stratum].push((rank, &unit.name, index));
    }
    for class in &mut members {
        class.sort();
    }
    members
        .into_iter()
        .map(|class| class.into_iter().map(|(_, _, index)| index).collect())
        .collect()
}

/// A path below `root` with `/` between its parts on every system.
pub(crate) fn relative(path: &Path, root: &Path) -> String {
    let below = path.strip_prefix(root).unwrap_or(path);
    below
        .components()
        .map(|part| part.as_os_str().to_string_lossy())
        .collect::<Vec<_>>()
        .join("/")
}

#[cfg(test)]
mod tests;
