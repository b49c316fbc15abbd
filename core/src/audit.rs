//! Who did what, or was not let: the audit. An audit event is a fact of its own aggregate, kept and published like those
//! of calls.
//!
//! ```text
//!  edges ── Deed ──▶ Auditor (dampers, log) ── AuditEvent ──▶ LedgerPort::audit ──▶ row + event, one transaction
//! ```
//!
//! # Invariants
//! * An event names things by their ids: no number, no name, no secret, and nothing that a stranger wrote.
//! * What was done is always noted; of what was refused, some of a flood, and how much of it is left out.

pub mod damping;

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::event::CloudEvent;
use crate::id::{AuditId, CorrelationId, NodeId, Tenant, UserId};
use crate::party::TrunkName;
use crate::time::WallTime;

/// Longest name of an object in an event, in bytes.
const LONGEST: usize = 128;

macro_rules! actions {
    ($(#[doc = $doc:literal] $item:ident = $text:literal, $kind:literal;)*) => {
        /// What was done, or tried. Its name is a contract: it is in subjects and types of events.
        #[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, Serialize, Deserialize, JsonSchema)]
        #[serde(rename_all = "snake_case")]
        pub enum Action { $(#[doc = $doc] $item,)* }

        impl Action {
            /// All of them, in order.
            pub const ALL: &'static [Self] = &[$(Self::$item,)*];

            /// Name on the outside.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$item => $text,)* }
            }

            /// CloudEvents type with its version.
            #[must_use]
            pub const fn event_type(self) -> &'static str {
                match self { $(Self::$item => $kind,)* }
            }

            /// What it is, in a sentence.
            #[must_use]
            pub fn about(self) -> &'static str {
                match self { $(Self::$item => $doc.trim(),)* }
            }
        }
    };
}

actions! {
    /// A user signed in, or went on with his session's refresh token.
    SignIn = "sign_in", "tandem.audit.sign_in.v1";
    /// Name, password or refresh token was wrong.
    SignInRefused = "sign_in_refused", "tandem.audit.sign_in_refused.v1";
    /// A session was ended.
    SignOut = "sign_out", "tandem.audit.sign_out.v1";
    /// A request of the API was refused: 401 or 403.
    RequestRefused = "request_refused", "tandem.audit.request_refused.v1";
    /// A request was refused because too many came: 429.
    LimitHit = "limit_hit", "tandem.audit.limit_hit.v1";
    /// A SIP request was refused: wrong credentials, or not allowed.
    SipRefused = "sip_refused", "tandem.audit.sip_refused.v1";
    /// A part of the node was broken on purpose.
    PartBroken = "part_broken", "tandem.audit.part_broken.v1";
    /// The story of a call was read.
    TraceRead = "trace_read", "tandem.audit.trace_read.v1";
    /// Billing records of others were read.
    CdrRead = "cdr_read", "tandem.audit.cdr_read.v1";
    /// Billing records were exported.
    CdrExport = "cdr_export", "tandem.audit.cdr_export.v1";
    /// Everything of one correlation id was read.
    CorrelationRead = "correlation_read", "tandem.audit.correlation_read.v1";
    /// The audit itself was read.
    AuditRead = "audit_read", "tandem.audit.audit_read.v1";
    /// A user was added.
    UserAdded = "user_added", "tandem.audit.user_added.v1";
    /// A tenant was added.
    TenantAdded = "tenant_added", "tandem.audit.tenant_added.v1";
    /// A tenant was changed: its domains, or whether it is enabled.
    TenantChanged = "tenant_changed", "tandem.audit.tenant_changed.v1";
    /// A webhook was added, changed or removed.
    WebhookChanged = "webhook_changed", "tandem.audit.webhook_changed.v1";
    /// A token or a session was revoked by somebody.
    TokenRevoked = "token_revoked", "tandem.audit.token_revoked.v1";
    /// Events were published again.
    EventsReplayed = "events_replayed", "tandem.audit.events_replayed.v1";
    /// Somebody was not let into a room: all seats were taken.
    JoinRefused = "join_refused", "tandem.audit.join_refused.v1";
}

impl Action {
    /// Whether a stranger decides how often it happens.
    #[must_use]
    pub const fn is_refusal(self) -> bool {
        matches!(self, Self::SignInRefused | Self::RequestRefused | Self::LimitHit | Self::SipRefused)
    }
}

/// A text that names no action or nobody.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not a known name")]
pub struct Unknown;

