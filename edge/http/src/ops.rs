//! The operator's endpoints.

mod attempt;
mod revoke;

use attempt::Attempt;
use axum::extract::{FromRequest, Request, State};
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use serde::Deserialize;
use tandem_actors::calls::CallView;
use tandem_actors::drill::How;
use tandem_actors::tree::PartView;
use tandem_core::metric::Counter;
use tokio::task::spawn_blocking;

use crate::api::Shared;
use crate::auth::CameFrom;
use crate::problem::Problem;
use crate::refused::Noted;
use crate::{audit, cdrs, correlation, trace};

/// Below `/api/v1/ops`.
pub(crate) fn routes(shared: &Shared) -> Router<Shared> {
    Router::new()
        .route("/calls", get(calls))
        .route("/calls/{call_id}/trace", get(trace::trace))
        .nest("/cdrs", cdrs::operator_routes())
        .route("/correlations/{correlation_id}", get(correlation::correlation))
        .route("/tree", get(tree))
        .route("/break", post(break_part))
        .route("/audit", get(audit::list_all))
        .route("/revocations", post(revoke::revoke))
        .fallback(|| async { Problem::NotFound })
        .layer(from_fn_with_state(shared.clone(), authorized))
}

async fn authorized(State(shared): State<Shared>, request: Request, next: Next) -> Response {
    if shared.api.token.admits(request.headers()) {
        next.run(request).await
    } else {
        shared.api.metrics.count(Counter::ApiRefused);
        Problem::Unauthorized.into_response()
    }
}

async fn calls(State(shared): State<Shared>) -> Json<Vec<CallView>> {
    Json(shared.api.operator.calls())
}

/// Where nobody waits for it: of thousands of calls it is a megabyte of text.
async fn tree(State(shared): State<Shared>) -> Result<Response, Problem> {
    let written = spawn_blocking(move || {
        let parts: Vec<PartView> = shared.api.operator.tree();
        Json(parts).into_response()
    });
    written.await.map_err(|_| Problem::Unavailable)
}

async fn break_part(
    State(shared): State<Shared>,
    Extension(CameFrom(from)): Extension<CameFrom>,
    request: Request,
) -> Response {
    let mut attempt = Attempt::new(shared.clone(), from);
    let request = Json::<BreakRequest>::from_request(request, &()).await;
    attempt.asked = request.as_ref().ok().map(|Json(it)| (it.id.clone(), it.how));
    attempt.outcome = if shared.api.may_break {
        request.map_err(Problem::from).and_then(|Json(it)| Ok(shared.api.operator.break_part(&it.id, it.how)?))
    } else {
        Err(Problem::BreakDisabled)
    };
    let mut response = attempt.outcome.clone().map(|()| StatusCode::NO_CONTENT).into_response();
    response.extensions_mut().insert(Noted);
    response
}

/// What is to be broken, and how.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BreakRequest {
    /// As the tree has it.
    id: String,
    how: How,
}
