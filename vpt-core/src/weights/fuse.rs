//! Layers that some publishers keep apart and timm keeps as one.

use std::collections::BTreeMap;

use crate::HostTensor;
use crate::freed_memory::FreedMemory;

/// One layer below the other: their names, and that of the layer they become.
const FUSED: [(&[&str], &str); 3] = [
    (&["attn.q", "attn.k", "attn.v"], "attn.qkv"),
    (&["mlp.gate", "mlp.value"], "mlp.fc1"),
    (&["attn_pool.k", "attn_pool.v"], "attn_pool.kv"),
];

/// Replaces the query, key and value projections of every block by one, their rows one below the other, and likewise the
/// two halves of a gated MLP. A projection without a bias beside others that have one has the bias 0. What does not fit
/// together stays as it is.
pub(super) fn fuse_layers(tensors: &mut BTreeMap<String, HostTensor>) {
    let mut freed = FreedMemory::default();
    for (parts, whole) in FUSED {
        for leaf in ["weight", "bias"] {
            let ending = format!("{}.{leaf}", parts[0]);
            let prefixes: Vec<String> = tensors
                .keys()
                .filter_map(|name| Some(name.strip_suffix(&ending)?.to_owned()))
                .collect();
            for prefix in prefixes {
                let names: Vec<_> = parts
                    .iter()
                    .map(|part| format!("{prefix}{part}.{leaf}"))
                    .collect();
                if let Some(tensor) = stacked(&names, tensors, leaf == "bias") {
                    for name in &names {
                        tensors.remove(name);
                    }
                    freed.add_floats(tensor.numel());
                    tensors.insert(format!("{prefix}{whole}.{leaf}"), tensor);
                }
            }
        }
    }
}

/// The tensors one below the other, if they have one shape. One that is missing is zero where that is allowed.
fn stacked(
    names: &[String],
    tensors: &BTreeMap<String, HostTensor>,
    missing_is_zero: bool,
) -> Option<HostTensor> {
    let parts: Vec<_> = names.iter().map(|name| tensors.get(name)).collect();
    let mut shape = parts.iter().flatten().next()?.shape.clone();
    let fits = |part: Option<&HostTensor>| part.map_or(missing_is_zero, |part| part.shape == shape);
    if shape.is_empty() || !parts.iter().copied().all(fits) {
        return None;
    }
    let zeros = HostTensor::full(shape.clone(), 0.0);
    let data = parts
        .iter()
        .flat_map(|part| part.unwrap_or(&zeros).data.iter().copied())
        .collect();
    shape[0] *= names.len();
    Some(HostTensor::new(shape, data))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full(value: f32) -> HostTensor {
        HostTensor::full([2, 2], value)
    }

    #[test]
    fn three_projections_become_one() {
        let mut tensors = BTreeMap::new();
        for (part, value) in [("q", 1.0), ("k", 2.0), ("v", 3.0)] {
            tensors.insert(format!("blocks.0.attn.{part}.weight"), full(value));
            if part != "k" {
                tensors.insert(format!("blocks.0.attn.{part}.bias"), HostTensor::full([2], value));
            }
        }
        fuse_layers(&mut tensors);
        assert_eq!(tensors.len(), 2);
        let weight = &tensors["blocks.0.attn.qkv.weight"];
        assert_eq!(weight.shape, [6, 2]);
        assert_eq!(weight.data, [[1.0; 4], [2.0; 4], [3.0; 4]].concat());
        assert_eq!(
            tensors["blocks.0.attn.qkv.bias"].data,
            [1.0, 1.0, 0.0, 0.0, 3.0, 3.0]
        );
    }

    #[test]
    fn biases_beside_a_fused_weight_become_its_bias() {
        let mut tensors = BTreeMap::from([("blocks.0.attn.qkv.weight".to_owned(), full(1.0))]);
        for (part, value) in [("q", 1.0), ("v", 3.0)] {
            tensors.insert(format!("blocks.0.attn.{part}.bias"), HostTensor::full([1], value));
        }
        fuse_layers(&mut tensors);
        assert_eq!(tensors["blocks.0.attn.qkv.bias"].data, [1.0, 0.0, 3.0]);
        assert_eq!(tensors.len(), 2);
    }

    #[test]
    fn gates_come_before_values() {
        let mut tensors = BTreeMap::from([
            ("blocks.3.mlp.value.weight".to_owned(), full(2.0)),
            ("blocks.3.mlp.gate.weight".to_owned(), full(1.0)),
        ]);
        fuse_layers(&mut tensors);
        let fc1 = &tensors["blocks.3.mlp.fc1.weight"];
        assert_eq!(fc1.data, [[1.0; 4], [2.0; 4]].concat());
    }

    #[test]
    fn numbers_are_no_projections() {
        let names = ["q", "k", "v"].map(|part| format!("blocks.0.attn.{part}.weight"));
        let mut tensors = BTreeMap::from(names.map(|name| (name, HostTensor::full(vec![], 1.0))));
        let before = tensors.clone();
        fuse_layers(&mut tensors);
        assert_eq!(tensors, before);
    }

    #[test]
    fn a_projection_that_is_missing_is_left_to_be_listed() {
        let mut tensors = BTreeMap::from([("blocks.0.attn.q.weight".to_owned(), full(1.0))]);
        let before = tensors.clone();
        fuse_layers(&mut tensors);
        assert_eq!(tensors, before);
    }
}