impl FromStr for Action {
    type Err = Unknown;

    fn from_str(text: &str) -> Result<Self, Unknown> {
        Self::ALL.iter().find(|it| it.name() == text).copied().ok_or(Unknown)
    }
}

/// Who did it. As text: `operator`, `user_…`, `nobody`, `system`, `trunk:<name>`.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum Actor {
    /// Whoever has the operator's token, or the node's command line.
    Operator,
    /// One of our users.
    User(UserId),
    /// Somebody who proved to be nobody.
    Nobody,
    /// The node, by itself.
    System,
    /// A carrier or PBX.
    Trunk(TrunkName),
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Operator => f.write_str("operator"),
            Self::User(user) => user.fmt(f),
            Self::Nobody => f.write_str("nobody"),
            Self::System => f.write_str("system"),
            Self::Trunk(name) => write!(f, "trunk:{name}"),
        }
    }
}

impl FromStr for Actor {
    type Err = Unknown;

    fn from_str(text: &str) -> Result<Self, Unknown> {
        match text {
            "operator" => Ok(Self::Operator),
            "nobody" => Ok(Self::Nobody),
            "system" => Ok(Self::System),
            _ => match text.strip_prefix("trunk:") {
                Some(name) => Ok(Self::Trunk(TrunkName(name.into()))),
                None => text.parse().map(Self::User).map_err(|_| Unknown),
            },
        }
    }
}

impl Serialize for Actor {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Actor {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(from)?;
        text.parse().map_err(de::Error::custom)
    }
}

/// What is to be noted, as whoever notes it knows it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Deed {
    /// Whose matter it is: his admin may read of it. [`Tenant::operator`] for what is the node's.
    pub tenant: Tenant,
    /// Who.
    pub who: Actor,
    /// From where.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<IpAddr>,
    /// What.
    pub action: Action,
    /// To what: the id of an object, or the route of a request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub what: Option<String>,
    /// What became of it: a stable code, that of the refusal when it was refused.
    pub outcome: Cow<'static, str>,
    /// The call or request that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correlation_id: Option<CorrelationId>,
}

impl Deed {
    /// Of somebody, from nowhere in particular.
    #[must_use]
    pub fn new(tenant: Tenant, who: Actor, action: Action, outcome: impl Into<Cow<'static, str>>) -> Self {
        Self { tenant, who, from: None, action, what: None, outcome: outcome.into(), correlation_id: None }
    }

    /// From this address, when it is known.
    #[must_use]
    pub fn from(self, from: Option<IpAddr>) -> Self {
        Self { from, ..self }
    }

    /// To this object; what is longer than 128 bytes is cut.
    #[must_use]
    pub fn of(self, what: impl fmt::Display) -> Self {
        let mut what = what.to_string();
        what.truncate(what.floor_char_boundary(LONGEST));
        Self { what: Some(what), ..self }
    }

    /// Part of what has this id.
    #[must_use]
    pub fn within(self, correlation_id: CorrelationId) -> Self {
        Self { correlation_id: Some(correlation_id), ..self }
    }
}

/// What was noted.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct AuditEvent {
    /// Which event; also the order in which they were noted.
    pub id: AuditId,
    /// Which process noted it.
    pub node: NodeId,
    /// When.
    pub at: WallTime,
    /// So many more of its kind were left out since the last one.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub hushed: u64,
    /// What.
    #[serde(flatten)]
    pub deed: Deed,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde wants it so")]
const fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl AuditEvent {
    /// The event's id on the bus: the same however often it is committed or published.
    #[must_use]
    pub fn event_id(&self) -> String {
        format!("{}.1", self.id)
    }

    /// The subject it is published on. It ends with the event's own id, so that a stream tells at once whether it has it.
    #[must_use]
    pub fn subject(&self) -> String {
        format!("tandem.v1.{}.audit.{}.{}", self.deed.tenant, self.deed.action.name(), self.id)
    }

    /// The event that integrators get: CloudEvents 1.0 in JSON.
    #[must_use]
    pub fn cloud_event(&self) -> CloudEvent<'_, AuditData<'_>> {
        let Deed { tenant, who, from, action, what, outcome, correlation_id } = &self.deed;
        let data = AuditData { who, from: *from, action: *action, what: what.as_deref(), outcome, hushed: self.hushed };
        CloudEvent {
            correlationid: *correlation_id,
            seq: Some(1),
            ..CloudEvent::new(self.event_id(), action.event_type(), self.node, tenant, self.subject(), self.at, data)
        }
    }
}

