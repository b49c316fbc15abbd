//! How much a source may send: token buckets, asked before anything of a message is read.
//!
//! ```text
//!  packet ── bucket of its source ── bucket of all ──▶ read it
//!                 └─ empty ─────────────┴─ empty ────▶ 503 without state, or nothing
//! ```
//!
//! # Invariants
//! * The table is bounded. A source for which there is no room shares one bucket with all such sources, so that a flood
//!   from forged addresses starves newcomers only, and never those that are known.
//! * A source that is refused takes nothing from the bucket of all.

use std::net::{IpAddr, Ipv6Addr};

use serde::{Deserialize, Serialize};
use tandem_core::admission::{Bucket, Buckets, Rate};
use tandem_core::time::Timestamp;

/// Rates and sizes.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct GuardLimits {
    /// Messages per second from one address (IPv6: one /64 network). Default 200; 1..=1,000,000. A busy PBX sends some 100.
    pub source_rate: u32,
    /// Messages one address may send at once. Default 400; 1..=1,000,000.
    pub source_burst: u32,
    /// Messages per second from all addresses. Default 50,000; 1..=1,000,000. Some 3,000 calls a second.
    pub total_rate: u32,
    /// Messages all addresses may send at once. Default 100,000; 1..=1,000,000.
    pub total_burst: u32,
    /// Addresses remembered. Default 65,536; 1..=1,000,000. Some 50 octets each.
    pub sources: usize,
}

/// The buckets.
#[derive(Debug)]
pub struct Guard {
    sources: Buckets<IpAddr>,
    total_rate: Rate,
    total: Bucket,
}

/// Whether to go on with a message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[must_use]
pub enum Admission {
    /// Read it.
    Granted,
    /// This source sends too much.
    SourceLimited,
    /// All sources together do.
    TotalLimited,
}

impl Default for GuardLimits {
    fn default() -> Self {
        Self { source_rate: 200, source_burst: 400, total_rate: 50_000, total_burst: 100_000, sources: 65_536 }
    }
}

impl Guard {
    /// With full buckets.
    #[must_use]
    pub fn new(limits: &GuardLimits, now: Timestamp) -> Self {
        let source_rate = Rate { per_second: limits.source_rate, burst: limits.source_burst };
        let total_rate = Rate { per_second: limits.total_rate, burst: limits.total_burst };
        let sources = Buckets::new(source_rate, limits.sources, now);
        Self { sources, total_rate, total: Bucket::full(total_rate, now) }
    }

    /// One message from there: may it be read?
    pub fn admit(&mut self, source: IpAddr, now: Timestamp) -> Admission {
        let Some(bucket) = self.sources.ready(network(source), now) else { return Admission::SourceLimited };
        if !self.total.refill(self.total_rate, now) {
            return Admission::TotalLimited;
        }
        bucket.take();
        self.total.take();
        Admission::Granted
    }

    /// One message from a peer that the configuration names (a trunk): only the limit of all holds for it.
    pub fn admit_peer(&mut self, now: Timestamp) -> Admission {
        if !self.total.refill(self.total_rate, now) {
            return Admission::TotalLimited;
        }
        self.total.take();
        Admission::Granted
    }
}

/// Who owns one IPv6 address owns its /64.
fn network(source: IpAddr) -> IpAddr {
    match source.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const START: Timestamp = Timestamp(1_000_000);

    fn guard() -> Guard {
        let limits = GuardLimits { source_rate: 10, source_burst: 2, total_rate: 30, total_burst: 5, sources: 3 };
        Guard::new(&limits, START)
    }

    fn source(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    #[test]
    fn a_source_gets_its_burst_and_then_its_rate() {
        let mut guard = guard();
        let mut admitted = |millis| guard.admit(source(1), START + Duration::from_millis(millis));
        assert_eq!([0, 0, 0, 99].map(&mut admitted), {
            use Admission::{Granted, SourceLimited};
            [Granted, Granted, SourceLimited, SourceLimited]
        });
        assert_eq!(admitted(100), Admission::Granted);
        assert_eq!(admitted(100), Admission::SourceLimited);
        assert_eq!([10_000, 10_000, 10_000].map(admitted).iter().filter(|it| **it == Admission::Granted).count(), 2);
    }

    #[test]
    fn one_source_does_not_use_up_what_is_for_all() {
        let mut guard = guard();
        for _ in 0..100 {
            let _ = guard.admit(source(1), START);
        }
        assert_eq!(guard.admit(source(2), START), Admission::Granted);
    }

    #[test]
    fn all_together_have_a_limit_too() {
        let mut guard = guard();
        let verdicts: Vec<_> = (0..6).map(|n| guard.admit(source(n % 3), START)).collect();
        assert_eq!(verdicts.iter().filter(|it| **it == Admission::Granted).count(), 5);
        assert_eq!(verdicts.last(), Some(&Admission::TotalLimited));
        assert_eq!(guard.admit_peer(START), Admission::TotalLimited);
        assert_eq!(guard.admit_peer(START + Duration::from_secs(1)), Admission::Granted);
    }

    #[test]
    fn forged_sources_starve_only_each_other() {
        let limits = GuardLimits { source_rate: 10, source_burst: 2, total_rate: 1000, total_burst: 1000, sources: 3 };
        let mut guard = Guard::new(&limits, START);
        assert_eq!(guard.admit(source(1), START), Admission::Granted);
        let granted = (2..=255).filter(|n| guard.admit(source(*n), START) == Admission::Granted).count();
        assert_eq!(granted, 4, "two with a bucket of their own, two from the common one");
        assert_eq!(guard.sources.len(), 3);
        assert_eq!(guard.admit(source(1), START), Admission::Granted);
    }

    #[test]
    fn a_source_that_was_quiet_is_forgotten_when_room_is_needed() {
        let mut guard = guard();
        for n in 1..=3 {
            let _ = guard.admit(source(n), START);
        }
        let later = START + Duration::from_secs(1);
        assert_eq!(guard.admit(source(4), later), Admission::Granted);
        assert_eq!(guard.sources.len(), 1);
    }

    #[test]
    fn addresses_of_one_ipv6_network_are_one_source() {
        let address = |text: &str| network(text.parse().unwrap());
        assert_eq!(address("2001:db8::1"), address("2001:db8::ffff:1"));
        assert_ne!(address("2001:db8::1"), address("2001:db8:0:1::1"));
        assert_eq!(address("::ffff:192.0.2.1"), address("192.0.2.1"));
    }
}
