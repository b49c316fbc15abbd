//! The record while its call lives.

use super::{Cdr, CdrLeg, Direction, callee_of};
use crate::cause::Cause;
use crate::event::{Context, Fact, FactBody, Side};
use crate::id::{CallId, LegId, NodeId};
use crate::party::{Number, Party};
use crate::time::WallTime;

/// The record while its call lives. Folds facts in order; one that came already changes nothing.
#[derive(Clone, Debug, PartialEq)]
pub struct CdrFold {
    context: Context,
    call: CallId,
    caller: Party,
    dialled: Number,
    started_at: WallTime,
    ringing_at: Option<WallTime>,
    answered_at: Option<WallTime>,
    ended: Option<(WallTime, Cause, Side)>,
    legs: Vec<CdrLeg>,
    last_number: u32,
    closed: bool,
}

impl CdrFold {
    /// From the first fact of a call. `None` when it is not [`FactBody::Started`].
    #[must_use]
    pub fn begin(first: &Fact) -> Option<Self> {
        let FactBody::Started { leg_id, caller, dialled } = &first.body else { return None };
        Some(Self {
            context: first.context.clone(),
            call: first.call,
            caller: caller.clone(),
            dialled: dialled.clone(),
            started_at: first.at,
            ringing_at: None,
            answered_at: None,
            ended: None,
            legs: vec![CdrLeg::begin(*leg_id, caller.clone(), None, first.at)],
            last_number: first.number,
            closed: false,
        })
    }

    /// Adds the next fact. One with a number that was seen already is no second fact.
    pub fn apply(&mut self, fact: &Fact) {
        if fact.number <= self.last_number {
            return;
        }
        self.last_number = fact.number;
        match &fact.body {
            FactBody::Started { .. } => {}
            FactBody::Dialled { leg_id, callee, route } => {
                self.legs.push(CdrLeg::begin(*leg_id, callee.clone(), route.clone(), fact.at));
            }
            FactBody::Ringing { leg_id } => {
                self.ringing_at = self.ringing_at.or(Some(fact.at));
                if let Some(leg) = self.leg(*leg_id) {
                    leg.ringing_at = leg.ringing_at.or(Some(fact.at));
                }
            }
            FactBody::Answered { leg_id } => self.answer(*leg_id, fact.at),
            FactBody::LegEnded { leg_id, cause, sip_status, rang_at, media } => {
                if let Some(leg) = self.leg(*leg_id) {
                    (leg.ended_at, leg.cause, leg.sip_status) = (Some(fact.at), Some(*cause), *sip_status);
                    leg.ringing_at = leg.ringing_at.or(*rang_at);
                    leg.media.clone_from(media);
                }
            }
            FactBody::Ended { cause, by } => self.ended = Some((fact.at, *cause, *by)),
            FactBody::CdrClosed(_) => self.closed = true,
        }
    }

    /// The record has been written: nothing is owed any more.
    #[must_use]
    pub const fn is_closed(&self) -> bool {
        self.closed
    }

    /// Number and time of what would come next.
    #[must_use]
    pub const fn next_number(&self) -> u32 {
        self.last_number.saturating_add(1)
    }

    /// Ids of the call.
    #[must_use]
    pub const fn context(&self) -> &Context {
        &self.context
    }

    /// The facts that a call still owes when its node died at about `at`: its end, that of each leg which was left, and
    /// its record. `node` closes it.
    #[must_use]
    pub fn close_lost(mut self, at: WallTime, node: NodeId) -> Vec<Fact> {
        let mut owed = Vec::new();
        if self.ended.is_none() {
            let end = self.fact(at, FactBody::Ended { cause: Cause::NodeLost, by: Side::System }, node);
            self.apply(&end);
            owed.push(end);
        }
        let open = |leg: &&CdrLeg| leg.ended_at.is_none() && !self.closed;
        let open: Vec<LegId> = self.legs.iter().filter(open).map(|leg| leg.leg_id).collect();
        for leg_id in open {
            let over =
                FactBody::LegEnded { leg_id, cause: Cause::NodeLost, sip_status: None, rang_at: None, media: None };
            let over = self.fact(at, over, node);
            self.apply(&over);
            owed.push(over);
        }
        if !self.closed {
            let record = FactBody::CdrClosed(Box::new(self.record(node)));
            owed.push(self.fact(at, record, node));
        }
        owed
    }

    /// The record as it stands. A call that has not ended yet ends now, with its last known time.
    #[must_use]
    pub fn record(&self, node: NodeId) -> Cdr {
        let (ended_at, cause, ended_by) = self.ended.unwrap_or((self.started_at, Cause::NodeLost, Side::System));
        let answered_at = self.answered_at;
        let talked = answered_at.map_or(std::time::Duration::ZERO, |at| ended_at - at);
        let mut record = Cdr {
            call_id: self.call,
            tenant: self.context.tenant.clone(),
            correlation_id: self.context.correlation_id,
            node_id: node,
            direction: Direction::default(),
            caller: self.caller.clone(),
            caller_e164: None,
            dialled: self.dialled.clone(),
            dialled_e164: None,
            callee: callee_of(&self.legs).map(|leg| leg.party.clone()),
            callee_e164: None,
            route: None,
            started_at: self.started_at,
            ringing_at: self.ringing_at,
            answered_at,
            ended_at,
            answered: false,
            setup_ms: None,
            ring_ms: None,
            talk_ms: u64::try_from(talked.as_millis()).unwrap_or(u64::MAX),
            billable_seconds: 0,
            cause,
            q850: 0,
            sip_status: 0,
            ended_by,
            legs: self.legs.clone(),
            recording_ids: Vec::new(),
            transfer: None,
        };
        record.derive();
        record
    }

    fn fact(&self, at: WallTime, body: FactBody, node: NodeId) -> Fact {
        Fact {
            context: Context { node, ..self.context.clone() },
            call: self.call,
            number: self.next_number(),
            at,
            caused_by: None,
            sdp: None,
            body,
        }
    }

    fn answer(&mut self, leg_id: LegId, at: WallTime) {
        self.answered_at = self.answered_at.or(Some(at));
        if let Some(leg) = self.leg(leg_id) {
            leg.answered_at = Some(at);
        }
        if let Some(caller) = self.legs.first_mut() {
            caller.answered_at = Some(at);
        }
    }

    fn leg(&mut self, id: LegId) -> Option<&mut CdrLeg> {
        self.legs.iter_mut().find(|leg| leg.leg_id == id)
    }
}
