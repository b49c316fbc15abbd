//! What happened, for the ledger and for integrators: facts, their envelope and the class of every event.

mod envelope;
mod read;

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::cause::Cause;
use crate::cdr::{self, Cdr, Route};
use crate::id::{CallId, CorrelationId, LegId, NodeId, Tenant};
use crate::machine::Stamp;
use crate::party::{Number, Party};
use crate::quality::MediaQuality;
use crate::revocation::Revocation;
use crate::time::WallTime;
use crate::trace_context::{SpanId, traceparent};

pub use envelope::CloudEvent;
pub use read::InvalidEvent;

/// How an event reaches those who want it. Every event names its class in [`FactBody::class`] or [`Live::class`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Class {
    /// Money or law depends on it: journalled first, committed with its row, then published.
    Fact,
    /// The last value per subject counts: presence, registrations.
    State,
    /// Only worth something now: straight to the bus, may be dropped.
    Live,
}

/// Under which ids everything that follows from one request runs.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Context {
    /// Whose call.
    pub tenant: Tenant,
    /// Born with the first request.
    pub correlation_id: CorrelationId,
    /// Which process carries it.
    pub node: NodeId,
}

/// Something that must not be lost. Its machine numbers it: `(call, number)` names it everywhere and for ever, so a
/// repeated commit is no second fact.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Fact {
    /// Ids.
    pub context: Context,
    /// The call it belongs to.
    pub call: CallId,
    /// The how-manieth of this call, from 1.
    pub number: u32,
    /// When it happened.
    pub at: WallTime,
    /// The leg's effect that it follows from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caused_by: Option<Stamp<LegId>>,
    /// The session description that came with it, for the row; not published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sdp: Option<Arc<str>>,
    /// What happened.
    pub body: FactBody,
}

/// What happened to a call. A variant is never edited once released, only versioned.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum FactBody {
    /// A caller was let in. First fact of every call.
    Started {
        /// The caller's leg, which is also the call's `session_id`.
        leg_id: LegId,
        /// Who calls.
        caller: Party,
        /// What was dialled, as it came.
        dialled: Number,
    },
    /// One way to the callee is being tried.
    Dialled {
        /// The new leg.
        leg_id: LegId,
        /// Who will be reached.
        callee: Party,
        /// What the dial plan chose.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        route: Option<Route>,
    },
    /// A device of the callee rings. Once per call: the first.
    Ringing {
        /// Which leg.
        leg_id: LegId,
    },
    /// A callee answered: from here on it is billed.
    Answered {
        /// Which leg.
        leg_id: LegId,
    },
    /// A leg is over.
    LegEnded {
        /// Which leg.
        leg_id: LegId,
        /// Why.
        cause: Cause,
        /// The SIP status that ended it, when one did.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sip_status: Option<u16>,
        /// When its device first rang.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        rang_at: Option<WallTime>,
        /// How its media fared. The journal's door fills it in: the machine does not know it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        media: Option<MediaQuality>,
    },
    /// The call is over.
    Ended {
        /// Why.
        cause: Cause,
        /// Who ended it.
        by: Side,
    },
    /// The billing record. Last fact of every call.
    CdrClosed(#[serde(deserialize_with = "cdr::read")] Box<Cdr>),
}

/// Who did it.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// The calling party.
    Caller,
    /// The called party.
    Callee,
    /// We.
    System,
}

impl Side {
    /// As rows and events have it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Caller => "caller",
            Self::Callee => "callee",
            Self::System => "system",
        }
    }
}

impl FactBody {
    /// Every fact is a fact; the match is here so that a new variant has to say so.
    #[must_use]
    pub const fn class(&self) -> Class {
        match self {
            Self::Started { .. }
            | Self::Dialled { .. }
            | Self::Ringing { .. }
            | Self::Answered { .. }
            | Self::LegEnded { .. }
            | Self::Ended { .. }
            | Self::CdrClosed(_) => Class::Fact,
        }
    }

