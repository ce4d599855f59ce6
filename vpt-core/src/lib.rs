//! vpt-core
