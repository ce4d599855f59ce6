//! ONNX: a task and its backbone as one graph that other runtimes compute, from normalised pixels to logits, boxes or masks.
//!
//! The graph is what [`Classifier::forward`](crate::Classifier::forward) computes, or the head on [`Classifier::feature_map`](crate::Classifier::feature_map). What does not depend on the image is computed
//! when the graph is built: keys and values of deep prompts, position embeddings at the task's image size, rotary tables, biases by
//! relative position. Updates of low rank, scales and shifts are part of the weights; adapters are layers of the graph.

mod attention;
mod classifier;
mod external_data;
mod graph;
mod heads;
mod layers;
mod metadata;
mod model;
mod operators;
mod proto;
mod wire;

pub use model::{OnnxFiles, OnnxModel};
