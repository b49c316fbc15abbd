//! Every refusal, as a status and as JSON.

use std::time::Duration;

use axum::Json;
use axum::extract::Request;
use axum::http::header::{ACCEPT, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use tandem_core::admission;
use tandem_core::cause::Cause;
use tandem_sdp::SdpError;
use utoipa::ToSchema;

use crate::history::HistoryUnavailable;
use crate::identity::{self, NotMapped};
use crate::operator::BreakRefused;
use crate::webhooks::WebhookRefused;

/// When to try again what cannot be done now.
const LATER: Duration = Duration::from_secs(5);

/// Which words a request without a valid token is refused with.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Door {
    /// 401, as HTTP has it.
    Api,
    /// 403, as the calls API at its old place always did.
    Calls,
}

/// Why a request was refused.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum Problem {
    #[error("the operator's token is missing or wrong")]
    Unauthorized,
    #[error("Authentication required")]
    Unauthenticated(Door),
    #[error("there is nothing here")]
    NotFound,
    #[error("this method does not apply here")]
    MethodNotAllowed,
    #[error("the request took too long")]
    TimedOut,
    #[error("breaking parts is not allowed on this node (ops.allow_break)")]
    BreakDisabled,
    #[error("{0}")]
    Break(#[from] BreakRefused),
    #[error("{0}")]
    Invalid(String),
    #[error("the body is larger than {0} bytes")]
    TooLarge(usize),
    #[error("sdp_answer: {0}")]
    InvalidSdp(#[from] SdpError),
    #[error("call not found")]
    CallNotFound,
    #[error("there is a call already")]
    CallAlreadyActive,
    #[error("webhook or delivery not found")]
    WebhookNotFound,
    #[error("{0}")]
    Conflict(&'static str),
    #[error("the call is over")]
    CallEnded,
    #[error("this Idempotency-Key came with another body")]
    IdempotencyConflict,
    #[error("nobody has this number")]
    UnknownNumber,
    #[error("nobody can be reached at this number")]
    CalleeUnreachable,
    #[error("{0}")]
    NotMapped(NotMapped),
    #[error("calling there is not allowed")]
    Forbidden,
    #[error("only an administrator of the tenant may do this")]
    NotAdmin,
    #[error("the call could not be begun")]
    InitiationFailed,
    #[error("the call could not be ended")]
    TerminationFailed,
    #[error("name or password is wrong")]
    InvalidCredentials,
    #[error("the refresh token is not valid")]
    InvalidRefreshToken,
    #[error("too many attempts, try again later")]
    RateLimited(Duration),
    #[error("too many calls begin at the moment, try again later")]
    Throttled,
    #[error("not possible at the moment, try again later")]
    Unavailable,
    #[error("this is a WebSocket")]
    UpgradeRequired,
}

/// Every refusal.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct ErrorBody {
    /// What it is, for a program.
    error: &'static str,
    /// What it is, for a person.
    message: String,
}

impl ErrorBody {
    /// What it is, for a program.
    pub(crate) const fn code(&self) -> &'static str {
        self.error
    }
}

impl Problem {
    /// Why a call could not be begun.
    pub(crate) const fn of_initiation(cause: Cause) -> Self {
        match cause {
            Cause::UnknownNumber => Self::UnknownNumber,
            Cause::Unreachable => Self::CalleeUnreachable,
            Cause::Forbidden => Self::Forbidden,
            Cause::RateLimited => Self::RateLimited(admission::RETRY_AFTER),
            Cause::Throttled => Self::Throttled,
            Cause::Normal
            | Cause::Cancelled
            | Cause::AnsweredElsewhere
            | Cause::NoAnswer
            | Cause::Busy
            | Cause::Declined
            | Cause::InvalidNumber
            | Cause::Timeout
            | Cause::Loop
            | Cause::Incompatible
            | Cause::Congestion
            | Cause::Overload
            | Cause::Shutdown
            | Cause::MediaLost
            | Cause::SignallingLost
            | Cause::NodeLost
            | Cause::SystemFailure => Self::InitiationFailed,
        }
    }

    pub(crate) fn invalid(why: impl Into<String>) -> Self {
        Self::Invalid(why.into())
    }

