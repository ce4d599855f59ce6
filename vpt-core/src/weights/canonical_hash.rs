//! The canonical hash: one identity for a backbone, whatever file, float type or key order it came in.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};
use vpt_data::hexadecimal;

use crate::HostTensor;
use crate::host_tensor::f32_bytes;

/// SHA-256, in lower-case hexadecimal, of all tensors but those of the classifier (`head.*`, `head_dist.*`).
///
/// The tensors are taken in the order of their timm names; each adds its name, its number of axes, the axes
/// (as little-endian 64-bit integers, the name preceded by its length) and its float32 values in
/// little-endian bytes.
pub fn canonical_sha256(tensors: &BTreeMap<String, HostTensor>) -> String {
    let mut hasher = Sha256::new();
    for (name, tensor) in tensors.iter().filter(|(name, _)| !is_classifier(name)) {
        hasher.update((name.len() as u64).to_le_bytes());
        hasher.update(name);
        hasher.update((tensor.shape.len() as u64).to_le_bytes());
        for &axis in &tensor.shape {
            hasher.update((axis as u64).to_le_bytes());
        }
        for chunk in tensor.data.chunks(4096) {
            hasher.update(f32_bytes(chunk));
        }
    }
    hexadecimal(&hasher.finalize())
}

/// Whether a tensor belongs to the classifier, which is no part of the backbone.
pub fn is_classifier(name: &str) -> bool {
    name.starts_with("head.") || name.starts_with("head_dist.")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensors() -> BTreeMap<String, HostTensor> {
        BTreeMap::from([
            ("norm.weight".to_owned(), HostTensor::new([2], vec![1.0, 2.0])),
            ("head.weight".to_owned(), HostTensor::new([1, 2], vec![5.0, 6.0])),
        ])
    }

    #[test]
    fn pinned() {
        // sha256 of 0b00.. "norm.weight" 0100.. 0200.. 0000803f 00000040, computed independently.
        assert_eq!(canonical_sha256(&tensors()), PINNED);
    }
    const PINNED: &str = "b7102d24cd5747fa9a98b02feff962667f8e139eed003c89bb7d8e40d0b161c0";

    #[test]
    fn the_classifier_does_not_count_and_everything_else_does() {
        let reference = canonical_sha256(&tensors());
        let changed = |change: fn(&mut BTreeMap<String, HostTensor>)| {
            let mut tensors = tensors();
            change(&mut tensors);
            canonical_sha256(&tensors)
        };
        assert_eq!(
            reference,
            changed(|t| t.get_mut("head.weight").unwrap().data[0] = 9.0)
        );
        assert_ne!(
            reference,
            changed(|t| t.get_mut("norm.weight").unwrap().data[0] = 9.0)
        );
        assert_ne!(
            reference,
            changed(|t| t.get_mut("norm.weight").unwrap().shape = vec![1, 2])
        );
        assert_ne!(
            reference,
            changed(|t| t
                .insert("x".into(), HostTensor::new([0], vec![]))
                .map_or((), drop))
        );
    }
}
