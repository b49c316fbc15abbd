//! A user calls from a client: he gets our offer, and the callee is called at once.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use tandem_core::call::NewCall;
use tandem_core::cause::Cause;
use tandem_core::event::Context;
use tandem_core::id::{CallId, CorrelationId, LegId};
use tandem_core::leg::{LegInput, Negotiation};
use tandem_core::metric::Counter;
use tandem_core::party::{Identity, Number, Party};
use tandem_core::pii::Pii;
use tandem_core::ports::EdgePort;
use tandem_core::trace::Way;
use tandem_core::trace_context::{SpanId, TraceParent, traceparent};
use tokio::sync::oneshot;
use tokio::time::timeout;
use tracing::{debug, error, info};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{dialled, idempotency};
use crate::api::{Api, Shared};
use crate::bearer::Principal;
use crate::body::Body;
use crate::clients::Proposed;
use crate::problem::{ErrorBody, Problem};
use crate::user_call::{Status, time};

/// How long our offer may take. It takes milliseconds, unless something is broken.
const OFFERED_IN: Duration = Duration::from_secs(5);

/// Max-Forwards of a call that begins here, less our own hop (RFC 3261, 16.6).
const MAX_FORWARDS: u8 = 69;

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct InitiateRequest {
    /// E.164, an extension, or `sip:user@` one of our hosts.
    #[schema(value_type = String, example = "+493012345678")]
    phone_number: Pii<String>,
}

/// Name of the header (W3C Trace Context).
const TRACEPARENT: &str = "traceparent";

/// A call that has begun.
#[derive(Clone, Serialize, ToSchema)]
pub(crate) struct Initiated {
    /// Its trace, and its span in it.
    #[serde(skip)]
    #[schema(ignore)]
    traceparent: String,
    call_id: String,
    session_id: String,
    /// To be answered within 15 s.
    sdp_offer: String,
    status: Status,
    start_time: String,
}

/// Call somebody.
#[utoipa::path(post, path = "/api/v1/calls/initiate", tag = "calls", security(("bearer" = [])),
    request_body = InitiateRequest,
    params(("Idempotency-Key" = Option<String>, Header, description = "The same key does it once, for 10 minutes", min_length = 1, max_length = 255, pattern = "^[!-~]+$"),
        ("traceparent" = Option<String>, Header, description = "W3C trace context: its trace id becomes the call's correlation id. One that is not valid counts as none")),
    responses(
        (status = 200, description = "The callee is being called; answer the offer within 15 s", body = Initiated,
            headers(("traceparent" = String, description = "The call's trace, and its span"))),
        (status = 400, description = "`validation_error`", body = ErrorBody),
        (status = 401, description = "`unauthorized`", body = ErrorBody),
        (status = 403, description = "`forbidden`: the user may not call there", body = ErrorBody),
        (status = 404, description = "`unknown_number`", body = ErrorBody),
        (status = 409, description = "`call_already_active`, `idempotency_conflict`, `unreachable`", body = ErrorBody),
        (status = 413, description = "`payload_too_large`", body = ErrorBody),
        (status = 429, description = "`rate_limited`: the user or tenant calls too often", body = ErrorBody, headers(("Retry-After" = u64, description = "Seconds"))),
        (status = 503, description = "`call_initiation_failed`, `overload`", body = ErrorBody, headers(("Retry-After" = u64, description = "Seconds"))),
    ))]
pub(crate) async fn initiate(
    State(shared): State<Shared>,
    principal: Principal,
    headers: HeaderMap,
    Body(request): Body<InitiateRequest>,
) -> Result<Response, Problem> {
    let key = idempotency::key(&headers)?;
    let sender = sender(&headers);
    let tenants = shared.api.tenants.tenants();
    if !tenants.is_enabled(&principal.tenant) {
        return Err(Problem::Forbidden);
    }
    let is_ours = |host: &str| match tenants.owner(host) {
        Some(owner) => *owner == principal.tenant,
        None => shared.api.domains.iter().any(|domain| domain.eq_ignore_ascii_case(host)),
    };
    let dialled = dialled::read(request.phone_number.reveal(), is_ours)?;
    let clients = shared.api.clients.clone();
    // A client that goes away in the middle may come again with its key, and finds what it began.
    let begun = clients.tasks.spawn(async move {
        let (api, user) = (&shared.api, principal.key());
        let asked = dialled.clone();
        api.clients.idempotency.once(user, key, asked, begin(api, &principal, dialled, sender)).await
    });
    let begun = begun.await.unwrap_or(Err(Problem::InitiationFailed))?;
    let trace = HeaderValue::from_str(&begun.traceparent).ok().map(|it| [(TRACEPARENT, it)]);
    Ok((trace, Json(begun)).into_response())
}