    /// Last part of the subject, and middle of the type.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Started { .. } => "started",
            Self::Dialled { .. } => "dialled",
            Self::Ringing { .. } => "ringing",
            Self::Answered { .. } => "answered",
            Self::LegEnded { .. } => "leg_ended",
            Self::Ended { .. } => "ended",
            Self::CdrClosed(_) => "cdr",
        }
    }

    /// CloudEvents type with its version.
    #[must_use]
    pub const fn event_type(&self) -> &'static str {
        match self {
            Self::Started { .. } => "tandem.call.started.v1",
            Self::Dialled { .. } => "tandem.call.dialled.v1",
            Self::Ringing { .. } => "tandem.call.ringing.v1",
            Self::Answered { .. } => "tandem.call.answered.v1",
            Self::LegEnded { .. } => "tandem.call.leg_ended.v1",
            Self::Ended { .. } => "tandem.call.ended.v1",
            Self::CdrClosed(_) => "tandem.cdr.closed.v1",
        }
    }
}

impl Fact {
    /// The event's id: the same however often it is committed or published.
    #[must_use]
    pub fn id(&self) -> String {
        format!("{}.{}", self.call, self.number)
    }

    /// The subject it is published on.
    #[must_use]
    pub fn subject(&self) -> String {
        match &self.body {
            FactBody::CdrClosed(_) => format!("tandem.v1.{}.cdr.{}", self.context.tenant, self.call),
            body => format!("tandem.v1.{}.call.{}.{}", self.context.tenant, self.call, body.name()),
        }
    }

    /// The event that integrators get: CloudEvents 1.0 in JSON.
    #[must_use]
    pub fn cloud_event(&self) -> CloudEvent<'_, &FactBody> {
        let Context { tenant, correlation_id, node } = &self.context;
        let kind = self.body.event_type();
        CloudEvent {
            correlationid: Some(*correlation_id),
            traceparent: Some(traceparent(*correlation_id, SpanId::of_call(self.call))),
            causationid: self.caused_by.map(|stamp| format!("{}.{}", stamp.from, stamp.number)),
            callid: Some(self.call),
            seq: Some(self.number),
            ..CloudEvent::new(self.id(), kind, *node, tenant, self.subject(), self.at, &self.body)
        }
    }
}

/// Something worth knowing now, and nothing later.
#[derive(Clone, Debug, PartialEq)]
pub enum Live {
    /// A party pressed a key.
    Digit {
        /// Ids.
        context: Context,
        /// Which call.
        call: CallId,
        /// Who.
        leg_id: LegId,
        /// `0`–`9`, `*`, `#`, `A`–`D`.
        digit: char,
    },
    /// A token, a user or a session was taken back: every node is to know at once.
    Revoked {
        /// Who tells it.
        node: NodeId,
        /// What.
        revocation: Revocation,
    },
}

impl Live {
    /// Live, all of them.
    #[must_use]
    pub const fn class(&self) -> Class {
        match self {
            Self::Digit { .. } | Self::Revoked { .. } => Class::Live,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::leg::LegInput;
    use crate::world::{CALLEE, CALLER, World};

    /// Golden: an event's text is a contract. A change here is a new version there.
    #[test]
    fn the_events_of_a_call_are_what_integrators_were_promised() {
        let mut world = World::talking();
        world.leg_input(CALLER, LegInput::HungUp(Cause::Normal));
        let events: Vec<_> =
            world.facts.iter().map(|fact| serde_json::to_string_pretty(&fact.cloud_event()).unwrap()).collect();
        let golden = include_str!("../tests/golden/events.v1.json");
        assert_eq!(format!("[{}]\n", events.join(",")), golden);
    }

    #[test]
    fn a_fact_survives_the_journal() {
        for fact in World::talking().facts {
            let text = serde_json::to_vec(&fact).unwrap();
            assert_eq!(serde_json::from_slice::<Fact>(&text).unwrap(), fact);
        }
    }

    #[test]
    fn every_fact_goes_to_the_subject_of_its_call_and_the_record_to_its_own() {
        let mut world = World::talking();
        world.leg_input(CALLEE, LegInput::HungUp(Cause::Normal));
        let call = world.facts[0].call;
        let subjects: Vec<_> = world.facts.iter().map(Fact::subject).collect();
        assert_eq!(subjects[0], format!("tandem.v1.default.call.{call}.started"));
        assert_eq!(subjects.last().unwrap(), &format!("tandem.v1.default.cdr.{call}"));
        assert_eq!(world.facts[3].id(), format!("{call}.4"));
    }
}
