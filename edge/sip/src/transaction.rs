//! Transactions (RFC 3261, 17; RFC 6026) as pure, serialisable machines.
//!
//! ```text
//!  client INVITE   Calling ─▶ Proceeding ─▶ Completed | Accepted ─▶ Ended
//!  client          Trying  ─▶ Proceeding ─▶ Completed            ─▶ Ended
//!  server INVITE   Proceeding ─▶ Completed ─▶ Confirmed          ─▶ Ended
//!                       └──────▶ Accepted ──────────────────────────▲
//!  server          Trying ─▶ Completed                           ─▶ Ended
//! ```
//!
//! # Invariants
//! * Time comes in; a deadline is data ([`next_deadline`](InviteClient::next_deadline)).
//! * Every state but `Proceeding` of an INVITE has a deadline: how long a phone rings is decided by the call.
//! * On a stream nothing is sent twice, and nothing lingers to absorb repeats that cannot come.

mod backoff;
mod client;
mod invite_client;
mod invite_server;
mod key;
mod server;

use std::time::Duration;

pub use backoff::Backoff;
use bytes::Bytes;
pub use client::Client;
pub use invite_client::InviteClient;
pub use invite_server::InviteServer;
pub use key::{Marks, ServerKey};
pub use server::Server;

/// Estimate of a round trip; everything else follows from it (RFC 3261, 17.1.1.1).
pub const T1: Duration = Duration::from_millis(500);
/// Longest interval between repeats of a request that is no INVITE, and of a response to an INVITE.
pub const T2: Duration = Duration::from_secs(4);
/// Longest time a message stays in the network.
pub const T4: Duration = Duration::from_secs(5);
/// Timers B, D, F, H, J, L and M: nobody answers any more, or nobody asks any more.
pub const GIVE_UP: Duration = Duration::from_secs(32);

/// What a deadline brought.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Due {
    /// It was early.
    Nothing,
    /// This must be sent again.
    Resend(Bytes),
    /// The other side did not answer in time. The transaction has ended.
    TimedOut,
    /// The transaction has ended, as all do.
    Ended,
}

/// What a response to our request is to its transaction.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Heard {
    /// News for the user of the transaction.
    New,
    /// News, and the transaction sends this at once: the ACK of a refused INVITE.
    Refused(Bytes),
    /// A repeat; this is sent again, if anything.
    Repeat(Option<Bytes>),
}
