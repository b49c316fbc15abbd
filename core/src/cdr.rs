//! The billing record as a fold of facts: whoever has the facts has the record, whatever died in between.
//!
//! ```text
//!  facts ──CdrFold──▶ what happened ──Cdr::derive──▶ what follows from it: seconds to bill, direction, Q.850, …
//! ```
//!
//! # Invariants
//! * What follows from other fields is never trusted when it is read: a record of an older node gets it too.

mod filter;
mod fold;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

use crate::cause::Cause;
use crate::event::Side;
use crate::id::{CallId, CorrelationId, LegId, NodeId, Tenant};
use crate::numbering::NumberingPlan;
use crate::party::{Address, Identity, Number, Party, TrunkName};
use crate::quality::MediaQuality;
use crate::time::WallTime;

pub use filter::{CdrCursor, CdrFilter, InvalidCursor};
pub use fold::CdrFold;

/// What a call was.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Cdr {
    /// Which call.
    pub call_id: CallId,
    /// Whose.
    pub tenant: Tenant,
    /// The one id that explains everything.
    pub correlation_id: CorrelationId,
    /// Which process carried it to its end.
    pub node_id: NodeId,
    /// Which way it went, seen from the tenant.
    #[serde(default)]
    pub direction: Direction,
    /// Who called.
    pub caller: Party,
    /// His number in E.164, when it is one.
    #[serde(default)]
    pub caller_e164: Option<Number>,
    /// What was dialled, as it came.
    pub dialled: Number,
    /// The same in E.164, when it is such a number: as it came, or as the dial plan read it.
    #[serde(default)]
    pub dialled_e164: Option<Number>,
    /// Who answered; else who was tried last.
    pub callee: Option<Party>,
    /// His number in E.164, when it is one.
    #[serde(default)]
    pub callee_e164: Option<Number>,
    /// What the dial plan chose for that callee.
    #[serde(default)]
    pub route: Option<Route>,
    /// When the caller was let in.
    pub started_at: WallTime,
    /// When the first device rang.
    pub ringing_at: Option<WallTime>,
    /// When it was answered: billing starts.
    pub answered_at: Option<WallTime>,
    /// When it ended: billing stops.
    pub ended_at: WallTime,
    /// It was answered.
    #[serde(default)]
    pub answered: bool,
    /// From the start until it first rang or, when nothing rang, was answered; in milliseconds.
    #[serde(default)]
    pub setup_ms: Option<u64>,
    /// From the first ringing to the answer or to the end, in milliseconds.
    #[serde(default)]
    pub ring_ms: Option<u64>,
    /// Answer to end, in milliseconds; 0 when never answered.
    pub talk_ms: u64,
    /// `talk_ms` as whole seconds, rounded up: one that has begun counts. 0 when never answered.
    #[serde(default)]
    pub billable_seconds: u64,
    /// Why it ended.
    pub cause: Cause,
    /// The same as a Q.850 cause value, 1..=127.
    #[serde(default)]
    pub q850: u8,
    /// The final response to the caller's INVITE: 200 when it was answered. A browser has none and gets what a phone
    /// would have got.
    #[serde(default)]
    pub sip_status: u16,
    /// Who ended it.
    pub ended_by: Side,
    /// Every leg, the caller's first.
    pub legs: Vec<CdrLeg>,
    /// What was recorded of it.
    #[serde(default)]
    pub recording_ids: Vec<String>,
    /// Where it stands among the calls that it was transferred from and to; `null` for a call that nobody transferred.
    #[serde(default)]
    pub transfer: Option<Transfer>,
}

/// One leg of the record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CdrLeg {
    /// Which leg.
    pub leg_id: LegId,
    /// Who was there.
    pub party: Party,
    /// What the dial plan chose; `null` for the caller's.
    #[serde(default)]
    pub route: Option<Route>,
    /// When it was dialled, or for the caller let in.
    pub started_at: WallTime,
    /// When this device first rang; the caller's never does.
    #[serde(default)]
    pub ringing_at: Option<WallTime>,
    /// When this party answered; for the caller when he was answered.
    pub answered_at: Option<WallTime>,
    /// When it was over.
    pub ended_at: Option<WallTime>,
    /// Why.
    pub cause: Option<Cause>,
    /// The SIP status that ended it, when one did.
    pub sip_status: Option<u16>,
    /// How its media fared; `null` when there was none, or nobody knows because the node died.
    #[serde(default)]
    pub media: Option<MediaQuality>,
}

/// Which way a call went, seen from its tenant.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "CdrDirection")]
pub enum Direction {
    /// From one of ours, and no trunk was dialled.
    #[default]
    Internal,
    /// It came by a trunk.
    Inbound,
    /// From one of ours, and by a trunk.
    Outbound,
}

