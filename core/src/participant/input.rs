//! What can happen to a participant.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::ParticipantEffect;
use crate::id::{ParticipantId, TrackId};
use crate::machine::Notice;
use crate::media::LocalMedia;
use crate::room::sfu::{SfuNews, Speaker, TransportRole};
use crate::room::signal::{Allowance, JoinRefusal, Joined, RoomRequest};
use crate::room::view::{LeaveReason, ParticipantView, Permission, RoomView};

/// See the module.
#[derive(Clone, Debug, PartialEq)]
pub enum ParticipantInput {
    /// Begin.
    Start,
    /// The conference lets him in.
    Admitted(Arc<Joined>),
    /// It does not.
    Refused(JoinRefusal),
    /// His peer is made.
    MediaReady(TransportRole, LocalMedia),
    /// His far end says something.
    Request(RoomRequest),
    /// His socket is gone.
    Cut,
    /// It is back.
    Resume,
    /// The media pool has something to say.
    News(SfuNews),
    /// Participants came, changed or left.
    Seen(Arc<[Arc<ParticipantView>]>),
    /// Who may receive what somebody publishes.
    Allowed(ParticipantId, Arc<Allowance>),
    /// The room changed.
    Room(Arc<RoomView>),
    /// Somebody receives a track of his: the first one.
    Received(TrackId),
    /// Who speaks.
    Speakers(Arc<[Speaker]>),
    /// He is put out.
    Remove(LeaveReason),
    /// An administrator wants something of him.
    Order(ParticipantOrder),
    /// A track of his is not carried any more.
    TrackLost(TrackId),
    /// From the shell.
    Notice(Notice<ParticipantEffect, ParticipantKind>),
}

/// What an administrator may want of a participant.
#[derive(Clone, Debug, PartialEq)]
pub enum ParticipantOrder {
    /// Mute or unmute a track of his.
    Mute {
        /// Which.
        track: TrackId,
        /// Or unmute.
        is_muted: bool,
    },
    /// Change what others see of him. Attributes with an empty value are deleted.
    Describe {
        /// Free text, if it is to change.
        metadata: Option<Arc<str>>,
        /// His name, if it is to change.
        name: Option<Arc<str>>,
        /// Pairs that are to change.
        attributes: BTreeMap<String, String>,
    },
    /// Change what he may do.
    Permit(Permission),
    /// Let him receive tracks, or no longer.
    Subscribe {
        /// Which.
        tracks: Vec<TrackId>,
        /// Or no longer.
        is_wanted: bool,
    },
}

/// Kinds of inputs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ParticipantKind {
    /// Without it he and we do not know the same.
    Vital,
    /// It comes again, or is worth something only now.
    Passing,
}

impl ParticipantInput {
    pub(super) const fn kind(&self) -> ParticipantKind {
        match self {
            Self::Speakers(_) | Self::Cut | Self::Received(_) | Self::Notice(_) => ParticipantKind::Passing,
            _ => ParticipantKind::Vital,
        }
    }

    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Admitted(_) => "admitted",
            Self::Refused(_) => "refused",
            Self::MediaReady(..) => "media ready",
            Self::Request(_) => "request",
            Self::Cut => "cut",
            Self::Resume => "resume",
            Self::News(_) => "news",
            Self::Seen(_) => "seen",
            Self::Allowed(..) => "allowed",
            Self::Room(_) => "room",
            Self::Received(_) => "received",
            Self::Speakers(_) => "speakers",
            Self::Remove(_) => "remove",
            Self::Order(_) => "order",
            Self::TrackLost(_) => "track lost",
            Self::Notice(_) => "notice",
        }
    }
}

impl From<Notice<ParticipantEffect, ParticipantKind>> for ParticipantInput {
    fn from(notice: Notice<ParticipantEffect, ParticipantKind>) -> Self {
        Self::Notice(notice)
    }
}
