//! Linear probe: the head alone.

/// Whether the parameter is learned beside the head: never.
pub(super) fn tunes(_name: &str) -> bool {
    false
}
