//! The border on real sockets, on loopback addresses of its own.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "tests"
)]

mod calls;
#[path = "../rfc4475/corpus.rs"]
mod corpus;
mod node;
mod streams;
mod torture;
