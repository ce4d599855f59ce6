//! The search for a method's settings: where it looks ([`SearchSpace`]) and how it spends its budget ([`rungs`]).
//!
//! Every method gets the same number of settings to try. The first are always its own defaults; all are judged on the
//! validation images, and the test images are not read.

mod halving;
mod protocol;
mod space;

pub use halving::{Rung, epochs_of, rungs, settings_within};
pub use protocol::{Protocol, VTAB1K_SEEDS};
pub use space::{SearchSpace, Sought};
