//! Training from scratch: everything is learned, from random values. What pretraining brings is measured against it.

/// Whether the parameter is learned: always.
pub(super) fn tunes(_name: &str) -> bool {
    true
}
