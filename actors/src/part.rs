//! The machines that have actors, each under a name by which it can be shown and broken.

use std::fmt;
use std::str::FromStr;

use tandem_core::call::Call;
use tandem_core::conference::Conference;
use tandem_core::id::{CallId, ConferenceId, LegId, ParticipantId, TrackId};
use tandem_core::leg::Leg;
use tandem_core::machine::Machine;
use tandem_core::participant::Participant;
use tandem_core::publication::Publication;
use tandem_core::track::Track;
use uuid::Uuid;

use crate::tree::Kind;

/// One of them.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum PartId {
    /// A call.
    Call(CallId),
    /// A leg of a call.
    Leg(LegId),
    /// A track: of a leg, or one that a participant publishes.
    Track(TrackId),
    /// A conference.
    Conference(ConferenceId),
    /// A participant of a conference.
    Participant(ParticipantId),
}

impl PartId {
    pub(crate) const fn uuid(self) -> Uuid {
        match self {
            Self::Call(id) => id.uuid(),
            Self::Leg(id) => id.uuid(),
            Self::Track(id) => id.uuid(),
            Self::Conference(id) => id.uuid(),
            Self::Participant(id) => id.uuid(),
        }
    }
}

impl fmt::Display for PartId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Call(id) => id.fmt(f),
            Self::Leg(id) => id.fmt(f),
            Self::Track(id) => id.fmt(f),
            Self::Conference(id) => id.fmt(f),
            Self::Participant(id) => id.fmt(f),
        }
    }
}

/// That this is no id of a machine.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("no call, leg, track, conference or participant")]
pub struct NoPart;

impl FromStr for PartId {
    type Err = NoPart;

    fn from_str(text: &str) -> Result<Self, NoPart> {
        let call = text.parse().map(Self::Call);
        let leg = || text.parse().map(Self::Leg);
        let track = || text.parse().map(Self::Track);
        let conference = || text.parse().map(Self::Conference);
        let participant = || text.parse().map(Self::Participant);
        let found = call.or_else(|_| leg()).or_else(|_| track()).or_else(|_| conference());
        found.or_else(|_| participant()).map_err(|_| NoPart)
    }
}

/// A machine as the tree shows it.
pub(crate) trait Part: Machine {
    /// What it is called in the tree.
    const KIND: Kind;

    /// How it is called among all of them.
    fn part(id: Self::Id) -> PartId;

    /// Whose it is.
    fn owner(&self) -> Option<PartId>;

    /// Name of its state.
    fn state(&self) -> &'static str;
}

macro_rules! part {
    ($machine:ident, $kind:ident, $id:ident, |$it:ident| $owner:expr) => {
        impl Part for $machine {
            const KIND: Kind = Kind::$kind;

            fn part(id: Self::Id) -> PartId {
                PartId::$id(id)
            }

            fn owner(&self) -> Option<PartId> {
                let $it = self;
                $owner
            }

            fn state(&self) -> &'static str {
                self.state_name()
            }
        }
    };
}

part!(Call, Call, Call, |_call| None);
part!(Leg, Leg, Leg, |leg| Some(PartId::Call(leg.call())));
part!(Track, Track, Track, |track| Some(PartId::Leg(track.leg())));
part!(Conference, Conference, Conference, |_conference| None);
part!(Participant, Participant, Participant, |it| Some(PartId::Conference(it.birth().conference)));
part!(Publication, Track, Track, |it| Some(PartId::Participant(it.participant())));
