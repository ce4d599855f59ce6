//! One backbone in memory, many tasks over HTTP.
//!
//! A request's images are decoded and prepared ([`ServeOptions::decoders`] at a time), wait in a bounded queue, and go through the
//! frozen backbone in batches that mix tasks: each image attends to the prompts of its own task, as keys and values
//! ([`vpt_core::mixed_features`]), and each task's head reads its own images. Data flows one way:
//!
//! `server` (connections) → `routes` (addresses) → `request` (bodies) → `app` (decoding, places in the queue) → `engine` (the queue) →
//! `batch` (forward passes) → `task` (heads, decisions) → [`answer`] (JSON).
//!
//! [`Registry`] holds the backbone and the tasks, [`Sources`] the files that they come from.

pub mod answer;
mod app;
mod batch;
mod engine;
mod error;
mod input;
mod metrics;
mod options;
mod page;
mod problem;
mod registry;
mod request;
mod routes;
mod server;
mod sources;
mod task;

pub use error::ServeError;
pub use options::ServeOptions;
pub use registry::Registry;
pub use server::Server;
pub use sources::{Change, Sources};
pub use task::ServedTask;
