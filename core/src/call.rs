//! One call, as a pure state machine: a caller, one or more legs to the callee, and the billing record.
//!
//! ```text
//!  New ──Start──▶ Routing ──Routed──▶ Dialling ──Answered──▶ Talking
//!   └──────────── the caller or the last callee is gone, or we end it ──▶ Ending ──all legs over──▶ Ended
//! ```
//!
//! All devices of the callee ring; the first answer wins, the others are cancelled.
//!
//! # Invariants
//! * Facts are numbered from 1 without a gap; `Started` is the first and `CdrClosed` the last, each exactly once.
//! * `Answered` is committed before the caller hears of it.
//! * `Ended` is final, and comes only after the record.

mod end;
mod invariants;
mod record;

use std::sync::Arc;
use std::time::Duration;

use smallvec::{SmallVec, smallvec};

use crate::cause::{Cause, SipStatus};
use crate::cdr::{CdrFold, Route};
use crate::event::{Context, Fact, FactBody, Live, Side};
use crate::id::{CallId, LegId};
use crate::leg::{Birth, Leg, LegInput, LegNews, Negotiation, Outgoing, Role};
use crate::machine::{Effects, Machine, Notice, Rejected, Stamp};
use crate::media::{LocalMedia, MediaDescription};
use crate::party::{Number, Party, Target};
use crate::routing::Query;
use crate::time::{Now, Timestamp, WallTime};

/// What an edge says of a caller that it lets in.
#[derive(Clone, Debug, PartialEq)]
pub struct NewCall {
    /// Minted by the edge.
    pub call: CallId,
    /// The caller's leg, minted by the edge.
    pub leg: LegId,
    /// Ids.
    pub context: Context,
    /// Who calls.
    pub caller: Party,
    /// What was dialled, as it came.
    pub dialled: Number,
    /// Who makes the offer on the caller's side.
    pub negotiation: Negotiation,
    /// Max-Forwards for what follows from it, 0..=69.
    pub max_forwards: u8,
    /// How long the callee may ring.
    pub ring_timeout: Duration,
}

/// See the module.
#[derive(Clone, Debug)]
pub struct Call {
    birth: Arc<NewCall>,
    state: State,
    legs: SmallVec<[CallLeg; 2]>,
    /// When it began, on both clocks: its facts count their time from here, so that a wall clock that is stepped in the
    /// middle of a call bills nobody for it.
    began: Now,
    /// The record so far. Behind an `Arc`: it changes five times in a call and is cloned at every input.
    record: Option<Arc<CdrFold>>,
    /// The heaviest of the causes that callees gave so far.
    refusal: Option<(Cause, Option<SipStatus>)>,
}

#[derive(Clone, Copy, Debug)]
struct CallLeg {
    id: LegId,
    /// Its effects up to here have been heard: a repeat after a crash is no second answer.
    heard: Option<u64>,
    /// When its device first rang.
    rang_at: Option<WallTime>,
    is_over: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    New,
    Routing,
    Dialling {
        rings: bool,
        /// The callee whose media the caller hears before the answer.
        early: Option<LegId>,
    },
    Talking {
        callee: LegId,
    },
    Ending {
        /// Legs that have not ended by then are not waited for.
        until: Timestamp,
    },
    Ended,
}

/// What can happen to a call.
#[derive(Clone, Debug)]
pub enum CallInput {
    /// Begin. First input, from whoever opened it.
    Start,
    /// The plan has spoken.
    Routed(Result<Vec<Target>, Cause>),
    /// A leg has news.
    Leg(Stamp<LegId>, LegNews),
    /// A leg's slot is gone. News only if the leg could not say itself that it ended.
    LegLost(LegId),
    /// The node or an operator ends it.
    End(Cause),
    /// From the shell.
    Notice(Notice<CallEffect, CallKind>),
}

/// Kinds of inputs: what a lost one means.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum CallKind {
    /// The call never began.
    Start,
    /// Without it the call cannot go on.
    Vital,
    /// That leg is over.
    LegOver(LegId),
    /// Nobody misses it.
    Passing,
}

