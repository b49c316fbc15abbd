//! Providers of calls to numbers outside, other than our own SIP border: each is an [`EdgePort`] that knows its legs.
//!
//! ```text
//!  leg ── Invite(+…0486) ──▶ Mock ── script of the number ──▶ Ringing · Answered · Refused(busy)
//! ```
//!
//! # Invariants
//! * What a provider does to a leg it does through [`CallPort`](tandem_core::ports::CallPort), as any edge.
//! * A released leg hears nothing more.

mod mock;
mod script;

use tandem_core::id::LegId;
use tandem_core::ports::EdgePort;

pub use mock::Mock;

/// Who carries calls to numbers outside.
pub trait VoipProvider: EdgePort {
    /// Whether this leg is one of its.
    fn carries(&self, leg: LegId) -> bool;
}
