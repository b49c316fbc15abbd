//! One track on its way to one connection: which layer, and numbered as if it had been one stream from the start.
//!
//! ```text
//!  layer q  ── 10 11 12 13 14 ─┐ key frame of h
//!  layer h  ──────────── 70 71 72 73 ──        an anchor: number 72 of h goes out as 505, its timestamp moved so
//!  goes out ── 501 502 503 504 505 506 ──      older packets of h, and what is left of q, do not
//! ```
//!
//! # Invariants
//! * Numbers go up without a gap where the layer changes, and a number is sent once, whatever comes.
//! * A packet from before the one that a layer was entered with is never sent: its number may be another's.
//! * Video is entered with a key frame only.
//! * What must be known to go on in a new engine is in [`Forwarded`] before the packet leaves.

use std::sync::Arc;
use std::time::Duration;

use tandem_core::id::TrackId;
use tandem_core::room::sfu::{ReceiveSpec, SendSpec, Wish};
use tandem_core::time::Timestamp;

use super::codec::Kind;
use super::header::{Format, HEADER, fill, format, header};
use super::history::Past;
use super::kept::Forwarded;
use super::layer::Clock;
use super::vp8;
use crate::peer::{Numbers, Peer};

/// Layers whose packets may still be asked for.
const ANCHORS: usize = 4;

/// A hole wider than this is no loss: the receiver's count of rollovers must not depend on it.
const HOLE: u64 = 8_192;

/// How far the senders' clocks may lead the order of packets astray.
const MAX_SKEW: Duration = Duration::from_secs(1);

/// Where a layer was entered.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Anchor {
    layer: u8,
    ssrc: u32,
    from: u64,
    to: u64,
    timestamp: u32,
    picture: vp8::Offsets,
}

/// The last of them, the newest first.
pub(super) type Anchors = [Option<Anchor>; ANCHORS];

/// The newest packet that went out.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Last {
    pub(super) timestamp: u32,
    pub(super) picture: vp8::Numbers,
}

/// A packet that came in, as it is passed on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arrival {
    pub(super) layer: u8,
    /// Of the layer, also when it was sent again.
    pub(super) ssrc: u32,
    pub(super) past: Past,
    pub(super) kind: Kind,
    pub(super) is_start: bool,
    pub(super) picture: vp8::Numbers,
    pub(super) clock: Option<Clock>,
    /// Where its payload lies.
    pub(super) begin: usize,
    pub(super) end: usize,
}

/// What became of a packet.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Outcome {
    /// It is ready: so many bytes.
    Sent(usize),
    /// It is not for us.
    Nothing,
    /// It would be, if it began a key frame.
    NeedsKey,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Forward {
    pub(super) track: TrackId,
    spec: Arc<SendSpec>,
    pub(super) wish: Wish,
    /// Where it comes from: a place, and which of its tracks.
    pub(super) source: Option<(usize, usize)>,
    kept: Arc<Forwarded>,
    numbers: Numbers,
    repairs: Option<Numbers>,
    header: [u8; HEADER],
    header_len: usize,
    formats: Vec<Format>,
    anchors: Anchors,
    /// The layer of the newest anchor goes on.
    is_running: bool,
    target: Option<u8>,
    last: Option<Last>,
    last_at: Timestamp,
    /// Of the layer, with its timestamps as they go out.
    clock: Option<Clock>,
    clock_rate_hz: u32,
    packets: u32,
    octets: u32,
    reported: u32,
    /// As the receiver says, in 256ths.
    pub(super) fraction_lost: Option<u8>,
}

impl Forward {
    /// Goes on from what was kept. `None`: the connection was sent too many streams.
    pub(super) fn new(
        now: Timestamp,
        track: TrackId,
        spec: Arc<SendSpec>,
        mid_extension: u8,
        peer: &Peer,
        kept: Arc<Forwarded>,
    ) -> Option<Self> {
        let numbers = peer.numbers(spec.ssrc)?;
        let repairs = match spec.rtx_ssrc {
            Some(ssrc) => Some(peer.numbers(ssrc)?),
            None => None,
        };
        let anchors = kept.anchors();
        let (header, header_len) = header(&spec, mid_extension);
        Some(Self {
            track,
            spec,
            wish: Wish { is_paused: true, max_layer: 0 },
            source: None,
            numbers,
            repairs,
            header,
            header_len,
            formats: Vec::new(),
            anchors,
            is_running: anchors.iter().any(Option::is_some),
            target: None,
            last: kept.last(),
            last_at: now,
            clock: None,
            clock_rate_hz: 90_000,
            packets: 0,
            octets: 0,
            reported: 0,
            fraction_lost: None,
            kept,
        })
    }

    pub(super) fn spec(&self) -> &Arc<SendSpec> {
        &self.spec
    }

    /// The header changes when the connection numbers its extensions anew.
    pub(super) fn set_mid_extension(&mut self, id: u8) {
        (self.header, self.header_len) = header(&self.spec, id);
    }

