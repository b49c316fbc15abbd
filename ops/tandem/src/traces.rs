//! The story of a call, wherever it is: in memory, in the database, or only in its facts.

use std::sync::Arc;

use anyhow::Result;
use futures::future::BoxFuture;
use tandem_actors::Clock;
use tandem_core::id::CallId;
use tandem_core::ports::MediaPort;
use tandem_core::trace::{Entry, Story, What};
use tandem_http::{Traces, TracesUnavailable};
use tandem_storage::{QueryError, Storage};
use tracing::warn;

use crate::tracer::Tracer;

/// See the module.
pub(crate) struct NodeTraces {
    pub(crate) tracer: Arc<Tracer>,
    pub(crate) media: Arc<dyn MediaPort>,
    pub(crate) storage: Arc<Storage>,
    pub(crate) clock: Clock,
}

impl Traces for NodeTraces {
    fn story(&self, call: CallId) -> BoxFuture<'_, Result<Option<Story>, TracesUnavailable>> {
        Box::pin(async move {
            if let Some(story) = self.live(call) {
                return Ok(Some(story));
            }
            stored(&self.storage, call).await.map_err(|error| {
                warn!(%error, "story of a call not read");
                TracesUnavailable
            })
        })
    }
}

impl NodeTraces {
    /// With how the media fares now.
    fn live(&self, call: CallId) -> Option<Story> {
        let mut story = self.tracer.story(call)?;
        let now = self.clock.now().wall;
        for leg in self.tracer.legs_of(call) {
            let report = self.media.report(leg).map(|report| Entry::new(now, What::Media { report }));
            story.entries.extend(report.map(|entry| Entry { leg: Some(leg), ..entry }));
        }
        Some(story)
    }
}

/// From the database: the story that was kept, else what the call's facts tell.
///
/// # Errors
/// The database does not answer.
pub(crate) async fn stored(storage: &Storage, call: CallId) -> Result<Option<Story>, QueryError> {
    match storage.trace(call).await? {
        Some(story) => Ok(Some(story)),
        None => storage.bare_trace(call).await,
    }
}
