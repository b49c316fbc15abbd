//! Who takes part in a call, and how a callee can be reached.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::id::{DeviceId, LegId, UserId};
use crate::location::Binding;
use crate::pii::Pii;

/// A dialled or calling number as text: E.164 with its `+`, an extension, or a SIP user part.
pub type Number = Pii<String>;

/// Name of a trunk in the configuration.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct TrunkName(pub Arc<str>);

impl fmt::Display for TrunkName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One side of a call, as the CDR names it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Party {
    /// What it calls itself or is called by.
    pub number: Number,
    /// Display name, when there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Pii<String>>,
    /// Who that is to us.
    #[serde(flatten)]
    pub identity: Identity,
}

/// Who a party is to us.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Identity {
    /// One of our users on one of his devices.
    User {
        /// The user.
        user_id: UserId,
        /// The credentials it used.
        device_id: DeviceId,
    },
    /// Somebody behind a trunk.
    Trunk {
        /// Its name.
        trunk: TrunkName,
    },
}

/// One way to reach the callee, and the id of the leg that will try it.
#[derive(Clone, Debug, PartialEq)]
pub struct Target {
    /// Minted by whoever looked the route up.
    pub leg: LegId,
    /// Who will be reached.
    pub party: Party,
    /// Where.
    pub address: Address,
}

impl Address {
    /// Whether a WebRTC peer is at the other end; else a phone or a trunk with plain RTP.
    #[must_use]
    pub const fn is_client(&self) -> bool {
        matches!(self, Self::Client(_))
    }
}

/// Where an INVITE goes.
#[derive(Clone, Debug, PartialEq)]
pub enum Address {
    /// To a registered contact.
    Contact(Arc<Binding>),
    /// To every client that this user has open.
    Client(UserId),
    /// To a trunk's address, with this number in the Request-URI.
    Trunk {
        /// Resolved address.
        address: SocketAddr,
        /// The number to dial there.
        number: Number,
        /// What the number begins with that the trunk was chosen for.
        prefix: Option<Arc<str>>,
    },
}
