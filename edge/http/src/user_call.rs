//! One call as one of its users sees it, and how it is written down for him.

use std::sync::Arc;
use std::time::Duration;

use chrono::SecondsFormat;
use serde::Serialize;
use tandem_core::cause::Cause;
use tandem_core::id::{CallId, CorrelationId, LegId};
use tandem_core::party::Number;
use tandem_core::pii::Pii;
use tandem_core::time::WallTime;
use utoipa::ToSchema;

/// Which way a call went, seen from its user.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// He called.
    Outgoing,
    /// He was called.
    Incoming,
}

/// One call as one of its users sees it. What is said of it to the outside follows from these.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct UserCall {
    /// Which call.
    pub call_id: CallId,
    /// The user's own leg of it.
    pub session_id: LegId,
    /// The one id that explains everything.
    pub correlation_id: CorrelationId,
    /// Which way it went.
    pub direction: Direction,
    /// Who is at the other end: who answered, who is tried, what was dialled.
    pub peer: Number,
    /// Display name of that one.
    pub peer_name: Option<Pii<String>>,
    /// A way to the callee was tried.
    pub is_dialled: bool,
    /// When the caller was let in.
    pub started_at: WallTime,
    /// When the first device rang.
    pub ringing_at: Option<WallTime>,
    /// When it was answered.
    pub answered_at: Option<WallTime>,
    /// When it was over.
    pub ended_at: Option<WallTime>,
    /// Why.
    pub cause: Option<Cause>,
    /// How long they talked, as billed. `None`: as the times have it.
    pub talked: Option<Duration>,
    /// What to answer; only while an incoming call waits for an answer.
    pub sdp_offer: Option<Arc<str>>,
}

/// Where a call stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum State {
    /// The callee is looked for.
    Dialling,
    /// A device of the callee rings.
    Ringing,
    /// It was answered.
    Talking,
    /// It is over.
    Ended,
}

/// Where a call stands, in the words of the calls API.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Status {
    /// It was let in, and nobody has been called yet.
    Initialized,
    /// The callee is being called, or rings.
    Connecting,
    /// They talk.
    Active,
    /// It is over: it was answered, or its caller gave up.
    Completed,
    /// It is over, and never was what its caller wanted.
    Failed,
}

/// A call.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Call {
    /// `call_` and 32 hexadecimal digits.
    call_id: String,
    /// This user's leg: `leg_` and 32 hexadecimal digits.
    session_id: String,
    /// 32 hexadecimal digits; the same in every record, event and trace of this call.
    correlation_id: String,
    direction: Direction,
    status: Status,
    state: State,
    peer: Peer,
    /// RFC 3339, UTC, milliseconds; so are all times.
    start_time: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    ringing_time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    answer_time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    end_time: Option<String>,
    /// Seconds since the answer, up to the end; 0 when never answered.
    duration: f64,
    /// Why it ended: `normal`, `cancelled`, `busy`, `declined`, `no_answer`, …
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    cause: Option<Cause>,
    /// What to answer; only while an incoming call waits for an answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    sdp_offer: Option<Arc<str>>,
}

/// Who is at the other end.
#[derive(Clone, Debug, Serialize, ToSchema)]
struct Peer {
    number: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
}

impl UserCall {
    pub(crate) const fn is_over(&self) -> bool {
        self.ended_at.is_some()
    }

    pub(crate) const fn state(&self) -> State {
        match (self.ended_at, self.answered_at, self.ringing_at) {
            (Some(_), _, _) => State::Ended,
            (None, Some(_), _) => State::Talking,
            (None, None, Some(_)) => State::Ringing,
            // A page that has the offer rings, whether or not the call has heard of it.
            (None, None, None) if self.sdp_offer.is_some() => State::Ringing,
            (None, None, None) => State::Dialling,
        }
    }

    pub(crate) fn status(&self) -> Status {
        match self.state() {
            State::Ended if self.answered_at.is_some() || self.cause == Some(Cause::Cancelled) => Status::Completed,
            State::Ended => Status::Failed,
            State::Talking => Status::Active,
            State::Ringing => Status::Connecting,
            State::Dialling if self.is_dialled => Status::Connecting,
            State::Dialling => Status::Initialized,
        }
    }

