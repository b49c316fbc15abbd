//! The operator's endpoints.

mod attempt;
pub(crate) mod revoke;

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
use utoipa::ToSchema;

use crate::api::Shared;
use crate::auth::CameFrom;
use crate::body::Body;
use crate::problem::{ErrorBody, Problem};
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

/// Every call that is not over, the oldest first.
#[utoipa::path(get, path = "/api/v1/ops/calls", operation_id = "list_live_calls", tag = "ops", security(("operator" = [])),
    responses(
        (status = 200, description = "Every one", body = Vec<CallDocument>),
        (status = 401, description = "`unauthorized`", body = ErrorBody),
    ))]
pub(crate) async fn calls(State(shared): State<Shared>) -> Json<Vec<CallView>> {
    Json(shared.api.operator.calls())
}

/// Every actor and media thread of the node.
#[utoipa::path(get, path = "/api/v1/ops/tree", operation_id = "read_tree", tag = "ops", security(("operator" = [])),
    responses(
        (status = 200, description = "Every one, parents first", body = Vec<PartDocument>),
        (status = 401, description = "`unauthorized`", body = ErrorBody),
        (status = 503, description = "`unavailable`", body = ErrorBody, headers(("Retry-After" = u64, description = "Seconds"))),
    ))]
pub(crate) async fn tree(State(shared): State<Shared>) -> Result<Response, Problem> {
    // Where nobody waits for it: of thousands of calls it is a megabyte of text.
    let written = spawn_blocking(move || {
        let parts: Vec<PartView> = shared.api.operator.tree();
        Json(parts).into_response()
    });
    written.await.map_err(|_| Problem::Unavailable)
}

/// Break a part of the node on purpose.
#[utoipa::path(post, path = "/api/v1/ops/break", operation_id = "break_part", tag = "ops", security(("operator" = [])),
    request_body = BreakRequest,
    responses(
        (status = 204, description = "It was told to"),
        (status = 400, description = "`validation_error`", body = ErrorBody),
        (status = 401, description = "`unauthorized`", body = ErrorBody),
        (status = 403, description = "`break_disabled`: not allowed on this node", body = ErrorBody),
        (status = 404, description = "`part_not_found`", body = ErrorBody),
        (status = 409, description = "`break_unsupported`: a thread cannot be killed", body = ErrorBody),
        (status = 413, description = "`payload_too_large`", body = ErrorBody),
    ))]
pub(crate) async fn break_part(
    State(shared): State<Shared>,
    Extension(CameFrom(from)): Extension<CameFrom>,
    request: Request,
) -> Response {
    let mut attempt = Attempt::new(shared.clone(), from);
    let request = Body::<BreakRequest>::from_request(request, &()).await;
    attempt.asked = request.as_ref().ok().map(|Body(it)| (it.id.clone(), it.how));
    attempt.outcome = if shared.api.may_break {
        request.and_then(|Body(it)| Ok(shared.api.operator.break_part(&it.id, it.how)?))
    } else {
        Err(Problem::BreakDisabled)
    };
    let mut response = attempt.outcome.clone().map(|()| StatusCode::NO_CONTENT).into_response();
    response.extensions_mut().insert(Noted);
    response
}

/// What is to be broken, and how.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct BreakRequest {
    /// As the tree has it.
    id: String,
    /// `kill`, `panic` or `hang`.
    #[schema(value_type = String, pattern = "^(kill|panic|hang)$")]
    how: How,
}

/// Stands for [`CallView`], whose own schema takes its place in the document.
#[derive(ToSchema)]
#[schema(as = CallView)]
pub(crate) struct CallDocument {}

/// Stands for [`PartView`], whose own schema takes its place in the document.
#[derive(ToSchema)]
#[schema(as = PartView)]
pub(crate) struct PartDocument {}