/// What the dial plan chose for a leg.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "via", rename_all = "snake_case")]
pub enum Route {
    /// A phone that is registered with one of our extensions.
    Extension,
    /// The pages and apps of one of our users.
    Client,
    /// A trunk; the party says which.
    Trunk {
        /// What the number begins with that the trunk was chosen for; empty for a trunk that takes everything.
        #[serde(default)]
        prefix: Option<String>,
    },
}

/// Calls that this one was transferred from and to.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Transfer {
    /// The call that it goes on from.
    #[serde(default)]
    pub from: Option<CallId>,
    /// The call that goes on in its place.
    #[serde(default)]
    pub to: Option<CallId>,
}

impl Cdr {
    /// Fills in what follows from the other fields, and believes nothing that stands there.
    pub fn derive(&mut self) {
        self.answered = self.answered_at.is_some();
        let ms = |from: WallTime, to: WallTime| u64::try_from((to - from).as_millis()).unwrap_or(u64::MAX);
        self.setup_ms = self.ringing_at.or(self.answered_at).map(|at| ms(self.started_at, at));
        self.ring_ms = self.ringing_at.map(|rang| ms(rang, self.answered_at.unwrap_or(self.ended_at)));
        self.billable_seconds = self.talk_ms.div_ceil(1_000);
        self.q850 = self.cause.q850();
        self.sip_status = if self.answered { 200 } else { self.cause.refusal().code() };
        self.direction = match (trunk_of(Some(&self.caller)), trunk_of(self.callee.as_ref())) {
            (Some(_), _) => Direction::Inbound,
            (None, Some(_)) => Direction::Outbound,
            (None, None) => Direction::Internal,
        };
        self.caller_e164 = e164(&self.caller.number);
        self.callee_e164 = self.callee.as_ref().and_then(|it| e164(&it.number));
        let by_trunk = self.callee_e164.clone().filter(|_| self.direction == Direction::Outbound);
        self.dialled_e164 = e164(&self.dialled).or(by_trunk);
        self.route = self.callee_leg().and_then(|leg| leg.route.clone());
    }

    /// The trunk that it came by.
    #[must_use]
    pub fn trunk_in(&self) -> Option<&TrunkName> {
        trunk_of(Some(&self.caller))
    }

    /// The trunk that it left by.
    #[must_use]
    pub fn trunk_out(&self) -> Option<&TrunkName> {
        trunk_of(self.callee.as_ref())
    }

    /// The leg of who answered; else of who was tried last.
    #[must_use]
    pub fn callee_leg(&self) -> Option<&CdrLeg> {
        callee_of(&self.legs)
    }
}

/// The leg of who answered; else of who was tried last. The caller's is the first.
#[must_use]
pub fn callee_of(legs: &[CdrLeg]) -> Option<&CdrLeg> {
    let callees = || legs.iter().skip(1);
    callees().find(|leg| leg.answered_at.is_some()).or_else(|| callees().next_back())
}

/// A record out of an event, maybe of an older node.
pub(crate) fn read<'de, D: Deserializer<'de>>(from: D) -> Result<Box<Cdr>, D::Error> {
    let mut record = Box::<Cdr>::deserialize(from)?;
    record.derive();
    Ok(record)
}

fn trunk_of(party: Option<&Party>) -> Option<&TrunkName> {
    match &party?.identity {
        Identity::Trunk { trunk } => Some(trunk),
        Identity::User { .. } => None,
    }
}

/// A number with `+` or `00`, as E.164 has it.
fn e164(number: &Number) -> Option<Number> {
    let text = number.reveal();
    // Reading numbers takes microseconds, and most are extensions.
    if !text.starts_with(['+', '0']) {
        return None;
    }
    let read = NumberingPlan::default().read(text).ok()?;
    read.starts_with('+').then(|| read.into())
}

impl From<&Address> for Route {
    fn from(address: &Address) -> Self {
        match address {
            Address::Contact(_) => Self::Extension,
            Address::Client(_) => Self::Client,
            Address::Trunk { prefix, .. } => Self::Trunk { prefix: prefix.as_deref().map(str::to_owned) },
        }
    }
}

impl Direction {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Internal, Self::Inbound, Self::Outbound];

    /// As rows and events have it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Internal => "internal",
            Self::Inbound => "inbound",
            Self::Outbound => "outbound",
        }
    }
}

impl CdrLeg {
    pub(crate) const fn begin(leg_id: LegId, party: Party, route: Option<Route>, started_at: WallTime) -> Self {
        Self {
            leg_id,
            party,
            route,
            started_at,
            ringing_at: None,
            answered_at: None,
            ended_at: None,
            cause: None,
            sip_status: None,
            media: None,
        }
    }
}

#[cfg(test)]
mod tests;
