//! Images that several splits share: what is learnt from one of them cannot be tested on the other.

use crate::copies::{Copies, Duplicate, Located};
use crate::error::counted;
use crate::partition::relative;
use crate::perceptual_hash::{HashIndex, Look};
use crate::{Dataset, Sample, Split, decode};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, HashSet};
use std::fmt;

/// How many pairs a line of [`Leaks::summary`] names.
const NAMED: usize = 3;

/// How many images of similar hash are compared with each image, the closest first, so that a data set of a thousand frames
/// of one film takes no longer than any other.
const COMPARED: usize = 256;

/// What two images of two splits share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LeakKind {
    /// Their group, such as a patient.
    Group,
    /// Their file, byte by byte.
    Content,
    /// Their look: one picture saved again, resized, made a little brighter or darker, or mirrored.
    Perceptual,
}

impl LeakKind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Group, Self::Content, Self::Perceptual];

    /// `group`, `content` or `perceptual`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Group => "group",
            Self::Content => "content",
            Self::Perceptual => "perceptual",
        }
    }
}

impl fmt::Display for LeakKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Two images of two splits that share something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leak {
    /// What they share.
    pub kind: LeakKind,
    /// The one in the earlier split.
    pub first: Located,
    /// The other one.
    pub second: Located,
    /// The group that they share, for [`LeakKind::Group`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Whether one is the other in the mirror, for [`LeakKind::Perceptual`].
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub mirrored: bool,
}

impl Leak {
    /// Whether the same picture has two labels. Images of one group may well differ.
    pub fn is_contradiction(&self) -> bool {
        self.kind != LeakKind::Group && self.first.class != self.second.class
    }
}

/// What to look for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeakOptions {
    /// Read files and compare their content.
    pub content: bool,
    /// Decode images and compare their looks.
    pub perceptual: bool,
}

impl Default for LeakOptions {
    /// Everything.
    fn default() -> Self {
        Self {
            content: true,
            perceptual: true,
        }
    }
}

/// All that the splits of a data set share.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leaks {
    /// Groups first, then equal files, then pictures that look alike; each in the order of the data set.
    pub pairs: Vec<Leak>,
    /// Equal files under two classes, in one split or in two.
    pub contradictions: Vec<Duplicate>,
}

impl Leaks {
    /// Whether the splits share nothing and no image has two labels.
    pub fn is_empty(&self) -> bool {
        self.pairs.is_empty() && self.contradictions.is_empty()
    }

    /// How many pairs share this.
    pub fn count(&self, kind: LeakKind) -> usize {
        self.pairs.iter().filter(|leak| leak.kind == kind).count()
    }

    /// One line for each kind and pair of splits, which counts and names the first few; none if there is nothing to say.
    pub fn summary(&self) -> Vec<String> {
        let mut kinds: BTreeMap<(LeakKind, Split, Split), Vec<&Leak>> = BTreeMap::new();
        for leak in &self.pairs {
            let splits = (leak.kind, leak.first.split, leak.second.split);
            kinds.entry(splits).or_default().push(leak);
        }
        let mut lines: Vec<String> = kinds
            .into_iter()
            .map(|((kind, first, second), leaks)| line(kind, first, second, &leaks))
            .collect();
        if !self.contradictions.is_empty() {
            let named = self.contradictions.iter().map(|Duplicate { first, second }| {
                let [one, other] = [first, second].map(|image| format!("`{}` ({})", image.path, image.class));
                format!("{one} and {other}")
            });
            lines.push(format!(
                "same image, other label: {}: {}",
                counted(self.contradictions.len(), "pair"),
                first_few(named)
            ));
        }
        lines
    }
}

/// What [`Leaks::summary`] says of the leaks of one kind between two splits.
fn line(kind: LeakKind, first: Split, second: Split, leaks: &[&Leak]) -> String {
    let named = leaks.iter().map(|leak| {
        let (one, other) = (&leak.first.path, &leak.second.path);
        let mirrored = if leak.mirrored { " (mirrored)" } else { "" };
        match &leak.group {
            Some(group) => format!("`{group}` (`{one}`, `{other}`)"),
            None => format!("`{other}` as `{one}`{mirrored}"),
        }
    });
    let named = first_few(named);
    let count = leaks.len();
    let are = if count == 1 { "is" } else { "are" };
    let what = match kind {
        LeakKind::Group => {
            return format!(
                "{} {are} in both {first} and {second}: {named}",
                counted(count, "group")
            );
        }
        LeakKind::Content if count == 1 => "is a copy of an image",
        LeakKind::Content => "are copies of images",
        LeakKind::Perceptual if count == 1 => "looks like an image",
        LeakKind::Perceptual => "look like images",
    };
    let contradictions = leaks.iter().filter(|leak| leak.is_contradiction()).count();
    let labels = match contradictions {
        0 => String::new(),
        some => format!(" ({some} with another label)"),
    };
    format!(
        "{} of {second} {what} of {first}{labels}: {named}",
        counted(count, "image")
    )
}

/// The first few in one line.
fn first_few(named: impl ExactSizeIterator<Item = String>) -> String {
    let count = named.len();
    let shown: Vec<String> = named.take(NAMED).collect();
    let more = if count > NAMED {
        format!(" and {} more", count - NAMED)
    } else {
        String::new()
    };
    format!("{}{more}", shown.join(", "))
}