/// The data of an audit event. Never edited once released, only versioned.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct AuditData<'a> {
    /// Who did it, or tried to: `operator`, `user_…`, `nobody`, `system`, `trunk:<name>`.
    #[schemars(with = "String")]
    who: &'a Actor,
    /// The address that it came from.
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<IpAddr>,
    /// What.
    action: Action,
    /// To what: the id of an object, or the route of a request.
    #[serde(skip_serializing_if = "Option::is_none")]
    what: Option<&'a str>,
    /// What became of it: a stable code, that of the refusal when it was refused.
    outcome: &'a str,
    /// So many more of its kind were left out since the last one.
    hushed: u64,
}

/// Which events are wanted, the latest first.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AuditFilter {
    /// Only of this tenant; `None` is for the operator alone.
    pub tenant: Option<Tenant>,
    /// Only these deeds.
    pub action: Option<Action>,
    /// Only of him.
    pub who: Option<Actor>,
    /// At this time or later.
    pub from: Option<WallTime>,
    /// Before this time.
    pub to: Option<WallTime>,
    /// Only those that were noted before this one.
    pub before: Option<AuditId>,
    /// How many at most.
    pub limit: u64,
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn event() -> AuditEvent {
        let deed = Deed::new(Tenant::default_tenant(), Actor::Operator, Action::TraceRead, "read")
            .from(Some([192, 0, 2, 1].into()))
            .of("call_00000000000000000000000000000007")
            .within(CorrelationId::from_uuid(Uuid::from_u128(7)));
        let (id, node) = (AuditId::from_uuid(Uuid::from_u128(9)), NodeId::from_uuid(Uuid::from_u128(1)));
        AuditEvent { id, node, at: WallTime(1_790_000_000_000_000), hushed: 0, deed }
    }

    /// Golden: an event's text is a contract. A change here is a new version there.
    #[test]
    fn an_audit_event_is_what_integrators_were_promised() {
        let expected = serde_json::json!({
            "specversion": "1.0",
            "id": "audit_00000000000000000000000000000009.1",
            "source": "/tandem/node_00000000000000000000000000000001",
            "type": "tandem.audit.trace_read.v1",
            "subject": "tandem.v1.default.audit.trace_read.audit_00000000000000000000000000000009",
            "time": "2026-09-21T14:13:20.000000Z",
            "datacontenttype": "application/json",
            "tenantid": "default",
            "correlationid": "00000000000000000000000000000007",
            "seq": 1,
            "data": {
                "who": "operator",
                "from": "192.0.2.1",
                "action": "trace_read",
                "what": "call_00000000000000000000000000000007",
                "outcome": "read",
                "hushed": 0,
            },
        });
        assert_eq!(serde_json::to_value(event().cloud_event()).unwrap(), expected);
    }

    #[test]
    fn an_event_survives_the_journal() {
        for event in [event(), AuditEvent { hushed: 3, ..event() }] {
            let text = serde_json::to_vec(&event).unwrap();
            assert_eq!(serde_json::from_slice::<AuditEvent>(&text).unwrap(), event);
        }
    }

    #[test]
    fn every_action_and_actor_is_found_by_its_name() {
        for action in Action::ALL {
            assert_eq!(action.name().parse(), Ok(*action));
            assert_eq!(action.event_type(), format!("tandem.audit.{}.v1", action.name()));
            assert_eq!(serde_json::to_value(action).unwrap(), action.name());
        }
        let user = UserId::from_uuid(Uuid::from_u128(3));
        let trunk = Actor::Trunk(TrunkName("carrier".into()));
        for actor in [Actor::Operator, Actor::User(user), Actor::Nobody, Actor::System, trunk] {
            assert_eq!(actor.to_string().parse(), Ok(actor));
        }
        assert_eq!("alice".parse::<Actor>(), Err(Unknown));
    }

    #[test]
    fn a_long_name_is_cut_between_characters() {
        let deed = Deed::new(Tenant::default_tenant(), Actor::Nobody, Action::RequestRefused, "x").of("é".repeat(100));
        assert_eq!(deed.what.unwrap(), "é".repeat(64));
        let odd = Deed::new(Tenant::default_tenant(), Actor::Nobody, Action::RequestRefused, "x");
        assert_eq!(odd.of(format!("a{}", "é".repeat(100))).what.unwrap().len(), 127);
    }
}
