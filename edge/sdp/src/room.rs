//! Rooms: descriptions with many sections that all share one transport, both ways (RFC 8829, RFC 8843).
//!
//! ```text
//!  text ──lines──▶ sections ──section, formats, sources──▶ Description { peer, sections }
//!  text ◀────────────────── write ──────────────────────── Description { peer, address, sections }
//! ```
//!
//! As elsewhere the far end finds us: it reads our one candidate, we read none of its own.
//!
//! # Invariants
//! * Every section of a text is a section of its description, in order, under a name of its own.
//! * A section that wants a transport of its own, or another than DTLS, is a rejected one.
//! * Of a list that is too long the first entries count; no list makes a reader slower than its length allows.

mod formats;
mod read;
mod section;
mod sources;
mod write;

pub use read::{parse_room_answer, parse_room_offer};
pub use write::{render_room_answer, render_room_offer};

/// Longest description of a room that is read, in bytes: what one message of the signalling can hold.
pub const MAX_ROOM_TEXT: usize = 2 << 20;

/// Most sections of it: each medium that a participant sends or receives has one.
pub const MAX_ROOM_SECTIONS: usize = 1_024;

/// Longest name of a section or layer: what an element of a one-byte header extension can hold (RFC 8285, 4.2).
const MAX_NAME: usize = 16;
