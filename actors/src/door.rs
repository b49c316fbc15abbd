//! Who may come in: permits filed under the call that holds them, and how many may come in a second.
//!
//! ```text
//!  call ── in already? ──yes──▶ in
//!            └─ draining · barred · full · too many a second ──▶ refused, with a cause that edges map
//! ```
//!
//! # Invariants
//! * A call that is in stays in, whatever the door does to others.
//! * A call that is refused costs nobody a token or a permit.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use parking_lot::Mutex;
use tandem_core::admission::{CallLimits, Damper, Limit};
use tandem_core::call::NewCall;
use tandem_core::cause::Cause;
use tandem_core::id::CallId;
use tandem_core::metric::{Counter, Fill, Metrics};
use tandem_core::time::{Now, WallTime};
use tracing::warn;

use crate::config::Config;

/// See the module.
pub struct Door {
    limit: usize,
    metrics: Arc<Metrics>,
    inside: Mutex<Inside>,
}

struct Inside {
    is_draining: bool,
    is_barred: bool,
    limits: CallLimits,
    refusals: Damper,
    /// Since when each call is in.
    permits: HashMap<CallId, WallTime>,
}

impl Door {
    pub(crate) fn new(config: &Config, now: Now, metrics: Arc<Metrics>) -> Self {
        let inside = Inside {
            is_draining: false,
            is_barred: false,
            limits: CallLimits::new(config.rates(), now.mono),
            refusals: Damper::default(),
            permits: HashMap::new(),
        };
        Self { limit: config.max_calls.get(), metrics, inside: Mutex::new(inside) }
    }

    /// Lets a call in. The second time for a call it is in already.
    ///
    /// # Errors
    /// [`Cause::Shutdown`] while draining, [`Cause::Overload`] at the limit or while barred, [`Cause::RateLimited`] and
    /// [`Cause::Throttled`] above a rate.
    pub(crate) fn admit(&self, call: &NewCall, now: Now) -> Result<(), Cause> {
        let mut inside = self.inside.lock();
        let Err(refusal) = inside.admit(call, now, self.limit) else { return Ok(()) };
        let hushed = inside.refusals.admit(now.mono);
        drop(inside);
        self.metrics.count(Counter::CallsRefusedAtDoor);
        if let Refusal::Rate(_) = refusal {
            self.metrics.count(Counter::CallsLimited);
        }
        if let Some(hushed) = hushed {
            let (cause, limit) = (refusal.cause().name(), refusal.limit());
            let (call_id, correlation_id) = (call.call, call.context.correlation_id);
            warn!(%call_id, %correlation_id, cause, limit, hushed, "call refused at the door");
        }
        Err(refusal.cause())
    }

    /// Gives the permit back. May be said twice.
    pub(crate) fn release(&self, call: CallId) {
        self.inside.lock().permits.remove(&call);
    }

    /// No new calls, for good.
    pub(crate) fn drain(&self) {
        self.inside.lock().is_draining = true;
    }

    /// No new calls while `barred`, for want of something that every call needs: the journal's disk is full.
    pub fn bar(&self, barred: bool) {
        self.inside.lock().is_barred = barred;
    }

    /// Whether a call would be let in now.
    pub fn is_open(&self) -> bool {
        let inside = self.inside.lock();
        !inside.is_draining && !inside.is_barred && inside.permits.len() < self.limit
    }

    /// How many calls are in.
    pub fn calls(&self) -> usize {
        self.inside.lock().permits.len()
    }

    /// How many calls are in, and how many may be.
    pub(crate) fn fill(&self) -> Fill {
        Fill { depth: self.calls(), capacity: self.limit }
    }

    /// Since when a call is in.
    pub(crate) fn since(&self, call: CallId) -> Option<WallTime> {
        self.inside.lock().permits.get(&call).copied()
    }
}

/// Why a call stays out.
#[derive(Clone, Copy)]
enum Refusal {
    Draining,
    /// The journal's disk is full.
    Barred,
    Full,
    Rate(Limit),
}

impl Inside {
    fn admit(&mut self, call: &NewCall, now: Now, limit: usize) -> Result<(), Refusal> {
        let is_full = self.permits.len() >= limit;
        match self.permits.entry(call.call) {
            Entry::Occupied(_) => Ok(()),
            Entry::Vacant(_) if self.is_draining => Err(Refusal::Draining),
            Entry::Vacant(_) if self.is_barred => Err(Refusal::Barred),
            Entry::Vacant(_) if is_full => Err(Refusal::Full),
            Entry::Vacant(place) => {
                let asked = self.limits.admit(&call.context.tenant, &call.caller.identity, now.mono);
                asked.map_err(Refusal::Rate)?;
                place.insert(now.wall);
                Ok(())
            }
        }
    }
}

