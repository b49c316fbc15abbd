//! Every slot of one kind in one shard, by id. Stands above the actors and outlives all of them.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use ractor::ActorRef;
use tandem_core::admission::Damper;
use tandem_core::machine::Machine;
use tandem_core::metric::{Gauge, Metrics};

use crate::clock::Clock;
use crate::ports::Ports;
use crate::slot::{SendError, Slot};
use crate::supervise::Job;
use crate::vitals::Vitals;

/// See the module.
pub struct Directory<M: Machine> {
    slots: Mutex<HashMap<M::Id, Arc<Slot<M>>>>,
    /// Who supervises, and the how-manieth it is.
    supervisor: Mutex<(Option<ActorRef<Job<M>>>, u32)>,
    /// Of its root.
    pub(crate) root: Arc<Vitals>,
    /// Of its supervisor.
    pub(crate) supervision: Arc<Vitals>,
    /// Of what is logged when an actor fails.
    damper: Mutex<Damper>,
    pub(crate) ports: Arc<dyn Ports<M>>,
    pub(crate) clock: Clock,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) limits: Limits,
    /// Moves with the number of slots.
    gauge: Gauge,
}

/// What one slot may use up.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Unread inputs; one more is refused.
    pub inbox: usize,
    /// Restarts that it may need in `window` before it is given up.
    pub restarts: usize,
    /// See `restarts`.
    pub window: Duration,
    /// How long something may wait in it while it does not move; found out after one to two times this.
    pub patience: Duration,
}

impl Limits {
    /// For calls and legs: three restarts in 30 s.
    pub const CALL: Self =
        Self { inbox: 256, restarts: 3, window: Duration::from_secs(30), patience: Duration::from_secs(2) };
    /// For tracks: three restarts in 10 s.
    pub const TRACK: Self = Self { window: Duration::from_secs(10), ..Self::CALL };
}

/// The one way to talk to a machine. It names the slot, so it outlives every actor behind it.
pub struct Handle<M: Machine>(Arc<Slot<M>>);

impl<M: Machine> Clone for Handle<M> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<M: Machine> Handle<M> {
    /// Sends without waiting. Accepted means that it will be handled, whatever happens to the actor.
    ///
    /// # Errors
    /// [`SendError::Full`]: shed load. [`SendError::Gone`]: the machine has ended.
    pub fn send(&self, input: M::Input) -> Result<(), SendError<M::Input>> {
        self.0.push(input)
    }

    /// The slot.
    #[must_use]
    pub fn slot(&self) -> &Slot<M> {
        &self.0
    }
}

impl<M: Machine> Directory<M> {
    /// An empty one. Nothing works in it before its [`Root`](crate::root::Root) was started.
    #[must_use]
    pub fn new(
        ports: Arc<dyn Ports<M>>,
        clock: Clock,
        metrics: Arc<Metrics>,
        limits: Limits,
        gauge: Gauge,
    ) -> Arc<Self> {
        let (slots, supervisor, root, supervision, damper) = Default::default();
        Arc::new(Self { slots, supervisor, root, supervision, damper, ports, clock, metrics, limits, gauge })
    }

    /// Files a slot and has a shell appointed to it. Neither waits nor fails, so a port may call it. The second time for
    /// an id it is the first one's slot.
    pub fn open(&self, id: M::Id, machine: M) -> Handle<M> {
        let handle = self.file(id, machine);
        self.staff(id);
        handle
    }

    /// Files a slot without a shell; it takes inputs from now on.
    pub(crate) fn file(&self, id: M::Id, machine: M) -> Handle<M> {
        Handle(match self.slots.lock().entry(id) {
            Entry::Occupied(first) => first.get().clone(),
            Entry::Vacant(place) => {
                self.metrics.shift(self.gauge, 1);
                place.insert(Arc::new(Slot::new(id, machine, self.limits.inbox))).clone()
            }
        })
    }

    /// Has a shell appointed. The slot was filed before the supervisor is looked up, and a new supervisor makes itself
    /// known before it lists the slots: one of the two finds the other.
    pub(crate) fn staff(&self, id: M::Id) {
        if let Some(supervisor) = self.supervisor() {
            let _dead = supervisor.cast(Job::Start(id));
        }
    }

    /// The machine with this id, unless it is gone.
    pub fn find(&self, id: M::Id) -> Option<Handle<M>> {
        self.slot(id).map(Handle)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.slots.lock().len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Who supervises them, once somebody does.
    pub fn supervisor(&self) -> Option<ActorRef<Job<M>>> {
        self.supervisor.lock().0.clone()
    }

    /// From now on this one is told of new slots, and no earlier one can appoint a shell where it has.
    pub(crate) fn begin_reign(&self, supervisor: ActorRef<Job<M>>) -> u32 {
        let mut current = self.supervisor.lock();
        *current = (Some(supervisor), current.1.wrapping_add(1));
        current.1
    }

    /// As [`log`](Self::log), but not each time: whatever breaks thousands of actors must not flood the log as well. Says
    /// how many lines were left out before.
    pub(crate) fn log_damped(&self, slot: &Slot<M>, log: impl FnOnce(u64)) {
        let hushed = self.damper.lock().admit(self.clock.now().mono);
        if let Some(hushed) = hushed {
            self.log(slot, || log(hushed));
        }
    }

    /// Logs with the ids of the machine.
    pub(crate) fn log(&self, slot: &Slot<M>, log: impl FnOnce()) {
        self.ports.span(slot.id(), &slot.view(M::clone)).in_scope(log);
    }

    pub(crate) fn slot(&self, id: M::Id) -> Option<Arc<Slot<M>>> {
        self.slots.lock().get(&id).cloned()
    }

    pub(crate) fn slots(&self) -> Vec<Arc<Slot<M>>> {
        self.slots.lock().values().cloned().collect()
    }

    pub(crate) fn remove(&self, slot: &Slot<M>) {
        let filed = self.slots.lock().remove(&slot.id());
        if filed.is_some() {
            self.metrics.shift(self.gauge, -1);
            let (last, exit) = slot.empty();
            self.ports.gone(slot.id(), &last, exit);
        }
    }
}
