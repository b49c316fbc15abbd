//! Writes the stories of calls that are over, and deletes what is too old. Nothing waits for it: what it cannot write is
//! counted and gone.

use std::sync::Arc;
use std::time::Duration;

use tandem_actors::{Clock, Service, ServiceError};
use tandem_core::id::CallId;
use tandem_core::metric::{Counter, Metrics};
use tandem_core::time::WallTime;
use tandem_core::trace::Story;
use tandem_storage::{PackError, PackedTrace, Storage};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::config::{Keep, TraceConfig};
use crate::tracer::Tracer;

/// How long a call that is over may have last words: the answer to a BYE, the report of its media.
const LAST_WORDS: Duration = Duration::from_secs(3);

/// How often there is a look for calls that are over.
const LOOK: Duration = Duration::from_millis(250);

/// Stories in one transaction: two milliseconds of the one connection that writes.
const BATCH: usize = 50;

/// Between two transactions: facts go first.
const PAUSE: Duration = Duration::from_millis(5);

/// How often there is a look for stories that are too old.
const PRUNE: Duration = Duration::from_secs(60);

/// Between two deletions.
const PRUNE_PAUSE: Duration = Duration::from_millis(100);

/// How long the last stories may take when the node stops.
const LAST_STORIES: Duration = Duration::from_secs(3);

/// See the module.
pub(crate) struct TraceKeeper {
    pub(crate) tracer: Arc<Tracer>,
    pub(crate) storage: Arc<Storage>,
    pub(crate) config: TraceConfig,
    pub(crate) clock: Clock,
    pub(crate) metrics: Arc<Metrics>,
}

impl TraceKeeper {
    async fn keep(&self) {
        let mut prune_at = Instant::now();
        loop {
            self.write_all(LAST_WORDS).await;
            if prune_at <= Instant::now() {
                prune_at = Instant::now() + PRUNE;
                self.prune().await;
            }
            sleep(LOOK).await;
        }
    }

    /// Writes what ended at least so long ago.
    async fn write_all(&self, ago: Duration) {
        loop {
            let calls = self.tracer.ended(ago, BATCH);
            if calls.is_empty() {
                return;
            }
            if self.config.keep != Keep::None {
                self.write(&calls).await;
            }
            // Only now: until then they are told from memory. A writer that dies writes them again.
            self.tracer.forget_ended(calls.len());
            sleep(PAUSE).await;
        }
    }

    async fn write(&self, calls: &[CallId]) {
        let only_failed = self.config.keep == Keep::Failed;
        let stories = calls.iter().filter_map(|call| self.tracer.story(*call));
        let stories: Vec<_> = stories.filter(|story| !only_failed || story.is_failed()).collect();
        if stories.is_empty() {
            return;
        }
        let count = stories.len() as u64;
        match self.pack_and_keep(stories).await {
            Ok(()) => self.metrics.add(Counter::TracesKept, count),
            Err(error) => {
                self.metrics.add(Counter::TracesDropped, count);
                warn!(error = &*error as &dyn std::error::Error, count, "stories of calls not kept");
            }
        }
    }

    async fn pack_and_keep(&self, stories: Vec<Story>) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let pack = move || stories.iter().map(PackedTrace::of).collect::<Result<Vec<_>, PackError>>();
        let packed = tokio::task::spawn_blocking(pack).await??;
        Ok(self.storage.keep_traces(packed).await?)
    }

    async fn prune(&self) {
        let age = i64::try_from(self.config.retention.as_micros()).unwrap_or(i64::MAX);
        let before = WallTime(self.clock.now().wall.0.saturating_sub(age));
        loop {
            match self.storage.prune_traces(before).await {
                Ok(0) => return,
                Ok(_) => sleep(PRUNE_PAUSE).await,
                Err(error) => return warn!(%error, "old stories of calls not deleted"),
            }
        }
    }
}

impl Service for TraceKeeper {
    fn name(&self) -> &str {
        "traces"
    }

    async fn run(self: Arc<Self>, stop: CancellationToken) -> Result<(), ServiceError> {
        stop.run_until_cancelled(self.keep()).await;
        let _late = timeout(LAST_STORIES, self.write_all(Duration::ZERO)).await;
        Ok(())
    }
}
