//! What the media pool is told of rooms, and what it has to say about them. Every command may come twice and means the
//! same the second time.

use std::sync::Arc;

use bytes::Bytes;

use super::description::SectionKind;
use crate::id::{ConferenceId, ParticipantId, TrackId};
use crate::media::{Codec, PeerDescription};

/// One peer connection of a participant.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct TransportId {
    /// Whose.
    pub participant: ParticipantId,
    /// Which of his.
    pub role: TransportRole,
}

/// What a connection is for.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum TransportRole {
    /// What the participant publishes; with a single connection, what he receives too. He offers.
    Publisher,
    /// What he receives, when he has two. We offer.
    Subscriber,
}

/// What a worker is to do for one conference.
#[derive(Clone, Debug, PartialEq)]
pub enum SfuCommand {
    /// The far end described itself: from now on its keys are used.
    Connect {
        /// Which connection.
        transport: TransportId,
        /// Its far end.
        remote: Arc<PeerDescription>,
        /// Numbers of header extensions, the same in both directions.
        extensions: Extensions,
    },
    /// Take a track in. Replaces an earlier specification.
    Receive {
        /// Which track.
        track: TrackId,
        /// How its packets are known.
        spec: Arc<ReceiveSpec>,
    },
    /// Whether packets of the track go on to anybody. Unmuted at first.
    Mute {
        /// Which track.
        track: TrackId,
        /// Nothing goes on.
        is_muted: bool,
    },
    /// The track is not published any more; whoever gets it gets nothing.
    StopReceiving {
        /// Which track.
        track: TrackId,
    },
    /// Send a track to a connection. Replaces an earlier specification and wish, without a break when only the wish
    /// differs. The track may be taken in later, or be of a transport that is not there yet.
    Send {
        /// Which track.
        track: TrackId,
        /// To whom.
        transport: TransportId,
        /// How it is numbered there.
        spec: Arc<SendSpec>,
        /// What of it.
        wish: Wish,
    },
    /// Send it no longer.
    StopSending {
        /// Which track.
        track: TrackId,
        /// To whom.
        transport: TransportId,
    },
}

/// Numbers of header extensions on one connection; 0: not negotiated.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Extensions {
    /// [`uri::MID`](super::description::uri::MID)
    pub mid: u8,
    /// [`uri::RID`](super::description::uri::RID)
    pub rid: u8,
    /// [`uri::REPAIRED_RID`](super::description::uri::REPAIRED_RID)
    pub repaired_rid: u8,
    /// [`uri::AUDIO_LEVEL`](super::description::uri::AUDIO_LEVEL)
    pub audio_level: u8,
    /// [`uri::TRANSPORT_CC`](super::description::uri::TRANSPORT_CC)
    pub transport_cc: u8,
    /// [`uri::ABS_SEND_TIME`](super::description::uri::ABS_SEND_TIME)
    pub abs_send_time: u8,
    /// [`uri::DEPENDENCY_DESCRIPTOR`](super::description::uri::DEPENDENCY_DESCRIPTOR)
    pub dependency_descriptor: u8,
}

/// How packets of a published track are known.
#[derive(Clone, Debug, PartialEq)]
pub struct ReceiveSpec {
    /// Where they come in.
    pub transport: TransportId,
    /// The section they belong to.
    pub mid: Arc<str>,
    /// Audio or video.
    pub kind: SectionKind,
    /// Formats that the far end may use, the preferred one first; each with the payload type of its retransmissions.
    pub formats: Vec<(Codec, Option<u8>)>,
    /// Layers of simulcast, the lowest quality first. Empty: one layer.
    pub layers: Vec<LayerSpec>,
    /// SSRCs that the description named, with that of their retransmissions. May be empty: then `mid` and `rid` of the
    /// first packets tell.
    pub sources: Vec<(u32, Option<u32>)>,
    /// Whether lost packets are asked for.
    pub nack: bool,
}

/// One simulcast layer as its publisher announced it.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerSpec {
    /// As packets name it.
    pub rid: Arc<str>,
    /// Pixels; 0: not told.
    pub width: u32,
    /// Pixels; 0: not told.
    pub height: u32,
    /// Bits per second at most; 0: not told.
    pub bitrate: u32,
}

/// How a track is numbered on a subscriber's connection.
#[derive(Clone, Debug, PartialEq)]
pub struct SendSpec {
    /// The section it goes out in.
    pub mid: Arc<str>,
    /// Of its packets.
    pub ssrc: u32,
    /// Of its retransmissions; `None`: there are none.
    pub rtx_ssrc: Option<u32>,
    /// The subscriber's numbers of the formats that the track may have, each with that of its retransmissions. A packet
    /// in another format is not sent.
    pub formats: Vec<(Codec, Option<u8>)>,
}

/// What a subscriber wants of a track.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Wish {
    /// Nothing, for now: it is not seen, or he must not.
    pub is_paused: bool,
    /// The highest layer, 0 the lowest. Of fewer layers the best there is.
    pub max_layer: u8,
}

impl Wish {
    /// The best of it.
    pub const ALL: Self = Self { is_paused: false, max_layer: u8::MAX };
}

/// Which of the three channels of data.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum DataChannel {
    /// Ordered, nothing lost.
    Reliable,
    /// Unordered, never repeated.
    Lossy,
    /// The same, for frames of data tracks.
    Tracks,
}

/// A message on its way to participants.
#[derive(Clone, Debug, PartialEq)]
pub struct DataOut {
    /// To which connections.
    pub to: Arc<[TransportId]>,
    /// On which channel.
    pub channel: DataChannel,
    /// The message, at most 64 kB.
    pub bytes: Bytes,
}

/// What the pool has to say of a participant's connections and tracks.
#[derive(Clone, Debug, PartialEq)]
pub enum SfuNews {
    /// The handshake is done: media may flow.
    Connected(TransportRole),
    /// Neither a check nor media came for so long that the far end must be gone.
    Silent(TransportRole),
    /// The connection broke, or its worker was given up.
    Broken(TransportRole),
    /// The first packet of a track's layer came.
    Started {
        /// Which track.
        track: TrackId,
        /// Its place in [`ReceiveSpec::layers`], 0 without simulcast.
        layer: u8,
        /// Of its packets.
        ssrc: u32,
    },
    /// How his connections fare; every 5 s, and only when it changed.
    Quality(Quality),
}

/// How a connection fares, as users are shown it.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Quality {
    /// Hardly anything comes through.
    Poor,
    /// There is loss.
    Good,
    /// All is well.
    Excellent,
}

/// How loud somebody is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Speaker {
    /// Who.
    pub participant: ParticipantId,
    /// 0.0 (silent)..=1.0.
    pub level: f32,
    /// Whether he speaks.
    pub is_active: bool,
}

/// What the pool has to say of a whole conference.
#[derive(Clone, Debug, PartialEq)]
pub struct Speakers {
    /// Where.
    pub conference: ConferenceId,
    /// Those whose level or activity changed.
    pub changed: Vec<Speaker>,
}
