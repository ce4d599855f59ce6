//! [`TensorMismatch`]: which tensors are missing, surplus or of another shape than expected.

use std::collections::BTreeMap;
use std::fmt;

/// Lists longer than this are cut, with the number of those left out.
const SHOWN: usize = 8;

/// How a set of named tensors differs from the expected one. Its `Display` lists the names with both shapes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TensorMismatch {
    /// Expected but absent: name, expected shape, and the most similar surplus name if one is near.
    pub missing: Vec<(String, Vec<usize>, Option<String>)>,
    /// Present but not expected: name and shape.
    pub surplus: Vec<(String, Vec<usize>)>,
    /// Of another shape: name, expected shape, found shape.
    pub misshaped: Vec<(String, Vec<usize>, Vec<usize>)>,
}

impl TensorMismatch {
    /// Compares the tensors that should be there with those that are: name → shape on both sides.
    /// None when they agree.
    pub fn between(
        expected: &BTreeMap<String, Vec<usize>>,
        found: &BTreeMap<String, Vec<usize>>,
    ) -> Option<Self> {
        let surplus: Vec<_> = found
            .iter()
            .filter(|(name, _)| !expected.contains_key(*name))
            .map(|(name, shape)| (name.clone(), shape.clone()))
            .collect();
        let mut mismatch = Self {
            surplus,
            ..Self::default()
        };
        for (name, shape) in expected {
            match found.get(name) {
                None => {
                    let nearest = nearest(name, mismatch.surplus.iter().map(|(name, _)| name.as_str()));
                    mismatch.missing.push((name.clone(), shape.clone(), nearest));
                }
                Some(other) if other != shape => {
                    mismatch
                        .misshaped
                        .push((name.clone(), shape.clone(), other.clone()));
                }
                Some(_) => {}
            }
        }
        (mismatch != Self::default()).then_some(mismatch)
    }
}

impl fmt::Display for TensorMismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = [
            (self.missing.len(), "missing"),
            (self.surplus.len(), "surplus"),
            (self.misshaped.len(), "of another shape"),
        ];
        let counts: Vec<_> = counts
            .iter()
            .filter(|c| c.0 > 0)
            .map(|(n, what)| format!("{n} {what}"))
            .collect();
        write!(f, "{}", counts.join(", "))?;
        for (name, shape, nearest) in self.missing.iter().take(SHOWN) {
            write!(f, "\n  missing `{name}` {shape:?}")?;
            if let Some(nearest) = nearest {
                write!(f, " (is `{nearest}` meant?)")?;
            }
        }
        left_out(f, self.missing.len(), "missing")?;
        for (name, shape) in self.surplus.iter().take(SHOWN) {
            write!(f, "\n  surplus `{name}` {shape:?}")?;
        }
        left_out(f, self.surplus.len(), "surplus")?;
        for (name, expected, found) in self.misshaped.iter().take(SHOWN) {
            write!(f, "\n  `{name}`: expected {expected:?}, found {found:?}")?;
        }
        left_out(f, self.misshaped.len(), "of another shape")
    }
}

/// The line that says how many entries a cut list does not show.
fn left_out(f: &mut fmt::Formatter<'_>, total: usize, what: &str) -> fmt::Result {
    match total.saturating_sub(SHOWN) {
        0 => Ok(()),
        more => write!(f, "\n  and {more} more {what}"),
    }
}

/// The candidate most similar to `name`, if any is similar at all (a third of its letters may differ).
pub(crate) fn nearest<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> Option<String> {
    candidates
        .map(|candidate| (edit_distance(name, candidate), candidate))
        .filter(|(distance, _)| *distance <= name.len().div_ceil(3))
        .min()
        .map(|(_, candidate)| candidate.to_owned())
}

/// Levenshtein distance in bytes; names are cut at 200 so that hostile ones cost nothing.
fn edit_distance(a: &str, b: &str) -> usize {
    let (a, b) = (
        &a.as_bytes()[..a.len().min(200)],
        &b.as_bytes()[..b.len().min(200)],
    );
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let substitute = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = substitute.min(row[j] + 1).min(row[j + 1] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shapes(items: &[(&str, &[usize])]) -> BTreeMap<String, Vec<usize>> {
        items
            .iter()
            .map(|(name, shape)| ((*name).to_owned(), shape.to_vec()))
            .collect()
    }

    #[test]
    fn equal_sets_agree() {
        let set = shapes(&[("norm.weight", &[4]), ("head.bias", &[2])]);
        assert_eq!(TensorMismatch::between(&set, &set), None);
    }

    #[test]
    fn all_three_kinds_are_listed_with_shapes_and_nearest_name() {
        let expected = shapes(&[
            ("norm.weight", &[4]),
            ("head.bias", &[2]),
            ("pos_embed", &[1, 5, 4]),
        ]);
        let found = shapes(&[
            ("norms.weight", &[4]),
            ("head.bias", &[3]),
            ("x", &[1]),
            ("pos_embed", &[1, 5, 4]),
        ]);
        let mismatch = TensorMismatch::between(&expected, &found).expect("they differ");
        assert_eq!(
            mismatch.to_string(),
            "1 missing, 2 surplus, 1 of another shape\
             \n  missing `norm.weight` [4] (is `norms.weight` meant?)\
             \n  surplus `norms.weight` [4]\n  surplus `x` [1]\
             \n  `head.bias`: expected [2], found [3]"
        );
    }

    #[test]
    fn long_lists_are_cut() {
        let found = (0..20).map(|i| (format!("t{i:02}"), vec![1])).collect();
        let mismatch = TensorMismatch::between(&BTreeMap::new(), &found).expect("they differ");
        assert!(
            mismatch.to_string().ends_with("\n  and 12 more surplus"),
            "{mismatch}"
        );
    }

    #[test]
    fn distance_is_levenshtein() {
        assert_eq!(edit_distance("kitten", "sitting"), 3);
        assert_eq!(edit_distance("", "abc"), 3);
    }
}
