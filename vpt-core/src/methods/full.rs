//! Full fine-tuning: everything.

/// Whether the parameter is learned: always.
pub(super) fn tunes(_name: &str) -> bool {
    true
}
