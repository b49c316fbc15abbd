//! Routes and handlers.

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::rejection::JsonRejection;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use tandem_actors::calls::{CallActor, CallView, How};
use tandem_core::metric::Metrics;
use tracing::warn;

use crate::config::Config;
use crate::metrics::exposition;
use crate::operator::{NotReady, Operator, Part};
use crate::problem::Problem;
use crate::token::OperatorToken;

/// What the endpoints need.
#[derive(Clone)]
pub struct Api {
    /// The node's counts.
    pub metrics: Arc<Metrics>,
    /// The node itself.
    pub operator: Arc<dyn Operator>,
    /// Who may ask it.
    pub token: OperatorToken,
    /// Whether parts may be broken on purpose: in development only.
    pub may_break: bool,
}

/// All routes.
pub fn router(api: Api, config: &Config) -> Router {
    let timeout = config.request_timeout;
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .nest("/api/v1/ops", ops(&api))
        .fallback(|| async { Problem::NotFound })
        .method_not_allowed_fallback(|| async { Problem::MethodNotAllowed })
        .layer(from_fn(move |request, next| limited(timeout, request, next)))
        .layer(DefaultBodyLimit::max(config.body_limit))
        .with_state(api)
}

fn ops(api: &Api) -> Router<Api> {
    let mut routes = Router::new().route("/calls", get(calls));
    if api.may_break {
        routes = routes.route("/break", post(break_part));
    }
    routes.fallback(|| async { Problem::NotFound }).layer(from_fn_with_state(api.clone(), authorized))
}

async fn limited(timeout: Duration, request: Request, next: Next) -> Response {
    tokio::time::timeout(timeout, next.run(request)).await.unwrap_or_else(|_| Problem::TimedOut.into_response())
}

async fn authorized(State(api): State<Api>, request: Request, next: Next) -> Response {
    if api.token.admits(request.headers()) { next.run(request).await } else { Problem::Unauthorized.into_response() }
}

async fn readyz(State(api): State<Api>) -> Response {
    let missing = api.operator.not_ready();
    let status = if missing.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(Readiness { ready: missing.is_empty(), missing })).into_response()
}

#[derive(Serialize)]
struct Readiness {
    ready: bool,
    missing: Vec<NotReady>,
}

async fn metrics(State(api): State<Api>) -> Response {
    match exposition(&api.metrics) {
        Ok(text) => ([(CONTENT_TYPE, prometheus::TEXT_FORMAT)], text).into_response(),
        Err(error) => {
            warn!(%error, "metrics not exported");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

async fn calls(State(api): State<Api>) -> Json<Vec<CallView>> {
    Json(api.operator.calls())
}

async fn break_part(
    State(api): State<Api>,
    request: Result<Json<BreakRequest>, JsonRejection>,
) -> Result<StatusCode, Problem> {
    let Json(request) = request?;
    let part = request.part()?;
    let how = request.how.into();
    warn!(?part, ?how, "broken on purpose");
    api.operator.break_part(part, how)?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BreakRequest {
    kind: Kind,
    id: String,
    how: Way,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Call,
    Leg,
    Track,
    Worker,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Way {
    Kill,
    Panic,
}

impl From<Way> for How {
    fn from(way: Way) -> Self {
        match way {
            Way::Kill => Self::Kill,
            Way::Panic => Self::Panic,
        }
    }
}

impl BreakRequest {
    fn part(&self) -> Result<Part, Problem> {
        match self.kind {
            Kind::Call => self.id().map(CallActor::Call).map(Part::Actor),
            Kind::Leg => self.id().map(CallActor::Leg).map(Part::Actor),
            Kind::Track => self.id().map(CallActor::Track).map(Part::Actor),
            Kind::Worker => self.id().map(Part::Worker),
        }
    }

    fn id<T: FromStr>(&self) -> Result<T, Problem> {
        self.id.parse().map_err(|_| Problem::InvalidId(self.id.clone()))
    }
}
