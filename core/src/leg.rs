//! One party's leg of a call, as a pure state machine.
//!
//! ```text
//!  caller:  New ──Start──▶ Offered ──Answer──▶ Connected ──┐
//!           New ──Start──▶ Proposing ──▶ Awaiting ──Completed──▶ Agreed ──Answer──▶ Connected ──┤ (our offer at once)
//!  callee:  New ──Start──▶ Preparing ──MediaReady──▶ Dialled ──Ringing──▶ Ringing ──Answered──▶ Connected
//!            └──────── hang-up, refusal, timeout, loss: from every state ────────▶ Ended ◀──────────┘
//! ```
//!
//! # Invariants
//! * `Ended` is final: it arms no timer and ignores every later input.
//! * A leg tells its call exactly once that it ended.
//! * Whatever ends it here is said to the far end, unless the far end said it first.
//! * A leg that was never answered is never watched for silence.
//! * An offer that went out at once is answered in time, or the leg ends.

mod birth;
mod input;
mod media;

use std::sync::Arc;
use std::time::Duration;

use smallvec::smallvec;

use crate::cause::{Cause, SipStatus};
use crate::event::Context;
use crate::id::{CallId, LegId, TrackId};
use crate::machine::{Effects, Machine, Notice, Refusal, Rejected};
use crate::media::{Carrier, LocalMedia, MediaCommand, MediaDescription, MediaNews};
use crate::ports::{Dial, Signal};
use crate::time::{Now, Timestamp};
use crate::track::TrackInput;

pub use birth::{Birth, Negotiation, Outgoing, Role};
pub use input::{LegInput, LegKind};

/// Longest time a leg may ring unless configured otherwise. Above most carriers' 60 s voicemail hand-over.
pub const RING_TIMEOUT: Duration = Duration::from_secs(90);

/// How long a caller may take to answer the offer that it wanted at once.
pub const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);

/// See the module.
#[derive(Clone, Debug, PartialEq)]
pub struct Leg {
    id: LegId,
    birth: Arc<Birth>,
    state: State,
    /// Our port pair.
    local: Option<LocalMedia>,
    /// What we told the far end that we receive.
    told: Option<Arc<MediaDescription>>,
    /// What the far end told us that it receives.
    remote: Option<Arc<MediaDescription>>,
}

#[derive(Clone, Debug, PartialEq)]
enum State {
    New,
    Offered,
    /// Our offer waits for what to propose, and for the peer to propose it with ([`Leg::local`]).
    Proposing {
        proposal: Option<Arc<MediaDescription>>,
    },
    /// Our offer is out.
    Awaiting {
        answer_by: Timestamp,
        /// The callee was faster than the caller.
        callee: Option<Arc<MediaDescription>>,
    },
    /// The caller has answered our offer; the callee has not.
    Agreed,
    Preparing {
        ring_by: Timestamp,
    },
    Dialled {
        ring_by: Timestamp,
    },
    Ringing {
        ring_by: Timestamp,
    },
    Connected,
    Ended,
}

/// What a leg wants done.
#[derive(Clone, Debug, PartialEq)]
pub enum LegEffect {
    /// Reserve a port pair or a peer; [`LegInput::MediaReady`] follows.
    OpenMedia(Carrier),
    /// For the media pool.
    Media(MediaCommand),
    /// For the far end.
    Signal(Signal),
    /// Start the actor of its track.
    OpenTrack(TrackId),
    /// For its track.
    TellTrack(TrackId, TrackInput),
    /// For its call.
    TellCall(LegNews),
}

/// What a leg tells its call: conclusions, no protocol.
#[derive(Clone, Debug, PartialEq)]
pub enum LegNews {
    /// It rings.
    Ringing,
    /// It sends media before the answer.
    EarlyMedia(Arc<MediaDescription>),
    /// It answered.
    Answered(Arc<MediaDescription>),
    /// A key was pressed.
    Digit(char),
    /// It is over. Last news.
    Ended {
        /// Why.
        cause: Cause,
        /// The SIP status that ended it, when one did.
        status: Option<SipStatus>,
    },
}

