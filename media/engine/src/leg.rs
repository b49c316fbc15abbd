//! One leg: its transport, and the audio track on it.
//!
//! # Invariants
//! * Without a track, packets go nowhere.
//! * Silence is reported once, and only while the far end is expected to send.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rtp_rs::RtpReader;
use tandem_core::id::{LegId, TrackId};
use tandem_core::media::{Direction, MediaNews, TrackSpec, is_sendable};
use tandem_core::time::{Now, Timestamp};

use crate::continuity::{Continuity, Latched};
use crate::counts::Counts;
use crate::digit::Digits;
use crate::formats::{Formats, Meaning};
use crate::latch::{Admission, Latch, RtcpLatch};
use crate::rtcp::{self, SenderInfo};
use crate::sender::{Incoming, Outgoing, Sender};
use crate::source::Source;

/// What the legs of an engine have to say.
#[derive(Debug, Default)]
pub(crate) struct Out {
    pub(crate) counts: Counts,
    pub(crate) news: VecDeque<(LegId, MediaNews)>,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Leg {
    id: LegId,
    kept: Arc<Continuity>,
    is_watched: bool,
    is_silent: bool,
    /// When the far end last sent anything, or the wait for it began.
    heard: Timestamp,
    track: Option<Track>,
}

#[derive(Debug)]
struct Track {
    id: TrackId,
    spec: TrackSpec,
    latch: Latch,
    rtcp: RtcpLatch,
    source: Option<Source>,
    formats: Formats,
    digits: Digits,
    sender: Sender,
    bridge: Option<Bridge>,
    next_report: Timestamp,
    /// Packets sent when the last report went out: without a new one it is no sender report.
    packets_reported: u32,
}

/// Where a track's packets go.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bridge {
    pub(crate) to: TrackId,
    /// Its leg's place; `None` until it is attached.
    pub(crate) place: Option<usize>,
}

/// A packet that goes on to another leg.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival {
    incoming: Incoming,
    leaves_as: Option<u8>,
    payload_len: usize,
    pub(crate) bridge: Option<Bridge>,
}

impl Leg {
    pub(crate) fn new(now: Timestamp, id: LegId, kept: Arc<Continuity>) -> Self {
        Self { id, kept, is_watched: false, is_silent: false, heard: now, track: None }
    }

    pub(crate) fn id(&self) -> LegId {
        self.id
    }

    pub(crate) fn track_id(&self) -> Option<TrackId> {
        self.track.as_ref().map(|track| track.id)
    }

    pub(crate) fn spec(&self) -> Option<&TrackSpec> {
        self.track.as_ref().map(|track| &track.spec)
    }

    pub(crate) fn bridge(&self) -> Option<Bridge> {
        self.track.as_ref()?.bridge
    }

    /// Anchors a track, or changes what it carries. What was learned of the far end stays as long as it signals the
    /// same addresses.
    pub(crate) fn attach(&mut self, now: Timestamp, id: TrackId, spec: TrackSpec, first_report: Duration) {
        match self.track.as_mut().filter(|track| track.id == id) {
            Some(track) => track.respecify(now, spec),
            None => self.track = Some(Track::new(now, id, spec, self.kept.clone(), now + first_report)),
        }
    }

    pub(crate) fn detach(&mut self) {
        self.track = None;
        self.kept.anchor(|anchors| (anchors.rtp, anchors.rtcp) = (None, None));
    }

    pub(crate) fn watch(&mut self, now: Timestamp) {
        if !self.is_watched {
            self.is_watched = true;
            self.heard = now;
        }
    }

    /// Sets where packets go, and in which formats the destination takes them.
    pub(crate) fn link(&mut self, bridge: Bridge, destination: Option<&TrackSpec>) {
        if let Some(track) = &mut self.track {
            track.bridge = Some(bridge);
            track.formats = formats(&track.spec, destination);
        }
    }

    /// RTP from the far end. `None`: it goes no further.
    pub(crate) fn take(&mut self, now: Timestamp, from: SocketAddr, packet: &[u8], out: &mut Out) -> Option<Arrival> {
        let Some(track) = &mut self.track else {
            out.counts.unrouted += 1;
            return None;
        };
        let Ok(packet) = RtpReader::new(packet) else {
            out.counts.malformed += 1;
            return None;
        };
        let format = track.formats.of(packet.payload_type());
        if !track.admits(now, from, &packet, format.meaning, &self.kept) {
            out.counts.foreign += 1;
            return None;
        }
        out.counts.received += 1;
        (self.heard, self.is_silent) = (now, false);
        let Some(news) = track.follow(&packet) else {
            out.counts.unrouted += 1;
            return None;
        };
        let key = match format.meaning {
            Meaning::Unknown => None,
            Meaning::Audio => {
                track.time(now, packet.timestamp(), format.clock_rate_hz);
                None
            }
            Meaning::Event => track.digits.take(now, packet.timestamp(), format.clock_rate_hz, packet.payload()),
        };
        out.news.extend(news.into_iter().chain(key).map(|news| (self.id, news)));
        Some(Arrival {
            incoming: Incoming {
                from: track.id,
                ssrc: packet.ssrc(),
                sequence: packet.sequence_number().into(),
                timestamp: packet.timestamp(),
                clock_rate_hz: format.clock_rate_hz,
                is_event: format.meaning == Meaning::Event,
                marker: packet.mark(),
            },
            leaves_as: format.leaves_as,
            payload_len: packet.payload().len(),
            bridge: track.bridge,
        })
    }

