//! What a token lets somebody do in a room.

use std::sync::Arc;

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use livekit_token::{Claims, VideoGrants};
use tandem_core::room::view::{ParticipantKind, Permission, TrackSource};
use tandem_core::room::{RoomIdentity, RoomName};

use super::params::values;
use super::refusal::Turned;
use crate::keys::{Bearer, Keys, Unauthenticated};

/// A token that lets somebody into a room.
pub(crate) struct Ticket {
    pub(crate) bearer: Bearer,
    pub(crate) room: RoomName,
    pub(crate) identity: RoomIdentity,
    pub(crate) permission: Permission,
    pub(crate) kind: ParticipantKind,
}

/// The token of a request: in its header, or for those who cannot set one in its query.
pub(crate) fn token(headers: &HeaderMap, query: &str) -> Option<String> {
    let header = headers.get(AUTHORIZATION).and_then(|it| it.to_str().ok());
    let bearer = header.and_then(|it| it.strip_prefix("Bearer ").or_else(|| it.strip_prefix("bearer ")));
    bearer
        .map(|it| it.trim().to_owned())
        .or_else(|| values(query).find(|(name, _)| name == "access_token").map(|it| it.1))
}

impl Ticket {
    pub(crate) fn read(keys: &Keys, token: Option<&str>) -> Result<Self, Turned> {
        let bearer = keys.verify(token.ok_or(Unauthenticated)?)?;
        let Claims { video, sub, kind, .. } = &bearer.claims;
        if !video.room_join {
            return Err(Turned::MayNotJoin);
        }
        let room =
            RoomName::try_from(video.room.clone()).map_err(|_| Turned::Malformed("room: 1 to 256 characters"))?;
        let identity = RoomIdentity::try_from(sub.clone());
        let identity = identity.map_err(|_| Turned::Malformed("identity: 1 to 256 characters"))?;
        let kind = match kind.to_ascii_lowercase().as_str() {
            "ingress" => ParticipantKind::Ingress,
            "egress" => ParticipantKind::Egress,
            "sip" => ParticipantKind::Sip,
            "agent" => ParticipantKind::Agent,
            _ if video.agent => ParticipantKind::Agent,
            _ => ParticipantKind::Standard,
        };
        Ok(Self { permission: permission(video), room, identity, kind, bearer })
    }
}

/// What grants allow.
pub(crate) fn permission(grants: &VideoGrants) -> Permission {
    let source = |name: &String| match name.to_ascii_lowercase().as_str() {
        "camera" => TrackSource::Camera,
        "microphone" => TrackSource::Microphone,
        "screen_share" => TrackSource::ScreenShare,
        "screen_share_audio" => TrackSource::ScreenShareAudio,
        _ => TrackSource::Unknown,
    };
    let sources: Arc<[TrackSource]> = grants.can_publish_sources.iter().map(source).collect();
    Permission {
        can_subscribe: grants.can_subscribe(),
        can_publish: grants.can_publish(),
        can_publish_data: grants.can_publish_data(),
        sources,
        is_hidden: grants.hidden,
        is_recorder: grants.recorder,
        can_update_metadata: grants.can_update_own_metadata(),
    }
}
