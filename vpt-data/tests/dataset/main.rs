//! Opening folders as users have them: good ones, and every bad one with its message and its hint.

mod bad;
mod folder;
mod good;
#[cfg(unix)]
mod links;
mod summary;
