//! Our offers and answers.

use std::collections::HashMap;
use std::sync::Arc;

use livekit_protocol::SessionDescription;
use tandem_core::id::TrackId;
use tandem_core::room::description::Description;
use tandem_sdp::{Origin, render_room_answer, render_room_offer};

use crate::sid;

/// An answer, with the tracks that its sections carry.
pub(super) fn answer(
    origin: Origin,
    id: u32,
    answer: &Description,
    tracks: &[(Arc<str>, TrackId)],
) -> SessionDescription {
    described("answer", render_room_answer(answer, &origin), id, tracks)
}

/// An offer of ours, with the tracks that its sections carry.
pub(super) fn offer(
    origin: Origin,
    id: u32,
    offer: &Description,
    tracks: &[(Arc<str>, TrackId)],
) -> SessionDescription {
    described("offer", render_room_offer(offer, &origin), id, tracks)
}

fn described(kind: &str, sdp: String, id: u32, tracks: &[(Arc<str>, TrackId)]) -> SessionDescription {
    let named = |(mid, track): &(Arc<str>, TrackId)| (mid.to_string(), sid::track(*track));
    let mid_to_track_id: HashMap<_, _> = tracks.iter().map(named).collect();
    SessionDescription { r#type: kind.into(), sdp, id, mid_to_track_id }
}
