//! A 2xx to an INVITE, repeated until its ACK comes (RFC 3261, 13.3.1.4). On streams too: there may be a proxy with
//! datagrams behind them.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tandem_core::time::Timestamp;

use crate::transaction::{Backoff, Due, GIVE_UP, T1, T2};

/// A 2xx that waits for its ACK.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Acceptance {
    response: Bytes,
    /// Number of the INVITE and so of the ACK.
    cseq: u32,
    resend: Backoff,
    until: Timestamp,
}

impl Acceptance {
    /// Begins; the caller sends `response`.
    #[must_use]
    pub fn new(now: Timestamp, cseq: u32, response: Bytes) -> Self {
        Self { response, cseq, resend: Backoff::new(now, T1, T2), until: now + GIVE_UP }
    }

    /// Whether an ACK with this number is the one.
    #[must_use]
    pub const fn is_ack(&self, cseq: u32) -> bool {
        self.cseq == cseq
    }

    /// Deals with whatever is due. [`Due::TimedOut`]: nobody acknowledged.
    pub fn tick(&mut self, now: Timestamp) -> Due {
        if self.until <= now { Due::TimedOut } else { self.resend.tick(now, &self.response) }
    }

    /// When to call [`tick`](Self::tick).
    #[must_use]
    pub fn next_deadline(&self) -> Timestamp {
        self.resend.at.min(self.until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_acceptance_is_repeated_with_doubling_intervals_and_given_up_after_32_seconds() {
        let start = Timestamp(1_000_000);
        let mut it = Acceptance::new(start, 1, Bytes::from_static(b"200"));
        let mut times = Vec::new();
        loop {
            let at = it.next_deadline();
            times.push((at - start).as_millis());
            match it.tick(at) {
                Due::Resend(again) => assert_eq!(again, "200"),
                other => break assert_eq!(other, Due::TimedOut),
            }
        }
        assert_eq!(times, [500, 1_500, 3_500, 7_500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500, 32_000]);
    }
}
