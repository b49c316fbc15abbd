//! How much may come in: token buckets, and what a new call needs of them. Pure: the time comes in.
//!
//! ```text
//!  new call ── bucket of its user or trunk ── of its tenant ── of the node ──▶ in
//!                 └─ empty ──────────────────────┴─ empty ──────┴─ empty ───▶ refused, and nothing is taken
//! ```
//!
//! # Invariants
//! * A table is bounded. A key for which there is no room shares one bucket with all such keys, so that a flood of new
//!   ones starves newcomers only, and never those that are known.
//! * Who is refused by one bucket takes nothing from the others.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::Hash;
use std::num::NonZeroU32;
use std::time::Duration;

use crate::cause::Cause;
use crate::id::{Tenant, UserId};
use crate::party::{Identity, TrunkName};
use crate::time::Timestamp;

/// When to try again what a bucket refused: rates are whole numbers a second, so within this there is a token again.
pub const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Users, tenants and trunks that are remembered, each.
const KNOWN: usize = 65_536;

/// One token. A rate per second is then the same number of these per microsecond.
const TOKEN: u64 = 1_000_000;

/// How fast a bucket fills, and how much it holds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Rate {
    /// Tokens a second.
    pub per_second: u32,
    /// Tokens at once.
    pub burst: u32,
}

/// Millionths of tokens, as of a moment.
#[derive(Clone, Copy, Debug)]
pub struct Bucket {
    tokens: u64,
    filled: Timestamp,
}

/// A bucket for each key, in a bounded table.
#[derive(Debug)]
pub struct Buckets<K> {
    rate: Rate,
    limit: usize,
    known: HashMap<K, Bucket>,
    /// For keys without room in the table.
    strangers: Bucket,
    swept: Timestamp,
}

/// Calls that may begin, a second.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct CallRates {
    /// On the whole node.
    pub node: NonZeroU32,
    /// By one tenant's users, and to its numbers.
    pub tenant: NonZeroU32,
    /// By one user.
    pub user: NonZeroU32,
    /// From one trunk.
    pub trunk: NonZeroU32,
}

/// The buckets that a new call is weighed with. Each holds two seconds' worth.
#[derive(Debug)]
pub struct CallLimits {
    rate: Rate,
    node: Bucket,
    tenants: Buckets<Tenant>,
    users: Buckets<UserId>,
    trunks: Buckets<TrunkName>,
}

/// What of them was empty.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Limit {
    /// All calls together.
    Node,
    /// Those of its tenant.
    Tenant,
    /// Those of its caller.
    User,
    /// Those of the trunk that it comes from.
    Trunk,
}

/// Lets a few lines a second into the log, and counts the others: a flood must not flood that too.
#[derive(Debug)]
pub struct Damper {
    bucket: Bucket,
    hushed: u64,
}

impl Rate {
    /// With two seconds' worth at once.
    #[must_use]
    pub const fn with_two_seconds(per_second: NonZeroU32) -> Self {
        Self { per_second: per_second.get(), burst: per_second.get().saturating_mul(2) }
    }

    /// How long an empty bucket takes to fill.
    fn refill_time(self) -> Duration {
        Duration::from_secs_f64(f64::from(self.burst) / f64::from(self.per_second.max(1)))
    }
}

impl Bucket {
    /// A full one.
    #[must_use]
    pub fn full(rate: Rate, now: Timestamp) -> Self {
        Self { tokens: u64::from(rate.burst) * TOKEN, filled: now }
    }

    /// Adds what has come in since, and tells whether there is a token.
    pub fn refill(&mut self, rate: Rate, now: Timestamp) -> bool {
        let passed = u64::try_from((now - self.filled).as_micros()).unwrap_or(u64::MAX);
        let gained = passed.saturating_mul(u64::from(rate.per_second));
        self.tokens = self.tokens.saturating_add(gained).min(u64::from(rate.burst) * TOKEN);
        self.filled = self.filled.max(now);
        self.tokens >= TOKEN
    }

    /// Uses one token, if there is one.
    pub fn take(&mut self) {
        self.tokens = self.tokens.saturating_sub(TOKEN);
    }
}

impl<K: Eq + Hash> Buckets<K> {
    /// Nobody is known yet. `limit`: keys that are remembered.
    #[must_use]
    pub fn new(rate: Rate, limit: usize, now: Timestamp) -> Self {
        Self { rate, limit, known: HashMap::new(), strangers: Bucket::full(rate, now), swept: now }
    }

