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
    /// First of the ports for WebRTC, one per worker, 1024..=65535 and outside of the range for RTP; 0: any that are free.
    /// Default 7882.
    pub first_peer_port: u16,
    /// WebRTC peers that one worker takes, 1..=100000. All peers of a call live on one worker, which the call's id
    /// chooses. Default 2000.
    pub peers_per_worker: usize,
    /// Worker threads, 0..=256; 0: one per core. Default 0.
    pub workers: usize,
    /// Whether each worker stays on one core. Default true.
    pub pin: bool,
    /// After how long without RTP and RTCP an answered leg is lost, 1s..=1h. Default 30s.
    #[serde(with = "humantime_serde")]
    pub silence_timeout: Duration,
    /// After how long without a check of its path, RTP and RTCP an answered WebRTC leg is lost, 1s..=1h. Default 10s.
    #[serde(with = "humantime_serde")]
    pub peer_silence_timeout: Duration,
    /// Changes that may wait for a worker, 16..=1000000; beyond that the worker counts as stuck. Default 4096.
    pub queue: usize,
    /// Drill hook: an RTP packet with this SSRC, of a room also one that goes out, breaks the code that handles it.
    /// Default none.
    pub break_on: Option<u32>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            address: IpAddr::V4(Ipv4Addr::LOCALHOST),
            announce: None,
            first_port: 10_000,
            last_port: 19_999,
            port_rest: Duration::from_secs(1),
            first_peer_port: 7_882,
            peers_per_worker: 2_000,
            workers: 0,
            pin: true,
            silence_timeout: Duration::from_secs(30),
            peer_silence_timeout: Duration::from_secs(10),
            queue: 4_096,
            break_on: None,
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
    /// Nobody may have two ports in one.
    #[error("media.first_peer_port must have a port above 1023 for every worker, outside of the range for RTP")]
    PeerPorts,
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
        if self.first_peer_port != 0 && !self.has_peer_ports() {
            return Err(ConfigError::PeerPorts);
        }
        let second = Duration::from_secs(1);
        for (name, is_legal) in [
            ("port_rest", self.port_rest <= 60 * second),
            ("workers", self.workers <= 256),
            ("peers_per_worker", (1..=100_000).contains(&self.peers_per_worker)),
            ("silence_timeout", (second..=3_600 * second).contains(&self.silence_timeout)),
            ("peer_silence_timeout", (second..=3_600 * second).contains(&self.peer_silence_timeout)),
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

    /// The port for the peers of a worker; 0: any.
    pub(crate) fn peer_port(&self, worker: usize) -> u16 {
        let above = u16::try_from(worker).unwrap_or(u16::MAX);
        if self.first_peer_port == 0 { 0 } else { self.first_peer_port.saturating_add(above) }
    }

    fn has_peer_ports(&self) -> bool {
        let first = usize::from(self.first_peer_port);
        let last = first + self.worker_count() - 1;
        let is_apart = last < self.first_port.into() || first > self.last_port.into();
        first >= 1_024 && last <= u16::MAX.into() && is_apart
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
    fn the_ports_of_peers_are_apart_from_those_for_rtp_and_are_there_for_every_worker() {
        for (first_peer_port, workers, is_legal) in [
            (7_882, 4, true),
            (9_996, 4, true),
            (9_997, 4, false),
            (19_999, 1, false),
            (20_000, 4, true),
            (65_532, 4, true),
            (65_533, 4, false),
            (1_023, 1, false),
            (0, 4, true),
        ] {
            let config = Config { first_peer_port, workers, ..Config::default() };
            assert_eq!(config.check().is_ok(), is_legal, "{first_peer_port} and {workers} workers");
        }
    }

    #[test]
    fn an_unspecified_address_needs_one_to_announce() {
        let config = Config { address: Ipv4Addr::UNSPECIFIED.into(), ..Config::default() };
        assert_eq!(config.check(), Err(ConfigError::NoAddress));
        let announce = Some(Ipv4Addr::new(192, 0, 2, 1).into());
        assert_eq!(Config { announce, ..config }.check(), Ok(()));
    }
}
