//! Methods about participants.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use livekit_protocol::data_packet::{Kind, Value};
use livekit_protocol::{
    DataPacket, ListParticipantsRequest, ListParticipantsResponse, MuteRoomTrackRequest, MuteRoomTrackResponse,
    ParticipantInfo, ParticipantPermission, RemoveParticipantResponse, RoomParticipantIdentity, SendDataRequest,
    SendDataResponse, TrackInfo, UpdateParticipantRequest, UpdateSubscriptionsRequest, UpdateSubscriptionsResponse,
    UserPacket,
};
use prost::Message;
use tandem_core::ports::RoomOrder;
use tandem_core::room::sfu::DataChannel;
use tandem_core::room::view::{ParticipantView, Permission};
use tandem_core::room::{RoomIdentity, RoomName};

use super::{NO_ROOM, NOBODY, check, order};
use crate::request::source;
use crate::response::{participant, track};
use crate::sid;
use crate::twirp::call::{Call, identity};
use crate::twirp::error::{Code, Error};

pub(super) fn list(call: &Call<'_>) -> Result<ListParticipantsResponse, Error> {
    let request: ListParticipantsRequest = call.read()?;
    let name = call.may_rule(&request.room)?;
    let all = call.edge.rooms.participants(call.tenant(), &name).unwrap_or_default();
    Ok(ListParticipantsResponse { participants: all.iter().map(|it| participant(it)).collect() })
}

pub(super) fn get(call: &Call<'_>) -> Result<ParticipantInfo, Error> {
    let request: RoomParticipantIdentity = call.read()?;
    let name = call.may_rule(&request.room)?;
    find(call, &name, &identity(&request.identity)?).map(|view| participant(&view))
}

pub(super) fn remove(call: &Call<'_>) -> Result<RemoveParticipantResponse, Error> {
    let request: RoomParticipantIdentity = call.read()?;
    let name = call.may_rule(&request.room)?;
    order(call, &name, RoomOrder::Remove(identity(&request.identity)?), NOBODY)?;
    Ok(RemoveParticipantResponse {})
}

/// The answer has the track as it will be.
pub(super) fn mute(call: &Call<'_>) -> Result<MuteRoomTrackResponse, Error> {
    let request: MuteRoomTrackRequest = call.read()?;
    let name = call.may_rule(&request.room)?;
    if !request.muted && !call.edge.config.remote_unmute {
        return Err(Error::new(Code::FailedPrecondition, "remote unmute not enabled (rooms.remote_unmute)"));
    }
    let identity = identity(&request.identity)?;
    let view = find(call, &name, &identity)?;
    let id = sid::parse_track(&request.track_sid);
    let view = view.tracks.iter().find(|it| Some(it.id) == id);
    let view = view.ok_or_else(|| Error::new(Code::NotFound, "track is not found"))?;
    order(call, &name, RoomOrder::Mute { identity, track: view.id, is_muted: request.muted }, NOBODY)?;
    Ok(MuteRoomTrackResponse { track: Some(TrackInfo { muted: request.muted, ..track(view) }) })
}

/// The answer has the participant as he will be.
pub(super) fn update(call: &Call<'_>) -> Result<ParticipantInfo, Error> {
    let request: UpdateParticipantRequest = call.read()?;
    let name = call.may_rule(&request.room)?;
    check(request.metadata.len())?;
    check(request.attributes.iter().map(|(name, value)| name.len() + value.len()).sum())?;
    let identity = identity(&request.identity)?;
    let view = find(call, &name, &identity)?;
    let told = |text: String| (!text.is_empty()).then(|| Arc::<str>::from(text));
    let (metadata, display) = (told(request.metadata), told(request.name));
    let attributes: BTreeMap<_, _> = request.attributes.into_iter().collect();
    let permission = request.permission.as_ref().map(permission);
    let changed = ParticipantView {
        metadata: metadata.clone().unwrap_or_else(|| view.metadata.clone()),
        name: display.clone().unwrap_or_else(|| view.name.clone()),
        attributes: Arc::new(merged(&view.attributes, &attributes)),
        permission: permission.clone().unwrap_or_else(|| view.permission.clone()),
        ..view.as_ref().clone()
    };
    order(call, &name, RoomOrder::Update { identity, metadata, name: display, attributes, permission }, NOBODY)?;
    Ok(participant(&changed))
}

