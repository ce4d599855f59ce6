//! vpt-eval
