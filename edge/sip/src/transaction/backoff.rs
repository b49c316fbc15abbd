//! Intervals that double.

use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tandem_core::time::Timestamp;

use super::Due;

/// When to send something again.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Backoff {
    /// The next time.
    pub at: Timestamp,
    interval: Duration,
    longest: Duration,
}

impl Backoff {
    /// First after `first`, then after twice that, and so on up to `longest`.
    #[must_use]
    pub fn new(now: Timestamp, first: Duration, longest: Duration) -> Self {
        Self { at: now + first, interval: first, longest }
    }

    /// If it is time, `message` is sent again and the next time is set. A late caller does not send two at once.
    pub fn tick(&mut self, now: Timestamp, message: &Bytes) -> Due {
        if now < self.at {
            return Due::Nothing;
        }
        self.interval = self.interval.saturating_mul(2).min(self.longest);
        let next = self.at + self.interval;
        self.at = if next > now { next } else { now + self.interval };
        Due::Resend(message.clone())
    }
}