    /// It comes from there from now on, in these formats.
    pub(super) fn link(&mut self, source: (usize, usize), incoming: &ReceiveSpec) {
        self.source = Some(source);
        self.formats = incoming.formats.iter().filter_map(|(codec, _)| format(codec, &self.spec)).collect();
    }

    pub(super) fn unlink(&mut self) {
        self.source = None;
        self.stop();
    }

    /// Whoever sends it again begins anew, with the numbers that follow.
    pub(super) fn forget_layers(&self) {
        self.kept.keep_anchors(Anchors::default());
    }

    /// Nothing goes out for now; what comes after begins anew.
    pub(super) fn stop(&mut self) {
        self.is_running = false;
        self.target = None;
    }

    /// The layer that it should have. Gives whether a key frame is needed for it.
    pub(super) fn aim(&mut self, target: Option<u8>) -> bool {
        self.target = target.filter(|_| !self.wish.is_paused);
        if self.wish.is_paused {
            self.is_running = false;
        }
        self.target.is_some() && self.target != self.current()
    }

    /// The layers that are of use now, as bits.
    pub(super) fn layers(&self) -> u8 {
        let bit = |layer: Option<u8>| layer.map_or(0, |layer| 1_u8.checked_shl(layer.into()).unwrap_or(0));
        bit(self.target) | bit(self.current())
    }

    /// The layer that a receiver who cannot go on needs a key frame of.
    pub(super) fn wanted(&self) -> Option<u8> {
        self.current().or(self.target)
    }

    fn current(&self) -> Option<u8> {
        self.newest().filter(|_| self.is_running).map(|anchor| anchor.layer)
    }

    fn newest(&self) -> Option<Anchor> {
        self.anchors.first().copied().flatten()
    }

    /// Bytes that a packet has when it goes out.
    pub(super) fn planned(&self, arrival: &Arrival, overhead: usize) -> usize {
        self.header_len + (arrival.end - arrival.begin) + overhead
    }

    /// Rewrites a packet, and seals it.
    pub(super) fn send(
        &mut self,
        now: Timestamp,
        peer: &Peer,
        arrival: &Arrival,
        payload: &[u8],
        out: &mut [u8],
    ) -> Outcome {
        let past = arrival.past;
        let Some(format) = self.formats.iter().find(|format| format.from == past.payload_type) else {
            return Outcome::Nothing;
        };
        let (payload_type, clock_rate_hz) = (format.to, format.clock_rate_hz);
        let anchor = match self.anchor(now, arrival, clock_rate_hz) {
            Ok(anchor) => anchor,
            Err(other) => return other,
        };
        let number = anchor.to + (past.number - anchor.from);
        let timestamp = past.timestamp.wrapping_add(anchor.timestamp);
        let kind = u8::from(past.marker) << 7 | payload_type;
        let (head, len) = (self.header_len, self.header_len + payload.len());
        let Some(()) = self.lay(out, past.is_padded, kind, number as u16, timestamp, payload) else {
            return Outcome::Nothing;
        };
        if arrival.kind == Kind::Vp8 {
            anchor.picture.rewrite(out.get_mut(head..len).unwrap_or_default());
        }
        if number >= self.numbers.end() {
            self.note(now, arrival, anchor, timestamp, clock_rate_hz);
        }
        match peer.seal_numbered(out, len, head, &mut self.numbers, number) {
            Some(sealed) => {
                self.packets = self.packets.wrapping_add(1);
                self.octets = self.octets.wrapping_add(payload.len() as u32);
                Outcome::Sent(sealed)
            }
            None => Outcome::Nothing,
        }
    }

    /// The layer, its number there, and the number as it went out, of a packet that the receiver misses.
    pub(super) fn missed(&self, sequence: u16) -> Option<Missed> {
        let number = crate::span::nearest(self.numbers.end(), sequence);
        let anchor = self.anchors.iter().flatten().find(|anchor| anchor.to <= number)?;
        (number < self.numbers.end()).then_some(Missed {
            layer: anchor.layer,
            ssrc: anchor.ssrc,
            number: anchor.from + (number - anchor.to),
            sequence,
            timestamp: anchor.timestamp,
            picture: anchor.picture,
        })
    }

    /// Sends a packet again, as RFC 4588 has it.
    pub(super) fn repair(
        &mut self,
        peer: &Peer,
        missed: &Missed,
        past: Past,
        is_vp8: bool,
        payload: &[u8],
        out: &mut [u8],
    ) -> Option<usize> {
        let format = self.formats.iter().find(|format| format.from == past.payload_type)?;
        let (kind, timestamp) =
            (u8::from(past.marker) << 7 | format.repair?, past.timestamp.wrapping_add(missed.timestamp));
        let numbers = self.repairs.as_mut()?;
        let (head, number) = (self.header_len, numbers.end());
        let len = head + 2 + payload.len();
        let [high, low] = missed.sequence.to_be_bytes();
        let ssrc = numbers.ssrc();
        out.get_mut(..head)?.copy_from_slice(self.header.get(..head)?);
        fill(out, past.is_padded, kind, number as u16, timestamp, ssrc)?;
        out.get_mut(head..head + 2)?.copy_from_slice(&[high, low]);
        out.get_mut(head + 2..len)?.copy_from_slice(payload);
        if is_vp8 {
            missed.picture.rewrite(out.get_mut(head + 2..len)?);
        }
        peer.seal_numbered(out, len, head, numbers, number)
    }

