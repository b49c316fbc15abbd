//! A user ends a call: gives his own up, hangs up, or declines.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use tandem_core::id::CallId;
use tandem_core::machine::Refusal;
use tandem_core::trace::Way;
use tracing::{error, info};
use utoipa::ToSchema;

use super::{CallStatus, Named, SETTLED_IN, call_id, find};
use crate::api::{Api, Shared};
use crate::bearer::Principal;
use crate::body::Body;
use crate::problem::{ErrorBody, Problem};
use crate::user_call::{Direction, Status, UserCall};

/// How often a leg is told to end.
const TRIES: u32 = 4;

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TerminateRequest {
    call_id: String,
}

/// A call that is over.
#[derive(Serialize, ToSchema)]
pub(crate) struct Terminated {
    call_id: String,
    /// Seconds from the answer, 0 when it was never answered.
    duration: f64,
    status: Status,
}

/// End a call, whatever it does.
#[utoipa::path(post, path = "/api/v1/calls/terminate", tag = "calls", security(("bearer" = [])),
    request_body = TerminateRequest,
    responses(
        (status = 200, description = "It is over; asked again, the same", body = Terminated),
        (status = 400, description = "`validation_error`", body = ErrorBody),
        (status = 401, description = "`unauthorized`", body = ErrorBody),
        (status = 404, description = "`call_not_found`", body = ErrorBody),
        (status = 413, description = "`payload_too_large`", body = ErrorBody),
        (status = 503, description = "`call_termination_failed`", body = ErrorBody, headers(("Retry-After" = u64, description = "Seconds"))),
    ))]
pub(crate) async fn terminate(
    State(shared): State<Shared>,
    principal: Principal,
    Body(request): Body<TerminateRequest>,
) -> Result<Json<Terminated>, Problem> {
    let call = find(&shared.api, &principal, call_id(&request.call_id)?).await?;
    let call = end(&shared.api, &principal, call, false).await?;
    let duration = call.duration(shared.api.clients.clock.now().wall);
    Ok(Json(Terminated { call_id: call.call_id.to_string(), duration, status: call.status() }))
}

/// Decline a call, for all clients of the user.
#[utoipa::path(post, path = "/api/v1/calls/{call_id}/reject", tag = "calls", security(("bearer" = [])),
    params(("call_id" = String, Path)),
    responses(
        (status = 200, description = "It is over; asked again, the same", body = CallStatus),
        (status = 401, description = "`unauthorized`", body = ErrorBody),
        (status = 404, description = "`call_not_found`: not there, or the user's own", body = ErrorBody),
        (status = 409, description = "`call_already_active`", body = ErrorBody),
        (status = 503, description = "`call_termination_failed`", body = ErrorBody, headers(("Retry-After" = u64, description = "Seconds"))),
    ))]
pub(crate) async fn reject(
    State(shared): State<Shared>,
    principal: Principal,
    Named(call): Named,
) -> Result<Json<CallStatus>, Problem> {
    let call = find(&shared.api, &principal, call).await?;
    if call.direction == Direction::Outgoing {
        return Err(Problem::CallNotFound);
    }
    if call.status() == Status::Active {
        return Err(Problem::CallAlreadyActive);
    }
    let call = end(&shared.api, &principal, call, true).await?;
    Ok(Json(CallStatus { call_id: call.call_id.to_string(), status: call.status() }))
}

/// Ends a call and waits for it to be over. One that is over stays as it is; one that was answered meanwhile is not
/// declined.
async fn end(api: &Api, principal: &Principal, call: UserCall, declines: bool) -> Result<UserCall, Problem> {
    if call.is_over() {
        return Ok(call);
    }
    let (call_id, correlation_id) = (call.call_id, call.correlation_id);
    info!(%call_id, %correlation_id, user_id = %principal.user_id, "call terminated");
    // Another client may answer at the same moment: what a ringing leg was told then means nothing to it, and it is told
    // what a talking one understands.
    let asked = if declines { "POST reject" } else { "POST terminate" };
    for nth in 0..TRIES {
        if let Some((leg, input)) = api.clients.way_out(&principal.key(), call_id) {
            if nth == 0 {
                api.clients.note(leg, Way::In, asked, None);
            }
            // A leg that is gone has ended; what came of it is told in a moment.
            if let Err(refusal @ (Refusal::Full | Refusal::Crashed)) = api.clients.calls.tell_leg(leg, input) {
                error!(%call_id, %correlation_id, leg_id = %leg, ?refusal, "leg does not end");
                return Err(Problem::TerminationFailed);
            }
        }
        if let Some(call) = over(api, principal, call_id).await {
            return Ok(call);
        }
        if declines && api.clients.look(&principal.key(), |user| user.is_talking_in(call_id)).unwrap_or(false) {
            return Err(Problem::CallAlreadyActive);
        }
    }
    error!(%call_id, %correlation_id, "call does not end");
    Err(Problem::TerminationFailed)
}

async fn over(api: &Api, principal: &Principal, call: CallId) -> Option<UserCall> {
    let over = |user: &crate::clients::User| user.call(call).filter(|call| call.is_over()).cloned();
    api.clients.until(&principal.key(), SETTLED_IN / TRIES, over).await
}
