//! Downloads of models from the Hugging Face hub for `vpt`.
//!
//! [`RepoId`] says which repository, [`Hub`] where and how, and [`Hub::snapshot`] fetches the files that its caller
//! chooses, each of them once: the cache is laid out as that of Python's `huggingface_hub`, so that both share it.
//!
//! What arrives is trusted only after its hash was compared with the listing's. This crate knows nothing of what is in
//! the files.

mod blob_hash;
mod cache;
mod client;
mod download;
mod environment;
mod error;
mod hub;
mod listing;
mod repo_id;
mod retries;
mod snapshot;
mod url;

pub use error::HubError;
pub use hub::Hub;
pub use repo_id::RepoId;
pub use retries::Retries;
pub use snapshot::{Progress, RepoFile, Snapshot};
