//! Writes the stories of calls that are over, and deletes what is too old. Nothing waits for it: what it cannot write is
//! counted and gone.

use std::sync::Arc;
use std::time::Duration;

use tandem_actors::{Clock, Service, ServiceError};
use tandem_core::metric::{Counter, Histogram, Metrics};
use tandem_core::time::WallTime;
use tandem_core::trace::Story;
use tandem_storage::{PackError, PackedTrace, Storage};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::config::{Keep, TraceConfig};
use crate::telemetry::CallSpans;
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

/// How long the last stories may take when the node stops.
const LAST_STORIES: Duration = Duration::from_secs(3);

/// See the module.
pub(crate) struct TraceKeeper {
    pub(crate) tracer: Arc<Tracer>,
    pub(crate) storage: Arc<Storage>,
    pub(crate) config: TraceConfig,
    pub(crate) clock: Clock,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) spans: CallSpans,
}

impl TraceKeeper {
    async fn keep(&self) {
        let mut prune_at = Instant::now();
        loop {
            self.write_all(LAST_WORDS).await;
            if prune_at <= Instant::now() && !self.prune_some().await {
                prune_at = Instant::now() + PRUNE;
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
            let stories: Vec<_> = calls.iter().filter_map(|call| self.tracer.story(*call)).collect();
            for story in &stories {
                story.setup_time().into_iter().for_each(|time| self.metrics.took(Histogram::CallSetup, time));
                self.spans.offer(story);
            }
            if self.config.keep != Keep::None {
                self.write(stories).await;
            }
            // Only now: until then they are told from memory. A writer that dies writes them again.
            self.tracer.forget_ended(calls.len());
            sleep(PAUSE).await;
        }
    }

    async fn write(&self, mut stories: Vec<Story>) {
        if self.config.keep == Keep::Failed {
            stories.retain(Story::is_failed);
        }
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

    /// One batch, so that what ended meanwhile is not kept waiting. Whether there may be more.
    async fn prune_some(&self) -> bool {
        let age = i64::try_from(self.config.retention.as_micros()).unwrap_or(i64::MAX);
        let before = WallTime(self.clock.now().wall.0.saturating_sub(age));
        let pruned = self.storage.prune_traces(before).await;
        pruned.inspect_err(|error| warn!(%error, "old stories of calls not deleted")).is_ok_and(|pruned| pruned > 0)
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

#[cfg(test)]
mod tests {
    use tandem_core::cause::Cause;
    use tandem_core::event::{Context, Fact, FactBody, Side};
    use tandem_core::id::{CallId, CorrelationId, LegId, NodeId, Tenant};
    use tandem_core::party::{Identity, Party, TrunkName};
    use tandem_core::trace::TracePort;
    use uuid::Uuid;

    use super::*;

    /// A call that is over, and why.
    fn end(tracer: &Tracer, n: u128, cause: Cause) -> CallId {
        let (call, leg) = (CallId::from_uuid(Uuid::from_u128(n)), LegId::from_uuid(Uuid::from_u128(n)));
        let context = Context {
            tenant: Tenant::default_tenant(),
            correlation_id: CorrelationId::from_uuid(Uuid::from_u128(n)),
            node: NodeId::from_uuid(Uuid::from_u128(1)),
        };
        let identity = Identity::Trunk { trunk: TrunkName("world".into()) };
        let caller = Party { number: String::from("1001").into(), name: None, identity };
        let dialled = String::from("1002").into();
        tracer.begin(call, leg);
        let bodies = [FactBody::Started { leg_id: leg, caller, dialled }, FactBody::Ended { cause, by: Side::System }];
        for (number, body) in (1..).zip(bodies) {
            let context = context.clone();
            tracer.hear(&Fact { context, call, number, at: WallTime(0), caused_by: None, sdp: None, body });
        }
        tracer.end(call);
        call
    }

    #[tokio::test]
    async fn when_the_node_stops_what_waits_is_written_if_it_is_to_be_kept_and_all_is_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let config = tandem_storage::Config { data_dir: folder.path().into(), ..tandem_storage::Config::default() };
        let (metrics, clock) = (Arc::new(Metrics::default()), Clock::start());
        let storage = Storage::open(&config, metrics.clone()).await.unwrap();
        let tracer = Arc::new(Tracer::new(1 << 20, clock.clone(), metrics.clone()));
        let failed = end(&tracer, 1, Cause::MediaLost);
        let ordinary = end(&tracer, 2, Cause::Normal);
        let story = tracer.story(failed);
        let config = TraceConfig { keep: Keep::Failed, ..TraceConfig::default() };
        let spans = CallSpans::nowhere(metrics.clone());
        let (tracer_of, metrics_of) = (tracer.clone(), metrics.clone());
        let keeper =
            TraceKeeper { tracer: tracer_of, storage: storage.clone(), config, clock, metrics: metrics_of, spans };
        let stop = CancellationToken::new();
        stop.cancel();
        Arc::new(keeper).run(stop).await.unwrap();
        assert!(story.is_some());
        assert_eq!(storage.trace(failed).await.unwrap(), story);
        assert_eq!(storage.trace(ordinary).await.unwrap(), None);
        assert_eq!((tracer.story(failed), tracer.story(ordinary)), (None, None));
        assert_eq!((metrics.counter(Counter::TracesKept), metrics.counter(Counter::TracesDropped)), (1, 0));
    }
}
