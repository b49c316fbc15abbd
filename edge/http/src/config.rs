//! Settings of the HTTP edge.

use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroU32;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tandem_core::network::Network;
use tandem_core::pii::Pii;
use utoipa::ToSchema;

/// The `[http]` section.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Address and port to listen on. Default `0.0.0.0:7880`.
    pub bind: SocketAddr,
    /// Longest time from the head of a request to its response, and for reading that head. Default 10 s, at least 1 ms.
    #[serde(with = "humantime_serde")]
    pub request_timeout: Duration,
    /// Largest request body in bytes, 65536 at most. Default 65536.
    pub body_limit: usize,
    /// Most connections at a time, not counting event streams; more wait in the kernel's backlog. Default 256, at
    /// least 1.
    pub connections: usize,
    /// Most event streams at a time; more are refused with 503. Default 4096.
    pub streams: usize,
    /// Requests to the API a second from one address (IPv6: one /64 network); two seconds' worth at once. Default 1,000:
    /// many users may sit behind one. At least 1.
    pub requests_per_second_ip: NonZeroU32,
    /// The same of one user. Default 200.
    pub requests_per_second_user: NonZeroU32,
    /// The same of all users of one tenant. Default 5,000.
    pub requests_per_second_tenant: NonZeroU32,
    /// Proxies whose `X-Forwarded-For` is believed: addresses and networks. Default none.
    pub trusted_proxies: Vec<Network>,
    /// STUN and TURN servers that clients are told to use. Default none: our own candidate is enough wherever clients
    /// can reach it.
    pub ice_servers: Vec<IceServer>,
}

/// One entry of `ice_servers`, as `RTCIceServer` of WebRTC has it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct IceServer {
    /// `stun:host:port`, `turn:host:port?transport=udp`, `turns:…`.
    pub urls: Vec<String>,
    /// User name at a TURN server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// Password there. Every client gets it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub credential: Option<Pii<String>>,
}

const fn per_second(requests: u32) -> NonZeroU32 {
    NonZeroU32::MIN.saturating_add(requests - 1)
}

impl Default for Config {
    fn default() -> Self {
        Self {
            bind: SocketAddr::from((Ipv4Addr::UNSPECIFIED, 7880)),
            request_timeout: Duration::from_secs(10),
            body_limit: 65_536,
            connections: 256,
            streams: 4_096,
            requests_per_second_ip: per_second(1_000),
            requests_per_second_user: per_second(200),
            requests_per_second_tenant: per_second(5_000),
            trusted_proxies: Vec::new(),
            ice_servers: Vec::new(),
        }
    }
}
