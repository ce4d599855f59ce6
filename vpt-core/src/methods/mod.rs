//! Tuning methods: which parameters a task learns.
//!
//! A method is a set of parameter names, plus a tuner if it adds parameters. From that one set follow
//! freezing, the optimiser's parameters, the counts, and the content of the task file. The head is always
//! learned. A new method is one file here and one line in each `match` below.

mod bitfit;
mod config;
mod full;
mod linear;
mod partial;
mod vpt;

pub use config::{MethodConfig, MethodKind, PromptOptions};
