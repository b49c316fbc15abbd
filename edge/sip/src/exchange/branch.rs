//! Branches of our requests: they are the keys of their transactions.

use rand::{Rng, RngExt};

use crate::header::via::MAGIC_COOKIE;
use crate::message::{Message, Method};

/// Names a client transaction. A CANCEL has the branch of its INVITE.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) struct ClientKey {
    branch: u64,
    is_cancel: bool,
}

impl ClientKey {
    pub(crate) fn new(rng: &mut impl Rng) -> Self {
        Self { branch: rng.random(), is_cancel: false }
    }

    pub(crate) const fn of_cancel(self) -> Self {
        Self { is_cancel: true, ..self }
    }

    /// As it stands in a Via.
    pub(crate) fn text(self) -> String {
        format!("{MAGIC_COOKIE}{:016x}", self.branch)
    }

    /// The request that a response is for. `None` when it is none of ours: another branch, or further Vias below ours
    /// (RFC 3261, 8.1.3.3).
    pub(crate) fn of_response(response: &Message) -> Option<Self> {
        let mut vias = response.headers.vias();
        let (Some(Ok(ours)), None) = (vias.next(), vias.next()) else { return None };
        let hex = std::str::from_utf8(ours.branch()?).ok()?.strip_prefix(MAGIC_COOKIE)?;
        let branch = (hex.len() == 16).then(|| u64::from_str_radix(hex, 16).ok()).flatten()?;
        Some(Self { branch, is_cancel: response.headers.cseq().ok()?.method == Method::Cancel })
    }
}
