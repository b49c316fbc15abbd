//! Ids: newtypes over UUIDs that print with a prefix and parse only with it.
//!
//! They are minted where randomness is (edges, the composition root); core only carries them.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use uuid::Uuid;

/// A text that is no id of the wanted kind.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not a valid {kind} id")]
pub struct InvalidId {
    kind: &'static str,
}

/// Declares an id: `Copy`, ordered by time of creation (UUIDv7), printed as `prefix_<32 hex digits>`.
macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
        pub struct $name(Uuid);

        impl $name {
            /// Wraps a UUID that the caller minted.
            #[must_use]
            pub const fn from_uuid(uuid: Uuid) -> Self {
                Self(uuid)
            }

            /// The UUID inside, as the database has it.
            #[must_use]
            pub const fn uuid(self) -> Uuid {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "_{}"), self.0.simple())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                text.strip_prefix(concat!($prefix, "_"))
                    .and_then(|hex| Uuid::try_parse(hex).ok())
                    .map(Self)
                    .ok_or(InvalidId { kind: $prefix })
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(from)?;
                text.parse().map_err(de::Error::custom)
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                Cow::Borrowed(stringify!($name))
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "pattern": concat!("^", $prefix, "_[0-9a-f]{32}$") })
            }
        }
    };
}

id!(/// One call: everything from the first request to the CDR, with all its legs.
    CallId, "call");
id!(/// One party's signalling relationship with us: a SIP dialog, later a WebRTC session.
    LegId, "leg");
id!(/// One medium of one participant.
    TrackId, "trk");
id!(/// One time that a room is held. Shares its UUID with the [`CallId`] under which it is billed.
    ConferenceId, "conf");
id!(/// Somebody in a conference, for as long as he is in it.
    ParticipantId, "part");
id!(/// A person or a machine that may sign in.
    UserId, "user");
id!(/// One set of credentials of a user; several phones may register with it.
    DeviceId, "dev");
id!(/// One process of the cluster.
    NodeId, "node");
id!(/// One entry of the audit.
    AuditId, "audit");
id!(/// Where somebody outside wants to be told of events.
    WebhookId, "wh");
id!(/// One event on its way to one webhook.
    DeliveryId, "whd");

impl ConferenceId {
    /// The call as which this conference is billed.
    #[must_use]
    pub const fn call(self) -> CallId {
        CallId::from_uuid(self.0)
    }
}

impl TrackId {
    /// The audio track of a leg. A leg has one, so the leg's id tells it and nobody has to look it up.
    #[must_use]
    pub const fn audio_of(leg: LegId) -> Self {
        Self(leg.0)
    }
}

/// Who a row, a fact or an account belongs to: a slug `[a-z0-9-]{1,32}`.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub struct Tenant(Arc<str>);

impl Tenant {
    /// The tenant of a node that serves only one.
    #[must_use]
    pub fn default_tenant() -> Self {
        Self(Arc::from("default"))
    }

    /// Whose what belongs to the node itself is: the audit of its operator. Nobody signs in there.
    #[must_use]
    pub fn operator() -> Self {
        Self(Arc::from("operator"))
    }

    /// The slug.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Tenant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Tenant {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if (1..=32).contains(&text.len()) && text.chars().all(legal) {
            Ok(Self(Arc::from(text)))
        } else {
            Err(InvalidId { kind: "tenant" })
        }
    }
}

impl<'de> Deserialize<'de> for Tenant {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(from)?;
        text.parse().map_err(de::Error::custom)
    }
}

/// Born with the first request and carried by everything that follows from it: 32 hex digits, as RFC 7989 wants them.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct CorrelationId(Uuid);

impl CorrelationId {
    /// Wraps a random UUID (version 4) that the caller minted.
    #[must_use]
    pub const fn from_uuid(uuid: Uuid) -> Self {
        Self(uuid)
    }
}

impl CorrelationId {
    /// The UUID inside: a trace id, as exporters want it.
    #[must_use]
    pub const fn uuid(self) -> Uuid {
        self.0
    }
}

impl fmt::Display for CorrelationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.simple())
    }
}

impl fmt::Debug for CorrelationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for CorrelationId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let wrong = InvalidId { kind: "correlation" };
        if text.len() != 32 {
            return Err(wrong);
        }
        Uuid::try_parse(text).map(Self).map_err(|_| wrong)
    }
}

impl Serialize for CorrelationId {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for CorrelationId {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(from)?;
        text.parse().map_err(de::Error::custom)
    }
}

impl JsonSchema for Tenant {
    fn schema_name() -> Cow<'static, str> {
        Cow::Borrowed("Tenant")
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[a-z0-9-]{1,32}$" })
    }
}

impl JsonSchema for CorrelationId {
    fn schema_name() -> Cow<'static, str> {
        Cow::Borrowed("CorrelationId")
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[0-9a-f]{32}$" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_prints_with_its_prefix_and_parses_only_with_it() {
        let leg = LegId::from_uuid(Uuid::from_u128(7));
        assert_eq!(leg.to_string(), "leg_00000000000000000000000000000007");
        assert_eq!(leg.to_string().parse(), Ok(leg));
        assert!(leg.to_string().parse::<CallId>().is_err());
        assert!("leg_7".parse::<LegId>().is_err());
    }

    #[test]
    fn a_tenant_is_a_slug() {
        assert!("acme-2".parse::<Tenant>().is_ok());
        for wrong in ["", "Acme", "a b", "a.b", "a>", &"x".repeat(33)] {
            assert!(wrong.parse::<Tenant>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_correlation_id_is_32_hex_digits_without_a_prefix() {
        let id = CorrelationId::from_uuid(Uuid::from_u128(0xabc));
        assert_eq!(id.to_string().len(), 32);
        assert_eq!(id.to_string().parse(), Ok(id));
        assert!(Uuid::from_u128(0xabc).hyphenated().to_string().parse::<CorrelationId>().is_err());
    }
}
