//! The last thing that somebody is told.

use livekit_protocol::leave_request::Action;
use livekit_protocol::signal_response::Message as Response;
use livekit_protocol::{DisconnectReason, LeaveRequest};
use tandem_core::room::signal::Then;
use tandem_core::room::view::LeaveReason;

use crate::quirks::Client;
use crate::version::Version;

/// Who left by himself is told nothing.
pub(super) fn left(client: &Client, reason: LeaveReason, then: Then) -> Vec<Response> {
    match (reason, then) {
        (LeaveReason::Client, Then::StayAway) => Vec::new(),
        _ => vec![Response::Leave(leave(client, reason, then))],
    }
}

/// What to do now, and why.
pub(crate) fn leave(client: &Client, reason: LeaveReason, then: Then) -> LeaveRequest {
    let action = match then {
        Then::StayAway => Action::Disconnect,
        // Who does not know that he can come back to where he was comes in anew.
        Then::Resume if !Version(client.protocol).knows_leave_actions() => Action::Reconnect,
        Then::Resume => Action::Resume,
        Then::Rejoin => Action::Reconnect,
    };
    LeaveRequest {
        can_reconnect: then != Then::StayAway,
        reason: disconnect_reason(reason).into(),
        action: action.into(),
        regions: None,
    }
}

/// For somebody whose place is not there any more.
pub(crate) fn come_anew(client: &Client) -> LeaveRequest {
    leave(client, LeaveReason::StateMismatch, Then::Rejoin)
}

/// For somebody whose description we cannot read: coming again would not help.
pub(crate) fn cannot_connect() -> LeaveRequest {
    leave(&Client::default(), LeaveReason::JoinFailure, Then::StayAway)
}

/// The wire's reason.
pub(super) const fn disconnect_reason(reason: LeaveReason) -> DisconnectReason {
    match reason {
        LeaveReason::Client => DisconnectReason::ClientInitiated,
        LeaveReason::DuplicateIdentity => DisconnectReason::DuplicateIdentity,
        LeaveReason::Shutdown => DisconnectReason::ServerShutdown,
        LeaveReason::Removed => DisconnectReason::ParticipantRemoved,
        LeaveReason::RoomDeleted => DisconnectReason::RoomDeleted,
        LeaveReason::StateMismatch => DisconnectReason::StateMismatch,
        LeaveReason::JoinFailure => DisconnectReason::JoinFailure,
        LeaveReason::SignalLost => DisconnectReason::SignalClose,
        LeaveReason::MediaLost => DisconnectReason::MediaFailure,
        LeaveReason::RoomClosed => DisconnectReason::RoomClosed,
    }
}
