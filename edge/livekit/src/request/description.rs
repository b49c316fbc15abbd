//! Offers and answers.

use std::sync::Arc;

use livekit_protocol::SessionDescription;
use tandem_core::room::signal::RoomRequest;
use tandem_sdp::{SdpError, parse_room_answer, parse_room_offer};
use tracing::debug;

use super::Verdict;
use crate::response;

/// What the client offers for the connection on which it sends.
pub(super) fn offer(offer: &SessionDescription) -> Result<RoomRequest, Verdict> {
    let read = parse_room_offer(offer.sdp.as_bytes()).map_err(|error| refused(&error))?;
    Ok(RoomRequest::Offer { id: offer.id, offer: Arc::new(read) })
}

/// What it answers for the one on which it only receives.
pub(super) fn answer(answer: &SessionDescription) -> Result<RoomRequest, Verdict> {
    let read = parse_room_answer(answer.sdp.as_bytes()).map_err(|error| refused(&error))?;
    Ok(RoomRequest::Answer { id: answer.id, answer: Arc::new(read) })
}

/// There is no answer that says no, and one that is never answered makes a client wait for a quarter of a minute.
fn refused(error: &SdpError) -> Verdict {
    debug!(%error, "description refused");
    Verdict::Leave(response::cannot_connect())
}
