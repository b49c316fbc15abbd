//! The operator's endpoints.

use std::str::FromStr;

use axum::extract::rejection::JsonRejection;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use tandem_actors::calls::{CallActor, CallView, How};
use tracing::warn;

use crate::api::Shared;
use crate::operator::Part;
use crate::problem::Problem;
use crate::trace;

/// Below `/api/v1/ops`.
pub(crate) fn routes(shared: &Shared) -> Router<Shared> {
    let mut routes = Router::new().route("/calls", get(calls)).route("/calls/{call_id}/trace", get(trace::trace));
    if shared.api.may_break {
        routes = routes.route("/break", post(break_part));
    }
    routes.fallback(|| async { Problem::NotFound }).layer(from_fn_with_state(shared.clone(), authorized))
}

async fn authorized(State(shared): State<Shared>, request: Request, next: Next) -> Response {
    if shared.api.token.admits(request.headers()) {
        next.run(request).await
    } else {
        Problem::Unauthorized.into_response()
    }
}

async fn calls(State(shared): State<Shared>) -> Json<Vec<CallView>> {
    Json(shared.api.operator.calls())
}

async fn break_part(
    State(shared): State<Shared>,
    request: Result<Json<BreakRequest>, JsonRejection>,
) -> Result<StatusCode, Problem> {
    let Json(request) = request?;
    let part = request.part()?;
    let how = request.how.into();
    warn!(?part, ?how, "broken on purpose");
    shared.api.operator.break_part(part, how)?;
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