    /// Seconds from the answer to the end, or to now; whole milliseconds, as the record has them.
    pub(crate) fn duration(&self, now: WallTime) -> f64 {
        let until = self.ended_at.unwrap_or(now);
        let talked = self.talked.or_else(|| Some(until - self.answered_at?)).unwrap_or_default();
        talked.as_millis() as f64 / 1_000.0
    }

    pub(crate) fn told(&self, now: WallTime) -> Call {
        Call {
            call_id: self.call_id.to_string(),
            session_id: self.session_id.to_string(),
            correlation_id: self.correlation_id.to_string(),
            direction: self.direction,
            status: self.status(),
            state: self.state(),
            peer: Peer {
                number: self.peer.reveal().clone(),
                name: self.peer_name.as_ref().map(|name| name.reveal().clone()),
            },
            start_time: time(self.started_at),
            ringing_time: self.ringing_at.map(time),
            answer_time: self.answered_at.map(time),
            end_time: self.ended_at.map(time),
            duration: self.duration(now),
            cause: self.cause,
            sdp_offer: self.sdp_offer.clone(),
        }
    }
}

/// As the API writes a time: RFC 3339, UTC, milliseconds.
pub(crate) fn time(at: WallTime) -> String {
    at.date_time().to_rfc3339_opts(SecondsFormat::Millis, true)
}

#[cfg(test)]
mod tests {
    use tandem_core::id::CorrelationId;
    use uuid::Uuid;

    use super::*;

    fn call() -> UserCall {
        UserCall {
            call_id: CallId::from_uuid(Uuid::nil()),
            session_id: LegId::from_uuid(Uuid::nil()),
            correlation_id: CorrelationId::from_uuid(Uuid::nil()),
            direction: Direction::Outgoing,
            peer: String::from("101").into(),
            peer_name: None,
            is_dialled: false,
            started_at: WallTime(1_000_000),
            ringing_at: None,
            answered_at: None,
            ended_at: None,
            cause: None,
            talked: None,
            sdp_offer: None,
        }
    }

    #[test]
    fn a_call_goes_through_the_states_of_the_api() {
        let at = Some(WallTime(2_000_000));
        let dialled = UserCall { is_dialled: true, ..call() };
        let ringing = UserCall { ringing_at: at, ..dialled.clone() };
        let talking = UserCall { answered_at: at, ..ringing.clone() };
        let over = |from: &UserCall, cause| UserCall { ended_at: at, cause: Some(cause), ..from.clone() };
        for (call, state, status) in [
            (call(), State::Dialling, Status::Initialized),
            (dialled, State::Dialling, Status::Connecting),
            (ringing.clone(), State::Ringing, Status::Connecting),
            (talking.clone(), State::Talking, Status::Active),
            (over(&talking, Cause::MediaLost), State::Ended, Status::Completed),
            (over(&ringing, Cause::Cancelled), State::Ended, Status::Completed),
            (over(&ringing, Cause::Busy), State::Ended, Status::Failed),
        ] {
            assert_eq!((call.state(), call.status()), (state, status));
        }
    }

    #[test]
    fn the_duration_counts_from_the_answer_in_whole_milliseconds() {
        let talking = UserCall { answered_at: Some(WallTime(2_000_000)), ..call() };
        assert_eq!(talking.duration(WallTime(3_234_999)), 1.234);
        let over = UserCall { ended_at: Some(WallTime(2_500_000)), ..talking };
        assert_eq!(over.duration(WallTime(9_000_000)), 0.5);
        assert_eq!(call().duration(WallTime(9_000_000)), 0.0);
        assert_eq!(UserCall { talked: Some(Duration::from_millis(7)), ..over }.duration(WallTime(0)), 0.007);
    }

    #[test]
    fn what_is_not_known_is_left_out() {
        let text = serde_json::to_value(call().told(WallTime(0))).unwrap();
        assert_eq!(text["start_time"], "1970-01-01T00:00:01.000Z");
        for absent in ["ringing_time", "answer_time", "end_time", "cause", "sdp_offer"] {
            assert!(text.get(absent).is_none(), "{absent}");
        }
    }
}
