//! Tuning methods: which parameters a task learns.
//!
//! A method is a set of parameter names, plus a tuner if it adds parameters. From that one set follow
//! freezing, the optimiser's parameters, the counts, and the content of the task file. The head is always
//! learned. A new method is one file here and one line in each `match` of `config.rs` and `tuner.rs`.

mod adapter;
mod adaptformer;
mod added;
mod bitfit;
mod bottleneck;
mod config;
mod full;
mod kind;
mod linear;
mod lora;
mod mlp_head;
mod norm;
mod options;
mod partial;
mod scratch;
mod ssf;
mod tuner;
mod vpt;

pub use adapter::{AdapterBlock, Adapters};
pub(crate) use adaptformer::SCALE as ADAPTFORMER_SCALE;
pub use adaptformer::{AdaptFormer, AdaptFormerBlock};
pub(crate) use added::{AddedTensor, Start};
pub use bottleneck::{AdapterConfig, Bottleneck};
pub use config::MethodConfig;
pub use kind::MethodKind;
pub use lora::{Lora, LoraAttention, LoraBlock, LoraConfig, LoraLayer, LoraMlp, LoraTarget};
pub use mlp_head::MlpHead;
pub use options::MethodOptions;
pub use ssf::{Ssf, Ssf2, SsfBlock};
pub use tuner::{Tuner, is_added};