    /// What a sender report says of it, unless nothing went out since the last.
    pub(super) fn report(&mut self) -> Option<(u32, Clock, u32, (u32, u32))> {
        let clock = self.clock.filter(|_| self.packets != self.reported)?;
        self.reported = self.packets;
        Some((self.numbers.ssrc(), clock, self.clock_rate_hz, (self.packets, self.octets)))
    }

    fn anchor(&mut self, now: Timestamp, arrival: &Arrival, clock_rate_hz: u32) -> Result<Anchor, Outcome> {
        let number = arrival.past.number;
        let current = self.newest().filter(|anchor| self.is_running && anchor.ssrc == arrival.ssrc);
        if let Some(anchor) = current {
            let ahead = number.checked_sub(anchor.from).ok_or(Outcome::Nothing)?;
            if anchor.to + ahead < self.numbers.end() + HOLE {
                return Ok(anchor);
            }
        } else if self.target != Some(arrival.layer) {
            return Err(Outcome::Nothing);
        }
        if !arrival.is_start {
            return Err(Outcome::NeedsKey);
        }
        Ok(self.enter(now, arrival, clock_rate_hz))
    }

    #[cold]
    fn enter(&mut self, now: Timestamp, arrival: &Arrival, clock_rate_hz: u32) -> Anchor {
        let last = self.last;
        let timestamp = last
            .map_or(0, |last| self.following(now, last, arrival, clock_rate_hz).wrapping_sub(arrival.past.timestamp));
        let anchor = Anchor {
            layer: arrival.layer,
            ssrc: arrival.ssrc,
            from: arrival.past.number,
            to: self.numbers.end(),
            timestamp,
            picture: last.map(|last| vp8::Offsets::between(last.picture, arrival.picture)).unwrap_or_default(),
        };
        self.anchors.rotate_right(1);
        if let Some(first) = self.anchors.first_mut() {
            *first = Some(anchor);
        }
        self.is_running = true;
        self.kept.keep_anchors(self.anchors);
        anchor
    }

    /// The timestamp of the first packet of another layer: by the senders' clocks when both are known, else by the time
    /// that went by.
    fn following(&self, now: Timestamp, last: Last, arrival: &Arrival, clock_rate_hz: u32) -> u32 {
        let ticks = |duration: Duration| (duration.as_micros() * u128::from(clock_rate_hz) / 1_000_000) as u32;
        let by_time = last.timestamp.wrapping_add(ticks(now - self.last_at).max(1));
        let by_clock = self.clock.zip(arrival.clock).map(|(ours, theirs)| {
            let between = theirs.ntp.wrapping_sub(ours.ntp).cast_signed();
            let moved = (i128::from(between) * i128::from(clock_rate_hz)) >> 32;
            ours.rtp.wrapping_add(moved as u32).wrapping_add(arrival.past.timestamp.wrapping_sub(theirs.rtp))
        });
        let is_plausible = |timestamp: u32| {
            let skew = timestamp.wrapping_sub(by_time).cast_signed().unsigned_abs();
            timestamp.wrapping_sub(last.timestamp).cast_signed() > 0 && skew < ticks(MAX_SKEW)
        };
        by_clock.filter(|timestamp| is_plausible(*timestamp)).unwrap_or(by_time)
    }

    fn note(&mut self, now: Timestamp, arrival: &Arrival, anchor: Anchor, timestamp: u32, clock_rate_hz: u32) {
        let last = Last { timestamp, picture: anchor.picture.apply(arrival.picture) };
        self.kept.keep_last(last);
        self.last = Some(last);
        self.last_at = now;
        self.clock_rate_hz = clock_rate_hz;
        self.clock = arrival.clock.map(|clock| Clock { rtp: clock.rtp.wrapping_add(anchor.timestamp), ..clock });
    }

    fn lay(
        &self,
        out: &mut [u8],
        is_padded: bool,
        kind: u8,
        sequence: u16,
        timestamp: u32,
        payload: &[u8],
    ) -> Option<()> {
        let head = self.header_len;
        out.get_mut(..head)?.copy_from_slice(self.header.get(..head)?);
        fill(out, is_padded, kind, sequence, timestamp, self.numbers.ssrc())?;
        out.get_mut(head..head + payload.len())?.copy_from_slice(payload);
        Some(())
    }
}

/// A packet that the receiver misses.
#[derive(Clone, Copy, Debug)]
pub(super) struct Missed {
    pub(super) layer: u8,
    pub(super) ssrc: u32,
    pub(super) number: u64,
    sequence: u16,
    timestamp: u32,
    picture: vp8::Offsets,
}
