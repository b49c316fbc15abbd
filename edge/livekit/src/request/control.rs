//! What is about the signalling itself, and about oneself.

use livekit_protocol::request_response::{Reason, Request as Asked};
use livekit_protocol::signal_request::Message as Request;
use livekit_protocol::signal_response::Message as Response;
use livekit_protocol::simulate_scenario::Scenario;
use livekit_protocol::{Pong, RequestResponse, SimulateScenario, UpdateParticipantMetadata};
use tandem_core::room::signal::{RoomRequest, Then};
use tandem_core::room::view::LeaveReason;

use super::{Verdict, tell};
use crate::clock::unix_ms;
use crate::response;
use crate::socket::Talk;

/// Both kinds of ping; some clients send both.
pub(super) fn pong(talk: &Talk<'_>, ping: &Request) -> Result<(), Verdict> {
    let pong = match ping {
        Request::PingReq(ping) => {
            Response::PongResp(Pong { last_ping_timestamp: ping.timestamp, timestamp: unix_ms() })
        }
        _ => Response::Pong(unix_ms()),
    };
    answered(talk, pong)
}

/// Empty texts change nothing.
pub(super) fn describe(update: UpdateParticipantMetadata) -> RoomRequest {
    let told = |text: String| (!text.is_empty()).then(|| text.into());
    RoomRequest::Describe {
        request: update.request_id,
        metadata: told(update.metadata),
        name: told(update.name),
        attributes: update.attributes.into_iter().collect(),
    }
}

/// Says no to what is not there, so that nobody waits for it.
pub(super) fn not_offered(talk: &Talk<'_>, request: Request) -> Result<(), Verdict> {
    let (request_id, request) = match request {
        Request::PublishDataTrackRequest(it) => (0, Some(Asked::PublishDataTrack(it))),
        Request::UnpublishDataTrackRequest(it) => (0, Some(Asked::UnpublishDataTrack(it))),
        Request::StoreDataBlobRequest(it) => (it.request_id, None),
        Request::GetDataBlobRequest(it) => (it.request_id, None),
        _ => (0, None),
    };
    let refusal = RequestResponse {
        request_id,
        reason: Reason::UnsupportedType.into(),
        message: "not offered by this server".into(),
        request,
    };
    answered(talk, Response::RequestResponse(refusal))
}

/// What tests of clients ask for.
pub(super) fn simulate(talk: &Talk<'_>, scenario: SimulateScenario) -> Result<(), Verdict> {
    let client = &talk.dialect.client;
    match scenario.scenario {
        Some(Scenario::NodeFailure(_) | Scenario::Migration(_)) => Err(Verdict::Close),
        Some(Scenario::ServerLeave(_)) => {
            tell(talk, RoomRequest::Leave)?;
            Err(Verdict::Leave(response::leave(client, LeaveReason::Shutdown, Then::StayAway)))
        }
        Some(Scenario::LeaveRequestFullReconnect(_)) => {
            tell(talk, RoomRequest::Leave)?;
            Err(Verdict::Leave(response::leave(client, LeaveReason::Shutdown, Then::Rejoin)))
        }
        _ => Ok(()),
    }
}

fn answered(talk: &Talk<'_>, response: Response) -> Result<(), Verdict> {
    if talk.respond(response) { Ok(()) } else { Err(Verdict::Close) }
}
