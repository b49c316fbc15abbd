//! How a call ends: whoever goes first takes the others along, and the record is closed once.

use std::time::Duration;

use smallvec::smallvec;

use super::{Call, CallEffect, CallLeg, State};
use crate::cause::{Cause, SipStatus};
use crate::event::{FactBody, Side};
use crate::id::LegId;
use crate::leg::LegInput;
use crate::machine::{Effects, Rejected, Stamp};
use crate::time::Now;

/// How long an ending call waits for its legs. They end at once; this is for one whose actor hangs.
const LAST_LEG: Duration = Duration::from_secs(5);

impl Call {
    /// A leg is over; what that means for the others depends on whose it was.
    pub(super) fn leg_over(
        &mut self,
        now: Now,
        stamp: Option<Stamp<LegId>>,
        id: LegId,
        cause: Cause,
        status: Option<SipStatus>,
    ) -> Effects<CallEffect> {
        let Some(leg) = self.legs.iter_mut().find(|leg| leg.id == id && !leg.is_over) else { return Effects::new() };
        leg.is_over = true;
        let (rang_at, sip_status) = (leg.rang_at, status.map(SipStatus::code));
        let body = FactBody::LegEnded { leg_id: id, cause, sip_status, rang_at, media: None };
        let mut out = smallvec![self.commit(now, stamp, None, body)];
        out.extend(match self.state {
            State::Ending { .. } => self.close_if_all_over(now),
            State::Talking { callee } if callee == id => self.end(now, cause, who(cause, Side::Callee), stamp),
            State::Talking { .. } if id != self.birth.leg => Effects::new(),
            _ if id == self.birth.leg => self.end(now, cause, who(cause, Side::Caller), stamp),
            _ => self.refused_by_callee(now, cause, status, stamp),
        });
        out
    }

    /// Goes on without a leg that cannot be told or heard any more. If it lives after all, it is hung up.
    pub(super) fn drop_leg(&mut self, now: Now, id: LegId) -> Effects<CallEffect> {
        let mut out = self.leg_over(now, None, id, Cause::SystemFailure, None);
        if !out.is_empty() {
            out.push(CallEffect::TellLeg(id, LegInput::HangUp(Cause::SystemFailure)));
        }
        out
    }

    /// One way to the callee failed. The others go on, unless it said no for all.
    fn refused_by_callee(
        &mut self,
        now: Now,
        cause: Cause,
        status: Option<SipStatus>,
        stamp: Option<Stamp<LegId>>,
    ) -> Effects<CallEffect> {
        if self.refusal.is_none_or(|(worst, _)| worst.weight() < cause.weight()) {
            self.refusal = Some((cause, status));
        }
        let others_go_on = self.legs.iter().skip(1).any(|leg| !leg.is_over);
        if others_go_on && cause != Cause::Declined {
            return Effects::new();
        }
        let (cause, _) = self.refusal.unwrap_or((cause, status));
        self.end(now, cause, who(cause, Side::Callee), stamp)
    }

    /// Ends the call: the fact, then every leg that is left.
    pub(super) fn end(&mut self, now: Now, cause: Cause, by: Side, stamp: Option<Stamp<LegId>>) -> Effects<CallEffect> {
        if matches!(self.state, State::Ending { .. } | State::Ended) {
            return Effects::new();
        }
        self.state = State::Ending { until: now.mono + LAST_LEG };
        let mut out = smallvec![self.commit(now, stamp, None, FactBody::Ended { cause, by })];
        out.extend(self.hang_up(cause, |_| true, true));
        out.extend(self.close_if_all_over(now));
        out
    }

    /// The shells of this call died too often: nothing is waited for.
    pub(super) fn give_up(&mut self, now: Now) -> Effects<CallEffect> {
        let mut out = Effects::new();
        if self.record.is_none() {
            out.extend(self.begin_record(now));
            self.legs.push(CallLeg::new(self.birth.leg)); // it was opened with the call
        }
        out.extend(self.end(now, Cause::SystemFailure, Side::System, None));
        out.extend(self.close(now));
        out
    }

    pub(super) fn tick(&mut self, now: Now) -> Result<Effects<CallEffect>, Rejected> {
        match self.state {
            State::Ending { until } if until <= now.mono => Ok(self.close(now)),
            _ => Err(self.rejects("tick")),
        }
    }

    /// Hangs up the legs that are left and wanted; the caller only if so.
    pub(super) fn hang_up(
        &self,
        cause: Cause,
        wanted: impl Fn(LegId) -> bool,
        caller_too: bool,
    ) -> Effects<CallEffect> {
        let caller = self.birth.leg;
        self.legs
            .iter()
            .filter(|leg| !leg.is_over && wanted(leg.id) && (caller_too || leg.id != caller))
            .map(|leg| CallEffect::TellLeg(leg.id, LegInput::HangUp(self.told_to(leg.id, cause))))
            .collect()
    }

    /// A callee that is cancelled hears that the caller gave up, whatever else went wrong on the caller's side.
    fn told_to(&self, leg: LegId, cause: Cause) -> Cause {
        let for_callee = leg != self.birth.leg;
        match cause {
            Cause::Busy | Cause::Declined | Cause::NoAnswer if for_callee => Cause::Cancelled,
            _ => cause,
        }
    }

    fn close_if_all_over(&mut self, now: Now) -> Effects<CallEffect> {
        if self.legs.iter().all(|leg| leg.is_over) { self.close(now) } else { Effects::new() }
    }

    /// The record is written, once; nothing comes after it.
    fn close(&mut self, now: Now) -> Effects<CallEffect> {
        if self.state == State::Ended {
            return Effects::new();
        }
        self.state = State::Ended;
        let mut out = self.end_legs_left(now);
        out.extend(self.commit_record(now));
        out
    }

    /// Legs that are not waited for any more: the record leaves none open.
    fn end_legs_left(&mut self, now: Now) -> Effects<CallEffect> {
        let mut out = Effects::new();
        while let Some(leg) = self.legs.iter_mut().find(|leg| !leg.is_over) {
            leg.is_over = true;
            let (cause, rang_at) = (Cause::SystemFailure, leg.rang_at);
            let body = FactBody::LegEnded { leg_id: leg.id, cause, sip_status: None, rang_at, media: None };
            out.push(self.commit(now, None, None, body));
        }
        out
    }
}

/// Who is to be named for an end: the party, when it was its will; otherwise we.
const fn who(cause: Cause, party: Side) -> Side {
    match cause {
        Cause::Normal | Cause::Cancelled | Cause::Busy | Cause::Declined => party,
        Cause::AnsweredElsewhere
        | Cause::NoAnswer
        | Cause::UnknownNumber
        | Cause::InvalidNumber
        | Cause::Unreachable
        | Cause::Timeout
        | Cause::Forbidden
        | Cause::Loop
        | Cause::Incompatible
        | Cause::Congestion
        | Cause::Overload
        | Cause::RateLimited
        | Cause::Throttled
        | Cause::Shutdown
        | Cause::MediaLost
        | Cause::SignallingLost
        | Cause::NodeLost
        | Cause::SystemFailure => Side::System,
    }
}
