//! The billing record as a fold of facts: whoever has the facts has the record, whatever died in between.

use serde::{Deserialize, Serialize};

use crate::cause::Cause;
use crate::event::{Context, Fact, FactBody, Side};
use crate::id::{CallId, CorrelationId, LegId, NodeId, Tenant};
use crate::party::{Number, Party};
use crate::time::WallTime;

/// What a call was.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cdr {
    /// Which call.
    pub call_id: CallId,
    /// Whose.
    pub tenant: Tenant,
    /// The one id that explains everything.
    pub correlation_id: CorrelationId,
    /// Which process carried it to its end.
    pub node_id: NodeId,
    /// Who called.
    pub caller: Party,
    /// What was dialled, as it came.
    pub dialled: Number,
    /// Who answered; else who was tried last.
    pub callee: Option<Party>,
    /// When the caller was let in.
    pub started_at: WallTime,
    /// When the first device rang.
    pub ringing_at: Option<WallTime>,
    /// When it was answered: billing starts.
    pub answered_at: Option<WallTime>,
    /// When it ended: billing stops.
    pub ended_at: WallTime,
    /// Answer to end, in milliseconds; 0 when never answered.
    pub talk_ms: u64,
    /// Why it ended.
    pub cause: Cause,
    /// Who ended it.
    pub ended_by: Side,
    /// Every leg, the caller's first.
    pub legs: Vec<CdrLeg>,
}

/// One leg of the record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CdrLeg {
    /// Which leg.
    pub leg_id: LegId,
    /// Who was there.
    pub party: Party,
    /// When it was dialled, or for the caller let in.
    pub started_at: WallTime,
    /// When this party answered.
    pub answered_at: Option<WallTime>,
    /// When it was over.
    pub ended_at: Option<WallTime>,
    /// Why.
    pub cause: Option<Cause>,
    /// The SIP status that ended it, when one did.
    pub sip_status: Option<u16>,
}

/// The record while its call lives. Folds facts in order; one that came already changes nothing.
#[derive(Clone, Debug, PartialEq)]
pub struct CdrFold {
    context: Context,
    call: CallId,
    caller: Party,
    dialled: Number,
    started_at: WallTime,
    ringing_at: Option<WallTime>,
    answered: Option<(LegId, WallTime)>,
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
            answered: None,
            ended: None,
            legs: vec![CdrLeg::begin(*leg_id, caller.clone(), first.at)],
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
            FactBody::Dialled { leg_id, callee } => self.legs.push(CdrLeg::begin(*leg_id, callee.clone(), fact.at)),
            FactBody::Ringing { .. } => self.ringing_at = self.ringing_at.or(Some(fact.at)),
            FactBody::Answered { leg_id } => self.answer(*leg_id, fact.at),
            FactBody::LegEnded { leg_id, cause, sip_status } => {
                if let Some(leg) = self.leg(*leg_id) {
                    (leg.ended_at, leg.cause, leg.sip_status) = (Some(fact.at), Some(*cause), *sip_status);
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
            let over = FactBody::LegEnded { leg_id, cause: Cause::NodeLost, sip_status: None };
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
        let answered_at = self.answered.map(|(_, at)| at);
        let talked = answered_at.map_or(std::time::Duration::ZERO, |at| ended_at - at);
        Cdr {
            call_id: self.call,
            tenant: self.context.tenant.clone(),
            correlation_id: self.context.correlation_id,
            node_id: node,
            caller: self.caller.clone(),
            dialled: self.dialled.clone(),
            callee: self.callee(),
            started_at: self.started_at,
            ringing_at: self.ringing_at,
            answered_at,
            ended_at,
            talk_ms: u64::try_from(talked.as_millis()).unwrap_or(u64::MAX),
            cause,
            ended_by,
            legs: self.legs.clone(),
        }
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
        self.answered = self.answered.or(Some((leg_id, at)));
        if let Some(leg) = self.leg(leg_id) {
            leg.answered_at = Some(at);
        }
        if let Some(caller) = self.legs.first_mut() {
            caller.answered_at = Some(at);
        }
    }

    fn callee(&self) -> Option<Party> {
        let answered = self.answered.and_then(|(id, _)| self.legs.iter().find(|leg| leg.leg_id == id));
        let tried = self.legs.iter().skip(1).next_back();
        answered.or(tried).map(|leg| leg.party.clone())
    }

    fn leg(&mut self, id: LegId) -> Option<&mut CdrLeg> {
        self.legs.iter_mut().find(|leg| leg.leg_id == id)
    }
}

impl CdrLeg {
    fn begin(leg_id: LegId, party: Party, started_at: WallTime) -> Self {
        Self { leg_id, party, started_at, answered_at: None, ended_at: None, cause: None, sip_status: None }
    }
}
