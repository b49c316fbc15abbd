//! A request that came in and is no INVITE (RFC 3261, 17.2.2).

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tandem_core::time::Timestamp;

use super::{Due, GIVE_UP};

/// A server transaction. We answer at once, so it is born with its final response and only absorbs repeats.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Server {
    response: Bytes,
    /// Timer J.
    until: Timestamp,
}

impl Server {
    /// We answer; the caller sends `response`. On a stream no repeat can come and none of this is needed.
    #[must_use]
    pub fn new(now: Timestamp, response: Bytes) -> Self {
        Self { response, until: now + GIVE_UP }
    }

    /// The request came again: what to send again.
    #[must_use]
    pub fn repeat(&self) -> Bytes {
        self.response.clone()
    }

    /// Deals with whatever is due.
    #[must_use]
    pub fn tick(&self, now: Timestamp) -> Due {
        if self.until <= now { Due::Ended } else { Due::Nothing }
    }

    /// When to call [`tick`](Self::tick).
    #[must_use]
    pub const fn next_deadline(&self) -> Timestamp {
        self.until
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repeated_request_gets_the_same_answer_for_32_seconds() {
        let start = Timestamp(1_000_000);
        let it = Server::new(start, Bytes::from_static(b"200"));
        assert_eq!(it.repeat(), Bytes::from_static(b"200"));
        assert_eq!(it.tick(start), Due::Nothing);
        assert_eq!(it.tick(it.next_deadline()), Due::Ended);
        assert_eq!(it.next_deadline(), start + GIVE_UP);
    }
}
