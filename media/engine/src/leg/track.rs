//! The audio track on a leg: what its far end sends, and what we send to it.

use std::sync::Arc;

use rtp_rs::RtpReader;
use tandem_core::id::TrackId;
use tandem_core::media::{Direction, MediaNews, TrackSpec};
use tandem_core::time::{Now, Timestamp};

use crate::continuity::Continuity;
use crate::digit::Digits;
use crate::formats::{Exit, Format, Formats, Meaning};
use crate::g711;
use crate::rtcp::{self, SenderInfo};
use crate::sender::{Incoming, Outgoing, Sender};
use crate::source::Source;

/// Of an RTP packet without contributing sources and extension (RFC 3550, 5.1), in bytes.
const HEADER: usize = 12;

/// See the module.
#[derive(Debug)]
pub(crate) struct Track {
    pub(crate) id: TrackId,
    pub(crate) spec: TrackSpec,
    pub(crate) bridge: Option<Bridge>,
    pub(crate) next_report: Timestamp,
    pub(crate) digits: Digits,
    source: Option<Source>,
    /// Payload number of the newest audio packet.
    spoken: Option<u8>,
    kept: Arc<Continuity>,
    formats: Formats,
    sender: Sender,
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
    pub(crate) bridge: Option<Bridge>,
    incoming: Incoming,
    exit: Option<Exit>,
    /// Where in the packet the payload is.
    payload: (usize, usize),
}

impl Track {
    pub(crate) fn new(id: TrackId, spec: TrackSpec, kept: Arc<Continuity>, next_report: Timestamp) -> Self {
        Self {
            id,
            formats: formats(&spec, None),
            spec,
            bridge: None,
            next_report,
            digits: Digits::default(),
            source: kept.hearing().source(),
            spoken: None,
            sender: Sender::new(kept.clone()),
            kept,
            packets_reported: 0,
        }
    }

    pub(crate) fn respecify(&mut self, spec: TrackSpec) {
        self.formats = formats(&spec, None);
        self.spec = spec;
    }

    /// Sets where packets go, and in which formats the destination takes them.
    pub(crate) fn link(&mut self, bridge: Bridge, destination: Option<&TrackSpec>) {
        self.bridge = Some(bridge);
        self.formats = formats(&self.spec, destination);
    }

    pub(crate) fn format_of(&self, packet: &RtpReader<'_>) -> Format {
        self.formats.of(packet.payload_type())
    }

    /// Takes note of a packet that was admitted. `None`: its number cannot be right. Otherwise what it tells, and the
    /// packet as far as it matters to where it goes.
    pub(crate) fn follow(
        &mut self,
        now: Timestamp,
        packet: &RtpReader<'_>,
        format: Format,
    ) -> Option<([Option<MediaNews>; 2], Arrival)> {
        let ended = self.count(packet)?;
        let key = match (format.meaning, &mut self.source) {
            (Meaning::Audio, Some(source)) => {
                source.time(now, packet.timestamp(), format.clock_rate_hz);
                if self.spoken.replace(packet.payload_type()).is_none() {
                    self.measure();
                }
                None
            }
            (Meaning::Event, _) => self.digits.take(now, packet.timestamp(), format.clock_rate_hz, packet.payload()),
            _ => None,
        };
        let arrival = Arrival {
            bridge: self.bridge,
            incoming: Incoming {
                from: self.id,
                ssrc: packet.ssrc(),
                sequence: packet.sequence_number().into(),
                timestamp: packet.timestamp(),
                clock_rate_hz: format.clock_rate_hz,
                is_event: format.meaning == Meaning::Event,
                marker: packet.mark(),
            },
            exit: format.exit,
            payload: (packet.payload_offset(), packet.payload().len()),
        };
        Some(([ended, key], arrival))
    }

    /// Makes another leg's packet one of ours, where it lies. Gives its length; `None`: it cannot go to this far end.
    pub(crate) fn rewrite(
        &mut self,
        now: Timestamp,
        arrival: &Arrival,
        kept: &Continuity,
        buffer: &mut [u8],
    ) -> Option<usize> {
        let exit = arrival.exit?;
        let numbers = self.sender.renumber(now, &arrival.incoming);
        let len = bare(buffer, arrival.payload)?;
        write_header(buffer, exit.payload_type, numbers, kept.ssrc())?;
        if let Some(table) = exit.conversion {
            g711::convert(buffer.get_mut(HEADER..len)?, table);
        }
        kept.count(len - HEADER);
        Some(len)
    }

