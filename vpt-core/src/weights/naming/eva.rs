//! The names of timm's `Eva` and `Beit`: biases of queries and values stand apart and the keys have none, LayerScale is called
//! otherwise, and the two halves of a gated MLP that a norm follows are two layers.

use std::collections::BTreeMap;

use crate::{HostTensor, VitConfig};

/// Whether the class of timm that builds `config` has a place for all tensors: it has none for a bias of keys that are turned by
/// their places. (Where they are not, such a bias adds the same to every score of a query, and is left out.)
pub(in crate::weights) fn fits_timm(config: &VitConfig, tensors: &BTreeMap<String, HostTensor>) -> bool {
    let biased = |bias: &HostTensor| {
        let [_, keys, _] = parts(bias);
        keys.data.iter().any(|&x| x != 0.0)
    };
    let mut biases = tensors.iter().filter(|(name, _)| name.ends_with("attn.qkv.bias"));
    config.rope.is_none() || !biases.any(|(_, bias)| biased(bias))
}

/// A backbone's tensors as the class of timm that builds `config` has them; those of one that [fits](fits_timm).
pub(in crate::weights) fn timm_eva_tensors(
    config: &VitConfig,
    tensors: &BTreeMap<String, HostTensor>,
) -> BTreeMap<String, HostTensor> {
    let halves_apart = config.gated_mlp && (config.mlp_norm || config.rel_pos_bias);
    let mut renamed = BTreeMap::new();
    for (name, tensor) in tensors {
        let block = name.strip_prefix("blocks.").and_then(|rest| rest.split_once('.'));
        let Some((i, part)) = block else {
            renamed.insert(name.clone(), tensor.clone());
            continue;
        };
        let mut add = |part: &str, tensor: HostTensor| renamed.insert(format!("blocks.{i}.{part}"), tensor);
        match part {
            "ls1.gamma" => add("gamma_1", tensor.clone()),
            "ls2.gamma" => add("gamma_2", tensor.clone()),
            "attn.qkv.bias" => {
                let [queries, _, values] = parts(tensor);
                add("attn.q_bias", queries);
                add("attn.v_bias", values)
            }
            "mlp.fc1.weight" | "mlp.fc1.bias" if halves_apart => {
                let leaf = part.trim_start_matches("mlp.fc1");
                let [gates, values] = parts(tensor);
                add(&format!("mlp.fc1_g{leaf}"), gates);
                add(&format!("mlp.fc1_x{leaf}"), values)
            }
            _ => add(part, tensor.clone()),
        };
    }
    renamed
}

/// `N` tensors of equally many rows.
fn parts<const N: usize>(tensor: &HostTensor) -> [HostTensor; N] {
    let mut shape = tensor.shape.clone();
    shape[0] /= N;
    let length = tensor.numel() / N;
    std::array::from_fn(|part| {
        HostTensor::new(
            shape.clone(),
            tensor.data[part * length..(part + 1) * length].to_vec(),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Backbone, preset};

    fn small(name: &str) -> Backbone {
        let config = VitConfig {
            img_size: [32, 32],
            embed_dim: 24,
            depth: 2,
            num_heads: 2,
            ..preset(name).unwrap()
        };
        Backbone::random(config, 3, 1)
    }

    #[test]
    fn names_are_those_of_timm() {
        let eva = small("eva02_base_patch16_clip_224");
        let names: Vec<_> = timm_eva_tensors(&eva.config, &eva.tensors).into_keys().collect();
        for expected in [
            "blocks.0.attn.q_bias",
            "blocks.1.mlp.fc1_g.weight",
            "blocks.1.mlp.fc1_x.bias",
        ] {
            assert!(
                names.iter().any(|name| name == expected),
                "{expected} of {names:?}"
            );
        }
        let beit = small("beitv2_base_patch16_224");
        assert!(timm_eva_tensors(&beit.config, &beit.tensors).contains_key("blocks.1.gamma_2"));
    }

    #[test]
    fn a_bias_of_keys_needs_keys_that_are_not_turned() {
        for (name, fits) in [
            ("eva02_small_patch14_224", false),
            ("beitv2_base_patch16_224", true),
        ] {
            let mut backbone = small(name);
            assert!(fits_timm(&backbone.config, &backbone.tensors), "{name}");
            let bias = backbone.tensors.get_mut("blocks.1.attn.qkv.bias").unwrap();
            bias.data[24] = 0.5;
            assert_eq!(fits_timm(&backbone.config, &backbone.tensors), fits, "{name}");
        }
    }
}
