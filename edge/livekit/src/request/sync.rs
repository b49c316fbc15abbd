//! What a client has after a cut.

use livekit_protocol::SyncState;
use tandem_core::room::signal::RoomRequest;

use crate::sid;
use crate::socket::Talk;

/// Tells what it publishes and receives, and sends again what it missed of reliable data.
pub(super) fn sync(talk: &Talk<'_>, state: &SyncState) -> RoomRequest {
    let last = |it: &livekit_protocol::DataChannelReceiveState| {
        sid::parse_participant(&it.publisher_sid).map(|publisher| (publisher, it.last_seq))
    };
    if let Some(conference) = talk.conference {
        let seen = state.datachannel_receive_states.iter().filter_map(last).collect();
        talk.edge.data.replay(conference, talk.participant, seen);
    }
    let published = state.publish_tracks.iter().filter_map(|it| it.track.as_ref()).map(|it| &it.sid);
    let exceptions = state.subscription.as_ref().map(|it| {
        sid::parse_tracks(it.track_sids.iter().chain(it.participant_tracks.iter().flat_map(|it| &it.track_sids)))
    });
    RoomRequest::Sync {
        published: sid::parse_tracks(published),
        exceptions: exceptions.unwrap_or_default(),
        disabled: sid::parse_tracks(&state.track_sids_disabled),
    }
}