/// Whose trace the call is to be a part of. One that is not valid is none, as the standard wants it.
fn sender(headers: &HeaderMap) -> Option<TraceParent> {
    let mut sent = headers.get_all(TRACEPARENT).iter();
    let (sent, None) = (sent.next()?, sent.next()) else { return None };
    sent.to_str().ok()?.parse().ok()
}

async fn begin(
    api: &Api,
    principal: &Principal,
    dialled: Number,
    sender: Option<TraceParent>,
) -> Result<Initiated, Problem> {
    let (call, leg) = (CallId::from_uuid(Uuid::now_v7()), LegId::from_uuid(Uuid::now_v7()));
    let correlation_id = sender.map_or_else(|| CorrelationId::from_uuid(Uuid::new_v4()), |it| it.correlation_id);
    let started_at = api.clients.clock.now().wall;
    let sent = sender.map(|it| format!("\r\n{TRACEPARENT}: {}", traceparent(it.correlation_id, it.parent)));
    let asked = format!("POST initiate {}{}", dialled.reveal(), sent.unwrap_or_default());
    let proposed = api.clients.begin(&principal.key(), call, leg)?;
    let context = Context { tenant: principal.tenant.clone(), correlation_id, node: api.clients.node };
    let new = NewCall {
        call,
        leg,
        context,
        caller: caller(principal),
        dialled,
        negotiation: Negotiation::AtOnce,
        max_forwards: MAX_FORWARDS,
        ring_timeout: api.ring_timeout,
    };
    let offer = match api.clients.calls.open_call(new) {
        Ok(()) => {
            // By now the call may have begun, which is what it asked for.
            api.clients.note_at(started_at, leg, Way::In, &asked, None);
            offer(api, leg, proposed).await
        }
        Err(cause) => {
            api.clients.release(leg);
            Err(cause)
        }
    };
    match offer {
        Ok(sdp_offer) => {
            api.clients.note(leg, Way::Out, "200 our offer", Some(&sdp_offer));
            info!(call_id = %call, %correlation_id, leg_id = %leg, user_id = %principal.user_id, "call initiated");
            api.metrics.count(Counter::ApiCallsInitiated);
            let (call_id, session_id, start_time) = (call.to_string(), leg.to_string(), time(started_at));
            let traceparent = traceparent(correlation_id, SpanId::of_call(call));
            Ok(Initiated { traceparent, call_id, session_id, sdp_offer, status: Status::Connecting, start_time })
        }
        Err(cause) => {
            api.metrics.count(Counter::ApiCallsFailed);
            let (problem, is_load, cause) = (refusal(cause), is_load(cause), cause.name());
            api.clients.note(leg, Way::Out, &format!("{} {cause}", problem.status().as_u16()), None);
            match problem {
                // The door tells of it, and not of each.
                _ if is_load => debug!(call_id = %call, %correlation_id, cause, "call not initiated"),
                Problem::InitiationFailed => error!(call_id = %call, %correlation_id, cause, "call not initiated"),
                _ => info!(call_id = %call, %correlation_id, cause, "call not initiated"),
            }
            Err(problem)
        }
    }
}

fn refusal(cause: Cause) -> Problem {
    match cause {
        Cause::InvalidNumber => Problem::invalid("phone_number is no number that can be dialled"),
        cause => Problem::of_initiation(cause),
    }
}

/// Nobody has to look at that.
const fn is_load(cause: Cause) -> bool {
    matches!(cause, Cause::Overload | Cause::RateLimited | Cause::Throttled | Cause::Shutdown)
}

/// Our offer, in time. Without one the leg ends, unless it has already.
async fn offer(api: &Api, leg: LegId, proposed: oneshot::Receiver<Proposed>) -> Proposed {
    let proposed = timeout(OFFERED_IN, proposed).await;
    let offer = proposed.ok().and_then(Result::ok).unwrap_or(Err(Cause::SystemFailure));
    if let Err(cause) = offer {
        let _gone = api.clients.calls.tell_leg(leg, LegInput::HangUp(cause));
    }
    offer
}

fn caller(principal: &Principal) -> Party {
    Party {
        number: principal.extension.clone(),
        name: principal.display_name.clone(),
        identity: Identity::User { user_id: principal.user_id, device_id: principal.device_id },
    }
}
