//! Files of equal content: the one place that says which of them are worth naming.

use crate::Split;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Where an image is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Located {
    /// Its split.
    pub split: Split,
    /// Its path below the data set's folder.
    pub path: String,
    /// Its class; of several (also of objects or pixels) their names, separated by `|`.
    pub class: String,
}

/// Two files of the same content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Duplicate {
    /// The one in the earlier split.
    pub first: Located,
    /// The other one.
    pub second: Located,
}

/// What is known of a data set's files of equal content.
#[derive(Debug, Default)]
pub(crate) struct Copies {
    /// Each copy in another split than the first file of its content, with that one.
    pub across_splits: Vec<Duplicate>,
    /// How many files are copies of another one in the same split.
    pub within_splits: usize,
    /// Each copy under another class than the first file of its content, with that one.
    pub contradictions: Vec<Duplicate>,
}

impl Copies {
    /// Of files in the order of the splits, each with the SHA-256 of its bytes.
    pub(crate) fn of(files: impl IntoIterator<Item = ([u8; 32], Located)>) -> Self {
        let mut same: BTreeMap<[u8; 32], Vec<Located>> = BTreeMap::new();
        for (content, file) in files {
            same.entry(content).or_default().push(file);
        }
        let mut copies = Self::default();
        for group in same.into_values() {
            copies.compare(&group);
        }
        for list in [&mut copies.across_splits, &mut copies.contradictions] {
            list.sort_by(|a, b| (&a.first, &a.second).cmp(&(&b.first, &b.second)));
        }
        copies
    }

    /// Takes files of one content, in the order of the splits.
    fn compare(&mut self, group: &[Located]) {
        let mut per_split = BTreeMap::new();
        for file in group {
            *per_split.entry(file.split).or_insert(0) += 1;
        }
        self.within_splits += per_split
            .into_values()
            .map(|count: usize| count - 1)
            .sum::<usize>();
        let pairs = |differ: fn(&Located, &Located) -> bool| {
            let first = &group[0];
            let others = group.iter().filter(move |other| differ(first, other));
            others.map(|other| Duplicate {
                first: first.clone(),
                second: other.clone(),
            })
        };
        self.across_splits.extend(pairs(|a, b| a.split != b.split));
        self.contradictions.extend(pairs(|a, b| a.class != b.class));
    }
}