    /// The bucket of a key, as full as it is now. `None`: it has no token.
    pub fn ready(&mut self, key: K, now: Timestamp) -> Option<&mut Bucket> {
        let rate = self.rate;
        let bucket = self.bucket(key, now);
        bucket.refill(rate, now).then_some(bucket)
    }

    /// Keys that have a bucket of their own.
    #[must_use]
    pub fn len(&self) -> usize {
        self.known.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    fn bucket(&mut self, key: K, now: Timestamp) -> &mut Bucket {
        if self.known.len() >= self.limit && !self.known.contains_key(&key) {
            self.sweep(now);
        }
        let has_room = self.known.len() < self.limit;
        match self.known.entry(key) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) if has_room => new.insert(Bucket::full(self.rate, now)),
            Entry::Vacant(_) => &mut self.strangers,
        }
    }

    /// Forgets the keys whose buckets are full again: a new one is no different. At most once in the time an empty one
    /// takes to fill, so that a flood does not buy a walk through the table with every packet.
    fn sweep(&mut self, now: Timestamp) {
        let refill_time = self.rate.refill_time();
        if now - self.swept >= refill_time {
            self.swept = now;
            self.known.retain(|_, bucket| now - bucket.filled < refill_time);
        }
    }
}

impl CallLimits {
    /// With full buckets.
    #[must_use]
    pub fn new(rates: CallRates, now: Timestamp) -> Self {
        let CallRates { node, tenant, user, trunk } = rates;
        let rate = Rate::with_two_seconds(node);
        Self {
            rate,
            node: Bucket::full(rate, now),
            tenants: Buckets::new(Rate::with_two_seconds(tenant), KNOWN, now),
            users: Buckets::new(Rate::with_two_seconds(user), KNOWN, now),
            trunks: Buckets::new(Rate::with_two_seconds(trunk), KNOWN, now),
        }
    }

    /// One more call of that caller.
    ///
    /// # Errors
    /// The narrowest limit that it is above.
    pub fn admit(&mut self, tenant: &Tenant, caller: &Identity, now: Timestamp) -> Result<(), Limit> {
        let (caller, narrow) = match caller {
            Identity::User { user_id, .. } => (self.users.ready(*user_id, now), Limit::User),
            Identity::Trunk { trunk } => (self.trunks.ready(trunk.clone(), now), Limit::Trunk),
        };
        let caller = caller.ok_or(narrow)?;
        let tenant = self.tenants.ready(tenant.clone(), now).ok_or(Limit::Tenant)?;
        if !self.node.refill(self.rate, now) {
            return Err(Limit::Node);
        }
        [caller, tenant, &mut self.node].into_iter().for_each(Bucket::take);
        Ok(())
    }
}

impl Limit {
    /// Why a call above it is refused.
    #[must_use]
    pub const fn cause(self) -> Cause {
        match self {
            Self::Node => Cause::Throttled,
            Self::Tenant | Self::User | Self::Trunk => Cause::RateLimited,
        }
    }

    /// In logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Node => "node",
            Self::Tenant => "tenant",
            Self::User => "user",
            Self::Trunk => "trunk",
        }
    }
}

impl Damper {
    const RATE: Rate = Rate { per_second: 1, burst: 5 };

    /// How many lines were left out since the last one that was not. `None`: leave this one out.
    pub fn admit(&mut self, now: Timestamp) -> Option<u64> {
        if self.bucket.refill(Self::RATE, now) {
            self.bucket.take();
            return Some(std::mem::take(&mut self.hushed));
        }
        self.hushed += 1;
        None
    }

    /// How many were left out since.
    #[must_use]
    pub const fn hushed(&self) -> u64 {
        self.hushed
    }

    /// Counts what another one left out.
    pub const fn inherit(&mut self, hushed: u64) {
        self.hushed = self.hushed.saturating_add(hushed);
    }
}

