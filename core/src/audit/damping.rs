//! How much of a flood of refusals is noted: journal, database and log must not be flooded too. Pure: the time comes in.
//!
//! # Invariants
//! * One source of one kind gets a few at once and one a second; all sources together [`TOTAL`].
//! * Whatever is left out is counted in the next event that is not: of its source, or of all those without a place.
//! * The table is bounded.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};

use super::{Action, Deed};
use crate::admission::{Bucket, Damper, Rate};
use crate::time::Timestamp;

/// Refusals that are noted, of all sources together.
pub const TOTAL: Rate = Rate { per_second: 20, burst: 100 };

/// Kinds and sources that are remembered.
const SOURCES: usize = 4_096;

/// See the module.
#[derive(Debug)]
pub struct Dampers {
    total: Bucket,
    known: HashMap<(Action, Option<IpAddr>), Known>,
    /// For those without a place of their own.
    strangers: Damper,
}

#[derive(Debug, Default)]
struct Known {
    damper: Damper,
    /// Left out because all together were too many.
    hushed: u64,
    seen: Timestamp,
}

impl Dampers {
    /// Nobody is known yet.
    #[must_use]
    pub fn new(now: Timestamp) -> Self {
        Self { total: Bucket::full(TOTAL, now), known: HashMap::new(), strangers: Damper::default() }
    }

    /// How many of its kind were left out since the last one that was not. `None`: leave this one out. What was done and
    /// not refused is never left out.
    pub fn admit(&mut self, deed: &Deed, now: Timestamp) -> Option<u64> {
        if !deed.action.is_refusal() {
            return Some(0);
        }
        let key = (deed.action, deed.from.map(network));
        if !self.known.contains_key(&key) && self.known.len() >= SOURCES {
            self.forget(now);
        }
        if !self.known.contains_key(&key) && self.known.len() >= SOURCES {
            return self.strangers.admit(now);
        }
        let known = self.known.entry(key).or_default();
        known.seen = now;
        let hushed = known.damper.admit(now)?;
        if !self.total.refill(TOTAL, now) {
            known.hushed = known.hushed.saturating_add(hushed).saturating_add(1);
            return None;
        }
        self.total.take();
        Some(std::mem::take(&mut known.hushed).saturating_add(hushed))
    }

    /// Forgets sources that have been quiet; what was left out of theirs is told with the strangers'.
    fn forget(&mut self, now: Timestamp) {
        let strangers = &mut self.strangers;
        self.known.retain(|_, known| {
            let is_quiet = (now - known.seen).as_secs() >= 10;
            if is_quiet {
                strangers.inherit(known.hushed.saturating_add(known.damper.hushed()));
            }
            !is_quiet
        });
    }
}

/// Whoever has an IPv6 address has 2^64 of them.
#[must_use]
pub fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::audit::Actor;
    use crate::id::Tenant;

    const START: Timestamp = Timestamp(1_000_000);

    fn deed(action: Action, from: u32) -> Deed {
        let from = IpAddr::from(from.to_be_bytes());
        Deed::new(Tenant::default_tenant(), Actor::Nobody, action, "unauthorized").from(Some(from))
    }

    fn noted(dampers: &mut Dampers, deed: &Deed, times: usize, at: Timestamp) -> Vec<u64> {
        (0..times).filter_map(|_| dampers.admit(deed, at)).collect()
    }

    #[test]
    fn of_a_flood_a_few_are_noted_and_the_next_one_tells_how_many_were_not() {
        let mut dampers = Dampers::new(START);
        let flood = deed(Action::RequestRefused, 1);
        assert_eq!(noted(&mut dampers, &flood, 1_000, START).len(), 5);
        assert_eq!(dampers.admit(&flood, START + Duration::from_secs(1)), Some(995));
        assert_eq!(noted(&mut dampers, &deed(Action::SignInRefused, 1), 1, START).len(), 1, "another kind");
        assert_eq!(noted(&mut dampers, &deed(Action::RequestRefused, 2), 1, START).len(), 1, "another source");
    }

    #[test]
    fn what_was_done_is_never_left_out() {
        let mut dampers = Dampers::new(START);
        assert_eq!(noted(&mut dampers, &deed(Action::TraceRead, 1), 1_000, START), vec![0; 1_000]);
    }

    #[test]
    fn a_flood_from_everywhere_is_bounded_and_nothing_of_it_is_uncounted() {
        let mut dampers = Dampers::new(START);
        let (mut events, mut told) = (0, 0);
        for second in 0..20_u64 {
            let at = START + Duration::from_secs(second * 11);
            for source in 0..10_000 {
                if let Some(hushed) = dampers.admit(&deed(Action::SipRefused, source), at) {
                    (events, told) = (events + 1, told + hushed);
                }
            }
        }
        assert!(events <= 20 * (100 + 20), "{events}");
        assert!(dampers.known.len() <= SOURCES);
        let left: u64 = dampers.known.values().map(|it| it.hushed + it.damper.hushed()).sum();
        assert_eq!(events + told + left + dampers.strangers.hushed(), 200_000);
    }
}
