//! What a leg is born with: whose it is, which side of the call, and who makes the offer.

use std::sync::Arc;
use std::time::Duration;

use crate::event::Context;
use crate::id::CallId;
use crate::media::MediaDescription;
use crate::party::{Party, Target};

/// What a leg is born with, and never changes.
#[derive(Clone, Debug, PartialEq)]
pub struct Birth {
    /// Its call.
    pub call: CallId,
    /// Ids.
    pub context: Context,
    /// Which side of the call.
    pub role: Role,
}

/// Which side of the call a leg is.
#[derive(Clone, Debug, PartialEq)]
pub enum Role {
    /// It called us.
    Caller(Negotiation),
    /// We call it.
    Callee(Box<Outgoing>),
}

/// Who makes the offer on the caller's side (RFC 3264).
#[derive(Clone, Debug, PartialEq)]
pub enum Negotiation {
    /// The caller did.
    Offered(Arc<MediaDescription>),
    /// We do when we answer it.
    Late,
    /// We do at once, as a WebRTC peer; its answer must come within [`ANSWER_TIMEOUT`](super::ANSWER_TIMEOUT).
    AtOnce,
}

impl Negotiation {
    /// What the caller offered.
    #[must_use]
    pub const fn offer(&self) -> Option<&Arc<MediaDescription>> {
        match self {
            Self::Offered(offer) => Some(offer),
            Self::Late | Self::AtOnce => None,
        }
    }
}

/// What a leg needs to call somebody.
#[derive(Clone, Debug, PartialEq)]
pub struct Outgoing {
    /// Whom, and where.
    pub target: Target,
    /// Who calls, as the callee may see it.
    pub caller: Party,
    /// What to offer; its addresses are replaced by ours.
    pub offer: Arc<MediaDescription>,
    /// For the INVITE.
    pub max_forwards: u8,
    /// How long it may ring.
    pub ring_timeout: Duration,
}
