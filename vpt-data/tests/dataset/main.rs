//! Opening folders as users have them: good ones, and every bad one with its message and its hint.

#![allow(clippy::unwrap_used)] // a test fails by panicking

mod bad;
mod columns;
mod folder;
mod good;
mod leaks;
#[cfg(unix)]
mod links;
mod manifest;
mod medmnist;
mod metadata;
mod summary;
