//! The command line from the outside: what a user types, what comes back, what lies on disk afterwards.

mod bad_input;
mod compare;
mod decisions;
mod end_to_end;
/// The server of the tests of `vpt-hub`.
#[path = "../../vpt-hub/tests/hub/fake_hub.rs"]
#[allow(dead_code, reason = "each test binary uses its part of the server")]
mod fake_hub;
mod folds;
mod help;
mod hub;
mod interruption;
mod knn;
mod looking;
mod multi_label;
mod places;
mod prune;
mod sandbox;
mod serving;
mod suite;
mod tables;
