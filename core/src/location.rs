//! Where a device can be reached: what a registration binds (RFC 3261, 10).

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::id::{DeviceId, Tenant, UserId};
use crate::party::Number;
use crate::time::WallTime;

/// How SIP reaches a peer.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// Datagrams.
    Udp,
    /// A stream.
    Tcp,
}

impl Transport {
    /// As a Via header has it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Udp => "UDP",
            Self::Tcp => "TCP",
        }
    }
}

/// The path a request came by, and on which its sender can be reached again (behind a NAT nothing else can).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, Serialize, Deserialize)]
pub struct Flow {
    /// Its transport.
    pub transport: Transport,
    /// Our end.
    pub local: SocketAddr,
    /// The far end, as seen by us.
    pub remote: SocketAddr,
    /// Which connection; 0 for datagrams. Means nothing after a restart: the far end's address does.
    pub connection: u64,
}

/// One contact of one account.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Binding {
    /// Whose tenant.
    pub tenant: Tenant,
    /// Whose.
    pub user_id: UserId,
    /// By which credentials.
    pub device_id: DeviceId,
    /// The account's number (address of record).
    pub extension: Number,
    /// The contact's URI as the device wrote it, without brackets: the Request-URI of calls to it.
    pub contact: String,
    /// The contact's header parameters as the device wrote them (`;+sip.instance="…";q=1`), to be echoed.
    pub parameters: String,
    /// How it is reached.
    pub flow: Flow,
    /// Call-ID of the registration.
    pub call_id: String,
    /// Its CSeq: an older request changes nothing.
    pub cseq: u32,
    /// What the device calls itself.
    pub user_agent: Option<String>,
    /// When it ends.
    pub expires: WallTime,
}

/// What happened to a binding, for the ledger and for presence.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BindingChange {
    /// New or refreshed. A binding is one per (tenant, extension, contact).
    Bound(Binding),
    /// Removed by its device, or expired.
    Unbound {
        /// Whose tenant.
        tenant: Tenant,
        /// Which account.
        extension: Number,
        /// Which contact.
        contact: String,
    },
}
