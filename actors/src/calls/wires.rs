//! What the effects of calls, legs and tracks mean to the world, and to each other.
//!
//! Words that are said once and end something go above the limit of an inbox: without them a call would stay for ever.

use std::sync::{Arc, Weak};

use tandem_core::call::{Call, CallEffect, CallInput};
use tandem_core::cause::Cause;
use tandem_core::event::{Fact, FactBody};
use tandem_core::id::{CallId, LegId, TrackId};
use tandem_core::leg::{Leg, LegEffect, LegInput, LegNews};
use tandem_core::machine::{Exit, Refusal, Stamp};
use tandem_core::metric::Counter;
use tandem_core::restart::Verdict;
use tandem_core::trace::{Entry, Part, Subject, What};
use tandem_core::track::{Track, TrackEffect, TrackInput};
use tracing::{Span, error_span};

use super::{Calls, Outside};
use crate::ports::Ports;

/// From the slots back to those who hold them; not a circle, so that a node can be dropped.
pub(super) struct Wires(pub(super) Weak<Calls>);

impl Ports<Call> for Wires {
    fn perform(&self, stamp: Stamp<CallId>, effect: CallEffect) -> Result<(), Refusal> {
        let calls = self.calls()?;
        let outside = calls.outside()?;
        match effect {
            CallEffect::Commit(fact) => {
                outside.ledger.commit(&fact);
                calls.note(&fact);
            }
            CallEffect::Publish(live) => outside.bus.publish(&live),
            CallEffect::LookUp(query) => {
                let call = calls.calls.find(stamp.from).ok_or(Refusal::Gone)?;
                call.slot().reply(CallInput::Routed(outside.plan.look_up(&query)));
            }
            // It was opened with the call: see `open_call`.
            CallEffect::OpenLeg(_, leg) | CallEffect::TellLeg(leg, LegInput::Start)
                if calls.is_caller(stamp.from, leg) => {}
            CallEffect::OpenLeg(machine, leg) => drop(calls.legs.open(leg, *machine)),
            CallEffect::TellLeg(leg, input) => calls.order(leg, input)?,
        }
        Ok(())
    }

    /// A call leaves no leg behind, whatever it was able to tell them.
    fn gone(&self, id: CallId, last: &Call, exit: Exit) {
        let Ok(calls) = self.calls() else { return };
        let cause = match exit {
            Exit::Ended => Cause::Normal,
            Exit::GivenUp => Cause::SystemFailure,
        };
        for leg in std::iter::once(last.birth().leg).chain(last.legs()).filter_map(|leg| calls.legs.find(leg)) {
            leg.slot().notify(LegInput::HangUp(cause));
        }
        calls.door.release(id);
        if let Ok(outside) = calls.outside() {
            outside.trace.end(id);
        }
    }

    fn failed(&self, id: CallId, why: &str, verdict: Verdict) {
        self.note_failure(Subject::Call(id), Part::Call, why, verdict);
    }

    fn span(&self, id: CallId, call: &Call) -> Span {
        error_span!("call", call_id = %id, correlation_id = %call.birth().context.correlation_id)
    }
}

impl Ports<Leg> for Wires {
    fn perform(&self, stamp: Stamp<LegId>, effect: LegEffect) -> Result<(), Refusal> {
        let calls = self.calls()?;
        let outside = calls.outside()?;
        match effect {
            LegEffect::OpenMedia(carrier) => {
                let local = outside.media.open(stamp.from, carrier)?;
                let leg = calls.legs.find(stamp.from).ok_or(Refusal::Gone)?;
                leg.slot().reply(LegInput::MediaReady(local)); // the answer to the caller needs it, and may wait already
                Ok(())
            }
            LegEffect::Media(command) => outside.media.command(stamp.from, command),
            LegEffect::Signal(signal) => outside.edge.signal(stamp, signal),
            LegEffect::OpenTrack(track) => {
                calls.tracks.open(track, Track::new(track, stamp.from));
                Ok(())
            }
            LegEffect::TellTrack(track, TrackInput::End) => {
                calls.end_track(track);
                Ok(())
            }
            LegEffect::TellTrack(track, input) => Ok(calls.tracks.find(track).ok_or(Refusal::Gone)?.send(input)?),
            LegEffect::TellCall(news) => calls.hear(stamp, news),
        }
    }

    fn gone(&self, id: LegId, last: &Leg, _: Exit) {
        let Ok(calls) = self.calls() else { return };
        calls.end_track(last.track());
        if let Ok(outside) = calls.outside() {
            outside.edge.release(id);
            outside.media.release(id);
        }
        // Its last news may have been what broke a port; a call that has heard it ignores this.
        if let Some(call) = calls.calls.find(last.call()) {
            call.slot().notify(CallInput::LegLost(id));
        }
    }

    fn failed(&self, id: LegId, why: &str, verdict: Verdict) {
        self.note_failure(Subject::Leg(id), Part::Leg, why, verdict);
    }

    fn span(&self, id: LegId, leg: &Leg) -> Span {
        error_span!("leg", call_id = %leg.call(), correlation_id = %leg.context().correlation_id, leg_id = %id)
    }
}

