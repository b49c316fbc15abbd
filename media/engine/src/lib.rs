//! Audio packets between the legs of calls, without I/O: what came in on one leg, renumbered, goes out on another.
//!
//! ```text
//!  socket of A ─▶ latch ─▶ source ─▶ formats ─▶ digits        A's side: who sends, how well, what
//!  shared port ─▶ peer ──┘                └─▶ numbers ─▶ socket of B    B's side: one SSRC, one sequence, one clock
//!                                                └─▶ peer ─▶ shared port
//! ```
//!
//! # Invariants
//! * No threads, sockets or clock: the time comes with the input. The randomness is a seed given at the start, but for
//!   what the library needs of it to shake hands.
//! * Nothing is allocated and nothing locked per packet; a packet is rewritten where it lies.
//! * What must outlive an engine is in [`Continuity`] and [`peer::Kept`], which whoever rebuilds it keeps.
//! * No packet panics, and none leaves for an address that is not unicast.

mod continuity;
mod counts;
mod demux;
mod digit;
mod engine;
mod formats;
mod g711;
mod hearing;
mod latch;
mod leg;
pub mod peer;
mod rtcp;
mod sender;
pub mod sfu;
mod source;
mod span;

pub use continuity::Continuity;
pub use counts::Counts;
pub use engine::{Engine, Settings, TICK};

use std::net::SocketAddr;

/// One socket of one leg.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Socket {
    /// The leg's place in the engine: a small number that whoever owns the sockets gives out.
    pub place: usize,
    /// Which of its sockets.
    pub kind: SocketKind,
}

/// A leg has two sockets, or shares one.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum SocketKind {
    /// For media.
    Rtp,
    /// For reports about it.
    Rtcp,
    /// The one of all peers.
    Peer,
}

/// A packet that is ready to go: the first `len` bytes of the buffer that the engine was given.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Transmit {
    /// From which of our sockets.
    pub socket: Socket,
    /// Where to: always unicast.
    pub to: SocketAddr,
    /// Bytes.
    pub len: usize,
}
