//! Settings of the HTTP edge.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The `[http]` section.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Address and port to listen on. Default `0.0.0.0:7880`.
    pub bind: SocketAddr,
    /// Longest time from the head of a request to its response, and for reading that head. Default 10 s, at least 1 ms.
    #[serde(with = "humantime_serde")]
    pub request_timeout: Duration,
    /// Largest request body in bytes. Default 65536.
    pub body_limit: usize,
    /// Most connections at a time; more wait in the kernel's backlog. Default 256, at least 1.
    pub connections: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            bind: SocketAddr::from((Ipv4Addr::UNSPECIFIED, 7880)),
            request_timeout: Duration::from_secs(10),
            body_limit: 65_536,
            connections: 256,
        }
    }
}
