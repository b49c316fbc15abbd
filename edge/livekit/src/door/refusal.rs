//! Why somebody is not let in, as HTTP.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use tandem_core::room::signal::JoinRefusal;
use tandem_core::room::view::LimitOrigin;

use crate::keys::Unauthenticated;

/// Why a request at the door was refused. Its text is for people; clients look at the status.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum Turned {
    #[error("{0}")]
    Unauthenticated(#[from] Unauthenticated),
    #[error("permissions denied: the token does not allow to join")]
    MayNotJoin,
    #[error("{0}")]
    Malformed(&'static str),
    #[error("not found")]
    NotFound,
    #[error("requested room does not exist")]
    NoRoom,
    #[error("the room is full: {seats} participants ({})", .origin.name())]
    Full { seats: u32, origin: LimitOrigin },
    #[error("the server is at its limit, try again later")]
    Overload,
    #[error("the server is shutting down")]
    Shutdown,
}

impl From<JoinRefusal> for Turned {
    fn from(refusal: JoinRefusal) -> Self {
        match refusal {
            JoinRefusal::ParticipantLimit { seats, origin } => Self::Full { seats, origin },
            JoinRefusal::NoRoom => Self::NoRoom,
            JoinRefusal::Overload => Self::Overload,
            JoinRefusal::Shutdown => Self::Shutdown,
        }
    }
}

impl IntoResponse for Turned {
    fn into_response(self) -> Response {
        let status = match self {
            Self::Unauthenticated(_) | Self::MayNotJoin => StatusCode::UNAUTHORIZED,
            Self::Malformed(_) => StatusCode::BAD_REQUEST,
            Self::NotFound | Self::NoRoom => StatusCode::NOT_FOUND,
            // Final for clients: with 5xx they would come again at once.
            Self::Full { .. } => StatusCode::FORBIDDEN,
            Self::Overload | Self::Shutdown => StatusCode::SERVICE_UNAVAILABLE,
        };
        (status, self.to_string()).into_response()
    }
}
