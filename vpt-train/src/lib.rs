//! Training: settings, optimisers, schedule, loop, run folder and resume for `vpt`.
//!
//! [`TrainConfig`] → [`Trainer::new`] → [`Trainer::fit`] writes a [`RunDir`]. [`Trainer::resume`] continues one, to the
//! same bytes as if it had never stopped. This crate prints nothing: an [`Observer`] hears what goes on.

pub mod bench;
mod best;
mod binary_loss;
mod cache;
mod checkpoint;
mod cholesky;
mod class_weights;
mod clip;
mod config;
mod config_layers;
mod date;
mod defaults;
pub mod dense;
mod error;
mod finish;
mod head_init;
mod init_from;
mod journal;
mod lbfgs;
mod limits;
mod logistic;
mod loss;
mod memory_plan;
mod meter;
mod objective;
mod observer;
mod open_data;
mod optimizer;
mod preview;
mod replica;
mod run_dir;
mod sampling;
mod schedule;
pub mod search;
mod setup;
mod solve;
mod source;
mod state;
mod supply;
mod targets;
mod tensorboard;
mod trainer;

pub use binary_loss::{BinaryObjective, binary_focal};
pub use cache::Cache;
pub use class_weights::ClassWeights;
pub use clip::clip_global_norm;
pub use config::TrainConfig;
pub use defaults::{Recipe, recipe};
pub use error::TrainError;
pub use head_init::HeadInit;
pub use lbfgs::{Lbfgs, Minimum};
pub use logistic::{Curvature, Link, LogisticRegression};
pub use loss::{Loss, cross_entropy, focal};
pub use memory_plan::MemoryPlan;
pub use objective::Objective;
pub use observer::{Observer, RunPlan, Silent, StepInfo};
pub use optimizer::{GroupOptimizer, Opt, OptimizerConfig, OptimizerState};
pub use run_dir::{Existing, RunDir};
pub use sampling::Sampling;
pub use schedule::{Sched, lr_at};
pub use state::{Best, EndReason, Progress, RunState};
pub use targets::Targets;
pub use trainer::{Finished, Outcome, Resumed, Trainer};