impl Leg {
    /// A leg that has not begun.
    #[must_use]
    pub const fn new(id: LegId, birth: Arc<Birth>) -> Self {
        Self { id, birth, state: State::New, local: None, told: None, remote: None }
    }

    /// Its call.
    #[must_use]
    pub fn call(&self) -> CallId {
        self.birth.call
    }

    /// Its ids.
    #[must_use]
    pub fn context(&self) -> &Context {
        &self.birth.context
    }

    /// Its audio track.
    #[must_use]
    pub const fn track(&self) -> TrackId {
        TrackId::audio_of(self.id)
    }

    /// Name of its state, for views.
    #[must_use]
    pub const fn state_name(&self) -> &'static str {
        match &self.state {
            State::New => "new",
            State::Offered => "offered",
            State::Proposing { .. } => "proposing",
            State::Awaiting { .. } => "awaiting",
            State::Agreed => "agreed",
            State::Preparing { .. } => "preparing",
            State::Dialled { .. } => "dialled",
            State::Ringing { .. } => "ringing",
            State::Connected => "connected",
            State::Ended => "ended",
        }
    }

    fn start(&mut self, now: Now) -> Effects<LegEffect> {
        let peer = Carrier::Peer(self.birth.call);
        let (state, carrier) = match &self.birth.role {
            Role::Caller(Negotiation::AtOnce) => (State::Proposing { proposal: None }, peer),
            Role::Caller(negotiation) => {
                self.remote = negotiation.offer().cloned();
                (State::Offered, Carrier::Rtp)
            }
            Role::Callee(outgoing) => {
                let carrier = if outgoing.target.address.is_client() { peer } else { Carrier::Rtp };
                (State::Preparing { ring_by: now.mono + outgoing.ring_timeout }, carrier)
            }
        };
        self.state = state;
        smallvec![LegEffect::OpenTrack(self.track()), LegEffect::OpenMedia(carrier)]
    }

    fn dial(&mut self, ring_by: Timestamp, local: LocalMedia) -> Effects<LegEffect> {
        let Role::Callee(outgoing) = &self.birth.role else { return Effects::new() };
        let offer = Arc::new(outgoing.offer.relayed_at(&local));
        let dial = Dial {
            context: self.birth.context.clone(),
            call: self.birth.call,
            caller: outgoing.caller.clone(),
            target: outgoing.target.clone(),
            offer: offer.clone(),
            max_forwards: outgoing.max_forwards,
        };
        self.local = Some(local);
        self.told = Some(offer);
        self.state = State::Dialled { ring_by };
        smallvec![LegEffect::Signal(Signal::Invite(Arc::new(dial)))]
    }

    fn rings(&mut self, ring_by: Timestamp) -> Effects<LegEffect> {
        self.state = State::Ringing { ring_by };
        smallvec![LegEffect::TellCall(LegNews::Ringing)]
    }

    fn answered(&mut self, answer: Arc<MediaDescription>) -> Effects<LegEffect> {
        self.state = State::Connected;
        self.remote = Some(answer.clone());
        let mut out = self.carry();
        out.push(LegEffect::Media(MediaCommand::Watch { leg: self.id }));
        out.push(LegEffect::TellCall(LegNews::Answered(answer)));
        out
    }

    /// Accepts the caller with what the callee answered. With no codec in common the caller is refused, and the call
    /// hears of it.
    fn accept(&mut self, callee: &MediaDescription) -> Effects<LegEffect> {
        let Some(answer) = self.answer_for(callee) else { return self.end(Cause::Incompatible, None) };
        self.told = Some(answer.clone());
        self.state = State::Connected;
        let mut out = self.carry();
        out.push(LegEffect::Signal(Signal::Answer(answer)));
        out.push(LegEffect::Media(MediaCommand::Watch { leg: self.id }));
        out
    }

    /// Ends the leg from our side: the far end is told in the way that its state wants.
    fn end(&mut self, cause: Cause, status: Option<SipStatus>) -> Effects<LegEffect> {
        let signal = match self.state {
            State::Offered | State::Proposing { .. } | State::Awaiting { .. } | State::Agreed => {
                Some(Signal::Reject(cause))
            }
            State::Dialled { .. } | State::Ringing { .. } => Some(Signal::Cancel(cause)),
            State::Connected => Some(Signal::Bye(cause)),
            State::New | State::Preparing { .. } | State::Ended => None,
        };
        let mut out: Effects<LegEffect> = signal.map(LegEffect::Signal).into_iter().collect();
        out.extend(self.over(cause, status));
        out
    }

    /// Ends a leg whose far end is gone already.
    fn over(&mut self, cause: Cause, status: Option<SipStatus>) -> Effects<LegEffect> {
        self.state = State::Ended;
        smallvec![
            LegEffect::TellTrack(self.track(), TrackInput::End),
            LegEffect::TellCall(LegNews::Ended { cause, status }),
        ]
    }

    fn notice(&mut self, now: Now, notice: Notice<LegEffect, LegKind>) -> Result<Effects<LegEffect>, Rejected> {
        Ok(match notice {
            Notice::Tick => return self.tick(now),
            Notice::Recovered { lost: LegKind::Vital } | Notice::GivenUp => self.end(Cause::SystemFailure, None),
            Notice::Recovered { lost: LegKind::Final } => self.end(Cause::SignallingLost, None),
            Notice::Recovered { lost: LegKind::Passing } => Effects::new(),
            Notice::Refused { effect, why } => self.refused(&effect, why),
        })
    }

    fn tick(&mut self, now: Now) -> Result<Effects<LegEffect>, Rejected> {
        match self.next_deadline() {
            Some(due) if due <= now.mono => {
                let is_caller = matches!(self.state, State::Awaiting { .. });
                Ok(self.end(if is_caller { Cause::Timeout } else { Cause::NoAnswer }, None))
            }
            _ => Err(self.rejects("tick")),
        }
    }

    fn refused(&mut self, effect: &LegEffect, why: Refusal) -> Effects<LegEffect> {
        match (effect, why) {
            (LegEffect::OpenMedia(_), Refusal::Full) => self.end(Cause::Overload, None),
            (LegEffect::Signal(Signal::Invite(_)), Refusal::Full) => self.over(Cause::Overload, None),
            (LegEffect::Signal(Signal::Ring | Signal::Progress(_)) | LegEffect::TellCall(LegNews::Digit(_)), _) => {
                Effects::new()
            }
            (LegEffect::Media(_) | LegEffect::TellTrack(..) | LegEffect::OpenTrack(_), _) => {
                self.end(Cause::MediaLost, None)
            }
            (LegEffect::OpenMedia(_) | LegEffect::Signal(_) | LegEffect::TellCall(_), _) => {
                self.end(Cause::SystemFailure, None)
            }
        }
    }

    fn rejects(&self, input: &'static str) -> Rejected {
        Rejected { input, state: self.state_name() }
    }

    /// What holds after every input. Checked there in debug builds: by every test, and by the simulator.
    pub fn check_invariants(&self) {
        debug_assert!(!self.is_ended() || self.next_deadline().is_none(), "an ended leg arms no timer");
        match &self.state {
            State::New => debug_assert!(self.local.is_none() && self.told.is_none(), "a new leg has done nothing"),
            State::Dialled { .. } | State::Ringing { .. } => {
                debug_assert!(self.local.is_some() && self.told.is_some(), "who was called was offered something");
            }
            State::Awaiting { .. } => debug_assert!(self.told.is_some(), "who is to answer was offered something"),
            State::Agreed => debug_assert!(self.told.is_some() && self.remote.is_some(), "both sides have spoken"),
            State::Connected => debug_assert!(self.told.is_some(), "a connected leg has negotiated"),
            State::Offered | State::Proposing { .. } | State::Preparing { .. } | State::Ended => {}
        }
    }
}

