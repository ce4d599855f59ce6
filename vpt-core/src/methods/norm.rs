//! LayerNorm tuning: scale and shift of every norm (Basu et al. 2023, "Strong Baselines for Parameter-Efficient Few-Shot
//! Fine-Tuning", arXiv 2304.01917; for language models Zhao et al. 2023, arXiv 2312.11420).

/// Whether the parameter is learned: when it belongs to a norm.
pub(super) fn tunes(name: &str) -> bool {
    let mut parts = name.rsplit('.').skip(1);
    matches!(
        parts.next(),
        Some("norm" | "norm1" | "norm2" | "norm_pre" | "fc_norm")
    )
}

#[cfg(test)]
mod tests {
    use super::tunes;

    #[test]
    fn norms_by_their_names() {
        let tuned = [
            "norm.weight",
            "norm_pre.bias",
            "fc_norm.weight",
            "blocks.3.norm1.bias",
            "blocks.0.mlp.norm.weight",
            "blocks.2.downsample.norm.weight",
            "attn_pool.norm.bias",
        ];
        let frozen = [
            "blocks.0.attn.qkv.bias",
            "blocks.0.ls1.gamma",
            "pos_embed",
            "head.weight",
        ];
        assert!(tuned.iter().all(|name| tunes(name)));
        assert!(!frozen.iter().any(|name| tunes(name)));
    }
}
