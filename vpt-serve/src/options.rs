//! [`ServeOptions`]: where to listen, how to batch, and how much of anything is accepted.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

/// Where to listen, how to batch, and how much of anything is accepted.
#[derive(Clone, Debug)]
pub struct ServeOptions {
    /// Where to listen. Whatever is not this machine alone wants a [`token`](Self::token).
    pub address: SocketAddr,
    /// What clients send as `Authorization: Bearer …`; without one, tasks cannot be changed over HTTP.
    pub token: Option<String>,
    /// The most inputs in one forward pass.
    pub max_batch: usize,
    /// How long the first input of a batch waits for others.
    pub max_wait: Duration,
    /// The most inputs (images × tasks) that are accepted and not yet answered.
    pub queue: usize,
    /// How long reading a request may take, and how long answering it.
    pub timeout: Duration,
    /// The most bytes of one request.
    pub max_body_bytes: usize,
    /// The most bytes of all requests that are being read or decoded.
    pub max_bodies_bytes: usize,
    /// The most pixels of an image.
    pub max_pixels: u64,
    /// The most images of a request.
    pub max_images: usize,
    /// The most connections.
    pub max_connections: usize,
    /// Threads that decode images.
    pub decoders: usize,
}

impl Default for ServeOptions {
    fn default() -> Self {
        Self {
            address: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8080),
            token: None,
            max_batch: 16,
            max_wait: Duration::from_millis(5),
            queue: 256,
            timeout: Duration::from_secs(30),
            max_body_bytes: 32 << 20,
            max_bodies_bytes: 256 << 20,
            max_pixels: 50_000_000,
            max_images: 64,
            max_connections: 1024,
            decoders: 2,
        }
    }
}
