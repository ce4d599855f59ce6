//! BitFit: every bias of the backbone, also those of the norms (Ben Zaken et al. 2022, arXiv 2106.10199).

/// Whether the parameter is learned: when it is a bias.
pub(super) fn tunes(name: &str) -> bool {
    name.rsplit('.').next() == Some("bias")
}
