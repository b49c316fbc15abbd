//! The story of a call, wherever it is: in memory, in the database, or only in its facts.

use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::Result;
use futures::future::BoxFuture;
use tandem_actors::Clock;
use tandem_core::id::{CallId, CorrelationId};
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

    fn correlated(&self, id: CorrelationId) -> BoxFuture<'_, Result<Vec<Story>, TracesUnavailable>> {
        Box::pin(async move {
            let mut calls: BTreeSet<CallId> = self.tracer.correlated(id).into_iter().collect();
            match self.storage.calls_correlated(id, MOST).await {
                Ok(stored) => calls.extend(stored),
                // What lives is told all the same.
                Err(error) if !calls.is_empty() => warn!(%error, "calls of a correlation id not read"),
                Err(error) => {
                    warn!(%error, "calls of a correlation id not read");
                    return Err(TracesUnavailable);
                }
            }
            let mut stories = Vec::new();
            for call in calls {
                stories.extend(self.story(call).await?);
            }
            Ok(stories)
        })
    }
}

/// Most calls that one id explains: whoever gives all his calls one trace is told of the first.
const MOST: u64 = 100;

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

/// From the database: the stories of all calls with this id.
///
/// # Errors
/// The database does not answer.
pub(crate) async fn stored_correlated(storage: &Storage, id: CorrelationId) -> Result<Vec<Story>, QueryError> {
    let mut stories = Vec::new();
    for call in storage.calls_correlated(id, MOST).await? {
        stories.extend(stored(storage, call).await?);
    }
    Ok(stories)
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
