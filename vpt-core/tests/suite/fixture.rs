//! Reading golden files and comparing with them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use safetensors::{Dtype, SafeTensors};
use vpt_core::HostTensor;

/// A golden file or folder, in the repository or beside it.
pub fn find(path: &str) -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    [
        root.join("tests/fixtures/golden"),
        root.join("../../shared/golden"),
    ]
    .into_iter()
    .map(|folder| folder.join(path))
    .find(|path| path.exists())
}

/// Says that a fixture is absent.
pub fn skip(what: &str) {
    println!("skipped: `{what}` is neither in tests/fixtures/golden nor in ../shared/golden");
}

/// A golden file in memory.
pub struct Fixture {
    floats: BTreeMap<String, HostTensor>,
    integers: BTreeMap<String, Vec<i64>>,
}

impl Fixture {
    /// Reads a golden file, if it is there.
    pub fn open(path: &str) -> Option<Self> {
        let bytes = fs::read(find(path)?).expect("a readable fixture");
        let file = SafeTensors::deserialize(&bytes).expect("a safetensors file");
        let mut fixture = Self {
            floats: BTreeMap::new(),
            integers: BTreeMap::new(),
        };
        for (name, view) in file.iter() {
            let name = name.to_owned();
            match view.dtype() {
                Dtype::F32 => {
                    let chunks = view.data().chunks_exact(4);
                    let data = chunks.map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]));
                    let tensor = HostTensor::new(view.shape(), data.collect());
                    fixture.floats.insert(name, tensor);
                }
                Dtype::I64 => {
                    let chunks = view.data().chunks_exact(8);
                    let data = chunks.map(|b| i64::from_le_bytes(b.try_into().expect("eight bytes")));
                    fixture.integers.insert(name, data.collect());
                }
                _ => {}
            }
        }
        Some(fixture)
    }

    /// A tensor that must be there.
    pub fn get(&self, name: &str) -> &HostTensor {
        self.find(name)
            .unwrap_or_else(|| panic!("no `{name}` in the fixture"))
    }

    /// A tensor that may be there.
    pub fn find(&self, name: &str) -> Option<&HostTensor> {
        self.floats.get(name)
    }

    /// The tensors whose names begin with `prefix`, without it.
    pub fn below(&self, prefix: &str) -> BTreeMap<String, HostTensor> {
        self.floats
            .iter()
            .filter_map(|(name, tensor)| Some((name.strip_prefix(prefix)?.to_owned(), tensor.clone())))
            .collect()
    }

    /// Class indices.
    pub fn labels(&self) -> &[i64] {
        &self.integers["labels"]
    }
}

/// Compares tensors with expected ones, keeps the largest difference of each, and fails at the end.
pub struct Comparison {
    title: String,
    worst: f32,
    count: usize,
    failures: Vec<String>,
}

impl Comparison {
    /// An empty comparison of what `title` names.
    pub fn new(title: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            worst: 0.0,
            count: 0,
            failures: Vec::new(),
        }
    }

    /// Within `atol + rtol · |expected|`, element by element.
    pub fn close(&mut self, name: &str, actual: &HostTensor, expected: &HostTensor, atol: f32, rtol: f32) {
        self.compare(name, actual, expected, |expected| atol + rtol * expected.abs());
    }

    /// Within `atol + share · (largest magnitude of the expected tensor)`, for gradients.
    pub fn near(&mut self, name: &str, actual: &HostTensor, expected: &HostTensor, atol: f32, share: f32) {
        let largest = expected.data.iter().fold(0f32, |max, x| max.max(x.abs()));
        self.compare(name, actual, expected, |_| atol + share * largest);
    }

    fn compare(
        &mut self,
        name: &str,
        actual: &HostTensor,
        expected: &HostTensor,
        tolerance: impl Fn(f32) -> f32,
    ) {
        self.count += 1;
        if actual.shape != expected.shape {
            let (found, wanted) = (&actual.shape, &expected.shape);
            self.failures
                .push(format!("{name}: shape {found:?}, expected {wanted:?}"));
            return;
        }
        let mut over = 0;
        let mut worst = 0f32;
        for (a, e) in actual.data.iter().zip(&expected.data) {
            let difference = (a - e).abs();
            worst = worst.max(if difference.is_nan() {
                f32::INFINITY
            } else {
                difference
            });
            over += usize::from(difference.is_nan() || difference > tolerance(*e));
        }
        self.worst = self.worst.max(worst);
        if over > 0 {
            let total = expected.numel();
            self.failures.push(format!(
                "{name}: {over} of {total} values differ, by up to {worst:.3e}"
            ));
        }
    }

    /// Prints the largest difference; panics when anything was out of tolerance.
    pub fn finish(self) {
        println!(
            "{}: {} tensors, max abs diff {:.2e}",
            self.title, self.count, self.worst
        );
        assert!(
            self.failures.is_empty(),
            "{}:\n  {}",
            self.title,
            self.failures.join("\n  ")
        );
    }
}
