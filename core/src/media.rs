//! Media as core sees it: what one side can receive and where, and what a worker is told to do with it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::id::{CallId, LegId, TrackId};
use crate::pii::Pii;

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

    /// Audio in the one can be had from audio in the other without decoding it: the same format, or both G.711.
    #[must_use]
    pub fn is_convertible_to(&self, other: &Self) -> bool {
        self.is_same_format(other) || self.is_g711() && other.is_g711()
    }

    /// ITU-T G.711, of either law.
    #[must_use]
    pub fn is_g711(&self) -> bool {
        let is_law = ["PCMU", "PCMA"].iter().any(|law| self.name.eq_ignore_ascii_case(law));
        is_law && self.clock_rate_hz == 8_000 && self.channels == 1
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
    /// Its side of the peer connection when it is WebRTC; `None` for plain RTP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<Arc<PeerDescription>>,
    /// The text it came as, for the record; `None` when it is our own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<Arc<str>>,
}

/// What WebRTC adds to a description: how the transport is checked (ICE, RFC 8445) and secured (DTLS-SRTP, RFC 5763).
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct PeerDescription {
    /// ICE user name fragment, 4..=256 characters.
    pub ufrag: String,
    /// ICE password, 22..=256 characters.
    pub password: Pii<String>,
    /// SHA-256 of the certificate that its DTLS side shows.
    pub fingerprint: [u8; 32],
    /// The SSRC that it sends with, when it says so.
    pub ssrc: Option<u32>,
}

impl MediaDescription {
    /// The same formats, to be received at our own address: the offer for the other side of a relay.
    #[must_use]
    pub fn relayed_at(&self, local: &LocalMedia) -> Self {
        Self { rtp: local.rtp, rtcp: local.rtcp, peer: local.peer.clone(), text: None, ..self.clone() }
    }

    /// What we propose to a caller that wants our offer before anybody has answered: Opus and G.711, with G.711 first
    /// when a phone may answer. It has no address yet: [`relayed_at`](Self::relayed_at) gives it one.
    #[must_use]
    pub fn proposal(phone_may_answer: bool) -> Self {
        let opus = codec(111, "opus", 48_000, 2, Some("minptime=10;useinbandfec=1"));
        let g711 = [codec(0, "PCMU", 8_000, 1, None), codec(8, "PCMA", 8_000, 1, None)];
        let mut codecs = Vec::with_capacity(5);
        if phone_may_answer {
            codecs.extend(g711);
            codecs.push(opus);
        } else {
            codecs.push(opus);
            codecs.extend(g711);
        }
        codecs.push(codec(110, "telephone-event", 48_000, 1, Some("0-16")));
        codecs.push(codec(126, "telephone-event", 8_000, 1, Some("0-16")));
        Self { codecs, ..Self::basic(&LocalMedia::NOWHERE) }
    }

    /// What of these formats a browser speaks, in the same order. `None`: nothing audible. Numbers that RTCP has on a
    /// shared port (RFC 5761, 4) are left out.
    #[must_use]
    pub fn for_browser(&self) -> Option<Self> {
        let speaks = |codec: &Codec| {
            ["opus", "PCMU", "PCMA", "G722", "telephone-event"].iter().any(|name| codec.name.eq_ignore_ascii_case(name))
        };
        self.narrowed(|codec| speaks(codec) && !(64..96).contains(&codec.payload_type))
    }

    /// What of our own [proposal](Self::proposal) a phone is offered: G.711 and its events. Opus would have to be
    /// decoded for whoever answers without it.
    #[must_use]
    pub fn for_phone(&self) -> Option<Self> {
        self.narrowed(|codec| codec.is_g711() || codec.is_telephone_event() && codec.clock_rate_hz == 8_000)
    }

    fn narrowed(&self, is_wanted: impl Fn(&Codec) -> bool) -> Option<Self> {
        let codecs: Vec<_> = self.codecs.iter().filter(|codec| is_wanted(codec)).cloned().collect();
        codecs.iter().any(|codec| !codec.is_telephone_event()).then(|| Self { codecs, ..self.clone() })
    }

    /// Whether what one of the two sends can be made audible to the other without decoding it.
    #[must_use]
    pub fn shares_audio_with(&self, other: &Self) -> bool {
        let audio = |codec: &&Codec| !codec.is_telephone_event();
        let theirs = |codec: &Codec| other.codecs.iter().filter(audio).any(|it| it.is_convertible_to(codec));
        self.codecs.iter().filter(audio).any(theirs)
    }

