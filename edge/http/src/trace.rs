//! Why a call went as it did, for the operator. Who reads it is noted in the audit log.

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::{Extension, Json};
use futures::future::BoxFuture;
use tandem_core::audit::{Action, Actor, Deed};
use tandem_core::id::{CallId, CorrelationId, Tenant};
use tandem_core::trace::Story;

use crate::api::Shared;
use crate::auth::CameFrom;
use crate::problem::{ErrorBody, Problem};

/// The stories of calls; the composition root implements it over memory and database.
pub trait Traces: Send + Sync + 'static {
    /// The story of a call that lives, or ended not too long ago.
    ///
    /// # Errors
    /// [`TracesUnavailable`].
    fn story(&self, call: CallId) -> BoxFuture<'_, Result<Option<Story>, TracesUnavailable>>;

    /// The stories of all calls with this id, the first one first. Many share one only where somebody makes them.
    ///
    /// # Errors
    /// [`TracesUnavailable`].
    fn correlated(&self, id: CorrelationId) -> BoxFuture<'_, Result<Vec<Story>, TracesUnavailable>>;
}

/// They cannot be read now.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the stories of calls cannot be read now")]
pub struct TracesUnavailable;

impl From<TracesUnavailable> for Problem {
    fn from(TracesUnavailable: TracesUnavailable) -> Self {
        Self::Unavailable
    }
}

/// The story of a call: what was noted of it, in the order of time.
#[utoipa::path(get, path = "/api/v1/ops/calls/{call_id}/trace", operation_id = "read_story", tag = "ops", security(("operator" = [])),
    params(("call_id" = String, Path, pattern = "^call_[0-9a-f]{32}$")),
    responses(
        (status = 200, description = "As `tandem why --json` prints it. For people: fields come and go", body = Object),
        (status = 401, description = "`unauthorized`", body = ErrorBody),
        (status = 404, description = "`call_not_found`", body = ErrorBody),
        (status = 503, description = "`unavailable`", body = ErrorBody, headers(("Retry-After" = u64, description = "Seconds"))),
    ))]
pub(crate) async fn trace(
    State(shared): State<Shared>,
    Extension(CameFrom(from)): Extension<CameFrom>,
    call: Result<Path<String>, PathRejection>,
) -> Result<Json<Story>, Problem> {
    let Some(call_id) = call.ok().and_then(|Path(call)| call.parse::<CallId>().ok()) else {
        shared.audit(Deed::new(Tenant::operator(), Actor::Operator, Action::TraceRead, "no_id").from(Some(from)));
        return Err(Problem::CallNotFound);
    };
    let story = shared.api.traces.story(call_id).await;
    let outcome = match &story {
        Ok(Some(_)) => "read",
        Ok(None) => "not_found",
        Err(_) => "unavailable",
    };
    // His matter whose call it is.
    let (tenant, correlation_id) = match &story {
        Ok(Some(story)) => (story.tenant.clone(), Some(story.correlation_id)),
        _ => (Tenant::operator(), None),
    };
    let deed = Deed { correlation_id, ..Deed::new(tenant, Actor::Operator, Action::TraceRead, outcome) };
    shared.audit(deed.from(Some(from)).of(call_id));
    story?.map(Json).ok_or(Problem::CallNotFound)
}
