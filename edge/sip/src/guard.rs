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

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use serde::{Deserialize, Serialize};
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
    limits: GuardLimits,
    sources: HashMap<IpAddr, Bucket>,
    /// For sources without room in the table.
    strangers: Bucket,
    total: Bucket,
    swept: Timestamp,
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

/// Millionths of tokens, as of a moment.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    tokens: u64,
    filled: Timestamp,
}

/// One token. A rate per second is then the same number of these per microsecond.
const TOKEN: u64 = 1_000_000;

impl Default for GuardLimits {
    fn default() -> Self {
        Self { source_rate: 200, source_burst: 400, total_rate: 50_000, total_burst: 100_000, sources: 65_536 }
    }
}

impl Guard {
    /// With full buckets.
    #[must_use]
    pub fn new(limits: GuardLimits, now: Timestamp) -> Self {
        let strangers = Bucket::full(limits.source_burst, now);
        let total = Bucket::full(limits.total_burst, now);
        Self { limits, sources: HashMap::new(), strangers, total, swept: now }
    }

    /// One message from there: may it be read?
    pub fn admit(&mut self, source: IpAddr, now: Timestamp) -> Admission {
        let (rate, burst) = (self.limits.source_rate, self.limits.source_burst);
        let has_total = self.total.refill(self.limits.total_rate, self.limits.total_burst, now);
        let bucket = self.bucket(network(source), now);
        if !bucket.refill(rate, burst, now) {
            return Admission::SourceLimited;
        }
        if !has_total {
            return Admission::TotalLimited;
        }
        bucket.take();
        self.total.take();
        Admission::Granted
    }

    /// One message from a peer that the configuration names (a trunk): only the limit of all holds for it.
    pub fn admit_peer(&mut self, now: Timestamp) -> Admission {
        if !self.total.refill(self.limits.total_rate, self.limits.total_burst, now) {
            return Admission::TotalLimited;
        }
        self.total.take();
        Admission::Granted
    }

    fn bucket(&mut self, source: IpAddr, now: Timestamp) -> &mut Bucket {
        if self.sources.len() >= self.limits.sources && !self.sources.contains_key(&source) {
            self.sweep(now);
        }
        let has_room = self.sources.len() < self.limits.sources;
        match self.sources.entry(source) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) if has_room => new.insert(Bucket::full(self.limits.source_burst, now)),
            Entry::Vacant(_) => &mut self.strangers,
        }
    }

    /// Forgets the sources whose buckets are full again: a new one is no different. At most once in the time an empty one
    /// takes to fill, so that a flood does not buy a walk through the table with every packet.
    fn sweep(&mut self, now: Timestamp) {
        let (rate, burst) = (self.limits.source_rate, self.limits.source_burst);
        let refill_time = Duration::from_secs_f64(f64::from(burst) / f64::from(rate.max(1)));
        if now - self.swept >= refill_time {
            self.swept = now;
            self.sources.retain(|_, bucket| now - bucket.filled < refill_time);
        }
    }
}

impl Bucket {
    fn full(burst: u32, now: Timestamp) -> Self {
        Self { tokens: u64::from(burst) * TOKEN, filled: now }
    }

    /// Adds what has come in since, and tells whether there is a token.
    fn refill(&mut self, rate: u32, burst: u32, now: Timestamp) -> bool {
        let passed = u64::try_from((now - self.filled).as_micros()).unwrap_or(u64::MAX);
        let gained = passed.saturating_mul(u64::from(rate));
        self.tokens = self.tokens.saturating_add(gained).min(u64::from(burst) * TOKEN);
        self.filled = self.filled.max(now);
        self.tokens >= TOKEN
    }

    fn take(&mut self) {
        self.tokens = self.tokens.saturating_sub(TOKEN);
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
    use super::*;

    const START: Timestamp = Timestamp(1_000_000);

    fn guard() -> Guard {
        let limits = GuardLimits { source_rate: 10, source_burst: 2, total_rate: 30, total_burst: 5, sources: 3 };
        Guard::new(limits, START)
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
        let mut guard = Guard::new(limits, START);
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
        assert_eq!(guard.sources.keys().collect::<Vec<_>>(), [&source(4)]);
    }

    #[test]
    fn addresses_of_one_ipv6_network_are_one_source() {
        let address = |text: &str| network(text.parse().unwrap());
        assert_eq!(address("2001:db8::1"), address("2001:db8::ffff:1"));
        assert_ne!(address("2001:db8::1"), address("2001:db8:0:1::1"));
        assert_eq!(address("::ffff:192.0.2.1"), address("192.0.2.1"));
    }
}
