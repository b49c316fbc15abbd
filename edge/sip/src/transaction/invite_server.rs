//! An INVITE that came in (RFC 3261, 17.2.1, with the Accepted state of RFC 6026).

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tandem_core::time::Timestamp;

use super::{Backoff, Due, GIVE_UP, T1, T2, T4};

/// A server INVITE transaction. 2xx responses are repeated by the dialog, not here.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct InviteServer {
    is_stream: bool,
    state: State,
}

#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
enum State {
    /// The last provisional response is repeated with each repeat of the request.
    Proceeding {
        last: Option<Bytes>,
    },
    /// Refused; repeated until the ACK comes. Timers G and H.
    Completed {
        response: Bytes,
        resend: Option<Backoff>,
        until: Timestamp,
    },
    /// The ACK came; its repeats are absorbed. Timer I.
    Confirmed {
        until: Timestamp,
    },
    /// Accepted; repeats of the request are absorbed. Timer L.
    Accepted {
        until: Timestamp,
    },
    Ended,
}

impl InviteServer {
    /// A new request came.
    #[must_use]
    pub const fn new(is_stream: bool) -> Self {
        Self { is_stream, state: State::Proceeding { last: None } }
    }

    /// We answer; the caller sends `response`. A final response is final: `false` if there was one already.
    pub fn respond(&mut self, now: Timestamp, status: u16, response: &Bytes) -> bool {
        let State::Proceeding { .. } = self.state else { return false };
        self.state = match status {
            ..200 => State::Proceeding { last: Some(response.clone()) },
            200..300 => State::Accepted { until: now + GIVE_UP },
            300.. => {
                let resend = (!self.is_stream).then(|| Backoff::new(now, T1, T2));
                State::Completed { response: response.clone(), resend, until: now + GIVE_UP }
            }
        };
        true
    }

    /// The request came again: what to send again, if anything.
    #[must_use]
    pub fn repeat(&self) -> Option<Bytes> {
        match &self.state {
            State::Proceeding { last } => last.clone(),
            State::Completed { response, .. } => Some(response.clone()),
            State::Confirmed { .. } | State::Accepted { .. } | State::Ended => None,
        }
    }

    /// An ACK came. `true` when it was ours, the one for a refusal; the one for an acceptance is the dialog's.
    pub fn acknowledge(&mut self, now: Timestamp) -> bool {
        match self.state {
            State::Completed { .. } => {
                self.state = State::Confirmed { until: if self.is_stream { now } else { now + T4 } };
                true
            }
            State::Confirmed { .. } => true,
            State::Proceeding { .. } | State::Accepted { .. } | State::Ended => false,
        }
    }

    /// Deals with whatever is due. [`Due::TimedOut`]: nobody acknowledged the refusal.
    pub fn tick(&mut self, now: Timestamp) -> Due {
        let due = match &mut self.state {
            State::Completed { until, .. } if *until <= now => Due::TimedOut,
            State::Confirmed { until } | State::Accepted { until } if *until <= now => Due::Ended,
            State::Completed { response, resend: Some(resend), .. } => resend.tick(now, response),
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
            State::Completed { resend, until, .. } => Some(resend.map_or(*until, |it| it.at.min(*until))),
            State::Confirmed { until } | State::Accepted { until } => Some(*until),
            State::Proceeding { .. } | State::Ended => None,
        }
    }

    /// Whether no final response was sent: only then does CANCEL change anything.
    #[must_use]
    pub const fn is_proceeding(&self) -> bool {
        matches!(self.state, State::Proceeding { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const START: Timestamp = Timestamp(1_000_000);
    const REFUSAL: Bytes = Bytes::from_static(b"486");

    fn run(transaction: &mut InviteServer) -> Vec<(u64, Due)> {
        let mut seen = Vec::new();
        while let Some(deadline) = transaction.next_deadline() {
            seen.push(((deadline - START).as_millis() as u64, transaction.tick(deadline)));
        }
        seen
    }

    #[test]
    fn a_refusal_is_repeated_until_it_is_acknowledged_or_given_up() {
        let mut it = InviteServer::new(false);
        it.respond(START, 486, &REFUSAL);
        let seen = run(&mut it);
        let times: Vec<u64> = seen.iter().map(|(at, _)| *at).collect();
        assert_eq!(times, [500, 1_500, 3_500, 7_500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500, 32_000]);
        assert_eq!(seen.last(), Some(&(32_000, Due::TimedOut)));
    }

    #[test]
    fn an_acknowledged_refusal_absorbs_for_five_seconds() {
        let mut it = InviteServer::new(false);
        it.respond(START, 486, &REFUSAL);
        assert!(it.acknowledge(START + Duration::from_millis(100)));
        assert!(it.acknowledge(START + Duration::from_millis(200)), "a repeated ACK is ours too");
        assert_eq!(it.repeat(), None);
        assert_eq!(run(&mut it), [(5_100, Due::Ended)]);
    }

    #[test]
    fn on_a_stream_a_refusal_is_sent_once_and_confirmed_at_once() {
        let mut it = InviteServer::new(true);
        it.respond(START, 486, &REFUSAL);
        assert_eq!(it.next_deadline(), Some(START + GIVE_UP));
        assert!(it.acknowledge(START));
        assert_eq!(run(&mut it), [(0, Due::Ended)]);
    }

    #[test]
    fn a_repeated_request_gets_the_last_response_again() {
        let mut it = InviteServer::new(false);
        assert_eq!(it.repeat(), None);
        for (status, text) in [(100, "100"), (180, "180"), (486, "486")] {
            let response = Bytes::from_static(text.as_bytes());
            assert!(it.respond(START, status, &response));
            assert_eq!(it.repeat(), Some(response));
        }
        assert!(!it.respond(START, 200, &REFUSAL), "the first final response stays");
    }

    #[test]
    fn an_accepted_request_absorbs_its_repeats_for_32_seconds_and_leaves_the_ack_to_the_dialog() {
        let mut it = InviteServer::new(false);
        it.respond(START, 200, &Bytes::from_static(b"200"));
        assert_eq!(it.repeat(), None);
        assert!(!it.acknowledge(START));
        assert_eq!(run(&mut it), [(32_000, Due::Ended)]);
    }
}
