//! What a user's clients share: his calls, the legs that end in them, their event streams.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::Utf8Bytes;
use serde::Serialize;
use tandem_core::cause::Cause;
use tandem_core::event::Fact;
use tandem_core::id::{CallId, LegId};
use tandem_core::leg::LegInput;
use tandem_core::media::MediaDescription;
use tandem_core::metric::Fill;
use tandem_core::time::{Now, Timestamp, WallTime};
use tokio::sync::Notify;

use super::follow::Change;
use super::line::{Line, LineState};
use super::replay::{KEPT_FOR, Replay};
use super::stream::{Cut, Stream};
use crate::problem::Problem;
use crate::user_call::{Call, Direction, UserCall, time};

/// How long a call that is over is kept: for requests that come again, until the history has it.
const OVER_FOR: Duration = Duration::from_secs(60);

/// Most calls of a user that are over and kept.
const OVER: usize = 64;

/// Most event streams of a user.
const STREAMS: usize = 20;

/// See the module.
pub(crate) struct User {
    calls: HashMap<CallId, UserCall>,
    /// Calls that are over, in the order of their ends.
    over: VecDeque<(Timestamp, CallId)>,
    pub(super) lines: HashMap<LegId, Line>,
    streams: Vec<Stream>,
    replay: Replay,
    /// When the last stream was closed.
    left_at: Option<Timestamp>,
    /// Told whenever a call changes.
    pub(super) changed: Arc<Notify>,
}

/// One client's right to answer.
pub(crate) struct Claim {
    pub(crate) leg: LegId,
    pub(crate) is_caller: bool,
    /// What is answered.
    pub(crate) offer: Arc<MediaDescription>,
}

/// What is told of a call.
pub(super) struct News {
    pub(super) kind: &'static str,
    pub(super) id: String,
    pub(super) at: WallTime,
}

#[derive(Serialize)]
struct EventFrame {
    r#type: &'static str,
    cursor: String,
    id: String,
    time: String,
    correlation_id: String,
    call: Call,
}

impl User {
    pub(super) fn new(floor: u64) -> Self {
        Self {
            calls: HashMap::new(),
            over: VecDeque::new(),
            lines: HashMap::new(),
            streams: Vec::new(),
            replay: Replay::after(floor),
            left_at: None,
            changed: Arc::default(),
        }
    }

    /// One of his calls that is not over, or was a moment ago.
    pub(crate) fn call(&self, call: CallId) -> Option<&UserCall> {
        self.calls.get(&call)
    }

    /// Whether he has that call, and it was answered.
    pub(crate) fn is_talking_in(&self, call: CallId) -> bool {
        self.calls.get(&call).is_some_and(|call| call.answered_at.is_some() && !call.is_over())
    }

    pub(crate) fn calls(&self) -> impl Iterator<Item = &UserCall> {
        self.calls.values()
    }

    /// Frames that wait for the readers of his event streams.
    pub(super) fn waiting(&self) -> Fill {
        self.streams.iter().map(Stream::waiting).sum()
    }

    pub(crate) fn has_streams(&self) -> bool {
        !self.streams.is_empty()
    }

    /// Whether a call that he makes or took is not over.
    pub(super) fn is_calling(&self) -> bool {
        self.lines.values().any(Line::is_in_use)
    }

    /// Applies what a fact changes; gives what it is told as, if it is.
    pub(super) fn change(&mut self, now: Now, fact: &Fact, change: Change) -> Option<News> {
        let kind = self.changed_as(now, fact, change)?;
        Some(News { kind, id: fact.id(), at: fact.at })
    }

