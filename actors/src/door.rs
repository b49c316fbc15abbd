//! Who may come in: permits filed under the call that holds them.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use parking_lot::Mutex;
use tandem_core::cause::Cause;
use tandem_core::id::CallId;
use tandem_core::metric::{Counter, Metrics};
use tandem_core::time::WallTime;

/// See the module.
pub struct Door {
    limit: usize,
    metrics: Arc<Metrics>,
    inside: Mutex<Inside>,
}

#[derive(Default)]
struct Inside {
    is_draining: bool,
    is_barred: bool,
    /// Since when each call is in.
    permits: HashMap<CallId, WallTime>,
}

impl Door {
    pub(crate) fn new(limit: usize, metrics: Arc<Metrics>) -> Self {
        Self { limit, metrics, inside: Mutex::default() }
    }

    /// Lets a call in. The second time for a call it is in already.
    ///
    /// # Errors
    /// [`Cause::Shutdown`] while draining, [`Cause::Overload`] at the limit or while barred.
    pub(crate) fn admit(&self, call: CallId, at: WallTime) -> Result<(), Cause> {
        let outcome = self.inside.lock().admit(call, at, self.limit);
        if outcome.is_err() {
            self.metrics.count(Counter::CallsRefusedAtDoor);
        }
        outcome
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

    /// Since when a call is in.
    pub(crate) fn since(&self, call: CallId) -> Option<WallTime> {
        self.inside.lock().permits.get(&call).copied()
    }
}

impl Inside {
    fn admit(&mut self, call: CallId, at: WallTime, limit: usize) -> Result<(), Cause> {
        let is_full = self.is_barred || self.permits.len() >= limit;
        match self.permits.entry(call) {
            Entry::Occupied(_) => Ok(()),
            Entry::Vacant(_) if self.is_draining => Err(Cause::Shutdown),
            Entry::Vacant(_) if is_full => Err(Cause::Overload),
            Entry::Vacant(place) => {
                place.insert(at);
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn call(n: u128) -> CallId {
        CallId::from_uuid(Uuid::from_u128(n))
    }

    fn admit(door: &Door, n: u128) -> Result<(), Cause> {
        door.admit(call(n), WallTime(0))
    }

    #[test]
    fn a_call_above_the_limit_is_refused_until_another_leaves() {
        let metrics = Arc::new(Metrics::default());
        let door = Door::new(2, metrics.clone());
        assert_eq!([admit(&door, 1), admit(&door, 2), admit(&door, 3)], [Ok(()), Ok(()), Err(Cause::Overload)]);
        assert_eq!(admit(&door, 2), Ok(()), "it is in already");
        door.release(call(1));
        door.release(call(1));
        assert_eq!([admit(&door, 3), admit(&door, 4)], [Ok(()), Err(Cause::Overload)]);
        assert_eq!((door.calls(), metrics.counter(Counter::CallsRefusedAtDoor)), (2, 2));
    }

    #[test]
    fn a_barred_door_opens_again_and_a_draining_one_does_not() {
        let door = Door::new(2, Arc::default());
        door.bar(true);
        assert_eq!((admit(&door, 1), door.is_open()), (Err(Cause::Overload), false));
        door.bar(false);
        assert_eq!((admit(&door, 1), door.is_open()), (Ok(()), true));
        door.drain();
        door.bar(false);
        assert_eq!((admit(&door, 2), door.is_open()), (Err(Cause::Shutdown), false));
    }
}
