//! The rules of Tandem: pure machines and values that know nobody.
//!
//! ```text
//!  edges ── inputs ──▶  call ─ leg ─ track  ── effects ──▶ ports
//! ```
//!
//! # Invariants
//! * No runtime, no I/O, no clock, no randomness: time and fresh ids come in with the input.
//! * The world is reached only through the traits in [`ports`].
//! * No input panics; an impossible one is [`machine::Rejected`] and changes nothing.

pub mod account;
pub mod admission;
pub mod audit;
pub mod call;
pub mod cause;
pub mod cdr;
pub mod conference;
pub mod contract;
pub mod event;
pub mod id;
pub mod leg;
pub mod location;
pub mod machine;
pub mod media;
pub mod metric;
pub mod network;
pub mod numbering;
pub mod participant;
pub mod party;
pub mod pii;
pub mod ports;
pub mod publication;
pub mod quality;
pub mod restart;
pub mod revocation;
pub mod room;
pub mod routing;
pub mod tenancy;
pub mod time;
pub mod trace;
pub mod trace_context;
pub mod track;
pub mod webhook;

#[cfg(test)]
mod model;
#[cfg(test)]
mod world;