/// What a call wants done.
#[derive(Clone, Debug)]
pub enum CallEffect {
    /// Write it to the journal.
    Commit(Arc<Fact>),
    /// Tell whoever listens.
    Publish(Live),
    /// Find ways to the callee; [`CallInput::Routed`] follows.
    LookUp(Query),
    /// Start the actor of a leg.
    OpenLeg(Box<Leg>, LegId),
    /// For a leg.
    TellLeg(LegId, LegInput),
}

impl From<Notice<CallEffect, CallKind>> for CallInput {
    fn from(notice: Notice<CallEffect, CallKind>) -> Self {
        Self::Notice(notice)
    }
}

impl CallLeg {
    const fn new(id: LegId) -> Self {
        Self { id, heard: None, rang_at: None, is_over: false }
    }
}

impl Call {
    /// A call that has not begun.
    #[must_use]
    pub fn new(birth: NewCall) -> Self {
        let (began, legs) = Default::default();
        Self { birth: Arc::new(birth), state: State::New, legs, began, record: None, refusal: None }
    }

    /// What it was born with.
    #[must_use]
    pub fn birth(&self) -> &NewCall {
        &self.birth
    }

    /// Its legs, the caller's first.
    pub fn legs(&self) -> impl Iterator<Item = LegId> + '_ {
        self.legs.iter().map(|leg| leg.id)
    }

    /// Name of its state, for views.
    #[must_use]
    pub const fn state_name(&self) -> &'static str {
        match self.state {
            State::New => "new",
            State::Routing => "routing",
            State::Dialling { rings: false, .. } => "dialling",
            State::Dialling { rings: true, .. } => "ringing",
            State::Talking { .. } => "talking",
            State::Ending { .. } => "ending",
            State::Ended => "ended",
        }
    }

    fn start(&mut self, now: Now) -> Effects<CallEffect> {
        let birth = self.birth.clone();
        let mut out = self.begin_record(now);
        self.state = State::Routing;
        out.extend(self.open(birth.leg, Role::Caller(birth.negotiation.clone())));
        out.push(CallEffect::LookUp(Query {
            tenant: birth.context.tenant.clone(),
            caller: birth.caller.identity.clone(),
            dialled: birth.dialled.clone(),
        }));
        out
    }

    fn open(&mut self, id: LegId, role: Role) -> Effects<CallEffect> {
        self.legs.push(CallLeg::new(id));
        let birth = Birth { call: self.birth.call, context: self.birth.context.clone(), role };
        let leg = Box::new(Leg::new(id, Arc::new(birth)));
        smallvec![CallEffect::OpenLeg(leg, id), CallEffect::TellLeg(id, LegInput::Start)]
    }

    fn dial(&mut self, now: Now, targets: Vec<Target>) -> Effects<CallEffect> {
        if targets.is_empty() {
            return self.end(now, Cause::Unreachable, Side::System, None);
        }
        let offer = self.offer_for(&targets);
        let ways: Vec<_> = targets.into_iter().filter_map(|it| Some((self.offer_to(&it, &offer)?, it))).collect();
        if ways.is_empty() {
            return self.end(now, Cause::Incompatible, Side::System, None);
        }
        self.state = State::Dialling { rings: false, early: None };
        let birth = self.birth.clone();
        let mut out = Effects::new();
        if birth.negotiation == Negotiation::AtOnce {
            out.push(self.tell_caller(LegInput::Propose(offer)));
        }
        for (offer, target) in ways {
            let id = target.leg;
            let callee = target.party.clone();
            let route = Some(Route::from(&target.address));
            out.push(self.commit(now, None, None, FactBody::Dialled { leg_id: id, callee, route }));
            let outgoing = Outgoing {
                target,
                caller: birth.caller.clone(),
                offer,
                max_forwards: birth.max_forwards,
                ring_timeout: birth.ring_timeout,
            };
            out.extend(self.open(id, Role::Callee(Box::new(outgoing))));
        }
        out
    }

    /// What the callees may be offered: what the caller offers, or is offered.
    fn offer_for(&self, targets: &[Target]) -> Arc<MediaDescription> {
        match &self.birth.negotiation {
            Negotiation::Offered(offer) => offer.clone(),
            Negotiation::Late => Arc::new(MediaDescription::basic(&LocalMedia::NOWHERE)),
            Negotiation::AtOnce => {
                let phone_may_answer = targets.iter().any(|target| !target.address.is_client());
                Arc::new(MediaDescription::proposal(phone_may_answer))
            }
        }
    }

    /// What of that this one is offered. `None`: nothing that it could speak.
    fn offer_to(&self, target: &Target, offer: &Arc<MediaDescription>) -> Option<Arc<MediaDescription>> {
        if target.address.is_client() {
            return offer.for_browser().map(Arc::new);
        }
        match self.birth.negotiation {
            Negotiation::AtOnce => offer.for_phone().map(Arc::new),
            Negotiation::Offered(_) | Negotiation::Late => Some(offer.clone()),
        }
    }

    fn hear(&mut self, now: Now, stamp: Stamp<LegId>, news: LegNews) -> Result<Effects<CallEffect>, Rejected> {
        if !self.is_new(stamp) {
            return Err(self.rejects("repeated news"));
        }
        let callee = (stamp.from != self.birth.leg).then_some(stamp.from);
        if matches!(news, LegNews::Ringing) && callee.is_some() {
            self.rang(now, stamp.from);
        }
        Ok(match (self.state, news) {
            (_, LegNews::Ended { cause, status }) => self.leg_over(now, Some(stamp), stamp.from, cause, status),
            (_, LegNews::Digit(digit)) => smallvec![self.digit(stamp.from, digit)],
            (State::Dialling { rings: false, early }, LegNews::Ringing) if callee.is_some() => {
                self.state = State::Dialling { rings: true, early };
                self.ringing(now, stamp)
            }
            (State::Dialling { rings, early: None }, LegNews::EarlyMedia(media)) if callee.is_some() => {
                self.state = State::Dialling { rings, early: callee };
                let mut out: Effects<_> = smallvec![self.tell_caller(LegInput::Progress(media))];
                out.extend(self.bridge(stamp.from));
                out
            }
            (State::Dialling { .. }, LegNews::Answered(media)) if callee.is_some() => self.answered(now, stamp, media),
            // The others ring too, send media too, or lost the race and have been told so.
            (_, LegNews::Ringing | LegNews::EarlyMedia(_) | LegNews::Answered(_)) => Effects::new(),
        })
    }

    fn rang(&mut self, now: Now, id: LegId) {
        let at = self.at(now);
        if let Some(leg) = self.legs.iter_mut().find(|leg| leg.id == id) {
            leg.rang_at = leg.rang_at.or(Some(at));
        }
    }

    fn ringing(&mut self, now: Now, stamp: Stamp<LegId>) -> Effects<CallEffect> {
        smallvec![
            self.commit(now, Some(stamp), None, FactBody::Ringing { leg_id: stamp.from }),
            self.tell_caller(LegInput::Ring),
        ]
    }

    fn answered(&mut self, now: Now, stamp: Stamp<LegId>, media: Arc<MediaDescription>) -> Effects<CallEffect> {
        let callee = stamp.from;
        self.state = State::Talking { callee };
        let fact = FactBody::Answered { leg_id: callee };
        let mut out: Effects<_> = smallvec![self.commit(now, Some(stamp), media.text.clone(), fact)];
        out.extend(self.hang_up(Cause::AnsweredElsewhere, |leg| leg != callee, false));
        out.push(self.tell_caller(LegInput::Answer(media)));
        out.extend(self.bridge(callee));
        out
    }

    fn bridge(&self, callee: LegId) -> Effects<CallEffect> {
        let caller = self.birth.leg;
        smallvec![
            CallEffect::TellLeg(caller, LegInput::Bridge(callee)),
            CallEffect::TellLeg(callee, LegInput::Bridge(caller)),
        ]
    }

    fn tell_caller(&self, input: LegInput) -> CallEffect {
        CallEffect::TellLeg(self.birth.leg, input)
    }

    fn digit(&self, leg_id: LegId, digit: char) -> CallEffect {
        let context = self.birth.context.clone();
        CallEffect::Publish(Live::Digit { context, call: self.birth.call, leg_id, digit })
    }

    /// A leg that was written off has no more news: it was on its way when the leg could not be told something.
    fn is_new(&mut self, stamp: Stamp<LegId>) -> bool {
        let Some(leg) = self.legs.iter_mut().find(|leg| leg.id == stamp.from && !leg.is_over) else { return false };
        let new = leg.heard < Some(stamp.number);
        leg.heard = leg.heard.max(Some(stamp.number));
        new
    }

    fn notice(&mut self, now: Now, notice: Notice<CallEffect, CallKind>) -> Result<Effects<CallEffect>, Rejected> {
        Ok(match notice {
            Notice::Tick => return self.tick(now),
            Notice::GivenUp => self.give_up(now),
            Notice::Recovered { lost: CallKind::Start } => {
                let mut out = self.start(now);
                out.extend(self.end(now, Cause::SystemFailure, Side::System, None));
                out
            }
            Notice::Recovered { lost: CallKind::Vital } => self.end(now, Cause::SystemFailure, Side::System, None),
            Notice::Recovered { lost: CallKind::LegOver(leg) } => self.drop_leg(now, leg),
            Notice::Recovered { lost: CallKind::Passing } => Effects::new(),
            Notice::Refused { effect, .. } => self.refused(now, &effect),
        })
    }

    fn refused(&mut self, now: Now, effect: &CallEffect) -> Effects<CallEffect> {
        match effect {
            CallEffect::OpenLeg(_, leg) | CallEffect::TellLeg(leg, _) => self.drop_leg(now, *leg),
            CallEffect::LookUp(_) => self.end(now, Cause::SystemFailure, Side::System, None),
            CallEffect::Commit(_) | CallEffect::Publish(_) => Effects::new(),
        }
    }

    fn rejects(&self, input: &'static str) -> Rejected {
        Rejected { input, state: self.state_name() }
    }
}

