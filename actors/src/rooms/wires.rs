//! What the effects of conferences, participants and their tracks mean to the world, and to each other.
//!
//! What participants and their conference tell each other goes above the limit of an inbox, but for what is worth
//! something only now: it is bounded by who is there, and a word that got lost would never be said again.

use std::sync::{Arc, Weak};

use tandem_core::conference::{Conference, ConferenceEffect, ConferenceInput};
use tandem_core::id::{ConferenceId, ParticipantId, TrackId};
use tandem_core::machine::{Exit, Refusal, Stamp};
use tandem_core::participant::{Participant, ParticipantEffect, ParticipantInput};
use tandem_core::publication::{Publication, PublicationEffect, PublicationInput};
use tandem_core::room::sfu::{TransportId, TransportRole};
use tandem_core::room::view::LeaveReason;
use tracing::{Span, error_span};

use super::{Rooms, RoomsOutside};
use crate::ports::Ports;

/// From the slots back to those who hold them; not a circle, so that a node can be dropped.
pub(super) struct Wires(pub(super) Weak<Rooms>);

impl Ports<Conference> for Wires {
    fn perform(&self, _: Stamp<ConferenceId>, effect: ConferenceEffect) -> Result<(), Refusal> {
        let rooms = self.rooms()?;
        match effect {
            ConferenceEffect::Tell(participant, input) => rooms.tell(participant, *input),
            ConferenceEffect::TellAll(participants, input) => {
                participants.iter().for_each(|participant| rooms.tell(*participant, (*input).clone()));
            }
        }
        Ok(())
    }

    /// A conference leaves nobody behind, whatever it was able to tell them.
    fn gone(&self, id: ConferenceId, last: &Conference, exit: Exit) {
        let Ok(rooms) = self.rooms() else { return };
        let birth = last.birth();
        let mut names = rooms.names.lock();
        let key = (birth.context.tenant.clone(), birth.name.clone());
        if names.get(&key) == Some(&id) {
            names.remove(&key);
        }
        drop(names);
        let reason = match exit {
            Exit::Ended => LeaveReason::RoomClosed,
            Exit::GivenUp => LeaveReason::StateMismatch,
        };
        last.members().for_each(|member| rooms.tell(member.id, ParticipantInput::Remove(reason)));
        let (conference_id, correlation_id) = (id, birth.context.correlation_id);
        tracing::info!(%conference_id, %correlation_id, tenant = %birth.context.tenant, "conference over");
    }

    fn span(&self, id: ConferenceId, conference: &Conference) -> Span {
        error_span!("conference", conference_id = %id, correlation_id = %conference.birth().context.correlation_id)
    }
}

impl Ports<Participant> for Wires {
    fn perform(&self, stamp: Stamp<ParticipantId>, effect: ParticipantEffect) -> Result<(), Refusal> {
        let rooms = self.rooms()?;
        let outside = rooms.outside()?;
        let me = rooms.participants.find(stamp.from).ok_or(Refusal::Gone)?;
        let conference = me.slot().view(|it| it.birth().conference);
        match effect {
            ParticipantEffect::OpenMedia(role) => {
                let local = outside.sfu.open(conference, TransportId { participant: stamp.from, role })?;
                me.slot().reply(ParticipantInput::MediaReady(role, local));
            }
            ParticipantEffect::Media(command) => outside.sfu.command(conference, command)?,
            ParticipantEffect::Signal(signal) => outside.edge.signal(stamp, signal)?,
            ParticipantEffect::OpenTrack(track) => {
                rooms.publications.open(track, Publication::new(track, stamp.from));
            }
            ParticipantEffect::TellTrack(track, PublicationInput::End) => rooms.end_track(track),
            ParticipantEffect::TellTrack(track, input) => {
                rooms.publications.find(track).ok_or(Refusal::Gone)?.send(input)?;
            }
            ParticipantEffect::TellConference(news) => {
                let conference = rooms.conferences.find(conference).ok_or(Refusal::Gone)?;
                conference.slot().notify(ConferenceInput::Participant(stamp.from, news));
            }
        }
        Ok(())
    }

    fn gone(&self, id: ParticipantId, last: &Participant, _: Exit) {
        let Ok(rooms) = self.rooms() else { return };
        last.view().tracks.iter().for_each(|track| rooms.end_track(track.id));
        if let Ok(outside) = rooms.outside() {
            for role in [TransportRole::Publisher, TransportRole::Subscriber] {
                outside.sfu.release(TransportId { participant: id, role });
            }
            outside.edge.release(id);
        }
        // Its last news may have been what broke a port; a conference that has heard it ignores this.
        if let Some(conference) = rooms.conferences.find(last.birth().conference) {
            conference.slot().notify(ConferenceInput::ParticipantGone(id));
        }
    }

    fn span(&self, id: ParticipantId, participant: &Participant) -> Span {
        let (conference, correlation) =
            (participant.birth().conference, participant.birth().join.context.correlation_id);
        error_span!("participant", conference_id = %conference, correlation_id = %correlation, participant_id = %id)
    }
}

impl Ports<Publication> for Wires {
    fn perform(&self, stamp: Stamp<TrackId>, effect: PublicationEffect) -> Result<(), Refusal> {
        let rooms = self.rooms()?;
        let track = rooms.publications.find(stamp.from).ok_or(Refusal::Gone)?;
        let publisher = track.slot().view(Publication::participant);
        // Who is gone took his connections, and all that came in by them, with him.
        let Some(participant) = rooms.participants.find(publisher) else { return Ok(()) };
        match effect {
            PublicationEffect::Media(command) => {
                let conference = participant.slot().view(|it| it.birth().conference);
                rooms.outside()?.sfu.command(conference, command)
            }
            PublicationEffect::TellLost => {
                participant.slot().notify(ParticipantInput::TrackLost(stamp.from));
                Ok(())
            }
        }
    }

    /// However it ended: what it said of that may be what broke a port. A participant who knows ignores this.
    fn gone(&self, id: TrackId, last: &Publication, _: Exit) {
        if let Ok(rooms) = self.rooms() {
            rooms.tell(last.participant(), ParticipantInput::TrackLost(id));
        }
    }

    fn span(&self, id: TrackId, track: &Publication) -> Span {
        let participant = self.rooms().ok().and_then(|rooms| rooms.participants.find(track.participant()));
        let participant = participant
            .map_or_else(Span::none, |it| self.span(track.participant(), &it.slot().view(Participant::clone)));
        error_span!(parent: &participant, "track", track_id = %id)
    }
}

impl Wires {
    fn rooms(&self) -> Result<Arc<Rooms>, Refusal> {
        self.0.upgrade().ok_or(Refusal::Gone)
    }
}

impl Rooms {
    fn outside(&self) -> Result<&RoomsOutside, Refusal> {
        self.outside.get().ok_or(Refusal::Gone)
    }

    fn tell(&self, participant: ParticipantId, input: ParticipantInput) {
        let Some(participant) = self.participants.find(participant) else { return };
        if let ParticipantInput::Speakers(_) = input {
            let _dropped = participant.send(input);
        } else {
            participant.slot().notify(input);
        }
    }

    fn end_track(&self, track: TrackId) {
        if let Some(track) = self.publications.find(track) {
            track.slot().notify(PublicationInput::End);
        }
    }
}
