//! The SIP border: registrar, and a back-to-back user agent for calls.
//!
//! ```text
//!  sockets ── messages ──▶ shard (by Call-ID): guard ─ transaction ─ dialog ─ agent ── inputs ──▶ CallPort
//!          ◀─ datagrams ──                                                          ◀─ signals ── EdgePort
//! ```
//!
//! It translates and decides nothing about calls. Every message is built from scratch, so nothing of one side of a call
//! is visible on the other.

mod addresses;
mod agent;
mod auth;
mod compose;
pub mod config;
pub mod dialog;
pub mod digest;
mod edge;
mod exchange;
pub mod framing;
mod front;
pub mod guard;
pub mod header;
mod inbox;
pub mod message;
pub mod registrar;
mod request;
mod shard;
mod shared;
pub mod transaction;
mod transport;
pub mod uri;
#[cfg(test)]
mod world;

pub use config::SipConfig;
pub use edge::{Clock, Deps, SetupError, Sip};
pub use registrar::Registrar;
pub use transport::udp::Wire;
