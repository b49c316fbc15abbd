//! Media as core sees it: what one side can receive and where, and what a worker is told to do with it.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::id::{LegId, TrackId};

/// One payload format of an audio stream, as its describer numbers it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Codec {
    /// RTP payload type the describer wants to receive it with, 0..=127.
    pub payload_type: u8,
    /// Encoding name as registered (`PCMU`, `telephone-event`); compared without regard to case.
    pub name: String,
    /// RTP clock rate in Hz.
    pub clock_rate_hz: u32,
    /// Channels, 1 unless the rtpmap says otherwise.
    pub channels: u8,
    /// Format parameters as they stand after the payload type in `a=fmtp`.
    pub fmtp: Option<String>,
}

impl Codec {
    /// The same format, whatever its number is.
    #[must_use]
    pub fn is_same_format(&self, other: &Self) -> bool {
        self.clock_rate_hz == other.clock_rate_hz
            && self.channels == other.channels
            && self.name.eq_ignore_ascii_case(&other.name)
    }

    /// DTMF and other named events of RFC 4733: no audio by itself.
    #[must_use]
    pub fn is_telephone_event(&self) -> bool {
        self.name.eq_ignore_ascii_case("telephone-event")
    }
}

/// Which way media may flow, seen from the describer.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// Both ways.
    #[default]
    SendRecv,
    /// The describer only sends.
    SendOnly,
    /// The describer only receives.
    RecvOnly,
    /// Neither.
    Inactive,
}

/// The audio stream of one side of an offer or an answer (RFC 3264): what it can receive, and where.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct MediaDescription {
    /// Where it wants RTP. An unspecified address (`0.0.0.0`) says: nowhere.
    pub rtp: SocketAddr,
    /// Where it wants RTCP: port + 1 unless told otherwise.
    pub rtcp: SocketAddr,
    /// Formats in order of preference; never empty.
    pub codecs: Vec<Codec>,
    /// Packet time it wants, in milliseconds.
    pub ptime_ms: Option<u16>,
    /// Which way it wants media.
    pub direction: Direction,
    /// The text it came as, for the record; `None` when it is our own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<Arc<str>>,
}

impl MediaDescription {
    /// The same formats, to be received at our own address: the offer for the other side of a relay.
    #[must_use]
    pub fn relayed_at(&self, local: LocalMedia) -> Self {
        Self { rtp: local.rtp, rtcp: local.rtcp, text: None, ..self.clone() }
    }

    /// The answer to this offer, given what the other side of the relay answered to its own copy. `None`: nothing
    /// audible in common.
    #[must_use]
    pub fn answered_like(&self, other: &Self, local: LocalMedia) -> Option<Self> {
        let codecs = self.chosen_by(other);
        let answer = Self { codecs, ptime_ms: other.ptime_ms, direction: other.direction, ..other.relayed_at(local) };
        (!answer.codecs.is_empty()).then_some(answer)
    }

    /// What of this offer an answer took: the offer's numbers and names, in the answer's order. Empty: nothing audible
    /// in common.
    #[must_use]
    pub fn chosen_by(&self, answer: &Self) -> Vec<Codec> {
        let chosen: Vec<Codec> = answer
            .codecs
            .iter()
            .filter_map(|taken| self.codecs.iter().find(|offered| offered.is_same_format(taken)).cloned())
            .collect();
        if chosen.iter().all(Codec::is_telephone_event) { Vec::new() } else { chosen }
    }

    /// Audio formats that any phone has: PCMU, PCMA and telephone events. For an INVITE that came without an offer.
    #[must_use]
    pub fn basic(local: LocalMedia) -> Self {
        let codec = |payload_type, name: &str, fmtp: Option<&str>| Codec {
            payload_type,
            name: name.to_owned(),
            clock_rate_hz: 8_000,
            channels: 1,
            fmtp: fmtp.map(str::to_owned),
        };
        Self {
            rtp: local.rtp,
            rtcp: local.rtcp,
            codecs: vec![codec(0, "PCMU", None), codec(8, "PCMA", None), codec(101, "telephone-event", Some("0-16"))],
            ptime_ms: Some(20),
            direction: Direction::SendRecv,
            text: None,
        }
    }
}

