//! `livekit.RoomService`.

mod participants;

use axum::response::Response;
use livekit_protocol::{
    CreateRoomRequest, DeleteRoomRequest, DeleteRoomResponse, ListRoomsRequest, ListRoomsResponse, Room,
    UpdateRoomMetadataRequest,
};
use tandem_core::id::ConferenceId;
use tandem_core::ports::RoomOrder;
use tandem_core::room::RoomName;
use uuid::Uuid;

use super::call::{Call, name};
use super::error::{Code, Error};
use crate::response::room;

const NO_ROOM: &str = "requested room does not exist";
const NOBODY: &str = "participant does not exist";

/// Largest text of a room or participant, in bytes.
const LARGEST_TEXT: usize = 64_000;

/// Does what a method says.
pub(super) fn dispatch(call: &Call<'_>, method: &str) -> Result<Response, Error> {
    match method {
        "CreateRoom" => call.write(&create(call)?),
        "ListRooms" => call.write(&list(call)?),
        "DeleteRoom" => call.write(&delete(call)?),
        "UpdateRoomMetadata" => call.write(&update_metadata(call)?),
        "ListParticipants" => call.write(&participants::list(call)?),
        "GetParticipant" => call.write(&participants::get(call)?),
        "RemoveParticipant" => call.write(&participants::remove(call)?),
        "MutePublishedTrack" => call.write(&participants::mute(call)?),
        "UpdateParticipant" => call.write(&participants::update(call)?),
        "UpdateSubscriptions" => call.write(&participants::subscribe(call)?),
        "SendData" => call.write(&participants::send(call)?),
        "ForwardParticipant" | "MoveParticipant" | "PerformRpc" => {
            Err(Error::unimplemented("livekit.RoomService", method))
        }
        _ => Err(Error::bad_route()),
    }
}

/// Whether a text is not too long.
fn check(text: usize) -> Result<(), Error> {
    let too_long = || Error::new(Code::InvalidArgument, "metadata and attributes: 64000 bytes each at most");
    (text <= LARGEST_TEXT).then_some(()).ok_or_else(too_long)
}

fn create(call: &Call<'_>) -> Result<Room, Error> {
    call.may_create()?;
    let request: CreateRoomRequest = call.read()?;
    check(request.metadata.len())?;
    let CreateRoomRequest { max_participants, empty_timeout, departure_timeout, metadata, .. } = &request;
    let wish = call.edge.config.wish(*max_participants, *empty_timeout, *departure_timeout, metadata);
    let conference = ConferenceId::from_uuid(Uuid::now_v7());
    let view = call.edge.rooms.create(conference, call.context(), name(&request.name)?, wish);
    view.map(|view| room(&view)).map_err(Error::of_create)
}

fn list(call: &Call<'_>) -> Result<ListRoomsResponse, Error> {
    call.may_list()?;
    let request: ListRoomsRequest = call.read()?;
    let rooms = call.edge.rooms.rooms(call.tenant());
    let is_wanted = |name: &RoomName| request.names.is_empty() || request.names.iter().any(|it| it == name.as_str());
    Ok(ListRoomsResponse { rooms: rooms.iter().filter(|it| is_wanted(&it.name)).map(|it| room(it)).collect() })
}

fn delete(call: &Call<'_>) -> Result<DeleteRoomResponse, Error> {
    call.may_create()?;
    let request: DeleteRoomRequest = call.read()?;
    order(call, &name(&request.room)?, RoomOrder::Delete, NO_ROOM)?;
    Ok(DeleteRoomResponse {})
}

fn update_metadata(call: &Call<'_>) -> Result<Room, Error> {
    let request: UpdateRoomMetadataRequest = call.read()?;
    let name = call.may_rule(&request.room)?;
    check(request.metadata.len())?;
    let rooms = call.edge.rooms.rooms(call.tenant());
    let view = rooms.iter().find(|it| it.name == name).ok_or_else(|| Error::new(Code::NotFound, NO_ROOM))?;
    order(call, &name, RoomOrder::SetMetadata(request.metadata.as_str().into()), NO_ROOM)?;
    Ok(Room { metadata: request.metadata, ..room(view) })
}

fn order(call: &Call<'_>, name: &RoomName, order: RoomOrder, missing: &str) -> Result<(), Error> {
    call.edge.rooms.order(call.tenant(), name, order).map_err(|refusal| Error::of_order(refusal, missing))
}
