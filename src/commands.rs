//! One file a command: its flags and what it does.

pub mod bench;
pub mod calibrate;
pub mod compare;
pub mod completions;
pub mod demo;
pub mod eval;
pub mod export;
pub mod features;
pub mod inspect;
pub mod knn;
pub mod list;
pub mod predict;
pub mod probe;
pub mod prune;
pub mod serve;
pub mod train;