    /// Makes another leg's packet one of ours, where it lies. `None`: it cannot go to this far end.
    pub(crate) fn send(&mut self, now: Timestamp, arrival: &Arrival, packet: &mut [u8]) -> Option<SocketAddr> {
        let track = self.track.as_mut().filter(|track| arrival.bridge.is_some_and(|bridge| bridge.to == track.id))?;
        let payload_type = arrival.leaves_as?;
        if !track.may_send() {
            return None;
        }
        let numbers = track.sender.renumber(now, &arrival.incoming);
        rewrite(packet, payload_type, numbers, self.kept.ssrc())?;
        self.kept.count(arrival.payload_len);
        Some(track.latch.destination())
    }

    /// RTCP from the far end.
    pub(crate) fn take_report(&mut self, now: Timestamp, from: SocketAddr, packet: &[u8], out: &mut Out) {
        let Some(track) = &mut self.track else {
            out.counts.unrouted += 1;
            return;
        };
        let Ok(heard) = rtcp::read(packet) else {
            out.counts.malformed += 1;
            return;
        };
        match track.rtcp.admit(now, from, track.latch.destination()) {
            Admission::Foreign => {
                out.counts.foreign += 1;
                return;
            }
            Admission::Known => {}
            Admission::Latched => {
                let latched = Latched { signalled: track.rtcp.signalled(), actual: from };
                self.kept.anchor(|anchors| anchors.rtcp = Some(latched));
            }
        }
        out.counts.reports += 1;
        (self.heard, self.is_silent) = (now, false);
        if let Some(news) = track.hear(now, &heard) {
            out.news.push_back((self.id, news));
        }
    }

    /// What is due by time alone. `true`: a report is.
    pub(crate) fn expire(&mut self, now: Timestamp, silence: Duration, next_report: Duration, out: &mut Out) -> bool {
        let Some(track) = &mut self.track else { return false };
        out.news.extend(track.digits.expire(now).map(|news| (self.id, news)));
        if !track.expects_media() {
            self.heard = now;
        } else if self.is_watched && !self.is_silent && now - self.heard >= silence {
            self.is_silent = true;
            out.counts.silent += 1;
            out.news.push_back((self.id, MediaNews::Silent));
        }
        let is_due = now >= track.next_report;
        if is_due {
            track.next_report = now + next_report;
        }
        is_due
    }

    /// Writes the report that is due. Gives its length and where it goes.
    pub(crate) fn write_report(&mut self, now: Now, buffer: &mut [u8]) -> Option<(usize, SocketAddr)> {
        let track = self.track.as_mut()?;
        let to = track.rtcp.destination();
        if !is_sendable(to) || !is_sendable(track.spec.remote.rtp) {
            return None;
        }
        let (packets, octets) = self.kept.totals();
        let sent = (packets != track.packets_reported).then(|| SenderInfo {
            wall: now.wall.0,
            timestamp: track.sender.timestamp_at(now.mono),
            packets,
            octets,
        });
        track.packets_reported = packets;
        let block = track.source.as_mut().map(|source| source.report(now.mono));
        Some((rtcp::write(buffer, self.kept.ssrc(), sent, block)?, to))
    }
}

impl Track {
    fn new(now: Timestamp, id: TrackId, spec: TrackSpec, kept: Arc<Continuity>, next_report: Timestamp) -> Self {
        let (latch, rtcp) = latches(now, &spec, &kept);
        let formats = formats(&spec, None);
        Self {
            id,
            latch,
            rtcp,
            source: None,
            formats,
            digits: Digits::default(),
            sender: Sender::new(kept),
            spec,
            bridge: None,
            next_report,
            packets_reported: 0,
        }
    }

