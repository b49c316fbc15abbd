//! One end's description of a peer connection with any number of sections (RFC 8829), in values: what an edge reads out
//! of SDP, and what it writes as SDP.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::media::{Codec, Direction, PeerDescription};

/// An offer or an answer, of either end.
#[derive(Clone, Debug, PartialEq)]
pub struct Description {
    /// How its transport is checked and secured. All sections are bundled on it.
    pub peer: Arc<PeerDescription>,
    /// Where we are: the one candidate of an ICE-lite agent. `None` in what came from a far end, whose candidates are not
    /// read.
    pub address: Option<SocketAddr>,
    /// Whether header extensions of one and two bytes may be mixed (RFC 8285, 4.1).
    pub mixes_extensions: bool,
    /// In the order of the text. An answer has as many as its offer, in the same order.
    pub sections: Vec<Arc<Section>>,
}

/// What kind of media a section is for.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum SectionKind {
    /// RTP with audio.
    Audio,
    /// RTP with video.
    Video,
    /// Data channels over SCTP over DTLS (RFC 8841).
    Data,
    /// Something else: always rejected.
    Other,
}

/// One `m=` of a description.
#[derive(Clone, Debug, PartialEq)]
pub struct Section {
    /// Its name within the connection (RFC 5888); never changes its place.
    pub mid: Arc<str>,
    /// For what.
    pub kind: SectionKind,
    /// Port 0 without `a=bundle-only`: it is not used, or was refused.
    pub is_rejected: bool,
    /// Which way, seen from the describer.
    pub direction: Direction,
    /// Formats in order of preference, without retransmission formats: those are with their primary.
    pub formats: Vec<Format>,
    /// Header extensions.
    pub extensions: Vec<Extension>,
    /// Simulcast layers that the describer sends (in our answer: takes), in its order (RFC 8853). Empty: one layer.
    pub rids: Vec<Arc<str>>,
    /// SSRCs that the describer names as its own.
    pub sources: Vec<Source>,
    /// The `a=msid` of what the describer sends.
    pub msid: Option<Msid>,
    /// Of a data section: the port of SCTP and the largest message in bytes that the describer takes.
    pub sctp: Option<Sctp>,
}

/// One payload format.
#[derive(Clone, Debug, PartialEq)]
pub struct Format {
    /// Number, name, clock, parameters.
    pub codec: Codec,
    /// The payload type of its retransmissions (RFC 4588).
    pub rtx: Option<u8>,
    /// Its `a=rtcp-fb`, such as `nack pli`.
    pub feedback: Vec<Arc<str>>,
}

/// A header extension (RFC 8285).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Extension {
    /// 1..=255; the same in every section of a connection.
    pub id: u8,
    /// What it is.
    pub uri: Arc<str>,
}

/// A stream that is sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Source {
    /// Of its packets.
    pub ssrc: u32,
    /// Of its retransmissions.
    pub rtx: Option<u32>,
}

/// To which stream a sent track belongs, and what it is called there (RFC 8830).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Msid {
    /// The stream.
    pub stream: Arc<str>,
    /// The track.
    pub track: Arc<str>,
}

/// Of a data section.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Sctp {
    /// Its port, 5000 as a rule.
    pub port: u16,
    /// The largest message in bytes; 0: any.
    pub max_message_size: u32,
}

/// Header extensions that we know, by their `uri`.
pub mod uri {
    /// The section a packet belongs to (RFC 9143).
    pub const MID: &str = "urn:ietf:params:rtp-hdrext:sdes:mid";
    /// The simulcast layer (RFC 8852).
    pub const RID: &str = "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id";
    /// The layer that a retransmission belongs to (RFC 8852).
    pub const REPAIRED_RID: &str = "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id";
    /// How loud it is (RFC 6464).
    pub const AUDIO_LEVEL: &str = "urn:ietf:params:rtp-hdrext:ssrc-audio-level";
    /// Numbers of the whole transport, for feedback about all its packets.
    pub const TRANSPORT_CC: &str = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01";
    /// When it was sent, 24 bits of 6.18 seconds.
    pub const ABS_SEND_TIME: &str = "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time";
    /// What an AV1 packet depends on.
    pub const DEPENDENCY_DESCRIPTOR: &str =
        "https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension";
}

impl Section {
    /// One that carries nothing.
    #[must_use]
    pub const fn empty(mid: Arc<str>, kind: SectionKind) -> Self {
        Self {
            mid,
            kind,
            is_rejected: false,
            direction: Direction::Inactive,
            formats: Vec::new(),
            extensions: Vec::new(),
            rids: Vec::new(),
            sources: Vec::new(),
            msid: None,
            sctp: None,
        }
    }

    /// The number of a header extension.
    #[must_use]
    pub fn extension(&self, uri: &str) -> Option<u8> {
        self.extensions.iter().find(|it| *it.uri == *uri).map(|it| it.id)
    }
}