impl Default for Damper {
    fn default() -> Self {
        Self { bucket: Bucket::full(Self::RATE, Timestamp::default()), hushed: 0 }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;
    use crate::id::DeviceId;

    const START: Timestamp = Timestamp(1_000_000);

    fn rate(per_second: u32) -> NonZeroU32 {
        NonZeroU32::new(per_second).unwrap()
    }

    fn limits(node: u32, tenant: u32, user: u32, trunk: u32) -> CallLimits {
        let rates = CallRates { node: rate(node), tenant: rate(tenant), user: rate(user), trunk: rate(trunk) };
        CallLimits::new(rates, START)
    }

    fn user(n: u128) -> Identity {
        Identity::User { user_id: UserId::from_uuid(Uuid::from_u128(n)), device_id: DeviceId::from_uuid(Uuid::nil()) }
    }

    fn trunk(name: &str) -> Identity {
        Identity::Trunk { trunk: TrunkName(name.into()) }
    }

    /// How many of so many calls get in.
    fn admitted(limits: &mut CallLimits, caller: &Identity, calls: usize, at: Timestamp) -> usize {
        let tenant = Tenant::default_tenant();
        (0..calls).filter(|_| limits.admit(&tenant, caller, at).is_ok()).count()
    }

    #[test]
    fn a_caller_gets_two_seconds_worth_at_once_and_then_his_rate() {
        let mut limits = limits(1_000, 1_000, 10, 20);
        for (caller, per_second) in [(user(1), 10), (trunk("a"), 20)] {
            assert_eq!(admitted(&mut limits, &caller, 100, START), 2 * per_second);
            assert_eq!(admitted(&mut limits, &caller, 100, START + RETRY_AFTER), per_second);
        }
        assert_eq!(admitted(&mut limits, &user(2), 100, START), 20, "another's bucket is full");
    }

    #[test]
    fn the_narrowest_limit_is_named_and_a_refused_call_takes_nothing_from_the_others() {
        let (tenant, other) = (Tenant::default_tenant(), "other".parse().unwrap());
        let mut limits = limits(5, 4, 1, 3);
        assert_eq!(admitted(&mut limits, &user(1), 2, START), 2);
        for _ in 0..100 {
            assert_eq!(limits.admit(&tenant, &user(1), START), Err(Limit::User));
        }
        assert_eq!(admitted(&mut limits, &trunk("a"), 100, START), 6);
        assert_eq!(limits.admit(&tenant, &trunk("a"), START), Err(Limit::Trunk));
        assert_eq!(limits.admit(&tenant, &trunk("b"), START), Err(Limit::Tenant));
        assert_eq!(limits.admit(&other, &trunk("b"), START), Ok(()));
        assert_eq!(limits.admit(&other, &trunk("b"), START), Ok(()));
        assert_eq!(limits.admit(&other, &trunk("b"), START), Err(Limit::Node));
    }

    #[test]
    fn whoever_waits_as_told_finds_a_token() {
        let mut limits = limits(1, 1, 1, 1);
        assert_eq!(admitted(&mut limits, &user(1), 5, START), 2);
        assert_eq!(admitted(&mut limits, &user(1), 5, START + RETRY_AFTER), 1);
    }

    #[test]
    fn keys_without_room_starve_only_each_other_and_quiet_ones_are_forgotten() {
        let mut buckets = Buckets::new(Rate { per_second: 10, burst: 2 }, 3, START);
        let mut take = |key: u32, at| buckets.ready(key, at).map(Bucket::take).is_some();
        assert!(take(1, START));
        assert_eq!((2..=255).filter(|key| take(*key, START)).count(), 4, "two have their own, two the common one");
        assert!(take(1, START));
        let later = START + Duration::from_secs(1);
        assert!(take(4, later));
        assert_eq!(buckets.known.keys().collect::<Vec<_>>(), [&4]);
        assert!(buckets.len() == 1 && !buckets.is_empty());
    }

    #[test]
    fn a_flood_leaves_a_few_lines_that_tell_its_size() {
        let mut damper = Damper::default();
        let lines = (0..1_000).filter(|_| damper.admit(START).is_some()).count();
        assert_eq!(lines, 5);
        assert_eq!(damper.admit(START + Duration::from_secs(1)), Some(995));
        assert_eq!(damper.admit(START + Duration::from_secs(2)), Some(0));
    }

    proptest! {
        #[test]
        fn nobody_gets_more_than_the_burst_and_the_rate(steps in prop::collection::vec((0..2_000_u64, 1..50_usize), 1..40)) {
            let mut limits = limits(7, 1_000, 1_000, 1_000);
            let (mut at, mut got) = (START, 0);
            for (wait_ms, calls) in steps {
                at = at + Duration::from_millis(wait_ms);
                got += admitted(&mut limits, &user(1), calls, at) as u64;
                let most = 14 + 7 * u64::try_from((at - START).as_micros()).unwrap() / 1_000_000;
                prop_assert!(got <= most, "{got} of {most}");
            }
        }
    }
}
