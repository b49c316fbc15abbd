//! What a participant is told, and what its edge tells of it: in core's terms, whatever the wire calls them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::description::{Description, SectionKind};
use super::sfu::{LayerSpec, Quality, Speaker};
use super::view::{
    LeaveReason, LimitOrigin, ParticipantKind, ParticipantView, Permission, RoomView, TrackLayer, TrackSource,
    TrackView,
};
use super::{RoomIdentity, RoomName};
use crate::event::Context;
use crate::id::{ConferenceId, ParticipantId, TrackId};

/// Somebody wants to come in.
#[derive(Clone, Debug, PartialEq)]
pub struct Join {
    /// Minted by the edge.
    pub participant: ParticipantId,
    /// Minted by the edge too: the conference's id if this join begins it.
    pub conference: ConferenceId,
    /// Ids; the correlation id becomes the conference's if this join begins it.
    pub context: Context,
    /// Where to.
    pub room: RoomName,
    /// Who.
    pub identity: RoomIdentity,
    /// How he wants to be called.
    pub name: Arc<str>,
    /// Free text.
    pub metadata: Arc<str>,
    /// Free pairs.
    pub attributes: Arc<BTreeMap<String, String>>,
    /// What his token lets him do.
    pub permission: Permission,
    /// What he is.
    pub kind: ParticipantKind,
    /// How many connections his client makes.
    pub topology: Topology,
    /// He gets every track without asking.
    pub auto_subscribe: bool,
    /// Of the client's data protocol.
    pub client_protocol: i32,
    /// What the client's data layer can do.
    pub capabilities: Arc<[i32]>,
    /// How the room is to be if this join begins it; the seats count even if it does not.
    pub wanted: RoomWish,
    /// Whether he may begin the room.
    pub may_create: bool,
}

/// How a room is to be.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct RoomWish {
    /// How many may be in it.
    pub seats: Option<u32>,
    /// After how long without anybody it ends, from the start.
    pub empty_timeout: Option<Duration>,
    /// The same, since the last one left.
    pub departure_timeout: Option<Duration>,
    /// Free text.
    pub metadata: Arc<str>,
}

/// How many peer connections a client makes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Topology {
    /// One, which he offers, for both ways.
    Single,
    /// One that he offers and sends on, one that we offer and send on.
    Dual,
}

/// Why somebody was not let in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum JoinRefusal {
    /// All seats are taken.
    ParticipantLimit {
        /// How many there are.
        seats: u32,
        /// Who says so.
        origin: LimitOrigin,
    },
    /// There is no such room, and he may not begin it.
    NoRoom,
    /// The node has as many rooms or participants as it takes.
    Overload,
    /// The node stops.
    Shutdown,
}

/// For the far end of a participant. All that it needs after a cut comes again with [`Resumed`](Self::Resumed).
#[derive(Clone, Debug, PartialEq)]
pub enum RoomSignal {
    /// He is in. The first signal, unless he was refused.
    Joined(Arc<Joined>),
    /// He is not. The only signal.
    Refused(JoinRefusal),
    /// His signalling is back: what he missed.
    Resumed(Arc<Joined>),
    /// The answer to an offer of his.
    Answer {
        /// The offer's number.
        id: u32,
        /// Ours.
        answer: Arc<Description>,
        /// Which sections carry which tracks to him.
        tracks: Arc<[(Arc<str>, TrackId)]>,
    },
    /// Our offer, for what he receives on a connection of its own.
    Offer {
        /// Its number.
        id: u32,
        /// Ours.
        offer: Arc<Description>,
        /// Which sections carry which tracks.
        tracks: Arc<[(Arc<str>, TrackId)]>,
    },
    /// He must offer again, with so many more sections to receive in; 0 and 0: as it was.
    SectionsNeeded {
        /// Of audio.
        audio: u32,
        /// Of video.
        video: u32,
    },
    /// What he announced is known under this id.
    Published {
        /// His name for it.
        cid: Arc<str>,
        /// The track.
        track: Arc<TrackView>,
    },
    /// What he announced is not taken.
    NotPublished {
        /// His name for it.
        cid: Arc<str>,
        /// Why.
        outcome: Outcome,
    },
    /// Participants came, changed or left.
    Participants(Arc<[Arc<ParticipantView>]>),
    /// The room changed.
    Room(Arc<RoomView>),
    /// Who speaks now, and how loud.
    Speakers(Arc<[Speaker]>),
    /// How somebody's connection fares.
    Quality(ParticipantId, Quality),
    /// Somebody receives a track of his: the first one.
    TrackSubscribed(TrackId),
    /// We muted a track of his.
    Muted {
        /// Which.
        track: TrackId,
        /// Or unmuted.
        is_muted: bool,
    },
    /// We ended a track of his.
    Unpublished(TrackId),
    /// Whether he may receive a track of somebody.
    MayReceive {
        /// Whose.
        publisher: ParticipantId,
        /// Which.
        track: TrackId,
        /// Or not.
        is_allowed: bool,
    },
    /// He cannot receive what he asked for.
    NotReceived {
        /// Which track.
        track: TrackId,
        /// He speaks none of its codecs; else there is none such.
        is_codec: bool,
    },
    /// What became of a request of his.
    Outcome {
        /// The request's number.
        request: u32,
        /// What.
        outcome: Outcome,
    },
    /// He is out. The last signal.
    Left {
        /// Why.
        reason: LeaveReason,
        /// What he is to do now.
        then: Then,
    },
}

