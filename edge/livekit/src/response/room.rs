//! Rooms.

use livekit_protocol::Room;
use tandem_core::room::view::RoomView;

use crate::sid;

/// A room as clients see it.
pub(crate) fn room(view: &RoomView) -> Room {
    Room {
        sid: sid::room(view.conference),
        name: view.name.to_string(),
        empty_timeout: view.empty_timeout_s,
        departure_timeout: view.departure_timeout_s,
        max_participants: view.limit.seats.unwrap_or(0),
        creation_time: view.began.0 / 1_000_000,
        creation_time_ms: view.began.0 / 1_000,
        metadata: view.metadata.as_ref().into(),
        num_participants: view.participants,
        num_publishers: view.publishers,
        active_recording: view.is_recorded,
        ..Room::default()
    }
}