    pub(crate) const fn status(&self) -> StatusCode {
        match self {
            Self::Unauthorized
            | Self::Unauthenticated(Door::Api)
            | Self::InvalidCredentials
            | Self::InvalidRefreshToken => StatusCode::UNAUTHORIZED,
            Self::Unauthenticated(Door::Calls)
            | Self::NotMapped(_)
            | Self::Forbidden
            | Self::NotAdmin
            | Self::BreakDisabled => StatusCode::FORBIDDEN,
            Self::NotFound
            | Self::WebhookNotFound
            | Self::CallNotFound
            | Self::UnknownNumber
            | Self::Break(BreakRefused::Unknown) => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::Invalid(_) | Self::InvalidSdp(_) => StatusCode::BAD_REQUEST,
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Break(BreakRefused::Unsupported)
            | Self::CallAlreadyActive
            | Self::CallEnded
            | Self::Conflict(_)
            | Self::IdempotencyConflict
            | Self::CalleeUnreachable => StatusCode::CONFLICT,
            Self::RateLimited(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::TimedOut | Self::InitiationFailed | Self::TerminationFailed | Self::Throttled | Self::Unavailable => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Self::UpgradeRequired => StatusCode::UPGRADE_REQUIRED,
        }
    }

    pub(crate) const fn code(&self) -> &'static str {
        match self {
            Self::Unauthorized | Self::Unauthenticated(_) => "unauthorized",
            Self::NotFound => "not_found",
            Self::Break(BreakRefused::Unknown) => "part_not_found",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::TimedOut => "timed_out",
            Self::BreakDisabled => "break_disabled",
            Self::Break(BreakRefused::Unsupported) => "break_unsupported",
            Self::Invalid(_) => "validation_error",
            Self::TooLarge(_) => "payload_too_large",
            Self::InvalidSdp(_) => "invalid_sdp",
            Self::CallNotFound => "call_not_found",
            Self::CallAlreadyActive => "call_already_active",
            Self::CallEnded => "call_ended",
            Self::IdempotencyConflict => "idempotency_conflict",
            Self::UnknownNumber => "unknown_number",
            Self::CalleeUnreachable => "unreachable",
            Self::WebhookNotFound => "webhook_not_found",
            Self::Conflict(_) => "conflict",
            Self::NotMapped(_) | Self::Forbidden | Self::NotAdmin => "forbidden",
            Self::InitiationFailed => "call_initiation_failed",
            Self::TerminationFailed => "call_termination_failed",
            Self::InvalidCredentials => "invalid_credentials",
            Self::InvalidRefreshToken => "invalid_refresh_token",
            Self::RateLimited(_) => "rate_limited",
            Self::Throttled => "overload",
            Self::Unavailable => "unavailable",
            Self::UpgradeRequired => "upgrade_required",
        }
    }

    /// When to try again, in whole seconds.
    fn retry_after(&self) -> Option<u64> {
        let after = match self {
            Self::RateLimited(after) => *after,
            Self::Throttled => admission::RETRY_AFTER,
            Self::TimedOut | Self::InitiationFailed | Self::TerminationFailed | Self::Unavailable => LATER,
            _ => return None,
        };
        Some(after.as_secs_f64().ceil().max(1.0) as u64)
    }
}

impl From<HistoryUnavailable> for Problem {
    fn from(HistoryUnavailable: HistoryUnavailable) -> Self {
        Self::Unavailable
    }
}

impl From<identity::Unavailable> for Problem {
    fn from(identity::Unavailable: identity::Unavailable) -> Self {
        Self::Unavailable
    }
}

impl From<WebhookRefused> for Problem {
    fn from(refused: WebhookRefused) -> Self {
        match refused {
            WebhookRefused::TooMany => Self::Conflict("there are too many webhooks"),
            WebhookRefused::Unavailable => Self::Unavailable,
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = ErrorBody { error: self.code(), message: self.to_string() };
        let mut response = (self.status(), Json(body.clone())).into_response();
        let headers = response.headers_mut();
        if self.status() == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(seconds) = self.retry_after() {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response.extensions_mut().insert(body);
        response
    }
}

/// Writes refusals as RFC 9457 has it for those who ask for that.
pub(crate) async fn as_asked(request: Request, next: Next) -> Response {
    let is_asked = request.headers().get_all(ACCEPT).iter().any(asks_for_problem);
    let mut response = next.run(request).await;
    let Some(ErrorBody { error, message }) = response.extensions_mut().remove().filter(|_| is_asked) else {
        return response;
    };
    let status = response.status();
    let problem = serde_json::json!({
        "type": "about:blank",
        "title": status.canonical_reason(),
        "status": status.as_u16(),
        "detail": message,
        "error": error,
        "message": message,
    });
    let mut told = (status, problem.to_string()).into_response();
    let kept = response.headers().iter().filter(|(name, _)| [RETRY_AFTER, WWW_AUTHENTICATE].contains(name));
    told.headers_mut().extend(kept.map(|(name, value)| (name.clone(), value.clone())));
    told.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    told
}

fn asks_for_problem(accept: &HeaderValue) -> bool {
    accept.to_str().is_ok_and(|accept| accept.contains("application/problem+json"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_keeps_a_call_from_beginning_is_a_refusal_of_the_contract() {
        for cause in Cause::ALL {
            let problem = Problem::of_initiation(cause);
            assert!(matches!(problem.status().as_u16(), 403 | 404 | 409 | 429 | 503), "{cause:?}");
            assert_eq!(matches!(problem.status().as_u16(), 429 | 503), problem.retry_after().is_some());
        }
    }

    #[test]
    fn a_wait_is_told_in_whole_seconds_and_never_as_none() {
        assert_eq!(Problem::RateLimited(Duration::from_millis(1)).retry_after(), Some(1));
        assert_eq!(Problem::RateLimited(Duration::from_millis(6_100)).retry_after(), Some(7));
    }
}
