//! The directories of one kind of machine, one for each shard.

use std::num::NonZeroU8;
use std::sync::Arc;

use tandem_core::call::Call;
use tandem_core::leg::Leg;
use tandem_core::machine::Machine;
use tandem_core::metric::{Fill, Gauge, Metrics};
use tandem_core::track::Track;

use super::drill::CallActor;
use super::wires::Wires;
use crate::clock::Clock;
use crate::directory::{Directory, Handle, Limits};
use crate::keeper::Member;
use crate::node::Rooted;
use crate::ports::Ports;
use crate::slot::Slot;

/// A machine that calls are made of.
pub(super) trait Part: Machine {
    /// How it is called among all of them.
    fn actor(id: Self::Id) -> CallActor;
}

impl Part for Call {
    fn actor(id: Self::Id) -> CallActor {
        CallActor::Call(id)
    }
}

impl Part for Leg {
    fn actor(id: Self::Id) -> CallActor {
        CallActor::Leg(id)
    }
}

impl Part for Track {
    fn actor(id: Self::Id) -> CallActor {
        CallActor::Track(id)
    }
}

/// See the module. There is always a first.
pub(super) struct Sharded<M: Machine> {
    name: &'static str,
    first: Arc<Directory<M>>,
    others: Vec<Arc<Directory<M>>>,
}

impl<M: Part> Sharded<M>
where
    Wires: Ports<M>,
{
    pub(super) fn new(
        name: &'static str,
        shards: NonZeroU8,
        wires: &Arc<Wires>,
        (clock, metrics): (&Clock, &Arc<Metrics>),
        limits: Limits,
        gauge: Gauge,
    ) -> Self {
        let one = || Directory::new(wires.clone(), clock.clone(), metrics.clone(), limits, gauge);
        Self { name, first: one(), others: (1..shards.get()).map(|_| one()).collect() }
    }

    /// The shard of an id: by the random half of its UUID.
    fn shard(&self, id: M::Id) -> &Arc<Directory<M>> {
        let (_, random) = M::actor(id).uuid().as_u64_pair();
        let shards = self.others.len() as u64 + 1;
        let n = usize::try_from(random % shards).unwrap_or(0);
        n.checked_sub(1).and_then(|n| self.others.get(n)).unwrap_or(&self.first)
    }

    fn shards(&self) -> impl Iterator<Item = &Arc<Directory<M>>> {
        std::iter::once(&self.first).chain(&self.others)
    }

    pub(super) fn open(&self, id: M::Id, machine: M) -> Handle<M> {
        self.shard(id).open(id, machine)
    }

    pub(super) fn file(&self, id: M::Id, machine: M) -> Handle<M> {
        self.shard(id).file(id, machine)
    }

    pub(super) fn staff(&self, id: M::Id) {
        self.shard(id).staff(id);
    }

    pub(super) fn find(&self, id: M::Id) -> Option<Handle<M>> {
        self.shard(id).find(id)
    }

    pub(super) fn len(&self) -> usize {
        self.shards().map(|shard| shard.len()).sum()
    }

    pub(super) fn slots(&self) -> impl Iterator<Item = Arc<Slot<M>>> {
        self.shards().flat_map(|shard| shard.slots())
    }

    /// Inputs that nobody has read, of all of them.
    pub(super) fn fill(&self) -> Fill {
        self.slots().map(|slot| slot.fill()).sum()
    }

    pub(super) fn members(&self) -> impl Iterator<Item = Arc<dyn Member>> {
        self.shards().enumerate().map(|(n, directory)| {
            let name = format!("{}.{n}", self.name);
            Arc::new(Rooted { name, directory: directory.clone() }) as Arc<dyn Member>
        })
    }
}
