//! What the operator's endpoints see of the node.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use tandem_actors::Calls;
use tandem_actors::calls::{CallView, How};
use tandem_http::{BreakRefused, NotReady, Operator, Part};
use tandem_media::Pool;

/// The node as a whole.
pub(crate) struct NodeOperator {
    calls: Arc<Calls>,
    pool: Arc<Pool>,
    is_started: AtomicBool,
}

impl NodeOperator {
    pub(crate) const fn new(calls: Arc<Calls>, pool: Arc<Pool>) -> Self {
        Self { calls, pool, is_started: AtomicBool::new(false) }
    }

    /// Everything runs.
    pub(crate) fn set_started(&self) {
        self.is_started.store(true, Relaxed);
    }
}

impl Operator for NodeOperator {
    fn not_ready(&self) -> Vec<NotReady> {
        let missing = [(self.is_started.load(Relaxed), "starting"), (self.calls.door().is_open(), "door")];
        missing.into_iter().filter(|(is_there, _)| !is_there).map(|(_, name)| name).collect()
    }

    fn calls(&self) -> Vec<CallView> {
        self.calls.snapshot()
    }

    fn break_part(&self, part: Part, how: How) -> Result<(), BreakRefused> {
        match (part, how) {
            (Part::Actor(actor), how) => self.calls.break_actor(actor, how).then_some(()).ok_or(BreakRefused::Unknown),
            (Part::Worker(_), How::Kill) => Err(BreakRefused::Unsupported),
            (Part::Worker(worker), How::Panic) if worker < self.pool.workers() => {
                self.pool.break_worker(worker);
                Ok(())
            }
            (Part::Worker(_), How::Panic) => Err(BreakRefused::Unknown),
        }
    }
}
