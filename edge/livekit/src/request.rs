//! What clients say, as requests to their participants.

mod control;
mod description;
mod sync;
mod tracks;

use livekit_protocol::signal_request::Message as Request;
use livekit_protocol::{LeaveRequest, SignalRequest};
use tandem_core::machine::Refusal;
use tandem_core::room::signal::RoomRequest;
use tracing::debug;

use crate::door::Params;
use crate::response;
use crate::socket::Talk;

pub(crate) use tracks::source;

/// Why a socket ends over what was said on it.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// There is nothing to say.
    Close,
    /// The client is told what to do now.
    Leave(LeaveRequest),
}

/// What a client said by connecting, in the order in which it would have said it.
pub(crate) fn opening(params: &Params) -> Vec<SignalRequest> {
    let tracks = params.tracks.iter().cloned().map(Request::AddTrack);
    let sync = params.sync.iter().cloned().map(Request::SyncState);
    let offer = params.offer.iter().cloned().map(Request::Offer);
    sync.chain(tracks).chain(offer).map(|it| SignalRequest { message: Some(it) }).collect()
}

/// Does what a client says.
///
/// # Errors
/// When the socket is to end.
pub(crate) fn carry_out(talk: &Talk<'_>, request: SignalRequest) -> Result<(), Verdict> {
    let Some(request) = request.message else { return Ok(()) };
    let request = match request {
        Request::Offer(offer) => description::offer(&offer)?,
        Request::Answer(answer) => description::answer(&answer)?,
        Request::AddTrack(track) => match tracks::publish(track) {
            Some(publish) => publish,
            None => return Ok(()),
        },
        Request::Mute(mute) => match tracks::mute(&mute) {
            Some(mute) => mute,
            None => return Ok(()),
        },
        Request::Subscription(wish) => tracks::subscribe(&wish),
        Request::TrackSetting(setting) => tracks::show(&setting),
        Request::SubscriptionPermission(permission) => tracks::allow(permission),
        Request::UpdateMetadata(update) => control::describe(update),
        Request::UpdateAudioTrack(update) => match tracks::retouch_audio(update) {
            Some(retouch) => retouch,
            None => return Ok(()),
        },
        Request::UpdateVideoTrack(update) => match tracks::retouch_video(&update) {
            Some(retouch) => retouch,
            None => return Ok(()),
        },
        Request::SyncState(state) => sync::sync(talk, &state),
        Request::Leave(_) => RoomRequest::Leave,
        Request::Ping(_) | Request::PingReq(_) => return control::pong(talk, &request),
        Request::Simulate(scenario) => return control::simulate(talk, scenario),
        Request::PublishDataTrackRequest(_)
        | Request::UnpublishDataTrackRequest(_)
        | Request::StoreDataBlobRequest(_)
        | Request::GetDataBlobRequest(_) => return control::not_offered(talk, request),
        // We are ICE-lite: a client finds us, we need none of its candidates. The others have no effect here.
        _ => return Ok(()),
    };
    tell(talk, request)
}

/// Tells the participant.
pub(crate) fn tell(talk: &Talk<'_>, request: RoomRequest) -> Result<(), Verdict> {
    match talk.edge.rooms.request(talk.participant, request) {
        Ok(()) => Ok(()),
        Err(Refusal::Gone) => Err(Verdict::Leave(response::come_anew(&talk.dialect.client))),
        Err(refusal @ (Refusal::Full | Refusal::Crashed)) => {
            debug!(participant_id = %talk.participant, ?refusal, "request not taken");
            Err(Verdict::Close)
        }
    }
}
