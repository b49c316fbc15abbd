//! The tree of one node. A value: several may live in one process.
//!
//! ```text
//!  node ─┬─ ledger · bus · media · edges · services     one keeper a group, one actor a service
//!        └─ calls[n] · legs[n] · tracks[n]              one root a directory ── supervisor ── shells
//! ```

use std::sync::Arc;
use std::time::Duration;

use ractor::{Actor, ActorCell, ActorRef, SpawnErr};
use tandem_core::machine::Machine;
use tokio_util::sync::CancellationToken;

use crate::calls::Calls;
use crate::directory::Directory;
use crate::keeper::{Boxed, Keeper, Member, Start};
use crate::root::Root;
use crate::service::Group;

/// How long the services of a group may take to stop. What is late is killed with the node.
const STOPPING: Duration = Duration::from_secs(5);

/// See the module.
pub struct Node {
    root: ActorRef<Start>,
    calls: Arc<Calls>,
    groups: Vec<Group>,
}

impl Node {
    /// Starts the actors of the calls and then the groups in their order. Does not wait until they run: what does not
    /// start is tried again, with a delay. Only [`stop`](Self::stop) ends them; to drop the node does not.
    ///
    /// # Errors
    /// The runtime is shutting down.
    pub async fn start(calls: Arc<Calls>, groups: Vec<Group>) -> Result<Self, SpawnErr> {
        let keep = |members| calls.keeper(members);
        let mut members = calls.members();
        members.extend(groups.iter().map(|group| {
            let kept = Grouped { name: group.name, keeper: keep(group.members()), stop: group.stopping() };
            Arc::new(kept) as Arc<dyn Member>
        }));
        let (root, _) = Actor::spawn(None, keep(members), ()).await?;
        Ok(Self { root, calls, groups })
    }

    /// Stops in order: no new calls, live ones get `drain_timeout` and are then ended; the groups, the last first; the
    /// actors of the calls. Gives the number of calls that did not end in time; there should be none.
    pub async fn stop(self, drain_timeout: Duration) -> usize {
        let left = self.calls.drain(drain_timeout).await;
        for group in self.groups.iter().rev() {
            if tokio::time::timeout(STOPPING, group.stop()).await.is_err() {
                tracing::warn!(group = group.name, "did not stop in time, cut off");
            }
        }
        let _late = self.root.stop_and_wait(None, Some(STOPPING)).await;
        left
    }

    /// The actor that everything hangs on, for the tree view and for tests.
    #[must_use]
    pub fn cell(&self) -> ActorCell {
        self.root.get_cell()
    }
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

    fn spawn(self: Arc<Self>, parent: ActorCell) -> Boxed<Result<ActorCell, SpawnErr>> {
        let root = Root(self.directory.clone());
        Box::pin(async move { Ok(Actor::spawn_linked(None, root, (), parent).await?.0.get_cell()) })
    }
}
