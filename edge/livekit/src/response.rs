//! What participants are told, as clients read it.

mod description;
mod join;
mod leave;
mod participants;
mod room;
mod tracks;

use livekit_protocol::request_response::{Reason, Request as Asked};
use livekit_protocol::signal_response::Message as Response;
use livekit_protocol::{
    AddTrackRequest, ConnectionQuality, ConnectionQualityInfo, ConnectionQualityUpdate, MediaSectionsRequirement,
    MuteTrackRequest, ParticipantUpdate, RequestResponse, RoomUpdate, SpeakerInfo, SpeakersChanged, SubscriptionError,
    SubscriptionPermissionUpdate, SubscriptionResponse, TrackPublishedResponse, TrackSubscribed,
    TrackUnpublishedResponse,
};
use tandem_core::id::NodeId;
use tandem_core::room::sfu::{Quality, Speaker};
use tandem_core::room::signal::{Outcome, RoomSignal, Topology};

use crate::quirks::Client;
use crate::sid;
use crate::socket::Talk;

pub(crate) use leave::{cannot_connect, come_anew, leave};
pub(crate) use participants::participant;
pub(crate) use room::room;
pub(crate) use tracks::{source, track};

/// To whom it is said.
pub(crate) struct Dialect {
    pub(crate) client: Client,
    pub(crate) topology: Topology,
    pub(crate) node: NodeId,
}

/// What one signal says.
pub(crate) struct Said {
    pub(crate) responses: Vec<Response>,
    /// Nothing comes after it.
    pub(crate) is_last: bool,
}

/// Translates a signal.
pub(crate) fn of_signal(talk: &Talk<'_>, signal: RoomSignal) -> Said {
    let is_last = matches!(signal, RoomSignal::Left { .. } | RoomSignal::Refused(_));
    let responses = match signal {
        RoomSignal::Joined(joined) => vec![join::join(&talk.dialect, &joined)],
        RoomSignal::Resumed(joined) => {
            join::resumed(&talk.dialect, &joined, talk.edge.data.last_sequence(talk.participant))
        }
        RoomSignal::Left { reason, then } => leave::left(&talk.dialect.client, reason, then),
        RoomSignal::Refused(_) => Vec::new(),
        other => vec![update(talk, other)].into_iter().flatten().collect(),
    };
    Said { responses, is_last }
}

fn update(talk: &Talk<'_>, signal: RoomSignal) -> Option<Response> {
    let origin = || talk.edge.wires.origin(talk.participant);
    Some(match signal {
        RoomSignal::Answer { id, answer, tracks } => {
            Response::Answer(description::answer(origin()?, id, &answer, &tracks))
        }
        RoomSignal::Offer { id, offer, tracks } => Response::Offer(description::offer(origin()?, id, &offer, &tracks)),
        RoomSignal::SectionsNeeded { audio, video } => {
            Response::MediaSectionsRequirement(MediaSectionsRequirement { num_audios: audio, num_videos: video })
        }
        RoomSignal::Published { cid, track: view } => {
            Response::TrackPublished(TrackPublishedResponse { cid: cid.as_ref().into(), track: Some(track(&view)) })
        }
        RoomSignal::NotPublished { cid, outcome } => {
            let asked = Asked::AddTrack(AddTrackRequest { cid: cid.as_ref().into(), ..AddTrackRequest::default() });
            Response::RequestResponse(RequestResponse { request: Some(asked), ..outcome_of(0, outcome) })
        }
        RoomSignal::Participants(views) => {
            Response::Update(ParticipantUpdate { participants: views.iter().map(|view| participant(view)).collect() })
        }
        RoomSignal::Room(view) => Response::RoomUpdate(RoomUpdate { room: Some(room(&view)) }),
        RoomSignal::Speakers(speakers) => {
            Response::SpeakersChanged(SpeakersChanged { speakers: speakers.iter().map(speaker).collect() })
        }
        RoomSignal::Quality(of, quality) => {
            let (quality, score) = quality_of(quality);
            let update =
                ConnectionQualityInfo { participant_sid: sid::participant(of), quality: quality.into(), score };
            Response::ConnectionQuality(ConnectionQualityUpdate { updates: vec![update] })
        }
        RoomSignal::TrackSubscribed(track) => {
            Response::TrackSubscribed(TrackSubscribed { track_sid: sid::track(track) })
        }
        RoomSignal::Muted { track, is_muted } => {
            Response::Mute(MuteTrackRequest { sid: sid::track(track), muted: is_muted })
        }
        RoomSignal::Unpublished(track) => {
            Response::TrackUnpublished(TrackUnpublishedResponse { track_sid: sid::track(track) })
        }
        RoomSignal::MayReceive { publisher, track, is_allowed } => {
            Response::SubscriptionPermissionUpdate(SubscriptionPermissionUpdate {
                participant_sid: sid::participant(publisher),
                track_sid: sid::track(track),
                allowed: is_allowed,
            })
        }
        RoomSignal::NotReceived { track, is_codec } => {
            let err = if is_codec { SubscriptionError::SeCodecUnsupported } else { SubscriptionError::SeTrackNotfound };
            Response::SubscriptionResponse(SubscriptionResponse { track_sid: sid::track(track), err: err.into() })
        }
        RoomSignal::Outcome { request, outcome } => Response::RequestResponse(outcome_of(request, outcome)),
        RoomSignal::Joined(_) | RoomSignal::Resumed(_) | RoomSignal::Left { .. } | RoomSignal::Refused(_) => {
            return None;
        }
    })
}

fn speaker(speaker: &Speaker) -> SpeakerInfo {
    SpeakerInfo { sid: sid::participant(speaker.participant), level: speaker.level, active: speaker.is_active }
}

/// With the middle of the range of scores that clients show so.
const fn quality_of(quality: Quality) -> (ConnectionQuality, f32) {
    match quality {
        Quality::Poor => (ConnectionQuality::Poor, 2.0),
        Quality::Good => (ConnectionQuality::Good, 3.5),
        Quality::Excellent => (ConnectionQuality::Excellent, 4.5),
    }
}

fn outcome_of(request_id: u32, outcome: Outcome) -> RequestResponse {
    let (reason, message) = match outcome {
        Outcome::Done => (Reason::Ok, ""),
        Outcome::NotAllowed => (Reason::NotAllowed, "does not have permission"),
        Outcome::TooLarge => (Reason::LimitExceeded, "exceeds a limit of size"),
        Outcome::NotFound => (Reason::NotFound, "there is no such thing"),
    };
    RequestResponse { request_id, reason: reason.into(), message: message.into(), request: None }
}
