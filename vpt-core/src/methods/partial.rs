//! Partial fine-tuning: the last blocks, and the norms and the pooling behind them (Partial-k of Jia et al. 2022).

/// Whether the parameter is learned: when it belongs to one of the last `tuned` of `depth` blocks, or to
/// to what stands behind them.
pub(super) fn tunes(name: &str, tuned: usize, depth: usize) -> bool {
    let mut parts = name.split('.');
    match parts.next() {
        Some("norm" | "attn_pool" | "fc_norm") => true,
        Some("blocks") => parts
            .next()
            .and_then(|index| index.parse::<usize>().ok())
            .is_some_and(|index| index + tuned >= depth),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::tunes;

    #[test]
    fn the_last_blocks_and_the_norms_behind_them() {
        let tuned = [
            "blocks.10.attn.qkv.weight",
            "blocks.11.ls1.gamma",
            "norm.bias",
            "fc_norm.weight",
            "attn_pool.latent",
        ];
        let frozen = [
            "blocks.9.mlp.fc1.bias",
            "blocks.1.norm1.weight",
            "norm_pre.weight",
            "pos_embed",
        ];
        assert!(tuned.iter().all(|name| tunes(name, 2, 12)));
        assert!(!frozen.iter().any(|name| tunes(name, 2, 12)));
    }
}
