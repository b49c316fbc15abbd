//! Participants, their tracks and the room as others are shown them. Passed around as values behind an `Arc`.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::description::SectionKind;
use super::signal::Join;
use super::{RoomIdentity, RoomName};
use crate::id::{ConferenceId, ParticipantId, TrackId};
use crate::media::Codec;
use crate::time::WallTime;

/// The room.
#[derive(Clone, Debug, PartialEq)]
pub struct RoomView {
    /// This time that it is held.
    pub conference: ConferenceId,
    /// Its name.
    pub name: RoomName,
    /// Free text of those who made it.
    pub metadata: Arc<str>,
    /// Since when it is held.
    pub began: WallTime,
    /// How many may be in it, and who says so.
    pub limit: SeatLimit,
    /// After how many seconds without anybody it ends, from the start.
    pub empty_timeout_s: u32,
    /// The same, since the last one left.
    pub departure_timeout_s: u32,
    /// Visible participants.
    pub participants: u32,
    /// Those of them who publish something.
    pub publishers: u32,
    /// Whether it is being recorded.
    pub is_recorded: bool,
}

/// How many may be in a room: the smallest of what was said.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SeatLimit {
    /// Participants; `None`: as many as come.
    pub seats: Option<u32>,
    /// Who says so.
    pub origin: LimitOrigin,
}

/// Where the smallest limit comes from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum LimitOrigin {
    /// The node's configuration.
    Policy,
    /// The room itself, as it was created.
    Room,
    /// The request that let somebody in (his token's room configuration).
    Request,
}

impl LimitOrigin {
    /// As refusals and views name it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Policy => "policy",
            Self::Room => "room",
            Self::Request => "request",
        }
    }
}

/// A participant.
#[derive(Clone, Debug, PartialEq)]
pub struct ParticipantView {
    /// Who, in this conference.
    pub id: ParticipantId,
    /// Who, for others.
    pub identity: RoomIdentity,
    /// How he wants to be called.
    pub name: Arc<str>,
    /// How far he is.
    pub state: ParticipantState,
    /// Free text.
    pub metadata: Arc<str>,
    /// Free pairs.
    pub attributes: Arc<BTreeMap<String, String>>,
    /// What he may do.
    pub permission: Permission,
    /// What he publishes.
    pub tracks: Vec<Arc<TrackView>>,
    /// What kind of participant.
    pub kind: ParticipantKind,
    /// Since when.
    pub joined: WallTime,
    /// Rises with every change: older ones are to be ignored.
    pub version: u32,
    /// Of the client's data protocol.
    pub client_protocol: i32,
    /// What the client's data layer can do, as it told.
    pub capabilities: Arc<[i32]>,
    /// Why he left.
    pub left: Option<LeaveReason>,
}

/// How far a participant is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ParticipantState {
    /// He was let in.
    Joined,
    /// His connection stands.
    Active,
    /// He left.
    Disconnected,
}

/// What kind of participant.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum ParticipantKind {
    /// A person at a client.
    #[default]
    Standard,
    /// Brings media from outside.
    Ingress,
    /// Takes media away, to record or stream it.
    Egress,
    /// A phone.
    Sip,
    /// A program that takes part.
    Agent,
}

/// What somebody may do in a room.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Permission {
    /// Receive what others publish.
    pub can_subscribe: bool,
    /// Publish.
    pub can_publish: bool,
    /// Send data.
    pub can_publish_data: bool,
    /// Only from these sources; empty: from all.
    pub sources: Arc<[TrackSource]>,
    /// Others do not see him.
    pub is_hidden: bool,
    /// He records: others are told that they are being recorded.
    pub is_recorder: bool,
    /// Change his own metadata, name and attributes.
    pub can_update_metadata: bool,
}

/// Where a track comes from.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum TrackSource {
    /// Not told.
    #[default]
    Unknown,
    /// A camera.
    Camera,
    /// A microphone.
    Microphone,
    /// A shared screen.
    ScreenShare,
    /// What that screen sounds like.
    ScreenShareAudio,
}

/// A published track.
#[derive(Clone, Debug, PartialEq)]
pub struct TrackView {
    /// Which.
    pub id: TrackId,
    /// Audio or video.
    pub kind: SectionKind,
    /// From where.
    pub source: TrackSource,
    /// Its name.
    pub name: Arc<str>,
    /// The stream that it belongs to with others of the same participant; empty: its own.
    pub stream: Arc<str>,
    /// Its publisher sends nothing.
    pub is_muted: bool,
    /// Pixels; 0 for audio.
    pub width: u32,
    /// Pixels; 0 for audio.
    pub height: u32,
    /// As codecs are registered, `video/VP8`; empty until it is negotiated.
    pub mime: Arc<str>,
    /// The format that its publisher sends, under his number; `None` until it is negotiated.
    pub codec: Option<Arc<Codec>>,
    /// The publisher's section.
    pub mid: Arc<str>,
    /// In more than one quality.
    pub is_simulcast: bool,
    /// Qualities, the lowest first.
    pub layers: Arc<[TrackLayer]>,
    /// Without redundant audio.
    pub disable_red: bool,
    /// How the publisher's client encrypted it end to end; the wire's number, 0: not at all.
    pub encryption: i32,
    /// What the audio is like; the wire's numbers.
    pub audio_features: Arc<[i32]>,
}

/// One quality of a video track.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TrackLayer {
    /// The wire's number: 0 low, 1 medium, 2 high.
    pub quality: i32,
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// Bits per second at most; 0: not told.
    pub bitrate: u32,
    /// Of its packets; 0 until the first came.
    pub ssrc: u32,
}

/// Why somebody left, or was made to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum LeaveReason {
    /// He wanted to.
    Client,
    /// Somebody with the same identity came.
    DuplicateIdentity,
    /// The node stops.
    Shutdown,
    /// An administrator removed him.
    Removed,
    /// The room was deleted.
    RoomDeleted,
    /// What he resumed is not there any more.
    StateMismatch,
    /// He was not let in, or did not get ready in time.
    JoinFailure,
    /// His signalling was cut and he did not come back in time.
    SignalLost,
    /// His media was cut.
    MediaLost,
    /// Everybody left.
    RoomClosed,
}

impl TrackView {
    /// As the wire names it. Nothing but its number: signals that have no more than that must name it so too.
    #[must_use]
    pub fn sid(&self) -> String {
        format!("TR_{}", self.id.uuid().simple())
    }
}

impl ParticipantView {
    /// Somebody who has just come.
    #[must_use]
    pub fn newcomer(join: &Join, joined: WallTime) -> Self {
        Self {
            id: join.participant,
            identity: join.identity.clone(),
            name: join.name.clone(),
            state: ParticipantState::Joined,
            metadata: join.metadata.clone(),
            attributes: join.attributes.clone(),
            permission: join.permission.clone(),
            tracks: Vec::new(),
            kind: join.kind,
            joined,
            version: 1,
            client_protocol: join.client_protocol,
            capabilities: join.capabilities.clone(),
            left: None,
        }
    }

    /// As the wire names him.
    #[must_use]
    pub fn sid(&self) -> String {
        format!("PA_{}", self.id.uuid().simple())
    }
}