    /// Takes note of RTCP. Gives what the end of a source brings.
    pub(crate) fn hear(&mut self, now: Timestamp, heard: &rtcp::Heard) -> Option<MediaNews> {
        if let Some(block) = &heard.reception {
            self.kept.hearing().told(now, block, self.kept.totals().0);
        }
        let source = self.source.as_mut()?;
        if let Some((_, ntp)) = heard.sender_report.filter(|(ssrc, _)| *ssrc == source.ssrc()) {
            source.reported(now, ntp);
        }
        if heard.bye == Some(source.ssrc()) {
            self.source = None;
            self.kept.hearing().end();
            return self.digits.restart();
        }
        None
    }

    /// Publishes what is measured and not counted: wants to be called at every tick.
    pub(crate) fn measure(&self) {
        let Some((source, spoken)) = self.source.as_ref().zip(self.spoken) else { return };
        if let Some(codec) = self.spec.local.codecs.iter().find(|codec| codec.payload_type == spoken) {
            self.kept.hearing().measure(source, &codec.name, codec.clock_rate_hz);
        }
    }

    /// Writes the report that is due.
    pub(crate) fn write_report(&mut self, now: Now, kept: &Continuity, buffer: &mut [u8]) -> Option<usize> {
        let (packets, octets) = kept.totals();
        let sent = (packets != self.packets_reported).then(|| SenderInfo {
            wall: now.wall.0,
            timestamp: self.sender.timestamp_at(now.mono),
            packets,
            octets,
        });
        self.packets_reported = packets;
        if let Some(sent) = &sent {
            kept.hearing().reported(now.mono, sent.ntp_middle());
        }
        let block = self.source.as_mut().map(|source| source.report(now.mono));
        rtcp::write(buffer, kept.ssrc(), sent, block)
    }

    /// Whether both sides want us to send.
    pub(crate) fn may_send(&self) -> bool {
        let TrackSpec { local, remote, .. } = &self.spec;
        let we_do = matches!(local.direction, Direction::SendRecv | Direction::SendOnly);
        we_do && matches!(remote.direction, Direction::SendRecv | Direction::RecvOnly)
    }

    /// Whether both sides want the far end to send.
    pub(crate) fn expects_media(&self) -> bool {
        let TrackSpec { local, remote, .. } = &self.spec;
        let we_listen = matches!(local.direction, Direction::SendRecv | Direction::RecvOnly);
        we_listen && matches!(remote.direction, Direction::SendRecv | Direction::SendOnly)
    }

    /// Takes note of the packet's number. `None`: it cannot be right. Otherwise what the end of an old source brings.
    fn count(&mut self, packet: &RtpReader<'_>) -> Option<Option<MediaNews>> {
        let (ssrc, sequence) = (packet.ssrc(), packet.sequence_number().into());
        let Some(source) = &mut self.source else {
            self.kept.hearing().note(self.source.insert(Source::new(ssrc, sequence)));
            return Some(None);
        };
        let is_new = source.ssrc() != ssrc;
        if !source.follow(ssrc, sequence) {
            return None;
        }
        self.kept.hearing().note(source);
        Some(if is_new { self.digits.restart() } else { None })
    }
}

fn formats(spec: &TrackSpec, destination: Option<&TrackSpec>) -> Formats {
    Formats::between(&spec.local.codecs, destination.map_or(&[], |other| &other.remote.codecs))
}

/// Takes contributing sources, header extension and padding out of a packet: they were agreed on with whoever sent it,
/// and mean nothing, or something else, to whoever gets it. Gives its length.
fn bare(packet: &mut [u8], (start, len): (usize, usize)) -> Option<usize> {
    packet.get(start..start + len).filter(|_| start >= HEADER)?;
    if start != HEADER {
        packet.copy_within(start..start + len, HEADER);
    }
    Some(HEADER + len)
}

/// Writes an RTP header (RFC 3550, 5.1).
fn write_header(packet: &mut [u8], payload_type: u8, numbers: Outgoing, ssrc: u32) -> Option<()> {
    let [flags, kind, rest @ ..] = packet.first_chunk_mut::<HEADER>()?;
    *flags = 0x80;
    *kind = u8::from(numbers.marker) << 7 | payload_type;
    let (sequence, rest) = rest.split_first_chunk_mut()?;
    let (timestamp, rest) = rest.split_first_chunk_mut()?;
    *sequence = numbers.sequence.to_be_bytes();
    *timestamp = numbers.timestamp.to_be_bytes();
    rest.copy_from_slice(&ssrc.to_be_bytes());
    Some(())
}