pub(super) fn subscribe(call: &Call<'_>) -> Result<UpdateSubscriptionsResponse, Error> {
    let request: UpdateSubscriptionsRequest = call.read()?;
    let name = call.may_rule(&request.room)?;
    let of_participants = request.participant_tracks.iter().flat_map(|it| &it.track_sids);
    let tracks = sid::parse_tracks(request.track_sids.iter().chain(of_participants));
    let identity = identity(&request.identity)?;
    order(call, &name, RoomOrder::Subscribe { identity, tracks, is_wanted: request.subscribe }, NOBODY)?;
    Ok(UpdateSubscriptionsResponse {})
}

/// A message of the server, which has no sender.
#[expect(deprecated, reason = "older clients look at it, and older servers address by it")]
pub(super) fn send(call: &Call<'_>) -> Result<SendDataResponse, Error> {
    let request: SendDataRequest = call.read()?;
    let name = call.may_rule(&request.room)?;
    let rooms = call.edge.rooms.rooms(call.tenant());
    let no_room = || Error::new(Code::NotFound, NO_ROOM);
    let conference = rooms.iter().find(|it| it.name == name).ok_or_else(no_room)?.conference;
    let all = call.edge.rooms.participants(call.tenant(), &name).ok_or_else(no_room)?;
    let (identities, sids) = (&request.destination_identities, &request.destination_sids);
    let is_meant = |view: &ParticipantView| {
        let is_named = identities.iter().any(|it| it == view.identity.as_str());
        identities.is_empty() && sids.is_empty() || is_named || sids.contains(&sid::participant(view.id))
    };
    let to = all.iter().filter(|view| is_meant(view)).map(|view| view.id).collect();
    let channel = if request.kind == i32::from(Kind::Lossy) { DataChannel::Lossy } else { DataChannel::Reliable };
    let user = UserPacket {
        payload: request.data,
        topic: request.topic,
        nonce: request.nonce,
        destination_identities: request.destination_identities.clone(),
        ..UserPacket::default()
    };
    let packet = DataPacket {
        kind: request.kind,
        destination_identities: request.destination_identities,
        value: Some(Value::User(user)),
        ..DataPacket::default()
    };
    let sent = call.edge.data.announce(conference, to, channel, Bytes::from(packet.encode_to_vec()));
    sent.map_err(|refusal| Error::of_order(refusal, NO_ROOM))?;
    Ok(SendDataResponse {})
}

fn find(call: &Call<'_>, name: &RoomName, identity: &RoomIdentity) -> Result<Arc<ParticipantView>, Error> {
    let all = call.edge.rooms.participants(call.tenant(), name).unwrap_or_default();
    all.into_iter().find(|it| it.identity == *identity).ok_or_else(|| Error::new(Code::NotFound, NOBODY))
}

/// Empty values delete.
fn merged(old: &BTreeMap<String, String>, new: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let mut all = old.clone();
    all.extend(new.clone());
    all.retain(|_, value| !value.is_empty());
    all
}

#[expect(deprecated, reason = "older servers set it")]
fn permission(told: &ParticipantPermission) -> Permission {
    Permission {
        can_subscribe: told.can_subscribe,
        can_publish: told.can_publish,
        can_publish_data: told.can_publish_data,
        sources: told.can_publish_sources.iter().map(|it| source(*it)).collect(),
        is_hidden: told.hidden,
        is_recorder: told.recorder,
        can_update_metadata: told.can_update_metadata,
    }
}
