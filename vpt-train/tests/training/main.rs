//! Whole runs with tiny models on tiny drawn images.

mod bench;
mod devices;
mod imbalance;
mod learning;
mod memory;
mod resuming;
mod run_folder;
mod solving;
mod tensorboard;
