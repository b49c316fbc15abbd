//! What is published, and what is received.

use std::sync::Arc;

use livekit_protocol::{
    AddTrackRequest, MuteTrackRequest, SubscriptionPermission, TrackPermission, TrackSource as WireSource, TrackType,
    UpdateLocalAudioTrack, UpdateLocalVideoTrack, UpdateSubscription, UpdateTrackSettings, VideoLayer, VideoQuality,
};
use tandem_core::id::TrackId;
use tandem_core::room::RoomIdentity;
use tandem_core::room::description::SectionKind;
use tandem_core::room::signal::{Allowance, Allowed, Publish, RoomRequest, Showing};
use tandem_core::room::view::{TrackLayer, TrackSource};
use uuid::Uuid;

use crate::sid;

/// Most layers of a track.
const MAX_LAYERS: usize = 8;

/// Announces a track. `None`: a further codec of one that is published, which we do not take, or no medium.
pub(super) fn publish(request: AddTrackRequest) -> Option<RoomRequest> {
    let kind = match TrackType::try_from(request.r#type).ok()? {
        TrackType::Audio => SectionKind::Audio,
        TrackType::Video => SectionKind::Video,
        TrackType::Data => return None,
    };
    if !request.sid.is_empty() {
        return None;
    }
    let source = source(request.source);
    let codec = request.simulcast_codecs.into_iter().next().unwrap_or_default();
    let layers = if request.layers.is_empty() { codec.layers } else { request.layers };
    Some(RoomRequest::Publish(Arc::new(Publish {
        track: TrackId::from_uuid(Uuid::now_v7()),
        cid: request.cid.into(),
        kind,
        source,
        name: request.name.into(),
        stream: if request.stream.is_empty() { stream_of(source).into() } else { request.stream.into() },
        is_muted: request.muted,
        width: request.width,
        height: request.height,
        layers: layers.iter().take(MAX_LAYERS).map(layer).collect(),
        codec: codec.codec.into(),
        disable_red: request.disable_red,
        encryption: request.encryption,
        audio_features: request.audio_features.into(),
    })))
}

pub(super) fn mute(request: &MuteTrackRequest) -> Option<RoomRequest> {
    sid::parse_track(&request.sid).map(|track| RoomRequest::Mute { track, is_muted: request.muted })
}

pub(super) fn subscribe(wish: &UpdateSubscription) -> RoomRequest {
    let of_participants = wish.participant_tracks.iter().flat_map(|it| &it.track_sids);
    let tracks = sid::parse_tracks(wish.track_sids.iter().chain(of_participants));
    RoomRequest::Subscribe { tracks, is_wanted: wish.subscribe }
}

/// Without dimensions the quality counts.
pub(super) fn show(setting: &UpdateTrackSettings) -> RoomRequest {
    let quality = VideoQuality::try_from(setting.quality).unwrap_or(VideoQuality::High);
    let is_sized = setting.width > 0 && setting.height > 0;
    let how = Showing {
        is_disabled: setting.disabled || !is_sized && quality == VideoQuality::Off,
        quality: (!is_sized && quality != VideoQuality::Off).then_some(quality.into()),
        width: setting.width,
        height: setting.height,
    };
    RoomRequest::Show { tracks: sid::parse_tracks(&setting.track_sids), how }
}

pub(super) fn allow(permission: SubscriptionPermission) -> RoomRequest {
    let some = permission.track_permissions.into_iter().filter_map(allowed).collect();
    RoomRequest::Allow(Arc::new(Allowance { all: permission.all_participants, some }))
}

fn allowed(permission: TrackPermission) -> Option<(Allowed, Option<Vec<TrackId>>)> {
    let who = match sid::parse_participant(&permission.participant_sid) {
        Some(id) => Allowed::Id(id),
        None => Allowed::Identity(RoomIdentity::try_from(permission.participant_identity).ok()?),
    };
    Some((who, (!permission.all_tracks).then(|| sid::parse_tracks(&permission.track_sids))))
}

pub(super) fn retouch_audio(update: UpdateLocalAudioTrack) -> Option<RoomRequest> {
    let track = sid::parse_track(&update.track_sid)?;
    Some(RoomRequest::Retouch { track, audio_features: Some(update.features.into()), size: None })
}

pub(super) fn retouch_video(update: &UpdateLocalVideoTrack) -> Option<RoomRequest> {
    let track = sid::parse_track(&update.track_sid)?;
    Some(RoomRequest::Retouch { track, audio_features: None, size: Some((update.width, update.height)) })
}

fn layer(layer: &VideoLayer) -> TrackLayer {
    let VideoLayer { quality, width, height, bitrate, .. } = *layer;
    TrackLayer { quality, width, height, bitrate, ssrc: 0 }
}

/// Where a track comes from.
pub(crate) fn source(source: i32) -> TrackSource {
    match WireSource::try_from(source) {
        Ok(WireSource::Camera) => TrackSource::Camera,
        Ok(WireSource::Microphone) => TrackSource::Microphone,
        Ok(WireSource::ScreenShare) => TrackSource::ScreenShare,
        Ok(WireSource::ScreenShareAudio) => TrackSource::ScreenShareAudio,
        Ok(WireSource::Unknown) | Err(_) => TrackSource::Unknown,
    }
}

/// What belongs together unless it is told otherwise: a camera and its microphone, a screen and its sound.
const fn stream_of(source: TrackSource) -> &'static str {
    match source {
        TrackSource::Camera | TrackSource::Microphone => "camera",
        TrackSource::ScreenShare | TrackSource::ScreenShareAudio => "screen",
        TrackSource::Unknown => "",
    }
}
