//! The hub's client against a server on this machine that misbehaves on demand.

#![allow(clippy::unwrap_used)]

mod damaged;
mod download;
mod fake_hub;
mod offline;
mod proxy;
mod refused;
mod together;
mod token;