impl Refusal {
    const fn cause(self) -> Cause {
        match self {
            Self::Draining => Cause::Shutdown,
            Self::Barred | Self::Full => Cause::Overload,
            Self::Rate(limit) => limit.cause(),
        }
    }

    const fn limit(self) -> &'static str {
        match self {
            Self::Draining => "draining",
            Self::Barred => "disk",
            Self::Full => "max_calls",
            Self::Rate(limit) => limit.name(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::{NonZeroU32, NonZeroUsize};
    use std::sync::Arc;
    use std::time::Duration;

    use tandem_core::event::Context;
    use tandem_core::id::{CorrelationId, LegId, NodeId, Tenant};
    use tandem_core::leg::Negotiation;
    use tandem_core::party::{Identity, Party, TrunkName};
    use tandem_core::time::Timestamp;
    use uuid::Uuid;

    use super::*;

    const START: Now = Now { mono: Timestamp(1), wall: WallTime(0) };

    fn call(n: u128, trunk: &str) -> NewCall {
        let id = Uuid::from_u128(n);
        let context = Context {
            tenant: Tenant::default_tenant(),
            correlation_id: CorrelationId::from_uuid(id),
            node: NodeId::from_uuid(Uuid::nil()),
        };
        let identity = Identity::Trunk { trunk: TrunkName(trunk.into()) };
        NewCall {
            call: CallId::from_uuid(id),
            leg: LegId::from_uuid(id),
            context,
            caller: Party { number: String::from("1").into(), name: None, identity },
            dialled: String::from("2").into(),
            negotiation: Negotiation::Late,
            max_forwards: 69,
            ring_timeout: Duration::from_secs(90),
        }
    }

    fn door(config: Config) -> (Door, Arc<Metrics>) {
        let metrics = Arc::new(Metrics::default());
        (Door::new(&config, START, metrics.clone()), metrics)
    }

    fn two_calls() -> Config {
        Config { max_calls: NonZeroUsize::new(2).unwrap(), ..Config::default() }
    }

    fn admit(door: &Door, n: u128) -> Result<(), Cause> {
        door.admit(&call(n, "a"), START)
    }

    #[test]
    fn a_call_above_the_limit_is_refused_until_another_leaves() {
        let (door, metrics) = door(two_calls());
        assert_eq!([admit(&door, 1), admit(&door, 2), admit(&door, 3)], [Ok(()), Ok(()), Err(Cause::Overload)]);
        assert_eq!(admit(&door, 2), Ok(()), "it is in already");
        door.release(call(1, "a").call);
        door.release(call(1, "a").call);
        assert_eq!([admit(&door, 3), admit(&door, 4)], [Ok(()), Err(Cause::Overload)]);
        assert_eq!((door.calls(), metrics.counter(Counter::CallsRefusedAtDoor)), (2, 2));
    }

    #[test]
    fn a_barred_door_opens_again_and_a_draining_one_does_not() {
        let (door, _) = door(two_calls());
        door.bar(true);
        assert_eq!((admit(&door, 1), door.is_open()), (Err(Cause::Overload), false));
        door.bar(false);
        assert_eq!((admit(&door, 1), door.is_open()), (Ok(()), true));
        door.drain();
        door.bar(false);
        assert_eq!((admit(&door, 2), door.is_open()), (Err(Cause::Shutdown), false));
    }

    #[test]
    fn too_many_calls_a_second_are_refused_by_their_narrowest_limit_and_those_inside_are_not_asked() {
        let rate = |per_second| NonZeroU32::new(per_second).unwrap();
        let config = Config { calls_per_second: rate(3), trunk_calls_per_second: rate(2), ..Config::default() };
        let (door, metrics) = door(config);
        assert_eq!((1..=5).map(|n| admit(&door, n)).filter(Result::is_ok).count(), 4);
        assert_eq!(admit(&door, 5), Err(Cause::RateLimited));
        let of_another = |n| door.admit(&call(n, "b"), START);
        assert_eq!([of_another(6), of_another(7), of_another(8)], [Ok(()), Ok(()), Err(Cause::Throttled)]);
        assert_eq!((1..=4).map(|n| admit(&door, n)).filter(Result::is_ok).count(), 4, "they are in already");
        let later = Now { mono: START.mono + Duration::from_secs(1), ..START };
        assert_eq!((10..20).filter(|n| door.admit(&call(*n, "a"), later).is_ok()).count(), 2);
        let counted = [Counter::CallsRefusedAtDoor, Counter::CallsLimited].map(|it| metrics.counter(it));
        assert_eq!((counted, door.calls(), door.is_open()), ([11, 11], 8, true));
    }
}