impl Ports<Track> for Wires {
    fn perform(&self, stamp: Stamp<TrackId>, effect: TrackEffect) -> Result<(), Refusal> {
        let calls = self.calls()?;
        let leg = calls.tracks.find(stamp.from).ok_or(Refusal::Gone)?.slot().view(Track::leg);
        match effect {
            TrackEffect::Media(command) => calls.outside()?.media.command(leg, command),
            TrackEffect::TellLost => {
                calls.lose_track_of(leg);
                Ok(())
            }
        }
    }

    /// However it ended: what it said of that may be what broke a port. A leg that is over itself ignores this.
    fn gone(&self, _: TrackId, last: &Track, _: Exit) {
        if let Ok(calls) = self.calls() {
            calls.lose_track_of(last.leg());
        }
    }

    fn failed(&self, id: TrackId, why: &str, verdict: Verdict) {
        // A leg's track has its leg's number.
        self.note_failure(Subject::Leg(LegId::from_uuid(id.uuid())), Part::Track, why, verdict);
    }

    fn span(&self, id: TrackId, track: &Track) -> Span {
        let leg = self.calls().ok().and_then(|calls| calls.legs.find(track.leg()));
        let leg = leg.map_or_else(Span::none, |leg| self.span(track.leg(), &leg.slot().view(Leg::clone)));
        error_span!(parent: &leg, "track", track_id = %id)
    }
}

impl Wires {
    fn calls(&self) -> Result<Arc<Calls>, Refusal> {
        self.0.upgrade().ok_or(Refusal::Gone)
    }

    /// For the story of the call.
    fn note_failure(&self, about: Subject, actor: Part, why: &str, verdict: Verdict) {
        let Ok(calls) = self.calls() else { return };
        let what = What::Restarted { actor, why: why.to_owned(), is_given_up: verdict == Verdict::GiveUp };
        if let Ok(outside) = calls.outside() {
            outside.trace.note(about, Entry::new(calls.clock.now().wall, what));
        }
    }
}

impl Calls {
    fn outside(&self) -> Result<&Outside, Refusal> {
        self.outside.get().ok_or(Refusal::Gone)
    }

    fn is_caller(&self, call: CallId, leg: LegId) -> bool {
        self.calls.find(call).is_some_and(|it| it.slot().view(|call| call.birth().leg == leg))
    }

    /// What a call wants of a leg. One that is over has said so, or is about to: then the order is moot, not refused.
    fn order(&self, leg: LegId, input: LegInput) -> Result<(), Refusal> {
        let Some(leg) = self.legs.find(leg) else { return Ok(()) };
        if matches!(input, LegInput::HangUp(_)) {
            leg.slot().notify(input);
            return Ok(());
        }
        match leg.send(input).map_err(Refusal::from) {
            Err(Refusal::Gone) => Ok(()),
            outcome => outcome,
        }
    }

    /// What a leg has to say to its call.
    fn hear(&self, stamp: Stamp<LegId>, news: LegNews) -> Result<(), Refusal> {
        let leg = self.legs.find(stamp.from).ok_or(Refusal::Gone)?;
        let call = self.calls.find(leg.slot().view(Leg::call)).ok_or(Refusal::Gone)?;
        let is_last = matches!(news, LegNews::Ended { .. });
        let input = CallInput::Leg(stamp, news);
        if is_last {
            call.slot().notify(input);
            return Ok(());
        }
        Ok(call.send(input)?)
    }

    fn end_track(&self, track: TrackId) {
        if let Some(track) = self.tracks.find(track) {
            track.slot().notify(TrackInput::End);
        }
    }

    fn lose_track_of(&self, leg: LegId) {
        if let Some(leg) = self.legs.find(leg) {
            leg.slot().notify(LegInput::TrackLost);
        }
    }

    /// Counts and logs a fact: what begins a phase of the call for the operator, the rest for who debugs.
    fn note(&self, fact: &Fact) {
        let (call_id, correlation_id, tenant) = (fact.call, fact.context.correlation_id, &fact.context.tenant);
        let event = fact.body.name();
        match &fact.body {
            FactBody::Started { .. } => self.metrics.count(Counter::CallsStarted),
            FactBody::Answered { .. } => self.metrics.count(Counter::CallsAnswered),
            FactBody::Ended { cause, by } => {
                self.metrics.ended(*cause);
                let (is_failure, cause, by) = (cause.is_failure(), cause.name(), by.name());
                if is_failure {
                    return tracing::error!(%call_id, %correlation_id, %tenant, event, cause, by, "call");
                }
                return tracing::info!(%call_id, %correlation_id, %tenant, event, cause, by, "call");
            }
            FactBody::Ringing { .. } => {}
            FactBody::CdrClosed(cdr) => {
                self.metrics.add(Counter::TalkMilliseconds, cdr.talk_ms);
                self.metrics.call_over(cdr);
                return tracing::debug!(%call_id, %correlation_id, event, "call");
            }
            FactBody::Dialled { .. } | FactBody::LegEnded { .. } => {
                return tracing::debug!(%call_id, %correlation_id, event, "call");
            }
        }
        tracing::info!(%call_id, %correlation_id, %tenant, event, "call");
    }
}
