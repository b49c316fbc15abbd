//! Every refusal, as a status and as JSON.

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::http::StatusCode;
use axum::http::header::WWW_AUTHENTICATE;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::operator::BreakRefused;

/// Why a request was refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Problem {
    #[error("the operator's token is missing or wrong")]
    Unauthorized,
    #[error("there is nothing here")]
    NotFound,
    #[error("this method does not apply here")]
    MethodNotAllowed,
    #[error("the request took too long")]
    TimedOut,
    #[error("{0}")]
    Body(#[from] JsonRejection),
    #[error("{0:?} is no id of this kind")]
    InvalidId(String),
    #[error("{0}")]
    Break(#[from] BreakRefused),
}

#[derive(Serialize)]
struct Body {
    error: &'static str,
    message: String,
}

impl Problem {
    fn status(&self) -> StatusCode {
        match self {
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::NotFound | Self::Break(BreakRefused::Unknown) => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::TimedOut => StatusCode::SERVICE_UNAVAILABLE,
            Self::Body(rejection) => rejection.status(),
            Self::InvalidId(_) => StatusCode::BAD_REQUEST,
            Self::Break(BreakRefused::Unsupported) => StatusCode::CONFLICT,
        }
    }

    const fn code(&self) -> &'static str {
        match self {
            Self::Unauthorized => "unauthorized",
            Self::NotFound | Self::Break(BreakRefused::Unknown) => "not_found",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::TimedOut => "timed_out",
            Self::Body(_) => "invalid_body",
            Self::InvalidId(_) => "invalid_id",
            Self::Break(BreakRefused::Unsupported) => "unsupported",
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = Json(Body { error: self.code(), message: self.to_string() });
        match self {
            Self::Unauthorized => (self.status(), [(WWW_AUTHENTICATE, "Bearer")], body).into_response(),
            _ => (self.status(), body).into_response(),
        }
    }
}
