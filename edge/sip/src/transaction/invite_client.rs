//! Our INVITE (RFC 3261, 17.1.1, with the Accepted state of RFC 6026).

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tandem_core::time::Timestamp;

use super::{Backoff, Due, GIVE_UP, Heard, T1};

/// A client INVITE transaction.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct InviteClient {
    request: Bytes,
    is_stream: bool,
    state: State,
}

#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
enum State {
    /// Timers A and B.
    Calling {
        resend: Option<Backoff>,
        until: Timestamp,
    },
    /// The callee decides; the call watches the time.
    Proceeding,
    /// Refused; the ACK is repeated with each repeat of the refusal. Timer D.
    Completed {
        ack: Bytes,
        until: Timestamp,
    },
    /// Accepted; each 2xx goes up to the dialog, which acknowledges it. Timer M.
    Accepted {
        until: Timestamp,
    },
    Ended,
}

impl InviteClient {
    /// Begins; the caller sends `request`.
    #[must_use]
    pub fn new(now: Timestamp, request: Bytes, is_stream: bool) -> Self {
        let resend = (!is_stream).then(|| Backoff::new(now, T1, GIVE_UP));
        Self { request, is_stream, state: State::Calling { resend, until: now + GIVE_UP } }
    }

    /// A response with this status came. `ack` makes the ACK of a refusal.
    pub fn hear(&mut self, now: Timestamp, status: u16, ack: impl FnOnce() -> Bytes) -> Heard {
        match (&self.state, status) {
            (State::Calling { .. } | State::Proceeding, ..200) => {
                self.state = State::Proceeding;
                Heard::New
            }
            (State::Calling { .. } | State::Proceeding, 200..300) => {
                self.state = State::Accepted { until: now + GIVE_UP };
                Heard::New
            }
            (State::Calling { .. } | State::Proceeding, _) => {
                let ack = ack();
                // Timer D: on a stream no repeat can come.
                let until = if self.is_stream { now } else { now + GIVE_UP };
                self.state = State::Completed { ack: ack.clone(), until };
                Heard::Refused(ack)
            }
            (State::Accepted { .. }, 200..300) => Heard::New,
            (State::Completed { ack, .. }, 300..) => Heard::Repeat(Some(ack.clone())),
            (State::Completed { .. } | State::Accepted { .. } | State::Ended, _) => Heard::Repeat(None),
        }
    }

    /// Deals with whatever is due.
    pub fn tick(&mut self, now: Timestamp) -> Due {
        let due = match &mut self.state {
            State::Calling { until, .. } if *until <= now => Due::TimedOut,
            State::Completed { until, .. } | State::Accepted { until } if *until <= now => Due::Ended,
            State::Calling { resend: Some(resend), .. } => resend.tick(now, &self.request),
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
        match &self.state {
            State::Calling { resend, until } => Some(resend.map_or(*until, |it| it.at.min(*until))),
            State::Completed { until, .. } | State::Accepted { until } => Some(*until),
            State::Proceeding | State::Ended => None,
        }
    }

    /// Whether a provisional response came and no final one: only then may CANCEL be sent (RFC 3261, 9.1).
    #[must_use]
    pub const fn is_proceeding(&self) -> bool {
        matches!(self.state, State::Proceeding)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const START: Timestamp = Timestamp(1_000_000);

    fn at(millis: u64) -> Timestamp {
        START + Duration::from_millis(millis)
    }

    fn calling(is_stream: bool) -> InviteClient {
        InviteClient::new(START, Bytes::from_static(b"INVITE"), is_stream)
    }

    fn no_ack() -> Bytes {
        panic!("no ACK is wanted here")
    }

    /// Every deadline until the transaction ends, in milliseconds, with what it brought.
    fn run(transaction: &mut InviteClient) -> Vec<(u64, Due)> {
        let mut seen = Vec::new();
        while let Some(deadline) = transaction.next_deadline() {
            seen.push(((deadline - START).as_millis() as u64, transaction.tick(deadline)));
        }
        seen
    }

    #[test]
    fn an_unanswered_invite_is_repeated_with_doubling_intervals_and_given_up_after_32_seconds() {
        let again = || Due::Resend(Bytes::from_static(b"INVITE"));
        let table = [500, 1_500, 3_500, 7_500, 15_500, 31_500].map(|at| (at, again()));
        let seen = run(&mut calling(false));
        assert_eq!(seen[..6], table);
        assert_eq!(seen[6..], [(32_000, Due::TimedOut)]);
    }

    #[test]
    fn on_a_stream_an_invite_is_sent_once() {
        assert_eq!(run(&mut calling(true)), [(32_000, Due::TimedOut)]);
    }

    #[test]
    fn a_provisional_response_stops_the_repeats_for_good() {
        let mut it = calling(false);
        assert_eq!(it.hear(at(100), 100, no_ack), Heard::New);
        assert_eq!(it.next_deadline(), None);
        assert!(it.is_proceeding());
    }

    #[test]
    fn each_repeat_of_a_refusal_is_acknowledged_again_for_32_seconds() {
        let mut it = calling(false);
        assert_eq!(it.hear(at(0), 486, || Bytes::from_static(b"ACK")), Heard::Refused(Bytes::from_static(b"ACK")));
        assert_eq!(it.hear(at(500), 486, no_ack), Heard::Repeat(Some(Bytes::from_static(b"ACK"))));
        assert_eq!(it.hear(at(500), 200, no_ack), Heard::Repeat(None), "a refusal is final");
        assert_eq!(run(&mut it), [(32_000, Due::Ended)]);
    }

    #[test]
    fn each_repeat_of_an_acceptance_reaches_the_dialog_for_32_seconds() {
        let mut it = calling(false);
        for millis in [0, 500, 1_500] {
            assert_eq!(it.hear(at(millis), 200, no_ack), Heard::New);
        }
        assert_eq!(it.hear(at(1_600), 180, no_ack), Heard::Repeat(None));
        assert_eq!(run(&mut it), [(32_000, Due::Ended)]);
    }

    #[test]
    fn a_refused_invite_on_a_stream_ends_at_once() {
        let mut it = calling(true);
        it.hear(at(0), 603, || Bytes::from_static(b"ACK"));
        assert_eq!(run(&mut it), [(0, Due::Ended)]);
    }
}
