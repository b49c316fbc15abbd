//! The edge on a real port, with real sockets and clients; the rooms and the media pool behind it are played.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that fails by panicking"
)]

mod client;
mod data;
mod hostile;
mod joining;
mod native;
mod resuming;
mod server_api;
mod talking;
mod world;