/// The port pair that a leg receives media at: our own addresses.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct LocalMedia {
    /// For RTP, an even port.
    pub rtp: SocketAddr,
    /// For RTCP.
    pub rtcp: SocketAddr,
}

/// What a track carries and how the far side numbers it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TrackSpec {
    /// The participant whose transport carries it.
    pub leg: LegId,
    /// What we told the far side that we receive: the numbers that its packets have.
    pub local: Arc<MediaDescription>,
    /// What the far side receives, and where: the numbers that packets to it must have.
    pub remote: Arc<MediaDescription>,
}

/// What the media pool is told. Each command may come twice and means the same the second time.
#[derive(Clone, Debug, PartialEq)]
pub enum MediaCommand {
    /// Anchors a track on its leg's transport, or changes what it carries. Without one, packets of the leg are dropped.
    Attach {
        /// The track.
        track: TrackId,
        /// What it carries.
        spec: TrackSpec,
    },
    /// What `track` receives from its far side goes out on `to`. Replaces an earlier bridge. `to` may be attached later.
    Bridge {
        /// Where packets come from.
        track: TrackId,
        /// Where they go.
        to: TrackId,
    },
    /// Takes the track off its transport.
    Detach {
        /// The track.
        track: TrackId,
    },
    /// Whether silence on this leg counts as loss ([`MediaNews::Silent`]): from the answer until the end.
    Watch {
        /// The leg.
        leg: LegId,
    },
}

/// What the media pool has to say about a leg. Facts of the wire, no packets.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum MediaNews {
    /// Neither RTP nor RTCP came for the configured time while watched.
    Silent,
    /// The worker of this leg was given up: there is no media any more.
    Broken,
    /// A digit was received (RFC 4733), once per event.
    Digit {
        /// `0`–`9`, `*`, `#`, `A`–`D`.
        digit: char,
        /// Its length in milliseconds.
        duration_ms: u16,
    },
}

/// Whether media may be sent there at all: a unicast address with a port.
#[must_use]
pub fn is_sendable(address: SocketAddr) -> bool {
    let unicast = match address.ip() {
        IpAddr::V4(ip) => !ip.is_unspecified() && !ip.is_multicast() && !ip.is_broadcast(),
        IpAddr::V6(ip) => !ip.is_unspecified() && !ip.is_multicast(),
    };
    unicast && address.port() != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(port: u16) -> LocalMedia {
        let address = |port| SocketAddr::from(([127, 0, 0, 1], port));
        LocalMedia { rtp: address(port), rtcp: address(port + 1) }
    }

    #[test]
    fn an_answer_has_the_offers_numbers_in_the_order_of_the_answer() {
        let offer = MediaDescription::basic(at(4_000));
        let mut taken = MediaDescription::basic(at(5_000));
        taken.codecs.reverse();
        taken.codecs[0].payload_type = 96;
        let answer = offer.answered_like(&taken, at(10_000)).unwrap();
        assert_eq!(answer.codecs.iter().map(|codec| codec.payload_type).collect::<Vec<_>>(), [101, 8, 0]);
        assert_eq!(answer.rtp, at(10_000).rtp);
    }

    #[test]
    fn telephone_events_alone_are_no_common_codec() {
        let offer = MediaDescription::basic(at(4_000));
        let mut taken = offer.clone();
        taken.codecs.retain(Codec::is_telephone_event);
        assert_eq!(offer.answered_like(&taken, at(10_000)), None);
    }

    #[test]
    fn nothing_is_sent_to_many_or_to_nowhere() {
        for wrong in
            ["0.0.0.0:4000", "127.0.0.1:0", "224.0.0.1:4000", "255.255.255.255:4000", "[ff02::1]:4000", "[::]:1"]
        {
            assert!(!is_sendable(wrong.parse().unwrap()), "{wrong}");
        }
        assert!(is_sendable("127.0.0.1:4000".parse().unwrap()));
    }
}
