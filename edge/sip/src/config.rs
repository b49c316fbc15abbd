//! What an operator may decide about the SIP border.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tandem_core::id::Tenant;
use tandem_core::leg::RING_TIMEOUT;
pub use tandem_core::network::{BadNetwork, Network};

use crate::guard::GuardLimits;

/// Section `[sip]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SipConfig {
    /// Addresses to listen at for datagrams. Default `0.0.0.0:5060`.
    pub udp: Vec<SocketAddr>,
    /// Addresses to listen at for connections. Default `0.0.0.0:5060`.
    pub tcp: Vec<SocketAddr>,
    /// Our address as peers that are not on this machine see it. Default none: that of the interface.
    pub announce: Option<IpAddr>,
    /// Realm of the digest challenge, without quotes, backslashes and control characters. The stored digests of passwords
    /// depend on it. Default `tandem`.
    pub realm: String,
    /// Whether a SHA-256 challenge follows the MD5 one (RFC 8760). Phones that know only MD5 may fail to register then,
    /// as baresip 1.0 does. Default false.
    pub offer_sha256: bool,
    /// Host names that are ours in Request-URIs. IP addresses always are. Default none: every name is.
    pub domains: Vec<String>,
    /// How many shards messages are spread over. 1..=64, default the number of cores.
    pub shards: usize,
    /// How long a callee may ring. 5 s..=10 min, default 90 s.
    #[serde(with = "humantime_serde")]
    pub ring_timeout: Duration,
    /// Limits.
    pub limits: Limits,
    /// Registrations.
    pub registration: Registration,
    /// Peers that call without a password, in order.
    pub trunk: Vec<TrunkConfig>,
    /// Drill hook: a message whose Call-ID contains this breaks the code that handles it. Default none.
    pub break_on: Option<String>,
}

/// Section `[sip.limits]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Rates of messages. Trunks are exempt.
    pub guard: GuardLimits,
    /// Messages that may wait for one shard; above it they are refused or dropped. 16..=1,000,000, default 8,192.
    pub queue: usize,
    /// Requests of others that are remembered at once, over all shards; above it new ones are refused with 503.
    /// 1,000..=10,000,000, default 200,000.
    pub transactions: usize,
    /// Connections at once. Default 10,000.
    pub connections: usize,
    /// Connections at once from one address. Default 200.
    pub connections_per_address: usize,
    /// Messages that may wait to be written to one connection; above it the connection is closed. Default 256.
    pub write_queue: usize,
    /// How long the rest of a message may take to come. Default 10 s.
    #[serde(with = "humantime_serde")]
    pub message_timeout: Duration,
    /// How long a connection may be silent. Default 15 min.
    #[serde(with = "humantime_serde")]
    pub idle_timeout: Duration,
    /// Receive buffer of each datagram socket, in bytes; the system's own limit (`net.core.rmem_max`) cuts it.
    /// Default 4 MiB.
    pub receive_buffer: usize,
    /// What an overloaded node tells callers to wait, in seconds. Default 5.
    pub retry_after_s: u32,
}

/// Section `[sip.registration]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Registration {
    /// How long a registration lasts that does not say, in seconds. Between the other two, default 3,600.
    pub default_s: u32,
    /// Shortest registration; shorter ones are refused with 423. In seconds, default 60.
    pub min_s: u32,
    /// Longest registration; longer ones are cut. In seconds, default 7,200.
    pub max_s: u32,
    /// Contacts that one account may have. 1..=100, default 10.
    pub contacts: usize,
}

/// Section `[[sip.trunk]]`: a carrier or PBX.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrunkConfig {
    /// Its name, in CDRs and views.
    pub name: String,
    /// Whose: its calls go to this tenant, and nobody else's go there. Default `default`.
    #[serde(default = "Tenant::default_tenant")]
    pub tenant: Tenant,
    /// Where its calls come from: addresses or networks (`192.0.2.0/24`).
    #[serde(rename = "match", default)]
    pub sources: Vec<Network>,
    /// Where calls to it go.
    pub address: SocketAddr,
    /// Numbers that go there begin with one of these. An empty prefix takes everything.
    #[serde(default)]
    pub prefixes: Vec<String>,
}

/// A value that a key of the configuration may not have.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("sip.{key} must be {range}")]
pub struct BadConfig {
    /// Which key.
    pub key: &'static str,
    /// What it may be.
    pub range: &'static str,
}

