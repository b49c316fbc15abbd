//! The tree of one node. A value: several may live in one process.
//!
//! ```text
//!  guard ── node ─┬─ ledger · bus · media · edges · services     one keeper a group, one actor a service
//!                 └─ calls[n] · legs[n] · tracks[n] · conferences[n] · participants[n] · publications[n]
//!                                                                one root a directory ── supervisor ── shells
//! ```
//!
//! The guard is a task and no actor: it waits for one thing, and there is nothing in it that could break.

use std::sync::Arc;
use std::time::Duration;

use ractor::concurrency::JoinHandle;
use ractor::{Actor, ActorCell, ActorRef, SpawnErr};
use tandem_core::machine::Machine;
use tandem_core::time::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::calls::Calls;
use crate::directory::Directory;
use crate::keeper::{Boxed, Duty, Keeper, Member};
use crate::rooms::Rooms;
use crate::root::Root;
use crate::service::Group;
use crate::tree::Tree;
use crate::vitals::{BEAT, Vitals, Watch, back_off};

/// How long the services of a group may take to stop. What is late is killed with the node.
const STOPPING: Duration = Duration::from_secs(5);

/// See the module.
pub struct Node {
    calls: Arc<Calls>,
    rooms: Arc<Rooms>,
    groups: Vec<Group>,
    tree: Tree,
    halt: CancellationToken,
    guard: JoinHandle<()>,
}

impl Node {
    /// Starts the actors of calls and rooms and then the groups in their order. Does not wait until they run: what does not
    /// start is tried again, with a delay. Only [`stop`](Self::stop) ends them; to drop the node does not.
    ///
    /// # Errors
    /// The runtime is shutting down.
    pub async fn start(calls: Arc<Calls>, rooms: Arc<Rooms>, groups: Vec<Group>) -> Result<Self, SpawnErr> {
        let (mut members, mut tree) = (calls.members(), Tree::new(calls.clone(), rooms.clone()));
        members.extend(rooms.members());
        for group in &groups {
            let keeper = calls.keeper(group.members());
            tree.add_group(group, &keeper.vitals);
            members.push(Arc::new(Grouped { name: group.name, keeper, stop: group.stopping() }));
        }
        let root = calls.keeper(members);
        tree.plant(&root.vitals);
        let (first, halt) = (start_root(&root).await?, CancellationToken::new());
        let guard = ractor::concurrency::spawn(guard(root, first, halt.clone()));
        Ok(Self { calls, rooms, groups, tree, halt, guard })
    }

    /// Stops in order: no new calls, live ones get `drain_timeout` and are then ended; the groups, the last first; the
    /// actors of the calls. Gives the number of calls that did not end in time; there should be none.
    pub async fn stop(self, drain_timeout: Duration) -> usize {
        let (left, _) = tokio::join!(self.calls.drain(drain_timeout), self.rooms.drain(drain_timeout));
        for group in self.groups.iter().rev() {
            if tokio::time::timeout(STOPPING, group.stop()).await.is_err() {
                tracing::warn!(group = group.name, "did not stop in time, cut off");
            }
        }
        self.halt.cancel();
        let _ended = self.guard.await;
        left
    }

    /// What hangs together how.
    #[must_use]
    pub const fn tree(&self) -> &Tree {
        &self.tree
    }
}

type Running = (ActorRef<Duty>, JoinHandle<()>);

async fn start_root(root: &Keeper) -> Result<Running, SpawnErr> {
    let running = Actor::spawn(None, root.clone(), ()).await?;
    root.vitals.begin(running.0.get_cell(), root.clock.now().mono);
    Ok(running)
}

/// Keeps the root of the node running until told to halt.
async fn guard(root: Keeper, first: Running, halt: CancellationToken) {
    let (mut running, mut back_off) = (Some(first), back_off());
    loop {
        let mut well = root.clock.now().mono;
        if let Some((actor, task)) = running {
            let why = tokio::select! {
                _ended = task => {
                    well = root.clock.now().mono;
                    "ended"
                }
                heard = silence(&root) => {
                    well = heard;
                    "does not move"
                }
                () = halt.cancelled() => {
                    if actor.stop_and_wait(None, Some(STOPPING)).await.is_err() {
                        root.vitals.put_down();
                    }
                    return;
                }
            };
            tracing::error!(why, "root of the node, to be started again");
            root.vitals.put_down();
        }
        let delay = back_off.delay_after(well, root.clock.now().mono);
        if halt.run_until_cancelled(tokio::time::sleep(delay)).await.is_none() {
            return;
        }
        running = start_root(&root).await.inspect_err(|error| tracing::error!(%error, "root did not start")).ok();
    }
}

/// Returns when the root has not moved for too long: since when.
async fn silence(root: &Keeper) -> Timestamp {
    let mut watch = Watch::default();
    while !watch.is_silent(&root.vitals, root.clock.now().mono) {
        tokio::time::sleep(BEAT).await;
    }
    watch.heard_at()
}

/// A group of services as a member of the node.
struct Grouped {
    name: &'static str,
    keeper: Keeper,
    stop: CancellationToken,
}

impl Member for Grouped {
    fn name(&self) -> &str {
        self.name
    }

    fn is_stopping(&self) -> bool {
        self.stop.is_cancelled()
    }

    fn vitals(&self) -> &Vitals {
        &self.keeper.vitals
    }

    fn spawn(self: Arc<Self>, parent: ActorCell) -> Boxed<Result<ActorCell, SpawnErr>> {
        Box::pin(async move { Ok(Actor::spawn_linked(None, self.keeper.clone(), (), parent).await?.0.get_cell()) })
    }
}

/// A directory as a member of the node.
pub(crate) struct Rooted<M: Machine> {
    pub(crate) name: String,
    pub(crate) directory: Arc<Directory<M>>,
}

impl<M: Machine> Member for Rooted<M> {
    fn name(&self) -> &str {
        &self.name
    }

    /// The actors of the calls end with the node.
    fn is_stopping(&self) -> bool {
        false
    }

    fn vitals(&self) -> &Vitals {
        &self.directory.root
    }

    fn spawn(self: Arc<Self>, parent: ActorCell) -> Boxed<Result<ActorCell, SpawnErr>> {
        let root = Root(self.directory.clone());
        Box::pin(async move { Ok(Actor::spawn_linked(None, root, (), parent).await?.0.get_cell()) })
    }
}
