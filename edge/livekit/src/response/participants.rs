//! Participants.

use livekit_protocol::participant_info::{Kind, State};
use livekit_protocol::{DisconnectReason, ParticipantInfo, ParticipantPermission};
use tandem_core::room::view::{ParticipantKind, ParticipantState, ParticipantView, Permission};

use super::leave::disconnect_reason;
use super::{source, track};
use crate::sid;

/// A participant as others see him.
pub(crate) fn participant(view: &ParticipantView) -> ParticipantInfo {
    let state = match view.state {
        ParticipantState::Joined => State::Joined,
        ParticipantState::Active => State::Active,
        ParticipantState::Disconnected => State::Disconnected,
    };
    let kind = match view.kind {
        ParticipantKind::Standard => Kind::Standard,
        ParticipantKind::Ingress => Kind::Ingress,
        ParticipantKind::Egress => Kind::Egress,
        ParticipantKind::Sip => Kind::Sip,
        ParticipantKind::Agent => Kind::Agent,
    };
    ParticipantInfo {
        sid: sid::participant(view.id),
        identity: view.identity.to_string(),
        state: state.into(),
        tracks: view.tracks.iter().map(|it| track(it)).collect(),
        metadata: view.metadata.as_ref().into(),
        joined_at: view.joined.0 / 1_000_000,
        joined_at_ms: view.joined.0 / 1_000,
        name: view.name.as_ref().into(),
        version: view.version,
        permission: Some(permission(&view.permission)),
        is_publisher: !view.tracks.is_empty(),
        kind: kind.into(),
        attributes: view.attributes.iter().map(|(name, value)| (name.clone(), value.clone())).collect(),
        disconnect_reason: view.left.map_or(DisconnectReason::UnknownReason, disconnect_reason).into(),
        client_protocol: view.client_protocol,
        capabilities: view.capabilities.to_vec(),
        ..ParticipantInfo::default()
    }
}

#[expect(deprecated, reason = "older clients look at it")]
fn permission(permission: &Permission) -> ParticipantPermission {
    ParticipantPermission {
        can_subscribe: permission.can_subscribe,
        can_publish: permission.can_publish,
        can_publish_data: permission.can_publish_data,
        can_publish_sources: permission.sources.iter().map(|it| source(*it).into()).collect(),
        hidden: permission.is_hidden,
        recorder: permission.is_recorder,
        can_update_metadata: permission.can_update_metadata,
        ..ParticipantPermission::default()
    }
}
