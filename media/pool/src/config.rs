//! What can be configured about media.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Section `media`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Address that RTP sockets are bound to: an IPv4 or IPv6 address of this host. Default 127.0.0.1.
    pub address: IpAddr,
    /// Address that far ends are told, when it is not the bound one: behind a NAT, or with an unspecified address.
    /// Default none.
    pub announce: Option<IpAddr>,
    /// First port of the range for RTP and RTCP, 1024..=65534. Default 10000.
    pub first_port: u16,
    /// Last port of the range, above the first. A leg takes two. Default 19999.
    pub last_port: u16,
    /// How long a port pair rests after a leg before another gets it, 0s..=60s: what its old far end still sends is
    /// then gone. Default 1s.
    #[serde(with = "humantime_serde")]
    pub port_rest: Duration,
    /// Worker threads, 0..=256; 0: one per core. Default 0.
    pub workers: usize,
    /// Whether each worker stays on one core. Default true.
    pub pin: bool,
    /// After how long without RTP and RTCP an answered leg is lost, 1s..=1h. Default 30s.
    #[serde(with = "humantime_serde")]
    pub silence_timeout: Duration,
    /// Changes that may wait for a worker, 16..=1000000; beyond that the worker counts as stuck. Default 4096.
    pub queue: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            address: IpAddr::V4(Ipv4Addr::LOCALHOST),
            announce: None,
            first_port: 10_000,
            last_port: 19_999,
            port_rest: Duration::from_secs(1),
            workers: 0,
            pin: true,
            silence_timeout: Duration::from_secs(30),
            queue: 4_096,
        }
    }
}

/// What is wrong with a configuration.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ConfigError {
    /// Nobody could send to it.
    #[error("media.announce is needed, and must be a unicast address, when media.address is unspecified")]
    NoAddress,
    /// Both are.
    #[error("media.first_port and media.last_port must hold a pair above 1023")]
    PortRange,
    /// See the field's range.
    #[error("media.{0} is out of its range")]
    Range(&'static str),
}

impl Config {
    /// Checks all ranges.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn check(&self) -> Result<(), ConfigError> {
        let announced = self.announced();
        if announced.is_unspecified() || announced.is_multicast() {
            return Err(ConfigError::NoAddress);
        }
        if self.first_port < 1_024 || self.pairs().next().is_none() {
            return Err(ConfigError::PortRange);
        }
        let second = Duration::from_secs(1);
        for (name, is_legal) in [
            ("port_rest", self.port_rest <= 60 * second),
            ("workers", self.workers <= 256),
            ("silence_timeout", (second..=3_600 * second).contains(&self.silence_timeout)),
            ("queue", (16..=1_000_000).contains(&self.queue)),
        ] {
            if !is_legal {
                return Err(ConfigError::Range(name));
            }
        }
        Ok(())
    }

    /// What far ends are told.
    pub(crate) fn announced(&self) -> IpAddr {
        self.announce.unwrap_or(self.address)
    }

    /// The even port of every pair in the range.
    pub(crate) fn pairs(&self) -> impl Iterator<Item = u16> + use<> {
        let first = self.first_port.saturating_add(self.first_port % 2);
        (first..self.last_port).step_by(2)
    }

    pub(crate) fn worker_count(&self) -> usize {
        match self.workers {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            count => count,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_legal_and_has_the_whole_range() {
        let config = Config::default();
        assert_eq!(config.check(), Ok(()));
        assert_eq!((config.pairs().count(), config.pairs().last()), (5_000, Some(19_998)));
    }

    #[test]
    fn an_odd_first_port_is_skipped_and_a_range_without_a_pair_refused() {
        let config = Config { first_port: 10_001, last_port: 10_005, ..Config::default() };
        assert_eq!(config.pairs().collect::<Vec<_>>(), [10_002, 10_004]);
        let config = Config { first_port: 10_001, last_port: 10_002, ..Config::default() };
        assert_eq!(config.check(), Err(ConfigError::PortRange));
    }

    #[test]
    fn an_unspecified_address_needs_one_to_announce() {
        let config = Config { address: Ipv4Addr::UNSPECIFIED.into(), ..Config::default() };
        assert_eq!(config.check(), Err(ConfigError::NoAddress));
        let announce = Some(Ipv4Addr::new(192, 0, 2, 1).into());
        assert_eq!(Config { announce, ..config }.check(), Ok(()));
    }
}