    /// The answer to this offer, given what the other side of the relay answered to its own copy. `None`: nothing
    /// audible in common.
    #[must_use]
    pub fn answered_like(&self, other: &Self, local: &LocalMedia) -> Option<Self> {
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
    pub fn basic(local: &LocalMedia) -> Self {
        let codecs = vec![
            codec(0, "PCMU", 8_000, 1, None),
            codec(8, "PCMA", 8_000, 1, None),
            codec(101, "telephone-event", 8_000, 1, Some("0-16")),
        ];
        Self {
            rtp: local.rtp,
            rtcp: local.rtcp,
            codecs,
            ptime_ms: Some(20),
            direction: Direction::SendRecv,
            peer: local.peer.clone(),
            text: None,
        }
    }
}

fn codec(payload_type: u8, name: &str, clock_rate_hz: u32, channels: u8, fmtp: Option<&str>) -> Codec {
    Codec { payload_type, name: name.to_owned(), clock_rate_hz, channels, fmtp: fmtp.map(str::to_owned) }
}

/// What carries a leg's media.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Carrier {
    /// A port pair for plain RTP and RTCP.
    Rtp,
    /// A WebRTC peer on a worker's shared port. All peers of one call live on the same worker.
    Peer(CallId),
}

/// Where a leg receives media: our own addresses, and our side of the peer connection if it is one.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct LocalMedia {
    /// For RTP, an even port; for a peer its one ICE candidate.
    pub rtp: SocketAddr,
    /// For RTCP; for a peer the same.
    pub rtcp: SocketAddr,
    /// Our side of the peer connection; `None` for plain RTP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<Arc<PeerDescription>>,
}

impl LocalMedia {
    /// No address: for a description that gets one later.
    pub const NOWHERE: Self = {
        let nowhere = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0));
        Self::pair(nowhere, nowhere)
    };

    /// A port pair for plain RTP.
    #[must_use]
    pub const fn pair(rtp: SocketAddr, rtcp: SocketAddr) -> Self {
        Self { rtp, rtcp, peer: None }
    }
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
        LocalMedia::pair(address(port), address(port + 1))
    }

    fn names(description: &MediaDescription) -> Vec<&str> {
        description.codecs.iter().map(|codec| codec.name.as_str()).collect()
    }

    #[test]
    fn a_phone_is_offered_no_opus_and_puts_g711_first_for_the_browser() {
        let proposal = MediaDescription::proposal(true);
        assert_eq!(names(&proposal), ["PCMU", "PCMA", "opus", "telephone-event", "telephone-event"]);
        assert_eq!(names(&proposal.for_phone().unwrap()), ["PCMU", "PCMA", "telephone-event"]);
        assert_eq!(names(&MediaDescription::proposal(false))[0], "opus");
    }

    #[test]
    fn a_browser_is_offered_what_it_speaks_under_numbers_that_are_no_rtcp() {
        let mut offer = MediaDescription::basic(&at(4_000));
        offer.codecs[1].payload_type = 72;
        offer.codecs.push(Codec { payload_type: 18, name: "G729".into(), ..offer.codecs[0].clone() });
        assert_eq!(names(&offer.for_browser().unwrap()), ["PCMU", "telephone-event"]);
        offer.codecs.remove(0);
        assert_eq!(offer.for_browser(), None);
    }

    #[test]
    fn both_laws_of_g711_are_audio_in_common_and_events_are_not() {
        let only = |name: &str| {
            let mut it = MediaDescription::basic(&at(4_000));
            it.codecs.retain(|codec| codec.name == name || codec.is_telephone_event());
            it
        };
        assert!(only("PCMU").shares_audio_with(&only("PCMA")));
        assert!(!only("PCMU").shares_audio_with(&only("none")));
    }

    #[test]
    fn an_answer_has_the_offers_numbers_in_the_order_of_the_answer() {
        let offer = MediaDescription::basic(&at(4_000));
        let mut taken = MediaDescription::basic(&at(5_000));
        taken.codecs.reverse();
        taken.codecs[0].payload_type = 96;
        let answer = offer.answered_like(&taken, &at(10_000)).unwrap();
        assert_eq!(answer.codecs.iter().map(|codec| codec.payload_type).collect::<Vec<_>>(), [101, 8, 0]);
        assert_eq!(answer.rtp, at(10_000).rtp);
    }

    #[test]
    fn telephone_events_alone_are_no_common_codec() {
        let offer = MediaDescription::basic(&at(4_000));
        let mut taken = offer.clone();
        taken.codecs.retain(Codec::is_telephone_event);
        assert_eq!(offer.answered_like(&taken, &at(10_000)), None);
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
