//! Refusals, as Twirp writes them.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use tandem_core::machine::Refusal;
use tandem_core::room::signal::JoinRefusal;

/// What kind of refusal.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Code {
    BadRoute,
    Malformed,
    InvalidArgument,
    Unauthenticated,
    PermissionDenied,
    NotFound,
    FailedPrecondition,
    Unavailable,
    Unimplemented,
}

/// A refusal.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, thiserror::Error)]
#[error("{msg}")]
pub(super) struct Error {
    code: Code,
    msg: String,
}

impl Error {
    pub(super) fn new(code: Code, msg: impl Into<String>) -> Self {
        Self { code, msg: msg.into() }
    }

    pub(super) fn bad_route() -> Self {
        Self::new(Code::BadRoute, "no such service or method, or not asked by POST")
    }

    pub(super) fn unimplemented(service: &str, method: &str) -> Self {
        Self::new(Code::Unimplemented, format!("{service}/{method} is not offered by this server"))
    }

    /// An order that was not taken.
    pub(super) fn of_order(refusal: Refusal, missing: &str) -> Self {
        match refusal {
            Refusal::Gone => Self::new(Code::NotFound, missing),
            Refusal::Full | Refusal::Crashed => {
                Self::new(Code::Unavailable, "not possible at the moment, try again later")
            }
        }
    }

    /// A room that could not be made.
    pub(super) fn of_create(refusal: JoinRefusal) -> Self {
        match refusal {
            JoinRefusal::NoRoom => Self::new(Code::NotFound, "requested room does not exist"),
            JoinRefusal::ParticipantLimit { .. } | JoinRefusal::Overload => {
                Self::new(Code::Unavailable, "the server is at its limit, try again later")
            }
            JoinRefusal::Shutdown => Self::new(Code::Unavailable, "the server is shutting down"),
        }
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let status = match self.code {
            Code::BadRoute | Code::NotFound => StatusCode::NOT_FOUND,
            Code::Malformed | Code::InvalidArgument => StatusCode::BAD_REQUEST,
            Code::Unauthenticated => StatusCode::UNAUTHORIZED,
            Code::PermissionDenied => StatusCode::FORBIDDEN,
            Code::FailedPrecondition => StatusCode::PRECONDITION_FAILED,
            Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Code::Unimplemented => StatusCode::NOT_IMPLEMENTED,
        };
        (status, Json(self)).into_response()
    }
}
