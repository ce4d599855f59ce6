//! Weights in the words of another library.

use std::collections::BTreeMap;

use vpt_core::HostTensor;

/// The tensors as Hugging Face transformers names them: query, key and value apart.
pub fn in_transformers(tensors: &BTreeMap<String, HostTensor>) -> BTreeMap<String, HostTensor> {
    let mut renamed = BTreeMap::new();
    for (name, tensor) in tensors {
        let own = name
            .replace("cls_token", "embeddings.cls_token")
            .replace("pos_embed", "embeddings.position_embeddings")
            .replace("patch_embed.proj", "embeddings.patch_embeddings.projection")
            .replace("blocks.", "encoder.layer.")
            .replace("norm1", "layernorm_before")
            .replace("norm2", "layernorm_after")
            .replace("attn.proj", "attention.output.dense")
            .replace("mlp.fc1", "intermediate.dense")
            .replace("mlp.fc2", "output.dense");
        let own = if own.starts_with("norm.") {
            format!("layer{own}")
        } else {
            own
        };
        if !name.contains("qkv") {
            renamed.insert(own, tensor.clone());
            continue;
        }
        let mut shape = tensor.shape.clone();
        shape[0] /= 3;
        for (part, data) in ["query", "key", "value"]
            .iter()
            .zip(tensor.data.chunks(tensor.numel() / 3))
        {
            let part = own.replace("attn.qkv", &format!("attention.attention.{part}"));
            renamed.insert(part, HostTensor::new(shape.clone(), data.to_vec()));
        }
    }
    renamed
}