    fn changed_as(&mut self, now: Now, fact: &Fact, change: Change) -> Option<&'static str> {
        if let Change::Begun(call) = change {
            let is_told = call.direction == Direction::Outgoing;
            self.calls.insert(fact.call, *call);
            return is_told.then_some("call.dialling");
        }
        let call = self.calls.get_mut(&fact.call).filter(|call| !call.is_over())?;
        match change {
            Change::Begun(_) => None,
            Change::Tried(party) => {
                call.is_dialled = true;
                (call.peer, call.peer_name) = (party.number, party.name);
                None
            }
            Change::Rings => {
                call.ringing_at = Some(fact.at);
                Some("call.ringing")
            }
            Change::Answered { by, on } => {
                call.answered_at = Some(fact.at);
                call.sdp_offer = None;
                match on {
                    Some(leg) => call.session_id = leg,
                    None => (call.peer, call.peer_name) = (by.number, by.name),
                }
                Some("call.answered")
            }
            Change::Ended(cause) => {
                (call.ended_at, call.cause, call.sdp_offer) = (Some(fact.at), Some(cause), None);
                self.over(now.mono, fact.call, cause);
                Some("call.ended")
            }
        }
    }

    fn over(&mut self, now: Timestamp, call: CallId, cause: Cause) {
        // A caller whose offer is still to come gets it, or its leg's refusal: the end of the call overtook both.
        let lines = self.lines.values_mut().filter(|line| line.call == call && !line.is_asked());
        lines.for_each(|line| line.end(cause));
        self.over.push_back((now, call));
        self.forget_over(|_, kept| kept > OVER);
    }

    fn forget_over(&mut self, too_old: impl Fn(Timestamp, usize) -> bool) {
        while let Some((at, call)) = self.over.front().copied()
            && too_old(at, self.over.len())
        {
            self.over.pop_front();
            self.calls.remove(&call);
        }
    }

    /// A client of his is called. `Err` when none is there, or it is himself who calls.
    pub(super) fn ring(&mut self, call: CallId, leg: LegId, line: Line, sdp_offer: &str) -> Result<(), Cause> {
        let known = self.calls.get_mut(&call).filter(|call| !call.is_over()).ok_or(Cause::SystemFailure)?;
        if known.direction == Direction::Outgoing {
            return Err(Cause::Busy);
        }
        if self.streams.is_empty() {
            return Err(Cause::Unreachable);
        }
        known.session_id = leg;
        known.sdp_offer = Some(sdp_offer.into());
        self.lines.insert(leg, line);
        Ok(())
    }

    /// The first client that answers gets the right to.
    pub(super) fn claim(&mut self, call: CallId, session: Option<LegId>) -> Result<Claim, Problem> {
        let known = self.calls.get(&call).ok_or(Problem::CallNotFound)?;
        if known.is_over() {
            return Err(Problem::CallEnded);
        }
        let taken = known.answered_at.is_some();
        let line = self.lines.iter_mut().find(|(_, line)| line.call == call);
        let Some((leg, line)) = line.filter(|(leg, _)| session.is_none_or(|session| session == **leg)) else {
            return Err(if taken && session.is_none() { Problem::CallAlreadyActive } else { Problem::CallNotFound });
        };
        match &line.state {
            _ if taken && !line.is_caller => Err(Problem::CallAlreadyActive),
            LineState::Offered(offer) => {
                let offer = offer.clone();
                line.state = LineState::Claimed(offer.clone());
                Ok(Claim { leg: *leg, is_caller: line.is_caller, offer })
            }
            LineState::Asked(_) => Err(Problem::CallNotFound),
            LineState::Claimed(_) | LineState::Answered => Err(Problem::CallAlreadyActive),
            LineState::Over => Err(Problem::CallEnded),
        }
    }

    /// The leg has the answer, or it was of no use and another may come.
    pub(super) fn claimed(&mut self, leg: LegId, is_answered: bool) {
        let Some(line) = self.lines.get_mut(&leg) else { return };
        let LineState::Claimed(offer) = &line.state else { return };
        line.state = if is_answered { LineState::Answered } else { LineState::Offered(offer.clone()) };
        if let Some(call) = self.calls.get_mut(&line.call).filter(|_| is_answered) {
            call.sdp_offer = None;
        }
    }

    /// The leg is gone: what it offered cannot be answered any more, even if the call goes on on his phone.
    pub(super) fn release(&mut self, leg: LegId) {
        let Some(line) = self.lines.remove(&leg) else { return };
        if let Some(call) = self.calls.get_mut(&line.call).filter(|call| call.session_id == leg) {
            call.sdp_offer = None;
        }
    }

    /// What to tell which leg, so that the call ends the way he means it. `None` when it is over or not his.
    pub(super) fn way_out(&self, call: CallId) -> Option<(LegId, LegInput)> {
        let known = self.calls.get(&call).filter(|call| !call.is_over())?;
        let is_answered = known.answered_at.is_some();
        let line = self.lines.iter().find(|(_, line)| line.call == call);
        let here = line.and_then(|(leg, line)| {
            let hung_up = LegInput::HungUp(Cause::Normal);
            match line.state {
                LineState::Over => None,
                LineState::Answered => Some((*leg, hung_up)),
                _ if line.is_caller => Some((*leg, hung_up)),
                _ if is_answered => None,
                _ => Some((*leg, LegInput::Refused { cause: Cause::Declined, status: None })),
            }
        });
        // His phone has it: we hang it up for him.
        let there = match (is_answered, known.direction) {
            (true, _) => Cause::Normal,
            (false, Direction::Outgoing) => Cause::Cancelled,
            (false, Direction::Incoming) => Cause::Declined,
        };
        here.or(Some((known.session_id, LegInput::HangUp(there))))
    }

    /// Whether anybody listens, or may ask for what he missed.
    pub(super) fn is_followed(&self, now: Timestamp) -> bool {
        !self.streams.is_empty() || self.left_at.is_some_and(|at| now - at <= KEPT_FOR)
    }

    /// Tells all streams; gives how many were cut because they are too far behind.
    pub(super) fn tell(&mut self, now: Now, call: CallId, news: News, number: u64, cursor: String) -> u64 {
        self.changed.notify_waiters();
        if !self.is_followed(now.mono) {
            self.replay = Replay::after(number);
            return 0;
        }
        let Some(call) = self.calls.get(&call) else { return 0 };
        let frame = EventFrame {
            r#type: news.kind,
            cursor,
            id: news.id,
            time: time(news.at),
            correlation_id: call.correlation_id.to_string(),
            call: call.told(now.wall),
        };
        let frame = text(&frame);
        self.replay.push(now.mono, number, frame.clone());
        let slow = self.streams.extract_if(.., |stream| !stream.push(&frame)).collect::<Vec<_>>();
        let cut = slow.len() as u64;
        slow.into_iter().for_each(|stream| stream.cut(Cut::TooSlow));
        self.note_leaving(now.mono);
        cut
    }

    /// A snapshot of what is not over, the oldest first.
    pub(super) fn snapshot(&self, now: WallTime, cursor: &str) -> Utf8Bytes {
        #[derive(Serialize)]
        struct Snapshot<'a> {
            r#type: &'static str,
            cursor: &'a str,
            calls: Vec<Call>,
        }
        let mut calls: Vec<_> = self.calls.values().filter(|call| !call.is_over()).collect();
        calls.sort_by_key(|call| call.call_id);
        let calls = calls.into_iter().map(|call| call.told(now)).collect();
        text(&Snapshot { r#type: "snapshot", cursor, calls })
    }

    /// What came after `number`; `None` when that is not known any more.
    pub(super) fn missed(&mut self, now: Timestamp, number: u64) -> Option<Vec<Utf8Bytes>> {
        self.replay.forget_old(now);
        self.replay.since(number)
    }

    pub(super) fn join(&mut self, stream: Stream) {
        if self.streams.len() >= STREAMS {
            self.streams.remove(0).cut(Cut::TooMany);
        }
        self.streams.push(stream);
        self.left_at = None;
    }

    pub(super) fn leave(&mut self, now: Timestamp, id: u64) {
        self.streams.retain(|stream| stream.id != id);
        self.note_leaving(now);
    }

    pub(super) fn cut_all(&mut self, now: Timestamp, why: Cut) {
        self.streams.drain(..).for_each(|stream| stream.cut(why));
        self.note_leaving(now);
    }

    fn note_leaving(&mut self, now: Timestamp) {
        if self.streams.is_empty() && self.left_at.is_none() {
            self.left_at = Some(now);
        }
    }

    /// Lets go of what is too old. Whether anything is left.
    pub(super) fn keep(&mut self, now: Timestamp) -> bool {
        self.forget_over(|at, _| now - at > OVER_FOR);
        self.is_followed(now) || !self.calls.is_empty() || !self.lines.is_empty()
    }
}

/// As JSON. What is written here has no maps with keys that are no text: it cannot fail.
pub(super) fn text(frame: &impl Serialize) -> Utf8Bytes {
    serde_json::to_string(frame).unwrap_or_default().into()
}
