//! The operator's endpoints.

mod audit;

use axum::extract::rejection::JsonRejection;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use serde::Deserialize;
use tandem_actors::calls::CallView;
use tandem_actors::drill::How;
use tandem_actors::tree::PartView;
use tokio::task::spawn_blocking;

use crate::api::Shared;
use crate::auth::CameFrom;
use crate::problem::Problem;

/// Below `/api/v1/ops`.
pub(crate) fn routes(shared: &Shared) -> Router<Shared> {
    Router::new()
        .route("/calls", get(calls))
        .route("/tree", get(tree))
        .route("/break", post(break_part))
        .fallback(|| async { Problem::NotFound })
        .layer(from_fn_with_state(shared.clone(), authorized))
}

async fn authorized(
    State(shared): State<Shared>,
    Extension(from): Extension<CameFrom>,
    request: Request,
    next: Next,
) -> Response {
    if shared.api.token.admits(request.headers()) {
        next.run(request).await
    } else {
        audit::refused(from, request.method(), request.uri().path());
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
    Extension(from): Extension<CameFrom>,
    request: Result<Json<BreakRequest>, JsonRejection>,
) -> Result<StatusCode, Problem> {
    let asked = request.as_ref().map_or((None, None), |Json(it)| (Some(it.id.clone()), Some(it.how)));
    let outcome = if shared.api.may_break {
        request.map_err(Problem::from).and_then(|Json(it)| Ok(shared.api.operator.break_part(&it.id, it.how)?))
    } else {
        Err(Problem::BreakDisabled)
    };
    audit::broken(from, asked, &outcome);
    outcome.map(|()| StatusCode::NO_CONTENT)
}

/// What is to be broken, and how.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BreakRequest {
    /// As the tree has it.
    id: String,
    how: How,
}