impl Machine for Call {
    type Id = CallId;
    type Input = CallInput;
    type Kind = CallKind;
    type Effect = CallEffect;

    fn handle(&mut self, now: Now, input: CallInput) -> Result<Effects<CallEffect>, Rejected> {
        let out = match (self.state, input) {
            (State::Ended, _) => Effects::new(),
            (State::New, CallInput::Start) => self.start(now),
            (State::Routing, CallInput::Routed(Ok(targets))) => self.dial(now, targets),
            (State::Routing, CallInput::Routed(Err(cause))) => self.end(now, cause, Side::System, None),
            (_, CallInput::Leg(stamp, news)) => self.hear(now, stamp, news)?,
            (_, CallInput::LegLost(leg)) => self.leg_over(now, None, leg, Cause::SystemFailure, None),
            (State::New | State::Ending { .. }, CallInput::End(_)) => return Err(self.rejects("end")),
            (_, CallInput::End(cause)) => self.end(now, cause, Side::System, None),
            (_, CallInput::Notice(notice)) => self.notice(now, notice)?,
            (_, CallInput::Start) => return Err(self.rejects("start")),
            (_, CallInput::Routed(_)) => return Err(self.rejects("routed")),
        };
        self.check_invariants();
        Ok(out)
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        match self.state {
            State::Ending { until } => Some(until),
            State::New | State::Routing | State::Dialling { .. } | State::Talking { .. } | State::Ended => None,
        }
    }

    fn is_ended(&self) -> bool {
        self.state == State::Ended
    }

    fn kind(input: &CallInput) -> CallKind {
        match input {
            CallInput::Start => CallKind::Start,
            CallInput::Leg(stamp, LegNews::Ended { .. }) => CallKind::LegOver(stamp.from),
            CallInput::LegLost(leg) => CallKind::LegOver(*leg),
            CallInput::Notice(Notice::Refused { effect: CallEffect::TellLeg(leg, _), .. }) => CallKind::LegOver(*leg),
            CallInput::Routed(_)
            | CallInput::End(_)
            | CallInput::Leg(_, LegNews::Answered(_))
            | CallInput::Notice(Notice::Refused { .. }) => CallKind::Vital,
            // Who does not hear what was lost has lost it still.
            CallInput::Notice(Notice::Recovered { lost }) => *lost,
            CallInput::Leg(_, LegNews::Ringing | LegNews::EarlyMedia(_) | LegNews::Digit(_))
            | CallInput::Notice(Notice::Tick | Notice::GivenUp) => CallKind::Passing,
        }
    }
}

#[cfg(test)]
mod tests;