    fn respecify(&mut self, now: Timestamp, spec: TrackSpec) {
        let (latch, rtcp) = latches(now, &spec, self.sender.kept());
        if latch.signalled() != self.latch.signalled() {
            self.latch = latch;
        }
        if rtcp.signalled() != self.rtcp.signalled() {
            self.rtcp = rtcp;
        }
        self.formats = formats(&spec, None);
        self.spec = spec;
    }

    fn admits(
        &mut self,
        now: Timestamp,
        from: SocketAddr,
        packet: &RtpReader<'_>,
        meaning: Meaning,
        kept: &Continuity,
    ) -> bool {
        let before = self.latch.destination();
        let admission = match meaning {
            Meaning::Unknown => self.latch.recognise(now, from),
            Meaning::Audio | Meaning::Event => {
                self.latch.admit(now, from, packet.ssrc(), packet.sequence_number().into())
            }
        };
        if admission == Admission::Latched {
            let latched = Latched { signalled: self.latch.signalled(), actual: from };
            let has_moved = before.ip() != from.ip();
            if has_moved {
                self.rtcp.forget();
            }
            kept.anchor(|anchors| {
                anchors.rtp = Some(latched);
                anchors.rtcp = anchors.rtcp.filter(|_| !has_moved);
            });
        }
        admission != Admission::Foreign
    }

    /// Takes note of the packet's number. `None`: it cannot be right. Otherwise what the end of an old source brings.
    fn follow(&mut self, packet: &RtpReader<'_>) -> Option<Option<MediaNews>> {
        let (ssrc, sequence) = (packet.ssrc(), packet.sequence_number().into());
        let Some(source) = &mut self.source else {
            self.source = Some(Source::new(ssrc, sequence));
            return Some(None);
        };
        let is_new = source.ssrc() != ssrc;
        source.follow(ssrc, sequence).then(|| if is_new { self.digits.restart() } else { None })
    }

    fn time(&mut self, now: Timestamp, timestamp: u32, clock_rate_hz: u32) {
        if let Some(source) = &mut self.source {
            source.time(now, timestamp, clock_rate_hz);
        }
    }

    fn hear(&mut self, now: Timestamp, heard: &rtcp::Heard) -> Option<MediaNews> {
        let source = self.source.as_mut()?;
        if let Some((_, ntp)) = heard.sender_report.filter(|(ssrc, _)| *ssrc == source.ssrc()) {
            source.reported(now, ntp);
        }
        if heard.bye == Some(source.ssrc()) {
            self.source = None;
            return self.digits.restart();
        }
        None
    }

    fn may_send(&self) -> bool {
        let TrackSpec { local, remote, .. } = &self.spec;
        let we_do = matches!(local.direction, Direction::SendRecv | Direction::SendOnly);
        let they_listen = matches!(remote.direction, Direction::SendRecv | Direction::RecvOnly);
        // An unspecified address is an old way to say hold: then not even a learned address gets anything.
        we_do && they_listen && is_sendable(remote.rtp)
    }

    fn expects_media(&self) -> bool {
        let TrackSpec { local, remote, .. } = &self.spec;
        let we_listen = matches!(local.direction, Direction::SendRecv | Direction::RecvOnly);
        let they_do = matches!(remote.direction, Direction::SendRecv | Direction::SendOnly);
        we_listen && they_do && is_sendable(remote.rtp)
    }
}

fn latches(now: Timestamp, spec: &TrackSpec, kept: &Continuity) -> (Latch, RtcpLatch) {
    let anchors = kept.anchors();
    let learned = |latched: Option<Latched>, signalled: SocketAddr| {
        latched.filter(|latched| latched.signalled == signalled).map(|latched| latched.actual)
    };
    let (rtp, rtcp) = (spec.remote.rtp, spec.remote.rtcp);
    (Latch::new(now, rtp, learned(anchors.rtp, rtp)), RtcpLatch::new(now, rtcp, learned(anchors.rtcp, rtcp)))
}

fn formats(spec: &TrackSpec, destination: Option<&TrackSpec>) -> Formats {
    Formats::between(&spec.local.codecs, destination.map_or(&[], |other| &other.remote.codecs))
}

/// Puts new numbers into an RTP header (RFC 3550, 5.1), and touches nothing else.
fn rewrite(packet: &mut [u8], payload_type: u8, numbers: Outgoing, ssrc: u32) -> Option<()> {
    let [_, kind, rest @ ..] = packet.first_chunk_mut::<12>()?;
    *kind = u8::from(numbers.marker) << 7 | payload_type;
    let (sequence, rest) = rest.split_first_chunk_mut()?;
    let (timestamp, rest) = rest.split_first_chunk_mut()?;
    *sequence = numbers.sequence.to_be_bytes();
    *timestamp = numbers.timestamp.to_be_bytes();
    rest.copy_from_slice(&ssrc.to_be_bytes());
    Some(())
}