/// Groups with members in more than one split, each with its first member in every such split.
pub(crate) fn parted_groups<'a, T>(
    members: impl IntoIterator<Item = (&'a str, Split, T)>,
) -> BTreeMap<&'a str, BTreeMap<Split, T>> {
    let mut groups: BTreeMap<&str, BTreeMap<Split, T>> = BTreeMap::new();
    for (group, split, member) in members {
        groups.entry(group).or_default().entry(split).or_insert(member);
    }
    groups.retain(|_, splits| splits.len() > 1);
    groups
}

/// An image and the split that it is in.
type Placed<'a> = (Split, &'a Sample);

impl Dataset {
    /// Looks for images that two splits share.
    ///
    /// Reads and decodes every image once, on all threads, and keeps 1 KB of each. An image that cannot be decoded is left out: opening
    /// the data set reports it. So that a patient of a hundred images is one finding, a group is named once for two splits, by
    /// its first image in each; an image that has copies or looks like others is named once, with the first or the closest of an earlier split.
    pub fn leaks(&self, options: LeakOptions) -> Leaks {
        let all = self.placed();
        let seen: Vec<Seen> = if options.content || options.perceptual {
            all.par_iter()
                .map(|(_, sample)| Seen::of(sample, options))
                .collect()
        } else {
            vec![]
        };
        let contents = all.iter().zip(&seen).enumerate();
        let copies =
            Copies::of(contents.filter_map(|(at, (_, seen))| Some((seen.content?, self.locate(all[at])))));
        let mut leaks = Leaks {
            pairs: self.shared_groups(&all),
            contradictions: if options.content {
                copies.contradictions
            } else {
                vec![]
            },
        };
        // A copy looks like its original: it is named once.
        let named: HashSet<(Split, &str)> = copies
            .across_splits
            .iter()
            .map(|copy| (copy.second.split, copy.second.path.as_str()))
            .collect();
        let alike = self
            .alike(&all, &seen)
            .into_iter()
            .filter(|leak| !named.contains(&(leak.second.split, leak.second.path.as_str())))
            .collect::<Vec<_>>();
        if options.content {
            leaks
                .pairs
                .extend(copies.across_splits.into_iter().map(|copy| Leak {
                    kind: LeakKind::Content,
                    first: copy.first,
                    second: copy.second,
                    group: None,
                    mirrored: false,
                }));
        }
        leaks.pairs.extend(alike);
        leaks
    }

    /// All images in the order of the splits.
    pub(crate) fn placed(&self) -> Vec<Placed<'_>> {
        let of = |split| self.split(split).iter().map(move |sample| (split, sample));
        Split::ALL.into_iter().flat_map(of).collect()
    }

    /// Where an image is, in words.
    pub(crate) fn locate(&self, (split, sample): Placed<'_>) -> Located {
        Located {
            split,
            path: relative(&sample.path, &self.root),
            class: sample.label.names(&self.classes),
        }
    }

    fn shared_groups(&self, all: &[Placed<'_>]) -> Vec<Leak> {
        let members = all
            .iter()
            .filter_map(|&(split, sample)| Some((sample.group.as_deref()?, split, (split, sample))));
        let mut leaks = vec![];
        for (group, splits) in parted_groups(members) {
            let images: Vec<Located> = splits.into_values().map(|image| self.locate(image)).collect();
            for (at, first) in images.iter().enumerate() {
                leaks.extend(images[at + 1..].iter().map(|second| Leak {
                    kind: LeakKind::Group,
                    first: first.clone(),
                    second: second.clone(),
                    group: Some(group.into()),
                    mirrored: false,
                }));
            }
        }
        leaks
    }

    /// Each image that looks like one of an earlier split, with the closest of those.
    fn alike(&self, all: &[Placed<'_>], seen: &[Seen]) -> Vec<Leak> {
        let looks: Vec<(usize, &Look)> = seen
            .iter()
            .enumerate()
            .filter_map(|(at, seen)| Some((at, seen.look.as_ref()?)))
            .collect();
        let index = HashIndex::new(looks.iter().map(|(_, look)| look.hash).collect());
        let closest = |&(at, look): &(usize, &Look)| -> Option<Leak> {
            let (split, _) = all[at];
            let earlier = |other: usize| all[looks[other].0].0 < split;
            let mut candidates: Vec<(u32, bool, usize)> = vec![];
            for (mirrored, hash) in [(false, look.hash), (true, look.mirrored_hash())] {
                let near = index.near(hash).into_iter().filter(|&(_, other)| earlier(other));
                candidates.extend(near.map(|(bits, other)| (bits, mirrored, other)));
            }
            candidates.sort_unstable();
            let (_, mirrored, other) = candidates
                .into_iter()
                .take(COMPARED)
                .find(|&(_, mirrored, other)| look.is_like(looks[other].1, mirrored))?;
            Some(Leak {
                kind: LeakKind::Perceptual,
                first: self.locate(all[looks[other].0]),
                second: self.locate(all[at]),
                group: None,
                mirrored,
            })
        };
        let later = looks.par_iter().filter(|(at, _)| all[*at].0 != Split::Train);
        later.filter_map(closest).collect()
    }
}

/// What is kept of an image while the splits are compared.
struct Seen {
    content: Option<[u8; 32]>,
    look: Option<Look>,
}

impl Seen {
    fn of(sample: &Sample, options: LeakOptions) -> Self {
        let Ok(bytes) = decode::read(&sample.path) else {
            return Self {
                content: None,
                look: None,
            };
        };
        let look = options
            .perceptual
            .then(|| decode::decode_bytes(&sample.path.to_string_lossy(), &bytes).ok())
            .flatten()
            .and_then(|picture| Look::of(&picture));
        Self {
            // Also where only looks are wanted: copies are told from what merely looks alike.
            content: Some(Sha256::digest(&bytes).into()),
            look,
        }
    }
}