impl Machine for Leg {
    type Id = LegId;
    type Input = LegInput;
    type Kind = LegKind;
    type Effect = LegEffect;

    fn handle(&mut self, now: Now, input: LegInput) -> Result<Effects<LegEffect>, Rejected> {
        let out = match (&self.state, input) {
            (State::Ended, _) => Effects::new(),
            (State::New, LegInput::Start) => self.start(now),
            (State::Offered, LegInput::MediaReady(local)) => self.ready(local),
            (State::Preparing { ring_by }, LegInput::MediaReady(local)) => self.dial(*ring_by, local),
            (State::Proposing { proposal }, LegInput::MediaReady(local)) => {
                let proposal = proposal.clone();
                self.local = Some(local);
                self.propose(now, proposal)
            }
            (State::Proposing { .. }, LegInput::Propose(proposal)) => self.propose(now, Some(proposal)),
            (State::Awaiting { callee, .. }, LegInput::Completed(answer)) => {
                let callee = callee.clone();
                self.agree(answer, callee.as_deref())
            }
            (State::Awaiting { answer_by, .. }, LegInput::Answer(callee)) => {
                self.state = State::Awaiting { answer_by: *answer_by, callee: Some(callee) };
                Effects::new()
            }
            (State::Agreed, LegInput::Answer(callee)) => self.connect(&callee),
            (State::Offered, LegInput::Progress(callee)) => self.progress(&callee),
            (State::Offered, LegInput::Answer(callee)) => self.accept(&callee),
            (State::Proposing { .. } | State::Awaiting { .. } | State::Agreed, LegInput::Progress(_)) => Effects::new(),
            (State::Offered | State::Proposing { .. } | State::Awaiting { .. } | State::Agreed, LegInput::Ring) => {
                smallvec![LegEffect::Signal(Signal::Ring)]
            }
            (
                State::Offered | State::Proposing { .. } | State::Awaiting { .. } | State::Agreed,
                LegInput::Cancelled,
            ) => self.over(Cause::Cancelled, None),
            (State::Awaiting { callee: Some(_), .. }, LegInput::HungUp(cause)) => self.over(cause, None),
            // Whoever hangs up a call that nobody has answered gives it up.
            (State::Proposing { .. } | State::Awaiting { .. } | State::Agreed, LegInput::HungUp(_)) => {
                self.over(Cause::Cancelled, None)
            }
            (State::Dialled { ring_by }, LegInput::Ringing) => self.rings(*ring_by),
            (State::Ringing { .. }, LegInput::Ringing) => Effects::new(),
            (State::Dialled { .. } | State::Ringing { .. }, LegInput::EarlyMedia(answer)) => self.early(answer),
            (State::Dialled { .. } | State::Ringing { .. }, LegInput::Answered(answer)) => self.answered(answer),
            (State::Dialled { .. } | State::Ringing { .. }, LegInput::Refused { cause, status }) => {
                self.over(cause, status)
            }
            (State::Connected, LegInput::Completed(answer)) => self.completed(answer),
            (State::Connected | State::Offered, LegInput::HungUp(cause)) => self.over(cause, None),
            (_, LegInput::Bridge(peer)) => self.bridge(peer),
            (_, LegInput::HangUp(cause) | LegInput::Broken(cause)) => self.end(cause, None),
            (_, LegInput::TrackLost | LegInput::Media(MediaNews::Silent | MediaNews::Broken)) => {
                self.end(Cause::MediaLost, None)
            }
            (_, LegInput::Media(MediaNews::Digit { digit, .. })) => {
                smallvec![LegEffect::TellCall(LegNews::Digit(digit))]
            }
            (_, LegInput::Notice(notice)) => self.notice(now, notice)?,
            (_, input) => return Err(self.rejects(input.name())),
        };
        self.check_invariants();
        Ok(out)
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        match &self.state {
            State::Preparing { ring_by: due }
            | State::Dialled { ring_by: due }
            | State::Ringing { ring_by: due }
            | State::Awaiting { answer_by: due, .. } => Some(*due),
            State::New | State::Offered | State::Proposing { .. } | State::Agreed | State::Connected | State::Ended => {
                None
            }
        }
    }

    fn is_ended(&self) -> bool {
        self.state == State::Ended
    }

    fn kind(input: &LegInput) -> LegKind {
        input.kind()
    }
}

#[cfg(test)]
mod at_once;
#[cfg(test)]
mod tests;