impl SipConfig {
    /// Whether all values are in their ranges.
    ///
    /// # Errors
    /// The first key that is not.
    pub fn check(&self) -> Result<(), BadConfig> {
        let Limits { guard, queue, transactions, .. } = &self.limits;
        let Registration { default_s, min_s, max_s, contacts } = self.registration;
        let millions = 1..=1_000_000;
        let ring_s = Duration::from_secs(5)..=Duration::from_secs(600);
        // The realm stands in quotes in a header.
        let is_realm = !self.realm.contains(|c: char| c.is_control() || matches!(c, '"' | '\\'));
        let rules = [
            ("realm", "without quotes, backslashes and control characters", is_realm),
            ("shards", "1..=64", (1..=64).contains(&self.shards)),
            ("ring_timeout", "5 s..=10 min", ring_s.contains(&self.ring_timeout)),
            ("limits.guard.source_rate", "1..=1000000", millions.contains(&guard.source_rate)),
            ("limits.guard.source_burst", "1..=1000000", millions.contains(&guard.source_burst)),
            ("limits.guard.total_rate", "1..=1000000", millions.contains(&guard.total_rate)),
            ("limits.guard.total_burst", "1..=1000000", millions.contains(&guard.total_burst)),
            ("limits.guard.sources", "1..=1000000", (1..=1_000_000).contains(&guard.sources)),
            ("limits.queue", "16..=1000000", (16..=1_000_000).contains(queue)),
            ("limits.transactions", "1000..=10000000", (1_000..=10_000_000).contains(transactions)),
            ("registration.default_s", "between min_s and max_s", (min_s..=max_s).contains(&default_s)),
            ("registration.contacts", "1..=100", (1..=100).contains(&contacts)),
        ];
        let broken = rules.into_iter().find(|(.., holds)| !holds);
        broken.map_or(Ok(()), |(key, range, _)| Err(BadConfig { key, range }))
    }
}

impl Default for SipConfig {
    fn default() -> Self {
        let any = vec![SocketAddr::from(([0, 0, 0, 0], 5060))];
        Self {
            udp: any.clone(),
            tcp: any,
            announce: None,
            realm: String::from("tandem"),
            offer_sha256: false,
            domains: Vec::new(),
            shards: std::thread::available_parallelism().map_or(1, |it| it.get().min(64)),
            ring_timeout: RING_TIMEOUT,
            limits: Limits::default(),
            registration: Registration::default(),
            trunk: Vec::new(),
            break_on: None,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            guard: GuardLimits::default(),
            queue: 8_192,
            transactions: 200_000,
            connections: 10_000,
            connections_per_address: 200,
            write_queue: 256,
            message_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(15 * 60),
            receive_buffer: 4 << 20,
            retry_after_s: 5,
        }
    }
}

impl Default for Registration {
    fn default() -> Self {
        Self { default_s: 3_600, min_s: 60, max_s: 7_200, contacts: 10 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_out_of_its_range_is_refused_by_name() {
        type Change = fn(&mut SipConfig);
        let changes: [(&str, Change); 12] = [
            ("realm", |it| it.realm = String::from("a\"b")),
            ("realm", |it| it.realm = String::from("a\\b")),
            ("realm", |it| it.realm = String::from("a\nb")),
            ("shards", |it| it.shards = 0),
            ("shards", |it| it.shards = 65),
            ("ring_timeout", |it| it.ring_timeout = Duration::from_secs(601)),
            ("limits.guard.source_rate", |it| it.limits.guard.source_rate = 0),
            ("limits.queue", |it| it.limits.queue = 15),
            ("limits.transactions", |it| it.limits.transactions = 0),
            ("registration.default_s", |it| it.registration.min_s = 3_601),
            ("registration.default_s", |it| it.registration.max_s = 3_599),
            ("registration.contacts", |it| it.registration.contacts = 0),
        ];
        for (key, change) in changes {
            let mut config = SipConfig::default();
            assert_eq!(config.check(), Ok(()));
            change(&mut config);
            assert_eq!(config.check().map_err(|it| it.key), Err(key));
        }
        let brief = SipConfig { ring_timeout: Duration::from_millis(4_999), ..SipConfig::default() };
        assert_eq!(brief.check().unwrap_err().to_string(), "sip.ring_timeout must be 5 s..=10 min");
    }
}
