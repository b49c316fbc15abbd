//! The directories of one kind of machine, one for each shard.

use std::num::NonZeroU8;
use std::sync::Arc;

use tandem_core::machine::Machine;
use tandem_core::metric::{Fill, Gauge, Metrics};
use tandem_core::time::Timestamp;

use crate::clock::Clock;
use crate::directory::{Directory, Handle, Limits};
use crate::keeper::Member;
use crate::node::Rooted;
use crate::part::Part;
use crate::ports::Ports;
use crate::slot::Slot;
use crate::tree::{Kind, NODE, PartView, Standing, millis};

/// See the module. There is always a first.
pub(crate) struct Sharded<M: Machine> {
    name: &'static str,
    first: Arc<Directory<M>>,
    others: Vec<Arc<Directory<M>>>,
}

impl<M: Part> Sharded<M> {
    pub(crate) fn new(
        name: &'static str,
        shards: NonZeroU8,
        wires: &Arc<impl Ports<M>>,
        (clock, metrics): (&Clock, &Arc<Metrics>),
        limits: Limits,
        gauge: Gauge,
    ) -> Self {
        let one = || Directory::new(wires.clone(), clock.clone(), metrics.clone(), limits, gauge);
        Self { name, first: one(), others: (1..shards.get()).map(|_| one()).collect() }
    }

    /// The shard of an id: by the random half of its UUID.
    fn shard(&self, id: M::Id) -> &Arc<Directory<M>> {
        let (_, random) = M::part(id).uuid().as_u64_pair();
        let shards = self.others.len() as u64 + 1;
        let n = usize::try_from(random % shards).unwrap_or(0);
        n.checked_sub(1).and_then(|n| self.others.get(n)).unwrap_or(&self.first)
    }

    fn shards(&self) -> impl Iterator<Item = &Arc<Directory<M>>> {
        std::iter::once(&self.first).chain(&self.others)
    }

    pub(crate) fn open(&self, id: M::Id, machine: M) -> Handle<M> {
        self.shard(id).open(id, machine)
    }

    pub(crate) fn file(&self, id: M::Id, machine: M) -> Handle<M> {
        self.shard(id).file(id, machine)
    }

    pub(crate) fn staff(&self, id: M::Id) {
        self.shard(id).staff(id);
    }

    pub(crate) fn find(&self, id: M::Id) -> Option<Handle<M>> {
        self.shard(id).find(id)
    }

    pub(crate) fn len(&self) -> usize {
        self.shards().map(|shard| shard.len()).sum()
    }

    pub(crate) fn slots(&self) -> impl Iterator<Item = Arc<Slot<M>>> {
        self.shards().flat_map(|shard| shard.slots())
    }

    /// Inputs that nobody has read, of all of them.
    pub(crate) fn fill(&self) -> Fill {
        self.slots().map(|slot| slot.fill()).sum()
    }

    pub(crate) fn members(&self) -> impl Iterator<Item = Arc<dyn Member>> {
        self.named().map(|(name, directory)| Arc::new(Rooted { name, directory: directory.clone() }) as Arc<dyn Member>)
    }

    /// The roots and the supervisors.
    pub(crate) fn standing(&self) -> impl Iterator<Item = Standing> {
        self.named().flat_map(|(root, directory)| {
            let supervisor = Standing {
                kind: Kind::Supervisor,
                id: supervisor_of(&root),
                name: String::from("supervisor"),
                parent: Some(root.clone()),
                vitals: directory.supervision.clone(),
            };
            let parent = Some(String::from(NODE));
            let vitals = directory.root.clone();
            [Standing { kind: Kind::Root, id: root.clone(), name: root, parent, vitals }, supervisor]
        })
    }

    /// Every machine, each under its own lock and no other.
    pub(crate) fn parts(&self, now: Timestamp) -> impl Iterator<Item = PartView> {
        self.named().flat_map(move |(root, directory)| {
            let parent = supervisor_of(&root);
            directory.slots().into_iter().map(move |slot| part(&slot, &parent, now))
        })
    }

    fn named(&self) -> impl Iterator<Item = (String, &Arc<Directory<M>>)> {
        self.shards().enumerate().map(|(n, directory)| (format!("{}.{n}", self.name), directory))
    }
}

fn supervisor_of(root: &str) -> String {
    format!("{root}/supervisor")
}

fn part<M: Part>(slot: &Slot<M>, supervisor: &str, now: Timestamp) -> PartView {
    let seen = slot.glance(|machine| (machine.owner(), machine.state()));
    let (owner, state) = seen.machine;
    let id = M::part(slot.id()).to_string();
    PartView {
        name: id.clone(),
        id,
        kind: M::KIND,
        parent: Some(supervisor.to_owned()),
        owner: owner.map(|owner| owner.to_string()),
        state: state.to_owned(),
        age_ms: seen.began.map_or(0, |began| millis(now - began)),
        restarts: seen.shells.saturating_sub(1),
        inbox: seen.backlog,
    }
}
