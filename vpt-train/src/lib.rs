//! vpt-train
