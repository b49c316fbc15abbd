//! What the operator's endpoints see of the node.

use std::sync::{Arc, OnceLock};

use tandem_actors::calls::CallView;
use tandem_actors::drill::How;
use tandem_actors::tree::PartView;
use tandem_actors::{Calls, Tree};
use tandem_http::{BreakRefused, NotReady, Operator};
use tandem_media::Pool;

use crate::services::MediaWorker;

/// The group that the media workers are in.
pub(crate) const MEDIA: &str = "media";

/// The node as a whole.
pub(crate) struct NodeOperator {
    calls: Arc<Calls>,
    pool: Arc<Pool>,
    workers: Vec<Arc<MediaWorker>>,
    /// Of the node, once it runs.
    tree: OnceLock<Tree>,
}

impl NodeOperator {
    pub(crate) const fn new(calls: Arc<Calls>, pool: Arc<Pool>, workers: Vec<Arc<MediaWorker>>) -> Self {
        Self { calls, pool, workers, tree: OnceLock::new() }
    }

    /// Everything runs. Once.
    pub(crate) fn set_started(&self, tree: Tree) {
        let _again = self.tree.set(tree);
    }

    fn break_worker(&self, worker: usize, how: How) -> Result<(), BreakRefused> {
        if worker >= self.pool.workers() {
            return Err(BreakRefused::Unknown);
        }
        match how {
            How::Kill => return Err(BreakRefused::Unsupported),
            How::Panic => self.pool.break_worker(worker),
            How::Hang => self.pool.hang_worker(worker),
        }
        Ok(())
    }
}

impl Operator for NodeOperator {
    fn not_ready(&self) -> Vec<NotReady> {
        let missing = [(self.tree.get().is_some(), "starting"), (self.calls.door().is_open(), "door")];
        missing.into_iter().filter(|(is_there, _)| !is_there).map(|(_, name)| name).collect()
    }

    fn calls(&self) -> Vec<CallView> {
        self.calls.snapshot()
    }

    fn tree(&self) -> Vec<PartView> {
        let parts = self.tree.get().map(Tree::view).unwrap_or_default();
        parts.into_iter().chain(self.workers.iter().map(|worker| worker.view(MEDIA))).collect()
    }

    fn break_part(&self, id: &str, how: How) -> Result<(), BreakRefused> {
        if let Some(worker) = id.strip_prefix("worker.").and_then(|it| it.parse().ok()) {
            return self.break_worker(worker, how);
        }
        let is_broken = self.tree.get().is_some_and(|tree| tree.break_part(id, how));
        is_broken.then_some(()).ok_or(BreakRefused::Unknown)
    }
}
