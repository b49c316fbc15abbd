//! A client answers our offer: of a call that its user makes, or takes.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use tandem_core::id::{CallId, LegId};
use tandem_core::leg::LegInput;
use tandem_core::machine::Refusal;
use tandem_core::metric::Counter;
use tandem_core::trace::Way;
use tandem_sdp::parse_peer_answer;
use tracing::{debug, error};
use utoipa::ToSchema;

use super::{Named, SETTLED_IN, find};
use crate::api::{Api, Shared};
use crate::bearer::Principal;
use crate::body::Body;
use crate::clients::Claim;
use crate::problem::{ErrorBody, Problem};
use crate::user_call::Status;

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AnswerRequest {
    sdp_answer: String,
    /// The session that is answered, when the client wants to be sure.
    #[serde(default)]
    session_id: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct Answered {
    call_id: String,
    session_id: String,
    status: Status,
}

/// Answer our offer: go on with one's own call, or take one.
#[utoipa::path(post, path = "/api/v1/calls/{call_id}/answer", tag = "calls", security(("bearer" = [])),
    params(("call_id" = String, Path)), request_body = AnswerRequest,
    responses(
        (status = 200, description = "`connecting` until the callee has answered, else `active`", body = Answered),
        (status = 400, description = "`validation_error`, `invalid_sdp`", body = ErrorBody),
        (status = 401, description = "`unauthorized`", body = ErrorBody),
        (status = 404, description = "`call_not_found`", body = ErrorBody),
        (status = 409, description = "`call_already_active`, `call_ended`", body = ErrorBody),
        (status = 413, description = "`payload_too_large`", body = ErrorBody),
        (status = 503, description = "`call_initiation_failed`", body = ErrorBody, headers(("Retry-After" = u64, description = "Seconds"))),
    ))]
pub(crate) async fn answer(
    State(shared): State<Shared>,
    principal: Principal,
    Named(call): Named,
    Body(request): Body<AnswerRequest>,
) -> Result<Json<Answered>, Problem> {
    let api = &shared.api;
    let session = request.session_id.map(|it| it.parse::<LegId>()).transpose().map_err(|_| Problem::CallNotFound)?;
    let claim = match api.clients.claim(&principal.key(), call, session) {
        Err(Problem::CallNotFound) => return Err(not_claimed(api, &principal, call).await),
        claim => claim?,
    };
    api.clients.note(claim.leg, Way::In, "POST answer", Some(&request.sdp_answer));
    let told = tell(api, &claim, &request.sdp_answer);
    api.clients.claimed(&principal.key(), claim.leg, told.is_ok());
    if let Err(problem) = told {
        debug!(call_id = %call, leg_id = %claim.leg, %problem, "answer not taken");
        api.clients.note(claim.leg, Way::Out, &format!("{} {problem}", problem.status().as_u16()), None);
        return Err(problem);
    }
    debug!(call_id = %call, leg_id = %claim.leg, "answer taken");
    let status = settled(api, &principal, call, &claim).await?;
    Ok(Json(Answered { call_id: call.to_string(), session_id: claim.leg.to_string(), status }))
}

/// No client of his can answer it now: it is over, or it is none of his.
async fn not_claimed(api: &Api, principal: &Principal, call: CallId) -> Problem {
    match find(api, principal, call).await {
        Ok(call) if call.is_over() => Problem::CallEnded,
        Ok(_) => Problem::CallNotFound,
        Err(problem) => problem,
    }
}

fn tell(api: &Api, claim: &Claim, sdp_answer: &str) -> Result<(), Problem> {
    let answer = parse_peer_answer(sdp_answer.as_bytes(), &claim.offer).map_err(|error| {
        api.metrics.count(Counter::SdpMalformed);
        Problem::InvalidSdp(error)
    })?;
    let answer = answer.into();
    let input = if claim.is_caller { LegInput::Completed(answer) } else { LegInput::Answered(answer) };
    api.clients.calls.tell_leg(claim.leg, input).map_err(|refusal| match refusal {
        Refusal::Gone => Problem::CallEnded,
        Refusal::Full | Refusal::Crashed => {
            error!(leg_id = %claim.leg, ?refusal, "leg takes no answer");
            Problem::InitiationFailed
        }
    })
}

/// What came of it. Another device of the callee may have been faster.
async fn settled(api: &Api, principal: &Principal, call: CallId, claim: &Claim) -> Result<Status, Problem> {
    let key = principal.key();
    if claim.is_caller {
        let status = api.clients.look(&key, |user| user.call(call).map(|call| call.status())).flatten();
        return Ok(status.filter(|status| *status == Status::Active).unwrap_or(Status::Connecting));
    }
    let over = |user: &crate::clients::User| {
        let call = user.call(call)?;
        match call.status() {
            Status::Active if call.session_id == claim.leg => Some(Ok(Status::Active)),
            Status::Active => Some(Err(Problem::CallAlreadyActive)),
            Status::Completed | Status::Failed => Some(Err(Problem::CallEnded)),
            Status::Initialized | Status::Connecting => None,
        }
    };
    api.clients.until(&key, SETTLED_IN, over).await.unwrap_or(Ok(Status::Connecting))
}

#[derive(Deserialize, ToSchema)]
pub(crate) struct Candidates {
    /// ICE candidates of the client.
    #[serde(default)]
    #[allow(dead_code, reason = "read to be checked")]
    candidates: Option<Vec<serde_json::Value>>,
}

/// Candidates of the client. An ICE-lite server needs none: checks tell it where the client is.
#[utoipa::path(post, path = "/api/v1/calls/{call_id}/candidates", tag = "calls", security(("bearer" = [])),
    params(("call_id" = String, Path)), request_body = Candidates,
    responses(
        (status = 204, description = "Noted"),
        (status = 400, description = "`validation_error`", body = ErrorBody),
        (status = 401, description = "`unauthorized`", body = ErrorBody),
        (status = 404, description = "`call_not_found`", body = ErrorBody),
        (status = 413, description = "`payload_too_large`", body = ErrorBody),
        (status = 503, description = "`unavailable`", body = ErrorBody, headers(("Retry-After" = u64, description = "Seconds"))),
    ))]
pub(crate) async fn candidates(
    State(shared): State<Shared>,
    principal: Principal,
    Named(call): Named,
    _candidates: Body<Candidates>,
) -> Result<StatusCode, Problem> {
    find(&shared.api, &principal, call).await?;
    Ok(StatusCode::NO_CONTENT)
}
