//! The calls API, as it is mounted at `/api/calls` and at `/api/v1/calls`.
//!
//! ```text
//!  POST /initiate ─▶ our offer          POST /{call_id}/answer ─▶ connecting | active
//!  POST /terminate, /{call_id}/reject ─▶ over          GET / and /{call_id} ─▶ live calls over stored ones
//! ```
//!
//! # Invariants
//! * Somebody else's call is no call: the same answer, by the same way.
//! * Whatever is asked twice is done once.

mod answer;
mod dialled;
mod ending;
pub(crate) mod idempotency;
mod initiate;
mod list;

use std::time::Duration;

use axum::Router;
use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use axum::routing::{get, post};
use serde::Serialize;
use tandem_core::id::CallId;
use utoipa::ToSchema;

use crate::api::{Api, Shared};
use crate::bearer::Principal;
use crate::problem::Problem;
use crate::user_call::{Status, UserCall};

pub(crate) use answer::{__path_answer, __path_candidates};
pub(crate) use ending::{__path_reject, __path_terminate};
pub(crate) use initiate::__path_initiate;
pub(crate) use list::{__path_find, __path_list};

/// How long the facts of something that a leg was told may take.
const SETTLED_IN: Duration = Duration::from_secs(2);

/// Routes of the calls API.
pub(crate) fn routes() -> Router<Shared> {
    Router::new()
        .route("/", get(list::list))
        .route("/initiate", post(initiate::initiate))
        .route("/terminate", post(ending::terminate))
        .route("/{call_id}", get(list::find))
        .route("/{call_id}/answer", post(answer::answer))
        .route("/{call_id}/reject", post(ending::reject))
        .route("/{call_id}/candidates", post(answer::candidates))
}

/// Where a call stands now.
#[derive(Serialize, ToSchema)]
pub(crate) struct CallStatus {
    call_id: String,
    status: Status,
}

/// The call that a path names. What is no id of a call names none.
pub(crate) struct Named(CallId);

impl<S: Send + Sync> FromRequestParts<S> for Named {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = Path::<String>::from_request_parts(parts, state).await.map_err(|_| Problem::CallNotFound)?;
        call_id(&path).map(Self)
    }
}

fn call_id(text: &str) -> Result<CallId, Problem> {
    text.parse().map_err(|_| Problem::CallNotFound)
}

/// One of the user's calls: live, over a moment ago, or stored.
async fn find(api: &Api, principal: &Principal, call: CallId) -> Result<UserCall, Problem> {
    let live = api.clients.look(&principal.key(), |user| user.call(call).cloned()).flatten();
    match live {
        Some(call) => Ok(call),
        None => api.history.find(&principal.tenant, principal.user_id, call).await?.ok_or(Problem::CallNotFound),
    }
}
