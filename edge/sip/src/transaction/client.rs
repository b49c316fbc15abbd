//! Our request that is no INVITE (RFC 3261, 17.1.2).

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tandem_core::time::Timestamp;

use super::{Backoff, Due, GIVE_UP, Heard, T1, T2, T4};

/// A client transaction of BYE, CANCEL, OPTIONS and their like.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Client {
    request: Bytes,
    is_stream: bool,
    state: State,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
enum State {
    /// Timers E and F.
    Trying {
        resend: Option<Backoff>,
        until: Timestamp,
    },
    /// Repeats go on, every T2.
    Proceeding {
        resend: Option<Backoff>,
        until: Timestamp,
    },
    /// Timer K.
    Completed {
        until: Timestamp,
    },
    Ended,
}

impl Client {
    /// Begins; the caller sends `request`.
    #[must_use]
    pub fn new(now: Timestamp, request: Bytes, is_stream: bool) -> Self {
        let resend = (!is_stream).then(|| Backoff::new(now, T1, T2));
        Self { request, is_stream, state: State::Trying { resend, until: now + GIVE_UP } }
    }

    /// A response with this status came.
    pub fn hear(&mut self, now: Timestamp, status: u16) -> Heard {
        match (self.state, status) {
            (State::Trying { resend, until }, ..200) => {
                self.state = State::Proceeding { resend: resend.map(|_| Backoff::new(now, T2, T2)), until };
                Heard::New
            }
            (State::Trying { .. } | State::Proceeding { .. }, 200..) => {
                self.state = State::Completed { until: if self.is_stream { now } else { now + T4 } };
                Heard::New
            }
            _ => Heard::Repeat(None),
        }
    }

    /// Deals with whatever is due.
    pub fn tick(&mut self, now: Timestamp) -> Due {
        let due = match &mut self.state {
            State::Trying { until, .. } | State::Proceeding { until, .. } if *until <= now => Due::TimedOut,
            State::Completed { until } if *until <= now => Due::Ended,
            State::Trying { resend: Some(resend), .. } | State::Proceeding { resend: Some(resend), .. } => {
                resend.tick(now, &self.request)
            }
            _ => Due::Nothing,
        };
        if matches!(due, Due::TimedOut | Due::Ended) {
            self.state = State::Ended;
        }
        due
    }

    /// When to call [`tick`](Self::tick).
    #[must_use]
    pub fn next_deadline(&self) -> Option<Timestamp> {
        match self.state {
            State::Trying { resend, until } | State::Proceeding { resend, until } => {
                Some(resend.map_or(until, |it| it.at.min(until)))
            }
            State::Completed { until } => Some(until),
            State::Ended => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const START: Timestamp = Timestamp(1_000_000);

    fn run(transaction: &mut Client) -> Vec<(u64, bool)> {
        let mut seen = Vec::new();
        while let Some(deadline) = transaction.next_deadline() {
            let due = transaction.tick(deadline);
            seen.push(((deadline - START).as_millis() as u64, matches!(due, Due::Resend(_))));
        }
        seen
    }

    #[test]
    fn an_unanswered_bye_is_repeated_as_the_rfc_has_it() {
        let times: Vec<u64> =
            run(&mut Client::new(START, Bytes::from_static(b"BYE"), false)).into_iter().map(|(at, _)| at).collect();
        assert_eq!(times, [500, 1_500, 3_500, 7_500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500, 32_000]);
    }

    #[test]
    fn on_a_stream_it_is_sent_once() {
        assert_eq!(run(&mut Client::new(START, Bytes::from_static(b"BYE"), true)), [(32_000, false)]);
    }

    #[test]
    fn a_provisional_response_slows_the_repeats_down() {
        let mut it = Client::new(START, Bytes::from_static(b"BYE"), false);
        assert_eq!(it.hear(START + Duration::from_millis(100), 100), Heard::New);
        assert_eq!(run(&mut it).first(), Some(&(4_100, true)));
    }

    #[test]
    fn repeats_of_the_final_response_are_absorbed_for_five_seconds() {
        let mut it = Client::new(START, Bytes::from_static(b"BYE"), false);
        assert_eq!(it.hear(START, 200), Heard::New);
        assert_eq!(it.hear(START, 200), Heard::Repeat(None));
        assert_eq!(run(&mut it), [(5_000, false)]);
    }
}
