//! Query, key and value projections as timm keeps them: one linear layer.

use std::collections::BTreeMap;

use crate::HostTensor;

/// Replaces `attn.q`, `attn.k` and `attn.v` of every block by `attn.qkv`, their rows one below the other. A projection
/// without a bias beside others that have one has the bias 0. What does not fit together stays as it is.
pub(super) fn fuse_qkv(tensors: &mut BTreeMap<String, HostTensor>) {
    let queries: Vec<String> = tensors
        .keys()
        .filter_map(|name| Some(name.strip_suffix("attn.q.weight")?.to_owned()))
        .collect();
    for block in queries {
        for leaf in ["weight", "bias"] {
            let names = ["q", "k", "v"].map(|part| format!("{block}attn.{part}.{leaf}"));
            let parts = names.each_ref().map(|name| tensors.get(name));
            let Some(like) = parts.iter().flatten().next().map(|part| part.shape.clone()) else {
                continue;
            };
            let fits = |part: Option<&HostTensor>| part.map_or(leaf == "bias", |part| part.shape == like);
            if like.is_empty() || !parts.iter().copied().all(fits) {
                continue;
            }
            let zeros = HostTensor::full(like.clone(), 0.0);
            let data = parts
                .iter()
                .flat_map(|part| part.unwrap_or(&zeros).data.iter().copied());
            let data: Vec<f32> = data.collect();
            let mut shape = like;
            if let Some(rows) = shape.first_mut() {
                *rows *= 3;
            }
            for name in &names {
                tensors.remove(name);
            }
            tensors.insert(format!("{block}attn.qkv.{leaf}"), HostTensor::new(shape, data));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_projections_become_one() {
        let mut tensors = BTreeMap::new();
        for (part, value) in [("q", 1.0), ("k", 2.0), ("v", 3.0)] {
            tensors.insert(
                format!("blocks.0.attn.{part}.weight"),
                HostTensor::full([2, 2], value),
            );
            if part != "k" {
                tensors.insert(format!("blocks.0.attn.{part}.bias"), HostTensor::full([2], value));
            }
        }
        fuse_qkv(&mut tensors);
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
    fn numbers_are_no_projections() {
        let names = ["q", "k", "v"].map(|part| format!("blocks.0.attn.{part}.weight"));
        let mut tensors = BTreeMap::from(names.map(|name| (name, HostTensor::full(vec![], 1.0))));
        let before = tensors.clone();
        fuse_qkv(&mut tensors);
        assert_eq!(tensors, before);
    }

    #[test]
    fn a_projection_that_is_missing_is_left_to_be_listed() {
        let mut tensors =
            BTreeMap::from([("blocks.0.attn.q.weight".to_owned(), HostTensor::full([2, 2], 1.0))]);
        let before = tensors.clone();
        fuse_qkv(&mut tensors);
        assert_eq!(tensors, before);
    }
}