/// What somebody who lost his place is to do.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Then {
    /// Nothing.
    StayAway,
    /// Take the same place again.
    Resume,
    /// Come in anew.
    Rejoin,
}

/// What became of a request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// Done.
    Done,
    /// He may not.
    NotAllowed,
    /// It is too large.
    TooLarge,
    /// There is no such thing.
    NotFound,
}

/// All that somebody who comes in, or back, must know.
#[derive(Clone, Debug, PartialEq)]
pub struct Joined {
    /// The room.
    pub room: Arc<RoomView>,
    /// Himself.
    pub me: Arc<ParticipantView>,
    /// Everybody else whom he may see.
    pub others: Vec<Arc<ParticipantView>>,
}

/// What a participant's far end says.
#[derive(Clone, Debug, PartialEq)]
pub enum RoomRequest {
    /// Describes a connection. Answered with [`RoomSignal::Answer`] of the same number.
    Offer {
        /// Its number.
        id: u32,
        /// His.
        offer: Arc<Description>,
    },
    /// Answers ours, of that number.
    Answer {
        /// Our offer's number.
        id: u32,
        /// His.
        answer: Arc<Description>,
    },
    /// Announces a track. Answered with [`RoomSignal::Published`].
    Publish(Arc<Publish>),
    /// Mutes or unmutes a track of his.
    Mute {
        /// Which.
        track: TrackId,
        /// Or unmutes.
        is_muted: bool,
    },
    /// Wants tracks, or no longer.
    Subscribe {
        /// Which.
        tracks: Vec<TrackId>,
        /// Wants them.
        is_wanted: bool,
    },
    /// How tracks are shown.
    Show {
        /// Which.
        tracks: Vec<TrackId>,
        /// How.
        how: Showing,
    },
    /// Who may receive what he publishes.
    Allow(Arc<Allowance>),
    /// Changes what others see of him. Attributes with an empty value are deleted.
    Describe {
        /// The request's number, for [`RoomSignal::Outcome`].
        request: u32,
        /// Free text, if it is to change.
        metadata: Option<Arc<str>>,
        /// How he wants to be called, if it is to change.
        name: Option<Arc<str>>,
        /// Pairs that are to change.
        attributes: BTreeMap<String, String>,
    },
    /// Features or dimensions of a track of his changed.
    Retouch {
        /// Which.
        track: TrackId,
        /// What the audio is like, if it changed.
        audio_features: Option<Arc<[i32]>>,
        /// Width and height in pixels, if they changed.
        size: Option<(u32, u32)>,
    },
    /// What he has after a cut: tracks that he publishes, those that he wants and those that he does not want to see now.
    Sync {
        /// His own: one that we do not know means that he must come in anew.
        published: Vec<TrackId>,
        /// Exceptions of `auto_subscribe`: unwanted with it, wanted without.
        exceptions: Vec<TrackId>,
        /// Not shown.
        disabled: Vec<TrackId>,
    },
    /// Leaves.
    Leave,
}

/// A track that is to be published.
#[derive(Clone, Debug, PartialEq)]
pub struct Publish {
    /// Minted by the edge.
    pub track: TrackId,
    /// The client's name for it, by which the offer's section is found.
    pub cid: Arc<str>,
    /// Audio or video.
    pub kind: SectionKind,
    /// From where.
    pub source: TrackSource,
    /// Its name.
    pub name: Arc<str>,
    /// The stream it belongs to.
    pub stream: Arc<str>,
    /// Muted at first.
    pub is_muted: bool,
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// Qualities.
    pub layers: Arc<[TrackLayer]>,
    /// The codec it wants, as registered (`vp8`); empty: whatever is negotiated.
    pub codec: Arc<str>,
    /// Without redundant audio.
    pub disable_red: bool,
    /// Of the client's end-to-end encryption.
    pub encryption: i32,
    /// What the audio is like.
    pub audio_features: Arc<[i32]>,
}

impl Publish {
    /// The layers that an offer's `rids` stand for, the lowest first. Of two the lower ones of three names are meant.
    #[must_use]
    pub fn layers_of(&self, rids: &[Arc<str>]) -> Vec<LayerSpec> {
        let mut rids: Vec<_> = rids.to_vec();
        rids.sort_by_key(|rid| match &**rid {
            "q" => 0,
            "h" => 1,
            "f" => 2,
            _ => 3,
        });
        let layer = |(n, rid): (usize, Arc<str>)| {
            let told = self.layers.get(n);
            LayerSpec {
                rid,
                width: told.map_or(0, |it| it.width),
                height: told.map_or(0, |it| it.height),
                bitrate: told.map_or(0, |it| it.bitrate),
            }
        };
        rids.into_iter().enumerate().map(layer).collect()
    }
}

/// How a track is shown to somebody.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Showing {
    /// Not at all, for now.
    pub is_disabled: bool,
    /// The wire's quality (0 low, 1 medium, 2 high) if he chose one.
    pub quality: Option<i32>,
    /// Pixels of the element it is shown in; 0: not told.
    pub width: u32,
    /// Pixels.
    pub height: u32,
}

/// Who may receive what somebody publishes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Allowance {
    /// Everybody, everything.
    pub all: bool,
    /// If not: who may have which tracks; `None`: all of them.
    pub some: Vec<(Allowed, Option<Vec<TrackId>>)>,
}

/// Somebody who is allowed.
#[derive(Clone, Debug, PartialEq)]
pub enum Allowed {
    /// By his id.
    Id(ParticipantId),
    /// By who he is.
    Identity(RoomIdentity),
}
