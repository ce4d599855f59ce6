//! vpt-data
