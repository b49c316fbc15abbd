//! Rooms on LiveKit's wire, so that its SDKs are our clients: signalling, server API and data. Translates, decides
//! nothing.
//!
//! ```text
//!  SDK ──WebSocket──▶ door ──Join──▶ RoomPort                server SDK ──HTTP──▶ twirp ──▶ RoomPort
//!      ◀─────────────── socket ◀── wires ◀── RoomEdgePort
//!      ─SignalRequest─▶ socket ──RoomRequest──▶ RoomPort
//!  SDK ══data channel══ pool ──DataPort──▶ data ──▶ SfuPort ══data channel══ other SDKs
//! ```
//!
//! # Invariants
//! * Nobody comes in without a token of a configured key; a refusal comes before the upgrade.
//! * A participant outlives its socket: the wire stays until its machine releases it.
//! * Every queue is bounded. A socket that does not read is closed, and its participant told that it was cut.
//! * The sender of a message is who sent it, whatever the message says.

mod clock;
pub mod config;
mod data;
mod door;
mod edge;
mod framing;
mod keys;
mod quirks;
mod request;
mod response;
mod sid;
mod socket;
mod twirp;
mod version;
mod wires;

pub use config::Config;
pub use edge::{Deps, Livekit, RefusedJoin};
